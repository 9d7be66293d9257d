//! A domain without a server: it answers as it likes, and delivers what nobody signed, with right proofs from a log of its own.
//!
//! Between its forgeries it delivers what its own people did sign: else a domain that refuses everything would look good.

use crate::clock::{SkewedClock, Time};
use crate::hostile::FORGED;
use crate::oracle::{Closed, Honesty, Person, Who};
use crate::wire::{Place, Way, Wire};
use crate::world::{World, domain};
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use mesh_proto::address::Domain;
use mesh_proto::api::{
    Accepted, Challenge, ChallengeRequest, Delivery, DeliveryAnswer, DeliveryItem, Discovery, DomainKey, DomainKeyUse, ItemResult,
    KeysPush, KeysView, PolicyView, Problem, Pulled, RegistrationMode,
};
use mesh_proto::envelope::{Envelope, Kind};
use mesh_proto::key::SecretKey;
use mesh_proto::keylog::{Action, LoggedOp, NewOp};
use mesh_proto::port::{Answer, Transport, random};
use mesh_proto::record::{Content, Like, ObjectRef, Post, Record};
use mesh_server::signing::Signer;
use mesh_testkit::{SeededRng, TestAccount, TestLog};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Makes the keys of its people; beyond those of all others.
const NUMBERS: [u8; 2] = [110, 111];

/// See the module.
pub(crate) struct Forger {
    domain: Domain,
    rng: Arc<SeededRng>,
    log: TestLog,
    /// The same log with another content.
    fork: TestLog,
    people: Vec<TestAccount>,
    /// The same people, as the oracle knows them.
    known: Vec<Who>,
    way: Way,
}

/// What it answers.
#[derive(Clone)]
struct Face {
    key: SecretKey,
    discovery: Discovery,
    keys: Arc<BTreeMap<String, KeysView>>,
    rng: Arc<SeededRng>,
}

fn key(place: Place) -> SecretKey {
    SecretKey::from_seed(&[100 + (place % 100) as u8; 32])
}

fn logs(place: Place) -> TestLog {
    TestLog::new(&format!("{}/log/1", domain(place)), place as u8)
}

impl Forger {
    pub(crate) fn new(place: Place, time: &Time, wire: &Arc<Wire>) -> Self {
        let (domain, rng) = (domain(place), Arc::new(SeededRng::new(place as u64)));
        let clock = SkewedClock::new(time, 0);
        let signer = Signer::new(domain.clone(), key(place), clock, Arc::clone(&rng) as _);
        let way = Way { wire: Arc::clone(wire), from: place, signer, liar: None };
        let people = NUMBERS.iter().map(|number| TestAccount::new(&format!("f{number}@{domain}"), *number)).collect();
        Self { domain, rng, log: logs(place), fork: logs(place), people, known: Vec::new(), way }
    }

    /// Begins to answer.
    pub(crate) fn open(&self, wire: &Wire) {
        let key = key(self.way.from);
        let keys = [(key.id(), DomainKeyUse::Request), (self.log.key(), DomainKeyUse::Log)];
        let discovery = Discovery {
            versions: vec![1],
            domain: self.domain.clone(),
            keys: keys.into_iter().map(|(id, key_use)| DomainKey { id, key_use }).collect(),
            origin: format!("{}/log/1", self.domain).parse().expect("an origin"),
            software: "played".into(),
            limits: Default::default(),
            policy: PolicyView { registration: RegistrationMode::Closed, mirrors: false },
        };
        let view = |person: &TestAccount| KeysView { account: person.id(), ops: person.keys.ops().cloned().collect(), name: None };
        let keys = self.people.iter().map(|person| (format!("/mesh/v1/accounts/{}/keys", person.id()), view(person))).collect();
        let face = Face { key, discovery, keys: Arc::new(keys), rng: Arc::clone(&self.rng) };
        let answer = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| async move {
            face.answer((&method, uri.path()), &headers, &body)
        };
        wire.open(self.way.from, Router::new().fallback(answer));
    }

    /// Logs a record, in one of its two logs, and makes a delivery of it.
    fn delivery(log: &mut TestLog, origin: &Domain, (actor, keys): (&TestAccount, Vec<LoggedOp>), envelope: &Envelope) -> Delivery {
        let logged = log.accept(actor, envelope.clone());
        let (index, salt, received) = (logged.leaf.index, logged.opening.salt, logged.opening.received);
        Delivery {
            origin: format!("{origin}/log/1").parse().expect("an origin"),
            checkpoint: log.checkpoint(),
            proof: log.prove(&[index]),
            growth: None,
            since: None,
            items: vec![DeliveryItem { index, salt, received, envelope: envelope.clone() }],
            keys: vec![KeysPush { account: actor.id(), ops: keys }],
        }
    }

    async fn post(&self, to: &Domain, path: &str, body: &impl serde::Serialize) -> Option<Answer> {
        self.way.post(to, path, serde_json::to_vec(body).expect("json")).await.ok()
    }

    /// Delivers; shows that its log grew if it is asked. Answers whether the record was taken.
    async fn deliver(&self, to: &Domain, delivery: Delivery, log: &TestLog) -> bool {
        let Some(mut answer) = self.post(to, "/mesh/v1/deliveries", &delivery).await else { return false };
        let wanted = serde_json::from_slice::<Problem>(&answer.body).ok().and_then(|problem| problem.checkpoint_wanted);
        let index = delivery.items[0].index;
        if let Some(size) = wanted.filter(|size| *size <= index) {
            let (proof, growth) = (log.prove(&[index]), Some(log.prove_growth(size)));
            let grown = Delivery { checkpoint: log.checkpoint(), proof, growth, ..delivery };
            let Some(again) = self.post(to, "/mesh/v1/deliveries", &grown).await else { return false };
            answer = again;
        }
        serde_json::from_slice::<DeliveryAnswer>(&answer.body).is_ok_and(|answer| answer.results == [ItemResult::Accepted])
    }
}

impl Face {
    fn answer(&self, (method, path): (&Method, &str), headers: &HeaderMap, body: &[u8]) -> Response {
        let decoded = if headers.contains_key("content-encoding") { zstd::decode_all(body).unwrap_or_default() } else { body.to_vec() };
        match (method.as_str(), path) {
            ("GET", "/.well-known/mesh") => axum::Json(&self.discovery).into_response(),
            ("GET", path) if self.keys.contains_key(path) => axum::Json(&self.keys[path]).into_response(),
            ("POST", "/mesh/v1/challenges") => match serde_json::from_slice::<ChallengeRequest>(&decoded) {
                Ok(asked) => {
                    let answer = Challenge { domain: self.discovery.domain.clone(), from: asked.from, nonce: asked.nonce, at: 0 };
                    let body = serde_json::to_vec(&answer).expect("json");
                    axum::Json(Envelope::sign(Kind::Challenge, body, &self.key)).into_response()
                }
                Err(_) => StatusCode::BAD_REQUEST.into_response(),
            },
            ("POST", "/mesh/v1/deliveries") => match serde_json::from_slice::<Delivery>(&decoded) {
                Ok(delivery) => {
                    let watermark = if self.rng.happens(500) { 0 } else { self.rng.next() >> 12 };
                    let results = vec![ItemResult::Accepted; delivery.items.len()];
                    axum::Json(DeliveryAnswer { results, watermark, cosignature: None }).into_response()
                }
                Err(_) => StatusCode::BAD_REQUEST.into_response(),
            },
            ("POST", "/mesh/v1/deliveries:pull") => axum::Json(Pulled { delivery: None, next: 0, more: true }).into_response(),
            _ => format!("{FORGED} {}", self.rng.next()).into_response(),
        }
    }
}

/// Whom a forgery is about: where it goes, what it acts on, and in whose name it is said.
struct Target {
    domain: Domain,
    object: ObjectRef,
    victim: Who,
}

impl World {
    /// Makes the forgers' people known to the oracle: what they do sign is genuine.
    pub(crate) fn know_forgers(&mut self) {
        for forger in self.forgers.values_mut() {
            for person in &forger.people {
                let person = Person::new(person.clone(), forger.way.from, Honesty::Hostile);
                // Nobody else acts on them.
                forger.known.push(self.oracle.add_person(Person { closed: Some(Closed), ..person }));
            }
        }
    }

    /// A forger tries something.
    pub(crate) async fn forge(&mut self) {
        let Some(place) = self.forgers.keys().next().copied() else { return };
        let Some(target) = self.target() else { return };
        let Some(mut forger) = self.forgers.remove(&place) else { return };
        match self.rng.below(7) {
            0 | 1 => self.genuine(&mut forger, &target).await,
            2 => self.rewritten(&mut forger, &target).await,
            3 => forger.in_anothers_name(&target, &self.oracle.people[target.victim].account).await,
            4 => forger.with_another_key(&target).await,
            5 => forger.under_anothers_address(&target, &self.oracle.people[target.victim].account).await,
            _ => forger.with_anothers_keys(&target, &self.oracle.people[target.victim].account).await,
        }
        self.forgers.insert(place, forger);
    }

    fn target(&self) -> Option<Target> {
        let posts: Vec<usize> = (0..self.oracle.said.len())
            .filter(|at| self.oracle.said[*at].content.kind() == Kind::Post && self.oracle.said[*at].content.revises().is_none())
            .filter(|at| self.oracle.is_honest(self.oracle.said[*at].who))
            .collect();
        let post = &self.oracle.said[*posts.get(self.rng.below(posts.len().max(1) as u64) as usize)?];
        let honest: Vec<Who> = (0..self.oracle.people.len()).filter(|who| self.oracle.is_honest(*who)).collect();
        let victim = *honest.get(self.rng.below(honest.len().max(1) as u64) as usize)?;
        Some(Target { domain: self.homes[self.oracle.people[post.who].place].domain.clone(), object: self.oracle.object(post), victim })
    }

    /// A like by one of its own people, as it should be.
    async fn genuine(&mut self, forger: &mut Forger, target: &Target) {
        let (person, who) = (forger.people[0].clone(), forger.known[0]);
        let record = person.record(Content::Like(Like { object: target.object.clone() }));
        let envelope = record.sign(&person.device);
        self.note(who, record, &envelope, forger.log_size());
        let ops = person.keys.ops().cloned().collect();
        let delivery = Forger::delivery(&mut forger.log, &forger.domain, (&person, ops), &envelope);
        forger.people[0] = person;
        if forger.deliver(&target.domain, delivery, &forger.log).await {
            self.seen.genuine_of_forger += 1;
        }
    }

    /// A genuine record from a log that does not begin as the one before: refused where the other was seen.
    async fn rewritten(&mut self, forger: &mut Forger, target: &Target) {
        let (person, who) = (forger.people[1].clone(), forger.known[1]);
        let record = person.record(Content::Like(Like { object: target.object.clone() }));
        let envelope = record.sign(&person.device);
        self.note(who, record, &envelope, 0);
        let ops = person.keys.ops().cloned().collect();
        let delivery = Forger::delivery(&mut forger.fork, &forger.domain, (&person, ops), &envelope);
        forger.people[1] = person;
        forger.deliver(&target.domain, delivery, &forger.fork).await;
    }

    fn note(&mut self, who: Who, record: Record, envelope: &Envelope, index: u64) {
        let origin = format!("{}/log/1", record_home(self, who)).parse().expect("an origin");
        let leaf = mesh_proto::keylog::LogPosition { origin, index };
        self.oracle.accepted(who, record, &Accepted { id: envelope.id(), leaf, received: 0 });
    }
}

/// A record under the signature of a key that is not the device's that it names.
fn signed_by(record: &Record, key: &SecretKey) -> Envelope {
    Envelope::sign(record.kind(), record.body(), key)
}

fn record_home(world: &World, who: Who) -> Domain {
    world.oracle.people[who].account.address().domain().clone()
}

impl Forger {
    fn log_size(&self) -> u64 {
        self.log.checkpoint().lines().nth(1).and_then(|size| size.parse().ok()).unwrap_or(0)
    }

    fn like(target: &Target) -> Content {
        Content::Like(Like { object: target.object.clone() })
    }

    /// What an honest person never said, logged rightly by a home that is not theirs.
    async fn in_anothers_name(&mut self, target: &Target, victim: &TestAccount) {
        let content = if self.rng.happens(500) { Self::like(target) } else { Content::Post(Post::free(FORGED)) };
        let envelope = signed_by(&victim.record(content), &self.people[0].device);
        let ops = victim.keys.ops().cloned().collect();
        let delivery = Self::delivery(&mut self.log, &self.domain, (victim, ops), &envelope);
        self.deliver(&target.domain, delivery, &self.log).await;
    }

    /// A like in the name of one of its own people, by a key that is not theirs.
    async fn with_another_key(&mut self, target: &Target) {
        let person = self.people[0].clone();
        let envelope = signed_by(&person.record(Self::like(target)), &self.people[1].device);
        let ops = person.keys.ops().cloned().collect();
        let delivery = Self::delivery(&mut self.log, &self.domain, (&person, ops), &envelope);
        self.people[0] = person;
        self.deliver(&target.domain, delivery, &self.log).await;
    }

    /// Somebody new who claims an honest person's address.
    async fn under_anothers_address(&mut self, target: &Target, victim: &TestAccount) {
        let person = TestAccount::new(&victim.address().to_string(), 112 + self.rng.below(10) as u8);
        let envelope = person.record(Self::like(target)).sign(&person.device);
        let ops = person.keys.ops().cloned().collect();
        let delivery = Self::delivery(&mut self.log, &self.domain, (&person, ops), &envelope);
        self.deliver(&target.domain, delivery, &self.log).await;
    }

    /// A device that an honest person never added.
    async fn with_anothers_keys(&mut self, target: &Target, victim: &TestAccount) {
        let device = self.people[0].device.id();
        let action = Action::DeviceAdd { device, name: FORGED.to_owned() };
        let follows = Some((victim.id(), victim.keys.head()));
        let op = NewOp { follows, action, at: 1_767_225_600_000, salt: mesh_proto::bytes::Salt(random(&*self.rng)) };
        let mut ops: Vec<LoggedOp> = victim.keys.ops().cloned().collect();
        ops.push(LoggedOp { envelope: op.sign(&self.people[0].device), received: 1_767_225_600_000 });
        self.post(&target.domain, "/mesh/v1/keys", &KeysPush { account: victim.id(), ops }).await;
    }
}
