//! Payloads: what this domain answers for. One row per leaf of its own log, of which an erased one keeps nothing; and one per record that an account
//! brought from another log, which goes when it is erased.

use super::codec::{Reader, damaged, put_varint};
use super::{AccountLid, Lid, carried};
use mesh_proto::bytes::{Salt, Signature};
use mesh_proto::envelope::{Envelope, Kind, RecordId};
use mesh_store::{Batch, Read, Space, StoreError};

/// The opening of a leaf with what was signed.
#[derive(Debug, Clone)]
pub(crate) struct Payload {
    pub(crate) kind: Kind,
    pub(crate) salt: Salt,
    pub(crate) received: u64,
    pub(crate) account: AccountLid,
    pub(crate) record: RecordId,
    /// `None` for a name leaf.
    pub(crate) envelope: Option<Envelope>,
}

const ERASED: u8 = 0;

/// How a row begins that was not erased.
struct Head {
    kind: Kind,
    salt: Salt,
    received: u64,
    account: AccountLid,
}

fn head(reader: &mut Reader<'_>) -> Result<Option<Head>, StoreError> {
    let kind = reader.byte()?;
    if kind == ERASED {
        return Ok(None);
    }
    let kind = Kind::from_number(kind).ok_or_else(|| reader.damaged())?;
    Ok(Some(Head { kind, salt: Salt(reader.array()?), received: reader.u64()?, account: AccountLid(reader.varint()?) }))
}

impl Payload {
    pub(crate) fn put(&self, batch: &mut Batch, lid: Lid) {
        let body = self.envelope.as_ref().map_or(&[][..], Envelope::body);
        let mut row = Vec::with_capacity(body.len() + 136);
        row.push(self.kind as u8);
        row.extend_from_slice(&self.salt.0);
        row.extend_from_slice(&self.received.to_be_bytes());
        put_varint(&mut row, self.account.0);
        row.extend_from_slice(self.record.hash());
        if let Some(envelope) = &self.envelope {
            row.extend_from_slice(&envelope.signature().0);
            row.extend_from_slice(body);
        }
        batch.put(Space::Payload, lid.key(), row);
    }

    /// The payload of a record; `None` if it is not kept here or was erased.
    pub(crate) fn get(read: &dyn Read, lid: Lid) -> Result<Option<Self>, StoreError> {
        let row = read.get(Space::Payload, &lid.key())?;
        row.map_or(Ok(None), |row| Self::decode(&row))
    }

    pub(crate) fn decode(row: &[u8]) -> Result<Option<Self>, StoreError> {
        let mut reader = Reader::new(row, "payload");
        let Some(Head { kind, salt, received, account }) = head(&mut reader)? else { return Ok(None) };
        let record = RecordId::from_hash(reader.array()?);
        let envelope = match kind {
            Kind::Name => None,
            _ => {
                let signature = Signature(reader.array()?);
                Some(Envelope::new(kind, reader.rest().to_vec(), signature).map_err(|_| damaged("payload"))?)
            }
        };
        Ok(Some(Self { kind, salt, received, account, record, envelope }))
    }

    /// What a leaf stands for and whose it is, without a look at the envelope; `None` if it was erased.
    pub(crate) fn owner(row: &[u8]) -> Result<Option<(Kind, AccountLid)>, StoreError> {
        let head = head(&mut Reader::new(row, "payload"))?;
        Ok(head.map(|head| (head.kind, head.account)))
    }

    /// Erases payload and opening: the log keeps its 32 bytes, nothing here says what they stood for.
    pub(crate) fn erase(batch: &mut Batch, read: &dyn Read, lid: Lid) -> Result<(), StoreError> {
        if lid.is_own() {
            batch.put(Space::Payload, lid.key(), [ERASED]);
        } else if carried::is_carried(read, lid)? {
            batch.delete(Space::Payload, lid.key());
            carried::remove(batch, lid);
        }
        Ok(())
    }
}
