//! What a server can be made to fetch: nothing but what its own name allows, once, without following, within bounds.

use crate::boundary::{Wire, refused};
use crate::federation::{like, post, subscribe};
use crate::network::{Home, Reply};
use crate::peer::Peer;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use mesh_proto::envelope::RecordId;
use mesh_proto::key::SecretKey;
use mesh_testkit::TestAccount;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A domain that counts who comes and answers everybody the same.
struct Trap {
    domain: String,
    hits: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Drop for Trap {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Trap {
    async fn start(answer: impl Fn() -> Response + Clone + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let domain = format!("trap.localhost:{}", listener.local_addr().expect("bound").port());
        let hits = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&hits);
        let router = axum::Router::new().fallback(move || {
            counted.fetch_add(1, Ordering::SeqCst);
            let answer = answer.clone();
            async move { answer() }
        });
        let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") });
        Self { domain, hits, task }
    }

    fn hits(&self) -> u64 {
        self.hits.load(Ordering::SeqCst)
    }

    fn person(&self, number: u8) -> TestAccount {
        TestAccount::new(&format!("neo@{}", self.domain), number)
    }
}

fn some_id() -> RecordId {
    RecordId::from_hash([7; 32])
}

async fn resolve(one: &Home, home: &str) -> Reply {
    one.get(&format!("/api/v1/resolve?uri=mesh://neo@{home}/{}", some_id())).await
}

/// A delivery signed in the name of `domain` by a key that nobody knows.
async fn knock(one: &Home, domain: &str, number: u8) -> Reply {
    let key = SecretKey::from_seed(&[number; 32]);
    one.signed("POST", "/mesh/v1/deliveries", b"{}".to_vec(), (&format!("{domain}/{}", key.id()), &key)).await
}

/// Every way in which somebody can name a domain that the server might fetch from.
async fn refused_every_way(one: &Home, member: &TestAccount, home: &TestAccount, case: &str) {
    let domain = home.address().domain().to_string();
    refused(&resolve(one, &domain).await, 502, "remote", case);
    refused(&knock(one, &domain, 99).await, 502, "remote", case);
    refused(&one.submit(&member.sign(subscribe(home.account_ref()))).await, 502, "remote", case);
}

#[tokio::test]
async fn public_domain_reaches_nothing_under_localhost() {
    let one = Home::start_as(|_| "one.example".into(), |_| ()).await;
    let trap = Trap::start(|| StatusCode::OK.into_response()).await;
    let (ada, neo) = (one.person("ada", 1).await, trap.person(2));
    refused_every_way(&one, &ada, &neo, "localhost").await;
    let liked = ada.sign(like(neo.object(&neo.sign(post("never")))));
    refused(&one.submit(&liked).await, 502, "remote", "a like of what lies there");
    refused(&resolve(&one, &trap.domain).await, 502, "remote", "again");
    refused(&resolve(&one, "localhost").await, 502, "remote", "localhost itself");
    assert_eq!(trap.hits(), 0);
}

#[tokio::test]
async fn domain_under_localhost_reaches_nothing_else() {
    let one = Home::start("one").await;
    let ada = one.person("ada", 1).await;
    let neo = TestAccount::new("neo@mesh.example", 2);
    refused_every_way(&one, &ada, &neo, "the internet").await;
}

#[tokio::test]
async fn addresses_in_place_of_names_are_no_domains() {
    for one in [Home::start("one").await, Home::start_as(|_| "one.example".into(), |_| ()).await] {
        for host in [
            "127.0.0.1",
            "127.1",
            "0x7f.0.0.1",
            "0x7f000001",
            "2130706433",
            "017700000001",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "::1",
            "0",
            "0.0.0.0",
            "169.254.169.254",
            "localhost.",
            "LOCALHOST",
            "localhost:0",
            "localhost:80",
            "localhost:65536",
            "mesh.example:443",
            "mesh.example:8080",
            "%6cocalhost",
            "loc%61lhost:1",
            "127.0.0.1.",
            "a@b",
            "mesh.example%2f..",
            "mesh.example%23",
            "mesh.example%3f",
            "%E2%91%A0%E2%91%A1%E2%91%A6.example",
            "xn--127-.example",
            "mesh..example",
            "mesh_example.org",
            "1.2.3.4.5",
            "example.1",
            "a%00.example",
        ] {
            // What is encoded in the query is decoded once: an encoded letter is that letter.
            let allowed = ["%6cocalhost", "loc%61lhost:1"].contains(&host);
            let reply = resolve(&one, host).await;
            if allowed {
                refused(&reply, 502, "remote", host);
            } else {
                refused(&reply, 400, "malformed", host);
            }
            if !host.contains('%') {
                refused(&knock(&one, host, 99).await, 401, "unauthenticated", host);
            }
        }
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let one = Home::start("one").await;
    let ada = one.person("ada", 1).await;
    let goal = Trap::start(|| "secret".into_response()).await;
    let to = format!("http://127.0.0.1:{}/", goal.domain.rsplit_once(':').expect("a port").1);
    for status in [301, 302, 303, 307, 308] {
        let to = to.clone();
        let status = StatusCode::from_u16(status).expect("a status");
        let trap = Trap::start(move || (status, [(header::LOCATION, to.clone())]).into_response()).await;
        refused_every_way(&one, &ada, &trap.person(2), &status.to_string()).await;
        assert!(trap.hits() >= 3, "{status}: {}", trap.hits());
    }
    assert_eq!(goal.hits(), 0);
}

#[tokio::test]
async fn endless_and_nonsensical_answers_are_bounded_and_refused() {
    let one = Home::start("one").await;
    let ada = one.person("ada", 1).await;
    let sent = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sent);
    let endless = Trap::start(move || {
        let counted = Arc::clone(&counted);
        let chunks = std::iter::repeat_with(move || {
            counted.fetch_add(65_536, Ordering::SeqCst);
            Ok::<_, std::io::Error>(vec![b'['; 65_536])
        });
        Body::from_stream(futures_util::stream::iter(chunks)).into_response()
    })
    .await;
    refused_every_way(&one, &ada, &endless.person(2), "endless").await;
    assert!(sent.load(Ordering::SeqCst) < 3 * 32 * 1024 * 1024, "the server reads on: {sent:?}");
    for nonsense in ["", "null", "{}", "[]", "<html>", "{\"versions\":[1]}"] {
        let trap = Trap::start(move || nonsense.into_response()).await;
        refused_every_way(&one, &ada, &trap.person(2), nonsense).await;
    }
    let deep = Trap::start(|| "[".repeat(100_000).into_response()).await;
    refused_every_way(&one, &ada, &deep.person(2), "deep").await;
}

#[tokio::test]
async fn stranger_makes_the_server_ask_a_domain_once_however_often_he_knocks() {
    let one = Home::start("one").await;
    let trap = Trap::start(|| StatusCode::NOT_FOUND.into_response()).await;
    let domain = trap.domain.as_str();
    let knocks = (0..30u8).map(|number| knock(&one, domain, number));
    for reply in futures_util::future::join_all(knocks).await {
        refused(&reply, 502, "remote", "a knock");
    }
    assert_eq!(trap.hits(), 1);
}

#[tokio::test]
async fn domain_that_says_it_is_another_is_not_believed() {
    let (one, peer) = (Home::start("one").await, Peer::start("peer", 40).await);
    let discovery = peer_discovery(&peer).await;
    let impostor = Trap::start(move || discovery.clone().into_response()).await;
    refused(&knock(&one, &impostor.domain, 40).await, 502, "remote", "another's discovery");
    // The honest one is not harmed by it.
    let keyid = format!("{}/{}", peer.domain, peer.key.id());
    refused(&one.signed("POST", "/mesh/v1/deliveries", b"{}".to_vec(), (&keyid, &peer.key)).await, 400, "malformed", "the honest one");
}

async fn peer_discovery(peer: &Peer) -> Vec<u8> {
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let port = peer.domain.rsplit_once(':').expect("a port").1;
    let answer = http.get(format!("http://127.0.0.1:{port}/.well-known/mesh")).send().await.expect("an answer");
    answer.bytes().await.expect("a body").to_vec()
}

#[tokio::test]
async fn link_to_one_account_never_shows_another() {
    let (one, two) = (Home::start("one").await, Home::start("two").await);
    let (ada, eve) = (two.person("ada", 1).await, two.person("eve", 2).await);
    let said = two.says(&eve, post("said by eve")).await;
    let link = |who: &TestAccount| format!("/api/v1/resolve?uri=mesh://{}/{}?home={}", who.id(), said.id(), two.domain);
    assert_eq!(one.get(&link(&eve)).await.status, 200);
    refused(&one.get(&link(&ada)).await, 502, "remote", "eve's words under ada's name");
}

#[tokio::test]
async fn stranger_who_goes_away_while_the_server_asks_keeps_nobody_out() {
    let (one, peer) = (Home::start("one").await, Peer::start("peer", 40).await);
    let key = SecretKey::from_seed(&[99; 32]);
    let headers = one.sign("POST", "/mesh/v1/deliveries", b"{}", (&format!("{}/{}", peer.domain, key.id()), &key));
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    for _ in 0..10 {
        let mut wire = Wire::open(&one).await;
        wire.write(format!("POST /mesh/v1/deliveries HTTP/1.1\r\nHost: one.localhost\r\nContent-Length: 2\r\n{headers}\r\n{{}}")).await;
    }
    let keyid = format!("{}/{}", peer.domain, peer.key.id());
    refused(&one.signed("POST", "/mesh/v1/deliveries", b"{}".to_vec(), (&keyid, &peer.key)).await, 400, "malformed", "the honest one");
}
