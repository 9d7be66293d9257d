//! Accounts, their key operations and their names.

use super::codec::{Reader, damaged, key_u64};
use super::{AccountLid, pair_key};
use mesh_proto::address::Address;
use mesh_proto::envelope::Envelope;
use mesh_proto::key::AccountId;
use mesh_proto::keylog::{KeyLog, LoggedOp};
use mesh_proto::limits::{KEY_OPS_MAX, LEAF_INDEX_MAX};
use mesh_store::{Batch, KeyRange, Order, Read, Space, StoreError};
use serde::{Deserialize, Serialize};

/// What is stored of an account apart from its key operations.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AccountRow {
    pub(crate) id: AccountId,
    /// The leaf of its name in this domain's log, if it lives here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name_leaf: Option<u64>,
    /// Whether this domain answers for records of it that lie in other logs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) keeps: bool,
}

pub(crate) fn lid_of(read: &dyn Read, id: &AccountId) -> Result<Option<AccountLid>, StoreError> {
    let row = read.get(Space::AccountId, id.hash())?;
    row.map(|row| Reader::new(&row, "account_id").u64().map(AccountLid)).transpose()
}

pub(crate) fn row(read: &dyn Read, lid: AccountLid) -> Result<Option<AccountRow>, StoreError> {
    let row = read.get(Space::Account, &lid.0.to_be_bytes())?;
    row.map(|row| serde_json::from_slice(&row).map_err(|_| damaged("account"))).transpose()
}

pub(crate) fn put_row(batch: &mut Batch, lid: AccountLid, row: &AccountRow) {
    let value = serde_json::to_vec(row).expect("an account row has only plain fields");
    batch.put(Space::Account, lid.0.to_be_bytes(), value);
}

/// Adds an account that must be new.
pub(crate) fn insert(batch: &mut Batch, lid: AccountLid, row: &AccountRow) {
    batch.expect_absent(Space::AccountId, row.id.hash());
    batch.put(Space::AccountId, row.id.hash(), lid.0.to_be_bytes());
    put_row(batch, lid, row);
}

/// The highest local id in use.
pub(crate) fn last_lid(read: &dyn Read) -> Result<u64, StoreError> {
    let last = read.scan(Space::Account, &KeyRange::all(), Order::Backward, 1)?;
    last.first().map_or(Ok(0), |(key, _)| key_u64(key, 0, "account"))
}

fn op_key(lid: AccountLid, sequence: usize) -> [u8; 12] {
    super::codec::join(&lid.0.to_be_bytes(), &(sequence as u32).to_be_bytes())
}

/// Adds the `sequence`-th operation, which must be new.
pub(crate) fn put_op(batch: &mut Batch, lid: AccountLid, sequence: usize, op: &LoggedOp) {
    let mut value = op.received.to_be_bytes().to_vec();
    value.extend_from_slice(&op.envelope.to_json());
    batch.expect_absent(Space::KeyOp, op_key(lid, sequence));
    batch.put(Space::KeyOp, op_key(lid, sequence), value);
}

/// Reads and verifies a whole key log.
pub(crate) fn key_log(read: &dyn Read, lid: AccountLid) -> Result<KeyLog, StoreError> {
    let rows = read.scan(Space::KeyOp, &KeyRange::prefix(lid.0.to_be_bytes()), Order::Forward, KEY_OPS_MAX)?;
    let mut ops = Vec::with_capacity(rows.len());
    for (_, row) in rows {
        let mut reader = Reader::new(&row, "key_op");
        let received = reader.u64()?;
        let envelope = Envelope::from_json(reader.rest()).map_err(|_| damaged("key_op"))?;
        ops.push(LoggedOp { envelope, received });
    }
    KeyLog::from_ops(ops).map_err(|_| damaged("key_op"))
}

/// Where the accounts are noted of which copies are kept: `account (8) ‖ when that was agreed, or the
/// largest number once the account names this domain (8)`.
pub(crate) const PLACE: &str = "mirrored/";

pub(crate) fn place_key(account: AccountLid) -> String {
    format!("{PLACE}{}", account.0)
}

/// The counter of bytes that are kept of an account.
pub(crate) fn copied_key(account: AccountLid) -> String {
    format!("copied/{}", account.0)
}

/// Where copies are noted that are being erased: `account (8) ‖ next local id (8)`.
pub(crate) const DROPPING: &str = "dropping/";

pub(crate) fn dropping_key(account: AccountLid) -> String {
    format!("{DROPPING}{}", account.0)
}

/// Notes how far the erasure of a copy is.
pub(crate) fn put_dropping(batch: &mut Batch, account: AccountLid, next: u64) {
    batch.put(Space::Meta, dropping_key(account), [account.0, next].map(u64::to_be_bytes).concat());
}

/// Notes that an account's copy is to be erased. It lies in other logs than this domain's.
pub(crate) fn begin_dropping(batch: &mut Batch, account: AccountLid) {
    put_dropping(batch, account, LEAF_INDEX_MAX + 1);
}

/// Where closures under way are noted.
pub(crate) const CLOSING: &str = "closing/";

pub(crate) fn closing_key(account: AccountLid) -> String {
    format!("{CLOSING}{}", account.0)
}

/// Notes how far a closure is: `account (8) ‖ next local id (8) ‖ leaf of the closure (8)`.
pub(crate) fn put_closing(batch: &mut Batch, account: AccountLid, next: u64, close: u64) {
    let row = [account.0, next, close].map(u64::to_be_bytes).concat();
    batch.put(Space::Meta, closing_key(account), row);
}

/// Notes in the batch of an `account.close` that there is something to erase, and takes the profile away at once. `close` is its leaf, or the largest there
/// can be if it lies elsewhere.
pub(crate) fn begin_closing(batch: &mut Batch, account: AccountLid, close: u64) {
    put_closing(batch, account, 0, close);
    batch.delete(Space::Profile, account.0.to_be_bytes());
}

/// Where accounts are noted whose records are still to come from an earlier home.
const ARRIVING: &str = "arriving/";

/// Notes that an account came to live here, and when.
pub(crate) fn put_arriving(batch: &mut Batch, account: AccountLid, now_ms: u64) {
    batch.put(Space::Meta, format!("{ARRIVING}{}", account.0), [account.0, now_ms].map(u64::to_be_bytes).concat());
}

/// Notes that all came that an account brings along.
pub(crate) fn end_arriving(batch: &mut Batch, account: AccountLid) {
    batch.delete(Space::Meta, format!("{ARRIVING}{}", account.0));
}

/// Accounts of which more may come, and since when; some of them, if there are very many.
pub(crate) fn arriving(read: &dyn Read) -> Result<Vec<(AccountLid, u64)>, StoreError> {
    let rows = read.scan(Space::Meta, &KeyRange::prefix(ARRIVING), Order::Forward, ARRIVING_MAX)?;
    let mut arriving = Vec::with_capacity(rows.len());
    for (_, row) in rows {
        let mut row = Reader::new(&row, "meta");
        arriving.push((AccountLid(row.u64()?), row.u64()?));
    }
    Ok(arriving)
}

/// Accounts that are looked at for those of which more may come.
const ARRIVING_MAX: usize = 100_000;

/// The account that a name of this domain was given to, ever.
pub(crate) fn by_name(read: &dyn Read, user: &str) -> Result<Option<AccountLid>, StoreError> {
    let row = read.get(Space::Name, user.as_bytes())?;
    row.map(|row| Reader::new(&row, "name").u64().map(AccountLid)).transpose()
}

/// Gives a name, which must never have been given.
pub(crate) fn put_name(batch: &mut Batch, address: &Address, lid: AccountLid) {
    let user = address.user().as_str();
    batch.expect_absent(Space::Name, user);
    batch.put(Space::Name, user, lid.0.to_be_bytes());
}

/// Names of this domain from `after` on, in alphabetical order.
pub(crate) fn names(read: &dyn Read, after: Option<&str>, limit: usize) -> Result<Vec<(String, AccountLid)>, StoreError> {
    let range = after.map_or_else(KeyRange::all, |after| KeyRange::all().after(after));
    let rows = read.scan(Space::Name, &range, Order::Forward, limit)?;
    rows.into_iter()
        .map(|(key, row)| {
            let name = String::from_utf8(key.to_vec()).map_err(|_| damaged("name"))?;
            Ok((name, AccountLid(Reader::new(&row, "name").u64()?)))
        })
        .collect()
}

/// The record by which `subscriber`, who lives here, follows `author`.
pub(crate) fn follow(read: &dyn Read, subscriber: AccountLid, author: AccountLid) -> Result<bool, StoreError> {
    Ok(read.get(Space::Follow, &pair_key(subscriber.0, author.0))?.is_some())
}

/// Most accounts that one account subscribes to.
pub const FOLLOWING_MAX: usize = 10_000;

/// Whom `subscriber`, who lives here, follows.
pub(crate) fn following(read: &dyn Read, subscriber: AccountLid, limit: usize) -> Result<Vec<AccountLid>, StoreError> {
    let rows = read.scan(Space::Follow, &KeyRange::prefix(subscriber.0.to_be_bytes()), Order::Forward, limit)?;
    rows.iter().map(|(key, _)| key_u64(key, 8, "follow").map(AccountLid)).collect()
}
