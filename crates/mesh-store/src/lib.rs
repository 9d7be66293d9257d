//! Ordered key-value storage and blob storage behind two small seams.
//!
//! [`Kv`] holds small ordered values (signed records, indexes, counters, queues) in the key spaces that [`Space`] lists. Its one write
//! is an atomic conditional [`Batch`]. [`Blobs`] holds large immutable bytes under their BLAKE3 hash. Typed tables are plain functions
//! over these seams and live in the crates above.
//!
//! Owns: the folder it is given, and in [`fjall`] two threads (writer, housekeeper). [`memory`] owns nothing but memory and is the oracle
//! of the conformance suite. Does not: know what a key or a value means, replicate, encrypt, or query.

pub mod batch;
pub mod blobs;
pub mod capture;
pub mod changes;
pub mod error;
pub mod files;
pub mod fjall;
pub mod kv;
pub mod limits;
pub mod memory;
pub mod migrate;
pub mod space;
#[cfg(feature = "testing")]
pub mod testing;
mod watches;

pub use batch::Batch;
pub use blobs::{BlobError, BlobHash, BlobInfo, Blobs, LocalBlobs};

pub use capture::{Capture, Captured};
pub use changes::{Changes, Place};
pub use error::{ErrorKind, StoreError};
pub use fjall::{Config, FjallStore};
pub use kv::{Commit, Committed, Health, Key, KeyRange, Kv, Order, Read, Status, Value, counter};
pub use memory::MemoryStore;
pub use space::Space;
