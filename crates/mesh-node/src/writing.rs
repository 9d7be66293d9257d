//! What this domain's people write.

mod announcing;
pub(crate) mod append;
pub(crate) mod arrivals;
mod closing;
pub(crate) mod moving;
pub mod pairing;
pub(crate) mod places;
pub mod planned;
pub mod records;
pub mod registration;
