//! The housekeeper: one thread that writes sealed memory out to the trees, takes checkpoints, deletes old segments and compacts.
//!
//! A checkpoint is three steps, each durable before the next: every tree flushes its sealed memory (the tree syncs its tables, then its
//! list of tables); the checkpoint file says so; the segments before it are deleted. A crash between any two leaves more journal than
//! needed, never less. When a step fails (a full disk), the memory and the segments stay and the thread tries again every second.
//!
//! Locks: `Keeper::state` and `Keeper::journal_end`, each alone, never across file work.

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lsm_tree::AbstractTree;
use lsm_tree::compaction::{CompactionStrategy, Leveled};

use super::capture;
use super::journal::{JOURNAL_FOLDER, segment_number};
use super::marks::Checkpoint;
use super::trees::{L0_TABLES, L0_TABLES_AT_REST, L0_TABLES_MAX, TABLE_BYTES, Trees, damage};
use crate::capture::Capture;
use crate::error::StoreError;
use crate::files::Files;
use crate::limits::JOURNAL_BYTES_MAX;
use crate::space::Space;

const RETRY: Duration = Duration::from_secs(1);
/// How long there is nothing to do before a crowded space is merged.
const REST: Duration = Duration::from_secs(2);

/// Work for the housekeeper.
#[derive(Debug)]
pub(super) enum Job {
    /// Memory was sealed at `sequence`; `segment` was started after it.
    Checkpoint { sequence: u64, segment: u64 },
    /// Rewrite every tree into its smallest form.
    Compact(SyncSender<Result<(), StoreError>>),
    /// Name the files of which the store consists now.
    Capture(SyncSender<Result<Capture, StoreError>>),
    /// Finish the checkpoints and end the thread.
    Stop,
}

/// What of the journal is synced: its last segment, and how much of that.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct JournalEnd {
    pub(super) segment: u64,
    pub(super) size_bytes: u64,
}

/// The housekeeper's inbox and what others may know about it.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    state: Mutex<State>,
    changed: Condvar,
    /// Bytes of all segments, the one being written included.
    pub(super) journal_bytes: AtomicU64,
    journal_end: Mutex<JournalEnd>,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    trouble: Option<StoreError>,
    ended: Ended,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Ended {
    #[default]
    No,
    Yes,
}

impl Keeper {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, job: Job) {
        let mut state = self.state();
        if state.ended == Ended::Yes {
            // Dropping a request tells whoever waits for it.
            return;
        }
        state.jobs.push_back(job);
        drop(state);
        self.changed.notify_all();
    }

    /// Notes what is synced, before anything of it enters the trees.
    pub(super) fn set_journal_end(&self, end: JournalEnd) {
        *self.journal_end.lock().unwrap_or_else(PoisonError::into_inner) = end;
    }

    fn journal_end(&self) -> JournalEnd {
        *self.journal_end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the last checkpoint failed, until one succeeds.
    pub(super) fn trouble(&self) -> Option<StoreError> {
        self.state().trouble.clone()
    }

    /// Waits until the journal is short enough to go on writing.
    pub(super) fn wait_for_room(&self) -> Result<(), StoreError> {
        if self.journal_bytes.load(Ordering::Relaxed) <= JOURNAL_BYTES_MAX {
            return Ok(());
        }
        let mut state = self.state();
        while self.journal_bytes.load(Ordering::Relaxed) > JOURNAL_BYTES_MAX {
            if let Some(error) = &state.trouble {
                return Err(error.clone());
            }
            if state.ended == Ended::Yes {
                return Err(StoreError::Closed);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }
}

/// However the thread ends, nobody must wait for it for ever.
struct LastWill(Arc<Keeper>);

impl Drop for LastWill {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.ended = Ended::Yes;
        // Dropping a request tells whoever waits for it.
        state.jobs.clear();
        drop(state);
        self.0.changed.notify_all();
    }
}

/// The thread's own state.
pub(super) struct Work {
    pub(super) keeper: Arc<Keeper>,
    pub(super) trees: Arc<Trees>,
    pub(super) files: Arc<dyn Files>,
    pub(super) folder: PathBuf,
    /// The newest checkpoint asked for and not yet taken.
    pub(super) due: Option<(u64, u64)>,
    /// Trees that may have something to compact.
    pub(super) untidy: BTreeSet<Space>,
    pub(super) stopping: bool,
}

impl Work {
    /// The thread's body.
    pub(super) fn run(mut self) {
        let _will = LastWill(Arc::clone(&self.keeper));
        while let Some(job) = self.next() {
            match job {
                Next::Job(Job::Checkpoint { sequence, segment }) => self.due = Some((sequence, segment)),
                Next::Job(Job::Compact(answer)) => {
                    let outcome = self.take_checkpoint().and_then(|()| self.compact_all());
                    // A caller that gave up waiting needs no answer.
                    let _ = answer.send(outcome);
                }
                Next::Job(Job::Capture(answer)) => {
                    // A caller that gave up waiting needs no answer.
                    let _ = answer.send(self.capture());
                }
                Next::Job(Job::Stop) => self.stopping = true,
                Next::Checkpoint => self.try_checkpoint(),
                Next::Compaction(space, l0_tables) => self.compact_step(space, l0_tables),
            }
        }
    }

    /// Chooses what to do: jobs first, then a due checkpoint, then one step of compaction; after a rest, a step that can wait; otherwise waits.
    fn next(&mut self) -> Option<Next> {
        let mut state = self.keeper.state();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(Next::Job(job));
            }
            if self.due.is_some() && state.trouble.is_none() {
                return Some(Next::Checkpoint);
            }
            if self.stopping {
                return None;
            }
            if self.due.is_some() {
                let (next, waited) = self.keeper.changed.wait_timeout(state, RETRY).unwrap_or_else(PoisonError::into_inner);
                state = next;
                if waited.timed_out() {
                    return Some(Next::Checkpoint);
                }
            } else if let Some(space) = self.untidy.first().copied() {
                return Some(Next::Compaction(space, L0_TABLES));
            } else if let Some(space) = self.crowded() {
                let (next, waited) = self.keeper.changed.wait_timeout(state, REST).unwrap_or_else(PoisonError::into_inner);
                state = next;
                if waited.timed_out() {
                    return Some(Next::Compaction(space, L0_TABLES_AT_REST));
                }
            } else {
                state = self.keeper.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn try_checkpoint(&mut self) {
        if let Err(error) = self.take_checkpoint() {
            tracing::error!(store.error = %error, "checkpoint failed; will try again");
        }
    }

    fn take_checkpoint(&mut self) -> Result<(), StoreError> {
        let Some((sequence, segment)) = self.due else { return Ok(()) };
        let outcome = self.checkpoint(sequence, segment);
        if outcome.is_ok() {
            self.due = None;
        }
        self.keeper.state().trouble = outcome.clone().err();
        self.keeper.changed.notify_all();
        outcome
    }

    fn checkpoint(&mut self, sequence: u64, segment: u64) -> Result<(), StoreError> {
        let spaces: Vec<Space> = self.trees.spaces().collect();
        for space in &spaces {
            self.flush(*space)?;
        }
        let trees = spaces.iter().map(|space| *space as u8).collect();
        Checkpoint { sequence, segment, trees }.write(&*self.files, &self.folder)?;
        let freed = delete_segments_before(&self.folder, segment)?;
        self.keeper.journal_bytes.fetch_sub(freed, Ordering::Relaxed);
        Ok(())
    }

    fn flush(&mut self, space: Space) -> Result<(), StoreError> {
        self.make_room_in_l0(space);
        let Some(space_tree) = self.trees.get(space) else { return Ok(()) };
        loop {
            let first_table = space_tree.tree().next_table_id();
            match space_tree.flush_one(&self.trees.positions) {
                Ok(true) => drop(self.untidy.insert(space)),
                Ok(false) => return Ok(()),
                Err(error) => {
                    self.remove_tables_from(space, first_table);
                    return Err(damage(error, &format!("writing out the tree {}", space.name())));
                }
            }
        }
    }

    /// Removes what a failed flush left: half-written tables that no list names, and that fill a full disk further.
    fn remove_tables_from(&self, space: Space, first_table: u64) {
        let folder = self.folder.join(super::trees::TREES_FOLDER).join(space.name()).join("tables");
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        let known: BTreeSet<u64> = self
            .trees
            .get(space)
            .map_or_else(BTreeSet::new, |tree| tree.tree().current_version().iter_tables().map(lsm_tree::Table::id).collect());
        for entry in entries.flatten() {
            let id = entry.file_name().to_str().and_then(|name| name.parse::<u64>().ok());
            if id.is_some_and(|id| id >= first_table && !known.contains(&id)) {
                // The next opening of the tree removes it otherwise.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    /// Merges a space's newest tables before there are more of them than a list of tables can count, however short the lives of the process were.
    fn make_room_in_l0(&mut self, space: Space) {
        while self.trees.get(space).is_some_and(|tree| tree.tree().l0_run_count() >= L0_TABLES_MAX) {
            self.untidy.insert(space);
            self.compact_step(space, L0_TABLES);
            if !self.untidy.contains(&space) {
                return;
            }
        }
    }

    /// A space with so many newest tables that reading it suffers: they are merged when there is nothing else to do.
    fn crowded(&self) -> Option<Space> {
        let many = |space: &Space| self.trees.get(*space).is_some_and(|tree| tree.tree().l0_run_count() >= usize::from(L0_TABLES_AT_REST));
        self.trees.spaces().find(many)
    }

    fn compact_step(&mut self, space: Space, l0_tables: u8) {
        let Some(space_tree) = self.trees.get(space) else {
            self.untidy.remove(&space);
            return;
        };
        let tree = space_tree.tree();
        let before = tree.current_version().id();
        let first_table = tree.next_table_id();
        let strategy = Leveled::default().with_table_target_size(TABLE_BYTES).with_l0_threshold(l0_tables);
        let strategy: Arc<dyn CompactionStrategy + Send + Sync> = Arc::new(strategy);
        let watermark = space_tree.begin_step(&self.trees.positions);
        if let Err(error) = tree.compact(strategy, watermark) {
            // The tables stay as they were; the next checkpoint of the space brings it up again.
            tracing::error!(store.space = space.name(), store.error = ?error, "compaction failed");
            self.remove_tables_from(space, first_table);
            self.untidy.remove(&space);
        } else if tree.current_version().id() == before {
            self.untidy.remove(&space);
        }
    }

    /// Only this thread changes trees and checkpoint and deletes segments, so all of it stays as it is meanwhile; the tables' versions keep the tables afterwards.
    fn capture(&self) -> Result<Capture, StoreError> {
        let mut files = capture::head(&self.folder)?;
        let mut versions = Vec::new();
        for space in self.trees.spaces() {
            versions.extend(self.trees.get(space).map(|tree| tree.tree().current_version()));
            capture::tree(&self.folder, space, &mut files)?;
        }
        let checkpoint = Checkpoint::read(&self.folder)?.ok_or(StoreError::Closed)?;
        capture::journal(&self.folder, checkpoint.segment, Some(self.keeper.journal_end()), &mut files)?;
        Ok(Capture::new(files, versions))
    }

    fn compact_all(&mut self) -> Result<(), StoreError> {
        let spaces: Vec<Space> = self.trees.spaces().collect();
        for space in spaces {
            let Some(space_tree) = self.trees.get(space) else { continue };
            let watermark = space_tree.begin_step(&self.trees.positions);
            space_tree
                .tree()
                .major_compact(TABLE_BYTES, watermark)
                .map_err(|error| damage(error, &format!("compacting the tree {}", space.name())))?;
            self.untidy.remove(&space);
        }
        Ok(())
    }
}

enum Next {
    Job(Job),
    Checkpoint,
    Compaction(Space, u8),
}

/// Deletes the segments that a checkpoint made obsolete; answers their bytes.
pub(super) fn delete_segments_before(folder: &std::path::Path, segment: u64) -> Result<u64, StoreError> {
    let context = |error| StoreError::io("deleting old journal segments", error);
    let mut freed = 0;
    for entry in std::fs::read_dir(folder.join(JOURNAL_FOLDER)).map_err(context)? {
        let entry = entry.map_err(context)?;
        let number = entry.file_name().to_str().and_then(segment_number);
        if number.is_some_and(|number| number < segment) {
            let length = entry.metadata().map_err(context)?.len();
            std::fs::remove_file(entry.path()).map_err(context)?;
            freed += length;
        }
    }
    Ok(freed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::OsFiles;
    use crate::fjall::group::Slot;
    use crate::fjall::inspect;
    use crate::fjall::trees::TREES_FOLDER;
    use std::collections::BTreeMap;

    /// More flushes than a list of tables can count tables of one level, as short lives make them: each ends before there is time to merge.
    const FLUSHES: u64 = 300;

    #[test]
    fn flushes_without_compaction_leave_a_list_of_tables_that_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let files: Arc<dyn Files> = Arc::new(OsFiles);
        let trees = Arc::new(Trees::new(folder.path(), Arc::clone(&files), 1 << 20));
        std::fs::create_dir(folder.path().join(TREES_FOLDER)).unwrap();
        trees.open(Space::Meta).unwrap();
        let keeper = Arc::new(Keeper::default());
        let mut work = Work {
            keeper,
            trees: Arc::clone(&trees),
            files,
            folder: folder.path().to_owned(),
            due: None,
            untidy: BTreeSet::new(),
            stopping: false,
        };
        for sequence in 1..=FLUSHES {
            // Every table spans all keys, so that none can be moved down as it is.
            let changes = ["a", "z"].map(|key| (key.into(), Slot::Value(sequence.to_be_bytes().into())));
            trees.insert(Space::Meta, BTreeMap::from(changes), sequence);
            trees.positions.publish(sequence);
            trees.seal();
            work.flush(Space::Meta).unwrap();
        }
        inspect::check_tree(&folder.path().join(TREES_FOLDER).join(Space::Meta.name())).unwrap();
        let tree = trees.get(Space::Meta).unwrap();
        assert!(tree.tree().l0_run_count() <= L0_TABLES_MAX);
        assert_eq!(tree.get(b"z", u64::MAX).unwrap().unwrap().as_ref(), FLUSHES.to_be_bytes());
    }
}
