//! The times of delivered leaves: those that cannot be are refused, each for itself.

use super::{Checked, Stored};
use crate::dating::Dated;
use crate::error::{NodeError, Result};
use crate::peers::Peer;
use mesh_proto::api::Delivery;
use mesh_store::Kv;

impl Stored {
    /// Refuses what is back-dated. All leaves of the delivery are in the log, so that those of refused records count as well.
    pub(super) fn judge<'a>(
        &mut self,
        kv: &dyn Kv,
        (peer, delivery): (&Peer, &Delivery),
        checked: Vec<Checked<'a>>,
    ) -> Result<Vec<Checked<'a>>> {
        let mut before = None;
        let mut judged = Vec::with_capacity(checked.len());
        for (item, checked) in delivery.items.iter().zip(checked) {
            let leaf = Dated { index: item.index, received: item.received };
            judged.push(match self.dates.check(kv, (self.origin, leaf), before) {
                Ok(()) => {
                    before = Some(leaf);
                    checked
                }
                Err(error @ NodeError::Refused { .. }) => {
                    tracing::warn!(peer.domain = %peer.domain(), leaf.index = item.index, error.message = %error, "intake.back_dated");
                    if let Checked::Refused(_) = checked { checked } else { Checked::Refused(error) }
                }
                Err(error) => return Err(error),
            });
        }
        Ok(judged)
    }
}
