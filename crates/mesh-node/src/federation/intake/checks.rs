//! The checks before anything is decided: whose log it is, what the key logs say, whose signature it is.

use super::{Checked, Intake, Missing, Verified};
use crate::accounts::{Sender, refused_use};
use crate::error::{NodeError, Result};
use crate::frame::{Frame, Opened};
use crate::peers::Peer;
use crate::pin::Pin;
use crate::tables::OWN;
use mesh_proto::address::Domain;
use mesh_proto::api::{Delivery, DomainKeyUse, KeysKnown, code};
use mesh_proto::key::{AccountId, Verifier};
use mesh_proto::keylog::{LogPosition, UseError};
use mesh_proto::limits::{CLOCK_AHEAD_MS_MAX, KEY_OPS_MAX};
use mesh_proto::log::Origin;
use std::collections::BTreeSet;

impl Intake {
    /// The frame of a delivery. A domain's own records lie in its present log; those that its people brought along are proven under the key of the log that
    /// they lie in. If that is not known here, or another checkpoint is pinned, nothing shows that they lie in their places: that is answered too.
    pub(super) fn frame<'a>(&self, peer: &Peer, delivery: &'a Delivery) -> Result<(Frame<'a>, bool)> {
        let domain = delivery.origin.domain();
        let is_past = peer.origin().is_some_and(|present| delivery.origin.number() < present.number());
        if domain == peer.domain() && peer.origin() != Some(&delivery.origin) && !is_past {
            return Err(NodeError::refused(code::NOT_HOME, "a domain delivers what its own present log holds: see its discovery document"));
        }
        let frame = Frame::open(delivery, self.log_key(domain).as_ref())?;
        let is_placed = frame.is_signed && (peer.origin() == Some(&delivery.origin) || self.is_as_pinned(delivery, &frame)?);
        Ok((frame, is_placed))
    }

    /// Whether a checkpoint of a log that grows no more, or is shown by another domain than its own, is the one that is pinned, if any is. If it is not,
    /// nothing shows that it is of the same log, and a place in it proves nothing; if it has the same size and another root, the log forked.
    fn is_as_pinned(&self, delivery: &Delivery, frame: &Frame<'_>) -> Result<bool> {
        let Some(no) = self.peers.origin_known(&delivery.origin).filter(|no| *no != OWN) else { return Ok(true) };
        let pin = Pin::read(&*self.kv, &self.peers, no)?;
        match &pin.0 {
            Some(known) if known.size != frame.checkpoint.size => Ok(false),
            Some(_) => pin.check((&*self.kv, &self.peers), (no, delivery), &frame.checkpoint).map(|_| true),
            None => Ok(true),
        }
    }

    /// The key that signs the checkpoints of a domain's log, if it is known.
    pub(crate) fn log_key(&self, domain: &Domain) -> Option<Verifier> {
        let key = match domain == self.peers.own_domain() {
            true => Some(self.log.key_id()),
            false => self.peers.get(domain).and_then(|peer| peer.key(DomainKeyUse::Log)),
        };
        key.and_then(|key| key.verifier().ok())
    }

    /// Merges the key operations that came along for the actors of these records. Operations that an actor's log refuses cost that actor's records only.
    pub(super) fn merge_keys(&self, peer: &Peer, delivery: &Delivery, opened: &[Opened<'_>]) -> Result<Missing> {
        if delivery.keys.is_empty() {
            return Ok(Missing::default());
        }
        let actors: BTreeSet<AccountId> =
            opened.iter().filter_map(|item| item.record.as_ref().ok()).map(|record| record.head.actor).collect();
        let mut missing = Missing::default();
        for push in delivery.keys.iter().filter(|push| actors.contains(&push.account)) {
            if push.ops.len() > KEY_OPS_MAX {
                return Err(NodeError::refused(code::TOO_LARGE, "an account has more key operations than it may have"));
            }
            let sender = Sender { domain: Some((peer.domain(), peer.no())), now_ms: self.clock.now_ms() };
            match self.accounts.merge(&push.account, &push.ops, sender) {
                Ok(merged) => self.bus.waiting_for(merged.moved_to),
                Err(error @ (NodeError::Refused { .. } | NodeError::NotFound(_))) => drop(missing.refused.insert(push.account, error)),
                Err(error) => return Err(error),
            }
        }
        Ok(missing)
    }

    /// Form, key log, home and signature of one record. What only the sender can mend goes to `missing.wanted`.
    pub(super) fn check_item<'a>(
        &self,
        peer: &Peer,
        (origin, is_placed): (&Origin, bool),
        opened: Opened<'a>,
        missing: &mut Missing,
    ) -> Result<Checked<'a>> {
        let refuse = |code, detail: String| Ok(Checked::Refused(NodeError::refused(code, detail)));
        let Opened { item, id, pae, record } = opened;
        let record = match record {
            Ok(record) => record,
            Err(error) => return refuse(code::MALFORMED, error.to_string()),
        };
        let now = self.clock.now_ms();
        if record.check_time(now).is_err() || item.received > now.saturating_add(CLOCK_AHEAD_MS_MAX) {
            return refuse(code::FUTURE, "the claimed or logged time lies in the future".into());
        }
        let known = self.accounts.get(&record.head.actor)?;
        let actor = match known {
            Some(actor) if actor.log.contains(&record.head.keys) => actor,
            known => {
                if let Some(error) = missing.refused.get(&record.head.actor) {
                    return Ok(Checked::Refused(error.clone()));
                }
                let head = known.map(|known| known.log.head());
                missing.wanted.insert(record.head.actor, KeysKnown { account: record.head.actor, head });
                return refuse(code::KEYS_WANTED, "its key operations are missing".into());
            }
        };
        if origin.domain() != peer.domain() && !actor.log.homes().contains(origin.domain()) {
            return refuse(code::NOT_HOME, format!("its actor never lived at {}", origin.domain()));
        }
        if actor.home() != peer.domain() {
            return refuse(code::NOT_HOME, format!("its actor's key log names {} as home, not {}", actor.home(), peer.domain()));
        }
        // Where nothing shows the place, it says nothing, and only a live device is believed.
        let leaf = is_placed.then(|| LogPosition { origin: origin.clone(), index: item.index });
        let verifier =
            match actor.log.check_open().and_then(|()| actor.log.check_use(&record.head.device, &record.head.keys, leaf.as_ref())) {
                Ok(verifier) => *verifier,
                Err(error @ UseError::UnknownHead(_)) => return refuse(code::KEYS_WANTED, error.to_string()),
                Err(error) => return Ok(Checked::Refused(refused_use(&error))),
            };
        if !missing.wanted.is_empty() {
            // The whole delivery comes once more, with the keys: its signatures are verified then.
            return refuse(code::KEYS_WANTED, "key operations of another actor are missing".into());
        }
        match verifier.verify(&pae, item.envelope.signature()) {
            Ok(()) => Ok(Checked::Good(Verified { item, id, record, actor })),
            Err(error) => refuse(code::BAD_SIGNATURE, error.to_string()),
        }
    }
}
