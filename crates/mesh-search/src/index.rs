//! The index as it is shared: what is on disk, what is not yet, and what must not be shown any more.
//!
//! A search takes a [`View`], three pointers under a short lock, and holds no lock after that. Changes go into the view at once; the writer takes them out
//! again when a commit holds them. What was replaced or removed since the last commit is hidden: no search shows it from the moment of the call.

mod open;
mod schema;
mod snapshot;
pub(crate) mod source;
pub(crate) mod tail;
mod writer;

use crate::error::SearchError;
use crate::limits::{STALLED_S, TAIL_MAX};
use parking_lot::{Condvar, Mutex};
use schema::Fields;
use source::Source;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tail::Pending;

pub use open::{Opened, Rebuild};
pub use snapshot::{Posting, Snapshot};
pub use writer::Writer;

/// A search index that is open. Cheap to clone; every clone searches the same.
#[derive(Clone)]
pub struct Index {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) fields: Fields,
    state: Mutex<State>,
    room: Condvar,
}

struct State {
    view: View,
    sequence: u64,
    /// The largest local id that was ever put: what is larger replaces nothing.
    highest: Option<u64>,
}

/// All that a search looks at, unchanging.
#[derive(Clone)]
pub(crate) struct View {
    /// The folder that is written; while it is built anew, after it what can be read of the old one.
    pub(crate) sources: Arc<Vec<Arc<Source>>>,
    pub(crate) tail: Arc<Vec<Arc<Pending>>>,
    pub(crate) hidden: Arc<HashMap<u64, Hidden>>,
    pub(crate) generation: u64,
}

/// Why a document on disk is not shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hidden {
    sequence: u64,
    is_removed: bool,
}

impl View {
    pub(crate) fn hides(&self, no: u64) -> bool {
        !self.hidden.is_empty() && self.hidden.contains_key(&no)
    }

    pub(crate) fn is_rebuilding(&self) -> bool {
        self.sources.len() > 1
    }

    /// What an old folder must not show since it is in memory in a newer form.
    pub(crate) fn in_tail_if_rebuilding(&self) -> HashSet<u64> {
        if self.is_rebuilding() { self.tail.iter().map(|pending| pending.no).collect() } else { HashSet::new() }
    }
}

impl Index {
    pub(crate) fn new(fields: Fields, sources: Vec<Arc<Source>>, generation: u64) -> Self {
        let highest = sources.first().and_then(|source| source.highest());
        let view = View { sources: Arc::new(sources), tail: Arc::default(), hidden: Arc::default(), generation };
        let state = Mutex::new(State { view, sequence: 0, highest });
        Self { shared: Arc::new(Shared { fields, state, room: Condvar::new() }) }
    }

    pub(crate) fn view(&self) -> View {
        self.shared.state.lock().view.clone()
    }

    /// A number that changes when what is on disk changes.
    pub fn generation(&self) -> u64 {
        self.view().generation
    }

    /// Documents that can be found.
    pub fn documents(&self) -> u64 {
        let view = self.view();
        view.sources.iter().map(|source| source.documents()).max().unwrap_or(0) + view.tail.len() as u64
    }
}

/// Whether a document may be in the folder already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Was {
    Absent,
    Perhaps,
}

impl Shared {
    /// Makes a document searchable, and hands it on under the lock, so that changes come in one order.
    pub(crate) fn put(&self, mut pending: Pending, hand_on: impl FnOnce(Arc<Pending>, Was)) -> Result<(), SearchError> {
        let mut state = self.state.lock();
        while state.view.tail.len() >= TAIL_MAX {
            if self.room.wait_for(&mut state, Duration::from_secs(STALLED_S)).timed_out() {
                return Err(SearchError::Stalled(STALLED_S));
            }
        }
        state.sequence += 1;
        pending.sequence = state.sequence;
        let no = pending.no;
        let was = if state.highest.is_some_and(|highest| no <= highest) { Was::Perhaps } else { Was::Absent };
        state.highest = state.highest.max(Some(no));
        let pending = Arc::new(pending);
        if was == Was::Perhaps {
            let hidden = Hidden { sequence: pending.sequence, is_removed: false };
            Arc::make_mut(&mut state.view.hidden).insert(no, hidden);
            Arc::make_mut(&mut state.view.tail).retain(|other| other.no != no);
        }
        Arc::make_mut(&mut state.view.tail).push(Arc::clone(&pending));
        hand_on(pending, was);
        Ok(())
    }

    /// Hides a document for ever, and hands its removal on.
    pub(crate) fn remove(&self, no: u64, hand_on: impl FnOnce(u64)) {
        let mut state = self.state.lock();
        state.sequence += 1;
        let sequence = state.sequence;
        Arc::make_mut(&mut state.view.hidden).insert(no, Hidden { sequence, is_removed: true });
        Arc::make_mut(&mut state.view.tail).retain(|other| other.no != no);
        hand_on(sequence);
    }

    /// A commit holds all changes up to `sequence`.
    pub(crate) fn committed(&self, source: Arc<Source>, sequence: u64, generation: u64, old: Old) {
        let mut state = self.state.lock();
        let mut sources = vec![source];
        if old == Old::Kept {
            sources.extend(state.view.sources.iter().skip(1).cloned());
        }
        let is_rebuilding = sources.len() > 1;
        state.view.sources = Arc::new(sources);
        state.view.generation = generation;
        Arc::make_mut(&mut state.view.tail).retain(|pending| pending.sequence > sequence);
        // An old folder does not learn what was removed.
        Arc::make_mut(&mut state.view.hidden).retain(|_, hidden| hidden.sequence > sequence || (is_rebuilding && hidden.is_removed));
        self.room.notify_all();
    }
}

/// What becomes of the folder that is being replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Old {
    Kept,
    Gone,
}
