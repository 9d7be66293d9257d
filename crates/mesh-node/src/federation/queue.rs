//! What goes where: which records concern which domain, and how far each domain is.
//!
//! There is one row per (destination, record), for ever, and per destination a cursor over the leaves of this log: below it, it has dealt with everything. What
//! is to be delivered out of order has rows of its own, which go when it has dealt with them; such a row for an author stands for that author's newest posts,
//! which are looked up when their turn comes. A crash loses nothing: rows are made in the batch of the leaf itself.

use crate::accounts::{Account, Accounts};
use crate::error::Result;
use crate::index::{Indexer, News, Statement, current_version};
use crate::peers::Peers;
use crate::tables::codec::{Reader, key_u64};
use crate::tables::payload::Payload;
use crate::tables::reference::Reference;
use crate::tables::{AUTHOR, AccountLid, COPY, HERE, KEYS, Lid, MOVED, PeerNo, RULED, carried, object_key, outbox_key, subscribers_key};
use mesh_proto::address::Domain;
use mesh_proto::envelope::Kind;
use mesh_proto::key::AccountId;
use mesh_proto::limits::LEAF_INDEX_MAX;
use mesh_proto::record::{Content, Record};
use mesh_store::{Batch, KeyRange, Order, Read, Space};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

/// What the number of a row stands for.
pub(crate) enum Late {
    Record(Lid),
    Keys(AccountLid),
    Author(AccountLid),
    Moved(AccountLid),
    Copy(AccountLid),
    Ruled(AccountLid),
}

impl Late {
    pub(crate) fn new(number: u64) -> Self {
        let account = AccountLid(number & !(MOVED | COPY));
        match number & (MOVED | COPY) {
            MOVED => Self::Moved(account),
            AUTHOR => Self::Author(account),
            KEYS => Self::Keys(account),
            COPY => Self::Copy(account),
            RULED => Self::Ruled(account),
            _ => Self::Record(Lid(number)),
        }
    }
}

/// Notes where a new statement of this domain is to be delivered. What an account brings along from another log lies outside the order of this one, and is
/// delivered when all of it is here: [`redeliver`].
pub(crate) fn enqueue(indexer: &mut Indexer<'_>, routes: Routes<'_>, statement: &Statement<'_>) -> Result<()> {
    for peer in routes.destinations(&statement.record.content, statement.actor.lid)? {
        indexer.batch.put(Space::Outbox, outbox_key(peer, statement.lid.0), []);
        if statement.lid.is_own() {
            indexer.news.push(News::Waiting { peer });
        }
    }
    Ok(())
}

/// Notes that some of what an account brought along is to be delivered to a domain, after its key operations. Answers where to go on, if there is more, and
/// whether there was anything.
pub(crate) fn redeliver(
    batch: &mut Batch,
    read: &dyn Read,
    (peer, account): (PeerNo, AccountLid),
    from: u64,
) -> Result<(Option<u64>, bool)> {
    let records = records(read, peer, from.max(LEAF_INDEX_MAX + 1), REDELIVERED_AT_ONCE)?;
    let mut some = false;
    for number in &records {
        if Payload::get(read, Lid(*number))?.is_some_and(|payload| payload.account == account) {
            batch.put(Space::Late, outbox_key(peer, *number), []);
            some = true;
        }
    }
    let more = records.last().filter(|_| records.len() == REDELIVERED_AT_ONCE);
    Ok((more.map(|last| last + 1), some))
}

/// Records that are looked at in one go when an account's are delivered anew.
const REDELIVERED_AT_ONCE: usize = 1_000;

/// Notes that something about an account (`number`: its key operations, rulings) is to be sent, before any record, to every domain that ever got something
/// from here, since each may have its records; to its earlier homes, and to those who keep copies.
pub(crate) fn announce(batch: &mut Batch, (read, peers): (&dyn Read, &Peers), account: &Account, number: u64) -> Result<Vec<News>> {
    let mut news = Vec::new();
    let company: BTreeSet<Domain> = account.log.homes().into_iter().chain(account.log.view().mirrors().iter().cloned()).collect();
    let company: BTreeSet<PeerNo> = company.iter().filter_map(|domain| peers.get(domain)).map(|peer| peer.no()).collect();
    for peer in peers.numbers() {
        if company.contains(&peer) || !records(read, peer, 0, 1)?.is_empty() {
            batch.put(Space::Late, outbox_key(peer, number), []);
            news.push(News::Waiting { peer });
        }
    }
    Ok(news)
}

/// Notes that something out of order is to be sent to one domain, if it is known.
pub(crate) fn tell(batch: &mut Batch, peers: &Peers, domain: &Domain, number: u64) -> Option<News> {
    let peer = peers.get(domain)?.no();
    batch.put(Space::Late, outbox_key(peer, number), []);
    Some(News::Waiting { peer })
}

/// The value of a row that stands for more than a record, while that is looked up and sent.
const UNDER_WAY: [u8; 1] = [1];

/// Notes which rows are being dealt with. Only then is read what they stand for: who puts such a row again from now on wants more to be sent.
pub(crate) fn begin(peer: PeerNo, rows: impl IntoIterator<Item = u64>) -> Batch {
    let mut batch = Batch::new();
    for number in rows {
        batch.put(Space::Late, outbox_key(peer, number), UNDER_WAY);
    }
    batch
}

/// Removes a row, on condition that nobody put it again since [`begin`].
pub(crate) fn end(batch: &mut Batch, peer: PeerNo, number: u64) {
    let row = outbox_key(peer, number);
    batch.expect_value(Space::Late, row, UNDER_WAY).delete(Space::Late, row);
}

/// Posts that a domain gets of an author whom its people begin to follow.
const BACKFILL_MAX: usize = 20;

/// Notes an author's newest posts for a domain whose first subscription to that author just came: nobody begins with an empty feed, and what was said
/// while the subscription was under way is not missed.
pub(crate) fn backfill(indexer: &mut Indexer<'_>, peer: PeerNo, author: AccountLid) -> Result<()> {
    let known = mesh_store::counter(indexer.read, Space::CountByPeer, &subscribers_key(author.into(), peer))?;
    if known <= 0 {
        indexer.batch.put(Space::Late, outbox_key(peer, AUTHOR | author.0), []);
        indexer.batch.put(Space::Late, outbox_key(peer, RULED | author.0), []);
        indexer.news.push(News::Waiting { peer });
    }
    Ok(())
}

/// Puts an author's newest posts, as they read now, in the place of the row that stands for them. What was sent before is sent again: it may have been
/// refused, if it came between an end and a new beginning of subscriptions that was not known here yet.
pub(crate) fn expand(batch: &mut Batch, read: &dyn Read, peer: PeerNo, author: AccountLid) -> Result<()> {
    for (key, _) in read.scan(Space::Timeline, &KeyRange::prefix(author.0.to_be_bytes()), Order::Backward, BACKFILL_MAX)? {
        let lid = Lid(key_u64(&key, 16, "timeline")?);
        for version in BTreeSet::from([lid, current_version(read, lid)?]) {
            if !version.is_own() && !carried::is_carried(read, version)? {
                continue;
            }
            let row = outbox_key(peer, version.0);
            batch.put(Space::Outbox, row, []);
            batch.put(Space::Late, row, []);
        }
    }
    end(batch, peer, AUTHOR | author.0);
    Ok(())
}

/// Notes some of what an account said for a domain that keeps a copy. The last time the row that stands for all of it goes.
pub(crate) fn copy(batch: &mut Batch, read: &dyn Read, peer: PeerNo, account: AccountLid) -> Result<()> {
    let row = outbox_key(peer, COPY | account.0);
    let Some(place) = read.get(Space::Late, &row)? else { return Ok(()) };
    let from = if place.is_empty() { 0 } else { Reader::new(&place, "late").u64()? };
    batch.expect_value(Space::Late, row, place);
    let rows = read.scan(Space::Payload, &KeyRange::starting_at(Lid(from).key()), Order::Forward, COPIED_AT_ONCE)?;
    for (key, payload) in &rows {
        let is_public = |kind| !matches!(kind, Kind::Key | Kind::Name | Kind::Report);
        if Payload::owner(payload)?.is_some_and(|(kind, owner)| owner == account && is_public(kind)) {
            let record = outbox_key(peer, key_u64(key, 0, "payload")?);
            batch.put(Space::Outbox, record, []);
            batch.put(Space::Late, record, []);
        }
    }
    match rows.last().filter(|_| rows.len() == COPIED_AT_ONCE) {
        Some((key, _)) => batch.put(Space::Late, row, (key_u64(key, 0, "payload")? + 1).to_be_bytes()),
        None => batch.delete(Space::Late, row),
    };
    Ok(())
}

/// Payloads that are looked at in one go for a copy.
const COPIED_AT_ONCE: usize = 1_000;

/// The value of a row whose record its destination refused for ever: it stays out of their common set.
const REFUSED: [u8; 1] = [1];

/// Notes that a destination refused a record for ever.
pub(crate) fn put_refused(batch: &mut Batch, peer: PeerNo, index: u64) {
    batch.put(Space::Outbox, outbox_key(peer, index), REFUSED);
}

/// Notes that a record goes to a destination, whatever was noted before.
pub(crate) fn put_wanted(batch: &mut Batch, peer: PeerNo, index: u64) {
    batch.put(Space::Outbox, outbox_key(peer, index), []);
}

/// Whether a row says that its destination refused the record.
pub(crate) fn is_refused(row: &[u8]) -> bool {
    row == REFUSED
}

/// The leaves of this domain's log from `from` on that go to a domain.
pub(crate) fn leaves(read: &dyn Read, peer: PeerNo, from: u64, limit: usize) -> Result<Vec<u64>> {
    numbers(read, Space::Outbox, peer, (from, LEAF_INDEX_MAX + 1), limit)
}

/// All records from `from` on that go to a domain, of whatever log.
pub(crate) fn records(read: &dyn Read, peer: PeerNo, from: u64, limit: usize) -> Result<Vec<u64>> {
    numbers(read, Space::Outbox, peer, (from, u64::MAX), limit)
}

/// What is to be delivered to a domain out of order: records and more. What is more comes first.
pub(crate) fn late(read: &dyn Read, peer: PeerNo, limit: usize) -> Result<Vec<u64>> {
    let more = numbers(read, Space::Late, peer, (COPY, u64::MAX), limit)?;
    if more.is_empty() { numbers(read, Space::Late, peer, (0, COPY), limit) } else { Ok(more) }
}

fn numbers(read: &dyn Read, space: Space, peer: PeerNo, (from, to): (u64, u64), limit: usize) -> Result<Vec<u64>> {
    let range = KeyRange::between(outbox_key(peer, from), outbox_key(peer, to));
    let rows = read.scan(space, &range, Order::Forward, limit)?;
    rows.iter().map(|(key, _)| Ok(key_u64(key, 4, space.name())?)).collect()
}

/// Below which leaf a domain has dealt with everything.
pub(crate) fn cursor(read: &dyn Read, peer: PeerNo) -> Result<u64> {
    let row = read.get(Space::Cursor, &peer.0.to_be_bytes())?;
    Ok(row.map_or(Ok(0), |row| Reader::new(&row, "cursor").u64())?)
}

pub(crate) fn put_cursor(batch: &mut Batch, peer: PeerNo, leaf: u64) {
    batch.put(Space::Cursor, peer.0.to_be_bytes(), leaf.to_be_bytes());
}

/// The domains for which something waits.
pub(crate) fn pending(read: &dyn Read) -> Result<BTreeSet<PeerNo>> {
    let mut pending = BTreeSet::new();
    for space in [Space::Outbox, Space::Late] {
        let mut range = KeyRange::all();
        while let Some((key, _)) = read.scan(space, &range, Order::Forward, 1)?.into_iter().next() {
            let peer = PeerNo((key_u64(&key, 0, space.name())? >> 32) as u32);
            if space == Space::Late || !leaves(read, peer, cursor(read, peer)?, 1)?.is_empty() {
                pending.insert(peer);
            }
            range = KeyRange::starting_at((peer.0 + 1).to_be_bytes());
        }
    }
    Ok(pending)
}

/// What decides where a record goes.
#[derive(Clone, Copy)]
pub(crate) struct Routes<'a> {
    pub(crate) read: &'a dyn Read,
    pub(crate) peers: &'a Peers,
    pub(crate) accounts: &'a Accounts,
}

impl Routes<'_> {
    fn destinations(self, content: &Content, actor: AccountLid) -> Result<BTreeSet<PeerNo>> {
        let mut to = BTreeSet::new();
        match content {
            Content::Profile(_) | Content::Post(_) | Content::Repost(_) => to = subscribing_peers(self.read, actor)?,
            Content::Retract(retract) => {
                if let Some((lid, _)) = Reference::find(self.read, &retract.object)?
                    && let Some(envelope) = Payload::get(self.read, lid)?.and_then(|payload| payload.envelope)
                    && let Ok(record) = Record::open(&envelope)
                {
                    to = self.destinations(&record.content, actor)?;
                }
            }
            Content::Comment(_) | Content::Like(_) | Content::Subscribe(_) | Content::Report(_) | Content::Vote(_) => {}
        }
        for (account, home) in content.addressed() {
            self.add(&mut to, &self.present_home(&account, home)?);
        }
        let changed = if let Content::Retract(retract) = content { Some(&retract.object) } else { content.revises() };
        if let Some(changed) = changed
            && let Some((lid, _)) = Reference::find(self.read, changed)?
        {
            to.append(&mut self.receivers(lid)?);
            if !lid.is_own() {
                // The home where it was said may still have it.
                self.add(&mut to, self.peers.origin_of(lid)?.domain());
            }
        }
        to.append(&mut self.mirrors(content, actor)?);
        to.remove(&HERE);
        Ok(to)
    }

    /// Where an account lives now, as far as is known here.
    fn present_home(self, account: &AccountId, believed: &Domain) -> Result<Domain> {
        Ok(self.accounts.get(account)?.map_or_else(|| believed.clone(), |account| account.home().clone()))
    }

    /// The domains that keep a copy of what an account says to everybody.
    fn mirrors(self, content: &Content, actor: AccountLid) -> Result<BTreeSet<PeerNo>> {
        let mut mirrors = BTreeSet::new();
        if !matches!(content, Content::Report(_)) {
            for mirror in self.accounts.by_lid(actor)?.log.view().mirrors() {
                self.add(&mut mirrors, mirror);
            }
        }
        Ok(mirrors)
    }

    /// The domains to which a record went, whoever subscribes now. Asks once for each known domain: withdrawals and edits are rare.
    fn receivers(self, lid: Lid) -> Result<BTreeSet<PeerNo>> {
        let mut receivers = BTreeSet::new();
        for peer in self.peers.numbers() {
            if self.read.get(Space::Outbox, &outbox_key(peer, lid.0))?.is_some() {
                receivers.insert(peer);
            }
        }
        Ok(receivers)
    }

    /// Domains get a number when they are met, which was before.
    fn add(self, to: &mut BTreeSet<PeerNo>, domain: &Domain) {
        to.extend(self.peers.get(domain).map(|peer| peer.no()));
    }
}

/// The domains in which someone subscribes to an account.
pub(crate) fn subscribing_peers(read: &dyn Read, actor: AccountLid) -> Result<BTreeSet<PeerNo>> {
    let prefix = object_key(actor.into(), Kind::Subscribe);
    let rows = read.scan(Space::CountByPeer, &KeyRange::prefix(prefix), Order::Forward, crate::peers::PEERS_MAX)?;
    rows.iter()
        .filter(|(_, count)| count.iter().any(|byte| *byte != 0) && count.first().is_some_and(|sign| sign & 0x80 == 0))
        .map(|(key, _)| {
            let peer = key.get(9..13).and_then(|no| no.try_into().ok()).ok_or_else(|| crate::tables::codec::damaged("count_by_peer"))?;
            Ok(PeerNo(u32::from_be_bytes(peer)))
        })
        .collect()
}

/// The destinations for which something was noted since somebody asked.
#[derive(Default)]
pub(crate) struct Waiting {
    peers: Mutex<BTreeSet<PeerNo>>,
    pub(crate) some: Notify,
}

impl Waiting {
    pub(crate) fn note(&self, peer: PeerNo) {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner).insert(peer);
        self.some.notify_one();
    }

    pub(crate) fn take(&self) -> BTreeSet<PeerNo> {
        std::mem::take(&mut *self.peers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::{account_place_key, pair_key};
    use mesh_store::{Kv, MemoryStore};

    #[test]
    fn who_follows_again_is_sent_the_newest_posts_again_as_they_read_now() {
        let kv = MemoryStore::new();
        let (peer, author) = (PeerNo(1), AccountLid(7));
        let mut batch = Batch::new();
        for leaf in [3, 5] {
            batch.put(Space::Timeline, account_place_key(author, 1_000 + leaf, Lid(leaf)), [Kind::Post as u8]);
        }
        // Leaf 3 was edited by 9, and sent when nobody there followed any more.
        batch.put(Space::Version, pair_key(3, 9), []).put(Space::Outbox, outbox_key(peer, 3), []);
        batch.put(Space::Late, outbox_key(peer, AUTHOR | author.0), []);
        kv.commit(batch).wait().expect("commits");
        kv.commit(begin(peer, [AUTHOR | author.0])).wait().expect("commits");
        let mut batch = Batch::new();
        expand(&mut batch, &kv, peer, author).expect("expands");
        kv.commit(batch).wait().expect("commits");
        assert_eq!(late(&kv, peer, 10).expect("reads"), [3, 5, 9]);
        assert_eq!(leaves(&kv, peer, 0, 10).expect("reads"), [3, 5, 9]);
    }

    #[test]
    fn what_is_noted_again_while_it_is_sent_is_not_lost() {
        let (kv, peer, number) = (MemoryStore::new(), PeerNo(1), KEYS | 7);
        let note = || {
            let mut batch = Batch::new();
            batch.put(Space::Late, outbox_key(peer, number), []);
            kv.commit(batch).wait().expect("commits");
        };
        let send = |meanwhile: &dyn Fn()| {
            kv.commit(begin(peer, [number])).wait().expect("commits");
            meanwhile();
            let mut batch = Batch::new();
            end(&mut batch, peer, number);
            let ended = kv.commit(batch).wait();
            (ended.is_ok(), late(&kv, peer, 10).expect("reads").len())
        };
        note();
        assert_eq!(send(&note), (false, 1));
        assert_eq!(send(&|| ()), (true, 0));
    }
}
