//! Disks: what of a domain outlives its process. In memory for most, in a folder with a real store for a few.
//!
//! A process sees its disk through a [`Handle`]. When it stops or is killed the handle is closed, and whatever of it still runs cannot write any more.

use mesh_store::testing::{FaultFiles, Torn};
use mesh_store::{
    Batch, Capture, Commit, Config, FjallStore, Key, KeyRange, Kv, MemoryStore, Order, Read, Space, Status, StoreError, Value,
};
use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use tokio::sync::watch;

/// Where syncing costs nothing, if the system has such a place.
const MEMORY_FOLDER: &str = "/dev/shm";
/// Memory for blocks of one store.
const CACHE_BYTES: u64 = 1024 * 1024;

/// What is left when a process ends.
pub(crate) enum Disk {
    /// All that it wrote.
    Memory(Arc<MemoryStore>),
    /// Its folder, and its files' faults.
    Folder(tempfile::TempDir, FaultFiles),
}

impl Disk {
    /// An empty disk in memory.
    pub(crate) fn memory() -> Self {
        Self::Memory(Arc::default())
    }

    /// An empty folder.
    pub(crate) fn folder() -> Self {
        let folder = if Path::new(MEMORY_FOLDER).is_dir() { tempfile::tempdir_in(MEMORY_FOLDER) } else { tempfile::tempdir() };
        Self::Folder(folder.expect("a folder"), FaultFiles::new())
    }

    /// Opens the store for a new process. Blocks.
    pub(crate) fn open(&mut self) -> Arc<Handle> {
        let store: Arc<dyn Kv> = match self {
            Self::Memory(store) => Arc::clone(store) as Arc<dyn Kv>,
            Self::Folder(folder, files) => {
                *files = FaultFiles::new();
                let config = Config { cache_bytes: CACHE_BYTES, files: Arc::new(files.clone()), ..Config::default() };
                Arc::new(FjallStore::open(folder.path(), config).expect("the store opens"))
            }
        };
        let in_memory = matches!(self, Self::Memory(_));
        Arc::new(Handle { store, in_memory, closed: AtomicBool::new(false) })
    }

    /// Takes from a process that is killed what it had not synced.
    pub(crate) fn lose_power(&self) {
        if let Self::Folder(_, files) = self {
            files.lose_power(Torn::Nothing).expect("files can be cut");
        }
    }

    /// What lies on a disk in memory now, for a later [`Disk::put_back`]; a folder is not copied.
    pub(crate) fn copy(&self) -> Option<MemoryStore> {
        let Self::Memory(store) = self else { return None };
        let copy = MemoryStore::new();
        for space in Space::ALL {
            let mut batch = Batch::new();
            for (key, value) in store.scan(*space, &KeyRange::all(), Order::Forward, usize::MAX).expect("memory reads") {
                batch.put(*space, key, value);
                if batch.size_bytes() > mesh_store::limits::BATCH_BYTES_MAX / 2 {
                    copy.commit(std::mem::take(&mut batch)).wait().expect("memory writes");
                }
            }
            copy.commit(batch).wait().expect("memory writes");
        }
        Some(copy)
    }

    /// Puts an earlier copy in the place of everything.
    pub(crate) fn put_back(&mut self, copy: MemoryStore) {
        *self = Self::Memory(Arc::new(copy));
    }
}

/// A process's store.
pub(crate) struct Handle {
    store: Arc<dyn Kv>,
    in_memory: bool,
    closed: AtomicBool,
}

impl Handle {
    /// From now on nothing is written.
    pub(crate) fn cut_off(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }
}

impl Read for Handle {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Value>, StoreError> {
        self.store.get(space, key)
    }

    fn multi_get(&self, space: Space, keys: &[&[u8]]) -> Result<Vec<Option<Value>>, StoreError> {
        self.store.multi_get(space, keys)
    }

    fn scan(&self, space: Space, range: &KeyRange, order: Order, limit: usize) -> Result<Vec<(Key, Value)>, StoreError> {
        self.store.scan(space, range, order, limit)
    }
}

impl Kv for Handle {
    fn snapshot(&self) -> Result<Box<dyn Read>, StoreError> {
        self.store.snapshot()
    }

    fn commit(&self, batch: Batch) -> Commit {
        if self.closed.load(Ordering::SeqCst) {
            return Commit::known(Err(StoreError::Closed));
        }
        // Who awaited the store's own thread would let the simulated time run on meanwhile.
        Commit::known(wait(tokio::task::unconstrained(self.store.commit(batch))))
    }

    fn watch(&self, space: Space) -> watch::Receiver<u64> {
        self.store.watch(space)
    }

    fn changes(&self) -> &mesh_store::Changes {
        self.store.changes()
    }

    fn status(&self) -> Status {
        self.store.status()
    }

    fn capture(&self) -> Result<Option<Capture>, StoreError> {
        self.store.capture()
    }

    fn close(&self) -> Result<(), StoreError> {
        self.cut_off();
        // A disk in memory is opened again as it is.
        if self.in_memory { Ok(()) } else { self.store.close() }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits on this thread, whatever it drives.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}
