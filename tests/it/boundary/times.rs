//! Clocks that go wrong.

use super::{leaves, refused};
use crate::federation::{like, post};
use crate::network::{Home, now_ms};
use crate::peer::{Peer, refusal};
use mesh_proto::api::{DeliveryAnswer, ItemResult};
use mesh_proto::envelope::Envelope;
use mesh_proto::limits::CLOCK_AHEAD_MS_MAX;
use mesh_proto::log::{Opening, entry_hash};
use mesh_testkit::TestAccount;

/// How much a test may be late.
const SLACK_MS: u64 = 60_000;

fn post_at(person: &TestAccount, at: u64) -> Envelope {
    let mut record = person.record(post("when?"));
    record.head.at = at;
    record.sign(&person.device)
}

#[tokio::test]
async fn claimed_time_may_lie_a_little_ahead_and_anywhere_in_the_past() {
    let one = Home::start("one").await;
    let ada = one.person("ada", 1).await;
    for at in [0, 1, now_ms(), now_ms() + CLOCK_AHEAD_MS_MAX - SLACK_MS] {
        one.accept(&post_at(&ada, at)).await;
    }
    let before = leaves(&one).await;
    for at in [now_ms() + CLOCK_AHEAD_MS_MAX + SLACK_MS, 1 << 52, (1 << 53) - 1] {
        refused(&one.submit(&post_at(&ada, at)).await, 422, "future", &at.to_string());
    }
    assert_eq!(leaves(&one).await, before);
}

#[tokio::test]
async fn record_that_its_home_says_it_logged_in_the_future_is_refused() {
    let (one, mut peer) = (Home::start("one").await, Peer::start("peer", 40).await);
    let (ada, neo) = (one.person("ada", 1).await, peer.person("neo", 2));
    let hello = one.says(&ada, post("hello")).await;
    for (received, is_good) in [(0, true), (now_ms() + CLOCK_AHEAD_MS_MAX - SLACK_MS, true), (now_ms() + CLOCK_AHEAD_MS_MAX + SLACK_MS, false), (u64::MAX, false)] {
        let mut item = peer.log(&neo, &neo.sign(like(ada.object(&hello))));
        item.received = received;
        // A log of one leaf: its root is the leaf, and the proof is empty.
        let opening = Opening { salt: item.salt, record: item.envelope.id(), account: neo.id(), kind: item.envelope.kind(), received };
        let delivery = peer.delivery_of_leaf(item, entry_hash(&opening.entry()), &neo);
        let mut answer: DeliveryAnswer = peer.send(&one, &delivery).await.json();
        match answer.results.remove(0) {
            ItemResult::Accepted => assert!(is_good, "{received}"),
            result => assert_eq!((is_good, refusal(result)), (false, "future".into()), "{received}"),
        }
    }
}
