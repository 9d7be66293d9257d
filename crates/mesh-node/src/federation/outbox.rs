//! The outbox: the lanes that deliver what is queued ([`crate::queue`]).
//!
//! Each destination has at most one lane: a task that lives while there are rows. A lane that fails waits with full jitter; a sign of life of its
//! destination ends the wait. After a week in vain it waits for nothing else. Delivering twice changes nothing.

mod early;
mod sending;
mod silence;
#[cfg(test)]
mod tests;

use crate::accounts::Accounts;
use crate::error::{NodeError, Result};
use crate::log::Log;
use crate::moved::About;
use crate::peers::Peers;
use crate::queue::{self, Late, Waiting, expand};
use crate::rulings::Rulings;
use crate::tables::{AUTHOR, AccountLid, KEYS, PeerNo, RULED, outbox_key};
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use mesh_proto::address::Domain;
use mesh_proto::api::{KeysPush, RulingsPush};
use mesh_proto::limits::{BATCH_RECORDS_MAX, KEY_OP_BYTES_MAX, RULINGS_PUSH_MAX};
use mesh_proto::port::{Clock, Rng, Transport, random};
use mesh_store::{Batch, Kv, Space, StoreError};
use sending::check_status;
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
    /// What destinations do not know yet what to do with.
    pub(crate) early: Mutex<early::Early>,
}

/// Where deliveries go.
type Destination<'a> = (PeerNo, &'a Domain);

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
                () = self.until_early() => match self.queue_early().await {
                    Ok(peers) => due.extend(peers),
                    Err(error) => tracing::error!(error.message = %error, "outbox.not_queued"),
                },
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
            if alone {
                self.note_early(no, &delivered.early, &delivered.early);
            }
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
            for index in &dealt {
                batch.delete(Space::Late, outbox_key(no, *index));
            }
            self.kv.commit(batch).await?;
            self.note_early(no, &dealt, &delivered.early);
        }
        Ok(())
    }

    /// Sends the key operations of accounts. A destination that will not have them is told again with the account's next record.
    async fn send_keys(self: &Arc<Self>, (no, domain): Destination<'_>, accounts: Vec<AccountLid>) -> Result<()> {
        self.kv.commit(queue::begin(no, accounts.iter().map(|lid| KEYS | lid.0))).await?;
        for lid in accounts {
            let this = Arc::clone(self);
            let found = tokio::task::spawn_blocking(move || this.accounts.stored(lid));
            let account = found.await.map_err(|_| NodeError::Stopping)??;
            for part in account.log.ops_after(None).chunks(KEYS_BYTES_MAX / (KEY_OP_BYTES_MAX * 4 / 3 + KEY_OP_FRAME_BYTES)) {
                let answer = self.post(domain, "/mesh/v1/keys", &KeysPush { account: account.id(), ops: part.to_vec() }).await?;
                // 401 says nothing about the operations: who just started refuses what was signed before, and a copy that the network made is a replay.
                if matches!(answer.status, 401 | 408 | 425 | 429 | 500..) {
                    check_status(domain, &answer)?;
                }
            }
            self.end(no, KEYS | lid.0).await?;
        }
        Ok(())
    }

    /// Sends what was decided about accounts. A destination that will not have it need not.
    async fn send_rulings(self: &Arc<Self>, (no, domain): Destination<'_>, accounts: Vec<AccountLid>) -> Result<()> {
        self.kv.commit(queue::begin(no, accounts.iter().map(|lid| RULED | lid.0))).await?;
        for lid in accounts {
            let (this, to) = (Arc::clone(self), domain.clone());
            let found = tokio::task::spawn_blocking(move || this.rulings.for_domain(&*this.accounts.stored(lid)?, &to));
            for part in found.await.map_err(|_| NodeError::Stopping)??.chunks(RULINGS_PUSH_MAX) {
                let answer = self.post(domain, "/mesh/v1/rulings", &RulingsPush { rulings: part.to_vec() }).await?;
                if matches!(answer.status, 401 | 408 | 425 | 429 | 500..) {
                    check_status(domain, &answer)?;
                }
            }
            self.end(no, RULED | lid.0).await?;
        }
        Ok(())
    }

    async fn end(&self, no: PeerNo, number: u64) -> Result<()> {
        let mut batch = Batch::new();
        queue::end(&mut batch, no, number);
        self.commit_unless_noted_again(batch).await
    }

    /// Commits what ends a row. If it was put again meanwhile, it stays, and the lane comes by again.
    async fn commit_unless_noted_again(&self, batch: Batch) -> Result<()> {
        match self.kv.commit(batch).await {
            Ok(_) | Err(StoreError::ConditionFailed { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Looks up the newest posts of authors, and some of what was said here about accounts that moved to the destination.
    async fn expand(self: &Arc<Self>, no: PeerNo, rows: Vec<Late>) -> Result<()> {
        let authors = rows.iter().filter_map(|row| if let Late::Author(author) = row { Some(AUTHOR | author.0) } else { None });
        let begun = queue::begin(no, authors);
        if !begun.is_empty() {
            self.kv.commit(begun).await?;
        }
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
        self.commit_unless_noted_again(made.await.map_err(|_| NodeError::Stopping)??).await
    }
}

pub(crate) fn remote(domain: &Domain, detail: String) -> NodeError {
    NodeError::Remote { domain: domain.to_string(), detail }
}
