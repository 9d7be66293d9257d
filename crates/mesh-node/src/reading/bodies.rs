//! Bodies of foreign records: a byte-bounded, evictable cache in the store, and the fetching of what it lacks.
//!
//! Authority over a body stays at its actor's home; everything here may be lost. Bodies lie in the order in which they came, so that what is written
//! once is never merged with what came later, and the oldest go first. A withdrawn body goes at once.

use crate::accounts::Accounts;
use crate::error::Result;
use crate::index::Statement;
use crate::peers::Peers;
use crate::tables::Lid;
use crate::tables::codec::{Reader, damaged, key_u64};
use crate::tables::reference::{Reference, Standing};
use bytes::Bytes;
use futures_util::future::join_all;
use mesh_proto::address::Domain;
use mesh_proto::api::{DeliveryItem, Found, LoggedRecord, RecordsBatch, RecordsBatchAnswer};
use mesh_proto::bytes::{Salt, Signature};
use mesh_proto::envelope::{Envelope, Kind, RecordId, id_of_pae};
use mesh_proto::limits::{BATCH_RECORDS_MAX, LEAF_INDEX_MAX};
use mesh_proto::log::Opening;
use mesh_proto::port::Transport;
use mesh_proto::record::Record;
use mesh_store::{Batch, KeyRange, Kv, Order, Read, Space};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a page waits for other domains' bodies.
const FETCH_WAIT: Duration = Duration::from_millis(300);
/// The layout of the cache's rows: another one's are dropped.
const LAYOUT: &[u8] = b"3";
/// Rows dropped at once.
const DROP_MAX: usize = 10_000;
/// Bytes before the carried envelope: local id, size.
const HEAD_BYTES: usize = 12;

/// A body on its way into the cache.
pub(crate) struct Kept {
    lid: Lid,
    carried: Vec<u8>,
    /// Whether the cache may hold an older version.
    again: bool,
}

/// A body that is wanted: the first version's place and id, and the actor's home.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) lid: Lid,
    pub(crate) id: RecordId,
    pub(crate) home: Domain,
    /// Who is asked if the home does not answer.
    pub(crate) mirrors: Vec<Domain>,
}

/// The bodies service.
pub struct Bodies {
    kv: Arc<dyn Kv>,
    accounts: Arc<Accounts>,
    peers: Arc<Peers>,
    transport: Arc<dyn Transport>,
    bytes_max: u64,
    bytes: AtomicU64,
    next: Mutex<u64>,
}

impl Bodies {
    pub(crate) fn open(
        kv: Arc<dyn Kv>,
        (accounts, peers, transport): (Arc<Accounts>, Arc<Peers>, Arc<dyn Transport>),
        bytes_max: u64,
    ) -> Result<Arc<Self>> {
        check_layout(&*kv)?;
        let last = kv.scan(Space::Cache, &KeyRange::all(), Order::Backward, 1)?;
        let next = last.first().map_or(Ok(0), |(key, _)| key_u64(key, 0, "cache").map(|n| n + 1))?;
        let bytes = mesh_store::counter(&*kv, Space::Meta, b"cache_bytes")?.max(0) as u64;
        Ok(Arc::new(Self { kv, accounts, peers, transport, bytes_max, bytes: AtomicU64::new(bytes), next: Mutex::new(next) }))
    }

    /// Notes a delivered body worth keeping: those that people read.
    pub(crate) fn keep(&self, kept: &mut Vec<Kept>, lid: Lid, statement: &Statement<'_>, item: &DeliveryItem) -> Result<()> {
        // Bodies that people read, and of those the newest version.
        let read = matches!(statement.record.kind(), Kind::Post | Kind::Comment | Kind::Profile | Kind::Repost);
        if self.bytes_max == 0 || !read {
            return Ok(());
        }
        let mut first = lid;
        if let Some(revised) = statement.record.content.revises() {
            first = Reference::find(&*self.kv, revised)?.map_or(lid, |(first, _)| first);
            let cached = row(&*self.kv, first)?.and_then(|(_, row)| key_u64(&row, HEAD_BYTES, "cache").ok()).map(Lid);
            if cached.is_some_and(|cached| cached.origin() == lid.origin() && cached > lid) {
                return Ok(());
            }
        }
        let carried = encode(lid, (item.salt, item.received), &item.envelope);
        kept.push(Kept { lid: first, carried, again: first != lid });
        Ok(())
    }

    /// Puts bodies into a batch, in the place of older versions, and evicts the oldest if there are too many.
    pub(crate) fn put(&self, batch: &mut Batch, kept: &[Kept]) -> Result<()> {
        if kept.is_empty() || self.bytes_max == 0 {
            return Ok(());
        }
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let mut added = 0i64;
        for Kept { lid, carried, again } in kept {
            if *again {
                erase(batch, &*self.kv, *lid)?;
            }
            let size = (HEAD_BYTES + carried.len()) as u32;
            batch.put(Space::Cache, next.to_be_bytes(), [&lid.key()[..], &size.to_be_bytes(), carried].concat());
            batch.put(Space::CachePlace, lid.key(), next.to_be_bytes());
            added += i64::from(size);
            *next += 1;
        }
        let mut bytes = self.bytes.load(Ordering::Relaxed).saturating_add_signed(added);
        if bytes > self.bytes_max {
            let freed = self.evict(batch, bytes - self.bytes_max, 2 * kept.len())?;
            bytes = bytes.saturating_sub(freed);
            added -= freed as i64;
        }
        batch.add(Space::Meta, "cache_bytes", added);
        self.bytes.store(bytes, Ordering::Relaxed);
        Ok(())
    }

    fn evict(&self, batch: &mut Batch, excess: u64, limit: usize) -> Result<u64> {
        let mut freed = 0;
        for (place, row) in self.kv.scan(Space::Cache, &KeyRange::all(), Order::Forward, limit)? {
            if freed >= excess {
                break;
            }
            let mut reader = Reader::new(&row, "cache");
            let lid = reader.array::<8>()?;
            freed += u64::from(u32::from_be_bytes(reader.array()?));
            if self.kv.get(Space::CachePlace, &lid)?.is_some_and(|known| known == place) {
                batch.delete(Space::CachePlace, lid);
            }
            batch.delete(Space::Cache, place);
        }
        Ok(freed)
    }

    /// The cached current version of a foreign record.
    pub(crate) fn cached(&self, lid: Lid) -> Result<Option<LoggedRecord>> {
        let Some((_, row)) = row(&*self.kv, lid)? else { return Ok(None) };
        decode(&row[HEAD_BYTES..], &self.peers).map(Some)
    }

    /// Fetches bodies from their homes, all homes side by side, within the time that a page waits. What does not come in time is left out.
    pub(crate) async fn fetch(self: &Arc<Self>, wanted: Vec<Wanted>) -> BTreeMap<Lid, LoggedRecord> {
        let mut found = self.fetch_once(wanted.clone()).await;
        let missing = wanted.into_iter().filter(|one| !found.contains_key(&one.lid) && !one.mirrors.is_empty());
        let elsewhere: Vec<Wanted> = missing.map(|one| Wanted { home: one.mirrors[0].clone(), ..one }).collect();
        if !elsewhere.is_empty() {
            found.extend(self.fetch_once(elsewhere).await);
        }
        found
    }

    async fn fetch_once(self: &Arc<Self>, wanted: Vec<Wanted>) -> BTreeMap<Lid, LoggedRecord> {
        let mut by_home: BTreeMap<Domain, Vec<Wanted>> = BTreeMap::new();
        for one in wanted {
            by_home.entry(one.home.clone()).or_default().push(one);
        }
        let fetches = by_home.into_iter().map(|(home, wanted)| async move {
            let fetched = tokio::time::timeout(FETCH_WAIT, self.fetch_from(&home, &wanted)).await;
            fetched.ok().and_then(|found| {
                found.inspect_err(|error| tracing::debug!(peer.domain = %home, error.message = %error, "bodies.fetch_failed")).ok()
            })
        });
        let found: Vec<_> = join_all(fetches).await.into_iter().flatten().flatten().collect();
        let this = Arc::clone(self);
        let kept = tokio::task::spawn_blocking(move || this.keep_fetched(found)).await;
        kept.unwrap_or_default()
    }

    async fn fetch_from(&self, home: &Domain, wanted: &[Wanted]) -> Result<Vec<(Wanted, LoggedRecord)>> {
        let mut found = Vec::new();
        for wanted in wanted.chunks(BATCH_RECORDS_MAX) {
            let request = RecordsBatch { ids: wanted.iter().map(|one| one.id).collect() };
            let body = serde_json::to_vec(&request).expect("API types have only plain fields");
            let remote = |detail: String| crate::error::NodeError::Remote { domain: home.to_string(), detail };
            let answer = self.transport.post(home, "/mesh/v1/records:batch", body).await.map_err(|error| remote(error.to_string()))?;
            let answer: RecordsBatchAnswer = serde_json::from_slice(&answer.body).map_err(|error| remote(error.to_string()))?;
            for (one, record) in wanted.iter().zip(answer.records) {
                if let Found::Record(record) = record {
                    found.push((one.clone(), *record));
                }
            }
        }
        Ok(found)
    }

    fn keep_fetched(self: &Arc<Self>, found: Vec<(Wanted, LoggedRecord)>) -> BTreeMap<Lid, LoggedRecord> {
        let mut good = BTreeMap::new();
        let mut kept = Vec::new();
        for (wanted, record) in found {
            match self.verify(&wanted, &record) {
                Ok(true) => {
                    let Some(origin) = self.peers.origin_known(&record.leaf.origin) else { continue };
                    let version = Lid::new(origin, record.leaf.index + self.peers.base_of(&record.leaf.origin));
                    let carried = encode(version, (record.opening.salt, record.opening.received), &record.envelope);
                    kept.push(Kept { lid: wanted.lid, carried, again: true });
                    good.insert(wanted.lid, record);
                }
                Ok(false) => tracing::warn!(peer.domain = %wanted.home, record.id = %wanted.id, "bodies.forged"),
                Err(error) => tracing::warn!(peer.domain = %wanted.home, error.message = %error, "bodies.unverifiable"),
            }
        }
        // Nobody waits for it.
        let this = Arc::clone(self);
        drop(tokio::task::spawn_blocking(move || {
            this.write_fetched(&kept).inspect_err(|error| tracing::warn!(error.message = %error, "bodies.not_kept"))
        }));
        good
    }

    /// Stores fetched bodies, and takes away what was withdrawn meanwhile: its withdrawal did not see them.
    fn write_fetched(&self, kept: &[Kept]) -> Result<()> {
        let mut batch = Batch::new();
        self.put(&mut batch, kept)?;
        self.kv.commit(batch).wait()?;
        let mut batch = Batch::new();
        for Kept { lid, .. } in kept {
            if Reference::get(&*self.kv, *lid)?.is_some_and(|reference| reference.standing == Standing::Retracted) {
                erase(&mut batch, &*self.kv, *lid)?;
            }
        }
        self.kv.commit(batch).wait()?;
        Ok(())
    }

    /// Whether a fetched record is what was asked for: that record or an edit of it, by the same actor, rightly signed.
    fn verify(&self, wanted: &Wanted, found: &LoggedRecord) -> Result<bool> {
        let pae = found.envelope.pae();
        let id = id_of_pae(&pae);
        let Ok(record) = Record::open(&found.envelope) else { return Ok(false) };
        let asked_for = id == wanted.id || record.content.revises() == Some(&wanted.id);
        let Some(reference) = Reference::get(&*self.kv, wanted.lid)? else { return Ok(false) };
        let actor = self.accounts.by_lid(reference.actor)?;
        let placed = match found.leaf.origin == self.peers.origin_of(wanted.lid)? {
            true => found.leaf.index >= wanted.lid.index() && found.leaf.index <= LEAF_INDEX_MAX,
            // Its author moved, and changed it at the new home.
            false => id != wanted.id && found.leaf.origin.domain() == actor.home() && found.leaf.index <= LEAF_INDEX_MAX,
        };
        if reference.standing != Standing::Live || !placed {
            return Ok(false);
        }
        let opened = found.opening.record == id && found.opening.account == actor.id() && found.opening.kind == found.envelope.kind();
        if !asked_for || !opened || record.head.actor != actor.id() || record.kind() != reference.kind {
            return Ok(false);
        }
        // Where the first version lies was proven when it came. What is said of an edit is believed of a live device.
        let known = Reference::find(&*self.kv, &id)?.filter(|(lid, _)| self.peers.position(*lid).is_ok_and(|place| place == found.leaf));
        let leaf = known.map(|_| &found.leaf);
        let verifier = actor.log.check_use(&record.head.device, &record.head.keys, leaf);
        Ok(verifier.is_ok_and(|key| key.verify(&pae, found.envelope.signature()).is_ok()))
    }
}

/// Where a body lies, and its row.
fn row(read: &dyn Read, lid: Lid) -> Result<Option<(Bytes, Bytes)>> {
    let Some(place) = read.get(Space::CachePlace, &lid.key())? else { return Ok(None) };
    let row = read.get(Space::Cache, &place)?.filter(|row| row.len() > HEAD_BYTES);
    Ok(row.map(|row| (place, row)))
}

/// Takes a cached body away. What is left of its row counts until its turn to be evicted comes.
pub(crate) fn erase(batch: &mut Batch, read: &dyn Read, lid: Lid) -> Result<()> {
    if let Some((place, row)) = row(read, lid)? {
        batch.put(Space::Cache, place, &row[..HEAD_BYTES]);
        batch.delete(Space::CachePlace, lid.key());
    }
    Ok(())
}

/// Empties a cache whose rows another version wrote in its own way.
fn check_layout(kv: &dyn Kv) -> Result<()> {
    if kv.get(Space::Meta, b"cache_layout")?.is_some_and(|layout| layout == LAYOUT) {
        return Ok(());
    }
    for space in [Space::Cache, Space::CacheOrder, Space::CachePlace] {
        loop {
            let rows = kv.scan(space, &KeyRange::all(), Order::Forward, DROP_MAX)?;
            let mut batch = Batch::new();
            for (key, _) in &rows {
                batch.delete(space, key);
            }
            kv.commit(batch).wait()?;
            if rows.len() < DROP_MAX {
                break;
            }
        }
    }
    let mut batch = Batch::new();
    batch.delete(Space::Meta, "cache_bytes").put(Space::Meta, "cache_layout", LAYOUT);
    kv.commit(batch).wait()?;
    Ok(())
}

/// `version's local id (8) ‖ kind (1) ‖ salt (16) ‖ received (8) ‖ signature (64) ‖ body`.
fn encode(version: Lid, (salt, received): (Salt, u64), envelope: &Envelope) -> Vec<u8> {
    let mut row = Vec::with_capacity(envelope.body().len() + 97);
    row.extend_from_slice(&version.key());
    row.push(envelope.kind() as u8);
    row.extend_from_slice(&salt.0);
    row.extend_from_slice(&received.to_be_bytes());
    row.extend_from_slice(&envelope.signature().0);
    row.extend_from_slice(envelope.body());
    row
}

fn decode(row: &[u8], peers: &Peers) -> Result<LoggedRecord> {
    let mut reader = Reader::new(row, "cache");
    let version = Lid(reader.u64()?);
    let leaf = peers.position(version)?;
    let kind = Kind::from_number(reader.byte()?).ok_or_else(|| damaged("cache"))?;
    let salt = Salt(reader.array()?);
    let received = reader.u64()?;
    let signature = Signature(reader.array()?);
    let envelope = Envelope::new(kind, reader.rest().to_vec(), signature).map_err(|_| damaged("cache"))?;
    let account = actor(&envelope)?;
    let opening = Opening { salt, record: envelope.id(), account, kind, received };
    Ok(LoggedRecord { envelope, leaf, opening })
}

fn actor(envelope: &Envelope) -> Result<mesh_proto::key::AccountId> {
    #[derive(serde::Deserialize)]
    struct Head {
        actor: mesh_proto::key::AccountId,
    }
    Ok(serde_json::from_slice::<Head>(envelope.body()).map_err(|_| damaged("cache"))?.actor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_store::MemoryStore;

    #[test]
    fn cache_of_an_earlier_layout_is_emptied_once() {
        let kv = MemoryStore::new();
        let mut batch = Batch::new();
        batch.put(Space::Cache, Lid(1 << 40).key(), "an old row").put(Space::CacheOrder, 0u64.to_be_bytes(), "another");
        batch.add(Space::Meta, "cache_bytes", 10);
        kv.commit(batch).wait().expect("commits");
        let rows = |space| kv.scan(space, &KeyRange::all(), Order::Forward, 10).expect("reads").len();
        check_layout(&kv).expect("empties");
        assert_eq!((rows(Space::Cache), rows(Space::CacheOrder)), (0, 0));
        assert_eq!(mesh_store::counter(&kv, Space::Meta, b"cache_bytes").expect("reads"), 0);
        let mut batch = Batch::new();
        batch.put(Space::Cache, 0u64.to_be_bytes(), "a new row");
        kv.commit(batch).wait().expect("commits");
        check_layout(&kv).expect("leaves it");
        assert_eq!(rows(Space::Cache), 1);
    }
}
