//! The writer: one thread that turns queued batches into durable groups.
//!
//! Per group: look for room, apply the batches to each other, create missing trees, append one frame, sync once, note the mark, insert into
//! the trees' memory, show the new sequence, answer everyone. While it syncs, the next group gathers in the queue. Nothing is in the trees
//! before it is durable, so what fails leaves nothing to take back, and readers never see what a crash can lose. Refusals are answered after
//! the sync too: they may rest on batches of the same group.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::SyncSender;

use super::group::Group;
use super::journal::{Journal, Trouble};
use super::keeper::{Job, Keeper};
use super::marks::Mark;
use super::queue::{Queue, Queued};
use super::trees::Trees;
use crate::changes::{Changes, Place};
use crate::error::StoreError;
use crate::files::Files;
use crate::kv::{Committed, Health};
use crate::space::Space;
use crate::watches::Watches;

/// What the writer, the readers and the owner of the store share.
pub(super) struct Shared {
    pub(super) folder: PathBuf,
    pub(super) files: Arc<dyn Files>,
    pub(super) trees: Arc<Trees>,
    pub(super) queue: Queue,
    pub(super) keeper: Arc<Keeper>,
    pub(super) watches: Watches,
    pub(super) changes: Changes,
    pub(super) health: SharedHealth,
    pub(super) segment_bytes: u64,
    pub(super) reserve_bytes: u64,
}

/// [`Health`], readable from every thread.
#[derive(Debug, Default)]
pub(super) struct SharedHealth(AtomicU8);

impl SharedHealth {
    pub(super) fn get(&self) -> Health {
        match self.0.load(Ordering::Acquire) {
            0 => Health::Ok,
            1 => Health::Full,
            _ => Health::Failed,
        }
    }

    fn set(&self, health: Health) {
        let number = match health {
            Health::Ok => 0,
            Health::Full => 1,
            Health::Failed => 2,
        };
        self.0.store(number, Ordering::Release);
    }
}

impl Shared {
    /// Whether the disk has room for writes.
    pub(super) fn check_room(&self) -> Result<(), StoreError> {
        let free_bytes = self.files.free_bytes(&self.folder).map_err(|error| StoreError::io("asking for free space", error))?;
        if free_bytes < self.reserve_bytes { Err(self.full(free_bytes)) } else { Ok(()) }
    }

    fn full(&self, free_bytes: u64) -> StoreError {
        StoreError::Full { free_bytes, reserve_bytes: self.reserve_bytes }
    }
}

/// A request that the writer serves between groups: seal everything written so far, then answer.
pub(super) type Seal = SyncSender<Result<(), StoreError>>;

/// If the thread dies of a panic, nobody must wait for it for ever.
struct LastWill(Arc<Shared>);

impl Drop for LastWill {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.health.set(Health::Failed);
            self.0.queue.abandon();
        }
    }
}

/// Whether the trees' memory holds entries of segments before the one being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replayed {
    Nothing,
    Segments,
}

/// The thread's own state.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) journal: Journal,
    pub(super) mark: Mark,
    pub(super) sequence: u64,
    pub(super) replayed: Replayed,
    pub(super) group: Group,
    pub(super) outcomes: Vec<Result<u64, StoreError>>,
}

impl Writer {
    /// The thread's body.
    pub(super) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let _will = LastWill(Arc::clone(&shared));
        let mut queued = Vec::new();
        if self.replayed == Replayed::Segments
            && let Err(error) = self.seal()
        {
            tracing::error!(store.error = %error, "no checkpoint after replaying the journal");
        }
        loop {
            let seal = shared.queue.take(&mut queued);
            if !queued.is_empty() {
                self.write(&mut queued);
            } else if seal.is_none() {
                break;
            }
            if let Some(seal) = seal {
                // A caller that gave up waiting needs no answer.
                let _ = seal.send(self.seal());
            }
        }
        if let Err(error) = self.seal() {
            tracing::error!(store.error = %error, "the last checkpoint was not begun; the next start will replay the journal");
        }
    }

    /// Writes one group and answers its batches.
    fn write(&mut self, queued: &mut Vec<Queued>) {
        let before = self.sequence;
        self.group.clear();
        self.outcomes.clear();
        let outcome = self.admit().and_then(|()| {
            for item in queued.iter() {
                let outcome = self.group.apply(&item.batch, &*self.shared.trees);
                if outcome.is_ok() && item.batch.has_operations() {
                    self.sequence += 1;
                }
                self.outcomes.push(outcome.map(|()| self.sequence));
            }
            self.persist(before)
        });
        match outcome {
            Ok(()) => {
                self.show(before);
                for (item, outcome) in queued.drain(..).zip(self.outcomes.drain(..)) {
                    // A caller that dropped its commit needs no answer.
                    let _ = item.answer.send(outcome.map(|sequence| Committed { sequence }));
                }
            }
            Err(error) => {
                let error = self.tell_full(error);
                self.sequence = before;
                for item in queued.drain(..) {
                    let _ = item.answer.send(Err(error.clone()));
                }
            }
        }
        if self.journal.segment_bytes() > self.shared.segment_bytes
            && let Err(error) = self.seal()
        {
            tracing::error!(store.error = %error, "no new journal segment; staying with the old one");
        }
    }

    /// Whether a group may be written now.
    fn admit(&mut self) -> Result<(), StoreError> {
        let shared = &self.shared;
        if shared.health.get() == Health::Failed {
            return Err(StoreError::Closed);
        }
        let outcome = shared.check_room().and_then(|()| shared.keeper.wait_for_room());
        match &outcome {
            Ok(()) => shared.health.set(Health::Ok),
            Err(StoreError::Full { .. }) => shared.health.set(Health::Full),
            Err(_) => {}
        }
        outcome
    }

    /// Makes the group durable. After an error nothing of it is visible.
    fn persist(&mut self, before: u64) -> Result<(), StoreError> {
        if self.sequence == before {
            return Ok(());
        }
        self.group.finish();
        for space in self.group.spaces() {
            self.shared.trees.open(space)?;
        }
        let length = self.journal.segment_bytes();
        self.journal.append(&self.group, self.sequence).and_then(|()| self.journal.sync()).map_err(|trouble| self.failed(trouble))?;
        self.shared.keeper.journal_bytes.fetch_add(self.journal.segment_bytes() - length, Ordering::Relaxed);
        self.shared.keeper.set_journal_end(self.journal.end());
        if let Err(error) = self.mark.set(self.sequence) {
            // The mark only guards against a journal cut by others; the group itself is durable.
            tracing::warn!(store.error = %error, "the journal mark lags behind");
        }
        Ok(())
    }

    /// A full disk, wherever it showed, is told as such; but a journal that failed stays failed, whatever the reason.
    fn tell_full(&self, error: StoreError) -> StoreError {
        let failed = self.shared.health.get() == Health::Failed;
        match error {
            StoreError::Io { source, .. } if source.kind() == ErrorKind::StorageFull && !failed => {
                self.shared.health.set(Health::Full);
                self.shared.full(0)
            }
            other => other,
        }
    }

    fn failed(&self, trouble: Trouble) -> StoreError {
        match trouble {
            Trouble::Refused(error) => StoreError::io("writing the journal", error),
            Trouble::Unknown(error) => {
                tracing::error!(store.error = %error, "the journal failed; no more writes until the store is opened again");
                self.shared.health.set(Health::Failed);
                StoreError::io("syncing the journal", error)
            }
        }
    }

    /// Moves the durable group into the trees and shows it.
    fn show(&mut self, before: u64) {
        if self.sequence == before {
            return;
        }
        let touched: Vec<Space> = self.group.spaces().collect();
        let mut places: Vec<(Place, Space)> = Vec::new();
        for space in &touched {
            places.extend(self.group.changes(*space).map(|(key, _)| (Place::of_key(*space, key), *space)));
            self.shared.trees.insert(*space, self.group.take(*space), self.sequence);
        }
        self.shared.trees.positions.publish(self.sequence);
        self.group.remember();
        for (place, space) in places {
            self.shared.changes.note_at(place, space);
        }
        for space in touched {
            self.shared.watches.touch(space, self.sequence);
        }
    }

    /// Ends the segment and hands what was written so far to the housekeeper.
    fn seal(&mut self) -> Result<(), StoreError> {
        if self.shared.health.get() == Health::Failed {
            return Err(StoreError::Closed);
        }
        self.mark.sync()?;
        if self.journal.is_fresh() && self.replayed == Replayed::Nothing {
            return Ok(());
        }
        if !self.journal.is_fresh() {
            self.journal.start_next()?;
            let grown = self.journal.segment_bytes();
            self.shared.keeper.journal_bytes.fetch_add(grown, Ordering::Relaxed);
            self.shared.keeper.set_journal_end(self.journal.end());
        }
        self.replayed = Replayed::Nothing;
        self.shared.trees.seal();
        self.shared.keeper.push(Job::Checkpoint { sequence: self.sequence, segment: self.journal.segment() });
        Ok(())
    }
}
