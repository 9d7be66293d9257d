//! The common set of two homes: of one log, the records of the actors' home's people that went to the objects' home and stand there.
//!
//! Both sides enumerate it from what they have, each in the order of leaves, and must come to the same items: an item is a leaf index with a record id.
//! Pure reading.

use crate::accounts::Accounts;
use crate::error::Result;
use crate::queue;
use crate::tables::codec::key_u64;
use crate::tables::reference::{Reference, Standing};
use crate::tables::{AccountLid, Lid, OriginNo, PeerNo};
use mesh_proto::address::Domain;
use mesh_proto::envelope::RecordId;
use mesh_proto::limits::LEAF_INDEX_MAX;
use mesh_store::{Key, KeyRange, Order, Read, Space, Value};
use std::collections::HashMap;

/// Rows read at once.
const ROWS: usize = 4_096;
/// References are read one by one where fewer than one leaf in so many concerns the peer, else all that lie between.
const SPARSE: u64 = 8;

/// A record of the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Member {
    pub(crate) index: u64,
    pub(crate) id: RecordId,
}

/// A part of a set, with where it ends: before the end that was asked for, if there are too many records.
pub(crate) struct Part {
    pub(crate) members: Vec<Member>,
    pub(crate) end: u64,
}

impl Part {
    /// Adds a record, or ends the part before it, with `false`, if it holds `most` already.
    fn take(&mut self, lid: Lid, reference: &Reference, most: usize) -> bool {
        let fits = self.members.len() < most;
        if fits {
            self.members.push(Member { index: lid.index(), id: reference.id });
        } else {
            self.end = lid.index();
        }
        fits
    }
}

/// Leaves of a log: from the first on, before the second.
pub(crate) type Span = (OriginNo, u64, u64);

/// Decides which references belong to a set.
pub(crate) struct Judge<'a> {
    read: &'a dyn Read,
    accounts: &'a Accounts,
    /// Where the actors must live.
    home: &'a Domain,
    lives_there: HashMap<AccountLid, bool>,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(read: &'a dyn Read, accounts: &'a Accounts, home: &'a Domain) -> Self {
        Self { read, accounts, home, lives_there: HashMap::new() }
    }

    /// Whether a record stands. An edit stands as long as what it edits does.
    pub(crate) fn stands(&mut self, reference: &Reference) -> Result<bool> {
        let stands = match (reference.standing, reference.object) {
            (Standing::Live, _) => true,
            (Standing::Edit, Some(first)) => Reference::get(self.read, Lid(first.0))?.is_some_and(|first| first.standing == Standing::Live),
            _ => false,
        };
        Ok(stands && self.lives_there(reference.actor)?)
    }

    /// Whether an actor's present home is the one.
    pub(crate) fn lives_there(&mut self, actor: AccountLid) -> Result<bool> {
        if let Some(known) = self.lives_there.get(&actor) {
            return Ok(*known);
        }
        let lives_there = self.accounts.by_lid(actor)?.home() == self.home;
        self.lives_there.insert(actor, lives_there);
        Ok(lives_there)
    }
}

fn keys((origin, from, to): Span) -> (Lid, Lid) {
    // One past the last leaf of a log is the first of the next.
    let last = to.min(LEAF_INDEX_MAX + 1).max(from);
    (Lid::new(origin, from.min(LEAF_INDEX_MAX)), Lid(Lid::new(origin, 0).0 + last))
}

/// The objects' side: what is here of a log of another home.
pub(crate) fn held(judge: &mut Judge<'_>, span: Span, most: usize) -> Result<Part> {
    let (first, end) = keys(span);
    let mut part = Part { members: Vec::new(), end: span.2 };
    let mut range = KeyRange::between(first.key(), end.key());
    loop {
        let rows = judge.read.scan(Space::Reference, &range, Order::Forward, ROWS)?;
        for (key, row) in &rows {
            let lid = Lid(key_u64(key, 0, "reference")?);
            let reference = Reference::decode(row)?;
            if judge.stands(&reference)? && !part.take(lid, &reference, most) {
                return Ok(part);
            }
        }
        match rows.last() {
            Some((last, _)) if rows.len() == ROWS => range = range.after(last),
            _ => return Ok(part),
        }
    }
}

/// The actors' side: what went to a peer, is not refused there, and stands here.
pub(crate) fn sent(judge: &mut Judge<'_>, peer: PeerNo, span: Span, most: usize) -> Result<Part> {
    let (first, end) = keys(span);
    let mut part = Part { members: Vec::new(), end: span.2 };
    let mut range = KeyRange::between(crate::tables::outbox_key(peer, first.0), crate::tables::outbox_key(peer, end.0));
    loop {
        let rows = judge.read.scan(Space::Outbox, &range, Order::Forward, ROWS)?;
        let mut lids = Vec::with_capacity(rows.len());
        for (key, row) in &rows {
            if !queue::is_refused(row) {
                lids.push(Lid(key_u64(key, 4, "outbox")?));
            }
        }
        for (lid, row) in references(judge.read, &lids)? {
            let reference = Reference::decode(&row)?;
            if judge.stands(&reference)? && !part.take(lid, &reference, most) {
                return Ok(part);
            }
        }
        match rows.last() {
            Some((last, _)) if rows.len() == ROWS => range = range.after(last),
            _ => return Ok(part),
        }
    }
}

/// The references at some places, in ascending order. Reading a run of rows costs much less for each than looking one up, so where they lie close
/// together what lies between is read too.
fn references(read: &dyn Read, lids: &[Lid]) -> Result<Vec<(Lid, Value)>> {
    let (Some(first), Some(last)) = (lids.first(), lids.last()) else { return Ok(Vec::new()) };
    let between = last.0 - first.0 + 1;
    if between > SPARSE * lids.len() as u64 {
        let keys: Vec<[u8; 8]> = lids.iter().map(|lid| lid.key()).collect();
        let keys: Vec<&[u8]> = keys.iter().map(<[u8; 8]>::as_slice).collect();
        let rows = read.multi_get(Space::Reference, &keys)?;
        return Ok(lids.iter().zip(rows).filter_map(|(lid, row)| row.map(|row| (*lid, row))).collect());
    }
    let range = KeyRange::between(first.key(), Lid(last.0 + 1).key());
    let rows: Vec<(Key, Value)> = read.scan(Space::Reference, &range, Order::Forward, between as usize)?;
    let mut found = Vec::with_capacity(lids.len());
    let mut wanted = lids.iter().copied().peekable();
    for (key, row) in rows {
        let lid = Lid(key_u64(&key, 0, "reference")?);
        while wanted.next_if(|next| *next < lid).is_some() {}
        if wanted.next_if_eq(&lid).is_some() {
            found.push((lid, row));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
