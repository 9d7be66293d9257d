//! A small domain in memory for the tests of pages: real keys, real records, no other domain in reach.

use crate::App;
use mesh_node::MemoryStore;
use mesh_node::accounts::Account;
use mesh_node::buckets::Rates;
use mesh_node::registration::RegistrationRules;
use mesh_node::{Config, Node, Ports};
use mesh_proto::address::{Address, Domain};
use mesh_proto::api::{Accepted, Admission, Card, NewAccount, RecordView, RegistrationMode};
use mesh_proto::bytes::Salt;
use mesh_proto::envelope::{Envelope, Kind, RecordId};
use mesh_proto::key::{AccountId, SecretKey};
use mesh_proto::keylog::{Action, LogPosition, NewOp};
use mesh_proto::log::Origin;
use mesh_proto::port::{Answer, BoxFuture, Clock, Rng, Transport, TransportError};
use mesh_proto::record::{Comment, Content, Head, Like, ObjectRef, Post, Profile, Record, Repost, Retract, RetractReason, Terms};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The domain.
pub(super) const DOMAIN: &str = "one.localhost:8001";
/// When everything starts: 23 November 2026, 06:05 UTC.
pub(super) const START_MS: u64 = 1_795_413_900_000;

/// Every look at the clock takes a second.
struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn now_ms(&self) -> u64 {
        self.0.fetch_add(1_000, Ordering::Relaxed)
    }
}

struct Counting(AtomicU64);

impl Rng for Counting {
    fn fill(&self, out: &mut [u8]) {
        for byte in out {
            *byte = self.0.fetch_add(1, Ordering::Relaxed) as u8;
        }
    }
}

/// No other domain answers.
struct Alone;

impl Transport for Alone {
    fn get<'a>(&'a self, _: &'a Domain, _: &'a str) -> BoxFuture<'a, Result<Answer, TransportError>> {
        Box::pin(async { Err(TransportError::Timeout) })
    }

    fn post<'a>(&'a self, _: &'a Domain, _: &'a str, _: Vec<u8>) -> BoxFuture<'a, Result<Answer, TransportError>> {
        Box::pin(async { Err(TransportError::Timeout) })
    }
}

/// A domain with people.
pub(super) struct World {
    pub(super) app: App,
    salts: u8,
}

/// A person with one device.
#[derive(Clone)]
pub(super) struct Someone {
    pub(super) id: AccountId,
    pub(super) device: SecretKey,
    pub(super) keys: RecordId,
}

pub(super) fn domain() -> Domain {
    DOMAIN.parse().expect("a domain")
}

impl World {
    pub(super) fn new() -> Self {
        let config = Config {
            domain: domain(),
            request_key: SecretKey::from_seed(&[250; 32]),
            log_key: SecretKey::from_seed(&[251; 32]),
            registration: RegistrationRules { mode: RegistrationMode::Open, pow_bits: 8 },
            rates: Rates::default(),
            cache_bytes_max: 1 << 20,
            mirrors_max: 0,
            accounts_bytes_max: 1 << 20,
            heads_bytes_max: 1 << 20,
        };
        let clock = Arc::new(Ticking(AtomicU64::new(START_MS)));
        let ports =
            Ports { kv: Arc::new(MemoryStore::new()), clock, rng: Arc::new(Counting(AtomicU64::new(0))), transport: Arc::new(Alone) };
        let node = Node::open(config, ports).expect("a new store opens");
        Self { app: App::new(Arc::new(node), Default::default()), salts: 0 }
    }

    pub(super) async fn join(&mut self, user: &str, name: &str, bio: &str) -> Someone {
        self.salts += 1;
        let (root, device) = (SecretKey::from_seed(&[self.salts; 32]), SecretKey::from_seed(&[self.salts + 100; 32]));
        let address = Address::new(user.parse().expect("a user"), domain());
        let action = Action::Genesis { root: root.id(), device: device.id(), address, name: "laptop".into() };
        let genesis = NewOp { follows: None, action, at: START_MS, salt: Salt([self.salts; 16]) }.sign(&root);
        let keys = genesis.id();
        let new = NewAccount { genesis, admission: Admission::default() };
        let registered = self.app.node.records.register(new).await.expect("the name is free");
        let someone = Someone { id: registered.account, device, keys };
        if !name.is_empty() {
            self.say(&someone, Content::Profile(Profile { name: name.into(), bio: bio.into(), ..Default::default() })).await;
        }
        someone
    }

    pub(super) fn signed(&mut self, who: &Someone, content: Content) -> Envelope {
        self.salts += 1;
        let salt = Salt([self.salts; 16]);
        let head = Head { actor: who.id, device: who.device.id(), keys: who.keys, at: START_MS, salt, crit: BTreeSet::new() };
        Record { head, content }.sign(&who.device)
    }

    pub(super) async fn say(&mut self, who: &Someone, content: Content) -> RecordId {
        let envelope = self.signed(who, content);
        let (_, Accepted { id, .. }) = self.app.node.records.submit(envelope).await.expect("a good record");
        id
    }

    pub(super) async fn post(&mut self, who: &Someone, text: &str) -> RecordId {
        self.say(who, Content::Post(Post::free(text))).await
    }

    pub(super) async fn comment(&mut self, who: &Someone, root: &ObjectRef, parent: &ObjectRef, text: &str) -> ObjectRef {
        let comment =
            Comment { root: root.clone(), parent: parent.clone(), text: text.into(), lang: None, terms: Terms::Free, revises: None };
        object(who, self.say(who, Content::Comment(comment)).await)
    }

    pub(super) async fn like(&mut self, who: &Someone, what: ObjectRef) {
        self.say(who, Content::Like(Like { object: what })).await;
    }

    pub(super) async fn repost(&mut self, who: &Someone, what: ObjectRef) -> RecordId {
        self.say(who, Content::Repost(Repost { object: what })).await
    }

    pub(super) async fn withdraw(&mut self, who: &Someone, id: RecordId) {
        self.say(who, Content::Retract(Retract { object: id, reason: RetractReason::Author })).await;
    }

    pub(super) fn account(&self, user: &str) -> Arc<Account> {
        self.app.node.accounts.by_name(user).expect("the store answers").expect("someone of this name")
    }
}

/// A reference to a record of someone here.
pub(super) fn object(who: &Someone, id: RecordId) -> ObjectRef {
    ObjectRef { actor: who.id, home: domain(), id, version: id }
}

/// A comment from another domain whose body is not here.
pub(super) fn foreign_comment(number: u8, parent: RecordId) -> RecordView {
    let home: Domain = "two.localhost:8002".parse().expect("a domain");
    let (id, address) = (RecordId::from_hash([number; 32]), Address::new("trinity".parse().expect("a user"), home.clone()));
    let url = format!("{}/@trinity/{id}", home.base_url());
    let leaf = LogPosition { origin: Origin::new(home, 1), index: 7 };
    let actor = AccountId::from_hash([9; 32]);
    let card = Card { id, kind: Kind::Comment, actor, address, leaf, received: START_MS, parent: Some(parent), disowned: false };
    RecordView { card, record: None, tombstone: None, counts: Default::default(), poll: None, url }
}
