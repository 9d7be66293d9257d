//! One file for each bench.

pub(crate) mod backup;
pub(crate) mod catchup;
pub(crate) mod crash;
pub(crate) mod disk;
pub(crate) mod feed;
pub(crate) mod heal;
pub(crate) mod idle;
pub(crate) mod ingest;
pub(crate) mod page;
pub(crate) mod search;
pub(crate) mod simulate;
pub(crate) mod thread;
pub(crate) mod waiters;
pub(crate) mod write;
