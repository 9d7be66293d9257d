//! Lanes over a long time, with destinations that are played. The clock stands still until everybody waits.

use crate::tables::peer::PeerRow;
use crate::{Config, MemoryStore, Node, Ports};
use mesh_proto::address::Domain;
use mesh_proto::api::{Admission, Delivery, DeliveryAnswer, ItemResult, NewAccount};
use mesh_proto::key::SecretKey;
use mesh_proto::port::{Answer, BoxFuture, Clock, Transport, TransportError};
use mesh_proto::record::{Content, Like, ObjectRef, Post};
use mesh_store::{Batch, Kv};
use mesh_testkit::{SeededRng, TestAccount, seed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Wall-clock time that passes as the runtime's does.
struct RuntimeClock(Instant);

impl Clock for RuntimeClock {
    fn now_ms(&self) -> u64 {
        1_767_225_600_000 + self.0.elapsed().as_millis() as u64
    }
}

type Say = dyn Fn(usize, &Delivery) -> Result<DeliveryAnswer, TransportError> + Send + Sync;

/// A destination that answers deliveries as a test says, and tells when they came.
struct Played {
    say: Mutex<Box<Say>>,
    came: Mutex<Vec<Instant>>,
}

impl Played {
    fn came(&self) -> usize {
        self.came.lock().expect("no panic").len()
    }

    fn says(&self, say: impl Fn(usize, &Delivery) -> Result<DeliveryAnswer, TransportError> + Send + Sync + 'static) {
        *self.say.lock().expect("no panic") = Box::new(say);
    }
}

impl Transport for Played {
    fn get<'a>(&'a self, _: &'a Domain, _: &'a str) -> BoxFuture<'a, Result<Answer, TransportError>> {
        Box::pin(std::future::ready(Err(TransportError::Timeout)))
    }

    fn post<'a>(&'a self, _: &'a Domain, path: &'a str, body: Vec<u8>) -> BoxFuture<'a, Result<Answer, TransportError>> {
        if path != "/mesh/v1/deliveries" {
            return Box::pin(std::future::ready(Err(TransportError::Timeout)));
        }
        let delivery: Delivery = serde_json::from_slice(&body).expect("a delivery");
        let count = {
            let mut came = self.came.lock().expect("no panic");
            came.push(Instant::now());
            came.len()
        };
        let answer = (self.say.lock().expect("no panic"))(count, &delivery);
        let answer = answer.map(|answer| Answer { status: 200, retry_after_s: None, body: serde_json::to_vec(&answer).expect("json") });
        Box::pin(std::future::ready(answer))
    }
}

fn taken(delivery: &Delivery, watermark: u64) -> Result<DeliveryAnswer, TransportError> {
    Ok(DeliveryAnswer { results: vec![ItemResult::Accepted; delivery.items.len()], watermark, cosignature: None })
}

struct Stage {
    node: Node,
    kv: Arc<dyn Kv>,
    peer: Arc<Played>,
    ada: TestAccount,
    neo: TestAccount,
}

fn open(kv: &Arc<dyn Kv>, peer: &Arc<Played>, began: Instant) -> Node {
    let transport: Arc<dyn Transport> = peer.clone();
    let ports = Ports { kv: Arc::clone(kv), clock: Arc::new(RuntimeClock(began)), rng: Arc::new(SeededRng::new(seed(5))), transport };
    Node::open(Config::for_tests(), ports).expect("opens")
}

/// A domain that has met another, and one of whose people is about to write.
async fn stage(say: impl Fn(usize, &Delivery) -> Result<DeliveryAnswer, TransportError> + Send + Sync + 'static) -> Stage {
    let kv: Arc<dyn Kv> = Arc::new(MemoryStore::new());
    let key = SecretKey::from_seed(&[3; 32]).id();
    let mut batch = Batch::new();
    PeerRow::for_tests(1, "two.example", key).put(&mut batch);
    kv.commit(batch).wait().expect("commits");
    let peer = Arc::new(Played { say: Mutex::new(Box::new(say)), came: Mutex::default() });
    let node = open(&kv, &peer, Instant::now());
    let (ada, neo) = (TestAccount::new("ada@one.example", 1), TestAccount::new("neo@two.example", 2));
    let genesis = ada.keys.ops().next().expect("a genesis").envelope.clone();
    node.records.register(NewAccount { genesis, admission: Admission::default() }).await.expect("registered");
    node.start();
    Stage { node, kv, peer, ada, neo }
}

impl Stage {
    /// Ada likes something at the other domain.
    async fn like(&self, text: &str) {
        let post = self.neo.sign(Content::Post(Post::free(text)));
        let object = ObjectRef { actor: self.neo.id(), home: self.neo.address().domain().clone(), id: post.id(), version: post.id() };
        let like = self.ada.sign(Content::Like(Like { object }));
        self.node.records.submit(like).await.expect("accepted");
    }
}

#[tokio::test(start_paused = true)]
async fn destination_that_is_silent_for_a_week_is_left_alone_until_it_shows_a_sign_of_life() {
    let stage = stage(|_, _| Err(TransportError::Timeout)).await;
    stage.like("hello").await;
    tokio::time::sleep(DAY * 6).await;
    let tried = stage.peer.came();
    assert!((10..200).contains(&tried), "tried {tried} times in six days");
    tokio::time::sleep(DAY * 2).await;
    let given_up = stage.peer.came();
    assert!(given_up > tried, "a week is not over after six days");
    tokio::time::sleep(DAY * 30).await;
    stage.like("hello again").await;
    tokio::time::sleep(DAY).await;
    assert_eq!(stage.peer.came(), given_up, "nothing is sent after a week in vain, whatever is new");
    let no = stage.node.peers.get(stage.neo.address().domain()).expect("known").no();
    assert_eq!(stage.node.outbox.waiting(no, 10).expect("reads"), 2, "nothing is given up");
    // It is back: a request of its own says so.
    stage.peer.says(|_, delivery| taken(delivery, delivery.items.last().expect("an item").index + 1));
    stage.node.outbox.sign_of_life(no);
    tokio::time::sleep(HOUR).await;
    assert_eq!(stage.node.outbox.waiting(no, 10).expect("reads"), 0);
    assert_eq!(stage.peer.came(), given_up + 1, "both in one delivery");
}

#[tokio::test(start_paused = true)]
async fn week_goes_on_over_a_restart_and_a_sign_of_life_begins_another() {
    let began = Instant::now();
    let stage = stage(|_, _| Err(TransportError::Timeout)).await;
    stage.like("hello").await;
    tokio::time::sleep(DAY * 5).await;
    // As a crash ends it.
    stage.node.tasks.lock().expect("no panic").drain(..).for_each(|task| task.abort());
    let node = open(&stage.kv, &stage.peer, began);
    node.start();
    tokio::time::sleep(DAY * 3).await;
    let given_up = stage.peer.came();
    tokio::time::sleep(DAY * 3).await;
    assert_eq!(stage.peer.came(), given_up);
    node.outbox.sign_of_life(node.peers.get(stage.neo.address().domain()).expect("known").no());
    tokio::time::sleep(DAY).await;
    assert!(stage.peer.came() > given_up + 2, "it is tried as one that failed just now");
}

/// How often a destination is sent something in a day.
async fn sent_in_a_day(say: impl Fn(usize, &Delivery) -> Result<DeliveryAnswer, TransportError> + Send + Sync + 'static) -> usize {
    let stage = stage(say).await;
    for number in 0..3 {
        stage.like(&format!("number {number}")).await;
    }
    tokio::time::sleep(DAY).await;
    stage.peer.came()
}

#[tokio::test(start_paused = true)]
async fn receiver_whose_watermark_never_moves_is_sent_the_same_seldom() {
    let sent = sent_in_a_day(|_, delivery| taken(delivery, 0)).await;
    assert!((2..60).contains(&sent), "{sent}");
}

#[tokio::test(start_paused = true)]
async fn receiver_whose_watermark_goes_to_and_fro_is_sent_the_same_seldom() {
    let sent = sent_in_a_day(|count, delivery| taken(delivery, count as u64 % 2)).await;
    assert!((2..60).contains(&sent), "{sent}");
    let sent = sent_in_a_day(|count, delivery| taken(delivery, if count % 2 == 0 { u64::MAX } else { 0 })).await;
    assert!((1..60).contains(&sent), "{sent}");
}
