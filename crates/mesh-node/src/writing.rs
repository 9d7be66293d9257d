//! What this domain's people write.

pub(crate) mod append;
pub(crate) mod arrivals;
mod closing;
mod moving;
pub mod pairing;
pub mod records;
pub mod registration;
