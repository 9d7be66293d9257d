//! The one way out to other domains: guarded, pinned, capped, signed.
//!
//! Names are resolved here, every address is checked, and the connection goes to exactly those addresses: a second look-up cannot rebind. Redirects and
//! proxies are off. A domain under `localhost` reaches only its like, by rule, and no other domain reaches them.

use crate::guard::is_public;
use bytes::Bytes;
use futures_util::StreamExt;
use mesh_proto::address::Domain;
use mesh_proto::http_signature::{CONTENT_DIGEST, ContentDigest, RequestParts, SIGNATURE, SIGNATURE_INPUT, SignatureInput, sign};
use mesh_proto::key::SecretKey;
use mesh_proto::port::{Answer, BoxFuture, Clock, Rng, Transport, TransportError, random};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Time to connect, and for a whole exchange.
const WAITS: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(30));
/// Largest answer that is read.
pub(crate) const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bodies from this size on are compressed.
const COMPRESS_FROM: usize = 1024;

/// Whether the way leads inside or outside; there is no switch, the own domain decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Domains under `localhost`, on loopback.
    Localhost,
    /// The public internet.
    Internet,
}

struct Resolver(Reach);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let addresses: Vec<SocketAddr> = match reach {
                Reach::Localhost => vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))],
                Reach::Internet => tokio::net::lookup_host((host.as_str(), 0)).await?.collect(),
            };
            if reach == Reach::Internet
                && let Some(inside) = addresses.iter().find(|address| !is_public(address.ip()))
            {
                return Err(format!("forbidden: {host} leads to {}", inside.ip()).into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// How a domain reaches others.
pub(crate) struct Http {
    client: reqwest::Client,
    reach: Reach,
    domain: Domain,
    key: SecretKey,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
}

impl Http {
    /// The way out of `domain`, whose requests `key` signs.
    pub(crate) fn new(domain: Domain, key: SecretKey, clock: Arc<dyn Clock>, rng: Arc<dyn Rng>) -> Result<Self, reqwest::Error> {
        let reach = if domain.is_local() { Reach::Localhost } else { Reach::Internet };
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .dns_resolver(Arc::new(Resolver(reach)))
            .connect_timeout(WAITS.0)
            .timeout(WAITS.1)
            .tcp_nodelay(true)
            .pool_max_idle_per_host(8)
            .user_agent(crate::SOFTWARE)
            .build()?;
        Ok(Self { client, reach, domain, key, clock, rng })
    }

    /// A local domain speaks with local ones only, and nobody else speaks with them.
    fn check(&self, domain: &Domain) -> Result<(), TransportError> {
        if domain.is_local() == (self.reach == Reach::Localhost) {
            return Ok(());
        }
        Err(TransportError::Forbidden(format!("{} and {domain} are not on the same network", self.domain)))
    }

    async fn exchange(&self, request: reqwest::RequestBuilder) -> Result<Answer, TransportError> {
        let response = request.send().await.map_err(|error| failure(&error))?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
        let mut body = Vec::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk: Bytes = chunk.map_err(|error| failure(&error))?;
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(TransportError::TooLarge(ANSWER_BYTES_MAX));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, retry_after_s: retry_after, body })
    }

    fn signed(&self, domain: &Domain, path: &str, body: Vec<u8>) -> Result<reqwest::RequestBuilder, TransportError> {
        let target = format!("{}{path}", domain.base_url());
        let compressed = (body.len() >= COMPRESS_FROM).then(|| zstd::bulk::compress(&body, 1).ok()).flatten();
        let is_compressed = compressed.is_some();
        let sent = compressed.unwrap_or(body);
        let unsignable = |error: mesh_proto::http_signature::SignatureError| TransportError::Unreachable(error.to_string());
        let now_s = self.clock.now_ms() / 1000;
        let nonce = mesh_proto::bytes::base64url(&random::<16>(&*self.rng));
        let keyid = format!("{}/{}", self.domain, self.key.id());
        let input = SignatureInput::new(now_s, now_s + mesh_proto::limits::SIGNATURE_LIFE_S_MAX, &nonce, &keyid).map_err(unsignable)?;
        let parts = RequestParts::new("POST", &target).map_err(unsignable)?;
        let headers = sign(parts, ContentDigest::of(&sent), &input, |base| self.key.sign(base).0);
        let mut request = self
            .client
            .post(&target)
            .header("content-type", "application/json")
            .header(CONTENT_DIGEST, headers.content_digest)
            .header(SIGNATURE_INPUT, headers.signature_input)
            .header(SIGNATURE, headers.signature);
        if is_compressed {
            request = request.header("content-encoding", "zstd");
        }
        Ok(request.body(sent))
    }
}

fn failure(error: &reqwest::Error) -> TransportError {
    if error.is_timeout() {
        return TransportError::Timeout;
    }
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    if text.contains("forbidden: ") { TransportError::Forbidden(text) } else { TransportError::Unreachable(text) }
}

impl Transport for Http {
    fn get<'a>(&'a self, domain: &'a Domain, path: &'a str) -> BoxFuture<'a, Result<Answer, TransportError>> {
        Box::pin(async move {
            self.check(domain)?;
            self.exchange(self.client.get(format!("{}{path}", domain.base_url()))).await
        })
    }

    fn post<'a>(&'a self, domain: &'a Domain, path: &'a str, body: Vec<u8>) -> BoxFuture<'a, Result<Answer, TransportError>> {
        Box::pin(async move {
            self.check(domain)?;
            self.exchange(self.signed(domain, path, body)?).await
        })
    }
}
