//! Comparing: what others keep of third domains' logs, against what is kept here.
//!
//! A domain that shows one log here and another there is found by nobody alone. So each asks its peers which checkpoints they have, every hour. Two notes of one size prove a fork by themselves; of two sizes the log's home must show that the one grew from the other. A peer
//! can make us ask others only about logs that we keep ourselves, and only [`GROWTHS_MAX`] times an hour; what it says is believed only as far as the log's own key
//! signed it.

#[cfg(test)]
mod tests;

use crate::error::{NodeError, Result};
use crate::intake::Intake;
use crate::log::Log;
use crate::peers::{Again, Peer, Peers};
use crate::tables::OriginNo;
use crate::tables::codec::{Reader, damaged};
use mesh_proto::api::{DomainKeyUse, EvidencePage, Growth, LogFork, PROBLEM_PREFIX, PinsPage, Problem};
use mesh_proto::limits::PAGE_MAX;
use mesh_proto::log::{Checkpoint, Origin, verify_consistency};
use mesh_proto::port::{Answer, Rng, Transport, random};
use mesh_store::{KeyRange, Kv, Order, Space};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Pages of pins that one peer is asked for at once; the next time it goes on from there.
const PAGES_MAX: usize = 4;
/// Proofs that homes are asked for because of what one peer says, at once.
const GROWTHS_MAX: usize = 16;
/// How often in a row a home may fail to prove that its log grew, while it shows its checkpoint, before that counts as a refusal. A day.
const UNPROVEN_MAX: u32 = 24;

/// A note with what it says; its signature is good.
#[derive(Clone)]
struct Seen {
    note: String,
    checkpoint: Checkpoint,
}

/// Two notes of one log of which its home must show that the one grew from the other.
struct Question {
    no: OriginNo,
    old: Seen,
    new: Seen,
}

/// What a home said.
enum Said {
    Grew(Growth),
    /// It gave another answer than the proof, or one that does not hold.
    Refused,
    /// It answered as something that is not well does.
    Unwell,
    Nothing,
}

/// The service that compares.
pub struct Comparing {
    kv: Arc<dyn Kv>,
    peers: Arc<Peers>,
    intake: Arc<Intake>,
    log: Arc<Log>,
    transport: Arc<dyn Transport>,
    rng: Arc<dyn Rng>,
    /// How often in a row a home did not prove what it should.
    unproven: Mutex<BTreeMap<OriginNo, u32>>,
    /// Where to go on in the lists of peers.
    places: Mutex<BTreeMap<crate::tables::PeerNo, u32>>,
}

impl Comparing {
    pub(crate) fn new(
        kv: Arc<dyn Kv>,
        services: (Arc<Peers>, Arc<Intake>, Arc<Log>),
        transport: Arc<dyn Transport>,
        rng: Arc<dyn Rng>,
    ) -> Self {
        let (peers, intake, log) = services;
        Self { kv, peers, intake, log, transport, rng, unproven: Mutex::default(), places: Mutex::default() }
    }

    /// The checkpoints that are kept here, for others to compare. `after` is the `next` of the page before. Blocks.
    pub fn pins(&self, after: Option<u32>) -> Result<PinsPage> {
        let from = after.map_or(0, |after| after.saturating_add(1));
        let rows = self.kv.scan(Space::Pin, &KeyRange::starting_at(from.to_be_bytes()), Order::Forward, PAGE_MAX)?;
        let last = if rows.len() < PAGE_MAX { None } else { rows.last() };
        let next = last.map(|(key, _)| Ok::<_, NodeError>(u32::from_be_bytes(Reader::new(key, "pin").array()?))).transpose()?;
        let notes = rows.iter().map(|(_, row)| std::str::from_utf8(row).map(str::to_owned).map_err(|_| damaged("pin").into()));
        Ok(PinsPage { notes: notes.collect::<Result<_>>()?, next })
    }

    /// The forks that are known here, for others to check. Blocks.
    pub fn evidence(&self, after: Option<u32>) -> Result<EvidencePage> {
        crate::forks::page(&*self.kv, after)
    }

    /// Compares what a domain keeps with what is kept here.
    pub async fn compare(self: &Arc<Self>, peer: &Arc<Peer>) -> Result<()> {
        let mut left = GROWTHS_MAX;
        let mut after = self.places.lock().unwrap_or_else(PoisonError::into_inner).get(&peer.no()).copied();
        for _ in 0..PAGES_MAX {
            let page: PinsPage = self.ask(peer, "/mesh/v1/pins", after).await?;
            let next = page.next.filter(|next| after.is_none_or(|after| *next > after));
            let questions = self.sort(peer, page.notes, Self::questions).await?;
            left = self.settle_some(questions, left).await?;
            after = next;
            if next.is_none() || left == 0 {
                break;
            }
        }
        {
            let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
            places.remove(&peer.no());
            places.extend(after.map(|after| (peer.no(), after)));
        }
        let page: EvidencePage = self.ask(peer, "/mesh/v1/evidence", None).await?;
        let questions = self.sort(peer, page.forks, Self::questions_of_fork).await?;
        self.settle_some(questions, left).await?;
        Ok(())
    }

    /// Looks at what a peer told, where waiting for the store is allowed.
    async fn sort<T: Send + 'static>(
        self: &Arc<Self>,
        peer: &Arc<Peer>,
        told: Vec<T>,
        look: fn(&Self, &Peer, T) -> Result<Vec<Question>>,
    ) -> Result<Vec<Question>> {
        if told.len() > PAGE_MAX {
            return Err(remote(peer, format!("it tells of more than {PAGE_MAX} logs at once")));
        }
        let (this, peer) = (Arc::clone(self), Arc::clone(peer));
        let sorted = tokio::task::spawn_blocking(move || {
            let mut questions = Vec::new();
            for one in told {
                questions.extend(look(&this, &peer, one)?);
            }
            Ok(questions)
        });
        sorted.await.map_err(|_| NodeError::Stopping)?
    }

    /// What is to be asked because of a pinned note.
    fn questions(&self, peer: &Peer, note: String) -> Result<Vec<Question>> {
        let Some((no, theirs)) = self.open(peer, &note)? else { return Ok(Vec::new()) };
        Ok(self.against_pin(no, theirs)?.into_iter().collect())
    }

    /// The same because of a fork that the peer found.
    fn questions_of_fork(&self, peer: &Peer, fork: LogFork) -> Result<Vec<Question>> {
        let (before, after) = (self.open(peer, &fork.before)?, self.open(peer, &fork.after)?);
        let (Some((no, before)), Some((other, after))) = (before, after) else { return Ok(Vec::new()) };
        if no != other || self.peers.forks().contains(no) {
            return Ok(Vec::new());
        }
        if before.checkpoint.size == after.checkpoint.size {
            if before.checkpoint.root != after.checkpoint.root {
                self.keep(no, &before, &after)?;
            }
            return Ok(Vec::new());
        }
        // Each may be the one that is kept here.
        let questions = [self.against_pin(no, before)?, self.against_pin(no, after)?];
        Ok(questions.into_iter().flatten().collect())
    }

    /// What a note says, if it is of a log that is known here and signed by its key. Of our own log it is judged at once.
    fn open(&self, peer: &Peer, note: &str) -> Result<Option<(OriginNo, Seen)>> {
        let Some(origin) = note.lines().next().and_then(|line| line.parse::<Origin>().ok()) else { return Ok(None) };
        if origin == *self.log.origin() {
            self.check_own(peer, note)?;
            return Ok(None);
        }
        let Some(no) = self.peers.origin_known(&origin) else { return Ok(None) };
        let key = self.peers.get(origin.domain()).and_then(|peer| peer.key(DomainKeyUse::Log)).and_then(|key| key.verifier().ok());
        let Some(key) = key else { return Ok(None) };
        match Checkpoint::open(note, &origin, &key) {
            Ok(checkpoint) => Ok(Some((no, Seen { note: note.to_owned(), checkpoint }))),
            Err(error) => {
                // It says something of the one who told, and nothing of the log.
                tracing::warn!(peer.domain = %peer.domain(), peer.log = %origin, error.message = %error, "compare.unsigned");
                Ok(None)
            }
        }
    }

    /// A note of our own log that it does not begin with was signed before a restore from a backup, or by somebody who has our key.
    fn check_own(&self, peer: &Peer, note: &str) -> Result<()> {
        let own = self.log.key_id().verifier().ok();
        let Some(shown) = own.and_then(|key| Checkpoint::open(note, self.log.origin(), &key).ok()) else { return Ok(()) };
        if !self.log.begins_with(&shown)? {
            // Put back from a backup, most likely: `meshd new-log` goes on in a log of its own.
            tracing::error!(peer.domain = %peer.domain(), pin.size = shown.size, log.size = self.log.size(), "compare.own_log_forked");
        }
        Ok(())
    }

    /// Compares a note with the one that is kept here.
    fn against_pin(&self, no: OriginNo, theirs: Seen) -> Result<Option<Question>> {
        if self.peers.forks().contains(no) {
            return Ok(None);
        }
        let Some(note) = self.kv.get(Space::Pin, &no.0.to_be_bytes())? else { return Ok(None) };
        let Some(checkpoint) = crate::pin::Pin::read(&*self.kv, &self.peers, no)?.0 else { return Ok(None) };
        let ours = Seen { note: String::from_utf8_lossy(&note).into_owned(), checkpoint };
        let (old, new) = if ours.checkpoint.size <= theirs.checkpoint.size { (ours, theirs) } else { (theirs, ours) };
        if old.checkpoint.size < new.checkpoint.size {
            return Ok(Some(Question { no, old, new }));
        }
        if old.checkpoint.root != new.checkpoint.root {
            self.keep(no, &old, &new)?;
        }
        Ok(None)
    }

    /// Keeps the proof of a fork, and says so once.
    fn keep(&self, no: OriginNo, old: &Seen, new: &Seen) -> Result<()> {
        if self.peers.forks().keep(no, old.checkpoint.size, (&old.note, &new.note))? {
            let sizes = (old.checkpoint.size, new.checkpoint.size);
            tracing::error!(peer.log = %old.checkpoint.origin, sizes.old = sizes.0, sizes.new = sizes.1, "compare.log_forked");
        }
        Ok(())
    }

    /// Asks homes what is to be asked, beginning anywhere, so that nobody can hide behind others for ever. Answers how often more may be asked.
    async fn settle_some(self: &Arc<Self>, mut questions: Vec<Question>, mut left: usize) -> Result<usize> {
        if !questions.is_empty() {
            let first = usize::from_be_bytes(random(&*self.rng)) % questions.len();
            questions.rotate_left(first);
        }
        for question in questions {
            if left == 0 {
                break;
            }
            left -= 1;
            self.settle(question).await?;
        }
        Ok(left)
    }

    async fn settle(self: &Arc<Self>, question: Question) -> Result<()> {
        let said = self.growth(&question).await;
        let refused = match said {
            Said::Grew(_) => false,
            Said::Nothing => return Ok(()),
            Said::Refused => self.is_well(&question.old.checkpoint.origin).await,
            Said::Unwell => self.is_well(&question.old.checkpoint.origin).await && self.is_too_often(&question),
        };
        let refused = refused && !self.is_left(&question.old.checkpoint.origin).await;
        let this = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || match said {
            Said::Grew(growth) => {
                this.unproven.lock().unwrap_or_else(PoisonError::into_inner).remove(&question.no);
                let Some(peer) = this.peers.get(question.new.checkpoint.origin.domain()) else { return Ok(()) };
                let new = (question.new.note.as_str(), &question.new.checkpoint);
                this.intake.pin_forward(&peer, question.no, new, &growth).map(drop)
            }
            _ if refused => this.keep(question.no, &question.old, &question.new),
            _ => Ok(()),
        });
        done.await.map_err(|_| NodeError::Stopping)?
    }

    /// Counts that a home did not prove what it should; answers whether that is enough.
    fn is_too_often(&self, question: &Question) -> bool {
        let origin = &question.old.checkpoint.origin;
        let mut unproven = self.unproven.lock().unwrap_or_else(PoisonError::into_inner);
        let times = unproven.entry(question.no).or_default();
        *times += 1;
        tracing::warn!(peer.log = %origin, times = *times, "compare.unproven");
        *times >= UNPROVEN_MAX
    }

    /// Asks a log's home for the proof that the one note grew from the other. Its home is a domain that is known here.
    async fn growth(&self, question: &Question) -> Said {
        let (old, new) = (&question.old.checkpoint, &question.new.checkpoint);
        let path = format!("/log/{}/growth?from={}&to={}", old.origin.number(), old.size, new.size);
        let Ok(answer) = self.transport.get(old.origin.domain(), &path).await else { return Said::Nothing };
        if answer.status != 200 {
            return if is_refusal(&answer) { Said::Refused } else { Said::Unwell };
        }
        match serde_json::from_slice::<Growth>(&answer.body) {
            Ok(growth) if verify_consistency((old.size, old.root), (new.size, new.root), &growth.proof).is_ok() => {
                Said::Grew(Growth { size: old.size, ..growth })
            }
            Ok(_) => Said::Refused,
            Err(_) => Said::Unwell,
        }
    }

    /// Whether a log's home shows a good checkpoint of it: then it could prove as well.
    async fn is_well(&self, origin: &Origin) -> bool {
        let key = self.peers.get(origin.domain()).and_then(|peer| peer.key(DomainKeyUse::Log)).and_then(|key| key.verifier().ok());
        let Ok(answer) = self.transport.get(origin.domain(), &format!("/log/{}/checkpoint", origin.number())).await else { return false };
        let note = String::from_utf8(answer.body).unwrap_or_default();
        answer.status == 200 && key.is_some_and(|key| Checkpoint::open(&note, origin, &key).is_ok())
    }

    /// Whether a log's home goes on in a later log: who was put back from a backup has lost the end of the one before, and does so for that.
    async fn is_left(&self, origin: &Origin) -> bool {
        let now = self.peers.discover_again(origin.domain(), Again::Now).await;
        let left = now.is_ok_and(|peer| peer.origin().is_some_and(|present| present.number() > origin.number()));
        if left {
            tracing::warn!(peer.log = %origin, "compare.log_was_left");
        }
        left
    }

    async fn ask<T: serde::de::DeserializeOwned>(&self, peer: &Peer, path: &str, after: Option<u32>) -> Result<T> {
        let path = after.map_or_else(|| path.to_owned(), |after| format!("{path}?after={after}"));
        let answer = self.transport.get(peer.domain(), &path).await.map_err(|error| remote(peer, error.to_string()))?;
        match answer.status {
            200 => serde_json::from_slice(&answer.body).map_err(|error| remote(peer, format!("its answer is malformed: {error}"))),
            status => Err(remote(peer, format!("HTTP status {status}"))),
        }
    }
}

/// Whether a MESH server refused, for good: what a proxy says, or one that is too busy, is no refusal.
fn is_refusal(answer: &Answer) -> bool {
    let problem = serde_json::from_slice::<Problem>(&answer.body).ok();
    matches!(answer.status, 400..=499)
        && answer.status != 429
        && problem.is_some_and(|problem| problem.problem_type.starts_with(PROBLEM_PREFIX))
}

fn remote(peer: &Peer, detail: String) -> NodeError {
    NodeError::Remote { domain: peer.domain().to_string(), detail }
}
