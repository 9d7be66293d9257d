//! A store in memory: the oracle that every other engine is compared with, and the engine of unit tests.
//!
//! Owns one ordered map per space behind one lock; runs no task. Commits resolve at once. "Durable" means nothing here: dropping the store
//! loses everything.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use tokio::sync::watch;

use crate::batch::{Batch, Change, Expected};
use crate::capture::Capture;
use crate::changes::Changes;
use crate::error::StoreError;
use crate::kv::{Commit, Committed, Health, Key, KeyRange, Kv, Order, Read, Status, Value, decode_counter};
use crate::space::Space;
use crate::watches::Watches;

type Map = BTreeMap<Bytes, Bytes>;
type Maps = BTreeMap<Space, Arc<Map>>;

/// See the module.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
    watches: Watches,
    changes: Changes,
}

#[derive(Debug, Default)]
struct State {
    maps: Maps,
    sequence: u64,
    closed: Option<Closed>,
}

#[derive(Debug, Clone, Copy)]
struct Closed;

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is replaced in one assignment, so a panic elsewhere cannot leave it half changed.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn apply(&self, batch: &Batch) -> Result<Committed, StoreError> {
        batch.check_limits()?;
        let mut state = self.state();
        if state.closed.is_some() {
            return Err(StoreError::Closed);
        }
        for (index, (space, key, expected)) in batch.conditions().enumerate() {
            let value = state.maps.get(&space).and_then(|map| map.get(key));
            let holds = match expected {
                Expected::Absent => value.is_none(),
                Expected::Present => value.is_some(),
                Expected::Value(wanted) => value.is_some_and(|value| value == wanted),
            };
            if !holds {
                return Err(StoreError::ConditionFailed { index, space });
            }
        }
        if !batch.has_operations() {
            return Ok(Committed { sequence: state.sequence });
        }
        // Maps are copied on the first write after a snapshot only; a failing batch falls back to the kept handles.
        let before = state.maps.clone();
        for (space, key, change) in batch.operations() {
            if let Err(error) = change_one(&mut state.maps, space, key, change) {
                state.maps = before;
                return Err(error);
            }
        }
        drop(before);
        state.sequence += 1;
        let sequence = state.sequence;
        drop(state);
        for (space, key, _) in batch.operations() {
            self.changes.note(space, key);
            self.watches.touch(space, sequence);
        }
        Ok(Committed { sequence })
    }
}

fn change_one(maps: &mut Maps, space: Space, key: &[u8], change: Change<&[u8]>) -> Result<(), StoreError> {
    let map = Arc::make_mut(maps.entry(space).or_default());
    let value = match change {
        Change::Put(value) => Some(Bytes::copy_from_slice(value)),
        Change::Delete => None,
        Change::Add(delta) => {
            let old = map.get(key).map_or(Ok(0), |value| decode_counter(space, value))?;
            let new = old.checked_add(delta).ok_or(StoreError::Invalid { space, reason: "overflow" })?;
            (new != 0).then(|| Bytes::copy_from_slice(&new.to_be_bytes()))
        }
    };
    match value {
        Some(value) => map.insert(Bytes::copy_from_slice(key), value),
        None => map.remove(key),
    };
    Ok(())
}

impl Read for Maps {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Value>, StoreError> {
        Ok(Maps::get(self, &space).and_then(|map| map.get(key)).cloned())
    }

    fn multi_get(&self, space: Space, keys: &[&[u8]]) -> Result<Vec<Option<Value>>, StoreError> {
        keys.iter().map(|key| Read::get(self, space, key)).collect()
    }

    fn scan(&self, space: Space, range: &KeyRange, order: Order, limit: usize) -> Result<Vec<(Key, Value)>, StoreError> {
        let Some(map) = Maps::get(self, &space).filter(|_| !range.is_empty()) else {
            return Ok(Vec::new());
        };
        let entries = map.range::<[u8], _>((range.start(), range.end())).map(|(key, value)| (key.clone(), value.clone()));
        Ok(match order {
            Order::Forward => entries.take(limit).collect(),
            Order::Backward => entries.rev().take(limit).collect(),
        })
    }
}

impl Read for MemoryStore {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Value>, StoreError> {
        Read::get(&self.state().maps, space, key)
    }

    fn multi_get(&self, space: Space, keys: &[&[u8]]) -> Result<Vec<Option<Value>>, StoreError> {
        self.state().maps.multi_get(space, keys)
    }

    fn scan(&self, space: Space, range: &KeyRange, order: Order, limit: usize) -> Result<Vec<(Key, Value)>, StoreError> {
        self.state().maps.scan(space, range, order, limit)
    }
}

impl Kv for MemoryStore {
    fn snapshot(&self) -> Result<Box<dyn Read>, StoreError> {
        Ok(Box::new(self.state().maps.clone()))
    }

    fn commit(&self, batch: Batch) -> Commit {
        Commit::known(self.apply(&batch))
    }

    fn watch(&self, space: Space) -> watch::Receiver<u64> {
        self.watches.watch(space)
    }

    fn changes(&self) -> &Changes {
        &self.changes
    }

    fn status(&self) -> Status {
        let state = self.state();
        let memory_bytes = state.maps.values().flat_map(|map| map.iter()).map(|(key, value)| (key.len() + value.len()) as u64).sum();
        Status { data_bytes: 0, journal_bytes: 0, memory_bytes, sequence: state.sequence, health: Health::Ok }
    }

    fn capture(&self) -> Result<Option<Capture>, StoreError> {
        Ok(None)
    }

    fn close(&self) -> Result<(), StoreError> {
        self.state().closed = Some(Closed);
        Ok(())
    }
}
