//! Token buckets: how fast an address block or a domain may go.

use crate::error::{NodeError, Result};
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use mesh_proto::address::Domain;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;

/// Rates, per second with a burst of ten seconds' worth.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Writes and registrations from one address block.
    pub writes: NonZeroU32,
    /// Records delivered by one domain.
    pub deliveries: NonZeroU32,
}

impl Default for Rates {
    fn default() -> Self {
        let rate = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        Self { writes: rate(50), deliveries: rate(5_000) }
    }
}

/// Keys that are remembered before idle ones are forgotten.
const KEYS_KEPT: usize = 50_000;

/// The buckets.
pub struct Buckets {
    writes: DefaultKeyedRateLimiter<IpAddr>,
    deliveries: DefaultKeyedRateLimiter<Domain>,
    deliveries_burst: NonZeroU32,
}

impl Buckets {
    pub(crate) fn new(rates: Rates) -> Self {
        let burst = |rate: NonZeroU32| rate.saturating_mul(NonZeroU32::new(10).unwrap_or(NonZeroU32::MIN));
        let quota = |rate: NonZeroU32| Quota::per_second(rate).allow_burst(burst(rate));
        let (writes, deliveries) = (RateLimiter::keyed(quota(rates.writes)), RateLimiter::keyed(quota(rates.deliveries)));
        Self { writes, deliveries, deliveries_burst: burst(rates.deliveries) }
    }

    /// Takes a token for a write from `address`. Loopback is the operator's own machine or a proxy that limits for itself.
    pub fn write(&self, address: IpAddr) -> Result<()> {
        if address.is_loopback() {
            return Ok(());
        }
        take(&self.writes, &block(address), NonZeroU32::MIN)
    }

    /// Takes tokens for `records` delivered by a domain.
    pub fn delivery(&self, domain: &Domain, records: usize) -> Result<()> {
        // More than a burst would never pass, however long its sender waited.
        let records = u32::try_from(records).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN).min(self.deliveries_burst);
        take(&self.deliveries, domain, records)
    }
}

fn take<K: std::hash::Hash + Eq + Clone>(limiter: &DefaultKeyedRateLimiter<K>, key: &K, tokens: NonZeroU32) -> Result<()> {
    if limiter.len() > KEYS_KEPT {
        limiter.retain_recent();
    }
    match limiter.check_key_n(key, tokens) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(not_until)) => {
            Err(NodeError::SlowDown { retry_after_s: not_until.wait_time_from(DefaultClock::default().now()).as_secs() + 1 })
        }
        Err(_) => Err(NodeError::SlowDown { retry_after_s: 60 }),
    }
}

/// The block that one subscriber usually has: an IPv4 /24, an IPv6 /48.
fn block(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            IpAddr::from([a, b, c, 0])
        }
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => block(IpAddr::V4(v4)),
            None => {
                let [a, b, c, ..] = v6.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets() -> Buckets {
        Buckets::new(Rates { writes: NonZeroU32::MIN, deliveries: NonZeroU32::MIN })
    }

    fn writes_until_refused(buckets: &Buckets, from: &str) -> usize {
        (0..100).take_while(|_| buckets.write(from.parse().expect("an address")).is_ok()).count()
    }

    #[test]
    fn neighbours_share_a_bucket_and_strangers_do_not() {
        let buckets = buckets();
        assert_eq!(writes_until_refused(&buckets, "9.9.9.9"), 10);
        assert_eq!(writes_until_refused(&buckets, "9.9.9.250"), 0);
        assert_eq!(writes_until_refused(&buckets, "::ffff:9.9.9.1"), 0);
        assert_eq!(writes_until_refused(&buckets, "9.9.8.9"), 10);
        assert_eq!(writes_until_refused(&buckets, "2606:4700:0:1::1"), 10);
        assert_eq!(writes_until_refused(&buckets, "2606:4700:0:2::1"), 0);
    }

    #[test]
    fn largest_delivery_passes_even_where_little_is_allowed() {
        let (buckets, domain) = (buckets(), "peer.example".parse().expect("a domain"));
        assert!(buckets.delivery(&domain, 100).is_ok());
        assert!(matches!(buckets.delivery(&domain, 100), Err(NodeError::SlowDown { retry_after_s: 1..=11 })));
    }
}
