//! What is looked at once more: whether the actors of a delivery that waited for its turn still live where it comes from, and whether of a record that is
//! known a copy is wanted since.

use super::{Checked, Intake, Verified};
use crate::error::{NodeError, Result};
use crate::peers::Peer;
use crate::tables::Lid;
use crate::tables::payload::Payload;
use crate::tables::reference::{Reference, Standing};
use mesh_proto::api::code;
use mesh_proto::envelope::Kind;

#[cfg(test)]
mod tests;

impl Intake {
    /// Refuses what is said by actors who moved since it was verified: it is stored where they live now, which may be here. To be called, and its outcome
    /// stored, while nobody comes to live here.
    pub(super) fn still_there<'a>(&self, peer: &Peer, checked: Vec<Checked<'a>>) -> Result<Vec<Checked<'a>>> {
        let now = |item| match item {
            Checked::Good(verified) => {
                let actor = self.accounts.expect(&verified.actor.id())?;
                if actor.home() == peer.domain() {
                    return Ok(Checked::Good(Verified { actor, ..verified }));
                }
                let words = format!("its actor moved to {} in this moment", actor.home());
                Ok(Checked::Refused(NodeError::refused(code::NOT_HOME, words)))
            }
            refused => Ok(refused),
        };
        checked.into_iter().map(now).collect()
    }

    /// Whether a record that is known is to be kept whole since, and is not.
    pub(super) fn lacks_copy(&self, lid: Lid, verified: &Verified<'_>) -> Result<bool> {
        if verified.record.kind() == Kind::Report || !self.is_mirrored(&verified.actor)? || Payload::get(&*self.kv, lid)?.is_some() {
            return Ok(false);
        }
        Ok(Reference::get(&*self.kv, lid)?.is_some_and(|known| known.standing != Standing::Retracted))
    }
}
