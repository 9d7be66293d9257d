//! Reads at a position.

use std::sync::Arc;

use bytes::Bytes;
use lsm_tree::{AbstractTree, Guard, IterGuardImpl, SeqNo, Slice};

use super::memtable::Entry;
use super::trees::{Trees, read_error};
use crate::error::StoreError;
use crate::kv::{Key, KeyRange, Order, Read, Value};
use crate::space::Space;

/// A frozen state. Everything it sees is kept until it is dropped.
pub(super) struct View<T: AsRef<Trees>> {
    trees: T,
    position: SeqNo,
}

/// A view that outlives the call: a snapshot.
pub(super) type Snapshot = View<Arc<Trees>>;

impl AsRef<Trees> for Trees {
    fn as_ref(&self) -> &Trees {
        self
    }
}

impl<T: AsRef<Trees>> View<T> {
    pub(super) fn open(trees: T) -> Self {
        let position = trees.as_ref().positions.open();
        Self { trees, position }
    }
}

impl<T: AsRef<Trees>> Drop for View<T> {
    fn drop(&mut self) {
        self.trees.as_ref().positions.close(self.position);
    }
}

impl<T: AsRef<Trees> + Send + Sync> Read for View<T> {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Value>, StoreError> {
        let Some(tree) = self.trees.as_ref().get(space).filter(|_| !key.is_empty()) else {
            return Ok(None);
        };
        let found = tree.get(key, self.position).map_err(|error| read_error(error, space))?;
        Ok(found.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn multi_get(&self, space: Space, keys: &[&[u8]]) -> Result<Vec<Option<Value>>, StoreError> {
        keys.iter().map(|key| self.get(space, key)).collect()
    }

    fn scan(&self, space: Space, range: &KeyRange, order: Order, limit: usize) -> Result<Vec<(Key, Value)>, StoreError> {
        let tree = self.trees.as_ref().get(space);
        let Some(tree) = tree.filter(|_| limit > 0 && !range.is_empty()) else {
            return Ok(Vec::new());
        };
        // Memtables before tables: see `trees`.
        let bounds = (range.start().map(Slice::from), range.end().map(Slice::from));
        let memtables = tree.memtables().into_iter();
        let mut sources: Vec<Source<'_>> =
            memtables.map(|memtable| Box::new(memtable.range(bounds.clone(), order, self.position).map(Ok)) as Source<'_>).collect();
        let tables = tree.tree().range::<&[u8], _>((range.start(), range.end()), self.position, None);
        let entry = move |entry: IterGuardImpl| match entry.into_inner() {
            Ok((key, value)) => Ok((key, Some(value))),
            Err(error) => Err(read_error(error, space)),
        };
        sources.push(match order {
            Order::Forward => Box::new(tables.map(entry)),
            Order::Backward => Box::new(tables.rev().map(entry)),
        });
        let mut merged = Merged::new(sources, order);
        let mut found = Vec::new();
        while found.len() < limit {
            let Some((key, value)) = merged.next()? else { break };
            if let Some(value) = value {
                found.push((Bytes::copy_from_slice(&key), Bytes::copy_from_slice(&value)));
            }
        }
        Ok(found)
    }
}

type Source<'a> = Box<dyn Iterator<Item = Result<Entry, StoreError>> + 'a>;

/// Several ordered sources as one. Of a key that several have, the first one's entry counts. Nothing is fetched before it is asked for.
struct Merged<'a> {
    sources: Vec<(Source<'a>, Head)>,
    order: Order,
}

/// The next entry of a source.
enum Head {
    /// Not looked up yet.
    Unknown,
    Entry(Entry),
    End,
}

impl Head {
    fn key(&self) -> Option<&Slice> {
        if let Self::Entry((key, _)) = self { Some(key) } else { None }
    }
}

impl<'a> Merged<'a> {
    fn new(sources: Vec<Source<'a>>, order: Order) -> Self {
        Self { sources: sources.into_iter().map(|source| (source, Head::Unknown)).collect(), order }
    }

    fn next(&mut self) -> Result<Option<Entry>, StoreError> {
        for (source, head) in &mut self.sources {
            if matches!(head, Head::Unknown) {
                *head = source.next().transpose()?.map_or(Head::End, Head::Entry);
            }
        }
        let heads = self.sources.iter().enumerate().filter_map(|(place, (_, head))| head.key().map(|key| (key, place)));
        // The first of equal ones, both ways.
        let next = match self.order {
            Order::Forward => heads.min_by(|(a, _), (b, _)| a.cmp(b)),
            Order::Backward => heads.min_by(|(a, _), (b, _)| b.cmp(a)),
        };
        let Some((_, place)) = next else { return Ok(None) };
        let Head::Entry(entry) = std::mem::replace(&mut self.sources[place].1, Head::Unknown) else { return Ok(None) };
        for (_, later) in &mut self.sources[place + 1..] {
            if later.key() == Some(&entry.0) {
                *later = Head::Unknown;
            }
        }
        Ok(Some(entry))
    }
}
