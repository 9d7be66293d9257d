//! Reports about this domain's things, oldest first.

use super::codec::{damaged, key_u64};
use super::{Lid, place_key};
use mesh_proto::envelope::Envelope;
use mesh_store::{Batch, KeyRange, Order, Read, Space, StoreError};

pub(crate) fn put(batch: &mut Batch, (received, lid): (u64, Lid), envelope: &Envelope) {
    batch.put(Space::Report, place_key(received, lid), envelope.to_json());
}

pub(crate) fn delete(batch: &mut Batch, (received, lid): (u64, Lid)) {
    batch.delete(Space::Report, place_key(received, lid));
}

/// One page, newest first: when each came, where it lies, and what was signed.
pub(crate) fn page(read: &dyn Read, before: Option<[u8; 16]>, limit: usize) -> Result<Vec<(u64, Lid, Envelope)>, StoreError> {
    let range = before.map_or_else(KeyRange::all, |before| KeyRange::all().before(before));
    let rows = read.scan(Space::Report, &range, Order::Backward, limit)?;
    rows.iter().map(|(key, row)| decode(key, row)).collect()
}

pub(crate) fn get(read: &dyn Read, place: (u64, Lid)) -> Result<Option<Envelope>, StoreError> {
    let key = place_key(place.0, place.1);
    Ok(read.get(Space::Report, &key)?.map(|row| decode(&key, &row)).transpose()?.map(|(_, _, envelope)| envelope))
}

fn decode(key: &[u8], row: &[u8]) -> Result<(u64, Lid, Envelope), StoreError> {
    let envelope = Envelope::from_json(row).map_err(|_| damaged("report"))?;
    Ok((key_u64(key, 0, "report")?, Lid(key_u64(key, 8, "report")?), envelope))
}
