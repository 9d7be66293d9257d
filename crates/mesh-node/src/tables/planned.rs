//! Posts that wait for their time: a row for each, and while one waits a row that says when.

use super::AccountLid;
use super::codec::{damaged, key_u64};
use mesh_proto::api::NotPublished;
use mesh_proto::envelope::{Envelope, RecordId};
use mesh_proto::limits::SCHEDULED_MAX;
use mesh_store::{Batch, KeyRange, Order, Read, Space, StoreError};
use serde::{Deserialize, Serialize};

/// First byte of the key of a post.
const POST: u8 = 0;
/// First byte of the key of a time.
const TIME: u8 = 1;

/// A planned post.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Planned {
    /// When it is to be published.
    pub(crate) at: u64,
    /// What is published.
    pub(crate) envelope: Envelope,
    /// Why it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<NotPublished>,
}

/// Whose post, and which: the rest of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) account: AccountLid,
    pub(crate) id: [u8; 32],
}

impl Place {
    pub(crate) fn new(account: AccountLid, id: &RecordId) -> Self {
        Self { account, id: *id.hash() }
    }

    fn key(&self) -> Vec<u8> {
        [&[POST][..], &self.account.0.to_be_bytes(), &self.id].concat()
    }

    fn time_key(&self, at: u64) -> Vec<u8> {
        [&[TIME][..], &at.to_be_bytes(), &self.account.0.to_be_bytes(), &self.id].concat()
    }

    /// Reads the end of a key, from the account on.
    fn read(key: &[u8], at: usize) -> Result<Self, StoreError> {
        let id = key.get(at + 8..).and_then(|id| id.try_into().ok()).ok_or_else(|| damaged("planned"))?;
        Ok(Self { account: AccountLid(key_u64(key, at, "planned")?), id })
    }
}

pub(crate) fn put(batch: &mut Batch, place: Place, planned: &Planned) {
    let row = serde_json::to_vec(planned).expect("a planned post has only plain fields");
    batch.put(Space::Planned, place.key(), row);
    if planned.refused.is_none() {
        batch.put(Space::Planned, place.time_key(planned.at), []);
    } else {
        batch.delete(Space::Planned, place.time_key(planned.at));
    }
}

pub(crate) fn remove(batch: &mut Batch, place: Place, at: u64) {
    batch.delete(Space::Planned, place.key());
    batch.delete(Space::Planned, place.time_key(at));
}

pub(crate) fn get(read: &dyn Read, place: Place) -> Result<Option<Planned>, StoreError> {
    read.get(Space::Planned, &place.key())?.map(|row| decode(&row)).transpose()
}

/// All planned posts of an account.
pub(crate) fn of(read: &dyn Read, account: AccountLid) -> Result<Vec<(Place, Planned)>, StoreError> {
    let prefix = [&[POST][..], &account.0.to_be_bytes()].concat();
    let rows = read.scan(Space::Planned, &KeyRange::prefix(prefix), Order::Forward, SCHEDULED_MAX)?;
    rows.iter().map(|(key, row)| Ok((Place::read(key, 1)?, decode(row)?))).collect()
}

/// The posts whose time comes first, with it.
pub(crate) fn first(read: &dyn Read, limit: usize) -> Result<Vec<(u64, Place)>, StoreError> {
    let rows = read.scan(Space::Planned, &KeyRange::prefix([TIME]), Order::Forward, limit)?;
    rows.iter().map(|(key, _)| Ok((key_u64(key, 1, "planned")?, Place::read(key, 9)?))).collect()
}

/// Forgets all that an account planned: it was closed, or lives elsewhere now.
pub(crate) fn forget(batch: &mut Batch, read: &dyn Read, account: AccountLid) -> Result<(), StoreError> {
    for (place, planned) in of(read, account)? {
        remove(batch, place, planned.at);
    }
    Ok(())
}

fn decode(row: &[u8]) -> Result<Planned, StoreError> {
    serde_json::from_slice(row).map_err(|_| damaged("planned"))
}
