//! The ports through which the protocol meets the world: real in a server, simulated and seeded in tests.

/// Wall-clock time. Servers use the system's, tests a clock that they turn.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> u64;
}

/// Unpredictable bytes. Servers use the operating system's, tests a seeded generator.
pub trait Rng: Send + Sync + 'static {
    /// Fills `out` with random bytes.
    fn fill(&self, out: &mut [u8]);
}

/// `N` random bytes.
pub fn random<const N: usize>(rng: &dyn Rng) -> [u8; N] {
    let mut out = [0; N];
    rng.fill(&mut out);
    out
}
