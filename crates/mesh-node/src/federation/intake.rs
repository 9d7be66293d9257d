//! Intake: records delivered by other domains.
//!
//! Checks run from cheap to dear: frame, checkpoint, one proof for all leaves, then each record. Nothing is fetched: what is missing is asked of the sender.
//! Deliveries of one domain are stored one after the other, so that two of them never decide about the same actor at once; their signatures are
//! verified before that, side by side. A delivery is one batch, but where a statement reads what another one in it writes. A crash leaves what was
//! answered, and of a delivery under way a beginning.

use crate::accounts::{Account, Accounts};
use crate::bodies::Bodies;
use crate::bus::Bus;
use crate::dating::Dates;
use crate::error::{NodeError, Result};
use crate::frame::Frame;
use crate::log::Log;
use crate::objects::Objects;
use crate::peers::{Peer, Peers};
use crate::pin::Pin;
use crate::tables::{OWN, OriginNo, PeerNo};
use mesh_proto::api::{Delivery, DeliveryAnswer, DeliveryItem, ItemResult, KeysKnown, code};
use mesh_proto::envelope::{Kind, RecordId};
use mesh_proto::key::AccountId;
use mesh_proto::limits::LEAF_INDEX_MAX;
use mesh_proto::port::Clock;
use mesh_proto::record::Record;
use mesh_store::{Kv, Space};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use stored::{Stored, watermark};
use tokio::sync::Semaphore;

mod checks;
mod forward;
mod gone;
mod staying;
mod stored;
mod storing;
mod times;

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
        let (mut frame, is_placed) = self.frame(peer, delivery)?;
        let opened = std::mem::take(&mut frame.opened);
        let mut missing = self.merge_keys(peer, delivery, &opened)?;
        let mut checked = Vec::with_capacity(delivery.items.len());
        for item in opened {
            checked.push(self.check_item(peer, (&delivery.origin, is_placed), item, &mut missing)?);
        }
        if !missing.wanted.is_empty() {
            return Err(NodeError::KeysWanted(missing.wanted.into_values().collect()));
        }
        self.store(peer, (delivery, &frame, asked_ms), checked)
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
        let is_numbered = frame.is_signed && self.peers.origin_known(&delivery.origin).is_some();
        if !is_numbered && !checked.iter().any(|item| matches!(item, Checked::Good(_))) {
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
        let origin = self.number(delivery, frame, &checked)?;
        if peer.origin() != Some(&delivery.origin) {
            let checked = match origin {
                OWN => checked,
                _ => times::judge(&mut Dates::of(&*self.kv, &self.peers, origin)?, &*self.kv, (peer, origin, delivery), checked)?,
            };
            let (results, group) = self.index_all(peer, (delivery, frame), (origin, &mut Some(LEAF_INDEX_MAX)), checked)?;
            self.flush(group)?;
            return Ok(DeliveryAnswer { results, watermark: end, cosignature: None });
        }
        let mut known = match stored.take().filter(|stored| stored.origin == origin) {
            Some(stored) => stored,
            None => Stored::read(&*self.kv, &self.peers, origin)?,
        };
        let grown = known.pin.check((&*self.kv, &self.peers), (origin, delivery), &frame.checkpoint)?;
        let checked = times::judge(&mut known.dates, &*self.kv, (peer, origin, delivery), checked)?;
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

    /// The number of a delivery's log. What nobody vouches for must not stand in the place of what the log may turn out to hold: it is kept apart, by account.
    fn number(&self, delivery: &Delivery, frame: &Frame<'_>, checked: &[Checked<'_>]) -> Result<OriginNo> {
        if frame.is_signed {
            return self.peers.origin_number(&delivery.origin);
        }
        let actors = checked.iter().filter_map(|item| if let Checked::Good(verified) = item { Some(verified.actor.id()) } else { None });
        let actors: BTreeSet<AccountId> = actors.collect();
        match (actors.first(), actors.len()) {
            (Some(actor), 1) => self.peers.brought_number(&delivery.origin, *actor),
            _ => Err(NodeError::refused(code::NOT_LOGGED, "nobody is known to vouch for that log: deliver each account's records alone")),
        }
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
}
