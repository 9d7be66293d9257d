//! The times of delivered leaves: those that cannot be are refused, each for itself.

use super::Checked;
use crate::dating::{Dated, Dates};
use crate::error::{NodeError, Result};
use crate::peers::Peer;
use crate::tables::OriginNo;
use mesh_proto::api::Delivery;
use mesh_store::Kv;

/// Refuses what is back-dated. All leaves of the delivery are in the log, so that those of refused records count as well.
pub(super) fn judge<'a>(
    dates: &mut Dates,
    kv: &dyn Kv,
    (peer, origin, delivery): (&Peer, OriginNo, &Delivery),
    checked: Vec<Checked<'a>>,
) -> Result<Vec<Checked<'a>>> {
    let mut before = None;
    let mut judged = Vec::with_capacity(checked.len());
    for (item, checked) in delivery.items.iter().zip(checked) {
        let leaf = Dated { index: item.index, received: item.received };
        judged.push(match dates.check(kv, (origin, leaf), before) {
            Ok(()) => {
                before = Some(leaf);
                checked
            }
            Err(error @ NodeError::Refused { .. }) => {
                let (domain, log) = (peer.domain(), &delivery.origin);
                tracing::warn!(peer.domain = %domain, peer.log = %log, leaf.index = item.index, error.message = %error, "intake.back_dated");
                if let Checked::Refused(_) = checked { checked } else { Checked::Refused(error) }
            }
            Err(error) => return Err(error),
        });
    }
    Ok(judged)
}
