//! Other domains: who they are, what they deliver, what is delivered to them.

pub mod buckets;
pub mod catchup;
pub mod healing;
pub mod intake;
pub mod outbox;
pub(crate) mod packing;
pub mod peers;
pub(crate) mod pin;
pub(crate) mod queue;
