//! Making deliveries: records, proofs and checkpoint for leaves of the home log.

use crate::error::{NodeError, Result};
use crate::log::Head;
use crate::outbox::{IN_FLIGHT, Outbox, remote};
use crate::peers::Peer;
use crate::queue;
use crate::tables::PeerNo;
use crate::tables::payload::Payload;
use mesh_proto::address::Domain;
use mesh_proto::api::{Delivery, DeliveryItem, Growth, Pull, Pulled, code};
use mesh_proto::limits::{BATCH_RECORDS_MAX, DELIVERY_BYTES_MAX};
use mesh_store::Batch;
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
        let (size, watermark) = (self.log.size(), pull.watermark.min(self.log.size()));
        if watermark > queue::cursor(&*self.kv, peer.no())? {
            let mut batch = Batch::new();
            queue::put_cursor(&mut batch, peer.no(), watermark);
            self.kv.commit(batch).wait()?;
        }
        let leaves = queue::leaves(&*self.kv, peer.no(), pull.from, BATCH_RECORDS_MAX + 1)?;
        if leaves.is_empty() {
            return Ok(Pulled { delivery: None, next: size.max(pull.from), more: false });
        }
        let head = self.log.head();
        let growth = pull.checkpoint.map(|size| self.log.prove_growth(&head, size)).transpose()?.flatten();
        let chunk = self.chunk(&leaves[..leaves.len().min(BATCH_RECORDS_MAX)], (&head, growth), Some(pull.from))?;
        let next = chunk.indexes.last().map_or(pull.from, |last| last + 1);
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
                let chunk = this.chunk(&rest[..rest.len().min(BATCH_RECORDS_MAX)], (&head, growth.clone()), since)?;
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

    /// Makes a delivery of the first leaves that fit into one.
    pub(crate) fn chunk(&self, indexes: &[u64], (head, growth): (&Head, Option<Growth>), since: Option<u64>) -> Result<Chunk> {
        let mut items = Vec::new();
        let mut bytes = 0;
        let mut taken = 0;
        for index in indexes {
            if let Some(payload) = Payload::get(&*self.kv, *index)?
                && let Some(envelope) = payload.envelope
            {
                bytes += envelope.body().len() * 4 / 3 + 256;
                if bytes > DELIVERY_BYTES_MAX && !items.is_empty() {
                    break;
                }
                items.push(DeliveryItem { index: *index, salt: payload.salt, received: payload.received, envelope });
            }
            taken += 1;
        }
        let indexes_taken = indexes[..taken].to_vec();
        if items.is_empty() {
            return Ok(Chunk { indexes: indexes_taken, delivery: None });
        }
        let proven: Vec<u64> = items.iter().map(|item| item.index).collect();
        let proof = self.log.prove(head, &proven)?;
        let origin = self.log.origin().clone();
        let delivery = Delivery { origin, checkpoint: head.note.to_string(), proof, growth, since, items, keys: Vec::new() };
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
            let detail =
                format!("it knows {known} leaves of our log, which has fewer: after a restore from a backup, a new log must be opened");
            return Err(remote(domain, detail));
        }
        Ok(made)
    }
}

/// The number of leaves that a note says, which nobody has verified.
pub(crate) fn checkpoint_size(note: &str) -> Option<u64> {
    note.lines().nth(1).and_then(|size| size.parse().ok())
}
