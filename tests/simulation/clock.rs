//! Time: tokio's paused clock, which jumps to the next timer when everybody waits, seen by each domain through a clock of its own that may be wrong.

use mesh_proto::port::Clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Instant;

/// When every simulation begins: 2026-01-02T00:00:00Z, milliseconds. The fixtures' accounts are a day old.
const BEGIN_MS: u64 = 1_767_312_000_000;

/// The true time of a simulation.
#[derive(Debug, Clone)]
pub(crate) struct Time {
    runtime: Handle,
    begin: Instant,
}

impl Time {
    /// Begins now, in the runtime whose clock stands still.
    pub(crate) fn begin() -> Self {
        Self { runtime: Handle::current(), begin: Instant::now() }
    }

    /// How long it runs.
    pub(crate) fn elapsed(&self) -> Duration {
        // Threads of their own, such as the one that appends, would else see the time outside.
        let _entered = self.runtime.enter();
        Instant::now().duration_since(self.begin)
    }

    /// Waits until `elapsed` says this.
    pub(crate) async fn reach(&self, elapsed: Duration) {
        tokio::time::sleep_until(self.begin + elapsed).await;
    }

    /// Waits.
    pub(crate) async fn pass(&self, duration: Duration) {
        tokio::time::sleep_until(Instant::now() + duration).await;
    }
}

/// A domain's clock.
#[derive(Debug)]
pub(crate) struct SkewedClock {
    time: Time,
    skew_ms: AtomicI64,
}

impl SkewedClock {
    /// A clock that is wrong by `skew_ms`.
    pub(crate) fn new(time: &Time, skew_ms: i64) -> Arc<Self> {
        Arc::new(Self { time: time.clone(), skew_ms: AtomicI64::new(skew_ms) })
    }

    /// Sets it anew, back too.
    pub(crate) fn set_skew(&self, skew_ms: i64) {
        self.skew_ms.store(skew_ms, Ordering::SeqCst);
    }
}

impl Clock for SkewedClock {
    fn now_ms(&self) -> u64 {
        let true_ms = BEGIN_MS + self.time.elapsed().as_millis() as u64;
        true_ms.saturating_add_signed(self.skew_ms.load(Ordering::SeqCst))
    }
}
