//! Reads at a position.

use std::sync::Arc;

use bytes::Bytes;
use lsm_tree::{AbstractTree, Guard, SeqNo};

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
        let found = tree.tree().get(key, self.position).map_err(|error| read_error(error, space))?;
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
        let mut entries = tree.tree().range::<&[u8], _>((range.start(), range.end()), self.position, None);
        let mut found = Vec::new();
        while found.len() < limit {
            let next = match order {
                Order::Forward => entries.next(),
                Order::Backward => entries.next_back(),
            };
            let Some(entry) = next else { break };
            let (key, value) = entry.into_inner().map_err(|error| read_error(error, space))?;
            found.push((Bytes::copy_from_slice(&key), Bytes::copy_from_slice(&value)));
        }
        Ok(found)
    }
}
