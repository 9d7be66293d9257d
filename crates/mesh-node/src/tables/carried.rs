//! Records of other logs that this domain answers for, because their authors moved here or asked it to keep a copy: what proves their leaves.
//!
//! Proofs come for many leaves at once and are kept so. Of a leaf that was erased its entry stays, which says nothing.

use super::codec::{Reader, damaged, key_u64};
use super::{Lid, OriginNo};
use mesh_proto::bytes::Hash;
use mesh_proto::log::{BatchProof, Checkpoint, Origin, entry_hash, narrow};
use mesh_store::{Batch, KeyRange, Order, Read, Space, StoreError};
use serde::{Deserialize, Serialize};

/// What proves some leaves of one log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Archive {
    /// The signed note of a checkpoint.
    pub(crate) checkpoint: String,
    /// One proof for all leaves.
    pub(crate) proof: BatchProof,
    /// The leaves: index and entry, ascending.
    pub(crate) leaves: Vec<(u64, Hash)>,
}

impl Archive {
    pub(crate) fn put(&self, batch: &mut Batch, sequence: u64) {
        let row = serde_json::to_vec(self).expect("an archive row has only plain fields");
        batch.put(Space::Archive, sequence.to_be_bytes(), row);
    }

    /// What proves a record, with the number of the row.
    pub(crate) fn of(read: &dyn Read, lid: Lid) -> Result<Option<(u64, Self)>, StoreError> {
        let Some(sequence) = sequence(read, lid)? else { return Ok(None) };
        let row = read.get(Space::Archive, &sequence.to_be_bytes())?.ok_or_else(|| damaged("archive"))?;
        let archive = serde_json::from_slice(&row).map_err(|_| damaged("archive"))?;
        Ok(Some((sequence, archive)))
    }

    /// The proof for some of the leaves.
    pub(crate) fn prove(&self, origin: &Origin, indexes: &[u64]) -> Result<BatchProof, StoreError> {
        let size = Checkpoint::unverified(&self.checkpoint, origin).map_err(|_| damaged("archive"))?.size;
        let leaves: Vec<(u64, Hash)> = self.leaves.iter().map(|(index, entry)| (*index, entry_hash(entry))).collect();
        narrow(size, &leaves, &self.proof, indexes).map_err(|_| damaged("archive"))
    }
}

/// The number of the row that proves a record.
pub(crate) fn sequence(read: &dyn Read, lid: Lid) -> Result<Option<u64>, StoreError> {
    read.get(Space::Carried, &lid.key())?.map(|row| Reader::new(&row, "carried").u64()).transpose()
}

/// The number for the next row.
pub(crate) fn next_sequence(read: &dyn Read) -> Result<u64, StoreError> {
    let last = read.scan(Space::Archive, &KeyRange::all(), Order::Backward, 1)?;
    last.first().map_or(Ok(0), |(key, _)| Ok(key_u64(key, 0, "archive")? + 1))
}

pub(crate) fn put(batch: &mut Batch, lid: Lid, sequence: u64) {
    batch.put(Space::Carried, lid.key(), sequence.to_be_bytes());
}

pub(crate) fn remove(batch: &mut Batch, lid: Lid) {
    batch.delete(Space::Carried, lid.key());
}

/// Notes that accounts of this domain brought records along from a log, whatever becomes of these.
pub(crate) fn put_brought(batch: &mut Batch, origin: OriginNo) {
    batch.put(Space::Meta, brought_key(origin), []);
}

/// Whether accounts of this domain brought records along from a log.
pub(crate) fn is_brought(read: &dyn Read, origin: OriginNo) -> Result<bool, StoreError> {
    Ok(read.get(Space::Meta, brought_key(origin).as_bytes())?.is_some())
}

fn brought_key(origin: OriginNo) -> String {
    format!("brought/{}", origin.0)
}

/// Whether this domain answers for a record of another log.
pub(crate) fn is_carried(read: &dyn Read, lid: Lid) -> Result<bool, StoreError> {
    Ok(!lid.is_own() && sequence(read, lid)?.is_some())
}
