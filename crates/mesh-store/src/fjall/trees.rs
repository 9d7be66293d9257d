//! One LSM tree per space (crate `lsm-tree`, of the fjall project) with its memtables, and the positions at which they are read.
//!
//! Entries are numbered by the sequence of the group that wrote them; a reader at position `p` sees entries below `p`. The trees are given
//! counters of their own: `lsm-tree` draws a number from its counter for every flush and compaction and publishes it as visible, which must
//! neither use up nor publish our sequences. Before each such step the counter is set to 0: every reader reads the newest list of tables,
//! which holds all that any open position sees. Our own memtables stand in the place of those of `lsm-tree`, which stay empty.
//!
//! A memtable that was written out is let go only after its table is in the list, and readers look at the memtables first: what moves is
//! seen twice rather than not at all.
//!
//! Locks: `Positions::open` and `SpaceTree::memtables` are held for an update only, never across anything else.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use lsm_tree::config::{CompressionPolicy, PinningPolicy};
use lsm_tree::{AbstractTree, AnyTree, Cache, CompressionType, DescriptorTable, SeqNo, SequenceNumberCounter, Slice};

use super::frame::Logged;
use super::group::{Below, Slot};
use super::inspect;
use super::memtable::Memtable;
use crate::error::StoreError;
use crate::files::Files;
use crate::space::Space;
use crate::watches::slots;

pub(super) const TREES_FOLDER: &str = "trees";
/// The tables a major compaction, and each level, aim at.
pub(super) const TABLE_BYTES: u64 = 32 * 1024 * 1024;

/// Flushed tables of a space that are merged into its first level at once: keys of many logs interleave, so that each merge rewrites most of that level.
pub(super) const L0_TABLES: u8 = 8;

/// The same when there is nothing else to do: each of them costs every reader a look.
pub(super) const L0_TABLES_AT_REST: u8 = 3;

/// Flushed tables of a space that wait to be merged, at most; a list of tables counts up to 255 of them.
pub(super) const L0_TABLES_MAX: usize = 64;
const OPEN_FILES_MAX: usize = 512;
const REPLAY_THREADS_MAX: usize = 8;

/// See the module.
pub(super) struct Trees {
    folder: PathBuf,
    files: Arc<dyn Files>,
    cache: Arc<Cache>,
    descriptors: Arc<DescriptorTable>,
    /// Indexed by the number of the space; created when the space is first written.
    trees: Vec<OnceLock<SpaceTree>>,
    pub(super) positions: Positions,
}

/// A tree, its private counter, and what is not in its tables yet.
pub(super) struct SpaceTree {
    tree: AnyTree,
    counter: SequenceNumberCounter,
    /// Newest first: the first is written to, the others are sealed.
    memtables: RwLock<Vec<Arc<Memtable>>>,
}

impl Trees {
    pub(super) fn new(folder: &Path, files: Arc<dyn Files>, cache_bytes: u64) -> Self {
        Self {
            folder: folder.join(TREES_FOLDER),
            files,
            cache: Arc::new(Cache::with_capacity_bytes(cache_bytes)),
            descriptors: Arc::new(DescriptorTable::new(OPEN_FILES_MAX)),
            trees: (0..slots()).map(|_| OnceLock::new()).collect(),
            positions: Positions::default(),
        }
    }

    /// Whether the files of a space's tree are there.
    pub(super) fn exists(&self, space: Space) -> bool {
        self.folder.join(space.name()).join("current").is_file()
    }

    /// The tree of a space, if it was ever written.
    pub(super) fn get(&self, space: Space) -> Option<&SpaceTree> {
        self.trees[space as usize].get()
    }

    /// The tree of a space, opened or created. Only one thread may call it.
    pub(super) fn open(&self, space: Space) -> Result<&SpaceTree, StoreError> {
        let slot = &self.trees[space as usize];
        if let Some(tree) = slot.get() {
            return Ok(tree);
        }
        if self.exists(space) {
            inspect::check_tree(&self.folder.join(space.name()))
                .map_err(|what| damaged(format!("in the tree {}, {what}", space.name())))?;
        }
        let counter = SequenceNumberCounter::default();
        let config = lsm_tree::Config::new(self.folder.join(space.name()), counter.clone(), SequenceNumberCounter::default())
            .use_cache(Arc::clone(&self.cache))
            .use_descriptor_table(Some(Arc::clone(&self.descriptors)))
            .data_block_compression_policy(CompressionPolicy::new([CompressionType::None, CompressionType::Lz4]))
            .index_block_pinning_policy(PinningPolicy::new([true, true, false]))
            .filter_block_pinning_policy(PinningPolicy::new([true, false]));
        let tree = config.open().map_err(|error| damage(error, &format!("opening the tree {}", space.name())))?;
        // The tree syncs its own folder, not the entry that leads to it.
        self.files.sync_folder(&self.folder).map_err(|error| StoreError::io("syncing the folder of the trees", error))?;
        Ok(slot.get_or_init(|| SpaceTree { tree, counter, memtables: RwLock::new(vec![Arc::default()]) }))
    }

    /// The spaces that have a tree.
    pub(super) fn spaces(&self) -> impl Iterator<Item = Space> {
        Space::ALL.iter().copied().filter(|space| self.get(*space).is_some())
    }

    /// Inserts the changes of one space under a sequence. The tree must be open.
    pub(super) fn insert(&self, space: Space, changes: BTreeMap<Slice, Slot>, sequence: u64) {
        let Some(tree) = self.get(space) else { return };
        let entries = changes.into_iter().map(|(key, slot)| match slot {
            Slot::Value(value) => ((key, Some(value)), sequence),
            Slot::Absent | Slot::Counter(_) => ((key, None), sequence),
        });
        // Only this thread seals, so the memtable stays the active one meanwhile.
        tree.active().insert(entries);
    }

    /// Inserts changes read from the journal, several spaces at a time.
    pub(super) fn replay(&self, changes: &[Logged<'_>]) -> Result<(), StoreError> {
        let mut spaces = vec![Vec::new(); slots()];
        for change in changes {
            spaces[change.space as usize].push(change);
        }
        for first in spaces.iter().filter_map(|changes| changes.first()) {
            self.open(first.space)?;
        }
        let workers = std::thread::available_parallelism().map_or(1, usize::from).min(REPLAY_THREADS_MAX);
        let (spaces, next) = (&spaces, &AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    while let Some(changes) = spaces.get(next.fetch_add(1, Ordering::Relaxed)) {
                        self.replay_space(changes);
                    }
                });
            }
        });
        Ok(())
    }

    fn replay_space(&self, changes: &[&Logged<'_>]) {
        let Some(tree) = changes.first().and_then(|change| self.get(change.space)) else { return };
        tree.active().insert(changes.iter().map(|change| ((Slice::from(change.key), change.value.map(Slice::from)), change.sequence)));
    }

    /// Seals what is in memory, so that the housekeeper writes it out. To be called between groups.
    pub(super) fn seal(&self) {
        for space in self.spaces() {
            if let Some(tree) = self.get(space)
                && !tree.active().is_empty()
            {
                tree.change_memtables(|memtables| memtables.insert(0, Arc::default()));
            }
        }
    }

    /// Bytes of tables on disk.
    pub(super) fn disk_bytes(&self) -> u64 {
        self.spaces().filter_map(|space| self.get(space)).map(|tree| tree.tree.disk_space()).sum()
    }

    /// Bytes of entries in memory that are in the journal only.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.spaces().filter_map(|space| self.get(space)).flat_map(SpaceTree::memtables).map(|memtable| memtable.bytes()).sum()
    }
}

impl SpaceTree {
    pub(super) fn tree(&self) -> &AnyTree {
        &self.tree
    }

    /// What is not in tables yet, newest first. To be asked for before the tables are.
    pub(super) fn memtables(&self) -> Vec<Arc<Memtable>> {
        self.memtables.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn active(&self) -> Arc<Memtable> {
        Arc::clone(&self.memtables.read().unwrap_or_else(PoisonError::into_inner)[0])
    }

    fn change_memtables(&self, change: impl FnOnce(&mut Vec<Arc<Memtable>>)) {
        change(&mut self.memtables.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// What a key holds at a position.
    pub(super) fn get(&self, key: &[u8], position: SeqNo) -> lsm_tree::Result<Option<Slice>> {
        for memtable in self.memtables() {
            if let Some(found) = memtable.get(key, position) {
                return Ok(found);
            }
        }
        self.tree.get(key, position)
    }

    /// Writes the oldest sealed memtable into tables; answers whether there was one.
    pub(super) fn flush_one(&self, positions: &Positions) -> lsm_tree::Result<bool> {
        let memtables = self.memtables();
        let [_, .., oldest] = memtables.as_slice() else { return Ok(false) };
        let watermark = self.begin_step(positions);
        let lock = self.tree.get_flush_lock();
        if let Some((tables, _)) = oldest.drain_into(positions.oldest(), |entries| self.tree.flush_to_tables(entries))? {
            self.tree.register_tables(&tables, None, None, &[], watermark)?;
        }
        drop(lock);
        self.change_memtables(|memtables| drop(memtables.pop()));
        Ok(true)
    }

    /// Prepares a flush or compaction; answers below which sequence `lsm-tree` may remove what a newer entry hides. It looks at the sequence of
    /// what is hidden alone, so that nothing may go while somebody reads at an older position.
    pub(super) fn begin_step(&self, positions: &Positions) -> SeqNo {
        self.counter.set(0);
        let oldest = positions.oldest();
        if oldest > positions.visible() { oldest } else { 0 }
    }
}

/// The writer looks at the newest entries: all of them are durable.
impl Below for Trees {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Slice>, StoreError> {
        match self.get(space) {
            None => Ok(None),
            Some(tree) => tree.get(key, SeqNo::MAX).map_err(|error| read_error(error, space)),
        }
    }
}

/// What readers may see, and what they look at.
#[derive(Debug, Default)]
pub(super) struct Positions {
    visible: AtomicU64,
    open: Mutex<BTreeMap<SeqNo, usize>>,
}

impl Positions {
    fn map(&self) -> MutexGuard<'_, BTreeMap<SeqNo, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sequence of the newest visible batch.
    pub(super) fn visible(&self) -> u64 {
        self.visible.load(Ordering::Acquire)
    }

    /// Shows everything up to `sequence` to new readers.
    pub(super) fn publish(&self, sequence: u64) {
        self.visible.store(sequence, Ordering::Release);
    }

    /// Opens the newest position: what it sees stays until it is closed.
    pub(super) fn open(&self) -> SeqNo {
        let mut open = self.map();
        let position = self.visible() + 1;
        *open.entry(position).or_insert(0) += 1;
        position
    }

    pub(super) fn close(&self, position: SeqNo) {
        let mut open = self.map();
        if let Some(count) = open.get_mut(&position) {
            *count -= 1;
            if *count == 0 {
                open.remove(&position);
            }
        }
    }

    fn oldest(&self) -> SeqNo {
        let open = self.map();
        open.keys().next().copied().unwrap_or_else(|| self.visible() + 1)
    }
}

/// An error while reading a space.
pub(super) fn read_error(error: lsm_tree::Error, space: Space) -> StoreError {
    damage(error, &format!("reading the tree {}", space.name()))
}

/// What the system says when a file is shorter than its index says, or missing.
const MEANS_DAMAGE: [ErrorKind; 3] = [ErrorKind::UnexpectedEof, ErrorKind::InvalidData, ErrorKind::NotFound];

/// Tells failures of the system from damage.
pub(super) fn damage(error: lsm_tree::Error, doing: &str) -> StoreError {
    match error {
        lsm_tree::Error::Io(source) if !MEANS_DAMAGE.contains(&source.kind()) => StoreError::io(doing, source),
        other => damaged(format!("damaged data found while {doing} ({other:?})")),
    }
}

pub(super) fn damaged(what: String) -> StoreError {
    StoreError::Corrupt { what, advice: "Check the disk, then restore the folder from a backup" }
}
