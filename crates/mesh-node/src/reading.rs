//! What people read.

pub mod bodies;
pub mod counters;
pub mod feed;
pub mod fresh;
pub mod heads;
pub mod notices;
pub mod published;
pub mod remote;
mod versions;
pub mod views;
