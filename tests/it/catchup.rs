//! Whoever was away, lost something or was given up gets what concerns it: by asking, and by saying how far it is.

use crate::federation::{like, post, subscribe, until_subscribed};
use crate::network::{Home, until};
use crate::peer::Peer;
use crate::stored::durability::copy;
use axum::Json;
use axum::body::Bytes;
use axum::http::HeaderMap;
use mesh_proto::api::{Delivery, DeliveryItem, FeedPage, ItemResult, KeysPush, Problem, Pull, Pulled};
use mesh_proto::envelope::{Envelope, Kind, RecordId};
use mesh_testkit::{TestAccount, TestLog};
use std::sync::{Arc, Mutex};

/// More than one page, and not a multiple of one. `MESH_MISSED` asks for another number.
const MISSED: usize = 250;

fn missed_usually() -> usize {
    std::env::var("MESH_MISSED").ok().and_then(|number| number.parse().ok()).unwrap_or(MISSED)
}

async fn says_many(home: &Home, person: &TestAccount, count: usize) -> Vec<RecordId> {
    let mut said = Vec::new();
    for number in 0..count {
        said.push(home.says(person, post(&format!("post {number}"))).await.id());
    }
    said
}

/// All posts of a feed, oldest first.
async fn feed_of(home: &Home, reader: &TestAccount) -> Vec<RecordId> {
    let mut ids = Vec::new();
    let mut path = "/api/v1/feed?limit=100".to_owned();
    loop {
        let page: FeedPage = home.get_as(reader, &path).await.json();
        ids.extend(page.items.iter().map(|item| item.card.id));
        match page.next {
            Some(next) => path = format!("/api/v1/feed?limit=100&before={next}"),
            None => break,
        }
    }
    ids.reverse();
    ids
}

async fn until_feed(home: &Home, reader: &TestAccount, wanted: &[RecordId]) {
    until("the feed is complete", async || feed_of(home, reader).await.len() >= wanted.len()).await;
    assert_eq!(feed_of(home, reader).await, wanted, "complete, in order, nothing twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn domain_that_was_away_gets_what_it_missed_in_order() {
    let (one, mut two) = (Home::start("one").await, Home::start("two").await);
    let (ada, neo) = (one.person("ada", 1).await, two.person("neo", 2).await);
    two.says(&neo, subscribe(ada.account_ref())).await;
    until_subscribed(&one, &ada, 1).await;
    two.stop().await;
    let missed = says_many(&one, &ada, missed_usually()).await;
    two.start_again().await;
    let ready = std::time::Instant::now();
    until_feed(&two, &neo, &missed).await;
    println!("{} records, complete {:?} after the start", missed.len(), ready.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn domain_catches_up_while_the_other_goes_on() {
    let (one, mut two) = (Home::start("one").await, Home::start("two").await);
    let (ada, neo) = (one.person("ada", 1).await, two.person("neo", 2).await);
    two.says(&neo, subscribe(ada.account_ref())).await;
    until_subscribed(&one, &ada, 1).await;
    two.stop().await;
    let mut said = says_many(&one, &ada, MISSED).await;
    let (more, ()) = tokio::join!(says_many(&one, &ada, MISSED), two.start_again());
    said.extend(more);
    until_feed(&two, &neo, &said).await;
}

/// A played home whose log grows before each page that it hands out.
struct Busy {
    log: TestLog,
    neo: TestAccount,
    likes: Vec<Envelope>,
    /// From which checkpoint each page was asked to grow.
    asked: Vec<Option<u64>>,
}

impl Busy {
    fn page(&mut self, pull: &Pull) -> Pulled {
        self.asked.push(pull.checkpoint);
        let Some(like) = self.likes.pop() else { return Pulled { delivery: None, next: pull.from, more: false } };
        let logged = self.log.accept(&self.neo, like);
        let item = DeliveryItem {
            index: logged.leaf.index,
            salt: logged.opening.salt,
            received: logged.opening.received,
            envelope: logged.envelope,
        };
        let delivery = Delivery {
            origin: pull.origin.clone(),
            checkpoint: self.log.checkpoint(),
            proof: self.log.prove(&[item.index]),
            growth: pull.checkpoint.map(|size| self.log.prove_growth(size)),
            since: Some(pull.from),
            keys: vec![KeysPush { account: self.neo.id(), ops: self.neo.keys.ops().cloned().collect() }],
            items: vec![item],
        };
        Pulled { next: logged.leaf.index + 1, delivery: Some(delivery), more: !self.likes.is_empty() }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_page_of_a_pull_is_asked_to_grow_from_what_the_page_before_showed() {
    let busy: Arc<Mutex<Option<Busy>>> = Arc::default();
    let (handed, mut one) = (busy.clone(), Home::start("one").await);
    let pull = move |headers: HeaderMap, body: Bytes| async move {
        assert!(!headers.contains_key("content-encoding"), "it is short");
        let pull: Pull = serde_json::from_slice(&body).expect("a pull");
        Json(handed.lock().expect("no panic").as_mut().expect("it is there").page(&pull))
    };
    let more = axum::Router::new().route("/mesh/v1/deliveries:pull", axum::routing::post(pull));
    let peer = Peer::start_with("peer", 40, more).await;
    let (ada, neo) = (one.person("ada", 1).await, peer.person("neo", 2));
    let hello = one.says(&ada, post("hello")).await;
    let mut likes = Vec::new();
    for number in 0..4 {
        likes.push(neo.sign(like(ada.object(&one.says(&ada, post(&format!("post {number}"))).await))));
    }
    likes.push(neo.sign(like(ada.object(&hello))));
    let log = TestLog::new(&format!("{}/log/1", peer.domain), 41);
    *busy.lock().expect("no panic") = Some(Busy { log, neo, likes, asked: Vec::new() });
    // That makes it known.
    assert_eq!(peer.signed(&one, "/mesh/v1/deliveries", &serde_json::json!({})).await.status, 400);
    one.stop().await;
    one.start_again().await;
    let asked = || busy.lock().expect("no panic").as_ref().expect("it is there").asked.clone();
    until("all is told", async || asked().len() >= 6).await;
    assert_eq!(asked(), [None, Some(1), Some(2), Some(3), Some(4), Some(5)], "the last one says that all is here");
    one.until_count(&hello.id(), Kind::Like, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn domain_that_went_back_to_a_backup_gets_again_what_it_had() {
    let (one, mut two) = (Home::start("one").await, Home::start("two").await);
    let (ada, neo) = (one.person("ada", 1).await, two.person("neo", 2).await);
    two.says(&neo, subscribe(ada.account_ref())).await;
    until_subscribed(&one, &ada, 1).await;
    two.stop().await;
    let backup = tempfile::tempdir().expect("a folder");
    copy(two.folder.path(), backup.path());
    two.start_again().await;
    let mut said = says_many(&one, &ada, 20).await;
    until_feed(&two, &neo, &said).await;
    two.stop().await;
    std::fs::remove_dir_all(two.folder.path().join("store")).expect("removed");
    copy(&backup.path().join("store"), &two.folder.path().join("store"));
    two.start_again().await;
    said.extend(says_many(&one, &ada, 5).await);
    until_feed(&two, &neo, &said).await;
}

#[tokio::test]
async fn sender_goes_on_from_where_the_receiver_says_that_it_is() {
    let (one, mut peer) = (Home::start("one").await, Peer::start("peer", 40).await);
    let (ada, neo) = (one.person("ada", 1).await, peer.person("neo", 2));
    // Nobody asked for it, but now neo is known.
    peer.deliver(&one, &neo, &neo.sign(post("hello"))).await;
    one.says(&ada, subscribe(neo.account_ref())).await;
    until("the subscription arrives", async || !peer.received().is_empty()).await;
    // It loses everything, and says so with the next delivery.
    peer.forget();
    one.says(&ada, like(neo.object(&neo.sign(post("here"))))).await;
    until("both come again", async || peer.received().len() == 2).await;
    let received = peer.received();
    assert!(received[0] < received[1], "{received:?}");
}

async fn pull(home: &Home, peer: &Peer, from: u64, watermark: u64) -> Pulled {
    let origin = format!("{}/log/1", home.domain).parse().expect("an origin");
    peer.signed(home, "/mesh/v1/deliveries:pull", &Pull { origin, from, watermark, checkpoint: None }).await.json()
}

#[tokio::test]
async fn pull_hands_out_what_concerns_the_one_who_asks_and_nothing_else() {
    let (one, mut peer, other) = (Home::start("one").await, Peer::start("peer", 40).await, Peer::start("other", 60).await);
    let (ada, neo) = (one.person("ada", 1).await, peer.person("neo", 2));
    assert_eq!(peer.deliver(&one, &neo, &neo.sign(subscribe(ada.account_ref()))).await, ItemResult::Accepted);
    let said: Vec<Envelope> = vec![one.says(&ada, post("first")).await, one.says(&ada, post("second")).await];
    let all = pull(&one, &peer, 0, 0).await;
    let delivery = all.delivery.expect("two posts");
    assert_eq!(delivery.items.iter().map(|item| item.envelope.clone()).collect::<Vec<_>>(), said);
    assert!(!all.more && delivery.since == Some(0));
    let rest = pull(&one, &peer, delivery.items[0].index + 1, 0).await;
    assert_eq!(rest.delivery.expect("one post").items.len(), 1);
    assert_eq!(pull(&one, &peer, u64::MAX, u64::MAX).await.delivery, None);
    assert_eq!(pull(&one, &other, 0, 0).await.delivery, None);
}

#[tokio::test]
async fn pull_is_answered_compressed_to_those_who_read_that() {
    let (one, mut peer) = (Home::start("one").await, Peer::start("peer", 40).await);
    let (ada, neo) = (one.person("ada", 1).await, peer.person("neo", 2));
    assert_eq!(peer.deliver(&one, &neo, &neo.sign(subscribe(ada.account_ref()))).await, ItemResult::Accepted);
    says_many(&one, &ada, 30).await;
    let plain = pull(&one, &peer, 0, 0).await;
    let (path, origin) = ("/mesh/v1/deliveries:pull", plain.delivery.as_ref().expect("posts").origin.clone());
    let body = serde_json::to_vec(&Pull { origin, from: 0, watermark: 0, checkpoint: None }).expect("json");
    let signature = one.sign("POST", path, &body, (&format!("{}/{}", peer.domain, peer.key.id()), &peer.key));
    let mut request = one.http.post(one.url(path)).header("accept-encoding", "zstd");
    for (name, value) in signature {
        request = request.header(name, value);
    }
    let answer = request.body(body).send().await.expect("answered");
    assert_eq!(answer.headers().get("content-encoding").map(|coding| coding.as_bytes()), Some(&b"zstd"[..]));
    let compressed = answer.bytes().await.expect("a whole answer");
    let whole = zstd::decode_all(&compressed[..]).expect("zstd");
    assert!(compressed.len() * 2 < whole.len(), "{} of {}", compressed.len(), whole.len());
    let decoded: Pulled = serde_json::from_slice(&whole).expect("json");
    assert_eq!(decoded.delivery.expect("posts").items, plain.delivery.expect("posts").items);
}

#[tokio::test]
async fn pull_of_another_log_is_refused() {
    let (one, peer) = (Home::start("one").await, Peer::start("peer", 40).await);
    let origin = format!("{}/log/2", one.domain).parse().expect("an origin");
    let reply = peer.signed(&one, "/mesh/v1/deliveries:pull", &Pull { origin, from: 0, watermark: 0, checkpoint: None }).await;
    let problem: Problem = reply.json();
    assert_eq!(problem.code(), "not_home");
}

#[tokio::test]
async fn likes_that_came_while_away_are_counted_exactly() {
    let (one, mut two) = (Home::start("one").await, Home::start("two").await);
    let (ada, neo) = (one.person("ada", 1).await, two.person("neo", 2).await);
    let hello = two.says(&neo, post("hello")).await;
    one.says(&ada, subscribe(neo.account_ref())).await;
    until_subscribed(&two, &neo, 1).await;
    two.stop().await;
    one.says(&ada, like(neo.object(&hello))).await;
    two.start_again().await;
    two.until_count(&hello.id(), Kind::Like, 1).await;
}
