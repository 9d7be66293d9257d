//! Other domains: who they are, what they deliver, what is delivered to them.

pub mod buckets;
pub mod catchup;
pub mod comparing;
pub(crate) mod dating;
pub(crate) mod export;
pub(crate) mod forks;
pub(crate) mod frame;
pub mod healing;
pub mod intake;
pub(crate) mod moved;
pub mod outbox;
pub(crate) mod packing;
pub mod peers;
pub(crate) mod pin;
pub(crate) mod queue;
