//! The accounts of other domains of which copies are kept here: each has a place, of which there are so many as the operator allows.
//!
//! A place is free again once its account names this domain no more, was closed, or came to live here; and one of an account that never named it, after
//! a day. What was kept is erased by [`crate::writing::closing`].

use super::{Account, Accounts};
use crate::error::{NodeError, Result};
use crate::tables::AccountLid;
use crate::tables::account::{self, AccountRow};
use crate::tables::codec::Reader;
use mesh_proto::keylog::Status;
use mesh_store::{Batch, Key, KeyRange, Order, Space, Value};

/// How long a place is kept for an account that agreed with this domain and does not name it.
const AGREED_MS_MAX: u64 = 24 * 3_600_000;
/// In the place of the time, once the account names this domain.
const NAMED: u64 = u64::MAX;
/// How long somebody waits whose former copy is still being erased.
const ERASING_WAIT_S: u64 = 10;

impl Accounts {
    /// Gives an account a place, if one of `most` is free: whatever it says is kept once it names this domain. Answers whether it has one. Blocks until
    /// that is durable.
    pub(crate) fn keep(&self, account: &Account, most: u32, now_ms: u64) -> Result<bool> {
        let _merging = self.lock();
        let Some(row) = account::row(&*self.kv, account.lid)? else { return Err(NodeError::NotFound("account")) };
        if self.kv.get(Space::Meta, account::place_key(account.lid).as_bytes())?.is_some() {
            return Ok(true);
        }
        if self.kv.get(Space::Meta, account::dropping_key(account.lid).as_bytes())?.is_some() {
            return Err(NodeError::SlowDown { retry_after_s: ERASING_WAIT_S });
        }
        let places = self.kv.scan(Space::Meta, &KeyRange::prefix(account::PLACE), Order::Forward, most as usize + 1)?;
        let mut batch = Batch::new();
        let mut changed = vec![account.id()];
        if places.len() >= most as usize {
            let Some(mut unused) = self.unused(&places, now_ms)? else { return Ok(false) };
            changed.push(unused.id());
            self.leave_place(&mut batch, &unused)?;
            if unused.name_leaf.is_none() {
                keep_no_more(&mut batch, &mut unused);
            }
        }
        put_place(&mut batch, account.lid, if self.is_named_by(account) { NAMED } else { now_ms });
        account::put_row(&mut batch, account.lid, &AccountRow { keeps: true, ..row });
        self.kv.commit(batch).wait()?;
        changed.iter().for_each(|id| self.forget(id));
        Ok(true)
    }

    /// An account that has a place for long and never named this domain.
    fn unused(&self, places: &[(Key, Value)], now_ms: u64) -> Result<Option<Account>> {
        for (_, row) in places {
            let mut row = Reader::new(row, "meta");
            let (lid, agreed_ms) = (AccountLid(row.u64()?), row.u64()?);
            if now_ms.saturating_sub(agreed_ms) >= AGREED_MS_MAX {
                return Ok(Some(Account::clone(&*self.by_lid(lid)?)));
            }
        }
        Ok(None)
    }

    /// Notes that an account which has a place names this domain now: it has it as long as it does.
    pub(super) fn note_named(&self, batch: &mut Batch, before: Option<&Account>, now: &Account) -> Result<()> {
        let names = now.keeps && self.is_named_by(now) && !before.is_some_and(|before| self.is_named_by(before));
        if names && self.kv.get(Space::Meta, account::place_key(now.lid).as_bytes())?.is_some() {
            put_place(batch, now.lid, NAMED);
        }
        Ok(())
    }

    fn is_named_by(&self, account: &Account) -> bool {
        account.log.view().mirrors().contains(&self.domain) && account.log.view().status() != Status::Closed
    }

    /// Whether an account named this domain before and does not any more.
    pub(super) fn is_unnamed(&self, before: Option<&Account>, now: &Account) -> bool {
        now.keeps && before.is_some_and(|before| self.is_named_by(before)) && !self.is_named_by(now)
    }

    /// Makes an account's place free, and has its copy erased; the erasure of a closed account takes the copy along. A former home goes on answering for
    /// what it has.
    pub(super) fn give_copy_up(&self, batch: &mut Batch, account: &mut Account) -> Result<()> {
        self.leave_place(batch, account)?;
        if account.name_leaf.is_none() && account.log.view().status() != Status::Closed {
            keep_no_more(batch, account);
            account::begin_dropping(batch, account.lid);
        }
        Ok(())
    }

    /// Makes the place of an account free, if it has one.
    pub(crate) fn leave_place(&self, batch: &mut Batch, account: &Account) -> Result<()> {
        let place = account::place_key(account.lid);
        if self.kv.get(Space::Meta, place.as_bytes())?.is_some() {
            batch.delete(Space::Meta, place);
        }
        Ok(())
    }
}

fn put_place(batch: &mut Batch, account: AccountLid, agreed_ms: u64) {
    batch.put(Space::Meta, account::place_key(account), [account.0, agreed_ms].map(u64::to_be_bytes).concat());
}

/// Nothing that an account says from now on is kept.
fn keep_no_more(batch: &mut Batch, account: &mut Account) {
    account.keeps = false;
    account::put_row(batch, account.lid, &AccountRow { id: account.id(), name_leaf: account.name_leaf, keeps: false });
}
