//! The outbox: the lanes that deliver what is queued ([`crate::queue`]).
//!
//! Each destination has at most one lane: a task that lives while there are rows. A lane that fails waits with full jitter; a sign of life of its
//! destination ends the wait. After a week in vain it waits for nothing else. Delivering twice changes nothing.

mod silence;
#[cfg(test)]
mod tests;

use crate::accounts::Accounts;
use crate::error::{NodeError, Result};
use crate::log::Log;
use crate::moved::About;
use crate::packing::{Chunk, checkpoint_size};
use crate::peers::Peers;
use crate::queue::{self, Late, Waiting, expand};
use crate::rulings::Rulings;
use crate::tables::{AccountLid, KEYS, PeerNo, RULED, outbox_key};
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use mesh_proto::address::Domain;
use mesh_proto::api::{
    Challenge, ChallengeRequest, Delivery, DeliveryAnswer, DomainKeyUse, ItemResult, KeysKnown, KeysPush, Problem, RulingsPush, code,
};
use mesh_proto::bytes::Salt;
use mesh_proto::envelope::{Envelope, Kind, RecordId};
use mesh_proto::key::AccountId;
use mesh_proto::keylog::LoggedOp;
use mesh_proto::limits::{BATCH_RECORDS_MAX, KEY_OP_BYTES_MAX, RULINGS_PUSH_MAX};
use mesh_proto::log::Cosignature;
use mesh_proto::port::{Answer, Clock, Rng, Transport, random};
use mesh_proto::record::Record;
use mesh_store::{Batch, Kv, Space};
use silence::Outcome;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};

/// Deliveries to one destination that may be under way at once.
pub(crate) const IN_FLIGHT: usize = 8;
/// First and longest wait after a failure.
const BACKOFF_MS: (u64, u64) = (10_000, 6 * 3_600_000);
/// Longest part of another domain's words in a log line, characters.
const EXCERPT_CHARS_MAX: usize = 200;
/// Bytes of key operations that go with a delivery or in one `keys` request; what is more goes ahead of the delivery.
const KEYS_BYTES_MAX: usize = 128 * 1024;
/// What stands around the body of a key operation on its way, bytes.
const KEY_OP_FRAME_BYTES: usize = 256;
/// Lanes start this long after a change, so that a burst of writes makes one delivery.
const GATHER: Duration = Duration::from_millis(5);

/// The outbox service.
pub struct Outbox {
    pub(crate) kv: Arc<dyn Kv>,
    pub(crate) log: Arc<Log>,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) rulings: Arc<Rulings>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) rng: Arc<dyn Rng>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) waiting: Arc<Waiting>,
    /// The sizes of our log of which destinations have checkpoints, as far as is remembered.
    pub(crate) shown: Mutex<BTreeMap<PeerNo, u64>>,
    /// The lanes that wait after a failure, each to be woken by a sign of life of its domain.
    pub(crate) asleep: Mutex<BTreeMap<PeerNo, Arc<Notify>>>,
}

/// Where deliveries go.
type Destination<'a> = (PeerNo, &'a Domain);

/// How often a destination may ask for something before it takes a delivery.
const WANTS_MAX: usize = 3;

/// How often a destination may set us back before that counts as a failure: one that lost what it had does so once.
const SET_BACKS_FREE: u32 = 2;

/// What a destination told of itself while a lane lived.
#[derive(Default)]
struct Told {
    /// The watermark that it told last.
    watermark: Option<u64>,
    /// How often it set us back.
    set_backs: u32,
}

impl Told {
    /// Counts set-backs: who sets us back again and again would be sent the same for ever.
    fn check(&mut self, domain: &Domain, before: u64, now: u64) -> Result<()> {
        if now > before {
            return Ok(());
        }
        self.set_backs = self.set_backs.saturating_add(1);
        if self.set_backs <= SET_BACKS_FREE {
            return Ok(());
        }
        Err(remote(domain, format!("it has set us back {} times: now it has nothing from leaf {now} on", self.set_backs)))
    }
}

/// What came of a delivery.
#[derive(Default)]
struct Delivered {
    /// Leaves that the destination refused because it does not know what they act on.
    early: Vec<u64>,
    /// Leaves that it refused for another reason: for ever.
    refused: Vec<u64>,
    /// The end of what it took.
    taken: Option<u64>,
    /// Its watermark.
    told: Option<u64>,
}

impl Outbox {
    /// Starts lanes where there is something to deliver, until aborted. The lanes end with it.
    pub(crate) async fn run(self: Arc<Self>) {
        // Dropping the set ends the lanes.
        let mut tasks = JoinSet::new();
        let mut lanes: BTreeMap<PeerNo, AbortHandle> = BTreeMap::new();
        let mut due = BTreeSet::new();
        let mut looked = false;
        loop {
            if !looked {
                match queue::pending(&*self.kv) {
                    Ok(left) => (due, looked) = (left, true),
                    Err(error) => tracing::error!(error.message = %error, "outbox.unreadable"),
                }
            }
            due.append(&mut self.waiting.take());
            lanes.retain(|_, lane| !lane.is_finished());
            // A lane that ends a moment too early to see a new row is started again: its destination stays due.
            let free: Vec<PeerNo> = due.extract_if(.., |peer| !lanes.contains_key(peer)).collect();
            for peer in free {
                let this = Arc::clone(&self);
                lanes.insert(peer, tasks.spawn(async move { this.lane(peer).await }));
            }
            tokio::select! {
                () = self.waiting.some.notified() => {}
                Some(_) = tasks.join_next() => {}
            }
            tokio::time::sleep(GATHER).await;
        }
    }

    /// A domain that was thought dead may be alive: if its lane waits, it tries again.
    pub fn sign_of_life(&self, peer: PeerNo) {
        if let Some(lane) = self.asleep().get(&peer) {
            lane.notify_one();
        }
    }

    fn asleep(&self) -> MutexGuard<'_, BTreeMap<PeerNo, Arc<Notify>>> {
        self.asleep.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits, at most until the domain shows a sign of life.
    async fn pause(&self, peer: PeerNo, wait: Duration) {
        let alive = Arc::clone(self.asleep().entry(peer).or_default());
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = alive.notified() => {}
        }
        self.asleep().remove(&peer);
    }

    /// Number of leaves that wait for a destination, at most `limit` in order and as many out of it.
    pub fn waiting(&self, peer: PeerNo, limit: usize) -> Result<usize> {
        let due = queue::leaves(&*self.kv, peer, queue::cursor(&*self.kv, peer)?, limit)?;
        Ok(due.len() + queue::late(&*self.kv, peer, limit)?.len())
    }

    async fn lane(self: Arc<Self>, no: PeerNo) {
        let Some(domain) = self.peers.by_no(no).map(|peer| peer.domain().clone()) else { return };
        let mut failures = 0u32;
        let mut told = Told::default();
        let mut silence = self.silence(no);
        loop {
            if self.rulings.check_domain(&domain).is_err() {
                // What waits for it waits until it is let in again.
                return;
            }
            if silence.is_too_long(self.clock.now_ms()) {
                tracing::warn!(peer.domain = %domain, "outbox.given_up");
                self.until_sign_of_life(no).await;
                failures = 0;
                silence = self.silence_after(no, silence, Outcome::Delivered).await;
            }
            match self.deliver_some((no, &domain), &mut told).await {
                Ok(true) => {
                    failures = told.set_backs.saturating_sub(SET_BACKS_FREE);
                    let outcome = if failures == 0 { Outcome::Delivered } else { Outcome::Failed };
                    silence = self.silence_after(no, silence, outcome).await;
                }
                Ok(false) => return,
                Err(error) => {
                    silence = self.silence_after(no, silence, Outcome::Failed).await;
                    let wait = self.backoff(&error, failures);
                    tracing::warn!(peer.domain = %domain, wait_ms = wait.as_millis() as u64, error.message = %error, "outbox.delivery_failed");
                    failures = failures.saturating_add(1);
                    self.pause(no, wait).await;
                }
            }
        }
    }

    /// What the receiver asks for, else full jitter.
    fn backoff(&self, error: &NodeError, failures: u32) -> Duration {
        if let NodeError::SlowDown { retry_after_s } = error {
            return Duration::from_secs((*retry_after_s).clamp(1, BACKOFF_MS.1 / 1000));
        }
        let ceiling = BACKOFF_MS.0.saturating_mul(1 << failures.min(20)).min(BACKOFF_MS.1);
        Duration::from_millis(u64::from_be_bytes(random(&*self.rng)) % ceiling)
    }

    /// Delivers some of what waits. Answers whether there was anything.
    async fn deliver_some(self: &Arc<Self>, to: Destination<'_>, told: &mut Told) -> Result<bool> {
        let (no, domain) = to;
        let late = queue::late(&*self.kv, no, BATCH_RECORDS_MAX * IN_FLIGHT)?;
        let cursor = queue::cursor(&*self.kv, no)?;
        let due = queue::leaves(&*self.kv, no, cursor, BATCH_RECORDS_MAX * IN_FLIGHT)?;
        if late.is_empty() && due.is_empty() {
            return Ok(false);
        }
        self.challenge(domain).await?;
        let (mut keys, mut ruled, mut records, mut expanded) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for number in late {
            match Late::new(number) {
                Late::Keys(account) => keys.push(account),
                Late::Record(lid) => records.push(lid.0),
                Late::Ruled(account) => ruled.push(account),
                more @ (Late::Author(_) | Late::Moved(_) | Late::Copy(_)) => expanded.push(more),
            }
        }
        if !keys.is_empty() {
            self.send_keys(to, keys).await?;
        } else if !ruled.is_empty() {
            self.send_rulings(to, ruled).await?;
        } else if !expanded.is_empty() {
            self.expand(no, expanded).await?;
        } else if records.is_empty() || (!due.is_empty() && records.iter().all(|lid| *lid < self.log.base())) {
            // What is left of a past log comes after what shows that there is a new one.
            let known = told.watermark.unwrap_or(cursor).min(cursor);
            let (watermark, moved) = self.deliver_due(to, (due, known), cursor).await?;
            told.watermark = Some(watermark);
            told.check(domain, cursor, moved)?;
        } else {
            self.deliver_late(to, records).await?;
        }
        Ok(true)
    }

    /// Delivers leaves in their order, several deliveries at once, and moves the cursor by what the destination says that it has: back, too, as a
    /// destination may have lost what it had. Answers the watermark that it told, and the cursor.
    async fn deliver_due(self: &Arc<Self>, to: Destination<'_>, (due, since): (Vec<u64>, u64), cursor: u64) -> Result<(u64, u64)> {
        let (no, domain) = to;
        let chunks = self.chunks(no, due, Some(since)).await?;
        let alone = chunks.len() == 1;
        let ends: Vec<u64> = chunks.iter().filter_map(|chunk| chunk.indexes.last()).map(|last| last + 1).collect();
        let mut under_way: FuturesOrdered<_> = chunks.into_iter().map(|chunk| self.deliver(to, chunk)).collect();
        let (mut taken, mut told, mut moved) = (since, None, cursor);
        for end in ends {
            let Some(delivered) = under_way.next().await.transpose()? else { break };
            taken = delivered.taken.unwrap_or(taken);
            told = told.max(delivered.told);
            moved = if told.is_none_or(|told| told >= taken) { end } else { told.unwrap_or(end) };
            let mut batch = Batch::new();
            queue::put_cursor(&mut batch, no, moved);
            // What came before the record that it needs, because several deliveries were under way, is sent once more.
            for index in &delivered.early {
                if alone {
                    queue::put_refused(&mut batch, no, *index);
                } else {
                    batch.put(Space::Late, outbox_key(no, *index), []);
                }
            }
            delivered.refused.iter().for_each(|index| queue::put_refused(&mut batch, no, *index));
            self.kv.commit(batch).await?;
        }
        if moved <= cursor && told == Some(since) {
            return Err(remote(domain, format!("it keeps saying that it has nothing from leaf {since} on, whatever it is sent")));
        }
        if moved <= cursor {
            tracing::warn!(peer.domain = %domain, cursor.before = cursor, cursor.now = moved, "outbox.set_back");
        }
        Ok((told.unwrap_or(since), moved))
    }

    /// Delivers leaves that the cursor has passed.
    async fn deliver_late(self: &Arc<Self>, to: Destination<'_>, late: Vec<u64>) -> Result<()> {
        let (no, _) = to;
        for chunk in self.chunks(no, late, None).await? {
            let dealt = chunk.indexes.clone();
            let delivered = self.deliver(to, chunk).await?;
            let mut batch = Batch::new();
            delivered.early.iter().chain(&delivered.refused).for_each(|index| queue::put_refused(&mut batch, no, *index));
            for index in dealt {
                batch.delete(Space::Late, outbox_key(no, index));
            }
            self.kv.commit(batch).await?;
        }
        Ok(())
    }

    /// Sends the key operations of accounts. A destination that will not have them is told again with the account's next record.
    async fn send_keys(self: &Arc<Self>, (no, domain): Destination<'_>, accounts: Vec<AccountLid>) -> Result<()> {
        for lid in accounts {
            let this = Arc::clone(self);
            let found = tokio::task::spawn_blocking(move || this.accounts.by_lid(lid));
            let account = found.await.map_err(|_| NodeError::Stopping)??;
            for part in account.log.ops_after(None).chunks(KEYS_BYTES_MAX / (KEY_OP_BYTES_MAX * 4 / 3 + KEY_OP_FRAME_BYTES)) {
                let answer = self.post(domain, "/mesh/v1/keys", &KeysPush { account: account.id(), ops: part.to_vec() }).await?;
                // 401 says nothing about the operations: who just started refuses what was signed before, and a copy that the network made is a replay.
                if matches!(answer.status, 401 | 408 | 425 | 429 | 500..) {
                    check_status(domain, &answer)?;
                }
            }
            let mut batch = Batch::new();
            batch.delete(Space::Late, outbox_key(no, KEYS | lid.0));
            self.kv.commit(batch).await?;
        }
        Ok(())
    }

    /// Sends what was decided about accounts. A destination that will not have it need not.
    async fn send_rulings(self: &Arc<Self>, (no, domain): Destination<'_>, accounts: Vec<AccountLid>) -> Result<()> {
        for lid in accounts {
            let (this, to) = (Arc::clone(self), domain.clone());
            let found = tokio::task::spawn_blocking(move || this.rulings.for_domain(&*this.accounts.by_lid(lid)?, &to));
            for part in found.await.map_err(|_| NodeError::Stopping)??.chunks(RULINGS_PUSH_MAX) {
                let answer = self.post(domain, "/mesh/v1/rulings", &RulingsPush { rulings: part.to_vec() }).await?;
                if matches!(answer.status, 401 | 408 | 425 | 429 | 500..) {
                    check_status(domain, &answer)?;
                }
            }
            let mut batch = Batch::new();
            batch.delete(Space::Late, outbox_key(no, RULED | lid.0));
            self.kv.commit(batch).await?;
        }
        Ok(())
    }

    /// Looks up the newest posts of authors, and some of what was said here about accounts that moved to the destination.
    async fn expand(self: &Arc<Self>, no: PeerNo, rows: Vec<Late>) -> Result<()> {
        let this = Arc::clone(self);
        let made = tokio::task::spawn_blocking(move || {
            let mut batch = Batch::new();
            let about = About { read: &*this.kv, peers: &this.peers, accounts: &this.accounts };
            for row in rows {
                match row {
                    Late::Author(author) => expand(&mut batch, &*this.kv, no, author)?,
                    Late::Moved(account) => about.go_on(&mut batch, no, account)?,
                    Late::Copy(account) => queue::copy(&mut batch, &*this.kv, no, account)?,
                    Late::Keys(_) | Late::Record(_) | Late::Ruled(_) => {}
                }
            }
            Ok::<_, NodeError>(batch)
        });
        self.kv.commit(made.await.map_err(|_| NodeError::Stopping)??).await?;
        Ok(())
    }

    /// Delivers a chunk. A destination that refuses it as a whole gets its records one by one, so that one of them keeps no other from it.
    async fn deliver(self: &Arc<Self>, to: Destination<'_>, chunk: Chunk) -> Result<Delivered> {
        let (no, domain) = to;
        let Chunk { indexes, delivery: Some(delivery) } = chunk else { return Ok(Delivered::default()) };
        let mut since = delivery.since.map(|since| self.log.base() + since);
        match self.send(to, delivery).await? {
            Ok(delivered) => return Ok(delivered),
            Err(words) if indexes.len() == 1 => {
                undeliverable(domain, indexes[0], &words);
                return Ok(Delivered { refused: indexes, ..Delivered::default() });
            }
            Err(_) => {}
        }
        let mut all = Delivered::default();
        for index in &indexes {
            for chunk in self.chunks(no, vec![*index], since).await? {
                let Some(delivery) = chunk.delivery else { continue };
                match self.send(to, delivery).await? {
                    Ok(delivered) => {
                        all.early.extend(delivered.early);
                        all.refused.extend(delivered.refused);
                        (all.taken, all.told) = (delivered.taken, all.told.max(delivered.told));
                        since = since.and(delivered.taken);
                    }
                    Err(words) => {
                        undeliverable(domain, *index, &words);
                        all.refused.push(*index);
                    }
                }
            }
        }
        Ok(all)
    }

    /// Sends a delivery; answers what came of it, or the destination's words if it will not have it as it is.
    async fn send(
        self: &Arc<Self>,
        (no, domain): Destination<'_>,
        mut delivery: Delivery,
    ) -> Result<std::result::Result<Delivered, String>> {
        let mut answer = self.post(domain, "/mesh/v1/deliveries", &delivery).await?;
        for _ in 0..WANTS_MAX {
            if answer.status != 409 {
                break;
            }
            let problem: Problem = self.parse(domain, &answer)?;
            match problem.code() {
                code::KEYS_WANTED => self.add_keys(domain, &mut delivery, problem.keys_wanted).await?,
                code::CHECKPOINT_WANTED if delivery.origin != *self.log.origin() => {
                    return Err(remote(domain, "it does not know yet that this log is a past one".into()));
                }
                code::CHECKPOINT_WANTED => delivery = self.shown_to_grow(domain, delivery, problem.checkpoint_wanted.unwrap_or(0)).await?,
                // No record is to blame: it all waits until somebody has looked into it.
                code::LOG_FORKED => return Err(remote(domain, excerpt(&problem.detail))),
                _ => return Ok(Err(excerpt(&problem.detail))),
            }
            answer = self.post(domain, "/mesh/v1/deliveries", &delivery).await?;
        }
        if matches!(answer.status, 400 | 409 | 413 | 422) {
            return Ok(Err(excerpt(&String::from_utf8_lossy(&answer.body))));
        }
        check_status(domain, &answer)?;
        let answer: DeliveryAnswer = self.parse(domain, &answer)?;
        if answer.results.len() != delivery.items.len() {
            return Err(remote(domain, "it answered another number of results than there were records".into()));
        }
        let (mut early, mut refused) = (Vec::new(), Vec::new());
        for (item, result) in delivery.items.iter().zip(&answer.results) {
            if let ItemResult::Refused { code, detail } = result {
                if code == code::OBJECT {
                    early.push(item.index)
                } else {
                    refused.push(item.index)
                }
                let (code, detail) = (excerpt(code), excerpt(detail));
                tracing::info!(peer.domain = %domain, leaf.index = item.index, refusal.code = code, refusal.detail = detail, "outbox.refused");
            }
        }
        self.note_shown((no, domain), &delivery, answer.cosignature);
        let base = self.log.base();
        let taken = delivery.items.last().map(|item| base + item.index + 1);
        Ok(Ok(Delivered { early, refused, taken, told: Some(base.saturating_add(answer.watermark)) }))
    }

    /// Adds the key operations that a destination asked for, once each, and only of those that the delivery is about.
    async fn add_keys(self: &Arc<Self>, domain: &Domain, delivery: &mut Delivery, wanted: Vec<KeysKnown>) -> Result<()> {
        let actors: BTreeSet<AccountId> = delivery.items.iter().filter_map(|item| actor_of(&item.envelope)).collect();
        let wanted = wanted.into_iter().filter(|known| actors.contains(&known.account)).map(|known| (known.account, known.head)).collect();
        delivery.keys = self.keys(domain, wanted).await?;
        Ok(())
    }

    /// Remembers which checkpoint a destination has, and keeps its cosignature.
    fn note_shown(&self, (no, domain): Destination<'_>, delivery: &Delivery, cosignature: Option<Cosignature>) {
        if delivery.origin != *self.log.origin() {
            return;
        }
        if let Some(size) = checkpoint_size(&delivery.checkpoint) {
            self.shown.lock().unwrap_or_else(PoisonError::into_inner).insert(no, size);
        }
        let key = self.peers.by_no(no).and_then(|peer| peer.key(DomainKeyUse::Log)).and_then(|key| key.verifier().ok());
        let (Some(cosignature), Some(key)) = (cosignature.filter(|cosignature| cosignature.domain() == domain), key) else { return };
        if let Err(error) = self.log.keep_cosignature(&delivery.checkpoint, &cosignature, &key) {
            tracing::warn!(peer.domain = %domain, error.message = %error, "outbox.bad_cosignature");
        }
    }

    /// The key operations that go with a delivery. Those of a log that is too long for that are sent ahead of it, in parts: else one long log
    /// would keep everybody's records from a destination.
    async fn keys(self: &Arc<Self>, domain: &Domain, wanted: BTreeMap<AccountId, Option<RecordId>>) -> Result<Vec<KeysPush>> {
        let mut along = Vec::new();
        let mut room = KEYS_BYTES_MAX;
        for (account, head) in wanted {
            let this = Arc::clone(self);
            let ops = tokio::task::spawn_blocking(move || this.accounts.expect(&account).map(|known| known.log.ops_after(head.as_ref())));
            let ops = ops.await.map_err(|_| NodeError::Stopping)??;
            let bytes: usize = ops.iter().map(op_bytes).sum();
            if bytes <= room {
                room -= bytes;
                along.push(KeysPush { account, ops });
                continue;
            }
            for part in ops.chunks(KEYS_BYTES_MAX / (KEY_OP_BYTES_MAX * 4 / 3 + KEY_OP_FRAME_BYTES)) {
                let answer = self.post(domain, "/mesh/v1/keys", &KeysPush { account, ops: part.to_vec() }).await?;
                check_status(domain, &answer)?;
            }
        }
        Ok(along)
    }

    /// Nothing is delivered to a domain that did not show, by signing our nonce, that it speaks this protocol.
    async fn challenge(self: &Arc<Self>, domain: &Domain) -> Result<()> {
        let peer = self.peers.discover(domain, None).await?;
        if peer.row.challenged {
            return Ok(());
        }
        let request = ChallengeRequest { from: self.peers.own_domain().clone(), nonce: Salt(random(&*self.rng)) };
        let answer = self.post(domain, "/mesh/v1/challenges", &request).await?;
        if answer.status != 200 {
            return Err(remote(domain, format!("it refuses our challenge with HTTP status {}", answer.status)));
        }
        let envelope: Envelope = self.parse(domain, &answer)?;
        let challenge: Challenge = mesh_proto::json::parse(envelope.body()).map_err(|error| remote(domain, error.to_string()))?;
        let key = peer.key(DomainKeyUse::Request).and_then(|key| key.verifier().ok());
        let signed = envelope.kind() == Kind::Challenge && key.is_some_and(|key| envelope.verify(&key).is_ok());
        if !signed || challenge.domain != *domain || challenge.from != request.from || challenge.nonce != request.nonce {
            return Err(remote(domain, "its answer to our challenge is not signed by its key".into()));
        }
        let this = Arc::clone(self);
        let domain = domain.clone();
        tokio::task::spawn_blocking(move || this.peers.challenged(&domain)).await.map_err(|_| NodeError::Stopping)?
    }

    async fn post(&self, domain: &Domain, path: &str, body: &impl serde::Serialize) -> Result<Answer> {
        let body = serde_json::to_vec(body).expect("API types have only plain fields");
        self.transport.post(domain, path, body).await.map_err(|error| remote(domain, error.to_string()))
    }

    fn parse<T: serde::de::DeserializeOwned>(&self, domain: &Domain, answer: &Answer) -> Result<T> {
        serde_json::from_slice(&answer.body).map_err(|error| remote(domain, format!("its answer is malformed: {error}")))
    }
}

fn op_bytes(op: &LoggedOp) -> usize {
    op.envelope.body().len() * 4 / 3 + KEY_OP_FRAME_BYTES
}

fn actor_of(envelope: &Envelope) -> Option<AccountId> {
    Record::open(envelope).ok().map(|record| record.head.actor)
}

fn undeliverable(domain: &Domain, leaf: u64, words: &str) {
    tracing::warn!(peer.domain = %domain, leaf.index = leaf, refusal.detail = words, "outbox.undeliverable");
}

fn check_status(domain: &Domain, answer: &Answer) -> Result<()> {
    match answer.status {
        200 => Ok(()),
        429 | 503 => Err(NodeError::SlowDown { retry_after_s: answer.retry_after_s.unwrap_or(10) }),
        status => Err(remote(domain, format!("HTTP status {status}: {}", excerpt(&String::from_utf8_lossy(&answer.body))))),
    }
}

/// As much of another domain's words as a log line holds.
fn excerpt(words: &str) -> String {
    words.chars().filter(|c| !c.is_control()).take(EXCERPT_CHARS_MAX).collect()
}

pub(crate) fn remote(domain: &Domain, detail: String) -> NodeError {
    NodeError::Remote { domain: domain.to_string(), detail }
}
