//! Sending: one delivery at a time, with what its destination asks for before it takes it.

use super::{Delivered, Destination, KEY_OP_FRAME_BYTES, KEYS_BYTES_MAX, Outbox, remote};
use crate::error::{NodeError, Result};
use crate::packing::{Chunk, checkpoint_size};
use crate::tables::Lid;
use mesh_proto::address::Domain;
use mesh_proto::api::{
    Challenge, ChallengeRequest, Delivery, DeliveryAnswer, DomainKeyUse, ItemResult, KeysKnown, KeysPush, Problem, code,
};
use mesh_proto::bytes::Salt;
use mesh_proto::envelope::{Envelope, Kind, RecordId};
use mesh_proto::key::AccountId;
use mesh_proto::keylog::LoggedOp;
use mesh_proto::limits::KEY_OP_BYTES_MAX;
use mesh_proto::log::Cosignature;
use mesh_proto::port::{Answer, random};
use mesh_proto::record::Record;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

/// Longest part of another domain's words in a log line, characters.
const EXCERPT_CHARS_MAX: usize = 200;
/// How often a destination may ask for something before it takes a delivery.
const WANTS_MAX: usize = 3;

impl Outbox {
    /// Delivers a chunk. A destination that refuses it as a whole gets its records one by one, so that one of them keeps no other from it.
    pub(super) async fn deliver(self: &Arc<Self>, to: Destination<'_>, chunk: Chunk) -> Result<Delivered> {
        let (no, domain) = to;
        let Chunk { indexes, delivery: Some(delivery) } = chunk else { return Ok(Delivered::default()) };
        let mut since = delivery.since.map(|since| self.log.base() + since);
        match self.send(to, delivery).await? {
            Ok(delivered) => return Ok(delivered),
            Err(words) if indexes.len() == 1 => {
                let mut delivered = Delivered::default();
                delivered.undeliverable(domain, indexes[0], &words);
                return Ok(delivered);
            }
            Err(_) => {}
        }
        let mut all = Delivered::default();
        for index in &indexes {
            for chunk in self.chunks(no, vec![*index], since).await? {
                let Some(delivery) = chunk.delivery else { continue };
                match self.send(to, delivery).await? {
                    Ok(delivered) => {
                        all.early.extend(delivered.early);
                        all.refused.extend(delivered.refused);
                        (all.taken, all.told) = (delivered.taken, all.told.max(delivered.told));
                        since = since.and(delivered.taken);
                    }
                    Err(words) => {
                        all.undeliverable(domain, *index, &words);
                    }
                }
            }
        }
        Ok(all)
    }

    /// Sends a delivery; answers what came of it, or the destination's words if it will not have it as it is.
    async fn send(
        self: &Arc<Self>,
        (no, domain): Destination<'_>,
        mut delivery: Delivery,
    ) -> Result<std::result::Result<Delivered, String>> {
        let mut answer = self.post(domain, "/mesh/v1/deliveries", &delivery).await?;
        for _ in 0..WANTS_MAX {
            if answer.status != 409 {
                break;
            }
            let problem: Problem = self.parse(domain, &answer)?;
            match problem.code() {
                code::KEYS_WANTED => self.add_keys(domain, &mut delivery, problem.keys_wanted).await?,
                code::CHECKPOINT_WANTED if delivery.origin != *self.log.origin() => {
                    return Err(remote(domain, "it does not know yet that this log is a past one".into()));
                }
                code::CHECKPOINT_WANTED => delivery = self.shown_to_grow(domain, delivery, problem.checkpoint_wanted.unwrap_or(0)).await?,
                // No record is to blame: it all waits until somebody has looked into it.
                code::LOG_FORKED => return Err(remote(domain, excerpt(&problem.detail))),
                _ => return Ok(Err(excerpt(&problem.detail))),
            }
            answer = self.post(domain, "/mesh/v1/deliveries", &delivery).await?;
        }
        if matches!(answer.status, 400 | 409 | 413 | 422) {
            return Ok(Err(excerpt(&String::from_utf8_lossy(&answer.body))));
        }
        check_status(domain, &answer)?;
        let answer: DeliveryAnswer = self.parse(domain, &answer)?;
        if answer.results.len() != delivery.items.len() {
            return Err(remote(domain, "it answered another number of results than there were records".into()));
        }
        let (mut early, mut refused) = (Vec::new(), Vec::new());
        for (item, result) in delivery.items.iter().zip(&answer.results) {
            if let ItemResult::Refused { code, detail } = result {
                if code == code::OBJECT {
                    early.push(item.index)
                } else {
                    refused.push(item.index)
                }
                let (code, detail) = (excerpt(code), excerpt(detail));
                tracing::info!(peer.domain = %domain, leaf.index = item.index, refusal.code = code, refusal.detail = detail, "outbox.refused");
            }
        }
        self.note_shown((no, domain), &delivery, answer.cosignature);
        let base = self.log.base();
        let taken = delivery.items.last().map(|item| base + item.index + 1);
        Ok(Ok(Delivered { early, refused, taken, told: Some(base.saturating_add(answer.watermark)) }))
    }

    /// Adds the key operations that a destination asked for, once each, and only of those that the delivery is about.
    async fn add_keys(self: &Arc<Self>, domain: &Domain, delivery: &mut Delivery, wanted: Vec<KeysKnown>) -> Result<()> {
        let actors: BTreeSet<AccountId> = delivery.items.iter().filter_map(|item| actor_of(&item.envelope)).collect();
        let wanted = wanted.into_iter().filter(|known| actors.contains(&known.account)).map(|known| (known.account, known.head)).collect();
        delivery.keys = self.keys(domain, wanted).await?;
        Ok(())
    }

    /// Remembers which checkpoint a destination has, and keeps its cosignature.
    fn note_shown(&self, (no, domain): Destination<'_>, delivery: &Delivery, cosignature: Option<Cosignature>) {
        if delivery.origin != *self.log.origin() {
            return;
        }
        if let Some(size) = checkpoint_size(&delivery.checkpoint) {
            self.shown.lock().unwrap_or_else(PoisonError::into_inner).insert(no, size);
        }
        let key = self.peers.by_no(no).and_then(|peer| peer.key(DomainKeyUse::Log)).and_then(|key| key.verifier().ok());
        let (Some(cosignature), Some(key)) = (cosignature.filter(|cosignature| cosignature.domain() == domain), key) else { return };
        if let Err(error) = self.log.keep_cosignature(&delivery.checkpoint, &cosignature, &key) {
            tracing::warn!(peer.domain = %domain, error.message = %error, "outbox.bad_cosignature");
        }
    }

    /// The key operations that go with a delivery. Those of a log that is too long for that are sent ahead of it, in parts: else one long log
    /// would keep everybody's records from a destination.
    async fn keys(self: &Arc<Self>, domain: &Domain, wanted: BTreeMap<AccountId, Option<RecordId>>) -> Result<Vec<KeysPush>> {
        let mut along = Vec::new();
        let mut room = KEYS_BYTES_MAX;
        for (account, head) in wanted {
            let this = Arc::clone(self);
            let ops = tokio::task::spawn_blocking(move || this.accounts.expect(&account).map(|known| known.log.ops_after(head.as_ref())));
            let ops = ops.await.map_err(|_| NodeError::Stopping)??;
            let bytes: usize = ops.iter().map(op_bytes).sum();
            if bytes <= room {
                room -= bytes;
                along.push(KeysPush { account, ops });
                continue;
            }
            for part in ops.chunks(KEYS_BYTES_MAX / (KEY_OP_BYTES_MAX * 4 / 3 + KEY_OP_FRAME_BYTES)) {
                let answer = self.post(domain, "/mesh/v1/keys", &KeysPush { account, ops: part.to_vec() }).await?;
                check_status(domain, &answer)?;
            }
        }
        Ok(along)
    }

    /// Nothing is delivered to a domain that did not show, by signing our nonce, that it speaks this protocol.
    pub(super) async fn challenge(self: &Arc<Self>, domain: &Domain) -> Result<()> {
        let peer = self.peers.discover(domain, None).await?;
        if peer.row.challenged {
            return Ok(());
        }
        let request = ChallengeRequest { from: self.peers.own_domain().clone(), nonce: Salt(random(&*self.rng)) };
        let answer = self.post(domain, "/mesh/v1/challenges", &request).await?;
        if answer.status != 200 {
            return Err(remote(domain, format!("it refuses our challenge with HTTP status {}", answer.status)));
        }
        let envelope: Envelope = self.parse(domain, &answer)?;
        let challenge: Challenge = mesh_proto::json::parse(envelope.body()).map_err(|error| remote(domain, error.to_string()))?;
        let key = peer.key(DomainKeyUse::Request).and_then(|key| key.verifier().ok());
        let signed = envelope.kind() == Kind::Challenge && key.is_some_and(|key| envelope.verify(&key).is_ok());
        if !signed || challenge.domain != *domain || challenge.from != request.from || challenge.nonce != request.nonce {
            return Err(remote(domain, "its answer to our challenge is not signed by its key".into()));
        }
        let this = Arc::clone(self);
        let domain = domain.clone();
        tokio::task::spawn_blocking(move || this.peers.challenged(&domain)).await.map_err(|_| NodeError::Stopping)?
    }

    pub(super) async fn post(&self, domain: &Domain, path: &str, body: &impl serde::Serialize) -> Result<Answer> {
        let body = serde_json::to_vec(body).expect("API types have only plain fields");
        self.transport.post(domain, path, body).await.map_err(|error| remote(domain, error.to_string()))
    }

    fn parse<T: serde::de::DeserializeOwned>(&self, domain: &Domain, answer: &Answer) -> Result<T> {
        serde_json::from_slice(&answer.body).map_err(|error| remote(domain, format!("its answer is malformed: {error}")))
    }
}

fn op_bytes(op: &LoggedOp) -> usize {
    op.envelope.body().len() * 4 / 3 + KEY_OP_FRAME_BYTES
}

fn actor_of(envelope: &Envelope) -> Option<AccountId> {
    Record::open(envelope).ok().map(|record| record.head.actor)
}

impl Delivered {
    /// Notes that a destination will not have a record at all. What somebody brought along from another home may come too early: who cannot reach that home
    /// now does not know the keys of its log.
    fn undeliverable(&mut self, domain: &Domain, number: u64, words: &str) {
        tracing::warn!(peer.domain = %domain, leaf.index = number, refusal.detail = words, "outbox.undeliverable");
        if Lid(number).is_own() { self.refused.push(number) } else { self.early.push(number) }
    }
}

pub(super) fn check_status(domain: &Domain, answer: &Answer) -> Result<()> {
    match answer.status {
        200 => Ok(()),
        429 | 503 => Err(NodeError::SlowDown { retry_after_s: answer.retry_after_s.unwrap_or(10) }),
        status => Err(remote(domain, format!("HTTP status {status}: {}", excerpt(&String::from_utf8_lossy(&answer.body))))),
    }
}

/// As much of another domain's words as a log line holds.
fn excerpt(words: &str) -> String {
    words.chars().filter(|c| !c.is_control()).take(EXCERPT_CHARS_MAX).collect()
}
