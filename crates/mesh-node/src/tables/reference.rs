//! References: what is known of every record, own or foreign, without any authored text.

use super::codec::{Reader, put_time, put_varint};
use super::{AccountLid, Lid, ObjectLid, half};
use mesh_proto::envelope::{Kind, RecordId};
use mesh_proto::key::AccountId;
use mesh_proto::record::{Choices, RetractReason};
use mesh_store::{Batch, Read, Space, StoreError};
use serde::{Deserialize, Serialize};

/// Whether a statement counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Standing {
    /// It counts.
    Live = 0,
    /// A later one by the same actor about the same object took its place.
    Superseded = 1,
    /// It was withdrawn.
    Retracted = 2,
    /// It is an edit; the first version stands for it.
    Edit = 3,
}

/// A reference: about 55 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) standing: Standing,
    pub(crate) kind: Kind,
    pub(crate) id: RecordId,
    pub(crate) actor: AccountLid,
    pub(crate) received: u64,
    /// Which of the account's key operations made the device known: its place in the order of arrival here.
    pub(crate) device: u16,
    /// What it is about, if that is here. For an edit: the first version.
    pub(crate) object: Option<ObjectLid>,
    /// For a comment: what it answers.
    pub(crate) parent: Option<RecordId>,
    /// For a vote: what it chooses.
    pub(crate) choices: Option<Choices>,
}

const HAS_OBJECT: u8 = 1 << 4;
const HAS_PARENT: u8 = 1 << 5;
const HAS_CHOICES: u8 = 1 << 6;

impl Reference {
    pub(crate) fn put(&self, batch: &mut Batch, lid: Lid) {
        let mut row = Vec::with_capacity(96);
        let mut head = self.standing as u8;
        head |= if self.object.is_some() { HAS_OBJECT } else { 0 };
        head |= if self.parent.is_some() { HAS_PARENT } else { 0 };
        head |= if self.choices.is_some() { HAS_CHOICES } else { 0 };
        row.push(head);
        row.push(self.kind as u8);
        row.extend_from_slice(self.id.hash());
        put_varint(&mut row, self.actor.0);
        put_time(&mut row, self.received);
        put_varint(&mut row, u64::from(self.device));
        if let Some(object) = self.object {
            put_varint(&mut row, object.0);
        }
        if let Some(parent) = &self.parent {
            row.extend_from_slice(parent.hash());
        }
        row.extend(self.choices.map(Choices::bits));
        batch.put(Space::Reference, lid.key(), row);
    }

    /// Adds a reference that is new, with its entry in the index by id.
    pub(crate) fn insert(&self, batch: &mut Batch, lid: Lid) {
        self.put(batch, lid);
        batch.put(Space::Id, half(self.id.hash()), lid.key());
    }

    pub(crate) fn get(read: &dyn Read, lid: Lid) -> Result<Option<Self>, StoreError> {
        read.get(Space::Reference, &lid.key())?.map(|row| Self::decode(&row)).transpose()
    }

    pub(crate) fn decode(row: &[u8]) -> Result<Self, StoreError> {
        let mut reader = Reader::new(row, "reference");
        let head = reader.byte()?;
        let standing = match head & 0x0f {
            0 => Standing::Live,
            1 => Standing::Superseded,
            2 => Standing::Retracted,
            3 => Standing::Edit,
            _ => return Err(reader.damaged()),
        };
        let kind = Kind::from_number(reader.byte()?).ok_or_else(|| reader.damaged())?;
        let id = RecordId::from_hash(reader.array()?);
        let actor = AccountLid(reader.varint()?);
        let received = reader.time()?;
        let device = u16::try_from(reader.varint()?).map_err(|_| reader.damaged())?;
        let object = if head & HAS_OBJECT == 0 { None } else { Some(ObjectLid(reader.varint()?)) };
        let parent = if head & HAS_PARENT == 0 { None } else { Some(RecordId::from_hash(reader.array()?)) };
        let choices =
            if head & HAS_CHOICES == 0 { None } else { Some(Choices::from_bits(reader.byte()?).ok_or_else(|| reader.damaged())?) };
        Ok(Self { standing, kind, id, actor, received, device, object, parent, choices })
    }

    /// The reference with this id, wherever it is.
    pub(crate) fn find(read: &dyn Read, id: &RecordId) -> Result<Option<(Lid, Self)>, StoreError> {
        let Some(row) = read.get(Space::Id, &half(id.hash()))? else { return Ok(None) };
        let lid = Lid(Reader::new(&row, "id").u64()?);
        let found = Self::get(read, lid)?.filter(|reference| reference.id == *id);
        Ok(found.map(|reference| (lid, reference)))
    }
}

/// What is left of a withdrawn record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TombstoneRow {
    pub(crate) reason: RetractReason,
    pub(crate) signer: AccountId,
    /// The retract's own place.
    pub(crate) retract: u64,
}

impl TombstoneRow {
    pub(crate) fn put(&self, batch: &mut Batch, id: &RecordId) {
        let row = serde_json::to_vec(self).expect("a tombstone row has only plain fields");
        batch.put(Space::Tombstone, id.hash(), row);
    }

    pub(crate) fn get(read: &dyn Read, id: &RecordId) -> Result<Option<Self>, StoreError> {
        let row = read.get(Space::Tombstone, id.hash())?;
        row.map(|row| serde_json::from_slice(&row).map_err(|_| super::codec::damaged("tombstone"))).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_round_trip_and_stay_small() {
        let like = Reference {
            standing: Standing::Live,
            kind: Kind::Like,
            id: RecordId::from_hash([7; 32]),
            actor: AccountLid(9_000),
            received: 1_790_000_000_000,
            device: 0,
            object: Some(ObjectLid(100_000)),
            parent: None,
            choices: None,
        };
        let vote = Reference { kind: Kind::Vote, choices: Choices::new([0, 7]), ..like.clone() };
        let comment = Reference { kind: Kind::Comment, parent: Some(RecordId::from_hash([8; 32])), object: None, ..like.clone() };
        for reference in [like, vote, comment] {
            let mut batch = Batch::new();
            reference.put(&mut batch, Lid(1));
            let store = mesh_store::MemoryStore::new();
            mesh_store::Kv::commit(&store, batch).wait().expect("commits");
            let row = store.get(Space::Reference, &Lid(1).key()).expect("reads").expect("there");
            assert!(row.len() < 80, "{}", row.len());
            assert_eq!(Reference::decode(&row).ok(), Some(reference));
        }
    }
}
