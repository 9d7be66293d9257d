//! Deliveries whose actor moves while they wait for their turn. The two halves of taking one in are called by themselves: what lies between them is the wait.

use super::super::{Intake, Missing};
use crate::peers::Peer;
use crate::tables::peer::PeerRow;
use crate::tables::reference::{Reference, Standing};
use crate::{Config, MemoryStore, Node, Ports};
use mesh_proto::api::{Admission, Arrival, Delivery, DeliveryAnswer, DeliveryItem, ItemResult, KeysPush, NewAccount, code};
use mesh_proto::envelope::{Envelope, Kind};
use mesh_proto::keylog::Action;
use mesh_proto::record::{Content, Like, Post, Subscribe};
use mesh_store::{Batch, Kv};
use mesh_testkit::{TestAccount, TestLog};
use std::sync::Arc;

/// A delivery of one record.
fn delivery(log: &mut TestLog, person: &TestAccount, said: &Envelope) -> Delivery {
    let logged = log.accept(person, said.clone());
    let size = logged.leaf.index;
    let item = DeliveryItem { index: size, salt: logged.opening.salt, received: logged.opening.received, envelope: logged.envelope };
    Delivery {
        origin: logged.leaf.origin,
        checkpoint: log.checkpoint(),
        proof: log.prove(&[size]),
        growth: (size > 0).then(|| log.prove_growth(size)),
        since: Some(size),
        items: vec![item],
        keys: vec![KeysPush { account: person.id(), ops: person.keys.ops().cloned().collect() }],
    }
}

fn take_in(intake: &Intake, peer: &Peer, delivery: &Delivery, between: impl FnOnce()) -> DeliveryAnswer {
    let (mut frame, is_placed) = intake.frame(peer, delivery).expect("proven");
    let opened = std::mem::take(&mut frame.opened);
    let mut missing = Missing::default();
    let log = (&delivery.origin, is_placed);
    let checked = opened.into_iter().map(|item| intake.check_item(peer, log, item, &mut missing).expect("checked")).collect();
    between();
    intake.store(peer, (delivery, &frame, None), checked).expect("stored")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_while_its_actor_moved_here_is_not_stored_beside_what_came_along() {
    let kv: Arc<dyn Kv> = Arc::new(MemoryStore::new());
    let mut log = TestLog::new("two.example/log/1", 9);
    let mut batch = Batch::new();
    PeerRow::for_tests(1, "two.example", log.key()).put(&mut batch);
    kv.commit(batch).wait().expect("commits");
    let node = Node::open(Config::for_tests(), Ports::for_tests(&kv)).expect("opens");
    let (ada, mut neo) = (TestAccount::new("ada@one.example", 1), TestAccount::new("neo@two.example", 2));
    let genesis = ada.keys.ops().next().expect("a genesis").envelope.clone();
    node.records.register(NewAccount { genesis, admission: Admission::default() }).await.expect("registered");
    let post = ada.sign(Content::Post(Post::free("liked")));
    node.records.submit(post.clone()).await.expect("accepted");
    let peer = node.peers.get(&"two.example".parse().expect("a domain")).expect("known");
    let follows = delivery(&mut log, &neo, &neo.sign(Content::Subscribe(Subscribe { object: ada.account_ref() })));
    assert_eq!(node.intake.deliver(&peer, &follows).expect("taken").results, [ItemResult::Accepted]);

    let like = neo.sign(Content::Like(Like { object: ada.object(&post) }));
    let waiting = delivery(&mut log, &neo, &like);
    let root = neo.root.clone();
    let (records, accounts, runtime) = (&node.records, &node.accounts, tokio::runtime::Handle::current());
    let answer = tokio::task::block_in_place(|| {
        take_in(&node.intake, &peer, &waiting, || {
            neo.key_op(Action::HomeMove { address: "neo@one.example".parse().expect("an address") }, &root);
            let arrival = Arrival { account: neo.id(), ops: neo.keys.ops().cloned().collect(), admission: Admission::default() };
            runtime.block_on(records.arrive(arrival)).expect("arrives");
            let account = accounts.expect(&neo.id()).expect("known");
            let imported = runtime.block_on(records.import(account, waiting.clone())).expect("imported");
            assert_eq!(imported.results, [ItemResult::Accepted]);
        })
    });
    assert!(matches!(&answer.results[..], [ItemResult::Refused { code, .. }] if code == code::NOT_HOME), "{answer:?}");
    let (_, reference) = Reference::find(&*kv, &like.id()).expect("reads").expect("known");
    assert_eq!(reference.standing, Standing::Live, "it took its own place");
    let shown = node.views.record(post.id()).await.expect("shown");
    assert_eq!(shown.counts.get(&Kind::Like), Some(&1));
}
