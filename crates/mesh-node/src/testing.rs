//! A domain to test with, alone in the world.

use crate::buckets::Rates;
use crate::registration::RegistrationRules;
use crate::{Config, Kv, Ports};
use mesh_proto::address::Domain;
use mesh_proto::api::RegistrationMode;
use mesh_proto::key::SecretKey;
use mesh_proto::port::{Answer, BoxFuture, Transport, TransportError};
use mesh_testkit::{ManualClock, START_MS, SeededRng, seed};
use std::sync::Arc;

impl Config {
    /// A domain that everybody may join and that caches nothing.
    pub(crate) fn for_tests() -> Self {
        Self {
            domain: "one.example".parse().expect("a domain"),
            request_key: SecretKey::from_seed(&[1; 32]),
            log_key: SecretKey::from_seed(&[2; 32]),
            registration: RegistrationRules { mode: RegistrationMode::Open, pow_bits: 0 },
            rates: Rates::default(),
            mirrors_max: 0,
            cache_bytes_max: 0,
            accounts_bytes_max: 1 << 20,
            heads_bytes_max: 1 << 20,
            search: None,
        }
    }
}

impl Ports {
    /// Nobody answers, and the clock stands still a little after all fixtures were made.
    pub(crate) fn for_tests(kv: &Arc<dyn Kv>) -> Self {
        let clock = Arc::new(ManualClock::new(START_MS + 1_000_000));
        Self { kv: Arc::clone(kv), clock, rng: Arc::new(SeededRng::new(seed(6))), transport: Arc::new(Nobody) }
    }
}

struct Nobody;

impl Transport for Nobody {
    fn get<'a>(&'a self, _: &'a Domain, _: &'a str) -> BoxFuture<'a, Result<Answer, TransportError>> {
        Box::pin(std::future::ready(Err(TransportError::Timeout)))
    }

    fn post<'a>(&'a self, _: &'a Domain, _: &'a str, _: Vec<u8>) -> BoxFuture<'a, Result<Answer, TransportError>> {
        Box::pin(std::future::ready(Err(TransportError::Timeout)))
    }
}
