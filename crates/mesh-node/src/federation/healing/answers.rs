//! What this domain answers to another one that compares what it has with what went to it.
//!
//! Only the signing domain's own set is ever looked at. Between two messages nothing needs to be remembered; the sets that were read last are, so that a
//! later message does not read them again. What one peer may cost is bounded by a bucket of its own.
//!
//! A log is one of this domain's own, or one in which records lie that accounts brought along from another home.

use super::sets::{self, Judge, Member};
use crate::accounts::Accounts;
use crate::error::{NodeError, Result};
use crate::log::{Log, Part as LogPart};
use crate::outbox::Outbox;
use crate::peers::Peer;
use crate::queue;
use crate::tables::account::arriving;
use crate::tables::reference::{Reference, Standing, TombstoneRow};
use crate::tables::{Lid, OWN, OriginNo, PeerNo, carried};
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
use std::collections::{BTreeSet, VecDeque};
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

/// How long after an account came here more may come that it brings along, whatever its device says, milliseconds.
const ARRIVING_MS_MAX: u64 = 7 * 24 * 3_600_000;

/// Which part of which log's set, and whose.
type SetName = (PeerNo, Origin, u64, u64);

/// A log for whose records this domain answers.
enum Source {
    /// Its own, the present one or one before it.
    Own(LogPart),
    /// Another domain's, by all numbers under which accounts brought records along from it.
    Carried(Origin, Vec<OriginNo>),
}

impl Source {
    fn holds(&self, lid: Lid) -> bool {
        match self {
            Self::Own(part) => lid.is_own() && part.holds(lid.index()),
            Self::Carried(_, numbers) => numbers.contains(&lid.origin()),
        }
    }
}

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
        let source = self.source(&asked.origin)?;
        if asked.from >= asked.to || asked.to > LEAF_INDEX_MAX + 1 {
            return Err(malformed("a part goes from a leaf to a later one".into()));
        }
        let message = from_base64url(&asked.message, "message").map_err(|error| malformed(error.to_string()))?;
        if message.len() > SET_MESSAGE_BYTES_MAX {
            return Err(NodeError::refused(code::TOO_LARGE, format!("a message has at most {SET_MESSAGE_BYTES_MAX} bytes")));
        }
        self.charge(peer, MESSAGE_COST)?;
        let set = self.set(peer, &source, (peer.no(), asked.origin.clone(), asked.from, asked.to))?;
        let exchange = Negentropy::borrowed(&*set, SET_MESSAGE_BYTES_MAX as u64);
        let answer = exchange.and_then(|mut exchange| exchange.reconcile(&message)).map_err(|error| malformed(error.to_string()))?;
        Ok(Reconciled { message: base64url(&answer) })
    }

    /// A delivery of records that went to a peer, by their ids: of those that lie in the log, or if none do, of others. Blocks.
    pub(crate) fn fetch(&self, peer: &Peer, asked: &Fetch) -> Result<Fetched> {
        let source = self.source(&asked.origin)?;
        check_count(asked.ids.len())?;
        let mut there = BTreeSet::new();
        let mut elsewhere = BTreeSet::new();
        for id in &asked.ids {
            if let Some((lid, _)) = self.known(peer, id)? {
                if source.holds(lid) {
                    there.insert(lid.0)
                } else {
                    elsewhere.insert(lid.0)
                };
            }
        }
        let numbers: Vec<u64> = if there.is_empty() { elsewhere } else { there }.into_iter().collect();
        let head = self.log.head();
        let mut rest = numbers.as_slice();
        while !rest.is_empty() {
            let growth = asked.checkpoint.map(|size| self.log.prove_growth(&head, size)).transpose()?.flatten();
            let chunk = self.outbox.first_chunk(rest, (&head, growth), None)?;
            if chunk.delivery.is_some() {
                return Ok(Fetched { delivery: chunk.delivery });
            }
            rest = &rest[chunk.indexes.len()..];
        }
        Ok(Fetched { delivery: None })
    }

    /// Says what is the matter with records that only a peer counts, and notes which ones it refuses. Blocks.
    pub(crate) fn settle(&self, peer: &Peer, asked: &Settle) -> Result<Settled> {
        let source = self.source(&asked.origin)?;
        check_count(asked.held.len())?;
        check_count(asked.refused.len())?;
        let mut batch = Batch::new();
        let mut held = Vec::with_capacity(asked.held.len());
        let home = self.log.origin().domain();
        let mut judge = Judge::new(&*self.kv, &self.accounts, home);
        for id in &asked.held {
            held.push(match self.answered_for(peer, id)? {
                Some(found) => self.verdict(peer, found, (&mut judge, &mut batch))?,
                None => self.unknown(peer, (&source, id), &mut batch)?,
            });
        }
        for id in &asked.refused {
            if let Some((lid, _)) = self.known(peer, id)? {
                queue::put_refused(&mut batch, peer.no(), lid.0);
            }
        }
        self.kv.commit(batch).wait()?;
        Ok(Settled { held })
    }

    /// The log that a request names.
    fn source(&self, origin: &Origin) -> Result<Source> {
        let refused = |words| NodeError::refused(code::NOT_HOME, words);
        if origin.domain() == self.log.origin().domain() {
            let part = self.log.numbered(origin.number()).map(Source::Own);
            return part.ok_or_else(|| refused("this domain has no such log: see the discovery document"));
        }
        let mut carried = Vec::new();
        for no in self.outbox.peers.numbers_of(origin) {
            if carried::is_brought(&*self.kv, no)? {
                carried.push(no);
            }
        }
        match carried.is_empty() {
            true => Err(refused("this domain answers for no record that lies in that log")),
            false => Ok(Source::Carried(origin.clone(), carried)),
        }
    }

    /// A record that went to a peer.
    fn known(&self, peer: &Peer, id: &RecordId) -> Result<Option<(Lid, Reference)>> {
        let Some(found) = Reference::find(&*self.kv, id)? else { return Ok(None) };
        Ok(self.went(peer, found.0)?.then_some(found))
    }

    fn went(&self, peer: &Peer, lid: Lid) -> Result<bool> {
        Ok(self.kv.get(Space::Outbox, &crate::tables::outbox_key(peer.no(), lid.0))?.is_some())
    }

    /// A record that went to a peer, or that its author brought along: an earlier home may have sent it to anybody, and who knows its id has seen it.
    fn answered_for(&self, peer: &Peer, id: &RecordId) -> Result<Option<(Lid, Reference)>> {
        let Some((lid, reference)) = Reference::find(&*self.kv, id)? else { return Ok(None) };
        let answers = self.went(peer, lid)? || carried::is_carried(&*self.kv, lid)?;
        Ok(answers.then_some((lid, reference)))
    }

    fn verdict(&self, peer: &Peer, (lid, reference): (Lid, Reference), (judge, batch): (&mut Judge<'_>, &mut Batch)) -> Result<Verdict> {
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
        let retract = withdrawn.map(|id| self.retract_of(peer, &id, batch)).transpose()?.flatten();
        Ok(Verdict::Withdrawn { retract })
    }

    /// A record that neither went to the peer nor came along. It may have been withdrawn before its author came, or may still come.
    fn unknown(&self, peer: &Peer, (source, id): (&Source, &RecordId), batch: &mut Batch) -> Result<Verdict> {
        let Source::Carried(origin, _) = source else { return Ok(Verdict::Nothing) };
        if let Some(retract) = self.retract_of(peer, id, batch)? {
            return Ok(Verdict::Withdrawn { retract: Some(retract) });
        }
        Ok(if self.is_awaited(origin)? { Verdict::Elsewhere } else { Verdict::Nothing })
    }

    /// The record that withdrew another one, which the peer may fetch from now on.
    fn retract_of(&self, peer: &Peer, id: &RecordId, batch: &mut Batch) -> Result<Option<RecordId>> {
        let Some(tombstone) = TombstoneRow::get(&*self.kv, id)? else { return Ok(None) };
        let lid = Lid(tombstone.retract);
        let Some(retract) = Reference::get(&*self.kv, lid)?.filter(|retract| retract.kind == Kind::Retract) else { return Ok(None) };
        if !self.went(peer, lid)? && (lid.is_own() || carried::is_carried(&*self.kv, lid)?) {
            queue::put_wanted(batch, peer.no(), lid.0);
        }
        Ok(Some(retract.id))
    }

    /// Whether some account that lived at a log's domain is still bringing along what it said.
    fn is_awaited(&self, origin: &Origin) -> Result<bool> {
        let now = self.clock.now_ms();
        for (account, since_ms) in arriving(&*self.kv)? {
            if now.saturating_sub(since_ms) < ARRIVING_MS_MAX && self.accounts.by_lid(account)?.log.homes().contains(origin.domain()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A part of a peer's set, from memory if it was read just now.
    fn set(&self, peer: &Peer, source: &Source, name: SetName) -> Result<Arc<NegentropyStorageVector>> {
        let now = self.clock.now_ms();
        let mut kept = self.kept();
        kept.retain(|kept| now.saturating_sub(kept.read_ms) < SET_LIFE_MS);
        if let Some(known) = kept.iter().find(|kept| kept.name == name) {
            return Ok(Arc::clone(&known.set));
        }
        drop(kept);
        self.charge(peer, SET_COST)?;
        let _reading = self.reading.try_acquire().map_err(|_| NodeError::SlowDown { retry_after_s: 1 })?;
        let members = self.members(peer, source, (name.2, name.3))?;
        let set = Arc::new(storage(&members)?);
        let mut kept = self.kept();
        if kept.len() >= SETS_KEPT {
            kept.pop_front();
        }
        kept.push_back(Kept { name, read_ms: now, set: Arc::clone(&set) });
        Ok(set)
    }

    /// Reads a part of a peer's set.
    fn members(&self, peer: &Peer, source: &Source, (from, to): (u64, u64)) -> Result<Vec<Member>> {
        let snapshot = self.kv.snapshot()?;
        let mut judge = Judge::new(&*snapshot, &self.accounts, self.log.origin().domain());
        // Leaves are numbered here across this domain's logs.
        let (numbers, base, size) = match source {
            Source::Own(part) => (&[OWN][..], part.base, self.log.part(part.base).head.size),
            Source::Carried(_, numbers) => (numbers.as_slice(), 0, LEAF_INDEX_MAX + 1),
        };
        let (first, end) = (base + from.min(size), base + to.min(size));
        let mut members = Vec::new();
        for no in numbers {
            let part = sets::sent(&mut judge, peer.no(), (*no, first, end), SET_ITEMS_MAX - members.len())?;
            if part.end < end {
                let words = format!("this part has more than {SET_ITEMS_MAX} records: ask for a smaller one");
                return Err(NodeError::refused(code::TOO_LARGE, words));
            }
            members.extend(part.members);
        }
        members.iter_mut().for_each(|member| member.index -= base);
        Ok(members)
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
