//! Taking back references: as if the records had never come, so that they may come again.

use crate::bodies;
use crate::error::Result;
use crate::index::{Indexer, News, counts, later_versions};
use crate::peers::Peers;
use crate::tables::codec::Reader;
use crate::tables::reference::{Reference, Standing};
use crate::tables::{Lid, ObjectLid, PeerNo, carried, half, object_key, option_key, ordered_key, pair_key, subscribers_key};
use mesh_proto::envelope::{Kind, RecordId};
use mesh_proto::limits::POLL_OPTIONS_MAX;
use mesh_store::{Batch, KeyRange, Kv, Order, Read, Space, counter};
use std::collections::{BTreeMap, BTreeSet};

/// Bytes after which a batch takes no further reference.
const BATCH_BYTES_MAX: usize = 1_000_000;
/// Rows counted at once.
const ROWS: usize = 4_096;
/// Most statements about one object that are counted anew: beyond, its counters stay as they are.
const COUNTED_MAX: usize = 4_000_000;

/// A counter: what is counted, and which kind.
pub(crate) type Counted = (ObjectLid, Kind);

/// Live statements of one domain's people.
#[derive(Default)]
struct Said {
    count: i64,
    /// Of votes: how many chose each option.
    votes: [i64; POLL_OPTIONS_MAX],
}

/// The counters that a reference moves.
pub(crate) fn counted(read: &dyn Read, reference: &Reference) -> Result<Vec<Counted>> {
    let Some(object) = reference.object.filter(|_| reference.standing != Standing::Edit) else { return Ok(Vec::new()) };
    let mut counted = vec![(object, reference.kind)];
    if let Some(parent) = &reference.parent
        && let Some((parent, _)) = Reference::find(read, parent)?
    {
        counted.push((parent.into(), reference.kind));
    }
    Ok(counted)
}

/// Takes references back, by the ids of their records, in the order given. A retract never: what a person withdrew stays withdrawn; nor what this domain keeps
/// a copy of with its proof, as its author's earlier home or for them. Answers those that were there and counted.
pub(crate) fn drop_all(kv: &dyn Kv, peer: PeerNo, ids: &[RecordId], publish: impl Fn(&[News])) -> Result<Vec<(Lid, Reference)>> {
    let mut dropped = Vec::new();
    let mut indexer = Indexer::new(kv);
    for id in ids {
        let Some((lid, reference)) = Reference::find(kv, id)? else { continue };
        let stays = reference.kind == Kind::Retract || reference.standing == Standing::Retracted;
        if lid.is_own() || stays || carried::is_carried(kv, lid)? {
            continue;
        }
        take_back(&mut indexer, (lid, &reference), peer)?;
        dropped.push((lid, reference));
        if indexer.batch.size_bytes() > BATCH_BYTES_MAX {
            let full = std::mem::replace(&mut indexer, Indexer::new(kv));
            kv.commit(full.batch).wait()?;
            publish(&full.news);
        }
    }
    kv.commit(indexer.batch).wait()?;
    publish(&indexer.news);
    Ok(dropped)
}

fn take_back(indexer: &mut Indexer<'_>, (lid, reference): (Lid, &Reference), peer: PeerNo) -> Result<()> {
    if reference.standing == Standing::Live {
        indexer.uncount(lid, reference, peer)?;
    }
    leave_lists(indexer, lid, reference)?;
    for version in later_versions(indexer.read, lid)? {
        if let Some(edit) = Reference::get(indexer.read, version)? {
            remove(indexer, version, &edit)?;
        }
        indexer.batch.delete(Space::Version, pair_key(lid.0, version.0));
    }
    remove(indexer, lid, reference)?;
    let mut known = reference.id;
    if let (Standing::Edit, Some(first)) = (reference.standing, reference.object) {
        indexer.batch.delete(Space::Version, pair_key(first.0, lid.0));
        // Its text may be what is shown of the whole.
        bodies::erase(&mut indexer.batch, indexer.read, Lid(first.0))?;
        known = Reference::get(indexer.read, Lid(first.0))?.map_or(known, |first| first.id);
    }
    indexer.news.push(News::Withdrawn { author: reference.actor, id: known });
    Ok(())
}

/// Takes a record out of the lists that keep a place for what was withdrawn, and of the place of a current profile.
fn leave_lists(indexer: &mut Indexer<'_>, lid: Lid, reference: &Reference) -> Result<()> {
    if matches!(reference.kind, Kind::Comment | Kind::Report) && reference.standing != Standing::Edit {
        for (object, kind) in counted(indexer.read, reference)? {
            indexer.batch.delete(Space::Object, ordered_key(object, kind, reference.received, lid));
        }
    }
    if reference.kind == Kind::Profile {
        let key = reference.actor.0.to_be_bytes();
        let current = indexer.read.get(Space::Profile, &key)?;
        if current.is_some_and(|current| *current == lid.key()) {
            indexer.batch.delete(Space::Profile, key);
        }
    }
    Ok(())
}

fn remove(indexer: &mut Indexer<'_>, lid: Lid, reference: &Reference) -> Result<()> {
    bodies::erase(&mut indexer.batch, indexer.read, lid)?;
    let index = half(reference.id.hash());
    let place = indexer.read.get(Space::Id, &index)?;
    if place.is_some_and(|place| *place == lid.key()) {
        indexer.batch.delete(Space::Id, index);
    }
    indexer.batch.delete(Space::Reference, lid.key());
    Ok(())
}

/// Makes counters say what the lists under them hold. Who counts at the same time moves the same counters, and both hold: each difference is taken from
/// one moment, and added.
pub(crate) fn recount(kv: &dyn Kv, peers: &Peers, counted: &BTreeSet<Counted>) -> Result<usize> {
    let mut mended = 0;
    for (object, kind) in counted {
        let read = kv.snapshot()?;
        let Some(by_peer) = count(&*read, peers, (*object, *kind))? else { continue };
        let mut batch = Batch::new();
        let mut total = Said::default();
        for (peer, said) in &by_peer {
            if *kind == Kind::Post || counts(&*read, *peer)? {
                total.count += said.count;
                total.votes.iter_mut().zip(said.votes).for_each(|(sum, votes)| *sum += votes);
            }
        }
        let difference = correct(&*read, &mut batch, &object_key(*object, *kind), total.count)?;
        if *kind == Kind::Vote {
            for (place, votes) in total.votes.into_iter().enumerate() {
                correct(&*read, &mut batch, &option_key(*object, place), votes)?;
            }
        }
        if *kind == Kind::Subscribe {
            for (key, row) in read.scan(Space::CountByPeer, &KeyRange::prefix(object_key(*object, *kind)), Order::Forward, ROWS)? {
                let peer = PeerNo(key.get(9..13).and_then(|no| no.try_into().ok()).map_or(0, u32::from_be_bytes));
                let wrong = Reader::new(&row, "count_by_peer").u64()? as i64;
                let difference = by_peer.get(&peer).map_or(0, |said| said.count) - wrong;
                if difference != 0 {
                    batch.add(Space::CountByPeer, subscribers_key(*object, peer), difference);
                }
            }
        }
        if !batch.is_empty() {
            tracing::warn!(object.lid = object.0, object.kind = %kind, counter.difference = difference, "healing.recounted");
            mended += 1;
            kv.commit(batch).wait()?;
        }
    }
    Ok(mended)
}

/// Adds to a counter what it lacks; answers how much that is.
fn correct(read: &dyn Read, batch: &mut Batch, key: &[u8], right: i64) -> Result<i64> {
    let difference = right - counter(read, Space::Count, key)?;
    if difference != 0 {
        batch.add(Space::Count, key, difference);
    }
    Ok(difference)
}

/// The live statements about an object by their domains; `None` if nothing lists them, or there are too many.
fn count(read: &dyn Read, peers: &Peers, (object, kind): Counted) -> Result<Option<BTreeMap<PeerNo, Said>>> {
    let (space, prefix) = match kind {
        Kind::Post => (Space::Timeline, object.0.to_be_bytes().to_vec()),
        Kind::Like | Kind::Repost | Kind::Subscribe | Kind::Comment | Kind::Vote => (Space::Object, object_key(object, kind).to_vec()),
        _ => return Ok(None),
    };
    let mut by_peer: BTreeMap<PeerNo, Said> = BTreeMap::new();
    let mut range = KeyRange::prefix(prefix);
    let mut seen = 0;
    loop {
        let rows = read.scan(space, &range, Order::Forward, ROWS)?;
        for (key, row) in &rows {
            if let Some(lid) = listed(read, kind, (key, row))? {
                let peer = match row.get(8..12).and_then(|no| no.try_into().ok()) {
                    // A subscription says for whom it counts.
                    Some(no) if kind == Kind::Subscribe => PeerNo(u32::from_be_bytes(no)),
                    _ if lid.is_own() => crate::tables::HERE,
                    _ => peers.number(peers.origin_of(lid)?.domain())?,
                };
                let said = by_peer.entry(peer).or_default();
                said.count += 1;
                if kind == Kind::Vote {
                    let choices = Reference::get(read, lid)?.and_then(|vote| vote.choices);
                    choices.iter().flat_map(|choices| choices.places()).for_each(|place| said.votes[place] += 1);
                }
            }
        }
        seen += rows.len();
        match rows.last() {
            Some((last, _)) if rows.len() == ROWS && seen < COUNTED_MAX => range = range.after(last),
            Some(_) if rows.len() == ROWS => return Ok(None),
            _ => return Ok(Some(by_peer)),
        }
    }
}

/// The place of a statement that a row of a list stands for, if it counts.
fn listed(read: &dyn Read, kind: Kind, (key, row): (&[u8], &[u8])) -> Result<Option<Lid>> {
    let lid = |bytes: &[u8], at: usize| crate::tables::codec::key_u64(bytes, at, "object").map(Lid);
    Ok(match kind {
        Kind::Post => (row == [Kind::Post as u8]).then(|| lid(key, 16)).transpose()?,
        // A thread keeps the places of comments that were withdrawn.
        Kind::Comment => {
            let lid = lid(key, 17)?;
            Reference::get(read, lid)?.filter(|reference| reference.standing == Standing::Live).map(|_| lid)
        }
        _ => Some(lid(row, 0)?),
    })
}
