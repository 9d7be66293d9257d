//! The newest entries of one space, in memory until the housekeeper writes them out.
//!
//! A B-tree under a lock, in the place of the skip list of `lsm-tree`. There is one writer; a hundred thousand entries that lie in pages cost it a few
//! steps each, where a list of single nodes costs a cache miss at every step: a fifth of all time of a server that takes in records. The lock is held
//! for a look-up or a page, never across anything else.
//!
//! A key is there once for each sequence that wrote it. Readers see the newest of those below their position.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use lsm_tree::{InternalValue, SeqNo, Slice, ValueType};

use crate::kv::Order;

/// Entries inserted, or keys read, under the lock at once.
const PAGE: usize = 64;
/// What an entry costs besides its key and value.
const ENTRY_BYTES: usize = size_of::<(Version, Option<Slice>)>();

/// A key and the sequence that wrote it: of one key, the newest comes first.
type Version = (Slice, Reverse<SeqNo>);

/// Bounds on keys.
pub(super) type Bounds = (Bound<Slice>, Bound<Slice>);

/// A key with its value, or with nothing where it was removed.
pub(super) type Entry = (Slice, Option<Slice>);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Memtable {
    entries: RwLock<BTreeMap<Version, Option<Slice>>>,
    bytes: AtomicU64,
}

impl Memtable {
    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<Version, Option<Slice>>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds entries that one sequence wrote.
    pub(super) fn insert(&self, entries: impl IntoIterator<Item = (Entry, SeqNo)>) {
        let mut waiting = entries.into_iter().peekable();
        while waiting.peek().is_some() {
            let mut added = 0;
            let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
            for ((key, value), sequence) in waiting.by_ref().take(PAGE) {
                added += ENTRY_BYTES + key.len() + value.as_ref().map_or(0, |value| value.len());
                entries.insert((key, Reverse(sequence)), value);
            }
            drop(entries);
            self.bytes.fetch_add(added as u64, Ordering::Relaxed);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.read().is_empty()
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// What a key holds at a position, if the answer is here: a value, or that it was removed.
    pub(super) fn get(&self, key: &[u8], position: SeqNo) -> Option<Option<Slice>> {
        let key = Slice::from(key);
        let newest: Version = (key.clone(), Reverse(position.checked_sub(1)?));
        // Both bounds lie on one way down.
        self.read().range(newest..=(key, Reverse(SeqNo::MIN))).next().map(|(_, value)| value.clone())
    }

    /// The keys within bounds at a position, in order.
    pub(super) fn range(self: &Arc<Self>, bounds: Bounds, order: Order, position: SeqNo) -> Range {
        Range { memtable: Arc::clone(self), bounds: Some(bounds), order, position, page: Vec::new().into_iter() }
    }

    /// The next keys within bounds at a position, at most [`PAGE`].
    fn page(&self, bounds: &Bounds, order: Order, position: SeqNo) -> Vec<Entry> {
        let entries = self.read();
        let range = entries.range(version_bounds(bounds));
        let visible = |(version, _): &(&Version, &Option<Slice>)| version.1.0 < position;
        let mut found: Vec<Entry> = Vec::new();
        match order {
            Order::Forward => {
                for (version, value) in range.filter(visible) {
                    // The first of a key is its newest.
                    if found.last().is_some_and(|(key, _)| *key == version.0) {
                        continue;
                    }
                    if found.len() == PAGE {
                        break;
                    }
                    found.push((version.0.clone(), value.clone()));
                }
            }
            Order::Backward => {
                for (version, value) in range.rev().filter(visible) {
                    let full = found.len() == PAGE;
                    match found.last_mut() {
                        // Newer and newer.
                        Some((key, last)) if *key == version.0 => last.clone_from(value),
                        _ if full => break,
                        _ => found.push((version.0.clone(), value.clone())),
                    }
                }
            }
        }
        found
    }

    /// Hands everything to `write`, but for what no reader from `threshold` on can see.
    pub(super) fn drain_into<T>(
        &self,
        threshold: SeqNo,
        write: impl FnOnce(&mut dyn Iterator<Item = lsm_tree::Result<InternalValue>>) -> T,
    ) -> T {
        let entries = self.read();
        // The newest below the threshold hides all that is older.
        let mut hidden: Option<&Slice> = None;
        let mut kept = entries.iter().filter_map(move |((key, Reverse(sequence)), value)| {
            if hidden == Some(key) {
                return None;
            }
            if *sequence < threshold {
                hidden = Some(key);
            }
            Some(Ok(match value {
                Some(value) => InternalValue::from_components(key.clone(), value.clone(), *sequence, ValueType::Value),
                None => InternalValue::new_tombstone(key.clone(), *sequence),
            }))
        });
        write(&mut kept)
    }
}

/// Reads a memtable a page at a time.
pub(super) struct Range {
    memtable: Arc<Memtable>,
    /// What was not read yet; nothing if all was.
    bounds: Option<Bounds>,
    order: Order,
    position: SeqNo,
    page: std::vec::IntoIter<Entry>,
}

impl Iterator for Range {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        if let Some(entry) = self.page.next() {
            return Some(entry);
        }
        let bounds = self.bounds.take()?;
        let page = self.memtable.page(&bounds, self.order, self.position);
        if page.len() == PAGE {
            let last = page.last().map(|(key, _)| Bound::Excluded(key.clone()));
            self.bounds = last.map(|last| match self.order {
                Order::Forward => (last, bounds.1),
                Order::Backward => (bounds.0, last),
            });
        }
        self.page = page.into_iter();
        self.page.next()
    }
}

/// The versions of the keys within bounds.
fn version_bounds((start, end): &Bounds) -> (Bound<Version>, Bound<Version>) {
    let first = |key: &Slice| (key.clone(), Reverse(SeqNo::MAX));
    let last = |key: &Slice| (key.clone(), Reverse(SeqNo::MIN));
    let start = match start {
        Bound::Included(key) => Bound::Included(first(key)),
        Bound::Excluded(key) => Bound::Excluded(last(key)),
        Bound::Unbounded => Bound::Unbounded,
    };
    let end = match end {
        Bound::Included(key) => Bound::Included(last(key)),
        Bound::Excluded(key) => Bound::Excluded(first(key)),
        Bound::Unbounded => Bound::Unbounded,
    };
    (start, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: usize) -> Slice {
        Slice::from((n as u16).to_be_bytes())
    }

    /// Three pages of keys, written by sequence 1, every second of them again by 2, every third removed by 3.
    fn written() -> Arc<Memtable> {
        let memtable = Arc::new(Memtable::default());
        memtable.insert((0..3 * PAGE).map(|n| ((key(n), Some(Slice::from("1"))), 1)));
        memtable.insert((0..3 * PAGE).step_by(2).map(|n| ((key(n), Some(Slice::from("2"))), 2)));
        memtable.insert((0..3 * PAGE).step_by(3).map(|n| ((key(n), None), 3)));
        memtable
    }

    fn expected(n: usize, position: SeqNo) -> Option<&'static str> {
        match (n.is_multiple_of(3) && position > 3, n.is_multiple_of(2) && position > 2) {
            (true, _) => None,
            (false, true) => Some("2"),
            (false, false) => Some("1"),
        }
    }

    #[test]
    fn pages_join_without_gap_both_ways_and_at_each_position() {
        let memtable = written();
        for position in 2..=4 {
            let all = (Bound::Unbounded, Bound::Unbounded);
            let wanted: Vec<Entry> = (0..3 * PAGE).map(|n| (key(n), expected(n, position).map(Slice::from))).collect();
            assert_eq!(memtable.range(all.clone(), Order::Forward, position).collect::<Vec<_>>(), wanted);
            let backward: Vec<Entry> = wanted.iter().rev().cloned().collect();
            assert_eq!(memtable.range(all, Order::Backward, position).collect::<Vec<_>>(), backward);
            for (key, value) in wanted {
                assert_eq!(memtable.get(&key, position), Some(value));
            }
        }
        assert_eq!(memtable.get(&key(0), 1), None);
    }

    #[test]
    fn bounds_hold_whatever_sequence_wrote_them() {
        let memtable = written();
        let keys = |start, end, order| memtable.range((start, end), order, 4).map(|(key, _)| key).collect::<Vec<_>>();
        assert_eq!(keys(Bound::Excluded(key(6)), Bound::Included(key(9)), Order::Forward), [key(7), key(8), key(9)]);
        assert_eq!(keys(Bound::Included(key(6)), Bound::Excluded(key(9)), Order::Backward), [key(8), key(7), key(6)]);
        assert_eq!(keys(Bound::Excluded(key(6)), Bound::Included(key(6)), Order::Forward), Vec::<Slice>::new());
    }

    #[test]
    fn what_is_written_out_serves_every_reader_from_the_threshold_on() {
        let sequences = |threshold| {
            written().drain_into(threshold, |entries| {
                let entries = entries.map(|entry| entry.unwrap().key);
                entries.filter(|entry| entry.user_key == key(0)).map(|entry| entry.seqno).collect::<Vec<_>>()
            })
        };
        assert_eq!(sequences(4), [3]);
        assert_eq!(sequences(3), [3, 2]);
        assert_eq!(sequences(2), [3, 2, 1]);
    }
}
