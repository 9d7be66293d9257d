//! What this domain's people write.

pub(crate) mod append;
mod closing;
pub mod pairing;
pub mod records;
pub mod registration;
