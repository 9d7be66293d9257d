//! What a home may answer, and how often, before it counts as a refusal; and how much one peer can make us ask.

use crate::tables::OriginNo;
use crate::tables::peer::{PeerRow, put_origin};
use crate::{Config, MemoryStore, Node, Ports};
use mesh_proto::address::Domain;
use mesh_proto::api::{EvidencePage, PinsPage};
use mesh_proto::key::SecretKey;
use mesh_proto::port::{Answer, BoxFuture, Transport, TransportError};
use mesh_proto::record::{Content, Post};
use mesh_store::{Batch, Kv, Space};
use mesh_testkit::{ManualClock, SeededRng, TestAccount, TestLog, seed};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Others: one that tells of these notes, and homes that show a checkpoint and prove nothing.
#[derive(Default)]
struct Others {
    notes: Vec<String>,
    checkpoint: Mutex<String>,
    proofs: AtomicUsize,
}

impl Transport for Others {
    fn get<'a>(&'a self, _: &'a Domain, path: &'a str) -> BoxFuture<'a, Result<Answer, TransportError>> {
        let json = |body| (200, serde_json::to_vec(&body).expect("json"));
        let (status, body) = match path {
            "/mesh/v1/pins" => json(serde_json::to_value(PinsPage { notes: self.notes.clone(), next: None }).expect("json")),
            "/mesh/v1/evidence" => json(serde_json::to_value(EvidencePage::default()).expect("json")),
            path if path.ends_with("/checkpoint") => (200, self.checkpoint.lock().expect("no panic").clone().into_bytes()),
            _ => {
                self.proofs.fetch_add(1, Ordering::SeqCst);
                (500, Vec::new())
            }
        };
        Box::pin(std::future::ready(Ok(Answer { status, retry_after_s: None, body })))
    }

    fn post<'a>(&'a self, _: &'a Domain, _: &'a str, _: Vec<u8>) -> BoxFuture<'a, Result<Answer, TransportError>> {
        Box::pin(std::future::ready(Err(TransportError::Timeout)))
    }
}

/// A log of `size` leaves.
fn log(name: &str, size: usize) -> TestLog {
    let mut log = TestLog::new(&format!("{name}/log/1"), 9);
    let neo = TestAccount::new(&format!("neo@{name}"), 1);
    for number in 0..size {
        log.accept(&neo, neo.sign(Content::Post(Post::free(number.to_string()))));
    }
    log
}

/// A domain that keeps the first two leaves of the logs of `count` homes, of which `teller.example` saw three.
fn stage(count: u32) -> (Node, Arc<Others>) {
    let kv: Arc<dyn Kv> = Arc::new(MemoryStore::new());
    let mut batch = Batch::new();
    PeerRow::for_tests(1, "teller.example", SecretKey::from_seed(&[8; 32]).id()).put(&mut batch);
    let mut notes = Vec::new();
    for number in 0..count {
        let name = format!("home{number}.example");
        PeerRow::for_tests(number + 2, &name, log(&name, 0).key()).put(&mut batch);
        put_origin(&mut batch, &(format!("{name}/log/1").parse().expect("an origin"), None), OriginNo(number + 1));
        batch.put(Space::Pin, (number + 1).to_be_bytes(), log(&name, 2).checkpoint());
        notes.push(log(&name, 3).checkpoint());
    }
    kv.commit(batch).wait().expect("commits");
    let others = Arc::new(Others { notes, ..Others::default() });
    let transport: Arc<dyn Transport> = others.clone();
    let ports = Ports { kv, clock: Arc::new(ManualClock::new(1)), rng: Arc::new(SeededRng::new(seed(7))), transport };
    (Node::open(Config::for_tests(), ports).expect("opens"), others)
}

async fn compare(node: &Node) {
    let teller = node.peers.get(&"teller.example".parse().expect("a domain")).expect("known");
    node.comparing.compare(&teller).await.expect("it tells");
}

#[tokio::test]
async fn home_that_shows_its_checkpoint_and_never_proves_is_found_to_have_forked_after_a_day() {
    let (node, others) = stage(1);
    for _ in 0..super::UNPROVEN_MAX * 2 {
        compare(&node).await;
    }
    assert_eq!(node.peers.forked(), [], "it shows no good checkpoint: it is just not well");
    *others.checkpoint.lock().expect("no panic") = log("home0.example", 3).checkpoint();
    for _ in 1..super::UNPROVEN_MAX {
        compare(&node).await;
    }
    assert_eq!(node.peers.forked(), []);
    compare(&node).await;
    assert_eq!(node.peers.forked().len(), 1);
    assert_eq!(node.comparing.evidence(None).expect("reads").forks.len(), 1);
}

#[tokio::test]
async fn peer_makes_us_ask_for_few_proofs_at_once() {
    let (node, others) = stage(40);
    compare(&node).await;
    assert_eq!(others.proofs.load(Ordering::SeqCst), super::GROWTHS_MAX);
}
