//! Back-dating: a leaf that says it is older than it can be is refused, with its reason; an honest one may be as late as it wants.

use crate::federation::{like, post};
use crate::moving::{arrival, import, move_op};
use crate::network::{Home, now_ms, until};
use crate::peer::{Peer, refusal};
use axum::routing::post as on_post;
use axum::{Json, Router};
use mesh_proto::api::{DeliveryAnswer, DeliveryItem, ItemResult, Pulled};
use mesh_proto::keylog::Action;
use mesh_proto::record::ObjectRef;
use mesh_testkit::TestAccount;
use std::sync::{Arc, Mutex};

/// Longer than clocks may differ.
const LONG_MS: u64 = 3_600_000;

struct Stage {
    one: Home,
    peer: Peer,
    neo: TestAccount,
    liked: Vec<ObjectRef>,
    /// What the peer has for those who ask, and how often somebody did.
    has: Arc<Mutex<(Option<Pulled>, u32)>>,
}

async fn stage() -> Stage {
    let has: Arc<Mutex<(Option<Pulled>, u32)>> = Arc::default();
    let handed = Arc::clone(&has);
    let pull = move || async move {
        let mut has = handed.lock().expect("no panic");
        has.1 += 1;
        Json(has.0.take().unwrap_or(Pulled { delivery: None, next: 1_000, more: false }))
    };
    let peer = Peer::start_with("evil", 40, Router::new().route("/mesh/v1/deliveries:pull", on_post(pull))).await;
    let one = Home::start("one").await;
    let (ada, neo) = (one.person("ada", 1).await, peer.person("neo", 2));
    let mut liked = Vec::new();
    for number in 0..8 {
        liked.push(ada.object(&one.says(&ada, post(&format!("post {number}"))).await));
    }
    Stage { one, peer, neo, liked, has }
}

impl Stage {
    /// Logs a like that is said to have come at `received`.
    fn log(&mut self, received: u64) -> DeliveryItem {
        let envelope = self.neo.sign(like(self.liked.pop().expect("enough posts")));
        let logged = self.peer.log.accept_at(&self.neo, envelope, received);
        DeliveryItem { index: logged.leaf.index, salt: logged.opening.salt, received, envelope: logged.envelope }
    }

    async fn deliver(&mut self, items: Vec<DeliveryItem>) -> Vec<ItemResult> {
        let delivery = self.peer.delivery(items, &[&self.neo]);
        let reply = self.peer.send(&self.one, &delivery).await;
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        reply.json::<DeliveryAnswer>().results
    }
}

#[track_caller]
fn back_dated(result: ItemResult, words: &str) {
    let ItemResult::Refused { detail, .. } = &result else { panic!("it was not refused: {result:?}") };
    assert!(detail.contains(words) && detail.contains("back-dated"), "{detail}");
    assert_eq!(refusal(result), "back_dated");
}

#[tokio::test]
async fn leaf_that_is_older_than_one_before_it_is_refused_in_one_delivery_and_in_the_next() {
    let mut stage = stage().await;
    let now = now_ms();
    let late = stage.log(now - 9 * LONG_MS);
    let items = vec![stage.log(now), stage.log(now - 1), stage.log(now)];
    let mut results = stage.deliver(items).await;
    back_dated(results.remove(1), "leaf 2 says");
    assert_eq!(results, [ItemResult::Accepted, ItemResult::Accepted]);
    let another = stage.log(now - LONG_MS);
    back_dated(stage.deliver(vec![another]).await.remove(0), "but leaf 3 says");
    // What came out of order is judged by what lies around it.
    assert_eq!(stage.deliver(vec![late]).await, [ItemResult::Accepted]);
}

#[tokio::test]
async fn leaf_that_comes_late_and_is_younger_than_those_after_it_is_refused() {
    let mut stage = stage().await;
    let now = now_ms();
    let (late, after) = (stage.log(now), stage.log(now - LONG_MS));
    assert_eq!(stage.deliver(vec![after]).await, [ItemResult::Accepted]);
    back_dated(stage.deliver(vec![late]).await.remove(0), "leaf 1 says");
}

#[tokio::test(flavor = "multi_thread")]
async fn leaf_that_the_log_did_not_have_when_it_was_asked_is_refused_if_it_says_it_is_older() {
    let mut stage = stage().await;
    let waiting = stage.log(now_ms() - 48 * LONG_MS);
    let first = stage.log(now_ms() - 47 * LONG_MS);
    assert_eq!(stage.deliver(vec![first]).await, [ItemResult::Accepted]);
    let asked_for = stage.log(now_ms() - 46 * LONG_MS);
    let delivery = stage.peer.delivery(vec![asked_for], &[&stage.neo]);
    let delivery = stage.peer.grown(&delivery, 2);
    *stage.has.lock().expect("no panic") = (Some(Pulled { delivery: Some(delivery), next: 3, more: false }), 0);
    stage.one.stop().await;
    stage.one.start_again().await;
    until("what it has is asked for and taken", async || stage.has.lock().expect("no panic").1 >= 2).await;
    // It was logged after that, whatever it says; one that says so is taken, and so is one that waited for days.
    let back = stage.log(now_ms() - LONG_MS);
    back_dated(stage.deliver(vec![back]).await.remove(0), "the log had 3 leaves, and not this one");
    let honest = stage.log(now_ms());
    assert_eq!(stage.deliver(vec![honest]).await, [ItemResult::Accepted]);
    assert_eq!(stage.deliver(vec![waiting]).await, [ItemResult::Accepted]);
    // It is known after a restart, too.
    stage.one.stop().await;
    stage.one.start_again().await;
    let back = stage.log(now_ms() - LONG_MS);
    back_dated(stage.deliver(vec![back]).await.remove(0), "leaf 5 says");
}

/// A stage whose home knows that the peer's log had three leaves a moment ago.
async fn seen() -> Stage {
    let mut stage = stage().await;
    let items = vec![stage.log(now_ms() - 48 * LONG_MS), stage.log(now_ms() - 47 * LONG_MS)];
    assert_eq!(stage.deliver(items).await, [ItemResult::Accepted, ItemResult::Accepted]);
    let asked_for = stage.log(now_ms() - 46 * LONG_MS);
    let delivery = stage.peer.delivery(vec![asked_for], &[&stage.neo]);
    let delivery = stage.peer.grown(&delivery, 2);
    *stage.has.lock().expect("no panic") = (Some(Pulled { delivery: Some(delivery), next: 3, more: false }), 0);
    stage.one.stop().await;
    stage.one.start_again().await;
    until("what it has is asked for and taken", async || stage.has.lock().expect("no panic").1 >= 2).await;
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn moved_account_brings_nothing_to_others_that_its_log_cannot_have_held() {
    let mut stage = seen().await;
    // It moved on paper only: the new home is played by a friend of the old one.
    let new = Peer::start("new", 60).await;
    let (root, address) = (stage.neo.root.clone(), format!("neo@{}", new.domain).parse().expect("an address"));
    stage.neo.key_op(Action::HomeMove { address }, &root);
    let back = [stage.log(now_ms() - LONG_MS), stage.log(now_ms() - 47 * LONG_MS)];
    let items = vec![back[0].clone(), back[1].clone(), stage.log(now_ms())];
    let delivery = stage.peer.delivery(items, &[&stage.neo]);
    let reply = new.signed(&stage.one, "/mesh/v1/deliveries", &delivery).await;
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    let mut results = reply.json::<DeliveryAnswer>().results;
    back_dated(results.remove(0), "the log had 3 leaves, and not this one");
    back_dated(results.remove(0), "the log had 3 leaves, and not this one");
    assert_eq!(results, [ItemResult::Accepted]);
}

#[tokio::test(flavor = "multi_thread")]
async fn account_that_arrives_brings_nothing_that_its_log_cannot_have_held() {
    let mut stage = seen().await;
    move_op(&mut stage.neo, "neo", &stage.one);
    assert_eq!(stage.one.post_json("/api/v1/arrivals", &arrival(&stage.neo)).await.status, 201);
    let items = vec![stage.log(now_ms() - LONG_MS), stage.log(now_ms()), stage.log(now_ms() - 1_000)];
    let part = stage.peer.delivery(items, &[]);
    let mut results = import(&stage.one, &stage.neo, &part).await;
    back_dated(results.remove(0), "the log had 3 leaves, and not this one");
    back_dated(results.remove(1), "but leaf 4 says");
    assert_eq!(results, [ItemResult::Accepted]);
}

#[tokio::test(flavor = "multi_thread")]
async fn log_that_ended_goes_on_neither_before_nor_after_what_is_known_of_it() {
    let mut stage = stage().await;
    let now = now_ms();
    let first = stage.log(now - 48 * LONG_MS);
    assert_eq!(stage.deliver(vec![first]).await, [ItemResult::Accepted]);
    let past = stage.peer.begin_new_log();
    let (late, second) = (stage.log(now - 50 * LONG_MS), stage.log(now - 10 * LONG_MS));
    assert_eq!(stage.deliver(vec![second]).await, [ItemResult::Accepted]);
    back_dated(stage.deliver(vec![late]).await.remove(0), "an earlier log of its domain goes on to");
    // The old one goes on in secret.
    let present = std::mem::replace(&mut stage.peer.log, past);
    let items = vec![stage.log(now - 49 * LONG_MS), stage.log(now - 20 * LONG_MS), stage.log(now - LONG_MS)];
    let mut delivery = stage.peer.delivery(items, &[&stage.neo]);
    delivery.origin = format!("{}/log/1", stage.peer.domain).parse().expect("an origin");
    let reply = stage.peer.signed(&stage.one, "/mesh/v1/deliveries", &delivery).await;
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    let mut results = reply.json::<DeliveryAnswer>().results;
    back_dated(results.remove(0), "but leaf 0 says");
    back_dated(results.remove(1), "its domain had begun another log");
    assert_eq!(results, [ItemResult::Accepted]);
    stage.peer.log = present;
}
