//! Whom this domain knows under other domains' addresses, so that everybody can compare it with what that domain shows.

use super::{Account, Accounts};
use crate::error::Result;
use crate::tables::AccountLid;
use crate::tables::codec::key_u64;
use mesh_proto::address::{Address, Domain};
use mesh_store::{Batch, KeyRange, Order, Space};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Accounts that are named for one address. An honest domain gives a name once.
const KNOWN_MAX: usize = 16;
/// Rows read at once.
const ROWS: usize = 4_096;

impl Accounts {
    /// The accounts that bear an address as far as is known here; more than one shows that its domain gave it twice.
    pub fn known_under(&self, address: &Address) -> Result<Vec<Arc<Account>>> {
        if address.domain() == &self.domain {
            return Ok(self.by_name(address.user().as_str())?.into_iter().collect());
        }
        let prefix = prefix(address);
        let rows = self.kv.scan(Space::KnownName, &KeyRange::prefix(&prefix), Order::Forward, KNOWN_MAX)?;
        let mut known = Vec::with_capacity(rows.len());
        for (key, _) in rows {
            let account = self.by_lid(AccountLid(key_u64(&key, prefix.len(), "known_name")?))?;
            if account.address() == address {
                known.push(account);
            }
        }
        Ok(known)
    }

    /// The domains at which accounts lived before that live at another domain now, as far as is known here.
    pub(crate) fn former_homes(&self, home: &Domain) -> Result<BTreeSet<Domain>> {
        let suffix = format!("@{home}");
        let mut former = BTreeSet::new();
        let mut range = KeyRange::all();
        loop {
            let rows = self.kv.scan(Space::KnownName, &range, Order::Forward, ROWS)?;
            for (key, _) in &rows {
                let end = key.iter().position(|byte| *byte == 0).unwrap_or(key.len());
                if !key.get(..end).is_some_and(|address| address.ends_with(suffix.as_bytes())) {
                    continue;
                }
                let account = self.by_lid(AccountLid(key_u64(key, end + 1, "known_name")?))?;
                if account.home() == home {
                    former.extend(account.log.homes());
                }
            }
            match rows.last() {
                Some((last, _)) if rows.len() == ROWS => range = KeyRange::all().after(last),
                _ => break,
            }
        }
        former.remove(home);
        Ok(former)
    }
}

/// Notes the address of an account that lives elsewhere.
pub(super) fn note(batch: &mut Batch, account: &Account) {
    let key = [prefix(account.address()).as_slice(), &account.lid.0.to_be_bytes()].concat();
    batch.put(Space::KnownName, key, []);
}

/// Addresses hold no zero byte.
fn prefix(address: &Address) -> Vec<u8> {
    let mut prefix = address.to_string().into_bytes();
    prefix.push(0);
    prefix
}
