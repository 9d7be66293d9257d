//! The append thread: the one place where the home log grows.
//!
//! Accepted records, key operations and registrations wait in a bounded queue. Each round takes all that wait, gives them leaves in order, makes one
//! batch of everything they change, commits it durably and answers. Two entries of one account never share a round: the second one waits for
//! the next, so that what is read is what is true. What a closed account leaves behind is erased between rounds: [`crate::writing::closing`].
//!
//! A crash leaves either a whole round or nothing of it: leaves, payloads and indexes are one batch.

mod identities;

use crate::accounts::{Account, Accounts, refused_use};
use crate::bus::Bus;
use crate::error::{NodeError, Result};
use crate::index::{Indexer, News, Statement};
use crate::log::Log;
use crate::objects::Objects;
use crate::peers::Peers;
use crate::queue::{self, Routes};
use crate::records::known;
use crate::tables::payload::Payload;
use crate::tables::{AccountLid, HERE, Lid, OWN, report};
use crate::writing::arrivals::{Arriving, Part};
use crate::writing::closing::Closings;
use mesh_proto::api::{Accepted, ItemResult, KeysAdded, Registered, code};
use mesh_proto::bytes::Salt;
use mesh_proto::envelope::{Envelope, Kind, RecordId};
use mesh_proto::keylog::LogPosition;
use mesh_proto::limits::LEAF_INDEX_MAX;
use mesh_proto::log::{Opening, Tree, entry_hash};
use mesh_proto::port::{Clock, Rng, random};
use mesh_proto::record::Record;
use mesh_store::{Batch, Kv, Space};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

/// Most entries in one round.
const ROUND_MAX: usize = 256;
/// Most entries that wait; beyond, callers are told to slow down.
const QUEUE_MAX: usize = 4_096;

/// A record whose form and signature are verified.
pub(crate) struct NewRecord {
    pub(crate) envelope: Envelope,
    pub(crate) id: RecordId,
    pub(crate) record: Record,
    pub(crate) actor: Arc<Account>,
}

/// What a record's submitter learns: whether it was new, and where it is.
pub(crate) type RecordAnswer = oneshot::Sender<Result<(bool, Accepted)>>;

/// What waits for a leaf.
pub(crate) enum Entry {
    Record(Box<NewRecord>, RecordAnswer),
    /// A key operation for an account of this domain, which must follow its present head unless root signed it.
    Key(Arc<Account>, Box<Envelope>, oneshot::Sender<Result<KeysAdded>>),
    /// A genesis whose name may be given, and the invite that it uses up.
    Register(Box<Envelope>, Option<String>, oneshot::Sender<Result<Registered>>),
    /// A key log that names this domain as home.
    Arrive(Box<Arriving>, oneshot::Sender<Result<Registered>>),
    /// Records that an account of this domain brought along.
    Import(Arc<Account>, Box<Part>, oneshot::Sender<Result<Vec<ItemResult>>>),
    /// Statements of this domain's people whose object came here.
    Attach(Vec<Lid>, oneshot::Sender<Result<()>>),
    /// There may be something to erase that was not before.
    Look,
    /// The last entry: the thread ends after the round before it.
    Stop,
}

impl Entry {
    /// What must not stand twice in one round: the account. Of registrations, which could collide in many ways, there is one a round.
    fn claim(&self) -> AccountLid {
        match self {
            Entry::Record(new, _) => new.actor.lid,
            Entry::Key(account, ..) | Entry::Import(account, ..) => account.lid,
            Entry::Register(..) | Entry::Arrive(..) | Entry::Attach(..) | Entry::Look | Entry::Stop => AccountLid(0),
        }
    }
}

/// What the thread works with.
pub(crate) struct Appender {
    pub(crate) kv: Arc<dyn Kv>,
    pub(crate) log: Arc<Log>,
    pub(crate) tree: Tree,
    pub(crate) received: u64,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) objects: Arc<Objects>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rng: Arc<dyn Rng>,
    pub(crate) bus: Arc<Bus>,
    /// The number for the next row that proves leaves of other logs.
    pub(crate) archives: Arc<AtomicU64>,
}

/// One round in the making.
pub(super) struct Round {
    pub(super) batch: Batch,
    tree: Tree,
    pub(super) received: u64,
    /// Names that are given in this round.
    names: BTreeSet<String>,
    news: Vec<News>,
    pub(super) accounts: Vec<Arc<Account>>,
    answers: Vec<Box<dyn FnOnce(Option<NodeError>) + Send>>,
}

impl Appender {
    /// Starts the thread; it ends after [`Entry::Stop`].
    pub(crate) fn spawn(self) -> Result<(mpsc::Sender<Entry>, JoinHandle<()>)> {
        let (queue, entries) = mpsc::channel(QUEUE_MAX);
        let thread = std::thread::Builder::new().name("mesh-append".into()).spawn(move || self.run(entries));
        Ok((queue, thread.map_err(|_| NodeError::Stopping)?))
    }

    /// Runs until it is told to stop, or every sender of the queue is gone.
    fn run(mut self, mut queue: mpsc::Receiver<Entry>) {
        let services = (Arc::clone(&self.accounts), Arc::clone(&self.bus), Arc::clone(&self.clock));
        let mut closings = Closings::new(Arc::clone(&self.kv), services);
        let mut waiting = VecDeque::new();
        let mut open = true;
        while open || !waiting.is_empty() {
            if waiting.is_empty() && !closings.is_due() {
                match queue.blocking_recv() {
                    None | Some(Entry::Stop) => return,
                    Some(first) => waiting.push_back(first),
                }
            }
            while open && waiting.len() < ROUND_MAX {
                match queue.try_recv() {
                    Ok(Entry::Stop) => open = false,
                    Ok(next) => waiting.push_back(next),
                    Err(_) => break,
                }
            }
            if !waiting.is_empty() {
                let keys = waiting.iter().any(|entry| matches!(entry, Entry::Key(..) | Entry::Look));
                waiting = self.round(waiting);
                if keys {
                    closings.look();
                }
            }
            if closings.is_due() {
                closings.go_on();
            }
        }
    }

    /// Handles what it can of `waiting`; answers what must wait for the next round.
    fn round(&mut self, waiting: VecDeque<Entry>) -> VecDeque<Entry> {
        let mut later = VecDeque::new();
        let mut claimed = BTreeSet::new();
        // Nobody stores the same account or operation between the look and the commit: one entry whose condition fails would take the round with it.
        let accounts = Arc::clone(&self.accounts);
        let changes_keys = waiting.iter().any(|entry| matches!(entry, Entry::Key(..) | Entry::Register(..) | Entry::Arrive(..)));
        let merging = changes_keys.then(|| accounts.lock());
        let peers = Arc::clone(&self.peers);
        let publishing = peers.publishing();
        // Whoever has seen that an account lives elsewhere has stored what came of that before it lives here.
        let settling = waiting.iter().any(|entry| matches!(entry, Entry::Arrive(..))).then(|| accounts.settle());
        let received = self.clock.now_ms().max(self.received);
        let mut round = Round {
            batch: Batch::new(),
            tree: self.tree.clone(),
            received,
            names: BTreeSet::new(),
            news: Vec::new(),
            accounts: Vec::new(),
            answers: Vec::new(),
        };
        let mut alone = Vec::new();
        for entry in waiting {
            let claim = entry.claim();
            if claimed.contains(&claim) || round.batch.size_bytes() > mesh_store::limits::BATCH_BYTES_MAX / 2 {
                later.push_back(entry);
                continue;
            }
            claimed.insert(claim);
            match entry {
                Entry::Import(..) | Entry::Attach(..) => alone.push(entry),
                entry => self.enter(&mut round, entry),
            }
        }
        self.finish(round);
        drop((settling, publishing, merging));
        for entry in alone {
            self.write_alone(entry);
        }
        later
    }

    fn enter(&mut self, round: &mut Round, entry: Entry) {
        match entry {
            Entry::Record(new, answer) => match self.record(round, *new) {
                Ok((true, accepted)) => round.answers.push(answer_with(answer, (true, accepted))),
                outcome => drop(answer.send(outcome)),
            },
            Entry::Key(account, envelope, answer) => match self.key(round, &account, *envelope) {
                Ok(added) if added.added > 0 => round.answers.push(answer_with(answer, added)),
                outcome => drop(answer.send(outcome)),
            },
            Entry::Register(genesis, invite, answer) => match self.register(round, *genesis, invite.as_deref()) {
                Ok((true, registered)) => round.answers.push(answer_with(answer, registered)),
                outcome => drop(answer.send(outcome.map(|(_, registered)| registered))),
            },
            Entry::Arrive(arriving, answer) => match self.arrive(round, *arriving) {
                Ok((true, registered)) => round.answers.push(answer_with(answer, registered)),
                outcome => drop(answer.send(outcome.map(|(_, registered)| registered))),
            },
            Entry::Import(..) | Entry::Attach(..) | Entry::Look | Entry::Stop => {}
        }
    }

    /// Handles what makes batches of its own.
    fn write_alone(&self, entry: Entry) {
        match entry {
            Entry::Import(account, part, answer) => drop(answer.send(self.import(&account.id(), &part))),
            Entry::Attach(lids, answer) => drop(answer.send(self.attach(&lids))),
            _ => {}
        }
    }

    /// Commits a round and answers everyone in it.
    fn finish(&mut self, round: Round) {
        if round.answers.is_empty() {
            return;
        }
        let outcome = self.kv.commit(round.batch).wait();
        let error = match outcome {
            Ok(_) => {
                self.received = round.received;
                self.log.advance(&round.tree);
                self.tree = round.tree;
                for account in round.accounts {
                    self.accounts.remember(account);
                }
                self.bus.publish(&round.news);
                None
            }
            Err(error) => {
                tracing::warn!(error.message = %error, "append.round_failed");
                for account in &round.accounts {
                    self.accounts.forget(&account.id());
                }
                Some(error.into())
            }
        };
        for answer in round.answers {
            answer(error.clone());
        }
    }

    /// Appends a leaf and keeps its opening.
    pub(super) fn leaf(&self, round: &mut Round, account: &Account, payload: (Kind, RecordId, Option<Envelope>)) -> Result<LogPosition> {
        let (kind, record, envelope) = payload;
        let index = round.tree.size();
        if index > LEAF_INDEX_MAX {
            return Err(NodeError::refused(code::UNAVAILABLE, "the log is full"));
        }
        let opening = Opening { salt: Salt(random(&*self.rng)), record, account: account.id(), kind, received: round.received };
        let entry = opening.entry();
        let base = self.log.base();
        round.batch.put(Space::LogEntry, (base + index).to_be_bytes(), entry.0);
        let batch = &mut round.batch;
        round.tree.push(entry_hash(&entry), |height, position, hash| {
            if height > 0 && height % 8 == 0 {
                let key: [u8; 9] = crate::tables::codec::join(&[height as u8], &(base + position).to_be_bytes());
                batch.put(Space::LogNode, key, hash.0);
            }
        });
        Payload { kind, salt: opening.salt, received: round.received, account: account.lid, record, envelope }
            .put(&mut round.batch, Lid::new(OWN, base + index));
        Ok(LogPosition { origin: self.log.origin().clone(), index })
    }

    fn record(&self, round: &mut Round, new: NewRecord) -> Result<(bool, Accepted)> {
        if let Some(known) = known(&*self.kv, &self.peers, &new.id)? {
            return Ok((false, known));
        }
        // The key log may have moved on while the record waited.
        let actor = self.accounts.expect(&new.actor.id())?;
        actor
            .log
            .check_open()
            .and_then(|()| actor.log.check_use(&new.record.head.device, &new.record.head.keys, None))
            .map_err(|e| refused_use(&e))?;
        let resolved = self.objects.resolve(&new.record, &actor)?;
        let lid = Lid::new(OWN, self.log.base() + round.tree.size());
        let mut indexer = Indexer::new(&*self.kv);
        let statement =
            Statement { lid, peer: HERE, id: new.id, received: round.received, record: &new.record, actor: &actor, ours: true, resolved };
        indexer.apply(&statement)?;
        if new.record.kind() == Kind::Report && statement.resolved.object.is_some() {
            report::put(&mut indexer.batch, (round.received, lid), &new.envelope);
        }
        queue::enqueue(&mut indexer, Routes { read: &*self.kv, peers: &self.peers, accounts: &self.accounts }, &statement)?;
        let leaf = self.leaf(round, &actor, (new.record.kind(), new.id, Some(new.envelope)))?;
        round.batch.merge(indexer.batch);
        round.news.extend(indexer.news);
        Ok((true, Accepted { id: new.id, leaf, received: round.received }))
    }
}

/// An answer that waits for the round to be durable.
fn answer_with<T: Send + 'static>(answer: oneshot::Sender<Result<T>>, value: T) -> Box<dyn FnOnce(Option<NodeError>) + Send> {
    // The one who asked may have gone; what was done stays done.
    Box::new(move |error| drop(answer.send(error.map_or(Ok(value), Err))))
}
