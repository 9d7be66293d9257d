//! The tests of mesh-store, in one binary.

mod blobs;
mod conformance;
mod crash;
mod damage;
mod format;
mod full;
mod model;
mod power;
mod support;
