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

/// A boxed future: these ports are called rarely enough for an allocation each.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn std::future::Future<Output = T> + Send + 'a>>;

/// An answer of another domain.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Seconds to wait, from `Retry-After`.
    pub retry_after_s: Option<u64>,
    /// The body, decompressed and within the caller's cap.
    pub body: Vec<u8>,
}

/// Why another domain gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The name leads to an address that must not be reached.
    #[error("its name leads to an address that must not be reached: {0}")]
    Forbidden(String),
    /// It cannot be reached, or broke off.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// It took too long.
    #[error("it took too long")]
    Timeout,
    /// The answer is larger than the cap.
    #[error("its answer is larger than {0} bytes")]
    TooLarge(usize),
}

/// How a domain speaks with others: the one guarded way out.
pub trait Transport: Send + Sync + 'static {
    /// `GET` of a public resource.
    fn get<'a>(&'a self, domain: &'a crate::address::Domain, path: &'a str) -> BoxFuture<'a, Result<Answer, TransportError>>;

    /// `POST` of JSON, signed by this domain.
    fn post<'a>(
        &'a self,
        domain: &'a crate::address::Domain,
        path: &'a str,
        body: Vec<u8>,
    ) -> BoxFuture<'a, Result<Answer, TransportError>>;
}
