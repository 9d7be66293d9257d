//! The MESH protocol as pure code.
//!
//! This crate performs no I/O and reads neither clock nor random source: times, nonces and random bytes are arguments. It compiles to
//! `wasm32-unknown-unknown`, so that a browser checks exactly what a server checks. `spec/` says in words what is here in code.

pub mod address;
pub mod api;
pub mod bytes;
pub mod envelope;
pub mod http_signature;
pub mod json;
pub mod key;
pub mod keylog;
pub mod limits;
pub mod log;
pub use address::guard;
pub use envelope::counter;
pub use envelope::rules;
pub use envelope::ruling;
pub use key::phrase;
pub mod port;
pub mod pow;
pub mod record;
pub mod uri;
