//! The tests of mesh-store, in one binary.

#![expect(clippy::unwrap_used, reason = "a failing helper fails its test")]

mod blobs;
mod capture;
mod conformance;
mod crash;
mod damage;
mod format;
mod full;
mod model;
mod power;
mod support;
