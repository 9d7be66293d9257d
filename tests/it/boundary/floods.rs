//! Those who are too fast, too many, or never read.

use super::{Wire, refused};
use crate::federation::{comment, like, post};
use crate::network::{Home, until};
use crate::peer::Peer;
use futures_util::future::join_all;
use mesh_proto::api::KeysBatch;
use mesh_proto::keylog::Action;
use mesh_testkit::TestAccount;
use std::num::NonZeroU32;

fn number(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).expect("not zero")
}

#[tokio::test]
async fn domain_that_delivers_too_fast_is_told_when_to_come_again() {
    let one = Home::start_with("one", |config| config.limits.deliveries_per_second = NonZeroU32::MIN).await;
    let (mut fast, mut calm) = (Peer::start("fast", 40).await, Peer::start("calm", 50).await);
    let ada = one.person("ada", 1).await;
    let (neo, eve) = (fast.person("neo", 2), calm.person("eve", 3));
    let hello = one.says(&ada, post("hello")).await;
    let items = (0..20).map(|_| fast.log(&neo, &neo.sign(like(ada.object(&hello))))).collect();
    let delivery = fast.delivery(items, &[&neo]);
    assert_eq!(fast.send(&one, &delivery).await.status, 200, "even the largest passes once");
    refused(&fast.send(&one, &delivery).await, 429, "slow_down", "the second");
    let keyid = format!("{}/{}", fast.domain, fast.key.id());
    let body = serde_json::to_vec(&delivery).expect("json");
    let mut request = one.http.post(format!("http://127.0.0.1:{}/mesh/v1/deliveries", one.port));
    for (name, value) in one.sign("POST", "/mesh/v1/deliveries", &body, (&keyid, &fast.key)) {
        request = request.header(name, value);
    }
    let response = request.body(body).send().await.expect("an answer");
    let wait: u64 = response.headers()["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert!((1..=20).contains(&wait), "{wait}");
    calm.deliver(&one, &eve, &eve.sign(like(ada.object(&hello)))).await;
}

#[tokio::test]
async fn whom_a_proxy_names_is_counted_and_nobody_else_with_them() {
    let one = Home::start_with("one", |config| config.limits.writes_per_second = NonZeroU32::MIN).await;
    let ada = one.person("ada", 1).await;
    let submit = async |from: &'static str| {
        let request = one.http.post(format!("http://127.0.0.1:{}/api/v1/records", one.port)).header("x-forwarded-for", from);
        let response = request.body(ada.sign(post("hello")).to_json()).send().await.expect("an answer");
        response.status().as_u16()
    };
    let mut last = 201;
    for _ in 0..30 {
        last = submit("9.9.9.9").await;
    }
    assert_eq!(last, 429);
    assert_eq!(submit("8.8.8.8").await, 201);
}

#[tokio::test]
async fn listener_that_never_reads_loses_its_place() {
    let few = |config: &mut mesh_server::config::Config| {
        config.limits.connections_max = 2;
        config.limits.body_seconds_max = NonZeroU32::MIN;
    };
    let one = Home::start_with("one", few).await;
    let ada = one.person("ada", 1).await;
    let _deaf = listen(&one, &ada).await;
    // One place is left, the client's own, which is kept busy.
    let text = "x".repeat(32_000);
    let mut waiting = Wire::open(&one).await;
    waiting.write("GET /healthz HTTP/1.1\r\nHost: one.localhost\r\nConnection: close\r\n\r\n").await;
    let busy = async {
        loop {
            one.says(&ada, post(&text)).await;
        }
    };
    tokio::select! {
        answer = waiting.answer() => assert_eq!(answer.status, 200),
        () = busy => {}
    }
}

/// Listens to one's events, and reads no further than the head.
async fn listen(one: &Home, person: &TestAccount) -> Wire {
    let keyid = format!("{}/{}", person.id(), person.device.id());
    let headers = one.sign("GET", "/api/v1/events", b"", (&keyid, &person.device));
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let mut wire = Wire::open(one).await;
    wire.write(format!("GET /api/v1/events HTTP/1.1\r\nHost: one.localhost\r\n{headers}\r\n")).await;
    let head = wire.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    wire
}

#[tokio::test(flavor = "multi_thread")]
async fn listener_that_reads_too_late_is_told_what_it_missed() {
    let patient = |config: &mut mesh_server::config::Config| {
        config.limits.body_seconds_max = number(600);
        config.limits.deliveries_per_second = number(1_000_000);
    };
    let (one, mut peer) = (Home::start_with("one", patient).await, Peer::start("peer", 40).await);
    let ada = one.person("ada", 1).await;
    let mut late = listen(&one, &ada).await;
    let hello = one.says(&ada, post("hello")).await;
    // Long posts fill the way to the listener, then short comments pass by.
    let text = "x".repeat(32_000);
    for _ in 0..200 {
        one.says(&ada, post(&text)).await;
    }
    let crowd: Vec<TestAccount> = (0..100u8).map(|n| peer.person(&format!("user{n}"), n)).collect();
    for round in 0..42 {
        let said = |person: &TestAccount| person.sign(comment(&ada.object(&hello), &ada.object(&hello), &round.to_string()));
        let items = crowd.iter().map(|person| peer.log(person, &said(person))).collect();
        let people: Vec<&TestAccount> = if round == 0 { crowd.iter().collect() } else { Vec::new() };
        let delivery = peer.delivery(items, &people);
        assert_eq!(peer.send(&one, &delivery).await.status, 200);
    }
    late.until("event: missed\n").await;
}

/// A log with `pairs` devices that came and went.
fn long_log(person: &mut TestAccount, pairs: usize) {
    for pair in 0..pairs {
        let mut seed = [200; 32];
        seed[..8].copy_from_slice(&(pair as u64).to_be_bytes());
        let (device, root) = (mesh_proto::key::SecretKey::from_seed(&seed).id(), person.root.clone());
        person.key_op(Action::DeviceAdd { device, name: "n".repeat(256) }, &root);
        person.key_op(Action::DeviceRevoke { device, last_good: None }, &root);
    }
}

async fn push(to: &Home, person: &TestAccount) {
    for op in person.keys.ops().skip(1) {
        let reply = to.submit_key(person, &op.envelope).await;
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_key_log_of_one_holds_up_nobodys_deliveries() {
    let (one, two) = (Home::start("one").await, Home::start("two").await);
    let ada = one.person("ada", 1).await;
    let (mut eve, neo) = (two.person("eve", 2).await, two.person("neo", 3).await);
    long_log(&mut eve, 450);
    push(&two, &eve).await;
    let hello = one.says(&ada, post("hello")).await;
    two.says(&eve, like(ada.object(&hello))).await;
    two.says(&neo, like(ada.object(&hello))).await;
    one.until_count(&hello.id(), mesh_proto::envelope::Kind::Like, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_question_for_key_logs_has_a_bounded_answer() {
    let two = Home::start("two").await;
    let mut eve = two.person("eve", 2).await;
    long_log(&mut eve, 450);
    push(&two, &eve).await;
    let ask = async |count: usize| two.post_json("/mesh/v1/keys:batch", &KeysBatch { accounts: vec![eve.id(); count] }).await;
    assert_eq!(ask(1).await.status, 200);
    refused(&ask(256).await, 413, "too_large", "the same log 256 times");
    refused(&ask(257).await, 413, "too_large", "more than may be asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_refusals_at_once_leave_the_server_well() {
    let one = Home::start("one").await;
    let junk = |n: usize| vec![b'x'; n];
    join_all((0..200).map(|n| one.post("/api/v1/records", junk(n * 500)))).await;
    until("it is ready", async || one.get("/readyz").await.status == 200).await;
}
