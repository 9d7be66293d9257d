//! Rulings: what operators decided. The newest about each thing by each domain.

use super::codec::{Reader, damaged};
use super::{AccountLid, HERE, PeerNo, half};
use mesh_proto::address::Domain;
use mesh_proto::envelope::{Envelope, RecordId};
use mesh_proto::ruling::Ruling;
use mesh_store::{Batch, KeyRange, Order, Read, Space, StoreError};
use sha2::{Digest, Sha256};

/// With as many rulings about an account, its records and its reports, none about a further record is taken (one message of them may exceed
/// it): all lie in memory, and a home may make records up.
pub(crate) const RULINGS_OF_ACCOUNT_MAX: usize = 1_000;

/// What a ruling is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Subject {
    /// 0: a domain.
    pub(crate) account: AccountLid,
    /// Of a record, a report or a domain; zeros: the account itself.
    pub(crate) half: [u8; 16],
}

impl Subject {
    pub(crate) fn account(account: AccountLid) -> Self {
        Self { account, half: [0; 16] }
    }

    pub(crate) fn record(account: AccountLid, id: &RecordId) -> Self {
        Self { account, half: half(id.hash()) }
    }

    pub(crate) fn domain(domain: &Domain) -> Self {
        Self { account: AccountLid(0), half: half(&Sha256::digest(domain.as_str()).into()) }
    }

    fn key(self, by: PeerNo) -> [u8; 28] {
        let mut key = [0; 28];
        key[..8].copy_from_slice(&self.account.0.to_be_bytes());
        key[8..24].copy_from_slice(&self.half);
        key[24..].copy_from_slice(&by.0.to_be_bytes());
        key
    }
}

/// A stored ruling.
pub(crate) struct RulingRow {
    pub(crate) subject: Subject,
    pub(crate) by: PeerNo,
    pub(crate) ruling: Ruling,
    pub(crate) envelope: Envelope,
}

impl RulingRow {
    pub(crate) fn put(&self, batch: &mut Batch) {
        batch.put(Space::Ruling, self.subject.key(self.by), self.envelope.to_json());
    }

    pub(crate) fn get(read: &dyn Read, subject: Subject, by: PeerNo) -> Result<Option<Self>, StoreError> {
        let key = subject.key(by);
        read.get(Space::Ruling, &key)?.map(|row| Self::decode(&key, &row)).transpose()
    }

    /// Whether nothing more may be ruled about an account's records.
    pub(crate) fn is_full(read: &dyn Read, account: AccountLid) -> Result<bool, StoreError> {
        let rows = read.scan(Space::Ruling, &KeyRange::prefix(account.0.to_be_bytes()), Order::Forward, RULINGS_OF_ACCOUNT_MAX)?;
        Ok(rows.len() == RULINGS_OF_ACCOUNT_MAX)
    }

    /// All rulings about an account, its records and its reports.
    pub(crate) fn about(read: &dyn Read, account: AccountLid) -> Result<Vec<Self>, StoreError> {
        let rows = read.scan(Space::Ruling, &KeyRange::prefix(account.0.to_be_bytes()), Order::Forward, usize::MAX)?;
        rows.iter().map(|(key, row)| Self::decode(key, row)).collect()
    }

    /// Rulings of this domain and of others, one page after another.
    pub(crate) fn page(read: &dyn Read, after: Option<&[u8]>, limit: usize) -> Result<Vec<(mesh_store::Key, Self)>, StoreError> {
        let range = after.map_or_else(KeyRange::all, |after| KeyRange::all().after(after));
        let rows = read.scan(Space::Ruling, &range, Order::Forward, limit)?;
        rows.into_iter().map(|(key, row)| Self::decode(&key, &row).map(|decoded| (key, decoded))).collect()
    }

    fn decode(key: &[u8], row: &[u8]) -> Result<Self, StoreError> {
        let mut reader = Reader::new(key, "ruling");
        let subject = Subject { account: AccountLid(reader.u64()?), half: reader.array()? };
        let by = PeerNo(u32::from_be_bytes(reader.array()?));
        let envelope = Envelope::from_json(row).map_err(|_| damaged("ruling"))?;
        let ruling = Ruling::read(&envelope).map_err(|_| damaged("ruling"))?;
        Ok(Self { subject, by, ruling, envelope })
    }

    /// Whether it is one of this domain's that everybody may read: what became of a report is for its reporter.
    pub(crate) fn is_public(&self) -> bool {
        self.by == HERE && self.ruling.about.report.is_none()
    }
}
