//! Intake: records delivered by other domains.
//!
//! Checks run from cheap to dear: frame, checkpoint, one proof for all leaves, then each record. Nothing is fetched: what is missing is asked of the sender.
//! Deliveries of one domain are stored one after the other, so that two of them never decide about the same actor at once; their signatures are
//! verified before that, side by side. A delivery is one batch, but where a statement reads what another one in it writes. A crash leaves what was
//! answered, and of a delivery under way a beginning.

use crate::accounts::{Account, Accounts, Sender, refused_use};
use crate::bodies::Bodies;
use crate::bus::Bus;
use crate::error::{NodeError, Result};
use crate::index::{Indexer, Statement, early_count_key, early_key, early_retract};
use crate::log::Log;
use crate::objects::Objects;
use crate::peers::{Peer, Peers};
use crate::pin::Pin;
use crate::queue;
use crate::tables::codec::Reader;
use crate::tables::reference::{Reference, TombstoneRow};
use crate::tables::{AccountLid, HERE, Lid, ObjectLid, OriginNo, PeerNo, subscribers_key};
use mesh_proto::api::{Delivery, DeliveryAnswer, DeliveryItem, DomainKeyUse, ItemResult, KeysKnown, code};
use mesh_proto::bytes::Hash;
use mesh_proto::envelope::{Kind, RecordId, id_of_pae};
use mesh_proto::key::AccountId;
use mesh_proto::keylog::{LogPosition, UseError};
use mesh_proto::limits::{BATCH_RECORDS_MAX, CLOCK_AHEAD_MS_MAX, KEY_OPS_MAX, LEAF_INDEX_MAX};
use mesh_proto::log::{Checkpoint, Opening, Origin, entry_hash, verify};
use mesh_proto::port::Clock;
use mesh_proto::record::{Content, Record, RecordError};
use mesh_store::{Kv, Read, Space};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// Retracts of records that are not here yet, kept for one log at most.
const EARLY_RETRACTS_MAX: i64 = 10_000;

/// Deliveries of one domain that may be under way at once.
const UNDER_WAY_MAX: usize = 8;

/// A peer's way in.
struct Lane {
    /// For its deliveries under way.
    places: Semaphore,
    /// What is stored of its present log; `None` before it was looked up. Held while a delivery is stored: two of one peer never decide about the same
    /// actor at once.
    stored: Mutex<Option<Stored>>,
}

/// The intake service.
pub struct Intake {
    pub(crate) kv: Arc<dyn Kv>,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) objects: Arc<Objects>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) bodies: Arc<Bodies>,
    pub(crate) log: Arc<Log>,
    pub(crate) bus: Arc<Bus>,
    pub(crate) clock: Arc<dyn Clock>,
    lanes: Mutex<BTreeMap<PeerNo, Arc<Lane>>>,
}

/// The services that it needs.
pub(crate) type Parts = (Arc<Accounts>, Arc<Objects>, Arc<Peers>, Arc<Bodies>, Arc<Log>);

/// A delivered record with what was computed of it.
struct Opened<'a> {
    item: &'a DeliveryItem,
    id: RecordId,
    pae: Vec<u8>,
    record: std::result::Result<Box<Record>, RecordError>,
}

/// A delivered record whose form and signature are good.
struct Verified<'a> {
    item: &'a DeliveryItem,
    id: RecordId,
    record: Box<Record>,
    actor: Arc<Account>,
}

/// What keeps records of some actors from being checked.
#[derive(Default)]
struct Missing {
    /// Actors whose key operations are to be sent along.
    wanted: BTreeMap<AccountId, KeysKnown>,
    /// Actors whose key operations came along and were refused.
    refused: BTreeMap<AccountId, NodeError>,
}

/// What became of an item before anything is stored.
enum Checked<'a> {
    Good(Verified<'a>),
    Refused(NodeError),
}

impl Intake {
    pub(crate) fn new(kv: Arc<dyn Kv>, parts: Parts, bus: Arc<Bus>, clock: Arc<dyn Clock>) -> Self {
        let (accounts, objects, peers, bodies, log) = parts;
        Self { kv, accounts, objects, peers, bodies, log, bus, clock, lanes: Mutex::default() }
    }

    /// Takes in a delivery whose request was signed by `peer`. Blocks until what it accepts is durable.
    pub fn deliver(&self, peer: &Peer, delivery: &Delivery) -> Result<DeliveryAnswer> {
        // One domain must not keep all threads waiting for its lane.
        let lane = self.lane(peer.no());
        let _place = lane.places.try_acquire().map_err(|_| NodeError::SlowDown { retry_after_s: 1 })?;
        let (checkpoint, opened) = self.check_frame(peer, delivery)?;
        let mut missing = self.merge_keys(peer, delivery, &opened)?;
        let mut checked = Vec::with_capacity(delivery.items.len());
        for item in opened {
            checked.push(self.check_item(peer, &delivery.origin, item, &mut missing)?);
        }
        if !missing.wanted.is_empty() {
            return Err(NodeError::KeysWanted(missing.wanted.into_values().collect()));
        }
        self.store(peer, (delivery, &checkpoint), checked)
    }

    /// Size and order, the checkpoint, the proof. Answers each record with what was computed of it, once.
    fn check_frame<'a>(&self, peer: &Peer, delivery: &'a Delivery) -> Result<(Checkpoint, Vec<Opened<'a>>)> {
        let items = &delivery.items;
        if items.is_empty() || items.len() > BATCH_RECORDS_MAX || delivery.keys.len() > BATCH_RECORDS_MAX {
            return Err(NodeError::refused(code::TOO_LARGE, format!("a delivery has 1 to {BATCH_RECORDS_MAX} records")));
        }
        if peer.origin() != Some(&delivery.origin) {
            return Err(NodeError::refused(code::NOT_HOME, "a domain delivers what its own present log holds: see its discovery document"));
        }
        if items.last().is_some_and(|item| item.index > LEAF_INDEX_MAX) {
            return Err(NodeError::refused(code::TOO_LARGE, "a leaf index is beyond 2^40 - 1"));
        }
        let key = peer.key(DomainKeyUse::Log).and_then(|key| key.verifier().ok());
        let key = key.ok_or_else(|| NodeError::refused(code::NOT_LOGGED, "the domain shows no usable log key"))?;
        let checkpoint = Checkpoint::open(&delivery.checkpoint, &delivery.origin, &key)
            .map_err(|error| NodeError::refused(code::NOT_LOGGED, error.to_string()))?;
        let mut opened = Vec::with_capacity(items.len());
        let mut leaves: Vec<(u64, Hash)> = Vec::with_capacity(items.len());
        for item in items {
            let pae = item.envelope.pae();
            let id = id_of_pae(&pae);
            let record = Record::open(&item.envelope).map(Box::new);
            let account = match &record {
                Ok(record) => record.head.actor,
                Err(_) => actor_of(item)?,
            };
            let opening = Opening { salt: item.salt, record: id, account, kind: item.envelope.kind(), received: item.received };
            leaves.push((item.index, entry_hash(&opening.entry())));
            opened.push(Opened { item, id, pae, record });
        }
        verify(checkpoint.size, &checkpoint.root, &leaves, &delivery.proof)
            .map_err(|error| NodeError::refused(code::NOT_LOGGED, error.to_string()))?;
        Ok((checkpoint, opened))
    }

    /// Merges the key operations that came along for the actors of these records. Operations that an actor's log refuses cost that actor's records only.
    fn merge_keys(&self, peer: &Peer, delivery: &Delivery, opened: &[Opened<'_>]) -> Result<Missing> {
        if delivery.keys.is_empty() {
            return Ok(Missing::default());
        }
        let actors: BTreeSet<AccountId> =
            opened.iter().filter_map(|item| item.record.as_ref().ok()).map(|record| record.head.actor).collect();
        let mut missing = Missing::default();
        for push in delivery.keys.iter().filter(|push| actors.contains(&push.account)) {
            if push.ops.len() > KEY_OPS_MAX {
                return Err(NodeError::refused(code::TOO_LARGE, "an account has more key operations than it may have"));
            }
            let sender = Sender { domain: Some(peer.domain()), now_ms: self.clock.now_ms() };
            match self.accounts.merge(&push.account, &push.ops, sender) {
                Ok(_) => {}
                Err(error @ (NodeError::Refused { .. } | NodeError::NotFound(_))) => drop(missing.refused.insert(push.account, error)),
                Err(error) => return Err(error),
            }
        }
        Ok(missing)
    }

    /// Form, key log, home and signature of one record. What only the sender can mend goes to `missing.wanted`.
    fn check_item<'a>(&self, peer: &Peer, origin: &Origin, opened: Opened<'a>, missing: &mut Missing) -> Result<Checked<'a>> {
        let refuse = |code, detail: String| Ok(Checked::Refused(NodeError::refused(code, detail)));
        let Opened { item, id, pae, record } = opened;
        let record = match record {
            Ok(record) => record,
            Err(error) => return refuse(code::MALFORMED, error.to_string()),
        };
        let now = self.clock.now_ms();
        if record.check_time(now).is_err() || item.received > now.saturating_add(CLOCK_AHEAD_MS_MAX) {
            return refuse(code::FUTURE, "the claimed or logged time lies in the future".into());
        }
        let known = self.accounts.get(&record.head.actor)?;
        let actor = match known {
            Some(actor) if actor.log.contains(&record.head.keys) => actor,
            known => {
                if let Some(error) = missing.refused.get(&record.head.actor) {
                    return Ok(Checked::Refused(error.clone()));
                }
                let head = known.map(|known| known.log.head());
                missing.wanted.insert(record.head.actor, KeysKnown { account: record.head.actor, head });
                return refuse(code::KEYS_WANTED, "its key operations are missing".into());
            }
        };
        if actor.home() != peer.domain() {
            return refuse(code::NOT_HOME, format!("its actor's key log names {} as home, not {}", actor.home(), peer.domain()));
        }
        let leaf = LogPosition { origin: origin.clone(), index: item.index };
        let verifier = match actor.log.check_open().and_then(|()| actor.log.check_use(&record.head.device, &record.head.keys, Some(&leaf)))
        {
            Ok(verifier) => *verifier,
            Err(error @ UseError::UnknownHead(_)) => return refuse(code::KEYS_WANTED, error.to_string()),
            Err(error) => return Ok(Checked::Refused(refused_use(&error))),
        };
        match verifier.verify(&pae, item.envelope.signature()) {
            Ok(()) => Ok(Checked::Good(Verified { item, id, record, actor })),
            Err(error) => refuse(code::BAD_SIGNATURE, error.to_string()),
        }
    }

    fn lane(&self, peer: PeerNo) -> Arc<Lane> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Lane { places: Semaphore::new(UNDER_WAY_MAX), stored: Mutex::new(None) });
        Arc::clone(lanes.entry(peer).or_insert_with(new))
    }

    /// Does what reads and writes a domain's statements, while nothing that it delivers is stored.
    pub(crate) fn alone<T>(&self, peer: PeerNo, work: impl FnOnce() -> T) -> T {
        let lane = self.lane(peer);
        let _stored = lane.stored.lock().unwrap_or_else(PoisonError::into_inner);
        work()
    }

    /// Indexes and stores what was verified, in as few batches as the statements allow. Answers the watermark too.
    fn store(&self, peer: &Peer, (delivery, checkpoint): (&Delivery, &Checkpoint), checked: Vec<Checked<'_>>) -> Result<DeliveryAnswer> {
        let end = delivery.items.last().map_or(0, |item| item.index + 1);
        if self.peers.origin_known(&delivery.origin).is_none() && !checked.iter().any(|item| matches!(item, Checked::Good(_))) {
            // Nothing is stored, and no log is numbered, for what is refused anyway.
            let refusals =
                checked.iter().map(|item| if let Checked::Refused(error) = item { refused(error) } else { Ok(ItemResult::Known) });
            return Ok(DeliveryAnswer { results: refusals.collect::<Result<_>>()?, watermark: end, cosignature: None });
        }
        let lane = self.lane(peer.no());
        let mut stored = lane.stored.lock().unwrap_or_else(PoisonError::into_inner);
        let subscribes = |item: &Checked<'_>| matches!(item, Checked::Good(verified) if verified.record.kind() == Kind::Subscribe);
        let _subscribing = checked.iter().any(subscribes).then(|| self.peers.subscribing());
        let origin = self.peers.origin_number(&delivery.origin)?;
        let mut known = match stored.take().filter(|stored| stored.origin == origin) {
            Some(stored) => stored,
            None => Stored::read(&*self.kv, &self.peers, origin)?,
        };
        let grown = known.pin.check(&*self.kv, (origin, delivery), checkpoint)?;
        let mut results = Vec::with_capacity(checked.len());
        let mut group = Group::default();
        for item in checked {
            let verified = match item {
                Checked::Good(verified) => verified,
                Checked::Refused(error) => {
                    results.push(refused(&error)?);
                    continue;
                }
            };
            let place = (Lid::new(origin, verified.item.index), known.last_leaf);
            if group.matters_to(&verified) {
                self.flush(std::mem::take(&mut group))?;
            }
            let mut result = self.index(peer, place, &verified, &mut group);
            if matches!(result, Err(NodeError::Refused { .. } | NodeError::NotFound(_))) && !group.batch.is_empty() {
                // What it needs may be in the group.
                self.flush(std::mem::take(&mut group))?;
                result = self.index(peer, place, &verified, &mut group);
            }
            results.push(match result {
                Ok(result) => result,
                Err(error) => refused(&error)?,
            });
            group.said.insert(said(&verified));
            known.last_leaf = known.last_leaf.max(Some(place.0.index()));
        }
        if grown {
            group.batch.put(Space::Pin, origin.0.to_be_bytes(), &delivery.checkpoint);
        }
        if known.cover(delivery.since, end) {
            group.batch.put(Space::Watermark, origin.0.to_be_bytes(), known.watermark.to_be_bytes());
        }
        self.flush(group)?;
        if grown {
            known.pin = Pin(Some(checkpoint.clone()));
        }
        let watermark = known.watermark;
        *stored = Some(known);
        let cosignature = if grown { self.log.cosign(&delivery.checkpoint, self.clock.now_ms()) } else { None };
        Ok(DeliveryAnswer { results, watermark, cosignature })
    }

    /// The number of leaves of the newest checkpoint of a domain's present log that was shown here.
    pub fn pinned(&self, peer: &Peer) -> Result<Option<u64>> {
        let Some(origin) = peer.origin().and_then(|origin| self.peers.origin_known(origin)) else { return Ok(None) };
        Ok(Pin::read(&*self.kv, &self.peers, origin)?.0.map(|checkpoint| checkpoint.size))
    }

    /// Below which leaf of a domain's present log everything that concerns this one is here.
    pub fn watermark(&self, peer: &Peer) -> Result<u64> {
        match peer.origin().and_then(|origin| self.peers.origin_known(origin)) {
            Some(origin) => watermark(&*self.kv, origin),
            None => Ok(0),
        }
    }

    fn index(&self, peer: &Peer, (lid, last_leaf): (Lid, Option<u64>), verified: &Verified<'_>, group: &mut Group) -> Result<ItemResult> {
        // Leaves come in order, so that a look at the table is needed only for old ones.
        let in_order = last_leaf.is_none_or(|last| lid.index() > last);
        if !in_order && self.is_known(lid, &verified.id)? {
            return Ok(ItemResult::Known);
        }
        if self.is_logged_again(verified, in_order)? {
            return Ok(ItemResult::Known);
        }
        let resolved = self.objects.resolve(&verified.record, &verified.actor)?;
        if !self.is_wanted(&verified.record, &verified.actor, resolved.object)? {
            return Err(NodeError::refused(
                code::OBJECT,
                "the record acts on nothing that is here, and nobody here subscribes to its actor",
            ));
        }
        let mut indexer = Indexer::new(&*self.kv);
        let statement = Statement {
            lid,
            peer: peer.no(),
            id: verified.id,
            received: verified.item.received,
            record: &verified.record,
            actor: &verified.actor,
            resolved,
        };
        if let Content::Retract(retract) = &verified.record.content {
            self.check_early(lid, &retract.object, &mut indexer)?;
        }
        indexer.apply(&statement)?;
        if let (Kind::Subscribe, Some(author)) = (verified.record.kind(), statement.resolved.object) {
            queue::backfill(&mut indexer, peer.no(), AccountLid(author.0))?;
        }
        if let Some(tombstone) = early_retract(&*self.kv, lid, &verified.id, verified.actor.lid)? {
            // It was withdrawn before it came: keep no more than that.
            let mut gone = Indexer::new(&*self.kv);
            gone.withdrawn_early(&statement, &tombstone);
            gone.batch.delete(Space::EarlyRetract, early_key(lid, &verified.id, verified.actor.lid));
            gone.batch.add(Space::Meta, early_count_key(lid), -1);
            group.batch.merge(gone.batch);
            return Ok(ItemResult::Accepted);
        }
        group.batch.merge(indexer.batch);
        group.news.extend(indexer.news);
        self.bodies.keep(&mut group.bodies, lid, &statement, verified.item)?;
        Ok(ItemResult::Accepted)
    }

    /// Whether a record concerns this domain: it acts on something here, or publishes for someone here who subscribes.
    fn is_wanted(&self, record: &Record, actor: &Account, object: Option<ObjectLid>) -> Result<bool> {
        if let Some(first) = record.content.revises() {
            return Ok(Reference::find(&*self.kv, first)?.is_some());
        }
        match record.kind() {
            Kind::Retract => Ok(true),
            Kind::Repost if object.is_some() => Ok(true),
            Kind::Post | Kind::Profile | Kind::Repost => {
                let subscribers = subscribers_key(actor.lid.into(), HERE);
                Ok(mesh_store::counter(&*self.kv, Space::CountByPeer, &subscribers)? > 0)
            }
            _ => Ok(object.is_some()),
        }
    }

    /// Whether a record is here under another leaf, or was and is withdrawn: the first time counts.
    fn is_logged_again(&self, verified: &Verified<'_>, in_order: bool) -> Result<bool> {
        if in_order && verified.record.kind().is_once_per_object() {
            // The later leaf takes the place of the earlier as if they were two records, and counts once; but what is withdrawn stays so.
            return Ok(TombstoneRow::get(&*self.kv, &verified.id)?.is_some());
        }
        Ok(Reference::find(&*self.kv, &verified.id)?.is_some())
    }

    fn is_known(&self, lid: Lid, id: &RecordId) -> Result<bool> {
        match Reference::get(&*self.kv, lid)? {
            None => Ok(false),
            Some(known) if known.id == *id => Ok(true),
            Some(_) => {
                Err(NodeError::refused(code::NOT_LOGGED, "another record was delivered with this leaf before: the log was rewritten"))
            }
        }
    }

    /// Early retracts of one log are counted, so that they cannot fill the disk.
    fn check_early(&self, lid: Lid, object: &RecordId, indexer: &mut Indexer<'_>) -> Result<()> {
        if Reference::find(&*self.kv, object)?.is_some() {
            return Ok(());
        }
        let counter = early_count_key(lid);
        if mesh_store::counter(&*self.kv, Space::Meta, counter.as_bytes())? >= EARLY_RETRACTS_MAX {
            return Err(NodeError::refused(code::OBJECT, "too many retracts of records that never came"));
        }
        indexer.batch.add(Space::Meta, counter, 1);
        Ok(())
    }

    fn flush(&self, mut group: Group) -> Result<()> {
        if group.batch.is_empty() {
            return Ok(());
        }
        self.bodies.put(&mut group.batch, &group.bodies)?;
        self.kv.commit(group.batch).wait()?;
        self.bus.publish(&group.news);
        Ok(())
    }
}

/// What is stored of a log.
struct Stored {
    origin: OriginNo,
    /// The highest leaf of which there is a reference.
    last_leaf: Option<u64>,
    /// Everything of interest below it is here.
    watermark: u64,
    /// The newest checkpoint.
    pin: Pin,
    /// Of what lies beyond: where parts begin and end that are here whole.
    ahead: BTreeMap<u64, u64>,
}

/// Parts of a log beyond the watermark that are remembered.
const AHEAD_MAX: usize = 64;

impl Stored {
    fn read(kv: &dyn Kv, peers: &Peers, origin: OriginNo) -> Result<Self> {
        let pin = Pin::read(kv, peers, origin)?;
        Ok(Self { origin, last_leaf: peers.last_leaf(origin)?, watermark: watermark(kv, origin)?, pin, ahead: BTreeMap::new() })
    }

    /// Notes that all of interest from `since` to `end` is here; answers whether the watermark moved.
    fn cover(&mut self, since: Option<u64>, end: u64) -> bool {
        let Some(since) = since else { return false };
        let before = self.watermark;
        if since <= end && self.ahead.len() < AHEAD_MAX {
            let known = self.ahead.entry(since).or_insert(end);
            *known = end.max(*known);
        } else if since <= before {
            self.watermark = before.max(end);
        }
        while let Some(part) = self.ahead.first_entry().filter(|part| *part.key() <= self.watermark) {
            self.watermark = self.watermark.max(part.remove());
        }
        self.watermark > before
    }
}

fn watermark(read: &dyn Read, origin: OriginNo) -> Result<u64> {
    let row = read.get(Space::Watermark, &origin.0.to_be_bytes())?;
    Ok(row.map_or(Ok(0), |row| Reader::new(&row, "watermark").u64())?)
}

/// What is stored together: statements of which none changes what a later one reads.
#[derive(Default)]
struct Group {
    said: BTreeSet<Said>,
    batch: mesh_store::Batch,
    news: Vec<crate::index::News>,
    bodies: Vec<crate::bodies::Kept>,
}

/// Who said what kind of thing, and about what: two of one actor that are alike in all three read what the other writes.
type Said = (AccountLid, Kind, [u8; 32]);

impl Group {
    /// Whether a statement is to be judged only after the group is stored. Of what it would only be refused for without the group, nothing is said here.
    fn matters_to(&self, verified: &Verified<'_>) -> bool {
        let actor = verified.actor.lid;
        let mut before = self.said.range((actor, Kind::Key, [0; 32])..=(actor, Kind::Report, [u8::MAX; 32]));
        match verified.record.kind() {
            Kind::Retract => before.next().is_some(),
            _ => self.said.contains(&said(verified)) || before.any(|(_, kind, _)| *kind == Kind::Retract),
        }
    }
}

fn said(verified: &Verified<'_>) -> Said {
    let content = &verified.record.content;
    let about = match content {
        Content::Profile(_) => [0; 32],
        _ => *content.once_about().or(content.revises().map(RecordId::hash)).unwrap_or(verified.id.hash()),
    };
    (verified.actor.lid, content.kind(), about)
}

/// The actor that a body names, before anything else of it is believed.
fn actor_of(item: &DeliveryItem) -> Result<AccountId> {
    #[derive(serde::Deserialize)]
    struct Actor {
        actor: AccountId,
    }
    let malformed = |_| NodeError::refused(code::MALFORMED, format!("the body of leaf {} names no actor", item.index));
    serde_json::from_slice::<Actor>(item.envelope.body()).map(|body| body.actor).map_err(malformed)
}

/// A refusal is the item's result; a failure of ours is the whole delivery's.
fn refused(error: &NodeError) -> Result<ItemResult> {
    match error {
        NodeError::Refused { code, detail } => Ok(ItemResult::Refused { code: (*code).to_owned(), detail: detail.clone() }),
        NodeError::NotFound(_) => Ok(ItemResult::Refused { code: error.code().to_owned(), detail: error.to_string() }),
        other => Err(other.clone()),
    }
}
