//! Another domain, played: its people, its log with proofs, its deliveries.

use crate::content::{Mix, Objects};
use crate::http::now_ms;
use crate::people::{Person, mixed};
use anyhow::Context;
use mesh_proto::address::Domain;
use mesh_proto::api::{Delivery, DeliveryItem, Discovery, DomainKey, DomainKeyUse, Growth, KeysPush, PolicyView, Pulled, RegistrationMode};
use mesh_proto::bytes::{Hash, Salt};
use mesh_proto::envelope::Envelope;
use mesh_proto::http_signature::ContentDigest;
use mesh_proto::key::SecretKey;
use mesh_proto::limits::BATCH_RECORDS_MAX;
use mesh_proto::log::{Checkpoint, Nodes, Opening, Origin, Tree, entry_hash, prove, prove_consistency};
use mesh_proto::record::Record;
use std::convert::Infallible;

/// A domain that delivers.
pub(crate) struct Sender {
    pub(crate) domain: Domain,
    pub(crate) request_key: SecretKey,
    pub(crate) people: Vec<Person>,
    log_key: SecretKey,
    origin: Origin,
    tree: Tree,
    nodes: Complete,
    /// How much each of its people has said.
    turns: Vec<u64>,
    /// Leaves made so far, for salts and for chance.
    made: u64,
    /// Sets its people's chances apart from those of other domains.
    seed: u64,
    /// The size of the last checkpoint.
    shown: u64,
    /// The first so many people do nothing but post.
    pub(crate) authors: usize,
}

/// The hashes of all complete subtrees, by height.
#[derive(Default)]
struct Complete(Vec<Vec<Hash>>);

impl Complete {
    fn push(&mut self, height: u32, hash: Hash) {
        if self.0.len() <= height as usize {
            self.0.push(Vec::new());
        }
        self.0[height as usize].push(hash);
    }
}

impl Nodes for Complete {
    type Error = Infallible;

    fn node(&mut self, height: u32, index: u64) -> Result<Hash, Infallible> {
        Ok(self.0[height as usize][index as usize])
    }
}

/// A delivery ready to be sent.
pub(crate) struct Packed {
    pub(crate) body: Vec<u8>,
    pub(crate) digest: ContentDigest,
    pub(crate) records: usize,
}

/// In what order people speak.
#[derive(Clone, Copy)]
pub(crate) enum Turns {
    /// One after the other.
    InOrder,
    /// By chance, so that one may speak twice within a delivery.
    ByChance,
}

impl Sender {
    pub(crate) fn new(domain: Domain, people: u64) -> anyhow::Result<Self> {
        let key = |purpose: &str| SecretKey::from_seed(ContentDigest::of(format!("{purpose} key of {domain}").as_bytes()).sha256());
        let seed = domain.as_str().bytes().fold(0, |seed, byte| mixed(seed ^ u64::from(byte)));
        Ok(Self {
            request_key: key("request"),
            log_key: key("log"),
            people: Person::many(&domain, people)?,
            origin: Origin::new(domain.clone(), 1),
            domain,
            tree: Tree::default(),
            nodes: Complete::default(),
            turns: vec![0; people as usize],
            made: 0,
            seed,
            shown: 0,
            authors: 0,
        })
    }

    /// What the domain says of itself.
    pub(crate) fn discovery(&self) -> Discovery {
        Discovery {
            versions: vec![1],
            domain: self.domain.clone(),
            keys: vec![
                DomainKey { id: self.request_key.id(), key_use: DomainKeyUse::Request },
                DomainKey { id: self.log_key.id(), key_use: DomainKeyUse::Log },
            ],
            origin: self.origin.clone(),
            software: "mesh-bench".to_owned(),
            limits: Default::default(),
            policy: PolicyView { registration: RegistrationMode::Closed, mirrors: false },
        }
    }

    /// The number of leaves of its log.
    pub(crate) fn size(&self) -> u64 {
        self.tree.size()
    }

    /// How its requests name their key.
    pub(crate) fn keyid(&self) -> String {
        format!("{}/{}", self.domain, self.request_key.id())
    }

    /// Logs a record of one of its people.
    pub(crate) fn log(&mut self, person: usize, envelope: Envelope) -> DeliveryItem {
        let mut salt = [0; 16];
        salt.copy_from_slice(&scattered(self.seed ^ self.made)[..16]);
        let received = now_ms();
        let opening = Opening { salt: Salt(salt), record: envelope.id(), account: self.people[person].id, kind: envelope.kind(), received };
        let item = DeliveryItem { index: self.tree.size(), salt: opening.salt, received, envelope };
        self.leaf(entry_hash(&opening.entry()));
        item
    }

    /// Logs what other domains will be told: the receiver of a delivery sees but a part of the log.
    pub(crate) fn log_for_others(&mut self) {
        self.leaf(Hash(scattered(self.made)));
    }

    fn leaf(&mut self, leaf: Hash) {
        let nodes = &mut self.nodes;
        self.tree.push(leaf, |height, _, hash| nodes.push(height, *hash));
        self.made += 1;
    }

    /// Deliveries of logged records, all under one checkpoint, so that their order does not matter.
    pub(crate) fn deliveries(&mut self, parts: Vec<Vec<DeliveryItem>>) -> Vec<Delivery> {
        let size = self.tree.size();
        let checkpoint = Checkpoint { origin: self.origin.clone(), size, root: self.tree.root() }.sign(&self.log_key);
        let shown = std::mem::replace(&mut self.shown, size);
        let grown = prove_consistency(&mut self.nodes, shown, size).unwrap_or_else(|never| match never {});
        let growth = grown.map(|proof| Growth { size: shown, proof });
        let mut since = shown;
        let deliveries = parts.into_iter().map(|items| {
            let indexes: Vec<u64> = items.iter().map(|item| item.index).collect();
            let end = indexes.last().map_or(since, |last| last + 1);
            let proof = prove(&mut self.nodes, size, &indexes).unwrap_or_else(|never| match never {});
            Delivery {
                origin: self.origin.clone(),
                checkpoint: checkpoint.clone(),
                proof: proof.expect("the leaves were logged in this order"),
                growth: growth.clone(),
                since: Some(std::mem::replace(&mut since, end)),
                items,
                keys: Vec::new(),
            }
        });
        deliveries.collect()
    }

    /// Pages of logged records as somebody who was away pulls them, each with the leaf from which on it is asked for. The first one shows that the log grew.
    pub(crate) fn missed(&mut self, parts: Vec<Vec<DeliveryItem>>) -> Vec<(u64, Pulled)> {
        let (count, size) = (parts.len(), self.tree.size());
        let same = prove_consistency(&mut self.nodes, size, size).unwrap_or_else(|never| match never {});
        let same = same.map(|proof| Growth { size, proof });
        let pages = self.deliveries(parts).into_iter().enumerate().map(|(at, mut delivery)| {
            if at > 0 {
                delivery.growth = same.clone();
            }
            let from = delivery.since.unwrap_or_default();
            let next = delivery.items.last().map_or(from, |last| last.index + 1);
            (from, Pulled { delivery: Some(delivery), next, more: at + 1 < count })
        });
        pages.collect()
    }

    /// One delivery of logged records.
    pub(crate) fn delivery(&mut self, items: Vec<DeliveryItem>) -> Delivery {
        self.deliveries(vec![items]).remove(0)
    }

    /// The next records of a mix of statements, as many as one delivery takes; every second leaf between them is for others.
    pub(crate) fn next(&mut self, mix: Mix, objects: &Objects, turns: Turns) -> Vec<DeliveryItem> {
        let items = (0..BATCH_RECORDS_MAX as u64).map(|_| {
            self.log_for_others();
            let next = self.made / 2;
            let person = match turns {
                Turns::InOrder => next,
                Turns::ByChance => mixed(next),
            };
            let person = (person % self.people.len() as u64) as usize;
            let turn = self.turns[person];
            self.turns[person] += 1;
            let speaker = &self.people[person];
            let mix = if person < self.authors { Mix::POSTS } else { mix };
            let content = mix.content(objects, mixed(self.seed ^ speaker.number), turn);
            let envelope = speaker.sign(content, self.made, now_ms());
            self.log(person, envelope)
        });
        items.collect()
    }

    /// The key logs of those who speak in a delivery.
    pub(crate) fn keys_of(&self, delivery: &Delivery) -> anyhow::Result<Vec<KeysPush>> {
        let keys = delivery.items.iter().map(|item| {
            let actor = Record::open(&item.envelope)?.head.actor;
            let speaker = self.people.iter().find(|person| person.id == actor).context("a stranger speaks")?;
            Ok(KeysPush { account: actor, ops: vec![speaker.genesis.clone()] })
        });
        keys.collect()
    }
}

/// Bytes that no compression makes shorter.
fn scattered(number: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (at, part) in bytes.chunks_exact_mut(8).enumerate() {
        part.copy_from_slice(&mixed(mixed(number) ^ at as u64).to_be_bytes());
    }
    bytes
}

impl Packed {
    /// As a server sends it: JSON in zstd.
    pub(crate) fn new(delivery: &Delivery) -> anyhow::Result<Self> {
        let body = zstd::bulk::compress(&serde_json::to_vec(delivery)?, 1)?;
        Ok(Self { digest: ContentDigest::of(&body), body, records: delivery.items.len() })
    }
}
