//! The bounded queue between `commit` and the writer thread. First in, first out: the order in which batches take effect.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::writer::Seal;
use crate::batch::Batch;
use crate::error::StoreError;
use crate::kv::{Commit, Committed};
use crate::limits::{GROUP_BATCHES_MAX, GROUP_BYTES_MAX, QUEUE_BATCHES_MAX, QUEUE_BYTES_MAX};

/// A batch and whoever waits for it.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) batch: Batch,
    pub(super) answer: oneshot::Sender<Result<Committed, StoreError>>,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Queued>,
    bytes: usize,
    seals: VecDeque<Seal>,
    phase: Phase,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    #[default]
    Open,
    Closed,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change to the state is complete before anything that can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a batch, or says at once why not.
    pub(super) fn push(&self, batch: Batch) -> Commit {
        if let Err(error) = batch.check_limits() {
            return Commit::known(Err(error));
        }
        let bytes = batch.queued_bytes();
        let mut state = self.state();
        if state.phase == Phase::Closed {
            return Commit::known(Err(StoreError::Closed));
        }
        if state.waiting.len() >= QUEUE_BATCHES_MAX || state.bytes + bytes > QUEUE_BYTES_MAX {
            return Commit::known(Err(StoreError::Busy));
        }
        let (answer, commit) = Commit::waiting();
        let was_empty = state.waiting.is_empty();
        state.bytes += bytes;
        state.waiting.push_back(Queued { batch, answer });
        drop(state);
        if was_empty {
            self.filled.notify_one();
        }
        commit
    }

    /// Asks the writer to seal what was written so far.
    pub(super) fn request_seal(&self, seal: Seal) {
        let mut state = self.state();
        if state.phase == Phase::Closed {
            // A caller that gave up waiting needs no answer.
            let _ = seal.send(Err(StoreError::Closed));
            return;
        }
        state.seals.push_back(seal);
        drop(state);
        self.filled.notify_one();
    }

    /// Moves the next group into `group` and answers a request to seal after it, waiting for either. Neither comes once the queue is
    /// closed and drained.
    pub(super) fn take(&self, group: &mut Vec<Queued>) -> Option<Seal> {
        group.clear();
        let mut state = self.state();
        while state.waiting.is_empty() && state.seals.is_empty() && state.phase == Phase::Open {
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let mut taken = 0;
        while taken < GROUP_BYTES_MAX && group.len() < GROUP_BATCHES_MAX {
            let Some(queued) = state.waiting.pop_front() else { break };
            let bytes = queued.batch.queued_bytes();
            taken += bytes;
            state.bytes -= bytes;
            group.push(queued);
        }
        // What was queued before the request must be written before it is served.
        if state.waiting.is_empty() { state.seals.pop_front() } else { None }
    }

    /// Refuses further batches, and those queued: whoever waits for them is told `Closed`.
    pub(super) fn abandon(&self) {
        let mut state = self.state();
        state.phase = Phase::Closed;
        state.waiting.clear();
        state.seals.clear();
    }

    /// Refuses further batches; those queued are still handed out.
    pub(super) fn close(&self) {
        self.state().phase = Phase::Closed;
        self.filled.notify_all();
    }
}
