//! What this domain answers to another one that compares what it has with what went to it.
//!
//! Only the signing domain's own set is ever looked at. Between two messages nothing needs to be remembered; the sets that were read last are, so that a
//! later message does not read them again. What one peer may cost is bounded by a bucket of its own.

use super::sets::{self, Judge};
use crate::accounts::Accounts;
use crate::error::{NodeError, Result};
use crate::log::{Log, Part as LogPart};
use crate::outbox::Outbox;
use crate::peers::Peer;
use crate::queue;
use crate::tables::reference::{Reference, Standing, TombstoneRow};
use crate::tables::{Lid, OWN, PeerNo};
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use mesh_proto::api::{Fetch, Fetched, Reconcile, Reconciled, Settle, Settled, Verdict, code};
use mesh_proto::bytes::{base64url, from_base64url};
use mesh_proto::envelope::{Kind, RecordId};
use mesh_proto::limits::{BATCH_RECORDS_MAX, LEAF_INDEX_MAX, SET_ITEMS_MAX, SET_MESSAGE_BYTES_MAX};
use mesh_proto::log::Origin;
use mesh_proto::port::Clock;
use mesh_store::{Batch, Kv, Space};
use negentropy::{Id, Negentropy, NegentropyStorageVector};
use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;

/// Sets that are remembered, and for how long after they were read: at most about 85 MB, for seconds.
const SETS_KEPT: usize = 4;
const SET_LIFE_MS: u64 = 30_000;
/// Sets read at once for all peers together.
const READING_MAX: usize = 2;
/// What one peer may ask for: reading a set costs 16, a message 1. 64 sets at once, then one in four seconds.
const SET_COST: NonZeroU32 = NonZeroU32::new(16).expect("not 0");
const MESSAGE_COST: NonZeroU32 = NonZeroU32::new(1).expect("not 0");
const COST_PER_SECOND: NonZeroU32 = NonZeroU32::new(4).expect("not 0");
const COST_BURST: NonZeroU32 = NonZeroU32::new(1_024).expect("not 0");

/// Which part of whose set.
type SetName = (PeerNo, u64, u64, u64);

/// A set as it was read.
struct Kept {
    name: SetName,
    read_ms: u64,
    set: Arc<NegentropyStorageVector>,
}

/// The side that is asked.
pub(crate) struct Answers {
    pub(crate) kv: Arc<dyn Kv>,
    pub(crate) log: Arc<Log>,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) clock: Arc<dyn Clock>,
    kept: Mutex<VecDeque<Kept>>,
    reading: Semaphore,
    costs: DefaultKeyedRateLimiter<PeerNo>,
}

/// The services that it needs.
pub(crate) type Parts = (Arc<Accounts>, Arc<Log>, Arc<Outbox>);

impl Answers {
    pub(crate) fn new(kv: Arc<dyn Kv>, (accounts, log, outbox): Parts, clock: Arc<dyn Clock>) -> Self {
        let costs = RateLimiter::keyed(Quota::per_second(COST_PER_SECOND).allow_burst(COST_BURST));
        Self { kv, log, accounts, outbox, clock, kept: Mutex::default(), reading: Semaphore::new(READING_MAX), costs }
    }

    /// Answers one message. Blocks.
    pub(crate) fn reconcile(&self, peer: &Peer, asked: &Reconcile) -> Result<Reconciled> {
        let malformed = |words: String| NodeError::refused(code::MALFORMED, words);
        let base = self.part(&asked.origin)?.base;
        if asked.from >= asked.to || asked.to > LEAF_INDEX_MAX + 1 {
            return Err(malformed("a part goes from a leaf to a later one".into()));
        }
        let message = from_base64url(&asked.message, "message").map_err(|error| malformed(error.to_string()))?;
        if message.len() > SET_MESSAGE_BYTES_MAX {
            return Err(NodeError::refused(code::TOO_LARGE, format!("a message has at most {SET_MESSAGE_BYTES_MAX} bytes")));
        }
        self.charge(peer, MESSAGE_COST)?;
        let set = self.set(peer, (peer.no(), base, asked.from, asked.to))?;
        let exchange = Negentropy::borrowed(&*set, SET_MESSAGE_BYTES_MAX as u64);
        let answer = exchange.and_then(|mut exchange| exchange.reconcile(&message)).map_err(|error| malformed(error.to_string()))?;
        Ok(Reconciled { message: base64url(&answer) })
    }

    /// Deliveries of records that went to a peer, by their ids. Blocks.
    pub(crate) fn fetch(&self, peer: &Peer, asked: &Fetch) -> Result<Fetched> {
        let part = self.part(&asked.origin)?;
        check_count(asked.ids.len())?;
        let mut leaves = Vec::with_capacity(asked.ids.len());
        for id in &asked.ids {
            if let Some((lid, _)) = self.known(peer, id)?.filter(|(lid, _)| lid.is_own() && part.holds(lid.index())) {
                leaves.push(lid.index());
            }
        }
        leaves.sort_unstable();
        leaves.dedup();
        if leaves.is_empty() {
            return Ok(Fetched { delivery: None });
        }
        if part.base != self.log.base() {
            return Ok(Fetched { delivery: self.outbox.past_chunk(&leaves)?.delivery });
        }
        let head = self.log.head();
        let growth = asked.checkpoint.map(|size| self.log.prove_growth(&head, size)).transpose()?.flatten();
        Ok(Fetched { delivery: self.outbox.chunk(&leaves, (&head, growth), None)?.delivery })
    }

    /// Says what is the matter with records that only a peer counts, and notes which ones it refuses. Blocks.
    pub(crate) fn settle(&self, peer: &Peer, asked: &Settle) -> Result<Settled> {
        self.part(&asked.origin)?;
        check_count(asked.held.len())?;
        check_count(asked.refused.len())?;
        let mut batch = Batch::new();
        let mut held = Vec::with_capacity(asked.held.len());
        let home = self.log.origin().domain();
        let mut judge = Judge::new(&*self.kv, &self.accounts, home);
        for id in &asked.held {
            held.push(self.verdict(peer, id, (&mut judge, &mut batch))?);
        }
        for id in &asked.refused {
            if let Some((lid, _)) = self.known(peer, id)? {
                queue::put_refused(&mut batch, peer.no(), lid.0);
            }
        }
        self.kv.commit(batch).wait()?;
        Ok(Settled { held })
    }

    /// A log of this domain, the present one or one before it.
    fn part(&self, origin: &Origin) -> Result<LogPart> {
        let part = self.log.numbered(origin.number()).filter(|part| part.origin == *origin);
        part.ok_or_else(|| NodeError::refused(code::NOT_HOME, "this domain has no such log: see the discovery document"))
    }

    /// A record that went to a peer.
    fn known(&self, peer: &Peer, id: &RecordId) -> Result<Option<(Lid, Reference)>> {
        let Some(found) = Reference::find(&*self.kv, id)? else { return Ok(None) };
        let went = self.kv.get(Space::Outbox, &crate::tables::outbox_key(peer.no(), found.0.0))?;
        Ok(went.is_some().then_some(found))
    }

    fn verdict(&self, peer: &Peer, id: &RecordId, (judge, batch): (&mut Judge<'_>, &mut Batch)) -> Result<Verdict> {
        let Some((lid, reference)) = self.known(peer, id)? else { return Ok(Verdict::Nothing) };
        if !judge.lives_there(reference.actor)? {
            return Ok(Verdict::Elsewhere);
        }
        if judge.stands(&reference)? {
            // It has it, so that it does not refuse it.
            queue::put_wanted(batch, peer.no(), lid.0);
            return Ok(Verdict::Stands);
        }
        let withdrawn = match (reference.standing, reference.object) {
            (Standing::Superseded, _) => return Ok(Verdict::Superseded),
            (Standing::Edit, Some(first)) => Reference::get(&*self.kv, Lid(first.0))?.map(|first| first.id),
            _ => Some(reference.id),
        };
        let tombstone = withdrawn.map(|id| TombstoneRow::get(&*self.kv, &id)).transpose()?.flatten();
        let retract = tombstone.map(|tombstone| Reference::get(&*self.kv, Lid(tombstone.retract))).transpose()?.flatten();
        Ok(Verdict::Withdrawn { retract: retract.filter(|retract| retract.kind == Kind::Retract).map(|retract| retract.id) })
    }

    /// A part of a peer's set, from memory if it was read just now.
    fn set(&self, peer: &Peer, name: SetName) -> Result<Arc<NegentropyStorageVector>> {
        let now = self.clock.now_ms();
        let mut kept = self.kept();
        kept.retain(|kept| now.saturating_sub(kept.read_ms) < SET_LIFE_MS);
        if let Some(known) = kept.iter().find(|kept| kept.name == name) {
            return Ok(Arc::clone(&known.set));
        }
        drop(kept);
        self.charge(peer, SET_COST)?;
        let _reading = self.reading.try_acquire().map_err(|_| NodeError::SlowDown { retry_after_s: 1 })?;
        let (no, base, from, to) = name;
        let snapshot = self.kv.snapshot()?;
        let mut judge = Judge::new(&*snapshot, &self.accounts, self.log.origin().domain());
        // Leaves are numbered here across this domain's logs.
        let size = self.log.part(base).head.size;
        let (first, end) = (base + from.min(size), base + to.min(size));
        let mut part = sets::sent(&mut judge, no, (OWN, first, end), SET_ITEMS_MAX)?;
        part.members.iter_mut().for_each(|member| member.index -= base);
        if part.end < end {
            let words = format!("this part has more than {SET_ITEMS_MAX} records: ask for a smaller one");
            return Err(NodeError::refused(code::TOO_LARGE, words));
        }
        let set = Arc::new(storage(&part.members)?);
        let mut kept = self.kept();
        if kept.len() >= SETS_KEPT {
            kept.pop_front();
        }
        kept.push_back(Kept { name, read_ms: now, set: Arc::clone(&set) });
        Ok(set)
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn charge(&self, peer: &Peer, cost: NonZeroU32) -> Result<()> {
        match self.costs.check_key_n(&peer.no(), cost) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_until)) => {
                let wait = not_until.wait_time_from(DefaultClock::default().now());
                Err(NodeError::SlowDown { retry_after_s: wait.as_secs() + 1 })
            }
            Err(_) => Err(NodeError::SlowDown { retry_after_s: 60 }),
        }
    }
}

/// Puts a part into the form that is reconciled.
pub(crate) fn storage(members: &[sets::Member]) -> Result<NegentropyStorageVector> {
    let mut set = NegentropyStorageVector::with_capacity(members.len());
    let full = |error: negentropy::Error| NodeError::refused(code::INTERNAL, error.to_string());
    for member in members {
        set.insert(member.index, Id::from_byte_array(*member.id.hash())).map_err(full)?;
    }
    set.seal().map_err(full)?;
    Ok(set)
}

fn check_count(ids: usize) -> Result<()> {
    if ids <= BATCH_RECORDS_MAX {
        return Ok(());
    }
    Err(NodeError::refused(code::TOO_LARGE, format!("at most {BATCH_RECORDS_MAX} ids")))
}
