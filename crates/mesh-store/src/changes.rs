//! What changed when, so that whoever remembers what was made from the store knows when it is out of date.
//!
//! Each change takes the next number of one clock. The number is kept for the key's *place*, which the key shares with others: a change may seem to
//! concern more than it does, never less. It is noted once the change is visible and before its commit resolves.

use crate::space::Space;
use crate::watches::slots;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

/// How many places all keys share: 8 bytes each.
const PLACES: usize = 1 << 15;
/// Bytes of a key that tell its place, so that all that is said of one thing has one place.
const KEY_BYTES: usize = 8;

/// Where changes to a key, or to a whole space, are noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(u32);

impl Place {
    /// That of all keys of a space that begin with the same eight bytes.
    pub fn of_key(space: Space, key: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        (space, &key[..key.len().min(KEY_BYTES)]).hash(&mut hasher);
        Self((hasher.finish() as usize % PLACES) as u32)
    }

    /// That of all keys of a space.
    pub fn of_space(space: Space) -> Self {
        Self((PLACES + space as usize) as u32)
    }
}

/// The numbers of the newest changes.
#[derive(Debug)]
pub struct Changes {
    clock: AtomicU64,
    newest: Box<[AtomicU64]>,
}

impl Default for Changes {
    fn default() -> Self {
        Self { clock: AtomicU64::new(0), newest: (0..PLACES + slots()).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl Changes {
    /// The present moment: what is read from now on holds all changes up to it.
    pub fn now(&self) -> u64 {
        self.clock.load(Ordering::Acquire)
    }

    /// Notes a change to a key that is visible by now, in the store or in what is remembered of it.
    pub fn note(&self, space: Space, key: &[u8]) {
        self.note_at(Place::of_key(space, key), space);
    }

    pub(crate) fn note_at(&self, place: Place, space: Space) {
        let moment = self.clock.fetch_add(1, Ordering::AcqRel) + 1;
        for place in [place, Place::of_space(space)] {
            self.newest[place.0 as usize].fetch_max(moment, Ordering::AcqRel);
        }
    }

    /// Whether anything changed in one of the places after a moment.
    pub fn any_since(&self, moment: u64, places: &[Place]) -> bool {
        places.iter().any(|place| self.newest[place.0 as usize].load(Ordering::Acquire) > moment)
    }
}
