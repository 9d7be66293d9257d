//! What stores hold: all that was answered, and nothing that must not be there.

pub(crate) mod durability;
pub(crate) mod erasure;
