//! The home log as readers see it: its size, checkpoints, proofs, tiles. Only [`crate::writing::append`] makes it grow.

mod check;

pub use check::Checked;

use crate::error::{NodeError, Result};
use crate::queue;
use crate::tables::codec::damaged;
use crate::tables::outbox_key;
use crate::tables::peer::PeerRow;
use mesh_proto::address::Domain;
use mesh_proto::api::{Growth, code};
use mesh_proto::bytes::Hash;
use mesh_proto::key::{SecretKey, Verifier};
use mesh_proto::limits::{LEAF_INDEX_MAX, TILE_WIDTH};
use mesh_proto::log::{
    BatchProof, Checkpoint, Cosignature, Nodes, Origin, Tree, entry_hash, node_hash, prove, prove_consistency, verify_consistency,
    with_cosignature,
};
use mesh_store::{Batch, KeyRange, Kv, Order, Read, Space, StoreError};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::{Arc, PoisonError, RwLock};

/// Height of a tile: 256 hashes.
const TILE_HEIGHT: u32 = 8;

/// The log at one moment.
#[derive(Debug, Clone)]
pub struct Head {
    /// Number of leaves.
    pub size: u64,
    /// The signed note of its checkpoint.
    pub note: Arc<str>,
}

/// The newest note that was cosigned, in Meta.
const WITNESSED: &str = "witnessed";
/// The logs that this domain had before, in Meta.
const PAST: &str = "past_logs";

/// One of this domain's logs. All their leaves are numbered through here: the first leaf of each follows the last one of the log before.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) origin: Origin,
    /// The number here of its first leaf.
    pub(crate) base: u64,
    /// Its state; of a past log the last one.
    pub(crate) head: Head,
}

impl Part {
    /// Whether it has the leaf with a number here.
    pub(crate) fn holds(&self, leaf: u64) -> bool {
        leaf >= self.base && leaf - self.base < self.head.size
    }
}

/// A past log as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct PastRow {
    number: u32,
    base: u64,
    size: u64,
    note: String,
}

/// The home log.
pub struct Log {
    kv: Arc<dyn Kv>,
    origin: Origin,
    /// The number here of its first leaf.
    base: u64,
    /// The logs before it.
    past: Vec<Part>,
    key: SecretKey,
    head: RwLock<Head>,
    witnessed: RwLock<Option<Head>>,
}

impl Log {
    /// Reads the log's present state. Answers the tree too, for the one who appends.
    pub(crate) fn open(kv: Arc<dyn Kv>, domain: &Domain, key: SecretKey) -> Result<(Arc<Self>, Tree)> {
        let past = past(&*kv, domain)?;
        let base = past.last().map_or(0, |last| last.base + last.head.size);
        let origin = Origin::new(domain.clone(), past.last().map_or(1, |last| last.origin.number() + 1));
        let last = kv.scan(Space::LogEntry, &KeyRange::all(), Order::Backward, 1)?;
        let end = match last.first() {
            Some((key, _)) => crate::tables::codec::key_u64(key, 0, "log_entry")? + 1,
            None => 0,
        };
        let size = end.checked_sub(base).ok_or_else(|| damaged("log_entry"))?;
        let mut nodes = StoredNodes { read: &*kv, base };
        let mut peaks = Vec::new();
        let mut start = 0;
        for height in (0..=LEAF_INDEX_MAX.ilog2() + 1).rev().filter(|height| (size >> height) & 1 == 1) {
            peaks.push(nodes.node(height, start >> height)?);
            start += 1 << height;
        }
        let tree = Tree::from_peaks(size, peaks).ok_or_else(|| damaged("log_node"))?;
        let head = sign(&origin, &key, &tree);
        let witnessed = match (kv.get(Space::Meta, WITNESSED.as_bytes())?, key.id().verifier()) {
            (Some(note), Ok(own)) => read_head(&note, &origin, &own),
            _ => None,
        };
        Ok((Arc::new(Self { kv, origin, base, past, key, head: RwLock::new(head), witnessed: RwLock::new(witnessed) }), tree))
    }

    /// Shows a grown tree to readers, once it is durable.
    pub(crate) fn advance(&self, tree: &Tree) {
        let head = sign(&self.origin, &self.key, tree);
        *self.head.write().unwrap_or_else(PoisonError::into_inner) = head;
    }

    /// The log's name.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The number here of the first leaf of the present log.
    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// The log that holds the leaf with a number here.
    pub(crate) fn part(&self, leaf: u64) -> Part {
        let past = self.past.iter().find(|part| leaf < part.base + part.head.size);
        past.cloned().unwrap_or_else(|| Part { origin: self.origin.clone(), base: self.base, head: self.head() })
    }

    /// The log of this domain with a number.
    pub(crate) fn numbered(&self, number: u32) -> Option<Part> {
        let past = self.past.iter().find(|part| part.origin.number() == number).cloned();
        past.or_else(|| (number == self.origin.number()).then(|| Part { origin: self.origin.clone(), base: self.base, head: self.head() }))
    }

    /// All logs of this domain with the numbers of their first leaves, the present one last.
    pub(crate) fn origins(&self) -> Vec<(u64, Origin)> {
        let past = self.past.iter().map(|part| (part.base, part.origin.clone()));
        past.chain([(self.base, self.origin.clone())]).collect()
    }

    /// A proof for leaves of one log, by their numbers here, strictly ascending.
    pub(crate) fn prove_part(&self, part: &Part, leaves: &[u64]) -> Result<BatchProof> {
        let indexes: Vec<u64> = leaves.iter().map(|leaf| leaf.saturating_sub(part.base)).collect();
        let proof = prove(&mut StoredNodes { read: &*self.kv, base: part.base }, part.head.size, &indexes)?;
        proof.ok_or_else(|| NodeError::refused(code::MALFORMED, "no such leaves"))
    }

    /// The public key that signs checkpoints.
    pub fn key_id(&self) -> mesh_proto::key::KeyId {
        self.key.id()
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.head().size
    }

    /// The present checkpoint, as a signed note.
    pub fn checkpoint(&self) -> Arc<str> {
        self.head().note
    }

    /// The present state, for several proofs under one checkpoint.
    pub fn head(&self) -> Head {
        self.head.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The newest state that another domain has cosigned, if any.
    pub fn witnessed(&self) -> Option<Head> {
        self.witnessed.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A proof for leaves, by strictly ascending index, under a state of this log.
    pub fn prove(&self, head: &Head, indexes: &[u64]) -> Result<BatchProof> {
        let proof = prove(&mut self.nodes(), head.size, indexes)?;
        proof.ok_or_else(|| NodeError::refused(code::MALFORMED, "no such leaves"))
    }

    /// The proof that a state of this log grew from an older one; `None` if that is larger.
    pub fn prove_growth(&self, head: &Head, size: u64) -> Result<Option<Growth>> {
        let proof = prove_consistency(&mut self.nodes(), size, head.size)?;
        Ok(proof.map(|proof| Growth { size, proof }))
    }

    /// The proof that this log, when it had `to` leaves, had grown from when it had `from`; `None` if it never had that many, or fewer.
    pub fn prove_grown(&self, from: u64, to: u64) -> Result<Option<Growth>> {
        if to > self.size() {
            return Ok(None);
        }
        let proof = prove_consistency(&mut self.nodes(), from, to)?;
        Ok(proof.map(|proof| Growth { size: from, proof }))
    }

    /// Whether this log begins with what a checkpoint of it shows.
    pub(crate) fn begins_with(&self, shown: &Checkpoint) -> Result<bool> {
        let own = self.key.id().verifier().ok();
        let head = self.head();
        let Some(now) = own.and_then(|key| Checkpoint::open(&head.note, &self.origin, &key).ok()) else { return Ok(false) };
        let growth = self.prove_growth(&head, shown.size)?;
        Ok(growth.is_some_and(|growth| verify_consistency((shown.size, shown.root), (now.size, now.root), &growth.proof).is_ok()))
    }

    /// Cosigns the checkpoint of another log, which was verified.
    pub(crate) fn cosign(&self, note: &str, now_ms: u64) -> Option<Cosignature> {
        Cosignature::sign(note, self.origin.domain().clone(), &self.key, now_ms / 1000).ok()
    }

    /// Keeps another domain's cosignature of a checkpoint of this log, verified under its key.
    pub(crate) fn keep_cosignature(&self, note: &str, cosignature: &Cosignature, key: &Verifier) -> Result<()> {
        let unusable = |words: String| NodeError::refused(code::BAD_SIGNATURE, words);
        let own = self.key.id().verifier().map_err(|error| unusable(error.to_string()))?;
        let size = Checkpoint::open(note, &self.origin, &own).map_err(|error| unusable(error.to_string()))?.size;
        let mut witnessed = self.witnessed.write().unwrap_or_else(PoisonError::into_inner);
        let base = match &*witnessed {
            Some(known) if known.size > size => return Ok(()),
            Some(known) if known.size == size => Arc::clone(&known.note),
            _ => note.into(),
        };
        let note: Arc<str> = with_cosignature(&base, cosignature, key).map_err(|error| unusable(error.to_string()))?.into();
        let mut batch = Batch::new();
        batch.put(Space::Meta, WITNESSED, note.as_bytes());
        // What is lost is cosigned again.
        drop(self.kv.commit(batch));
        *witnessed = Some(Head { size, note });
        Ok(())
    }

    fn nodes(&self) -> StoredNodes<'_> {
        StoredNodes { read: &*self.kv, base: self.base }
    }

    fn find(&self, log: u32) -> Result<Part> {
        self.numbered(log).ok_or(NodeError::NotFound("log"))
    }

    /// The newest checkpoint of one of this domain's logs, as a signed note.
    pub fn checkpoint_of(&self, log: u32) -> Result<Arc<str>> {
        Ok(self.find(log)?.head.note)
    }

    /// A tile of C2SP tlog-tiles of one of this domain's logs: `width` hashes of level `level`, which covers heights from 8 × level.
    pub fn tile(&self, log: u32, level: u8, (number, width): (u64, u64)) -> Result<Vec<u8>> {
        let part = self.find(log)?;
        let height = u32::from(level) * TILE_HEIGHT;
        let complete = if height < 64 { part.head.size >> height } else { 0 };
        self.check_tile(complete, number, width)?;
        let mut nodes = StoredNodes { read: &*self.kv, base: part.base };
        let hashes = nodes.run(height, number * TILE_WIDTH, width)?;
        Ok(hashes.iter().flat_map(|hash| hash.0).collect())
    }

    /// A bundle of leaf entries, each after its length in two bytes.
    pub fn entries(&self, log: u32, (number, width): (u64, u64)) -> Result<Vec<u8>> {
        let part = self.find(log)?;
        self.check_tile(part.head.size, number, width)?;
        let entries = StoredNodes { read: &*self.kv, base: part.base }.entries(number * TILE_WIDTH, width)?;
        Ok(entries.iter().flat_map(|entry| [0u8, 32].into_iter().chain(entry.0)).collect())
    }

    fn check_tile(&self, complete: u64, number: u64, width: u64) -> Result<()> {
        let start = number.checked_mul(TILE_WIDTH).ok_or(NodeError::NotFound("tile"))?;
        let there = (1..=TILE_WIDTH).contains(&width) && start.checked_add(width).is_some_and(|end| end <= complete);
        if there { Ok(()) } else { Err(NodeError::NotFound("tile")) }
    }
}

fn past(read: &dyn Read, domain: &Domain) -> Result<Vec<Part>> {
    let rows: Vec<PastRow> = match read.get(Space::Meta, PAST.as_bytes())? {
        Some(rows) => serde_json::from_slice(&rows).map_err(|_| damaged("meta"))?,
        None => Vec::new(),
    };
    let part = |row: PastRow| Part {
        origin: Origin::new(domain.clone(), row.number),
        base: row.base,
        head: Head { size: row.size, note: row.note.into() },
    };
    Ok(rows.into_iter().map(part).collect())
}

/// The entry of a new log's first leaf: it commits to the last checkpoint of the log before it.
pub fn first_entry(last_checkpoint: &str) -> Hash {
    Hash(Sha256::new_with_prefix(b"mesh-log-start-v1").chain_update(last_checkpoint).finalize().into())
}

/// Begins a new log in the store of a domain that does not run, because what the present one showed was lost with newer data: nobody believes a log that
/// became shorter. What was not delivered yet goes out of order, from the old log. Answers the new log's name. Blocks.
pub fn begin_new(kv: &Arc<dyn Kv>, domain: &Domain, key: SecretKey) -> Result<Origin> {
    let (log, tree) = Log::open(Arc::clone(kv), domain, key)?;
    if tree.size() < 2 {
        return Err(NodeError::refused(code::MALFORMED, "the present log has hardly begun: there is nothing to leave behind"));
    }
    let (base, note) = (log.base + tree.size(), log.checkpoint());
    let mut rows: Vec<PastRow> = Vec::new();
    for part in log.past.iter().cloned().chain([log.part(base)]) {
        let Head { size, note } = part.head;
        rows.push(PastRow { number: part.origin.number(), base: part.base, size, note: note.to_string() });
    }
    let mut batch = Batch::new();
    for row in PeerRow::all(&**kv, crate::peers::PEERS_MAX)? {
        let mut from = queue::cursor(&**kv, row.no())?;
        loop {
            let left = queue::leaves(&**kv, row.no(), from, LEAVES_AT_ONCE)?;
            for leaf in &left {
                batch.put(Space::Late, outbox_key(row.no(), *leaf), []);
            }
            match left.last() {
                Some(last) => from = last + 1,
                None => break,
            }
            kv.commit(std::mem::take(&mut batch)).wait()?;
        }
        queue::put_cursor(&mut batch, row.no(), base);
    }
    batch.put(Space::Meta, PAST, serde_json::to_vec(&rows).map_err(|_| damaged("meta"))?);
    batch.delete(Space::Meta, WITNESSED);
    batch.put(Space::LogEntry, base.to_be_bytes(), first_entry(&note).0);
    kv.commit(batch).wait()?;
    Ok(Origin::new(domain.clone(), log.origin.number() + 1))
}

/// Leaves that are looked at in one go when a new log begins.
const LEAVES_AT_ONCE: usize = 1_000;

fn read_head(note: &[u8], origin: &Origin, key: &Verifier) -> Option<Head> {
    let note = std::str::from_utf8(note).ok()?;
    let size = Checkpoint::open(note, origin, key).ok()?.size;
    Some(Head { size, note: note.into() })
}

fn sign(origin: &Origin, key: &SecretKey, tree: &Tree) -> Head {
    let checkpoint = Checkpoint { origin: origin.clone(), size: tree.size(), root: tree.root() };
    Head { size: checkpoint.size, note: checkpoint.sign(key).into() }
}

/// Hashes from the store: leaf entries and the roots of complete tiles are kept, everything between is computed.
struct StoredNodes<'a> {
    read: &'a dyn Read,
    /// The number of the log's first leaf. Nodes are numbered from there too: those of a log before it have lower numbers at every height.
    base: u64,
}

impl StoredNodes<'_> {
    fn entries(&self, start: u64, count: u64) -> std::result::Result<Vec<Hash>, StoreError> {
        self.scan(Space::LogEntry, &[], start, count)
    }

    fn scan(&self, space: Space, prefix: &[u8], start: u64, count: u64) -> std::result::Result<Vec<Hash>, StoreError> {
        let key = |index: u64| [prefix, &(self.base + index).to_be_bytes()].concat();
        let rows = self.read.scan(space, &KeyRange::between(key(start), key(start + count)), Order::Forward, count as usize)?;
        if rows.len() as u64 != count {
            return Err(damaged("log_entry"));
        }
        rows.iter().map(|(_, row)| row.as_ref().try_into().map(Hash).map_err(|_| damaged("log_entry"))).collect()
    }

    /// `count` hashes at a height that is a multiple of the tile height.
    fn run(&mut self, height: u32, start: u64, count: u64) -> std::result::Result<Vec<Hash>, StoreError> {
        if height == 0 {
            return Ok(self.entries(start, count)?.iter().map(entry_hash).collect());
        }
        self.scan(Space::LogNode, &[height as u8], start, count)
    }
}

impl Nodes for StoredNodes<'_> {
    type Error = StoreError;

    fn node(&mut self, height: u32, index: u64) -> std::result::Result<Hash, StoreError> {
        let above = height % TILE_HEIGHT;
        let mut hashes = self.run(height - above, index << above, 1 << above)?;
        while hashes.len() > 1 {
            hashes = hashes.chunks(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
        }
        hashes.pop().ok_or_else(|| damaged("log_node"))
    }
}
