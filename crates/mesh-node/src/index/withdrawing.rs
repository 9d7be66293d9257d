//! What a withdrawal takes back.

use super::{Indexer, News, Statement, early_key, later_versions};
use crate::error::{NodeError, Result};
use crate::tables::payload::Payload;
use crate::tables::published;
use crate::tables::reference::{Reference, Standing, TombstoneRow};
use crate::tables::{AccountLid, Lid, ObjectLid, PeerNo, account_place_key, act_key, once_key, pair_key, report};
use mesh_proto::api::code;
use mesh_proto::envelope::Kind;
use mesh_proto::record::{Record, Retract};
use mesh_store::Space;

impl Indexer<'_> {
    /// Withdraws a record: its payload and its openings go, a tombstone stays.
    pub(super) fn retract(&mut self, statement: &Statement<'_>, retract: &Retract) -> Result<()> {
        self.insert(statement, Standing::Live, None);
        let tombstone = TombstoneRow { reason: retract.reason, signer: statement.actor.id(), retract: statement.lid.0 };
        let Some((lid, target)) = Reference::find(self.read, &retract.object)? else {
            if statement.lid.is_own() {
                return Err(NodeError::refused(code::OBJECT, "the record to withdraw is not known here"));
            }
            if statement.ours {
                // What was withdrawn before its author came here did not come along. Whose it was is not known: it counts for what its signer said.
                if TombstoneRow::get(self.read, &retract.object)?.is_none() {
                    tombstone.put(&mut self.batch, &retract.object);
                }
                return Ok(());
            }
            self.batch.put(
                Space::EarlyRetract,
                early_key(statement.lid, &retract.object, statement.actor.lid),
                serde_json::to_vec(&tombstone).unwrap_or_default(),
            );
            return Ok(());
        };
        if target.actor != statement.actor.lid {
            return Err(NodeError::refused(code::FORBIDDEN, "only its author withdraws a record"));
        }
        match target.standing {
            Standing::Retracted => return Ok(()),
            Standing::Edit => return Err(NodeError::refused(code::OBJECT, "name the record by the id of its first version")),
            Standing::Live | Standing::Superseded => {}
        }
        self.withdraw(lid, &target, statement)?;
        tombstone.put(&mut self.batch, &retract.object);
        self.news.push(News::Withdrawn { author: statement.actor.lid, id: retract.object });
        Ok(())
    }

    /// Keeps of a record that was withdrawn before it came only that it was.
    pub(crate) fn withdrawn_early(&mut self, statement: &Statement<'_>, tombstone: &TombstoneRow) {
        self.insert(statement, Standing::Retracted, None);
        tombstone.put(&mut self.batch, &statement.id);
    }

    pub(crate) fn withdraw(&mut self, lid: Lid, target: &Reference, statement: &Statement<'_>) -> Result<()> {
        if target.standing == Standing::Live {
            self.uncount(lid, target, statement.peer)?;
            if statement.ours && target.kind.is_once_per_object() {
                self.undo_act(lid, target)?;
            }
        }
        for version in later_versions(self.read, lid)?.into_iter().chain([lid]) {
            if target.kind == Kind::Post {
                published::remove(&mut self.batch, self.read, (target.received, lid), version)?;
            }
            crate::bodies::erase(&mut self.batch, self.read, version)?;
            Payload::erase(&mut self.batch, self.read, version)?;
        }
        let gone = Reference { standing: Standing::Retracted, ..target.clone() };
        gone.put(&mut self.batch, lid);
        Ok(())
    }

    /// Takes back what a live statement of a domain's people had changed.
    pub(crate) fn uncount(&mut self, lid: Lid, target: &Reference, peer: PeerNo) -> Result<()> {
        let kind = target.kind;
        if let Some(object) = target.object {
            let peer = self.counted_for(object, kind, target.actor)?.unwrap_or(peer);
            if kind.is_once_per_object() {
                self.batch.delete(Space::Object, once_key(object, kind, target.actor));
            }
            if kind != Kind::Report && kind != Kind::Profile {
                self.count(object, kind, peer, -1)?;
                self.count_choices(object, target.choices, peer, -1)?;
            }
            if kind == Kind::Comment {
                self.uncount_parent(target, object, peer)?;
            }
            self.unnotify(lid, target, object)?;
            if kind == Kind::Report {
                report::delete(&mut self.batch, (target.received, lid));
            }
        }
        if matches!(kind, Kind::Post | Kind::Repost) {
            self.batch.delete(Space::Timeline, account_place_key(target.actor, target.received, lid));
        }
        Ok(())
    }

    fn uncount_parent(&mut self, target: &Reference, object: ObjectLid, peer: PeerNo) -> Result<()> {
        let Some(parent) = &target.parent else { return Ok(()) };
        if let Some((parent, _)) = Reference::find(self.read, parent)?
            && ObjectLid::from(parent) != object
        {
            self.count(parent.into(), Kind::Comment, peer, -1)?;
        }
        Ok(())
    }

    /// Removes the notifications that a withdrawn statement had caused.
    pub(super) fn unnotify(&mut self, lid: Lid, target: &Reference, object: ObjectLid) -> Result<()> {
        let mut owners = Vec::new();
        match target.kind {
            Kind::Subscribe => owners.push(AccountLid(object.0)),
            Kind::Like | Kind::Repost | Kind::Comment => {
                owners.extend(Reference::get(self.read, Lid(object.0))?.map(|owner| owner.actor));
                if let Some(parent) = &target.parent {
                    owners.extend(Reference::find(self.read, parent)?.map(|(_, parent)| parent.actor));
                }
            }
            _ => {}
        }
        for owner in owners {
            self.batch.delete(Space::Notice, account_place_key(owner, target.received, lid));
        }
        Ok(())
    }

    /// Removes the rows by which the actor's home finds the statement.
    fn undo_act(&mut self, lid: Lid, target: &Reference) -> Result<()> {
        let Some(envelope) = Payload::get(self.read, lid)?.and_then(|payload| payload.envelope) else { return Ok(()) };
        let record = Record::open(&envelope).map_err(|_| crate::tables::codec::damaged("payload"))?;
        let Some(about) = record.content.once_about() else { return Ok(()) };
        self.batch.delete(Space::Act, act_key(target.actor, target.kind, about));
        if let (Kind::Subscribe, Some(author)) = (target.kind, target.object) {
            self.batch.delete(Space::Follow, pair_key(target.actor.0, author.0));
        }
        Ok(())
    }
}
