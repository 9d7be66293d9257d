//! Exports: what an account said, with its proof, for its own devices to take along; and the proof of one record.

use crate::accounts::Account;
use crate::error::{NodeError, Result};
use crate::log::Head;
use crate::outbox::Outbox;
use crate::packing::Chunk;
use crate::queue;
use crate::tables::carried::{self, Archive};
use crate::tables::codec::key_u64;
use crate::tables::payload::Payload;
use crate::tables::reference::Reference;
use crate::tables::{Lid, object_key};
use mesh_proto::address::Domain;
use mesh_proto::api::{ExportPage, LoggedRecord, RecordProof};
use mesh_proto::envelope::Kind;
use mesh_proto::limits::BATCH_RECORDS_MAX;
use mesh_store::{KeyRange, Order, Space};
use std::collections::BTreeSet;

/// Payloads looked at for one page.
const SCANNED_MAX: usize = 4_096;
/// Statements about one exported record that are looked at for the domains from which they came.
const STATEMENTS_MAX: usize = 1_000;

impl Outbox {
    /// Some of an account's records from a place on, all of one log. Reports are told to those who are asked to act, and to their author.
    pub fn export(&self, account: &Account, from: u64) -> Result<ExportPage> {
        let rows = self.kv.scan(Space::Payload, &KeyRange::starting_at(Lid(from).key()), Order::Forward, SCANNED_MAX)?;
        let mut lids: Vec<u64> = Vec::new();
        let mut next = from;
        let mut more = rows.len() == SCANNED_MAX;
        for (key, row) in &rows {
            let lid = Lid(key_u64(key, 0, "payload")?);
            let full = lids.len() == BATCH_RECORDS_MAX || lids.first().is_some_and(|first| Lid(*first).origin() != lid.origin());
            if full {
                more = true;
                break;
            }
            next = lid.0 + 1;
            if Payload::owner(row)?.is_some_and(|(kind, owner)| owner == account.lid && !matches!(kind, Kind::Key | Kind::Name)) {
                lids.push(lid.0);
            }
        }
        let chunk = match lids.is_empty() {
            true => Chunk { indexes: Vec::new(), delivery: None },
            false => self.first_chunk(&lids, (&self.head_over(&lids), None), None)?,
        };
        if let Some(last) = chunk.indexes.last().filter(|_| chunk.indexes.len() < lids.len()) {
            (next, more) = (last + 1, true);
        }
        let mut domains = BTreeSet::new();
        for lid in &chunk.indexes {
            self.company(Lid(*lid), &mut domains)?;
        }
        if from == 0 {
            let subscribers = queue::subscribing_peers(&*self.kv, account.lid)?;
            domains.extend(subscribers.into_iter().filter_map(|no| self.peers.by_no(no)).map(|peer| peer.domain().clone()));
        }
        domains.remove(self.peers.own_domain());
        Ok(ExportPage { part: chunk.delivery, next, more, domains: domains.into_iter().collect() })
    }

    /// The checkpoint under which own leaves are proven: one that others have seen says more than a newer one that nobody has.
    fn head_over(&self, lids: &[u64]) -> Head {
        let last = lids.last().copied().unwrap_or(0).saturating_sub(self.log.base());
        self.log.witnessed().filter(|head| head.size > last).unwrap_or_else(|| self.log.head())
    }

    /// The domains from which something was said about a record.
    fn company(&self, lid: Lid, domains: &mut BTreeSet<Domain>) -> Result<()> {
        for kind in [Kind::Comment, Kind::Like, Kind::Repost, Kind::Vote] {
            let prefix = object_key(lid.into(), kind);
            for (key, row) in self.kv.scan(Space::Object, &KeyRange::prefix(prefix), Order::Forward, STATEMENTS_MAX)? {
                let statement = Lid(if kind == Kind::Comment { key_u64(&key, 17, "object")? } else { key_u64(&row, 0, "object")? });
                if !statement.is_own() {
                    domains.insert(self.peers.origin_of(statement)?.domain().clone());
                }
            }
        }
        Ok(())
    }

    /// A record that this domain answers for, with the proof of its leaf.
    pub fn prove(&self, record: LoggedRecord) -> Result<RecordProof> {
        let index = record.leaf.index;
        if record.leaf.origin.domain() == self.peers.own_domain() {
            let mut part = self.log.numbered(record.leaf.origin.number()).ok_or(NodeError::NotFound("log"))?;
            let leaf = part.base + index;
            if part.origin == *self.log.origin() {
                part.head = self.head_over(&[leaf]);
            }
            let proof = self.log.prove_part(&part, &[leaf])?;
            return Ok(RecordProof { record, checkpoint: part.head.note.to_string(), proof });
        }
        let missing = NodeError::NotFound("proof");
        let found = Reference::find(&*self.kv, &record.envelope.id())?;
        let (lid, _) = found.ok_or(missing.clone())?;
        if !carried::is_carried(&*self.kv, lid)? {
            return Err(missing);
        }
        let (_, archive) = Archive::of(&*self.kv, lid)?.ok_or(missing)?;
        let proof = archive.prove(&record.leaf.origin, &[index])?;
        Ok(RecordProof { record, checkpoint: archive.checkpoint, proof })
    }
}
