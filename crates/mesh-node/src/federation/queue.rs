//! What goes where: which records concern which domain, and how far each domain is.
//!
//! There is one row per (destination, leaf), for ever, and per destination a cursor: below it, it has dealt with everything. What is to be delivered out of
//! order has rows of its own, which go when it has dealt with them; such a row for an author stands for that author's newest posts, which are looked up
//! when their turn comes. A crash loses nothing: rows are made in the batch of the leaf itself.

use crate::error::Result;
use crate::index::{Indexer, News, Statement};
use crate::peers::Peers;
use crate::tables::codec::{Reader, join, key_u64};
use crate::tables::payload::Payload;
use crate::tables::reference::Reference;
use crate::tables::{AccountLid, HERE, Lid, PeerNo, object_key, subscribers_key};
use mesh_proto::address::Domain;
use mesh_proto::envelope::Kind;
use mesh_proto::record::{Content, Record};
use mesh_store::{Batch, KeyRange, Order, Read, Space};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

/// The key of a row: a destination with a leaf or an author.
pub(crate) fn row_key(peer: PeerNo, index: u64) -> [u8; 12] {
    join(&peer.0.to_be_bytes(), &index.to_be_bytes())
}

/// Numbers of rows that are not leaves: accounts whose key operations are to be sent, and authors whose newest posts are.
pub(crate) const KEYS: u64 = 1 << 62;
pub(crate) const AUTHOR: u64 = 1 << 63;

/// Notes where a new statement of this domain is to be delivered.
pub(crate) fn enqueue(indexer: &mut Indexer<'_>, peers: &Peers, statement: &Statement<'_>) -> Result<()> {
    for peer in destinations(indexer.read, peers, &statement.record.content, statement.actor.lid)? {
        indexer.batch.put(Space::Outbox, row_key(peer, statement.lid.index()), []);
        indexer.news.push(News::Waiting { peer });
    }
    Ok(())
}

/// Notes that an account's key operations are to be sent, before anything else, to every domain that ever got something from here: each may have its records.
pub(crate) fn announce(batch: &mut Batch, read: &dyn Read, peers: &Peers, account: AccountLid) -> Result<Vec<News>> {
    let mut news = Vec::new();
    for peer in peers.numbers() {
        if !leaves(read, peer, 0, 1)?.is_empty() {
            batch.put(Space::Late, row_key(peer, KEYS | account.0), []);
            news.push(News::Waiting { peer });
        }
    }
    Ok(news)
}

/// Posts that a domain gets of an author whom its people begin to follow.
const BACKFILL_MAX: usize = 20;

/// Notes an author's newest posts for a domain whose first subscription to that author just came: nobody begins with an empty feed, and what was said
/// while the subscription was under way is not missed.
pub(crate) fn backfill(indexer: &mut Indexer<'_>, peer: PeerNo, author: AccountLid) -> Result<()> {
    let known = mesh_store::counter(indexer.read, Space::CountByPeer, &subscribers_key(author.into(), peer))?;
    if known <= 0 {
        indexer.batch.put(Space::Late, row_key(peer, AUTHOR | author.0), []);
        indexer.news.push(News::Waiting { peer });
    }
    Ok(())
}

/// Puts an author's newest posts in the place of the row that stands for them, but for those that go to the domain anyway.
pub(crate) fn expand(batch: &mut Batch, read: &dyn Read, peer: PeerNo, author: AccountLid) -> Result<()> {
    for (key, _) in read.scan(Space::Timeline, &KeyRange::prefix(author.0.to_be_bytes()), Order::Backward, BACKFILL_MAX)? {
        let lid = Lid(key_u64(&key, 16, "timeline")?);
        let row = row_key(peer, lid.index());
        if lid.is_own() && read.get(Space::Outbox, &row)?.is_none() {
            batch.put(Space::Outbox, row, []);
            batch.put(Space::Late, row, []);
        }
    }
    batch.delete(Space::Late, row_key(peer, AUTHOR | author.0));
    Ok(())
}

/// The value of a row whose record its destination refused for ever: it stays out of their common set.
const REFUSED: [u8; 1] = [1];

/// Notes that a destination refused a record for ever.
pub(crate) fn put_refused(batch: &mut Batch, peer: PeerNo, index: u64) {
    batch.put(Space::Outbox, row_key(peer, index), REFUSED);
}

/// Notes that a record goes to a destination, whatever was noted before.
pub(crate) fn put_wanted(batch: &mut Batch, peer: PeerNo, index: u64) {
    batch.put(Space::Outbox, row_key(peer, index), []);
}

/// Whether a row says that its destination refused the record.
pub(crate) fn is_refused(row: &[u8]) -> bool {
    row == REFUSED
}

/// The leaves from `from` on that go to a domain.
pub(crate) fn leaves(read: &dyn Read, peer: PeerNo, from: u64, limit: usize) -> Result<Vec<u64>> {
    numbers(read, Space::Outbox, (peer, from), limit)
}

/// What is to be delivered to a domain out of order: leaves and more. What is more comes first.
pub(crate) fn late(read: &dyn Read, peer: PeerNo, limit: usize) -> Result<Vec<u64>> {
    let more = numbers(read, Space::Late, (peer, KEYS), limit)?;
    if more.is_empty() { numbers(read, Space::Late, (peer, 0), limit) } else { Ok(more) }
}

fn numbers(read: &dyn Read, space: Space, (peer, from): (PeerNo, u64), limit: usize) -> Result<Vec<u64>> {
    let range = KeyRange::between(row_key(peer, from), (peer.0 + 1).to_be_bytes());
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

fn destinations(read: &dyn Read, peers: &Peers, content: &Content, actor: AccountLid) -> Result<BTreeSet<PeerNo>> {
    let mut to = BTreeSet::new();
    match content {
        Content::Profile(_) | Content::Post(_) => to = subscribing_peers(read, actor)?,
        Content::Repost(_) => to = subscribing_peers(read, actor)?,
        Content::Retract(retract) => {
            if let Some((lid, _)) = Reference::find(read, &retract.object)?.filter(|(lid, _)| lid.is_own())
                && let Some(envelope) = Payload::get(read, lid.index())?.and_then(|payload| payload.envelope)
                && let Ok(record) = Record::open(&envelope)
            {
                to = destinations(read, peers, &record.content, actor)?;
            }
        }
        Content::Comment(comment) => add_domain(&mut to, peers, &comment.parent.home)?,
        Content::Like(_) | Content::Subscribe(_) | Content::Report(_) => {}
    }
    if let Some(home) = content.object_home() {
        add_domain(&mut to, peers, home)?;
    }
    let changed = if let Content::Retract(retract) = content { Some(&retract.object) } else { content.revises() };
    if let Some(changed) = changed
        && let Some((lid, _)) = Reference::find(read, changed)?.filter(|(lid, _)| lid.is_own())
    {
        to.append(&mut receivers(read, peers, lid)?);
    }
    to.remove(&HERE);
    Ok(to)
}

/// The domains to which a record went, whoever subscribes now. Asks once for each known domain: withdrawals and edits are rare.
fn receivers(read: &dyn Read, peers: &Peers, lid: Lid) -> Result<BTreeSet<PeerNo>> {
    let mut receivers = BTreeSet::new();
    for peer in peers.numbers() {
        if read.get(Space::Outbox, &row_key(peer, lid.index()))?.is_some() {
            receivers.insert(peer);
        }
    }
    Ok(receivers)
}

fn add_domain(to: &mut BTreeSet<PeerNo>, peers: &Peers, domain: &Domain) -> Result<()> {
    if domain != peers.own_domain() {
        to.insert(peers.number(domain)?);
    }
    Ok(())
}

/// The domains in which someone subscribes to an account.
fn subscribing_peers(read: &dyn Read, actor: AccountLid) -> Result<BTreeSet<PeerNo>> {
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
