//! A domain is backed up while people write, and restored in an empty folder: everyone sees what was acknowledged before the backup began, and the network goes on.

use crate::federation::{comment, like, post, subscribe, until_subscribed};
use crate::network::{Home, until};
use mesh_proto::api::{Discovery, FeedPage, RecordProof, RecordView};
use mesh_proto::envelope::{Envelope, Kind, RecordId};
use mesh_proto::log::{Checkpoint, entry_hash, verify};
use mesh_server::config;
use mesh_server::operator::restore::{self, GoOn, Restored};
use mesh_server::operator::{Archive, Queue, Taken, ask, check_backup, make_backup};
use mesh_testkit::TestAccount;
use reqwest::Method;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// People who write all the time while the backup is made.
const WRITERS: u8 = 8;
/// What they have said when it begins.
const SAID_BEFORE: usize = 200;

async fn back_up(home: &Home, to: &Path) -> Archive {
    make_backup(home.folder.path(), to, Box::new(|_| ())).await.expect("a backup")
}

async fn restore(from: &Path, to: &Path, go_on: GoOn) -> Restored {
    let (from, to) = (from.to_owned(), to.to_owned());
    let restored = tokio::task::spawn_blocking(move || restore::run(&from, &to, go_on, Box::new(|_| ())));
    restored.await.expect("no panic").expect("restored")
}

/// What a domain answers to everybody, and to a reader of its own.
async fn seen(home: &Home, readers: &[&TestAccount], records: &[RecordId]) -> BTreeMap<String, Value> {
    let mut answers: BTreeMap<String, Value> = BTreeMap::new();
    let mut paths: Vec<String> = Vec::new();
    for reader in readers {
        paths.extend(["", "/posts"].map(|end| format!("/api/v1/accounts/{}{end}", reader.id())));
        paths.push(format!("/mesh/v1/accounts/{}/keys", reader.id()));
        for path in ["/api/v1/feed?limit=100", "/api/v1/notifications?limit=100"] {
            answers.insert(format!("{path} of {}", reader.address()), home.get_as(reader, path).await.json());
        }
    }
    for record in records {
        paths.push(format!("/api/v1/records/{record}"));
        paths.extend(["comments", "references?kind=like"].map(|end| format!("/api/v1/records/{record}/{end}")));
    }
    for path in paths {
        let reply = home.get(&path).await;
        assert_eq!(reply.status, 200, "{path}");
        answers.insert(path, reply.json());
    }
    // Whoever cosigns the log later witnesses a name that was there before.
    for account in answers.values_mut().filter_map(Value::as_object_mut) {
        account.remove("witnesses");
    }
    // A name's proof is under the newest checkpoint, which grows; it is verified by itself.
    for (_, answer) in answers.iter_mut().filter(|(path, _)| path.ends_with("/keys")) {
        let name = answer.get_mut("name").and_then(Value::as_object_mut).expect("a proof of the name");
        name.retain(|field, _| field != "checkpoint" && field != "proof");
    }
    answers
}

/// Verifies that a record is in its log; answers its place and what the leaf stands for.
async fn proven(home: &Home, record: &RecordId) -> Value {
    let proof: RecordProof = home.get(&format!("/mesh/v1/records/{record}/proof")).await.json();
    let checkpoint = Checkpoint::unverified(&proof.checkpoint, &proof.record.leaf.origin).expect("a note");
    let leaf = (proof.record.leaf.index, entry_hash(&proof.record.opening.entry()));
    assert_eq!(verify(checkpoint.size, &checkpoint.root, &[leaf], &proof.proof), Ok(()));
    serde_json::to_value(&proof.record).expect("JSON")
}

async fn feed_has(home: &Home, reader: &TestAccount, id: &RecordId) -> bool {
    let page: FeedPage = home.get_as(reader, "/api/v1/feed?limit=100").await.json();
    page.items.iter().any(|item| item.card.id == *id && item.record.is_some())
}

/// Two domains whose people have said things to each other, and nothing is under way any more.
struct Network {
    one: Home,
    two: Home,
    ada: TestAccount,
    eve: TestAccount,
    bob: TestAccount,
    records: Vec<RecordId>,
}

impl Network {
    async fn new() -> Self {
        let (one, two) = (Home::start("one").await, Home::start("two").await);
        let (ada, eve, bob) = (one.person("ada", 1).await, one.person("eve", 2).await, two.person("bob", 3).await);
        two.says(&bob, subscribe(ada.account_ref())).await;
        one.says(&eve, subscribe(ada.account_ref())).await;
        one.says(&eve, subscribe(bob.account_ref())).await;
        until_subscribed(&one, &ada, 2).await;
        until_subscribed(&two, &bob, 1).await;
        let mut records = Vec::new();
        for number in 0..5 {
            let said = one.says(&ada, post(&format!("post {number}"))).await;
            let object = ada.object(&said);
            two.says(&bob, like(object.clone())).await;
            one.says(&eve, like(object.clone())).await;
            let answer = two.says(&bob, comment(&object, &object, &format!("answer {number}"))).await;
            one.until_count(&said.id(), Kind::Like, 2).await;
            one.until_count(&said.id(), Kind::Comment, 1).await;
            records.extend([said.id(), answer.id()]);
        }
        let from_bob = two.says(&bob, post("from the other side")).await;
        until("it is in eve's feed", async || feed_has(&one, &eve, &from_bob.id()).await).await;
        Self { one, two, ada, eve, bob, records }
    }

    /// Waits until nothing is to be delivered any more: what fails while a domain is away is tried again later only.
    async fn until_all_is_delivered(&self) {
        for home in [&self.one, &self.two] {
            let folder = config::read(home.folder.path()).expect("a good folder");
            let empty = async || {
                let queue: Queue = ask(&folder, (Method::GET, "/queue"), &()).await.expect("an answer");
                queue.destinations.is_empty()
            };
            until("nothing waits", empty).await;
        }
    }

    /// What both sides see of what is settled.
    async fn seen(&self) -> [BTreeMap<String, Value>; 2] {
        [seen(&self.one, &[&self.ada, &self.eve], &self.records).await, seen(&self.two, &[&self.bob], &self.records).await]
    }

    /// Both domains still speak to each other.
    async fn check_goes_on(&self) {
        let after = self.one.says(&self.ada, post("after the restore")).await;
        until("it is in bob's feed", async || feed_has(&self.two, &self.bob, &after.id()).await).await;
        self.two.says(&self.bob, like(self.ada.object(&after))).await;
        self.one.until_count(&after.id(), Kind::Like, 1).await;
        let back = self.two.says(&self.bob, post("and back")).await;
        until("it is in eve's feed", async || feed_has(&self.one, &self.eve, &back.id()).await).await;
    }
}

/// Everyone writes, one record after the other, until told to stop.
async fn write(one: &Home, people: &[TestAccount], stop: &AtomicBool, acknowledged: &Mutex<Vec<Envelope>>) {
    let writers = people.iter().map(|person| async move {
        for number in 0.. {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let said = one.says(person, post(&format!("while it goes on, {number}"))).await;
            acknowledged.lock().expect("no panic").push(said);
        }
    });
    futures_util::future::join_all(writers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn backup_under_load_restores_all_that_was_acknowledged_before_it() {
    let mut network = Network::new().await;
    let mut people = Vec::new();
    for number in 0..WRITERS {
        people.push(network.one.person(&format!("writer{number}"), 10 + number).await);
    }
    let before = network.seen().await;
    let (stop, acknowledged) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let target = tempfile::tempdir().expect("a folder");
    let (archive, said) = {
        let one = &network.one;
        let backup = async {
            until("people have written", async || acknowledged.lock().expect("no panic").len() >= SAID_BEFORE).await;
            let said: Vec<Envelope> = acknowledged.lock().expect("no panic").clone();
            let archive = back_up(one, target.path()).await;
            let count = said.len();
            until("people write on", async || acknowledged.lock().expect("no panic").len() > count + SAID_BEFORE).await;
            stop.store(true, Ordering::Relaxed);
            (archive, said)
        };
        let ((), made) = tokio::join!(write(one, &people, &stop, &acknowledged), backup);
        made
    };
    assert_eq!((archive.about.taken, archive.about.domain.as_str()), (Taken::Running, network.one.domain.as_str()));
    let mut proofs = BTreeMap::new();
    for record in said.iter().map(Envelope::id).chain(network.records.iter().step_by(2).copied()) {
        proofs.insert(record, proven(&network.one, &record).await);
    }
    check_backup(&archive.file, Box::new(|_| ())).expect("whole");

    // The machine is lost; another one takes its place.
    network.until_all_is_delivered().await;
    network.one.stop().await;
    let folder = tempfile::tempdir().expect("a folder");
    let restored = restore(&archive.file, folder.path(), GoOn::InNewLog).await;
    assert!(restored.log_is_new && restored.log.number() == 2 && restored.leaves as usize >= said.len());
    network.one.folder = folder;
    network.one.start_again().await;
    let discovery: Discovery = network.one.get("/.well-known/mesh").await.json();
    assert_eq!(discovery.origin, restored.log);

    let after = network.seen().await;
    for (before, after) in before.iter().zip(&after) {
        for (path, answer) in before {
            assert_eq!(after.get(path), Some(answer), "{path}");
        }
    }
    for envelope in &said {
        let view: RecordView = network.one.view(&envelope.id()).await;
        assert_eq!(view.record.map(|record| record.envelope).as_ref(), Some(envelope), "it was acknowledged before the backup began");
    }
    for (record, proof) in &proofs {
        assert_eq!(&proven(&network.one, record).await, proof);
    }
    network.check_goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_domain_moves_to_another_machine_and_goes_on_in_its_log() {
    let mut network = Network::new().await;
    let before = network.seen().await;
    network.until_all_is_delivered().await;
    network.one.stop().await;
    let target = tempfile::tempdir().expect("a folder");
    let file: PathBuf = target.path().join("moving.meshbackup");
    let archive = back_up(&network.one, &file).await;
    assert_eq!((archive.about.taken, &archive.file), (Taken::Stopped, &file));
    let folder = tempfile::tempdir().expect("a folder");
    let restored = restore(&file, folder.path(), GoOn::AsItWas).await;
    assert!(!restored.log_is_new && restored.log.number() == 1);
    network.one.folder = folder;
    network.one.start_again().await;
    assert_eq!(network.seen().await, before);
    network.check_goes_on().await;
}
