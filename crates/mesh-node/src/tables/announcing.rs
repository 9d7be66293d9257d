//! Which domains are still to be told that an account lives here now: rows of `meta`, so that a crash forgets nobody.

use super::AccountLid;
use super::codec::damaged;
use mesh_proto::address::Domain;
use mesh_store::{Batch, KeyRange, Order, Read, Space, StoreError};
use std::collections::BTreeMap;

const PREFIX: &str = "announcing/";

/// One account's rows: all numbers are equally long, so that they lie together and in order.
fn prefix(account: AccountLid) -> String {
    format!("{PREFIX}{:016x}/", account.0)
}

/// Notes a domain that is to be told, since a time in milliseconds.
pub(crate) fn put(batch: &mut Batch, (account, domain): (AccountLid, &Domain), now_ms: u64) {
    batch.put(Space::Meta, prefix(account) + domain.as_str(), now_ms.to_be_bytes());
}

/// Notes that a domain is not to be told any more.
pub(crate) fn delete(batch: &mut Batch, account: AccountLid, domain: &Domain) {
    batch.delete(Space::Meta, prefix(account) + domain.as_str());
}

/// The next account about which somebody is to be told.
pub(crate) fn next(read: &dyn Read, after: Option<AccountLid>) -> Result<Option<AccountLid>, StoreError> {
    let mut range = KeyRange::prefix(PREFIX);
    if let Some(after) = after {
        range = range.after(prefix(AccountLid(after.0 + 1)));
    }
    let rows = read.scan(Space::Meta, &range, Order::Forward, 1)?;
    rows.first().map(|(key, _)| account(key).ok_or_else(|| damaged("meta"))).transpose()
}

/// Who is to be told about an account, and since when.
pub(crate) fn domains(read: &dyn Read, account: AccountLid) -> Result<BTreeMap<Domain, u64>, StoreError> {
    let prefix = prefix(account);
    let rows = read.scan(Space::Meta, &KeyRange::prefix(&prefix), Order::Forward, usize::MAX)?;
    let domain = |key: &[u8]| std::str::from_utf8(key.get(prefix.len()..)?).ok()?.parse().ok();
    let noted = |row: &[u8]| row.try_into().map(u64::from_be_bytes).unwrap_or(0);
    rows.iter().map(|(key, row)| Ok((domain(key).ok_or_else(|| damaged("meta"))?, noted(row)))).collect()
}

fn account(key: &[u8]) -> Option<AccountLid> {
    let number = key.get(PREFIX.len()..PREFIX.len() + 16)?;
    u64::from_str_radix(std::str::from_utf8(number).ok()?, 16).ok().map(AccountLid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_store::{Kv, MemoryStore};

    #[test]
    fn what_is_noted_is_found_account_by_account() {
        let kv = MemoryStore::new();
        let domain = |name: &str| name.parse::<Domain>().expect("a domain");
        let (neo, trinity) = (AccountLid(9), AccountLid(16));
        let mut batch = Batch::new();
        for (account, name) in [(neo, "one.example"), (neo, "two.example"), (trinity, "one.example")] {
            put(&mut batch, (account, &domain(name)), 7);
        }
        kv.commit(batch).wait().expect("commits");
        assert_eq!(next(&kv, None).expect("reads"), Some(neo));
        assert_eq!(next(&kv, Some(neo)).expect("reads"), Some(trinity));
        assert_eq!(next(&kv, Some(trinity)).expect("reads"), None);
        assert_eq!(domains(&kv, neo).expect("reads"), BTreeMap::from([(domain("one.example"), 7), (domain("two.example"), 7)]));
        let mut batch = Batch::new();
        delete(&mut batch, trinity, &domain("one.example"));
        kv.commit(batch).wait().expect("commits");
        assert_eq!(next(&kv, Some(neo)).expect("reads"), None);
    }
}
