//! The durable engine: our own journal in front of the LSM trees of the fjall project (crate `lsm-tree`).
//!
//! **Owns** one folder, which one process at a time may use:
//! ```text
//! lock            held while the store is open
//! format          the number of the stored format
//! checkpoint      what the trees contain durably, and where the journal goes on
//! journal/        segments of frames; a frame is one group of batches, as final values
//! journal-mark    the highest batch known to be synced
//! trees/<space>/  one LSM tree per space, created when the space is first written
//! ```
//! **Tasks**: a writer thread (`writer`) and a housekeeper thread (`keeper`). Both end in [`FjallStore::close`] or on drop.
//!
//! **Lock order**: there is none to keep; the queue, the housekeeper's inbox and the readers' positions each have a lock that is never held
//! while another is taken.
//!
//! **What holds.** A commit is answered after its frame was synced. Nothing enters the trees, and no reader sees anything, before that. The
//! journal holds everything since the last checkpoint, and a checkpoint is taken only after the trees synced their files; opening applies
//! the journal again from there, so it never matters which part of the trees' memory had reached the disk.
//!
//! **What a crash leaves behind**: perhaps an unfinished frame (cut off at the next start), segments older than the checkpoint and
//! tables that no list names (both deleted). A group that was written but not acknowledged may be there or not, whole.
//! **Damage** is never taken for a torn end: see `recover`. Blocks of tables carry checksums; a damaged one gives `Corrupt` when it is
//! read. Not detected: after a loss of power, damage to exactly the last group, if the mark had not reached the disk yet either.
//!
//! **A full disk** refuses writes with `Full`; reads go on, and writes resume by themselves. A failed *sync* stops all writes until
//! the store is opened again: what the disk holds is then unknown.
//!
//! **Does not** encrypt, compress the journal, replicate, or repair. The tests in `tests/it` discard everything unsynced in the journal
//! and its marks, and the trees' files as of the last checkpoint; that the trees sync what they claim was read in their source, and is
//! not proved here. The reasons are in `docs/adr/0002-store-durability.md`.

mod capture;
mod frame;
mod group;
mod inspect;
mod journal;
mod keeper;
mod marks;
mod memtable;
mod queue;
mod reader;
mod recover;
mod trees;
mod writer;

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::watch;

pub use self::capture::capture_stopped;
use self::group::Group;
use self::journal::{Journal, Tail};
use self::keeper::{Job, Keeper, Work};
use self::marks::{Checkpoint, Mark};
use self::reader::{Snapshot, View};
use self::trees::Trees;
use self::writer::{Replayed, Shared, Writer};
use crate::batch::Batch;
use crate::capture::Capture;
use crate::changes::Changes;
use crate::error::StoreError;
use crate::files::{Files, OsFiles};
use crate::kv::{Commit, Health, Key, KeyRange, Kv, Order, Read, Status, Value};
use crate::limits::{CACHE_BYTES, DISK_RESERVE_BYTES, SEGMENT_BYTES_MAX};
use crate::space::Space;
use crate::{migrate, watches};

/// How a [`FjallStore`] is run.
#[derive(Debug, Clone)]
pub struct Config {
    /// Bytes of memory for blocks read from disk.
    pub cache_bytes: u64,
    /// A checkpoint is taken, and a new journal segment begun, after this many bytes: bounds memory, and the time of the next start.
    pub segment_bytes: u64,
    /// Writes are refused when the disk has less free bytes than this.
    pub disk_reserve_bytes: u64,
    /// The file operations of the journal; tests put faults there.
    pub files: Arc<dyn Files>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            cache_bytes: CACHE_BYTES,
            segment_bytes: SEGMENT_BYTES_MAX,
            disk_reserve_bytes: DISK_RESERVE_BYTES,
            files: Arc::new(OsFiles),
        }
    }
}

/// See the module.
pub struct FjallStore {
    shared: Arc<Shared>,
    threads: Mutex<Option<Threads>>,
}

struct Threads {
    writer: JoinHandle<()>,
    keeper: JoinHandle<()>,
    /// Held until both threads have ended.
    _lock: File,
}

impl FjallStore {
    /// Opens a folder, creating it if it is missing. Blocks while it replays the journal.
    ///
    /// # Errors
    /// `InUse` if another process (or another store of this one) has it open, `WrongFormat`, `Corrupt` with advice if anything
    /// acknowledged may be missing, `Io`.
    pub fn open(folder: impl AsRef<Path>, config: Config) -> Result<Self, StoreError> {
        let folder = std::path::absolute(folder).map_err(|error| StoreError::io("finding the folder", error))?;
        std::fs::create_dir_all(&folder).map_err(|error| StoreError::io(format!("creating {}", folder.display()), error))?;
        let lock = lock(&folder)?;
        let files = config.files;
        migrate::check(&*files, &folder)?;
        if Checkpoint::read(&folder)?.is_none() {
            migrate::check_unused(&folder)?;
            recover::create(&files, &folder)?;
        }
        let checkpoint = Checkpoint::read(&folder)?.ok_or(StoreError::Closed)?;

        let trees = Arc::new(Trees::new(&folder, Arc::clone(&files), config.cache_bytes));
        recover::open_trees(&trees, &checkpoint)?;
        let tail = recover::replay(&folder, &checkpoint, |changes| trees.replay(changes))?;
        let journal = go_on(&files, &folder, tail)?;
        keeper::delete_segments_before(&folder, checkpoint.segment)?;
        let mut mark = Mark::open(&*files, &folder)?;
        mark.set(tail.sequence)?;
        trees.positions.publish(tail.sequence);

        let shared = Arc::new(Shared {
            files,
            trees,
            queue: queue::Queue::default(),
            keeper: Arc::new(Keeper::default()),
            watches: watches::Watches::default(),
            changes: Changes::default(),
            health: writer::SharedHealth::default(),
            segment_bytes: config.segment_bytes,
            reserve_bytes: config.disk_reserve_bytes,
            folder,
        });
        shared.keeper.journal_bytes.store(journal_bytes(&shared.folder), Ordering::Relaxed);
        shared.keeper.set_journal_end(journal.end());
        let replayed = if tail.header.number > checkpoint.segment { Replayed::Segments } else { Replayed::Nothing };
        let writer = Writer {
            shared: Arc::clone(&shared),
            journal,
            mark,
            sequence: tail.sequence,
            replayed,
            group: Group::default(),
            outcomes: Vec::new(),
        };
        let threads = Threads::start(&shared, writer, lock)?;
        Ok(Self { shared, threads: Mutex::new(Some(threads)) })
    }

    /// Writes everything out and rewrites each tree into its smallest form. Blocks, long on a large store; reads and writes go on.
    ///
    /// # Errors
    /// `Closed`, or why the work failed.
    pub fn compact(&self) -> Result<(), StoreError> {
        let (answer, sealed) = sync_channel(1);
        self.shared.queue.request_seal(answer);
        sealed.recv().unwrap_or(Err(StoreError::Closed))?;
        let (answer, done) = sync_channel(1);
        self.shared.keeper.push(Job::Compact(answer));
        done.recv().unwrap_or(Err(StoreError::Closed))
    }
}

impl Threads {
    fn start(shared: &Arc<Shared>, writer: Writer, lock: File) -> Result<Self, StoreError> {
        let context = |error| StoreError::io("starting the threads of the store", error);
        let work = Work {
            keeper: Arc::clone(&shared.keeper),
            trees: Arc::clone(&shared.trees),
            files: Arc::clone(&shared.files),
            folder: shared.folder.clone(),
            due: None,
            untidy: BTreeSet::new(),
            stopping: false,
        };
        let keeper = std::thread::Builder::new().name("store-keeper".to_owned()).spawn(|| work.run()).map_err(context)?;
        let writer = std::thread::Builder::new().name("store-writer".to_owned()).spawn(|| writer.run()).map_err(context)?;
        Ok(Self { writer, keeper, _lock: lock })
    }
}

fn lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| StoreError::io(format!("opening {}", path.display()), error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { folder: folder.display().to_string() }),
        Err(TryLockError::Error(error)) => Err(StoreError::io("locking the folder", error)),
    }
}

/// Goes on writing after the last good frame, or replaces a segment whose creation did not finish.
fn go_on(files: &Arc<dyn Files>, folder: &Path, tail: Tail) -> Result<Journal, StoreError> {
    let journal = if tail.offset == 0 {
        Journal::create(Arc::clone(files), folder, Tail::start_of(tail.header.number, tail.sequence, tail.previous))
    } else {
        Journal::resume(Arc::clone(files), folder, tail)
    };
    journal.map_err(|error| StoreError::io("opening the journal for writing", error))
}

fn journal_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder.join(journal::JOURNAL_FOLDER)).into_iter().flatten();
    entries.flatten().filter_map(|entry| entry.metadata().ok()).map(|data| data.len()).sum()
}

impl Read for FjallStore {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Value>, StoreError> {
        View::open(&*self.shared.trees).get(space, key)
    }

    fn multi_get(&self, space: Space, keys: &[&[u8]]) -> Result<Vec<Option<Value>>, StoreError> {
        View::open(&*self.shared.trees).multi_get(space, keys)
    }

    fn scan(&self, space: Space, range: &KeyRange, order: Order, limit: usize) -> Result<Vec<(Key, Value)>, StoreError> {
        View::open(&*self.shared.trees).scan(space, range, order, limit)
    }
}

impl Kv for FjallStore {
    fn snapshot(&self) -> Result<Box<dyn Read>, StoreError> {
        Ok(Box::new(Snapshot::open(Arc::clone(&self.shared.trees))))
    }

    fn commit(&self, batch: Batch) -> Commit {
        self.shared.queue.push(batch)
    }

    fn watch(&self, space: Space) -> watch::Receiver<u64> {
        self.shared.watches.watch(space)
    }

    fn changes(&self) -> &Changes {
        &self.shared.changes
    }

    fn status(&self) -> Status {
        let trees = &self.shared.trees;
        let health = match self.shared.health.get() {
            Health::Full if self.shared.check_room().is_ok() && self.shared.keeper.trouble().is_none() => Health::Ok,
            Health::Ok if matches!(self.shared.check_room(), Err(StoreError::Full { .. })) => Health::Full,
            other => other,
        };
        Status {
            data_bytes: trees.disk_bytes(),
            journal_bytes: self.shared.keeper.journal_bytes.load(Ordering::Relaxed),
            memory_bytes: trees.memory_bytes(),
            sequence: trees.positions.visible(),
            health,
        }
    }

    fn capture(&self) -> Result<Option<Capture>, StoreError> {
        let (answer, captured) = sync_channel(1);
        self.shared.keeper.push(Job::Capture(answer));
        captured.recv().unwrap_or(Err(StoreError::Closed)).map(Some)
    }

    fn close(&self) -> Result<(), StoreError> {
        self.shared.queue.close();
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(threads) = threads else { return Ok(()) };
        let writer = threads.writer.join();
        self.shared.keeper.push(Job::Stop);
        let keeper = threads.keeper.join();
        if writer.is_err() || keeper.is_err() {
            return Err(StoreError::io("closing the store", std::io::Error::other("a thread of the store panicked")));
        }
        self.shared.keeper.trouble().map_or(Ok(()), Err)
    }
}

impl Drop for FjallStore {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(store.error = %error, "closing the store");
        }
    }
}

impl std::fmt::Debug for FjallStore {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("FjallStore").field("folder", &self.shared.folder).finish_non_exhaustive()
    }
}
