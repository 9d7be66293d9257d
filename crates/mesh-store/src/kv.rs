//! The seam: ordered key spaces, consistent reads and atomic conditional batches.
//!
//! What every engine promises:
//! - **Atomic**: a batch is written whole or not at all, and a reader sees it whole or not at all.
//! - **Serial**: batches take effect in the order in which [`Kv::commit`] was called; each one's conditions are checked against everything
//!   before it.
//! - **Durable**: when a [`Commit`] resolves to `Ok`, the batch survives a loss of power. A reader never sees a batch before that.
//! - **Consistent**: a snapshot does not change; a single `get`, `multi_get` or `scan` sees one moment.
//!
//! Callers above this seam never learn which engine is below it.

use std::future::Future;
use std::ops::Bound;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::{oneshot, watch};

use crate::batch::Batch;
use crate::capture::Capture;
use crate::changes::Changes;
use crate::error::StoreError;
use crate::space::Space;

/// A stored key.
pub type Key = Bytes;

/// A stored value. It owns its bytes: keeping it keeps nothing else in memory.
pub type Value = Bytes;

/// The direction of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// Ascending keys.
    Forward,
    /// Descending keys, from the end of the range.
    Backward,
}

/// A range of keys within one space, in byte order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    start: Bound<Vec<u8>>,
    end: Bound<Vec<u8>>,
}

impl KeyRange {
    /// Every key.
    pub fn all() -> Self {
        Self { start: Bound::Unbounded, end: Bound::Unbounded }
    }

    /// Every key that begins with `prefix`.
    pub fn prefix(prefix: impl AsRef<[u8]>) -> Self {
        let prefix = prefix.as_ref();
        Self { start: Bound::Included(prefix.to_vec()), end: prefix_end(prefix) }
    }

    /// Every key `k` with `start <= k < end`.
    pub fn between(start: impl AsRef<[u8]>, end: impl AsRef<[u8]>) -> Self {
        Self { start: Bound::Included(start.as_ref().to_vec()), end: Bound::Excluded(end.as_ref().to_vec()) }
    }

    /// Every key from `start` on, `start` included.
    pub fn starting_at(start: impl AsRef<[u8]>) -> Self {
        Self { start: Bound::Included(start.as_ref().to_vec()), end: Bound::Unbounded }
    }

    /// The range with any bounds.
    pub fn new(start: Bound<Vec<u8>>, end: Bound<Vec<u8>>) -> Self {
        Self { start, end }
    }

    /// The part of this range that comes after `key`, which must not lie before the range: the next page of a forward scan.
    #[must_use]
    pub fn after(mut self, key: impl AsRef<[u8]>) -> Self {
        self.start = Bound::Excluded(key.as_ref().to_vec());
        self
    }

    /// The part of this range that comes before `key`, which must not lie after the range: the next page of a backward scan.
    #[must_use]
    pub fn before(mut self, key: impl AsRef<[u8]>) -> Self {
        self.end = Bound::Excluded(key.as_ref().to_vec());
        self
    }

    /// The lower bound.
    pub fn start(&self) -> Bound<&[u8]> {
        self.start.as_ref().map(Vec::as_slice)
    }

    /// The upper bound.
    pub fn end(&self) -> Bound<&[u8]> {
        self.end.as_ref().map(Vec::as_slice)
    }

    /// Whether no key can lie in the range (such as `b..a`).
    pub fn is_empty(&self) -> bool {
        match (&self.start, &self.end) {
            (Bound::Unbounded, Bound::Excluded(end)) => end.is_empty(),
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
            (Bound::Included(start), Bound::Included(end)) => start > end,
            (Bound::Included(start) | Bound::Excluded(start), Bound::Excluded(end) | Bound::Included(end)) => start >= end,
        }
    }

    /// Whether `key` lies in the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        let after_start = match &self.start {
            Bound::Included(start) => key >= start.as_slice(),
            Bound::Excluded(start) => key > start.as_slice(),
            Bound::Unbounded => true,
        };
        let before_end = match &self.end {
            Bound::Included(end) => key <= end.as_slice(),
            Bound::Excluded(end) => key < end.as_slice(),
            Bound::Unbounded => true,
        };
        after_start && before_end
    }
}

/// The first key after all keys that begin with `prefix`; none if the prefix is empty or all `0xff`.
fn prefix_end(prefix: &[u8]) -> Bound<Vec<u8>> {
    match prefix.iter().rposition(|byte| *byte != 0xff) {
        None => Bound::Unbounded,
        Some(last) => {
            let mut end = prefix[..=last].to_vec();
            end[last] += 1;
            Bound::Excluded(end)
        }
    }
}

/// Reading: the newest durable state, or a snapshot of it.
pub trait Read: Send + Sync {
    /// The value of a key.
    ///
    /// # Errors
    /// `Io` or `Corrupt` if the stored bytes cannot be read.
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Value>, StoreError>;

    /// The values of several keys at one moment, in the order of `keys`.
    ///
    /// # Errors
    /// As [`Read::get`].
    fn multi_get(&self, space: Space, keys: &[&[u8]]) -> Result<Vec<Option<Value>>, StoreError>;

    /// At most `limit` entries of a range at one moment, in `order`.
    ///
    /// # Errors
    /// As [`Read::get`].
    fn scan(&self, space: Space, range: &KeyRange, order: Order, limit: usize) -> Result<Vec<(Key, Value)>, StoreError>;
}

/// A whole store: reading, plus writing, waiting and closing.
pub trait Kv: Read {
    /// The present state, frozen. Holds back the disk space of what is deleted later, so keep it for seconds, not days.
    ///
    /// # Errors
    /// None of the present engines fails; a remote one may.
    fn snapshot(&self) -> Result<Box<dyn Read>, StoreError>;

    /// Queues a batch; returns at once, without input or output. See [`Commit`].
    fn commit(&self, batch: Batch) -> Commit;

    /// A receiver that changes whenever a commit touched the space; it carries that commit's sequence.
    fn watch(&self, space: Space) -> watch::Receiver<u64>;

    /// What changed when. A change is noted here before its commit resolves.
    fn changes(&self) -> &Changes;

    /// Sizes and health now.
    fn status(&self) -> Status;

    /// The files of which the store consists, as of one moment not before the call; reads and writes go on. `None` if the engine keeps no files of its own: then it is
    /// backed up by its own means. Blocks until the housekeeping is between two steps.
    ///
    /// # Errors
    /// `Closed`, `Corrupt` if a list of tables is damaged, `Io`.
    fn capture(&self) -> Result<Option<Capture>, StoreError>;

    /// Refuses new batches, finishes the queued ones, and leaves the store ready for a quick start. Blocks. Reads go on working.
    /// Calling it again does nothing.
    ///
    /// # Errors
    /// `Io` if the last work failed; what was acknowledged is durable all the same.
    fn close(&self) -> Result<(), StoreError>;
}

/// What a store tells about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Bytes on disk that hold the spaces, without the journal.
    pub data_bytes: u64,
    /// Bytes on disk in the journal.
    pub journal_bytes: u64,
    /// Bytes held in memory for entries that are in the journal only.
    pub memory_bytes: u64,
    /// The sequence of the newest visible batch; 0 if there was never one.
    pub sequence: u64,
    /// Whether it takes writes.
    pub health: Health,
}

/// Whether a store takes writes. Reads work in all three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// All well.
    Ok,
    /// Writes are refused until the disk has room.
    Full,
    /// Writes are refused until the store is opened again.
    Failed,
}

/// The receipt of a durable batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// The batch's place in the order of all batches, counted from 1. A batch without operations carries that of its predecessor.
    pub sequence: u64,
}

/// A queued batch. Resolves once the batch is durable and visible, or was refused. Dropping it does not cancel the write.
#[derive(Debug)]
#[must_use = "a batch that nobody waits for may fail unseen"]
pub struct Commit(State);

#[derive(Debug)]
enum State {
    Known(Option<Result<Committed, StoreError>>),
    Waiting(oneshot::Receiver<Result<Committed, StoreError>>),
}

impl Commit {
    /// A commit whose outcome is known already.
    pub fn known(outcome: Result<Committed, StoreError>) -> Self {
        Self(State::Known(Some(outcome)))
    }

    /// A commit that is answered through the sender. A dropped sender counts as `Closed`.
    pub fn waiting() -> (oneshot::Sender<Result<Committed, StoreError>>, Self) {
        let (sender, receiver) = oneshot::channel();
        (sender, Self(State::Waiting(receiver)))
    }

    /// Waits on this thread.
    ///
    /// # Errors
    /// As the future.
    ///
    /// # Panics
    /// If called on a thread that drives asynchronous tasks: await it there.
    pub fn wait(self) -> Result<Committed, StoreError> {
        match self.0 {
            State::Known(outcome) => outcome.unwrap_or(Err(StoreError::Closed)),
            State::Waiting(receiver) => receiver.blocking_recv().unwrap_or(Err(StoreError::Closed)),
        }
    }
}

impl Future for Commit {
    type Output = Result<Committed, StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Known(outcome) => Poll::Ready(outcome.take().unwrap_or(Err(StoreError::Closed))),
            State::Waiting(receiver) => Pin::new(receiver).poll(context).map(|answer| answer.unwrap_or(Err(StoreError::Closed))),
        }
    }
}

/// The value of a counter that [`Batch::add`] keeps: 8 bytes, big-endian, two's complement. A missing counter is 0.
///
/// # Errors
/// `Invalid` if the value is not 8 bytes long; otherwise as [`Read::get`].
pub fn counter(read: &(impl Read + ?Sized), space: Space, key: &[u8]) -> Result<i64, StoreError> {
    match read.get(space, key)? {
        None => Ok(0),
        Some(value) => decode_counter(space, &value),
    }
}

/// Reads a stored counter.
pub(crate) fn decode_counter(space: Space, value: &[u8]) -> Result<i64, StoreError> {
    let bytes = value.try_into().map_err(|_| StoreError::Invalid { space, reason: "not a counter" })?;
    Ok(i64::from_be_bytes(bytes))
}
