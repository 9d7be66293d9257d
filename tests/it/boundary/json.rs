//! JSON that parsers disagree about, or choke on.

use super::{leaves, refused};
use crate::federation::post;
use crate::network::Home;
use crate::peer::Peer;
use mesh_proto::bytes::base64url;
use mesh_proto::envelope::{Envelope, Kind};
use mesh_testkit::TestAccount;

/// Where anyone may send JSON.
const OPEN: [&str; 7] = [
    "/api/v1/accounts",
    "/api/v1/accounts/ada/pairings",
    "/api/v1/records",
    "/mesh/v1/challenges",
    "/mesh/v1/keys",
    "/mesh/v1/keys:batch",
    "/mesh/v1/records:batch",
];

/// Bodies that no endpoint takes.
fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    let nested = |open: &str, close: &str, times: usize| format!("{}{}", open.repeat(times), close.repeat(times)).into_bytes();
    let in_unknown = format!(r#"{{"unknown":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000)).into_bytes();
    let many_names: String = (0..30_000).map(|number| format!(r#""n{number}":0,"#)).collect();
    vec![
        ("nothing", Vec::new()),
        ("white space", b" \n\t".to_vec()),
        ("100,000 arrays", nested("[", "]", 100_000)),
        ("100,000 open arrays", b"[".repeat(100_000)),
        ("70,000 objects", nested(r#"{"":"#, "}", 70_000)),
        ("100,000 arrays in an unknown member", in_unknown),
        ("30,000 names", format!("{{{many_names}\"end\":0}}").into_bytes()),
        ("a byte order mark", b"\xef\xbb\xbf{}".to_vec()),
        ("UTF-16", b"{\0}\0".to_vec()),
        ("not UTF-8", b"{\"payload\":\"\xff\xfe\"}".to_vec()),
        ("NUL", b"\0".to_vec()),
        ("NUL after it", b"{}\0".to_vec()),
        ("a lone surrogate", br#"{"payload":"\ud800","from":"\udc00"}"#.to_vec()),
        ("a huge number", [b"{\"index\":", &b"9".repeat(10_000)[..], b"}"].concat()),
        ("a huge exponent", br#"{"pow_nonce":1e999999999}"#.to_vec()),
        ("two values", b"{}{}".to_vec()),
        ("null", b"null".to_vec()),
        ("a number", b"0".to_vec()),
        ("an array", b"[]".to_vec()),
        ("a string", b"\"text\"".to_vec()),
        ("a comment", b"{/**/}".to_vec()),
        ("cut short", b"{\"payload\":".to_vec()),
    ]
}

#[tokio::test]
async fn hostile_json_is_refused_everywhere() {
    let one = Home::start("one").await;
    one.person("ada", 1).await;
    let before = leaves(&one).await;
    for path in OPEN {
        for (case, body) in hostile() {
            let reply = one.post(path, body).await;
            // A carrier that stands alone has a smaller limit of its own.
            let (status, code) = if reply.status == 413 { (413, "too_large") } else { (400, "malformed") };
            refused(&reply, status, code, &format!("{path}: {case}"));
        }
    }
    assert_eq!(leaves(&one).await, before);
}

#[tokio::test]
async fn hostile_deliveries_are_refused() {
    let (one, peer) = (Home::start("one").await, Peer::start("peer", 40).await);
    let keyid = format!("{}/{}", peer.domain, peer.key.id());
    for (case, body) in hostile() {
        let reply = one.signed("POST", "/mesh/v1/deliveries", body, (&keyid, &peer.key)).await;
        refused(&reply, 400, "malformed", case);
    }
}

#[tokio::test]
async fn member_that_stands_twice_is_refused_and_never_read_two_ways() {
    let one = Home::start("one").await;
    let ada = one.person("ada", 1).await;
    let before = leaves(&one).await;
    let good = String::from_utf8(ada.sign(post("hello")).to_json()).expect("text");
    let evil = ada.sign(post("evil"));
    for (case, twice) in [
        ("payload", good.replacen('{', &format!(r#"{{"payload":"{}","#, base64url(evil.body())), 1)),
        ("payloadType", good.replacen('{', r#"{"payloadType":"application/vnd.mesh.like.v1+json","#, 1)),
        ("signatures", good.replacen('{', r#"{"signatures":[],"#, 1)),
        ("escaped payload", good.replacen('{', r#"{"p\u0061yload":"e30","#, 1)),
        ("sig", good.replacen(r#"{"sig""#, &format!(r#"{{"sig":"{}","sig""#, evil.signature()), 1)),
    ] {
        refused(&one.post("/api/v1/records", twice.into_bytes()).await, 400, "malformed", case);
    }
    let bob = TestAccount::new(&one.address("bob"), 3);
    let genesis = bob.keys.ops().next().expect("a genesis").envelope.clone();
    let genesis = String::from_utf8(genesis.to_json()).expect("text");
    for (case, body) in [
        ("genesis twice", format!(r#"{{"genesis":{genesis},"genesis":{genesis}}}"#)),
        ("invite twice", format!(r#"{{"genesis":{genesis},"invite":"a","invite":"b"}}"#)),
        ("genesis as an array", format!("[{genesis}]")),
    ] {
        refused(&one.post("/api/v1/accounts", body.into_bytes()).await, 400, "malformed", case);
    }
    assert_eq!(leaves(&one).await, before);
}

#[tokio::test]
async fn refusals_repeat_nothing_of_the_request() {
    let one = Home::start("one").await;
    let ada = one.person("ada", 1).await;
    let marker = "Zx81secretZx81";
    let carrier = String::from_utf8(ada.sign(post("hello")).to_json()).expect("text");
    for (path, body) in [
        ("/api/v1/records", format!("{{\"{marker}\":\"{marker}\"}}")),
        ("/api/v1/records", carrier.replace("application/vnd.mesh.post.v1+json", marker)),
        ("/api/v1/records", format!("\"{marker}\"")),
        ("/api/v1/accounts", format!("\"{marker}\"")),
        ("/mesh/v1/challenges", format!("{{\"from\":\"{marker}\",\"nonce\":\"{marker}\"}}")),
        ("/mesh/v1/records:batch", format!("{{\"ids\":[\"{marker}\"]}}")),
    ] {
        let reply = one.post(path, body.into_bytes()).await;
        refused(&reply, 400, "malformed", path);
        assert!(!String::from_utf8_lossy(&reply.body).contains(marker), "{path}: {}", String::from_utf8_lossy(&reply.body));
    }
    let long = format!("/api/v1/records?{}", "x".repeat(7_000));
    assert!(one.get(&long).await.body.len() < 1_000);
}

#[tokio::test]
async fn bodies_of_other_kinds_are_not_records() {
    let one = Home::start("one").await;
    let ada = one.person("ada", 1).await;
    let before = leaves(&one).await;
    let hello = ada.sign(post("hello"));
    let as_key = Envelope::sign(Kind::Key, hello.body().to_vec(), &ada.device);
    let as_challenge = Envelope::sign(Kind::Challenge, hello.body().to_vec(), &ada.device);
    let as_like = Envelope::new(Kind::Like, hello.body().to_vec(), *hello.signature()).expect("small");
    for (case, envelope) in [("a key operation", as_key), ("a challenge", as_challenge), ("a like", as_like)] {
        refused(&one.submit(&envelope).await, 400, "malformed", case);
        refused(&one.submit_key(&ada, &envelope).await, 400, "malformed", case);
    }
    assert_eq!(leaves(&one).await, before);
}
