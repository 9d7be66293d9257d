//! What becomes of verified records: each is judged after those before it, and stored with what follows from it.

use super::{Checked, Intake, Verified};
use crate::accounts::Account;
use crate::error::{NodeError, Result};
use crate::frame::Frame;
use crate::index::group::Group;
use crate::index::{Indexer, Statement, early_count_key, early_key, early_retract};
use crate::objects::Resolved;
use crate::peers::Peer;
use crate::queue;
use crate::tables::account::copied_key;
use crate::tables::payload::Payload;
use crate::tables::reference::{Reference, TombstoneRow};
use crate::tables::{AccountLid, HERE, Lid, ObjectLid, OriginNo, carried, report, subscribers_key};
use mesh_proto::api::{Delivery, ItemResult, code};
use mesh_proto::envelope::{Kind, RecordId};
use mesh_proto::limits::MIRROR_BYTES_MAX;
use mesh_proto::record::{Content, Record};
use mesh_store::Space;
use std::sync::atomic::Ordering;

/// Retracts of records that are not here yet, kept for one log at most.
const EARLY_RETRACTS_MAX: i64 = 10_000;

/// What is about to be stored.
#[derive(Default)]
pub(super) struct Writing {
    pub(super) group: Group,
    bodies: Vec<crate::bodies::Kept>,
    /// Whether the statement that was just judged is to be kept whole.
    copy: bool,
    /// The row that proves the delivery's leaves, once there is one.
    archive: Option<u64>,
}

impl Writing {
    /// What is there, to be stored now; the delivery's proof stays the same.
    fn take(&mut self) -> Self {
        let archive = self.archive;
        std::mem::replace(self, Self { archive, ..Self::default() })
    }
}

impl Intake {
    /// Judges what was verified, one after the other. Answers what is still to be stored.
    pub(super) fn index_all(
        &self,
        peer: &Peer,
        (delivery, frame): (&Delivery, &Frame<'_>),
        (origin, last_leaf): (OriginNo, &mut Option<u64>),
        checked: Vec<Checked<'_>>,
    ) -> Result<(Vec<ItemResult>, Writing)> {
        let mut results = Vec::with_capacity(checked.len());
        let mut writing = Writing::default();
        for item in checked {
            let verified = match item {
                Checked::Good(verified) => verified,
                Checked::Refused(error) => {
                    results.push(error.item()?);
                    continue;
                }
            };
            let place = (Lid::new(origin, verified.item.index + self.peers.base_of(&delivery.origin)), *last_leaf);
            let (actor, id, record) = (verified.actor.lid, &verified.id, &*verified.record);
            if writing.group.matters_to(actor, id, record) {
                self.flush(writing.take())?;
            }
            let mut result = self.index(peer, place, &verified, &mut writing);
            if matches!(result, Err(NodeError::Refused { .. } | NodeError::NotFound(_))) && !writing.group.batch.is_empty() {
                // What it needs may be in the group.
                self.flush(writing.take())?;
                result = self.index(peer, place, &verified, &mut writing);
            }
            if std::mem::take(&mut writing.copy) {
                let sequence = self.archive(&mut writing, actor, (delivery, frame));
                keep_copy(&mut writing.group.batch, place.0, &verified, sequence);
            }
            if matches!(&result, Err(error) if error.code() == code::NOT_HOME) {
                self.tell_where(peer, record, &mut writing.group)?;
            }
            results.push(result.or_else(|error| error.item())?);
            writing.group.note(actor, id, record);
            *last_leaf = (*last_leaf).max(Some(place.0.index()));
        }
        Ok((results, writing))
    }

    fn index(
        &self,
        peer: &Peer,
        (lid, last_leaf): (Lid, Option<u64>),
        verified: &Verified<'_>,
        writing: &mut Writing,
    ) -> Result<ItemResult> {
        // Leaves come in order, so that a look at the table is needed only for old ones.
        let in_order = last_leaf.is_none_or(|last| lid.index() > last);
        if !in_order && self.is_known(lid, &verified.id)? {
            if verified.record.kind() == Kind::Subscribe {
                self.resubscribe(peer, lid, verified, writing)?;
            }
            writing.copy = self.lacks_copy(lid, verified)?;
            return Ok(ItemResult::Known);
        }
        if lid.is_own() {
            return Err(NodeError::refused(code::NOT_LOGGED, "this domain's own log does not hold the record at that leaf"));
        }
        if self.is_logged_again(verified, in_order)? {
            if let (Kind::Subscribe, Some((known, _))) = (verified.record.kind(), Reference::find(&*self.kv, &verified.id)?) {
                self.resubscribe(peer, known, verified, writing)?;
            }
            return Ok(ItemResult::Known);
        }
        let resolved = self.objects.resolve(&verified.record, &verified.actor)?;
        if !self.is_wanted(&verified.record, &verified.actor, resolved.object)? {
            return Err(NodeError::refused(
                code::OBJECT,
                "the record acts on nothing that is here, and nobody here subscribes to its actor",
            ));
        }
        let mut indexer = Indexer::new(&*self.kv);
        let statement = Statement {
            lid,
            peer: peer.no(),
            id: verified.id,
            received: verified.item.received,
            record: &verified.record,
            actor: &verified.actor,
            ours: false,
            resolved,
        };
        if let Content::Retract(retract) = &verified.record.content {
            self.check_early(lid, &retract.object, &mut indexer)?;
        }
        indexer.apply(&statement)?;
        if verified.record.kind() == Kind::Report {
            report::put(&mut indexer.batch, (statement.received, lid), &verified.item.envelope);
        }
        if let (Kind::Subscribe, Some(author)) = (verified.record.kind(), statement.resolved.object) {
            queue::backfill(&mut indexer, peer.no(), AccountLid(author.0))?;
        }
        if let Some(tombstone) = early_retract(&*self.kv, lid, &verified.id, verified.actor.lid)? {
            // It was withdrawn before it came: keep no more than that.
            let mut gone = Indexer::new(&*self.kv);
            gone.withdrawn_early(&statement, &tombstone);
            gone.batch.delete(Space::EarlyRetract, early_key(lid, &verified.id, verified.actor.lid));
            gone.batch.add(Space::Meta, early_count_key(lid), -1);
            writing.group.add(gone);
            return Ok(ItemResult::Accepted);
        }
        writing.group.add(indexer);
        writing.copy = verified.record.kind() != Kind::Report && self.is_mirrored(&verified.actor)?;
        if !writing.copy {
            self.bodies.keep(&mut writing.bodies, lid, &statement, verified.item)?;
        }
        Ok(ItemResult::Accepted)
    }

    /// Whether this domain keeps a copy of what an account says: it agreed, the account names it, and there is room.
    pub(super) fn is_mirrored(&self, account: &Account) -> Result<bool> {
        if !account.keeps || !account.log.view().mirrors().contains(self.peers.own_domain()) {
            return Ok(false);
        }
        let bytes = mesh_store::counter(&*self.kv, Space::Meta, copied_key(account.lid).as_bytes())?;
        Ok(bytes < MIRROR_BYTES_MAX as i64)
    }

    /// The row that proves a delivery's leaves, which is made when it is first needed.
    fn archive(&self, writing: &mut Writing, account: AccountLid, (delivery, frame): (&Delivery, &Frame<'_>)) -> u64 {
        let batch = &mut writing.group.batch;
        *writing.archive.get_or_insert_with(|| {
            let sequence = self.archives.fetch_add(1, Ordering::Relaxed);
            let archive = frame.archive(delivery);
            batch.add(Space::Meta, copied_key(account), (archive.checkpoint.len() + ARCHIVED_BYTES * archive.leaves.len()) as i64);
            archive.put(batch, sequence);
            sequence
        })
    }

    /// A subscription that is known comes from the home to which its subscriber moved: from now on it counts there.
    fn resubscribe(&self, peer: &Peer, lid: Lid, verified: &Verified<'_>, writing: &mut Writing) -> Result<()> {
        let Some(reference) = Reference::get(&*self.kv, lid)? else { return Ok(()) };
        let resolved = Resolved { object: reference.object, ..Resolved::default() };
        let (id, received, actor) = (verified.id, verified.item.received, &*verified.actor);
        let mut indexer = Indexer::new(&*self.kv);
        let statement = Statement { lid, peer: peer.no(), id, received, record: &verified.record, actor, ours: false, resolved };
        indexer.resubscribe(&statement)?;
        if let Some(author) = statement.resolved.object {
            queue::backfill(&mut indexer, peer.no(), AccountLid(author.0))?;
        }
        writing.group.add(indexer);
        Ok(())
    }

    /// Whether a record concerns this domain: it acts on something here, or publishes for someone here who subscribes.
    fn is_wanted(&self, record: &Record, actor: &Account, object: Option<ObjectLid>) -> Result<bool> {
        if let Some(first) = record.content.revises() {
            return Ok(Reference::find(&*self.kv, first)?.is_some());
        }
        match record.kind() {
            Kind::Report => Ok(object.is_some()),
            _ if self.is_mirrored(actor)? => Ok(true),
            Kind::Retract => Ok(true),
            Kind::Repost if object.is_some() => Ok(true),
            Kind::Post | Kind::Profile | Kind::Repost => {
                let subscribers = subscribers_key(actor.lid.into(), HERE);
                Ok(mesh_store::counter(&*self.kv, Space::CountByPeer, &subscribers)? > 0)
            }
            _ => Ok(object.is_some()),
        }
    }

    /// Whether a record is here under another leaf, or was and is withdrawn: the first time counts.
    fn is_logged_again(&self, verified: &Verified<'_>, in_order: bool) -> Result<bool> {
        if in_order && verified.record.kind().is_once_per_object() {
            // The later leaf takes the place of the earlier as if they were two records, and counts once; but what is withdrawn stays so.
            let tombstone = TombstoneRow::get(&*self.kv, &verified.id)?;
            return Ok(tombstone.is_some_and(|tombstone| tombstone.signer == verified.actor.id()));
        }
        Ok(Reference::find(&*self.kv, &verified.id)?.is_some())
    }

    fn is_known(&self, lid: Lid, id: &RecordId) -> Result<bool> {
        match Reference::get(&*self.kv, lid)? {
            None => Ok(false),
            Some(known) if known.id == *id => Ok(true),
            Some(_) => {
                Err(NodeError::refused(code::NOT_LOGGED, "another record was delivered with this leaf before: the log was rewritten"))
            }
        }
    }

    /// Early retracts of one log are counted, so that they cannot fill the disk.
    fn check_early(&self, lid: Lid, object: &RecordId, indexer: &mut Indexer<'_>) -> Result<()> {
        if Reference::find(&*self.kv, object)?.is_some() {
            return Ok(());
        }
        let counter = early_count_key(lid);
        if mesh_store::counter(&*self.kv, Space::Meta, counter.as_bytes())? >= EARLY_RETRACTS_MAX {
            return Err(NodeError::refused(code::OBJECT, "too many retracts of records that never came"));
        }
        indexer.batch.add(Space::Meta, counter, 1);
        Ok(())
    }

    pub(super) fn flush(&self, writing: Writing) -> Result<()> {
        let Writing { mut group, bodies, .. } = writing;
        if group.batch.is_empty() {
            return Ok(());
        }
        self.bodies.put(&mut group.batch, &bodies)?;
        self.kv.commit(group.batch).wait()?;
        self.bus.publish(&group.news);
        Ok(())
    }
}

/// What a kept record takes beside its body, and a proven leaf in what proves it, bytes.
const COPIED_ROWS_BYTES: usize = 400;
const ARCHIVED_BYTES: usize = 300;

/// Keeps a record of an account that asked this domain for a copy.
fn keep_copy(batch: &mut mesh_store::Batch, lid: Lid, verified: &Verified<'_>, sequence: u64) {
    let (item, envelope) = (verified.item, verified.item.envelope.clone());
    let (kind, record, account) = (envelope.kind(), verified.id, verified.actor.lid);
    batch.add(Space::Meta, copied_key(account), (envelope.body().len() + COPIED_ROWS_BYTES) as i64);
    Payload { kind, salt: item.salt, received: item.received, account, record, envelope: Some(envelope) }.put(batch, lid);
    carried::put(batch, lid, sequence);
}
