//! Intake: records delivered by other domains.
//!
//! Checks run from cheap to dear: frame, checkpoint, one proof for all leaves, then each record. Nothing is fetched: what is missing is asked of the sender.
//! Deliveries of one domain are stored one after the other, so that two of them never decide about the same actor at once; their signatures are
//! verified before that, side by side. A delivery is one batch, but where a statement reads what another one in it writes. A crash leaves what was
//! answered, and of a delivery under way a beginning.

use crate::accounts::{Account, Accounts, Sender, refused_use};
use crate::bodies::Bodies;
use crate::bus::Bus;
use crate::dating::Dates;
use crate::error::{NodeError, Result};
use crate::frame::{Frame, Opened};
use crate::index::group::Group;
use crate::index::{Indexer, Statement, early_count_key, early_key, early_retract};
use crate::log::Log;
use crate::objects::{Objects, Resolved};
use crate::peers::{Peer, Peers};
use crate::pin::Pin;
use crate::queue;
use crate::tables::account::copied_key;
use crate::tables::codec::Reader;
use crate::tables::payload::Payload;
use crate::tables::reference::{Reference, TombstoneRow};
use crate::tables::{AccountLid, HERE, Lid, OWN, ObjectLid, OriginNo, PeerNo, carried, subscribers_key};
use mesh_proto::address::Domain;
use mesh_proto::api::{Delivery, DeliveryAnswer, DeliveryItem, DomainKeyUse, ItemResult, KeysKnown, code};
use mesh_proto::envelope::{Kind, RecordId};
use mesh_proto::key::{AccountId, Verifier};
use mesh_proto::keylog::{LogPosition, UseError};
use mesh_proto::limits::{CLOCK_AHEAD_MS_MAX, KEY_OPS_MAX, LEAF_INDEX_MAX, MIRROR_BYTES_MAX};
use mesh_proto::log::Origin;
use mesh_proto::port::Clock;
use mesh_proto::record::{Content, Record};
use mesh_store::{Kv, Read, Space};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

mod forward;
mod staying;
mod times;

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
    /// The number for the next row that proves leaves of other logs.
    archives: Arc<AtomicU64>,
    lanes: Mutex<BTreeMap<PeerNo, Arc<Lane>>>,
}

/// The services that it needs.
pub(crate) type Parts = (Arc<Accounts>, Arc<Objects>, Arc<Peers>, Arc<Bodies>, Arc<Log>, Arc<AtomicU64>);

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
        let (accounts, objects, peers, bodies, log, archives) = parts;
        Self { kv, accounts, objects, peers, bodies, log, bus, clock, archives, lanes: Mutex::default() }
    }

    /// Takes in a delivery whose request was signed by `peer`. Blocks until what it accepts is durable. Records of another log than the peer's own belong to
    /// accounts that moved to it and brought them along.
    pub fn deliver(&self, peer: &Peer, delivery: &Delivery) -> Result<DeliveryAnswer> {
        self.take(peer, delivery, None)
    }

    /// The same; `asked_ms` is when this domain asked for it, if it did: then its checkpoint is not older than that.
    pub(crate) fn take(&self, peer: &Peer, delivery: &Delivery, asked_ms: Option<u64>) -> Result<DeliveryAnswer> {
        // One domain must not keep all threads waiting for its lane.
        let lane = self.lane(peer.no());
        self.peers.check_fork(&delivery.origin)?;
        let _place = lane.places.try_acquire().map_err(|_| NodeError::SlowDown { retry_after_s: 1 })?;
        let mut frame = self.frame(peer, delivery)?;
        let opened = std::mem::take(&mut frame.opened);
        let mut missing = self.merge_keys(peer, delivery, &opened)?;
        let mut checked = Vec::with_capacity(delivery.items.len());
        for item in opened {
            checked.push(self.check_item(peer, (&delivery.origin, frame.is_signed), item, &mut missing)?);
        }
        if !missing.wanted.is_empty() {
            return Err(NodeError::KeysWanted(missing.wanted.into_values().collect()));
        }
        self.store(peer, (delivery, &frame, asked_ms), checked)
    }

    /// The frame of a delivery. A domain's own records lie in its present log; those that its people brought along are proven under the key of the log that
    /// they lie in, if that is known.
    fn frame<'a>(&self, peer: &Peer, delivery: &'a Delivery) -> Result<Frame<'a>> {
        let domain = delivery.origin.domain();
        let is_past = peer.origin().is_some_and(|present| delivery.origin.number() < present.number());
        if domain == peer.domain() && peer.origin() != Some(&delivery.origin) && !is_past {
            return Err(NodeError::refused(code::NOT_HOME, "a domain delivers what its own present log holds: see its discovery document"));
        }
        // What nobody vouches for must not stand in the place of what the log may turn out to hold.
        let key = self.log_key(domain).ok_or_else(|| NodeError::refused(code::NOT_LOGGED, "no key of that log is known here"))?;
        let mut frame = Frame::open(delivery, Some(&key))?;
        if peer.origin() != Some(&delivery.origin) {
            frame.is_signed = self.is_as_pinned(delivery, &frame)?;
        }
        Ok(frame)
    }

    /// Whether a checkpoint of a log that grows no more, or is shown by another domain than its own, is the one that is pinned, if any is. If it is not,
    /// nothing shows that it is of the same log, and a place in it proves nothing; if it has the same size and another root, the log forked.
    fn is_as_pinned(&self, delivery: &Delivery, frame: &Frame<'_>) -> Result<bool> {
        let Some(no) = self.peers.origin_known(&delivery.origin).filter(|no| *no != OWN) else { return Ok(true) };
        let pin = Pin::read(&*self.kv, &self.peers, no)?;
        match &pin.0 {
            Some(known) if known.size != frame.checkpoint.size => Ok(false),
            Some(_) => pin.check((&*self.kv, &self.peers), (no, delivery), &frame.checkpoint).map(|_| true),
            None => Ok(true),
        }
    }

    /// The key that signs the checkpoints of a domain's log, if it is known.
    pub(crate) fn log_key(&self, domain: &Domain) -> Option<Verifier> {
        let key = match domain == self.peers.own_domain() {
            true => Some(self.log.key_id()),
            false => self.peers.get(domain).and_then(|peer| peer.key(DomainKeyUse::Log)),
        };
        key.and_then(|key| key.verifier().ok())
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
            let sender = Sender { domain: Some((peer.domain(), peer.no())), now_ms: self.clock.now_ms() };
            match self.accounts.merge(&push.account, &push.ops, sender) {
                Ok(merged) => self.bus.waiting_for(merged.moved_to),
                Err(error @ (NodeError::Refused { .. } | NodeError::NotFound(_))) => drop(missing.refused.insert(push.account, error)),
                Err(error) => return Err(error),
            }
        }
        Ok(missing)
    }

    /// Form, key log, home and signature of one record. What only the sender can mend goes to `missing.wanted`.
    fn check_item<'a>(
        &self,
        peer: &Peer,
        (origin, is_signed): (&Origin, bool),
        opened: Opened<'a>,
        missing: &mut Missing,
    ) -> Result<Checked<'a>> {
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
        if origin.domain() != peer.domain() && !actor.log.homes().contains(origin.domain()) {
            return refuse(code::NOT_HOME, format!("its actor never lived at {}", origin.domain()));
        }
        if actor.home() != peer.domain() {
            return refuse(code::NOT_HOME, format!("its actor's key log names {} as home, not {}", actor.home(), peer.domain()));
        }
        // Where nobody is known to vouch for the log, the place in it says nothing, and only a live device is believed.
        let leaf = is_signed.then(|| LogPosition { origin: origin.clone(), index: item.index });
        let verifier =
            match actor.log.check_open().and_then(|()| actor.log.check_use(&record.head.device, &record.head.keys, leaf.as_ref())) {
                Ok(verifier) => *verifier,
                Err(error @ UseError::UnknownHead(_)) => return refuse(code::KEYS_WANTED, error.to_string()),
                Err(error) => return Ok(Checked::Refused(refused_use(&error))),
            };
        if !missing.wanted.is_empty() {
            // The whole delivery comes once more, with the keys: its signatures are verified then.
            return refuse(code::KEYS_WANTED, "key operations of another actor are missing".into());
        }
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
    fn store(
        &self,
        peer: &Peer,
        (delivery, frame, asked_ms): (&Delivery, &Frame<'_>, Option<u64>),
        checked: Vec<Checked<'_>>,
    ) -> Result<DeliveryAnswer> {
        let end = delivery.items.last().map_or(0, |item| item.index + 1);
        if self.peers.origin_known(&delivery.origin).is_none() && !checked.iter().any(|item| matches!(item, Checked::Good(_))) {
            // Nothing is stored, and no log is numbered, for what is refused anyway.
            let refusals = checked.iter().map(|item| if let Checked::Refused(error) = item { error.item() } else { Ok(ItemResult::Known) });
            return Ok(DeliveryAnswer { results: refusals.collect::<Result<_>>()?, watermark: end, cosignature: None });
        }
        let lane = self.lane(peer.no());
        let mut stored = lane.stored.lock().unwrap_or_else(PoisonError::into_inner);
        let subscribes = |item: &Checked<'_>| matches!(item, Checked::Good(verified) if verified.record.kind() == Kind::Subscribe);
        let _subscribing = checked.iter().any(subscribes).then(|| self.peers.subscribing());
        let _staying = self.accounts.staying();
        let checked = self.still_there(peer, checked)?;
        let origin = self.peers.origin_number(&delivery.origin)?;
        if peer.origin() != Some(&delivery.origin) {
            let (results, group) = self.index_all(peer, (delivery, frame), (origin, &mut Some(LEAF_INDEX_MAX)), checked)?;
            self.flush(group)?;
            return Ok(DeliveryAnswer { results, watermark: end, cosignature: None });
        }
        let mut known = match stored.take().filter(|stored| stored.origin == origin) {
            Some(stored) => stored,
            None => Stored::read(&*self.kv, &self.peers, origin)?,
        };
        let grown = known.pin.check((&*self.kv, &self.peers), (origin, delivery), &frame.checkpoint)?;
        let checked = known.judge(&*self.kv, (peer, delivery), checked)?;
        let (results, mut writing) = self.index_all(peer, (delivery, frame), (origin, &mut known.last_leaf), checked)?;
        if grown {
            writing.group.batch.put(Space::Pin, origin.0.to_be_bytes(), &delivery.checkpoint);
        }
        if let Some(asked_ms) = asked_ms {
            known.dates.note(&mut writing.group.batch, origin, (frame.checkpoint.size, asked_ms));
        }
        if known.cover(delivery.since, end) {
            writing.group.batch.put(Space::Watermark, origin.0.to_be_bytes(), known.watermark.to_be_bytes());
        }
        self.flush(writing)?;
        if grown {
            known.pin = Pin(Some(frame.checkpoint.clone()));
        }
        let watermark = known.watermark;
        *stored = Some(known);
        let cosignature = if grown { self.log.cosign(&delivery.checkpoint, self.clock.now_ms()) } else { None };
        Ok(DeliveryAnswer { results, watermark, cosignature })
    }

    /// Judges what was verified, one after the other. Answers what is still to be stored.
    fn index_all(
        &self,
        peer: &Peer,
        (delivery, frame): (&Delivery, &Frame<'_>),
        (origin, last_leaf): (OriginNo, &mut Option<u64>),
        checked: Vec<Checked<'_>>,
    ) -> Result<(Vec<ItemResult>, Writing)> {
        let mut results = Vec::with_capacity(checked.len());
        let mut writing = Writing::default();
        for item in checked {
            let verified = match item {
                Checked::Good(verified) => verified,
                Checked::Refused(error) => {
                    results.push(error.item()?);
                    continue;
                }
            };
            let place = (Lid::new(origin, verified.item.index + self.peers.base_of(&delivery.origin)), *last_leaf);
            let (actor, id, record) = (verified.actor.lid, &verified.id, &*verified.record);
            if writing.group.matters_to(actor, id, record) {
                self.flush(writing.take())?;
            }
            let mut result = self.index(peer, place, &verified, &mut writing);
            if matches!(result, Err(NodeError::Refused { .. } | NodeError::NotFound(_))) && !writing.group.batch.is_empty() {
                // What it needs may be in the group.
                self.flush(writing.take())?;
                result = self.index(peer, place, &verified, &mut writing);
            }
            if std::mem::take(&mut writing.copy) {
                let sequence = self.archive(&mut writing, actor, (delivery, frame));
                keep_copy(&mut writing.group.batch, place.0, &verified, sequence);
            }
            results.push(result.or_else(|error| error.item())?);
            writing.group.note(actor, id, record);
            *last_leaf = (*last_leaf).max(Some(place.0.index()));
        }
        Ok((results, writing))
    }

    /// The number of leaves of the newest checkpoint of a domain's present log that was shown here.
    pub fn pinned(&self, peer: &Peer) -> Result<Option<u64>> {
        let Some(origin) = peer.origin().and_then(|origin| self.peers.origin_known(origin)) else { return Ok(None) };
        Ok(Pin::read(&*self.kv, &self.peers, origin)?.0.map(|checkpoint| checkpoint.size))
    }

    /// Below which leaf of a log everything that concerns this domain is here.
    pub(crate) fn watermark_of(&self, origin: OriginNo) -> Result<u64> {
        watermark(&*self.kv, origin)
    }

    /// Below which leaf of a domain's present log everything that concerns this one is here.
    pub fn watermark(&self, peer: &Peer) -> Result<u64> {
        match peer.origin().and_then(|origin| self.peers.origin_known(origin)) {
            Some(origin) => watermark(&*self.kv, origin),
            None => Ok(0),
        }
    }

    fn index(
        &self,
        peer: &Peer,
        (lid, last_leaf): (Lid, Option<u64>),
        verified: &Verified<'_>,
        writing: &mut Writing,
    ) -> Result<ItemResult> {
        // Leaves come in order, so that a look at the table is needed only for old ones.
        let in_order = last_leaf.is_none_or(|last| lid.index() > last);
        if !in_order && self.is_known(lid, &verified.id)? {
            if verified.record.kind() == Kind::Subscribe {
                self.resubscribe(peer, lid, verified, writing)?;
            }
            writing.copy = self.lacks_copy(lid, verified)?;
            return Ok(ItemResult::Known);
        }
        if lid.is_own() {
            return Err(NodeError::refused(code::NOT_LOGGED, "this domain's own log does not hold the record at that leaf"));
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
            ours: false,
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
            writing.group.add(gone);
            return Ok(ItemResult::Accepted);
        }
        writing.group.add(indexer);
        writing.copy = verified.record.kind() != Kind::Report && self.is_mirrored(&verified.actor)?;
        if !writing.copy {
            self.bodies.keep(&mut writing.bodies, lid, &statement, verified.item)?;
        }
        Ok(ItemResult::Accepted)
    }

    /// Whether this domain keeps a copy of what an account says: it agreed, the account names it, and there is room.
    fn is_mirrored(&self, account: &Account) -> Result<bool> {
        if !account.keeps || !account.log.view().mirrors().contains(self.peers.own_domain()) {
            return Ok(false);
        }
        let bytes = mesh_store::counter(&*self.kv, Space::Meta, copied_key(account.lid).as_bytes())?;
        Ok(bytes < MIRROR_BYTES_MAX as i64)
    }

    /// The row that proves a delivery's leaves, which is made when it is first needed.
    fn archive(&self, writing: &mut Writing, account: AccountLid, (delivery, frame): (&Delivery, &Frame<'_>)) -> u64 {
        let batch = &mut writing.group.batch;
        *writing.archive.get_or_insert_with(|| {
            let sequence = self.archives.fetch_add(1, Ordering::Relaxed);
            let archive = frame.archive(delivery);
            batch.add(Space::Meta, copied_key(account), (archive.checkpoint.len() + ARCHIVED_BYTES * archive.leaves.len()) as i64);
            archive.put(batch, sequence);
            sequence
        })
    }

    /// A subscription that is known comes from the home to which its subscriber moved: from now on it counts there.
    fn resubscribe(&self, peer: &Peer, lid: Lid, verified: &Verified<'_>, writing: &mut Writing) -> Result<()> {
        let Some(reference) = Reference::get(&*self.kv, lid)? else { return Ok(()) };
        let resolved = Resolved { object: reference.object, ..Resolved::default() };
        let (id, received, actor) = (verified.id, verified.item.received, &*verified.actor);
        let mut indexer = Indexer::new(&*self.kv);
        let statement = Statement { lid, peer: peer.no(), id, received, record: &verified.record, actor, ours: false, resolved };
        indexer.resubscribe(&statement)?;
        if let Some(author) = statement.resolved.object {
            queue::backfill(&mut indexer, peer.no(), AccountLid(author.0))?;
        }
        writing.group.add(indexer);
        Ok(())
    }

    /// Whether a record concerns this domain: it acts on something here, or publishes for someone here who subscribes.
    fn is_wanted(&self, record: &Record, actor: &Account, object: Option<ObjectLid>) -> Result<bool> {
        if let Some(first) = record.content.revises() {
            return Ok(Reference::find(&*self.kv, first)?.is_some());
        }
        match record.kind() {
            Kind::Report => Ok(object.is_some()),
            _ if self.is_mirrored(actor)? => Ok(true),
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
            let tombstone = TombstoneRow::get(&*self.kv, &verified.id)?;
            return Ok(tombstone.is_some_and(|tombstone| tombstone.signer == verified.actor.id()));
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

    fn flush(&self, writing: Writing) -> Result<()> {
        let Writing { mut group, bodies, .. } = writing;
        if group.batch.is_empty() {
            return Ok(());
        }
        self.bodies.put(&mut group.batch, &bodies)?;
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
    /// Of its times.
    dates: Dates,
    /// Of what lies beyond: where parts begin and end that are here whole.
    ahead: BTreeMap<u64, u64>,
}

/// Parts of a log beyond the watermark that are remembered.
const AHEAD_MAX: usize = 64;

impl Stored {
    fn read(kv: &dyn Kv, peers: &Peers, origin: OriginNo) -> Result<Self> {
        let pin = Pin::read(kv, peers, origin)?;
        let last_leaf = peers.last_leaf(origin)?;
        let dates = Dates::read(kv, origin, last_leaf)?;
        Ok(Self { origin, last_leaf, watermark: watermark(kv, origin)?, pin, dates, ahead: BTreeMap::new() })
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

/// What is about to be stored.
#[derive(Default)]
struct Writing {
    group: Group,
    bodies: Vec<crate::bodies::Kept>,
    /// Whether the statement that was just judged is to be kept whole.
    copy: bool,
    /// The row that proves the delivery's leaves, once there is one.
    archive: Option<u64>,
}

impl Writing {
    /// What is there, to be stored now; the delivery's proof stays the same.
    fn take(&mut self) -> Self {
        let archive = self.archive;
        std::mem::replace(self, Self { archive, ..Self::default() })
    }
}

/// What a kept record takes beside its body, and a proven leaf in what proves it, bytes.
const COPIED_ROWS_BYTES: usize = 400;
const ARCHIVED_BYTES: usize = 300;

/// Keeps a record of an account that asked this domain for a copy.
fn keep_copy(batch: &mut mesh_store::Batch, lid: Lid, verified: &Verified<'_>, sequence: u64) {
    let (item, envelope) = (verified.item, verified.item.envelope.clone());
    let (kind, record, account) = (envelope.kind(), verified.id, verified.actor.lid);
    batch.add(Space::Meta, copied_key(account), (envelope.body().len() + COPIED_ROWS_BYTES) as i64);
    Payload { kind, salt: item.salt, received: item.received, account, record, envelope: Some(envelope) }.put(batch, lid);
    carried::put(batch, lid, sequence);
}
