//! For tests: a clock that is turned by hand, seeded randomness, a simulated network, accounts and logs to test with.
//!
//! Sees `mesh-proto` only. Nothing here sleeps, opens a socket or reads the time: the same seed gives the same run.

mod fixtures;
mod net;
mod ports;

pub use fixtures::{START_MS, TestAccount, TestLog};
pub use net::{Arrival, Link, NodeId, SimNetwork};
pub use ports::{ManualClock, SeededRng, seed};
