//! Pins that move by themselves: a newer checkpoint that came by way of another domain.

use super::{Intake, Stored};
use crate::error::Result;
use crate::peers::Peer;
use crate::pin::Pin;
use crate::tables::OriginNo;
use mesh_proto::api::Growth;
use mesh_proto::log::{Checkpoint, verify_consistency};
use mesh_store::{Batch, Space};
use std::sync::PoisonError;

impl Intake {
    /// Pins a checkpoint of a domain's log, whose signature is good, if the proof shows that it grew from the one that is pinned. Blocks.
    pub(crate) fn pin_forward(&self, peer: &Peer, no: OriginNo, (note, new): (&str, &Checkpoint), growth: &Growth) -> Result<bool> {
        let lane = self.lane(peer.no());
        let mut stored = lane.stored.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = match stored.take().filter(|stored| stored.origin == no) {
            Some(stored) => stored,
            None => Stored::read(&*self.kv, &self.peers, no)?,
        };
        let newer = known.pin.0.as_ref().is_some_and(|pin| {
            let grown = verify_consistency((pin.size, pin.root), (new.size, new.root), &growth.proof);
            pin.size < new.size && growth.size == pin.size && grown.is_ok()
        });
        if newer {
            let mut batch = Batch::new();
            batch.put(Space::Pin, no.0.to_be_bytes(), note);
            self.kv.commit(batch).wait()?;
            known.pin = Pin(Some(new.clone()));
        }
        *stored = Some(known);
        Ok(newer)
    }
}
