//! Clocks that go wrong.

use super::{leaves, refused};
use crate::federation::{like, post};
use crate::network::{Home, now_ms};
use crate::peer::{Peer, refusal};
use mesh_proto::api::{Delivery, DeliveryAnswer, DeliveryItem, ItemResult, KeysPush};
use mesh_proto::bytes::Salt;
use mesh_proto::envelope::Envelope;
use mesh_proto::key::SecretKey;
use mesh_proto::limits::CLOCK_AHEAD_MS_MAX;
use mesh_proto::log::{BatchProof, Checkpoint, Opening, Origin, entry_hash};
use mesh_testkit::TestAccount;

/// How much a test may be late.
const SLACK_MS: u64 = 60_000;
/// The seed of the played domain's log key: the one after its own.
const LOG_KEY: u8 = 41;

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

/// A delivery of one record that is the only leaf of its log, logged when its home says.
fn logged_at(peer: &Peer, person: &TestAccount, envelope: Envelope, received: u64) -> Delivery {
    let salt = Salt([7; 16]);
    let opening = Opening { salt, record: envelope.id(), account: person.id(), kind: envelope.kind(), received };
    let origin: Origin = format!("{}/log/1", peer.domain).parse().expect("an origin");
    let checkpoint = Checkpoint { origin: origin.clone(), size: 1, root: entry_hash(&opening.entry()) };
    let keys = vec![KeysPush { account: person.id(), ops: person.keys.ops().cloned().collect() }];
    let items = vec![DeliveryItem { index: 0, salt, received, envelope }];
    Delivery {
        origin,
        checkpoint: checkpoint.sign(&SecretKey::from_seed(&[LOG_KEY; 32])),
        proof: BatchProof { hashes: Vec::new() },
        growth: None,
        since: None,
        items,
        keys,
    }
}

#[tokio::test]
async fn record_that_its_home_says_it_logged_in_the_future_is_refused() {
    let peer = Peer::start("peer", LOG_KEY - 1).await;
    let neo = peer.person("neo", 2);
    let ahead = now_ms() + CLOCK_AHEAD_MS_MAX;
    for (received, is_good) in [(0, true), (ahead - SLACK_MS, true), (ahead + SLACK_MS, false), (u64::MAX, false)] {
        let one = Home::start("one").await;
        let ada = one.person("ada", 1).await;
        let hello = one.says(&ada, post("hello")).await;
        let reply = peer.send(&one, &logged_at(&peer, &neo, neo.sign(like(ada.object(&hello))), received)).await;
        assert_eq!(reply.status, 200, "{received}: {}", String::from_utf8_lossy(&reply.body));
        match reply.json::<DeliveryAnswer>().results.remove(0) {
            ItemResult::Accepted => assert!(is_good, "{received}"),
            result => assert_eq!((is_good, refusal(result)), (false, "future".into()), "{received}"),
        }
    }
}
