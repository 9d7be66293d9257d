//! Checkpoints of other domains' logs: the newest one that was shown is kept, and the log must only ever have grown from it.

use crate::error::{NodeError, Result};
use crate::forks::{evidence_key, evidence_row};
use crate::peers::Peers;
use crate::tables::OriginNo;
use mesh_proto::api::{Delivery, DomainKeyUse, code};
use mesh_proto::log::{Checkpoint, verify_consistency};
use mesh_store::{Batch, Kv, Read, Space};

/// The newest checkpoint of a log, if any was shown.
pub(crate) struct Pin(pub(crate) Option<Checkpoint>);

impl Pin {
    pub(crate) fn read(read: &dyn Read, peers: &Peers, no: OriginNo) -> Result<Self> {
        let Some(note) = read.get(Space::Pin, &no.0.to_be_bytes())? else { return Ok(Self(None)) };
        let origin = peers.origin_by_number(no)?;
        let key = peers.get(origin.domain()).and_then(|peer| peer.key(DomainKeyUse::Log)).and_then(|key| key.verifier().ok());
        let note = std::str::from_utf8(&note).map_err(|_| crate::tables::codec::damaged("pin"))?;
        Ok(Self(key.and_then(|key| Checkpoint::open(note, &origin, &key).ok())))
    }

    /// Whether a checkpoint, whose signature is good, is newer than this. One that does not show that its log grew from this is refused; one that cannot have is
    /// kept with this as evidence.
    pub(crate) fn check(&self, (kv, peers): (&dyn Kv, &Peers), (no, delivery): (OriginNo, &Delivery), new: &Checkpoint) -> Result<bool> {
        let Some(pin) = &self.0 else { return Ok(true) };
        if new.size < pin.size {
            return Err(NodeError::CheckpointWanted(pin.size));
        }
        if new.size == pin.size && new.root == pin.root {
            return Ok(false);
        }
        let proof = delivery.growth.as_ref().filter(|growth| growth.size == pin.size).map(|growth| &growth.proof);
        match proof {
            Some(proof) if verify_consistency((pin.size, pin.root), (new.size, new.root), proof).is_ok() => Ok(true),
            None if new.size > pin.size => Err(NodeError::CheckpointWanted(pin.size)),
            _ => {
                if new.size == pin.size
                    && let Some(before) = kv.get(Space::Pin, &no.0.to_be_bytes())?
                {
                    // Two notes of one size prove it by themselves.
                    peers.forks().keep(no, pin.size, (&String::from_utf8_lossy(&before), &delivery.checkpoint))?;
                }
                Err(forked(kv, (no, delivery), pin)?)
            }
        }
    }
}

/// Keeps both checkpoints as evidence, the first such pair for each size. A proof that is merely bad says nothing, but whoever has a good one sends it.
fn forked(kv: &dyn Kv, (no, delivery): (OriginNo, &Delivery), pin: &Checkpoint) -> Result<NodeError> {
    let key = evidence_key(no, pin.size);
    if let Some(before) = kv.get(Space::Pin, &no.0.to_be_bytes())?
        && kv.get(Space::Evidence, &key)?.is_none()
    {
        let mut batch = Batch::new();
        batch.put(Space::Evidence, key, evidence_row(&String::from_utf8_lossy(&before), &delivery.checkpoint));
        kv.commit(batch).wait()?;
    }
    tracing::error!(peer.log = %delivery.origin, pin.size = pin.size, "federation.log_forked");
    Ok(NodeError::refused(
        code::LOG_FORKED,
        format!(
            "{} does not begin with the {} leaves that it showed before: what it showed is kept as evidence",
            delivery.origin, pin.size
        ),
    ))
}
