//! What is checked once more when a delivery's turn has come: its actors may have gone while it waited.

use super::{Checked, Intake, Verified};
use crate::error::{NodeError, Result};
use crate::peers::Peer;
use mesh_proto::api::code;

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
}
