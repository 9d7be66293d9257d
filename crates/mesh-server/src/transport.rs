//! The one way out to other domains: guarded, pinned, capped, signed.
//!
//! Names are resolved here, every address is checked, and the connection goes to exactly those addresses: a second look-up cannot rebind. Redirects and
//! proxies are off. A domain under `localhost` reaches only its like, by rule, and no other domain reaches them.

pub mod signing;

use self::signing::Signer;
use crate::body::coding::{Undecodable, decompress};
use bytes::Bytes;
use futures_util::StreamExt;
use mesh_proto::address::Domain;
use mesh_proto::guard::is_public;
use mesh_proto::key::SecretKey;
use mesh_proto::port::{Answer, BoxFuture, Clock, Rng, Transport, TransportError};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Time to connect, and for a whole exchange.
const WAITS: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(30));
/// Largest answers that are read, bytes, each before and after decompression. Strangers can make us `GET`: one record, a key log, or what a domain says of itself. We `POST` of our own will.
const GET_BYTES_MAX: usize = 4 * 1024 * 1024;
const POST_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Largest answers to what is sent to others and asks for little: results, a signed nonce, a head. Many are under way at once.
const SENT_BYTES_MAX: usize = 1024 * 1024;
/// Where those come from.
const SENT_TO: &[&str] = &["/mesh/v1/deliveries", "/mesh/v1/challenges", "/mesh/v1/keys", "/mesh/v1/rulings"];

/// Whether the way leads inside or outside; there is no switch, the own domain decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Domains under `localhost`, on loopback.
    Localhost,
    /// The public internet.
    Internet,
}

/// Asks for the addresses of a name: the system's resolver, or what a test says.
type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

fn system_lookup() -> Lookup {
    Arc::new(|host| Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.collect()) }))
}

/// The only thing that turns names into addresses. Every new connection asks anew, and goes to nothing but what was checked here.
#[derive(Clone)]
struct Resolver {
    reach: Reach,
    lookup: Lookup,
}

impl Resolver {
    async fn addresses(self, host: String) -> Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
        if self.reach == Reach::Localhost {
            return Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))]);
        }
        let addresses = (self.lookup)(host.clone()).await?;
        if let Some(inside) = addresses.iter().find(|address| !is_public(address.ip())) {
            // Which one is nobody's business out there: names inside could be asked for.
            tracing::debug!(peer.domain = %host, peer.address = %inside.ip(), "transport.forbidden");
            return Err(format!("{FORBIDDEN}{host} leads to an address that is not on the public internet").into());
        }
        Ok(addresses)
    }
}

/// Marks the resolver's refusal among the client's errors.
const FORBIDDEN: &str = "forbidden: ";

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let this = self.clone();
        let host = name.as_str().to_owned();
        Box::pin(async move { Ok(Box::new(this.addresses(host).await?.into_iter()) as Addrs) })
    }
}

/// How a domain reaches others.
pub(crate) struct Http {
    client: reqwest::Client,
    reach: Reach,
    signer: Signer,
}

impl Http {
    /// The way out of `domain`, whose requests `key` signs.
    pub(crate) fn new(domain: Domain, key: SecretKey, clock: Arc<dyn Clock>, rng: Arc<dyn Rng>) -> Result<Self, reqwest::Error> {
        Self::over(system_lookup(), domain, key, (clock, rng))
    }

    fn over(lookup: Lookup, domain: Domain, key: SecretKey, (clock, rng): (Arc<dyn Clock>, Arc<dyn Rng>)) -> Result<Self, reqwest::Error> {
        let reach = if domain.is_local() { Reach::Localhost } else { Reach::Internet };
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .dns_resolver(Arc::new(Resolver { reach, lookup }))
            .connect_timeout(WAITS.0)
            .timeout(WAITS.1)
            .tcp_nodelay(true)
            .pool_max_idle_per_host(8)
            .user_agent(crate::SOFTWARE)
            .build()?;
        Ok(Self { client, reach, signer: Signer::new(domain, key, clock, rng) })
    }

    /// A local domain speaks with local ones only, and nobody else speaks with them.
    fn check(&self, domain: &Domain) -> Result<(), TransportError> {
        if domain.is_local() == (self.reach == Reach::Localhost) {
            return Ok(());
        }
        Err(TransportError::Forbidden(format!("{} and {domain} are not on the same network", self.signer.domain())))
    }

    async fn exchange(&self, request: reqwest::RequestBuilder, bytes_max: usize) -> Result<Answer, TransportError> {
        let response = request.send().await.map_err(|error| failure(&error))?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
        let coding = response.headers().get("content-encoding").map(|value| value.as_bytes().to_vec());
        let mut body = Vec::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk: Bytes = chunk.map_err(|error| failure(&error))?;
            if body.len() + chunk.len() > bytes_max {
                return Err(TransportError::TooLarge(bytes_max));
            }
            body.extend_from_slice(&chunk);
        }
        let body = match coding.as_deref() {
            None | Some(b"identity") => body,
            Some(b"zstd") => decompress(&body, bytes_max).map_err(|error| match error {
                Undecodable::TooLarge => TransportError::TooLarge(bytes_max),
                Undecodable::Malformed => TransportError::Unreachable("its answer is not good zstd".into()),
            })?,
            Some(_) => return Err(TransportError::Unreachable("its answer is in a coding that was not asked for".into())),
        };
        Ok(Answer { status, retry_after_s: retry_after, body })
    }

    fn signed(&self, domain: &Domain, path: &str, body: Vec<u8>) -> Result<reqwest::RequestBuilder, TransportError> {
        let signed = self.signer.sign(domain, path, body).map_err(|error| TransportError::Unreachable(error.to_string()))?;
        let mut request = self.client.post(format!("{}{path}", domain.base_url())).header("accept-encoding", "zstd");
        for (name, value) in signed.headers {
            request = request.header(name, value);
        }
        Ok(request.body(signed.body))
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
    if text.contains(FORBIDDEN) { TransportError::Forbidden(text) } else { TransportError::Unreachable(text) }
}

impl Transport for Http {
    fn get<'a>(&'a self, domain: &'a Domain, path: &'a str) -> BoxFuture<'a, Result<Answer, TransportError>> {
        Box::pin(async move {
            self.check(domain)?;
            self.exchange(self.client.get(format!("{}{path}", domain.base_url())), GET_BYTES_MAX).await
        })
    }

    fn post<'a>(&'a self, domain: &'a Domain, path: &'a str, body: Vec<u8>) -> BoxFuture<'a, Result<Answer, TransportError>> {
        Box::pin(async move {
            self.check(domain)?;
            let bytes_max = if SENT_TO.contains(&path) { SENT_BYTES_MAX } else { POST_BYTES_MAX };
            self.exchange(self.signed(domain, path, body)?, bytes_max).await
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::{SystemClock, SystemRng};
    use std::net::IpAddr;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// A resolver's answers, one after the other and the last for ever, and how often it was asked.
    fn lookup(answers: Vec<Vec<IpAddr>>) -> (Lookup, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let lookup = move |_| -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
            let turn = counted.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1);
            let answer = answers[turn].iter().map(|ip| SocketAddr::from((*ip, 0))).collect();
            Box::pin(std::future::ready(Ok(answer)))
        };
        (Arc::new(lookup), asked)
    }

    /// A server of `domain` for which all names lead to `answers`.
    fn server(domain: &str, answers: Vec<Vec<IpAddr>>) -> (Http, Arc<AtomicUsize>) {
        let (lookup, asked) = lookup(answers);
        let ports: (Arc<dyn Clock>, Arc<dyn Rng>) = (Arc::new(SystemClock), Arc::new(SystemRng));
        let domain = domain.parse().expect("a domain");
        (Http::over(lookup, domain, SecretKey::from_seed(&[1; 32]), ports).expect("a client"), asked)
    }

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().expect("an address")).collect()
    }

    async fn get(from: &Http, domain: &str) -> TransportError {
        from.get(&domain.parse().expect("a domain"), "/").await.expect_err("nothing is there")
    }

    #[tokio::test]
    async fn names_that_lead_inside_are_never_connected_to() {
        for inside in
            ["127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "::1", "fd00::1", "fe80::1", "::ffff:10.0.0.1", "64:ff9b::a00:1"]
        {
            let (one, _) = server("one.example", vec![ips(&[inside])]);
            let TransportError::Forbidden(words) = get(&one, "evil.example").await else { panic!("{inside} was tried") };
            assert!(!words.contains(inside), "the address inside is told: {words}");
            // One good address beside it does not help.
            let (one, _) = server("one.example", vec![ips(&["9.9.9.9", inside])]);
            assert!(matches!(get(&one, "evil.example").await, TransportError::Forbidden(_)), "{inside}");
        }
    }

    #[tokio::test]
    async fn name_that_leads_inside_the_second_time_is_refused_the_second_time() {
        let (lookup, _) = lookup(vec![ips(&["9.9.9.9"]), ips(&["127.0.0.1"])]);
        let resolver = Resolver { reach: Reach::Internet, lookup };
        let first = resolver.clone().addresses("evil.example".into()).await.expect("a public address");
        assert_eq!(first, [SocketAddr::from(([9, 9, 9, 9], 0))]);
        assert!(resolver.addresses("evil.example".into()).await.is_err());
    }

    #[tokio::test]
    async fn name_is_looked_up_once_for_a_connection() {
        let (one, asked) = server("one.example", vec![ips(&["127.0.0.1"]), ips(&["9.9.9.9"])]);
        assert!(matches!(get(&one, "evil.example").await, TransportError::Forbidden(_)));
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    /// A clock that stands still moves on only when everybody waits: then the drops come, one a second, and the bound before the end.
    #[tokio::test(start_paused = true)]
    async fn answer_that_comes_drop_by_drop_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let dripping = tokio::spawn(async move {
            let (mut peer, _) = listener.accept().await.expect("it comes");
            peer.read_u8().await.expect("it asks");
            peer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").await.expect("it reads");
            while peer.write_all(b" ").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let (one, _) = server("one.localhost:8001", vec![vec![]]);
        assert_eq!(get(&one, &format!("peer.localhost:{port}")).await, TransportError::Timeout);
        dripping.abort();
    }

    /// As above: time passes only while everybody waits.
    #[tokio::test(start_paused = true)]
    async fn answer_that_never_comes_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let silent = tokio::spawn(async move {
            let (mut peer, _) = listener.accept().await.expect("it comes");
            let mut asked = Vec::new();
            // Reads until the other side goes away, and says nothing.
            peer.read_to_end(&mut asked).await.expect("it asks");
        });
        let (one, _) = server("one.localhost:8001", vec![vec![]]);
        assert_eq!(get(&one, &format!("peer.localhost:{port}")).await, TransportError::Timeout);
        silent.await.expect("the connection is closed");
    }

    /// What comes of a question that is answered with this body, coded like that.
    async fn answered(coding: &str, body: Vec<u8>) -> Result<Answer, TransportError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\ncontent-length: {}\r\n\r\n", body.len());
        let peer = tokio::spawn(async move {
            let (mut peer, _) = listener.accept().await.expect("it comes");
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n{}") {
                assert_ne!(peer.read_buf(&mut asked).await.expect("it asks"), 0, "{}", String::from_utf8_lossy(&asked));
            }
            peer.write_all(&[head.as_bytes(), &body].concat()).await.expect("it reads");
            String::from_utf8_lossy(&asked).into_owned()
        });
        let (one, _) = server("one.localhost:8001", vec![vec![]]);
        let domain = format!("peer.localhost:{port}").parse().expect("a domain");
        let outcome = one.post(&domain, "/mesh/v1/deliveries:pull", b"{}".to_vec()).await;
        assert!(peer.await.expect("it is asked").contains("accept-encoding: zstd\r\n"));
        outcome
    }

    #[tokio::test]
    async fn compressed_answer_is_read_up_to_the_bound_of_what_it_becomes() {
        let zeros = |count: usize| zstd::bulk::compress(&vec![0; count], 1).expect("compresses");
        assert_eq!(answered("zstd", zeros(POST_BYTES_MAX)).await.expect("fits").body.len(), POST_BYTES_MAX);
        let bomb = zeros(POST_BYTES_MAX + 1);
        assert!(bomb.len() < POST_BYTES_MAX / 1000, "{}", bomb.len());
        assert_eq!(answered("zstd", bomb).await.expect_err("a bomb"), TransportError::TooLarge(POST_BYTES_MAX));
        for (coding, body) in [("zstd", b"{}".to_vec()), ("gzip", zeros(10)), ("zstd, zstd", zeros(10))] {
            assert!(matches!(answered(coding, body).await, Err(TransportError::Unreachable(_))), "{coding}");
        }
    }

    #[tokio::test]
    async fn local_and_other_domains_never_reach_each_other() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let (public, asked) = server("one.example", vec![ips(&["127.0.0.1"])]);
        assert!(matches!(get(&public, &format!("two.localhost:{port}")).await, TransportError::Forbidden(_)));
        assert!(matches!(get(&public, "localhost").await, TransportError::Forbidden(_)));
        let (local, asked_locally) = server("one.localhost:8001", vec![ips(&["9.9.9.9"])]);
        assert!(matches!(get(&local, "mesh.example").await, TransportError::Forbidden(_)));
        assert_eq!((asked.load(Ordering::Relaxed), asked_locally.load(Ordering::Relaxed)), (0, 0), "no name was even looked up");
        let nobody = tokio::time::timeout(Duration::ZERO, listener.accept()).await;
        assert!(nobody.is_err(), "no connection was made");
    }
}
