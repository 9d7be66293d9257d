//! The rules of this domain, all versions.

use super::codec::damaged;
use mesh_proto::envelope::Envelope;
use mesh_proto::rules::Rules;
use mesh_store::{Batch, KeyRange, Order, Read, Space, StoreError};

/// Notes rules, whose version must be new.
pub(crate) fn put(batch: &mut Batch, version: u32, envelope: &Envelope) {
    batch.expect_absent(Space::Rules, version.to_be_bytes());
    batch.put(Space::Rules, version.to_be_bytes(), envelope.to_json());
}

/// The rules in force, if there are any.
pub(crate) fn current(read: &dyn Read) -> Result<Option<(Rules, Envelope)>, StoreError> {
    let rows = read.scan(Space::Rules, &KeyRange::all(), Order::Backward, 1)?;
    rows.first().map(|(_, row)| decode(row)).transpose()
}

/// One version.
pub(crate) fn get(read: &dyn Read, version: u32) -> Result<Option<(Rules, Envelope)>, StoreError> {
    read.get(Space::Rules, &version.to_be_bytes())?.map(|row| decode(&row)).transpose()
}

fn decode(row: &[u8]) -> Result<(Rules, Envelope), StoreError> {
    let envelope = Envelope::from_json(row).map_err(|_| damaged("rules"))?;
    let rules = Rules::read(&envelope).map_err(|_| damaged("rules"))?;
    Ok((rules, envelope))
}
