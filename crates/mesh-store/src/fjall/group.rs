//! Turns the batches of one group into final values: conditions checked, counters summed, later writes over earlier ones.
//!
//! Every batch sees the stored state plus what earlier batches of the same group did. A batch that fails leaves no trace. What remains
//! is one value or removal per key, however often the group touched it, so a hot counter costs one write a group.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};

use lsm_tree::Slice;

use crate::batch::{Batch, Change, Expected};
use crate::error::StoreError;
use crate::kv::decode_counter;
use crate::limits::COUNTERS_REMEMBERED_MAX;
use crate::space::Space;
use crate::watches::slots;

/// What a key will hold after the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Slot {
    Value(Slice),
    Absent,
    /// A counter that the group added to; 0 means absent.
    Counter(i64),
}

/// Reads the state below the group.
pub(super) trait Below {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Slice>, StoreError>;
}

/// The keys a group changes, by space and key.
#[derive(Debug)]
pub(super) struct Group {
    /// Indexed by the number of the space.
    spaces: Vec<BTreeMap<Slice, Slot>>,
    /// What the batch in hand replaced, to undo it.
    undo: Vec<(Space, Slice, Option<Slot>)>,
    /// What counters hold in the trees, as far as remembered, by the number of the space: only the writer changes them, and reading one costs more than
    /// all else about it.
    counters: Vec<HashMap<Slice, i64>>,
    /// The counters of the group that [`Group::finish`] ended.
    summed: Vec<(Space, Slice, i64)>,
}

impl Default for Group {
    fn default() -> Self {
        let counters = vec![HashMap::new(); slots()];
        Self { spaces: vec![BTreeMap::new(); slots()], undo: Vec::new(), counters, summed: Vec::new() }
    }
}

impl Group {
    /// Applies one batch on top of the earlier ones, or nothing of it.
    pub(super) fn apply(&mut self, batch: &Batch, below: &impl Below) -> Result<(), StoreError> {
        self.check(batch, below)?;
        self.undo.clear();
        for (space, key, change) in batch.operations() {
            if let Err(error) = self.change(space, key, change, below) {
                self.roll_back();
                return Err(error);
            }
        }
        Ok(())
    }

    fn check(&self, batch: &Batch, below: &impl Below) -> Result<(), StoreError> {
        for (index, (space, key, expected)) in batch.conditions().enumerate() {
            let holds = match self.spaces[space as usize].get(key) {
                Some(slot) => slot.holds(expected),
                None => {
                    let value = below.get(space, key)?;
                    value.map_or(Slot::Absent, Slot::Value).holds(expected)
                }
            };
            if !holds {
                return Err(StoreError::ConditionFailed { index, space });
            }
        }
        Ok(())
    }

    fn change(&mut self, space: Space, key: &[u8], change: Change<&[u8]>, below: &impl Below) -> Result<(), StoreError> {
        let map = &mut self.spaces[space as usize];
        if !matches!(change, Change::Add(_)) {
            self.counters[space as usize].remove(key);
        }
        let slot = match change {
            Change::Put(value) => Slot::Value(Slice::from(value)),
            Change::Delete => Slot::Absent,
            Change::Add(delta) => {
                let old = match map.get(key) {
                    Some(Slot::Counter(value)) => *value,
                    Some(Slot::Absent) => 0,
                    Some(Slot::Value(value)) => decode_counter(space, value)?,
                    None => match self.counters[space as usize].get(key) {
                        Some(value) => *value,
                        None => below.get(space, key)?.map_or(Ok(0), |value| decode_counter(space, &value))?,
                    },
                };
                Slot::Counter(old.checked_add(delta).ok_or(StoreError::Invalid { space, reason: "overflow" })?)
            }
        };
        match map.entry(Slice::from(key)) {
            Entry::Vacant(vacant) => {
                self.undo.push((space, vacant.key().clone(), None));
                vacant.insert(slot);
            }
            Entry::Occupied(mut occupied) => {
                let key = occupied.key().clone();
                self.undo.push((space, key, Some(occupied.insert(slot))));
            }
        }
        Ok(())
    }

    fn roll_back(&mut self) {
        while let Some((space, key, before)) = self.undo.pop() {
            let map = &mut self.spaces[space as usize];
            match before {
                Some(slot) => map.insert(key, slot),
                None => map.remove(&key),
            };
        }
    }

    /// Ends the group: hands out every change, counters as their stored form.
    pub(super) fn finish(&mut self) {
        self.undo.clear();
        self.summed.clear();
        for space in Space::ALL {
            for (key, slot) in &mut self.spaces[*space as usize] {
                if let Slot::Counter(value) = *slot {
                    self.summed.push((*space, key.clone(), value));
                    *slot = if value == 0 { Slot::Absent } else { Slot::Value(Slice::from(value.to_be_bytes())) };
                }
            }
        }
    }

    /// Remembers the counters of the finished group, once it is durable and shown.
    pub(super) fn remember(&mut self) {
        for (space, key, value) in self.summed.drain(..) {
            let counters = &mut self.counters[space as usize];
            if counters.len() >= COUNTERS_REMEMBERED_MAX {
                counters.clear();
            }
            counters.insert(key, value);
        }
    }

    /// The spaces touched.
    pub(super) fn spaces(&self) -> impl Iterator<Item = Space> {
        Space::ALL.iter().copied().filter(|space| !self.spaces[*space as usize].is_empty())
    }

    /// The changes of one space after [`Group::finish`], in key order. `None` is a removal.
    pub(super) fn changes(&self, space: Space) -> impl Iterator<Item = (&Slice, Option<&Slice>)> {
        self.spaces[space as usize].iter().map(|(key, slot)| match slot {
            Slot::Value(value) => (key, Some(value)),
            Slot::Absent | Slot::Counter(_) => (key, None),
        })
    }

    /// Moves the changes of one space out.
    pub(super) fn take(&mut self, space: Space) -> BTreeMap<Slice, Slot> {
        std::mem::take(&mut self.spaces[space as usize])
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.undo.clear();
        self.spaces.iter_mut().for_each(BTreeMap::clear);
    }
}

impl Slot {
    fn holds(&self, expected: Expected<&[u8]>) -> bool {
        let absent = matches!(self, Slot::Absent | Slot::Counter(0));
        match expected {
            Expected::Absent => absent,
            Expected::Present => !absent,
            Expected::Value(wanted) => match self {
                Slot::Value(value) => value.as_ref() == wanted,
                Slot::Counter(value) => *value != 0 && value.to_be_bytes() == wanted,
                Slot::Absent => false,
            },
        }
    }
}
