//! Request signatures that are not quite right, each off by one thing.

use super::{Wire, refused};
use crate::federation::{like, post};
use crate::network::{Home, Reply, now_ms};
use crate::peer::Peer;
use futures_util::future::join_all;
use mesh_proto::bytes::base64url;
use mesh_proto::http_signature::ContentDigest;
use mesh_proto::key::SecretKey;
use mesh_proto::keylog::Action;
use mesh_testkit::TestAccount;
use std::sync::atomic::{AtomicU64, Ordering};

const FEED: &str = "/api/v1/feed";
const COVERED: &str = r#"("@method" "@target-uri" "content-digest")"#;

static NONCE: AtomicU64 = AtomicU64::new(0);

/// A request as its sender signs it, by hand: every part can be wrong by itself.
#[derive(Clone)]
struct Signed {
    method: String,
    target: String,
    digest: String,
    label: String,
    covered: String,
    created: u64,
    expires: u64,
    nonce: String,
    keyid: String,
    tail: String,
    key: SecretKey,
}

impl Signed {
    /// A good one, for the feed.
    fn good(home: &Home, person: &TestAccount) -> Self {
        let now = now_ms() / 1000;
        Self {
            method: "GET".into(),
            target: format!("http://{}{FEED}", home.domain),
            digest: ContentDigest::of(b"").to_string(),
            label: "mesh".into(),
            covered: COVERED.into(),
            created: now,
            expires: now + 30,
            nonce: format!("by-hand-{:016}", NONCE.fetch_add(1, Ordering::Relaxed)),
            keyid: format!("{}/{}", person.id(), person.device.id()),
            tail: r#";tag="mesh""#.into(),
            key: person.device.clone(),
        }
    }

    fn headers(&self) -> Vec<(&'static str, String)> {
        let Self { covered, created, expires, nonce, keyid, tail, label, .. } = self;
        let params = format!(r#"{covered};created={created};expires={expires};nonce="{nonce}";keyid="{keyid}"{tail}"#);
        let (method, target, digest) = (&self.method, &self.target, &self.digest);
        let base =
            format!("\"@method\": {method}\n\"@target-uri\": {target}\n\"content-digest\": {digest}\n\"@signature-params\": {params}");
        let signature = base64(&self.key.sign(base.as_bytes()).0);
        vec![
            ("content-digest", self.digest.clone()),
            ("signature-input", format!("{label}={params}")),
            ("signature", format!("{label}=:{signature}:")),
        ]
    }
}

/// What is wrong with a request.
type Change<'a> = Box<dyn Fn(&mut Signed) + 'a>;

fn base64(bytes: &[u8]) -> String {
    let text = base64url(bytes).replace('-', "+").replace('_', "/");
    format!("{text}{}", "=".repeat((4 - text.len() % 4) % 4))
}

async fn send(home: &Home, path: &str, headers: &[(&'static str, String)]) -> Reply {
    let mut request = home.http.get(format!("http://127.0.0.1:{}{path}", home.port));
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let response = request.send().await.expect("an answer");
    Reply { status: response.status().as_u16(), body: response.bytes().await.expect("a body").to_vec() }
}

#[tokio::test]
async fn signature_that_is_off_by_one_thing_is_refused() {
    let one = Home::start("one").await;
    let (ada, eve) = (one.person("ada", 1).await, one.person("eve", 2).await);
    let good = Signed::good(&one, &ada);
    assert_eq!(send(&one, FEED, &good.headers()).await.status, 200, "the one made by hand is good");
    let now = good.created;
    let (domain, device) = (&one.domain, ada.device.id());
    let cases: Vec<(&str, Change<'_>)> = vec![
        ("no tag", Box::new(|s| s.tail.clear())),
        ("another tag", Box::new(|s| s.tail = r#";tag="http""#.into())),
        ("tag as a token", Box::new(|s| s.tail = ";tag=mesh".into())),
        ("tag twice", Box::new(|s| s.tail.push_str(r#";tag="mesh""#))),
        ("alg", Box::new(|s| s.tail.push_str(r#";alg="ed25519""#))),
        ("an unknown parameter", Box::new(|s| s.tail.push_str(";x"))),
        ("another label", Box::new(|s| s.label = "sig1".into())),
        ("covers too little", Box::new(|s| s.covered = r#"("@method" "@target-uri")"#.into())),
        ("covers in another order", Box::new(|s| s.covered = r#"("@target-uri" "@method" "content-digest")"#.into())),
        ("covers more", Box::new(|s| s.covered = COVERED.replace(')', r#" "host")"#))),
        ("not canonical", Box::new(|s| s.covered = COVERED.replace(" ", "  "))),
        ("expired", Box::new(|s| (s.created, s.expires) = (now - 40, now - 10))),
        ("made before the start", Box::new(|s| (s.created, s.expires) = (now - 30, now + 20))),
        ("made in the future", Box::new(|s| (s.created, s.expires) = (now + 60, now + 90))),
        ("made in the far future", Box::new(|s| (s.created, s.expires) = (999_999_999_999, 999_999_999_999))),
        ("lives too long", Box::new(|s| s.expires = now + 61)),
        ("ends before it starts", Box::new(|s| s.expires = now - 1)),
        ("times beyond the type", Box::new(|s| s.tail.insert_str(0, ";created=99999999999999999999"))),
        ("another method", Box::new(|s| s.method = "POST".into())),
        ("another path", Box::new(|s| s.target = format!("http://{domain}/api/v1/notifications"))),
        ("another query", Box::new(|s| s.target.push_str("?limit=1"))),
        ("another host", Box::new(|s| s.target = format!("http://evil.localhost:1{FEED}"))),
        ("another scheme", Box::new(|s| s.target = format!("https://{domain}{FEED}"))),
        ("a host in upper case", Box::new(|s| s.target = format!("http://{}{FEED}", domain.to_uppercase()))),
        ("another body", Box::new(|s| s.digest = ContentDigest::of(b"{}").to_string())),
        ("another digest", Box::new(|s| s.digest = s.digest.replace("sha-256", "sha-512"))),
        ("two digests", Box::new(|s| s.digest = format!("{0}, {0}", s.digest))),
        ("another account", Box::new(|s| s.keyid = format!("{}/{device}", eve.id()))),
        ("another key", Box::new(|s| s.key = eve.device.clone())),
        ("the root key", Box::new(|s| (s.keyid, s.key) = (format!("{}/{}", ada.id(), ada.root.id()), ada.root.clone()))),
        ("an unknown account", Box::new(|s| s.keyid = format!("{}/{device}", ada.keys.head().to_string().replace('a', "b")))),
        ("a user name", Box::new(|s| s.keyid = format!("ada/{device}"))),
        ("no key", Box::new(|s| s.keyid = ada.id().to_string())),
        ("a third part", Box::new(|s| s.keyid.push_str("/x"))),
        ("an empty keyid", Box::new(|s| s.keyid.clear())),
        ("a long keyid", Box::new(|s| s.keyid = "k".repeat(301))),
        ("a very long keyid", Box::new(|s| s.keyid = "k".repeat(20_000))),
        ("a short nonce", Box::new(|s| s.nonce = "n".repeat(15))),
        ("a long nonce", Box::new(|s| s.nonce = "n".repeat(65))),
        ("a nonce of other characters", Box::new(|s| s.nonce = "n.".repeat(10))),
    ];
    for (case, change) in cases {
        let mut signed = Signed::good(&one, &ada);
        change(&mut signed);
        refused(&send(&one, FEED, &signed.headers()).await, 401, "unauthenticated", case);
    }
}

#[tokio::test]
async fn each_signature_header_stands_exactly_once() {
    let one = Home::start("one").await;
    let ada = one.person("ada", 1).await;
    for index in 0..3 {
        let mut headers = Signed::good(&one, &ada).headers();
        let (name, value) = headers.remove(index);
        refused(&send(&one, FEED, &headers).await, 401, "unauthenticated", &format!("no {name}"));
        headers.extend([(name, value.clone()), (name, value)]);
        refused(&send(&one, FEED, &headers).await, 401, "unauthenticated", &format!("{name} twice"));
    }
    let (first, second) = (Signed::good(&one, &ada).headers(), Signed::good(&one, &ada).headers());
    let mixed: Vec<_> = first.into_iter().take(2).chain(second.into_iter().skip(2)).collect();
    refused(&send(&one, FEED, &mixed).await, 401, "unauthenticated", "the signature of another request");
    for weak in ["AAAA", &base64(&[0; 64]), &base64(&[0xff; 64]), &base64(&[&[1u8][..], &[0; 63]].concat())] {
        let mut headers = Signed::good(&one, &ada).headers();
        headers[2].1 = format!("mesh=:{weak}:");
        refused(&send(&one, FEED, &headers).await, 401, "unauthenticated", weak);
    }
}

#[tokio::test]
async fn nonce_serves_one_request_of_one_key() {
    let one = Home::start("one").await;
    let (ada, eve) = (one.person("ada", 1).await, one.person("eve", 2).await);
    let first = Signed::good(&one, &ada);
    assert_eq!(send(&one, FEED, &first.headers()).await.status, 200);
    refused(&send(&one, FEED, &first.headers()).await, 401, "unauthenticated", "the same request");
    let again = Signed { expires: first.expires - 1, ..first.clone() };
    refused(&send(&one, FEED, &again.headers()).await, 401, "unauthenticated", "another request with its nonce");
    let others = Signed { nonce: first.nonce.clone(), ..Signed::good(&one, &eve) };
    assert_eq!(send(&one, FEED, &others.headers()).await.status, 200, "eve may choose the same nonce");
    // A bad signature uses up nobody's nonce.
    let theft = Signed { key: eve.device.clone(), ..Signed::good(&one, &ada) };
    refused(&send(&one, FEED, &theft.headers()).await, 401, "unauthenticated", "eve's signature");
    assert_eq!(send(&one, FEED, &Signed { key: ada.device.clone(), ..theft }.headers()).await.status, 200);
}

#[tokio::test]
async fn one_request_sent_at_once_many_times_is_answered_once() {
    let one = Home::start("one").await;
    let ada = one.person("ada", 1).await;
    let headers = Signed::good(&one, &ada).headers();
    let sent = (0..20).map(|_| send(&one, FEED, &headers));
    let mut good = 0;
    for reply in join_all(sent).await {
        good += u32::from(reply.status == 200);
    }
    assert_eq!(good, 1);
}

#[tokio::test]
async fn revoked_devices_and_people_of_other_domains_are_nobody_here() {
    let (one, mut peer) = (Home::start("one").await, Peer::start("peer", 40).await);
    let (mut ada, neo) = (one.person("ada", 1).await, peer.person("neo", 2));
    let hello = one.says(&ada, post("hello")).await;
    peer.deliver(&one, &neo, &neo.sign(like(ada.object(&hello)))).await;
    refused(&one.get_as(&neo, FEED).await, 403, "not_home", "known, but of another domain");
    let (device, root) = (ada.device.clone(), ada.root.clone());
    let revoke = ada.key_op(Action::DeviceRevoke { device: device.id(), last_good: None }, &root);
    assert_eq!(one.get_as(&ada, FEED).await.status, 200);
    assert_eq!(one.submit_key(&ada, &revoke).await.status, 200);
    for path in [FEED, "/api/v1/events", "/api/v1/notifications", "/api/v1/accounts/ada/pairings"] {
        refused(&one.get_as(&ada, path).await, 401, "unauthenticated", path);
    }
}

#[tokio::test]
async fn domains_sign_for_themselves_alone() {
    let (one, two, peer) = (Home::start("one").await, Home::start("two").await, Peer::start("peer", 40).await);
    let other = Peer::start("other", 50).await;
    let ada = one.person("ada", 1).await;
    let path = "/mesh/v1/deliveries";
    let body = b"{}".to_vec();
    let log_key = SecretKey::from_seed(&[41; 32]);
    let cases = [
        ("another domain's key", format!("{}/{}", other.domain, peer.key.id()), &peer.key),
        ("the log's key", format!("{}/{}", peer.domain, log_key.id()), &log_key),
        ("an unknown key", format!("{}/{}", peer.domain, ada.root.id()), &ada.root),
        ("our own name", format!("{}/{}", one.domain, peer.key.id()), &peer.key),
        ("a device", format!("{}/{}", ada.id(), ada.device.id()), &ada.device),
        ("a domain in upper case", format!("{}/{}", peer.domain.to_uppercase(), peer.key.id()), &peer.key),
        ("an IP address", format!("127.0.0.1/{}", peer.key.id()), &peer.key),
        ("a URL", format!("http://{}/{}", peer.domain, peer.key.id()), &peer.key),
        ("a path", format!("{}/x/{}", peer.domain, peer.key.id()), &peer.key),
        ("a user", format!("root@{}/{}", peer.domain, peer.key.id()), &peer.key),
    ];
    for (case, keyid, key) in cases {
        refused(&one.signed("POST", path, body.clone(), (&keyid, key)).await, 401, "unauthenticated", case);
    }
    let keyid = format!("{}/{}", peer.domain, peer.key.id());
    refused(&one.signed("POST", path, body.clone(), (&keyid, &peer.key)).await, 400, "malformed", "rightly signed, and no delivery");
    let for_two = two.sign("POST", path, &body, (&keyid, &peer.key));
    refused(&one.send_signed("POST", path, body.clone(), for_two).await, 401, "unauthenticated", "signed for two");
    let headers = one.sign("POST", path, &body, (&keyid, &peer.key));
    refused(&one.send_signed("POST", path, b"[]".to_vec(), headers).await, 401, "unauthenticated", "another body");
}

#[tokio::test]
async fn bodies_of_strangers_are_not_waited_for() {
    let one = Home::start("one").await;
    let head = "POST /mesh/v1/deliveries HTTP/1.1\r\nHost: one.localhost\r\nConnection: close\r\nContent-Length: 500000\r\n";
    // Nothing of the body ever comes.
    let reply = Wire::open(&one).await.write(format!("{head}\r\n")).await.answer().await;
    refused(&reply, 401, "unauthenticated", "no signature");
}
