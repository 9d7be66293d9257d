//! The native transport: its resolver, its time limits, the server's clock.

use crate::limits::{CONNECT_TIME_MAX, SILENCE_MAX};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{DATE, HeaderMap};
use reqwest::redirect::Policy;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// `localhost` and every name under it is loopback by rule (RFC 6761 §6.3), whatever the system's resolver thinks; other names are not
/// for this resolver.
struct Loopback;

impl Resolve for Loopback {
    fn resolve(&self, name: Name) -> Resolving {
        let is_local = name.as_str() == "localhost" || name.as_str().ends_with(".localhost");
        Box::pin(async move {
            if !is_local {
                return Err("only names under localhost are spoken to over plain HTTP".into());
            }
            let addresses: Addrs = Box::new(std::iter::once(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))));
            Ok(addresses)
        })
    }
}

/// The client for local domains and the client for all others.
pub(super) fn clients() -> reqwest::Result<(reqwest::Client, reqwest::Client)> {
    let builder = || {
        reqwest::Client::builder()
            .user_agent(concat!("mesh/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIME_MAX)
            .read_timeout(SILENCE_MAX)
    };
    let local = builder().no_proxy().dns_resolver(Arc::new(Loopback)).build()?;
    let public = builder().https_only(true).build()?;
    Ok((local, public))
}

/// The server's time, milliseconds since the epoch.
pub(super) fn date_ms(headers: &HeaderMap) -> Option<u64> {
    let date = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    u64::try_from(date.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}
