//! All versions of a post or comment, as its author's home and those who keep copies have them.

use crate::error::{NodeError, Result};
use crate::index::later_versions;
use crate::tables::Lid;
use crate::tables::place_key;
use crate::tables::reference::{Reference, Standing};
use crate::views::{Views, decode_cursor, encode_cursor};
use mesh_proto::api::{Versions, code};
use mesh_proto::envelope::{Kind, RecordId};
use mesh_proto::limits::PAGE_MAX;

impl Views {
    /// One page of a record's versions, oldest first; any version stands for its record.
    ///
    /// # Errors
    /// `gone` if it was withdrawn, `not_home` if its author's home has to be asked.
    pub fn versions(&self, id: &RecordId, after: Option<&str>, limit: usize) -> Result<Versions> {
        let first = self.first_version(id)?;
        let reference = Reference::get(&*self.kv, first)?.filter(|reference| matches!(reference.kind, Kind::Post | Kind::Comment));
        let reference = reference.ok_or(NodeError::NotFound("record with versions"))?;
        let actor = self.accounts.by_lid(reference.actor)?;
        if reference.standing == Standing::Retracted || self.rulings.hides(&reference, &actor) {
            return Err(NodeError::refused(code::GONE, "the record was withdrawn"));
        }
        if !(first.is_own() || actor.keeps) {
            return Err(NodeError::refused(code::NOT_HOME, format!("its author's home is {}: ask there", actor.home())));
        }
        let mut places = vec![(reference.received, first)];
        for lid in later_versions(&*self.kv, first)? {
            places.extend(Reference::get(&*self.kv, lid)?.map(|reference| (reference.received, lid)));
        }
        // Leaves of several logs are ordered by time alone.
        places.sort_unstable_by_key(|(received, lid)| (*received, lid.0));
        let after = after.map(decode_cursor).transpose()?;
        let limit = limit.clamp(1, PAGE_MAX);
        let page: Vec<(u64, Lid)> =
            places.into_iter().filter(|(received, lid)| after.is_none_or(|after| place_key(*received, *lid) > after)).take(limit).collect();
        let next = page.last().filter(|_| page.len() == limit).map(|(received, lid)| encode_cursor(*received, *lid));
        let versions = page.iter().filter_map(|(_, lid)| self.kept_version(*lid, &actor).transpose()).collect::<Result<_>>()?;
        Ok(Versions { versions, next })
    }
}
