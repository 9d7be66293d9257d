//! Making deliveries: records, proofs and checkpoint, for leaves of the home log and for what lies in other logs and is answered for here.

use crate::error::{NodeError, Result};
use crate::log::{Head, Part};
use crate::outbox::{IN_FLIGHT, Outbox, remote};
use crate::peers::{Peer, Peers};
use crate::queue;
use crate::tables::carried::{self, Archive};
use crate::tables::payload::Payload;
use crate::tables::{Lid, PeerNo};
use mesh_proto::address::Domain;
use mesh_proto::api::{Delivery, DeliveryItem, Growth, Pull, Pulled, code};
use mesh_proto::limits::{BATCH_RECORDS_MAX, DELIVERY_BYTES_MAX};
use mesh_store::{Batch, Read};
use std::sync::{Arc, PoisonError};

/// Leaves for one delivery, with what was left out because its payload is gone.
pub(crate) struct Chunk {
    pub(crate) indexes: Vec<u64>,
    pub(crate) delivery: Option<Delivery>,
}

impl Outbox {
    /// The records from a leaf on that concern a domain, as it asks for them itself. What it says that it has need not be sent any more.
    pub fn page(&self, peer: &Peer, pull: &Pull) -> Result<Pulled> {
        if pull.origin != *self.log.origin() {
            return Err(NodeError::refused(code::NOT_HOME, "this is not the present log: see the discovery document"));
        }
        // Leaves are numbered here across this domain's logs, and by each log for others.
        let base = self.log.base();
        let (size, watermark) = (self.log.size(), base + pull.watermark.min(self.log.size()));
        if watermark > queue::cursor(&*self.kv, peer.no())? {
            let mut batch = Batch::new();
            queue::put_cursor(&mut batch, peer.no(), watermark);
            self.kv.commit(batch).wait()?;
        }
        let leaves = queue::leaves(&*self.kv, peer.no(), base.saturating_add(pull.from), BATCH_RECORDS_MAX + 1)?;
        if leaves.is_empty() {
            return Ok(Pulled { delivery: None, next: size.max(pull.from), more: false });
        }
        let head = self.log.head();
        let growth = pull.checkpoint.map(|size| self.log.prove_growth(&head, size)).transpose()?.flatten();
        let chunk = self.chunk(&leaves[..leaves.len().min(BATCH_RECORDS_MAX)], (&head, growth), Some(base + pull.from))?;
        let next = chunk.indexes.last().map_or(pull.from, |last| last + 1 - base);
        Ok(Pulled { delivery: chunk.delivery, next, more: chunk.indexes.len() < leaves.len() })
    }

    /// Makes deliveries of leaves, in their order, as many as may be under way at once.
    /// All under one checkpoint, so that the order in which they arrive does not matter.
    pub(crate) async fn chunks(self: &Arc<Self>, to: PeerNo, indexes: Vec<u64>, mut since: Option<u64>) -> Result<Vec<Chunk>> {
        let this = Arc::clone(self);
        let made = tokio::task::spawn_blocking(move || {
            let head = this.log.head();
            let shown = this.shown.lock().unwrap_or_else(PoisonError::into_inner).get(&to).copied();
            let growth = shown.map(|size| this.log.prove_growth(&head, size)).transpose()?.flatten();
            let mut chunks = Vec::new();
            let mut rest = indexes.as_slice();
            while !rest.is_empty() && chunks.len() < IN_FLIGHT {
                let some = &rest[..rest.len().min(BATCH_RECORDS_MAX)];
                let chunk = this.first_chunk(some, (&head, growth.clone()), since)?;
                rest = &rest[chunk.indexes.len()..];
                if chunk.delivery.is_some() {
                    since = since.and(chunk.indexes.last().map(|last| last + 1));
                }
                chunks.push(chunk);
            }
            Ok(chunks)
        });
        made.await.map_err(|_| NodeError::Stopping)?
    }

    /// Makes a delivery of the first of some records that lie in one log, whichever that is.
    pub(crate) fn first_chunk(&self, numbers: &[u64], present: (&Head, Option<Growth>), since: Option<u64>) -> Result<Chunk> {
        let own = numbers.partition_point(|number| Lid(*number).is_own());
        let past = numbers.partition_point(|number| *number < self.log.base());
        match (past, own) {
            (0, 0) => carried_chunk(&*self.kv, &self.peers, numbers),
            (1.., _) => self.past_chunk(&numbers[..past]),
            _ => self.chunk(&numbers[..own], present, since),
        }
    }

    /// Makes a delivery of leaves of a log that this domain had before.
    fn past_chunk(&self, leaves: &[u64]) -> Result<Chunk> {
        let part = leaves.first().map(|first| self.log.part(*first)).ok_or(NodeError::NotFound("leaf"))?;
        let end = leaves.partition_point(|leaf| *leaf < part.base + part.head.size);
        self.chunk_of(&part, &leaves[..end], (None, None))
    }

    /// Makes a delivery of the first leaves of the present log that fit into one.
    pub(crate) fn chunk(&self, indexes: &[u64], (head, growth): (&Head, Option<Growth>), since: Option<u64>) -> Result<Chunk> {
        let part = Part { origin: self.log.origin().clone(), base: self.log.base(), head: head.clone() };
        self.chunk_of(&part, indexes, (growth, since))
    }

    fn chunk_of(&self, part: &Part, indexes: &[u64], (growth, since): (Option<Growth>, Option<u64>)) -> Result<Chunk> {
        let mut items = Vec::new();
        let mut bytes = 0;
        let mut taken = 0;
        for index in indexes {
            if let Some(mut item) = item(&*self.kv, Lid(*index))? {
                item.index -= part.base;
                bytes += item_bytes(&item);
                if bytes > DELIVERY_BYTES_MAX && !items.is_empty() {
                    break;
                }
                items.push(item);
            }
            taken += 1;
        }
        let indexes_taken = indexes[..taken].to_vec();
        if items.is_empty() {
            return Ok(Chunk { indexes: indexes_taken, delivery: None });
        }
        let proven: Vec<u64> = items.iter().map(|item| item.index + part.base).collect();
        let (proof, since) = (self.log.prove_part(part, &proven)?, since.map(|since| since.saturating_sub(part.base)));
        let (origin, checkpoint) = (part.origin.clone(), part.head.note.to_string());
        let delivery = Delivery { origin, checkpoint, proof, growth, since, items, keys: Vec::new() };
        Ok(Chunk { indexes: indexes_taken, delivery: Some(delivery) })
    }

    /// The same delivery under the present checkpoint, with the proof that the log grew from the one that the destination knows.
    pub(crate) async fn shown_to_grow(self: &Arc<Self>, domain: &Domain, delivery: Delivery, known: u64) -> Result<Delivery> {
        let this = Arc::clone(self);
        let made = tokio::task::spawn_blocking(move || {
            let indexes: Vec<u64> = delivery.items.iter().map(|item| item.index).collect();
            let head = this.log.head();
            let growth = this.log.prove_growth(&head, known)?;
            let proof = this.log.prove(&head, &indexes)?;
            Ok::<_, NodeError>(Delivery { checkpoint: head.note.to_string(), proof, growth, ..delivery })
        });
        let made = made.await.map_err(|_| NodeError::Stopping)??;
        if made.growth.is_none() {
            let detail = format!(
                "it knows {known} leaves of our log, which has fewer: after a restore from a backup, begin a new log with `meshd new-log`"
            );
            return Err(remote(domain, detail));
        }
        Ok(made)
    }
}

/// A record as it is delivered, if its payload is here.
pub(crate) fn item(read: &dyn Read, lid: Lid) -> Result<Option<DeliveryItem>> {
    let Some(payload) = Payload::get(read, lid)? else { return Ok(None) };
    let (index, salt, received) = (lid.index(), payload.salt, payload.received);
    Ok(payload.envelope.map(|envelope| DeliveryItem { index, salt, received, envelope }))
}

/// What a record takes in a delivery.
pub(crate) fn item_bytes(item: &DeliveryItem) -> usize {
    item.envelope.body().len() * 4 / 3 + 256
}

/// Makes a delivery of the first records that lie in one other log and are proven together. Their leaves are proven as they were when they came here.
pub(crate) fn carried_chunk(read: &dyn Read, peers: &Peers, numbers: &[u64]) -> Result<Chunk> {
    let Some(first) = numbers.first().copied().map(Lid) else { return Ok(Chunk { indexes: Vec::new(), delivery: None }) };
    let Some((sequence, archive)) = Archive::of(read, first)? else {
        return Ok(Chunk { indexes: vec![first.0], delivery: None });
    };
    let mut indexes = Vec::new();
    let mut items = Vec::new();
    let mut bytes = 0;
    for lid in numbers.iter().copied().map(Lid) {
        let together = lid == first || (lid.origin() == first.origin() && carried::sequence(read, lid)? == Some(sequence));
        let found = if together { item(read, lid)? } else { break };
        if let Some(item) = found {
            bytes += item_bytes(&item);
            if bytes > DELIVERY_BYTES_MAX && !items.is_empty() {
                break;
            }
            items.push(item);
        }
        indexes.push(lid.0);
    }
    if items.is_empty() {
        return Ok(Chunk { indexes, delivery: None });
    }
    let origin = peers.origin_of(first)?;
    let proven: Vec<u64> = items.iter().map(|item| item.index).collect();
    let proof = archive.prove(&origin, &proven)?;
    let delivery = Delivery { origin, checkpoint: archive.checkpoint, proof, growth: None, since: None, items, keys: Vec::new() };
    Ok(Chunk { indexes, delivery: Some(delivery) })
}

/// The number of leaves that a note says, which nobody has verified.
pub(crate) fn checkpoint_size(note: &str) -> Option<u64> {
    note.lines().nth(1).and_then(|size| size.parse().ok())
}
