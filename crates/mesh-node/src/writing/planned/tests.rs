//! Planned posts over a store in memory and a clock that stands still until it is turned.

use super::Plans;
use crate::{Config, MemoryStore, Node, NodeError, Ports};
use mesh_proto::api::{Admission, NewAccount, code};
use mesh_proto::envelope::Envelope;
use mesh_proto::keylog::Action;
use mesh_proto::limits::{SCHEDULED_AHEAD_MS_MAX, SCHEDULED_MAX};
use mesh_proto::record::{Content, Post, Record};
use mesh_store::Kv;
use mesh_testkit::{ManualClock, START_MS, TestAccount};
use std::sync::Arc;

/// When the tests begin.
const NOW_MS: u64 = START_MS + 1_000_000;

struct World {
    node: Node,
    clock: Arc<ManualClock>,
    ada: TestAccount,
}

impl World {
    async fn new() -> Self {
        let kv: Arc<dyn Kv> = Arc::new(MemoryStore::new());
        let clock = Arc::new(ManualClock::new(NOW_MS));
        let ports = Ports { clock: Arc::clone(&clock) as _, ..Ports::for_tests(&kv) };
        let node = Node::open(Config::for_tests(), ports).expect("opens");
        let ada = TestAccount::new("ada@one.example", 1);
        let genesis = ada.keys.ops().next().expect("a genesis").envelope.clone();
        node.records.register(NewAccount { genesis, admission: Admission::default() }).await.expect("registered");
        Self { node, clock, ada }
    }

    /// A post that claims this time.
    fn post(&self, text: &str, at: u64) -> Envelope {
        let mut record = self.ada.record(Content::Post(Post::free(text)));
        record.head.at = at;
        record.sign(&self.ada.device)
    }

    fn plans(&self) -> &Arc<Plans> {
        &self.node.plans
    }

    async fn plan(&self, envelope: &Envelope) -> Result<bool, NodeError> {
        let account = self.node.accounts.expect(&self.ada.id()).expect("registered");
        self.plans().plan(&account, envelope.clone()).await.map(|(is_new, _)| is_new)
    }

    async fn refusal(&self, envelope: &Envelope) -> &'static str {
        self.plan(envelope).await.expect_err("refused").code()
    }

    fn listed(&self) -> Vec<(u64, Option<String>)> {
        let account = self.node.accounts.expect(&self.ada.id()).expect("registered");
        let list = self.plans().list(&account).expect("a list").scheduled;
        list.into_iter().map(|post| (post.at, post.refused.map(|refused| refused.code))).collect()
    }

    /// Turns the clock to a time and lets what is due be published.
    async fn at(&self, ms: u64) {
        self.clock.set(ms);
        self.plans().publish_due().await.expect("looked");
    }

    async fn is_public(&self, envelope: &Envelope) -> bool {
        self.node.views.record(envelope.id()).await.is_ok_and(|view| view.record.is_some())
    }

    fn leaves(&self) -> u64 {
        self.node.log.head().size
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn planned_post_is_private_until_its_time_and_is_published_once() {
    let world = World::new().await;
    let (later, soon) = (world.post("later", NOW_MS + 2_000), world.post("soon", NOW_MS + 1_000));
    assert!(world.plan(&later).await.expect("planned") && world.plan(&soon).await.expect("planned"));
    assert!(!world.plan(&later).await.expect("known"));
    assert_eq!(world.listed(), [(NOW_MS + 1_000, None), (NOW_MS + 2_000, None)]);
    let leaves = world.leaves();
    world.at(NOW_MS + 999).await;
    assert!(!world.is_public(&soon).await);
    world.at(NOW_MS + 1_000).await;
    assert!(world.is_public(&soon).await && !world.is_public(&later).await);
    assert_eq!(world.listed(), [(NOW_MS + 2_000, None)]);
    // The server was down when the second was due.
    world.at(NOW_MS + 100_000).await;
    world.at(NOW_MS + 200_000).await;
    assert!(world.is_public(&later).await && world.listed().is_empty());
    assert_eq!(world.leaves(), leaves + 2);
    let view = world.node.views.record(later.id()).await.expect("there");
    assert_eq!(view.card.received, NOW_MS + 100_000, "late is said to be late");
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_between_the_leaf_and_the_row_publishes_nothing_twice() {
    let world = World::new().await;
    let post = world.post("once", NOW_MS + 1_000);
    world.plan(&post).await.expect("planned");
    world.clock.set(NOW_MS + 1_000);
    // What a crash leaves: the record is logged, and its row is still there.
    world.node.records.submit(post.clone()).await.expect("accepted");
    let leaves = world.leaves();
    world.plans().publish_due().await.expect("looked");
    assert_eq!((world.leaves(), world.listed().len()), (leaves, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_planned_is_refused() {
    let world = World::new().await;
    assert_eq!(world.refusal(&world.post("past", NOW_MS)).await, code::MALFORMED);
    assert_eq!(world.refusal(&world.post("far", NOW_MS + SCHEDULED_AHEAD_MS_MAX + 1)).await, code::TOO_LARGE);
    let first = world.post("first", NOW_MS + 1).id();
    let mut edit = world.ada.record(Content::Post(Post { revises: Some(first), ..Post::free("edit") }));
    edit.head.at = NOW_MS + 1_000;
    assert_eq!(world.refusal(&edit.sign(&world.ada.device)).await, code::MALFORMED);
    let eve = TestAccount::new("eve@one.example", 2);
    let mut foreign = eve.record(Content::Post(Post::free("not hers")));
    foreign.head.at = NOW_MS + 1_000;
    assert_eq!(world.refusal(&foreign.sign(&eve.device)).await, code::FORBIDDEN);
    foreign.head = Record::open(&world.post("forged", NOW_MS + 1_000)).expect("a record").head;
    let forged = Envelope::sign(foreign.kind(), foreign.body(), &eve.device);
    assert_eq!(world.refusal(&forged).await, code::BAD_SIGNATURE);
    for number in 0..SCHEDULED_MAX as u64 {
        world.plan(&world.post("one of many", NOW_MS + 1 + number)).await.expect("planned");
    }
    assert_eq!(world.refusal(&world.post("one too many", NOW_MS + 5)).await, code::TOO_LARGE);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_post_is_never_published_and_a_published_one_is_not_cancelled() {
    let world = World::new().await;
    let (kept, dropped) = (world.post("kept", NOW_MS + 1_000), world.post("dropped", NOW_MS + 1_000));
    world.plan(&kept).await.expect("planned");
    world.plan(&dropped).await.expect("planned");
    let account = world.node.accounts.expect(&world.ada.id()).expect("registered");
    world.plans().cancel(&account, &dropped.id()).await.expect("cancelled");
    world.at(NOW_MS + 1_000).await;
    assert!(world.is_public(&kept).await && !world.is_public(&dropped).await);
    assert_eq!(world.plans().cancel(&account, &kept.id()).await.expect_err("too late").code(), code::GONE);
    assert_eq!(world.plans().cancel(&account, &dropped.id()).await.expect_err("gone").code(), code::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn post_of_a_revoked_device_is_refused_at_its_time_with_the_reason() {
    let mut world = World::new().await;
    let post = world.post("too late", NOW_MS + 1_000);
    world.plan(&post).await.expect("planned");
    let (device, root) = (world.ada.device.id(), world.ada.root.clone());
    let revoke = world.ada.key_op(Action::DeviceRevoke { device, last_good: None }, &root);
    let account = world.node.accounts.expect(&world.ada.id()).expect("registered");
    world.node.records.add_key(account, revoke).await.expect("revoked");
    world.at(NOW_MS + 1_000).await;
    assert_eq!(world.listed(), [(NOW_MS + 1_000, Some(code::DEVICE.to_owned()))]);
    assert!(!world.is_public(&post).await);
    // It is not tried again.
    world.at(NOW_MS + 60_000).await;
    assert_eq!(world.listed().len(), 1);
    let account = world.node.accounts.expect(&world.ada.id()).expect("registered");
    world.plans().cancel(&account, &post.id()).await.expect("removed");
    assert!(world.listed().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_the_account_erases_what_was_planned_at_once() {
    let mut world = World::new().await;
    let post = world.post("never", NOW_MS + 1_000);
    world.plan(&post).await.expect("planned");
    let root = world.ada.root.clone();
    let close = world.ada.key_op(Action::AccountClose, &root);
    let account = world.node.accounts.expect(&world.ada.id()).expect("registered");
    world.node.records.add_key(account, close).await.expect("closed");
    assert!(world.listed().is_empty());
    assert_eq!(world.refusal(&world.post("after it", NOW_MS + 1_000)).await, code::ACCOUNT);
    world.at(NOW_MS + 1_000).await;
    assert!(!world.is_public(&post).await);
}
