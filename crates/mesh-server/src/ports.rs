//! The real clock and the real random source.

use mesh_proto::port::{Clock, Rng};
use std::time::{SystemTime, UNIX_EPOCH};

/// The system's clock.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
    }
}

/// The operating system's random source.
pub(crate) struct SystemRng;

impl Rng for SystemRng {
    fn fill(&self, out: &mut [u8]) {
        getrandom::fill(out).expect("the operating system has a random source");
    }
}
