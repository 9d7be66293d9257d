//! The frame of a delivery: which log its records lie in, under which checkpoint, with what proof. The same for what is pushed, pulled and imported.

use crate::error::{NodeError, Result};
use crate::tables::carried::Archive;
use mesh_proto::api::{Delivery, DeliveryItem, code};
use mesh_proto::bytes::Hash;
use mesh_proto::envelope::{RecordId, id_of_pae};
use mesh_proto::key::{AccountId, Verifier};
use mesh_proto::limits::{BATCH_RECORDS_MAX, LEAF_INDEX_MAX};
use mesh_proto::log::{Checkpoint, Opening, entry_hash, verify};
use mesh_proto::record::{Record, RecordError};

/// A delivered record with what was computed of it.
pub(crate) struct Opened<'a> {
    pub(crate) item: &'a DeliveryItem,
    pub(crate) id: RecordId,
    pub(crate) pae: Vec<u8>,
    pub(crate) record: std::result::Result<Box<Record>, RecordError>,
}

/// A delivery whose proof holds.
pub(crate) struct Frame<'a> {
    pub(crate) checkpoint: Checkpoint,
    /// Whether the checkpoint is signed by a key that is known to be its log's.
    pub(crate) is_signed: bool,
    pub(crate) opened: Vec<Opened<'a>>,
    /// What the leaves say: index and entry.
    leaves: Vec<(u64, Hash)>,
}

impl<'a> Frame<'a> {
    /// Checks size and order, the checkpoint, and one proof for all leaves. `key` signs the log's checkpoints; without one nobody says whose log it is.
    pub(crate) fn open(delivery: &'a Delivery, key: Option<&Verifier>) -> Result<Self> {
        let items = &delivery.items;
        if items.is_empty() || items.len() > BATCH_RECORDS_MAX || delivery.keys.len() > BATCH_RECORDS_MAX {
            return Err(NodeError::refused(code::TOO_LARGE, format!("a delivery has 1 to {BATCH_RECORDS_MAX} records")));
        }
        if items.last().is_some_and(|item| item.index > LEAF_INDEX_MAX) {
            return Err(NodeError::refused(code::TOO_LARGE, "a leaf index is beyond 2^40 - 1"));
        }
        let checkpoint = match key {
            Some(key) => Checkpoint::open(&delivery.checkpoint, &delivery.origin, key),
            None => Checkpoint::unverified(&delivery.checkpoint, &delivery.origin),
        };
        let not_logged = |words: String| NodeError::refused(code::NOT_LOGGED, words);
        let checkpoint = checkpoint.map_err(|error| not_logged(error.to_string()))?;
        let mut opened = Vec::with_capacity(items.len());
        let mut leaves = Vec::with_capacity(items.len());
        for item in items {
            let pae = item.envelope.pae();
            let id = id_of_pae(&pae);
            let record = Record::open(&item.envelope).map(Box::new);
            let account = match &record {
                Ok(record) => record.head.actor,
                Err(_) => actor_of(item)?,
            };
            let opening = Opening { salt: item.salt, record: id, account, kind: item.envelope.kind(), received: item.received };
            leaves.push((item.index, opening.entry()));
            opened.push(Opened { item, id, pae, record });
        }
        let hashes: Vec<(u64, Hash)> = leaves.iter().map(|(index, entry)| (*index, entry_hash(entry))).collect();
        verify(checkpoint.size, &checkpoint.root, &hashes, &delivery.proof).map_err(|error| not_logged(error.to_string()))?;
        Ok(Self { checkpoint, is_signed: key.is_some(), opened, leaves })
    }

    /// What proves the leaves, to be kept.
    pub(crate) fn archive(&self, delivery: &Delivery) -> Archive {
        Archive { checkpoint: delivery.checkpoint.clone(), proof: delivery.proof.clone(), leaves: self.leaves.clone() }
    }
}

/// The actor that a body names, before anything else of it is believed.
fn actor_of(item: &DeliveryItem) -> Result<AccountId> {
    #[derive(serde::Deserialize)]
    struct Actor {
        actor: AccountId,
    }
    let malformed = |_| NodeError::refused(code::MALFORMED, format!("the body of leaf {} names no actor", item.index));
    serde_json::from_slice::<Actor>(item.envelope.body()).map(|body| body.actor).map_err(malformed)
}
