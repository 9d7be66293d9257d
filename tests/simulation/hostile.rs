//! Domains that lie: what a hostile domain does to its own requests before it signs them, and to its answers.
//!
//! Behind each is an honest server with honest people, so that lies and truths come mixed and in the right form. Every text that a liar makes up holds
//! [`FORGED`]. [`crate::forger`] plays those who have no server at all.

use crate::wire::lock;
use mesh_proto::api::{Delivery, DeliveryAnswer, Found, ItemResult, Pulled, RecordsBatchAnswer};
use mesh_proto::envelope::{Envelope, Kind};
use mesh_proto::key::SecretKey;
use mesh_proto::port::{Answer, TransportError};
use mesh_testkit::SeededRng;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Mutex;

/// What nobody ever said.
pub(crate) const FORGED: &str = "f~rged";

/// How often a liar lies, of 1,000.
const LIES_PER_MILLE: u16 = 350;
/// Deliveries that are remembered to be sent again.
const REMEMBERED_MAX: usize = 8;
/// A very large answer, bytes: more than is read of a `GET`.
const LARGE_BYTES: usize = 5 * 1024 * 1024;

/// What it says.
pub(crate) enum Spoken {
    /// Nothing: it fails as if the other could not be reached.
    Nothing,
    /// This.
    Body(Vec<u8>),
    /// Nothing, but it acts as if this had been answered.
    Instead(Answer),
}

/// What the one who asked hears.
pub(crate) enum Heard {
    /// Nothing, for ever.
    Silence,
    /// This.
    Answer(Result<Answer, TransportError>),
}

/// In what way it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// As badly as it can.
    Hostile,
    /// It keeps likes to itself and marks them delivered: no attack, but a fault that the checker must see.
    KeepsLikes,
}

/// A domain that lies.
#[derive(Debug)]
pub(crate) struct Liar {
    way: Way,
    rng: SeededRng,
    remembered: Mutex<Vec<Vec<u8>>>,
}

impl Liar {
    /// A hostile one.
    pub(crate) fn hostile(seed: u64) -> Self {
        Self { way: Way::Hostile, rng: SeededRng::new(seed), remembered: Mutex::default() }
    }

    /// One that drops likes for ever.
    pub(crate) fn keeps_likes() -> Self {
        Self { way: Way::KeepsLikes, rng: SeededRng::new(0), remembered: Mutex::default() }
    }

    /// Whether nothing is promised about it.
    pub(crate) fn is_hostile(&self) -> bool {
        self.way == Way::Hostile
    }

    /// What it sends in the place of a body.
    pub(crate) fn say(&self, path: &str, body: Vec<u8>) -> Spoken {
        match self.way {
            Way::KeepsLikes => keep_likes(path, body),
            Way::Hostile if !self.rng.happens(LIES_PER_MILLE) => self.remember(path, body),
            Way::Hostile if path == "/mesh/v1/deliveries" => self.lying_delivery(body),
            Way::Hostile => match self.rng.below(4) {
                0 => Spoken::Nothing,
                1 => Spoken::Body(self.garbage()),
                _ => Spoken::Body(self.flipped(body)),
            },
        }
    }

    fn remember(&self, path: &str, body: Vec<u8>) -> Spoken {
        if path == "/mesh/v1/deliveries" {
            let mut remembered = lock(&self.remembered);
            remembered.truncate(REMEMBERED_MAX - 1);
            remembered.insert(0, body.clone());
        }
        Spoken::Body(body)
    }

    fn lying_delivery(&self, body: Vec<u8>) -> Spoken {
        let lie = self.rng.below(8);
        let old = lock(&self.remembered).last().cloned();
        Spoken::Body(match (lie, old) {
            (0, _) => return Spoken::Nothing,
            (1, Some(old)) => old,
            (2, _) => self.garbage(),
            (3, _) => changed(body, |delivery: &mut Delivery| delivery.items.extend(delivery.items.clone())),
            (4, _) => changed(body, |delivery: &mut Delivery| {
                for item in &mut delivery.items {
                    item.envelope = reworded(&item.envelope);
                }
            }),
            (5, _) => changed(body, |delivery: &mut Delivery| {
                let key = SecretKey::from_seed(&[self.rng.next() as u8; 32]);
                for item in &mut delivery.items {
                    item.envelope = Envelope::sign(item.envelope.kind(), item.envelope.body().to_vec(), &key);
                }
            }),
            (6, _) => changed(body, |delivery: &mut Delivery| {
                delivery.since = Some(0);
                delivery.keys.clear();
                delivery.items = delivery.items.split_off(delivery.items.len() - 1);
            }),
            _ => self.flipped(body),
        })
    }

    /// What is heard of an answer of its own.
    pub(crate) fn answer(&self, path: &str, answer: Result<Answer, TransportError>) -> Heard {
        let Ok(answer) = answer else { return Heard::Answer(answer) };
        if self.way == Way::KeepsLikes && path == "/mesh/v1/deliveries:pull" {
            // Else the other would ask for what it was not sent, and get it.
            let body = changed(answer.body, |pulled: &mut Pulled| {
                if pulled.delivery.as_ref().is_some_and(holds_like) {
                    (pulled.delivery, pulled.more) = (None, false);
                }
            });
            return Heard::Answer(Ok(Answer { body, ..answer }));
        }
        if self.way != Way::Hostile || !self.rng.happens(LIES_PER_MILLE) {
            return Heard::Answer(Ok(answer));
        }
        let Answer { status, retry_after_s, body } = answer;
        let with = |status: u16, body: Vec<u8>| Heard::Answer(Ok(Answer { status, retry_after_s, body }));
        match self.rng.below(8) {
            0 => Heard::Silence,
            1 => with(500, b"{}".to_vec()),
            2 => Heard::Answer(Ok(Answer { status: 503, retry_after_s: Some(u64::MAX), body })),
            3 => with(200, self.garbage()),
            4 if self.rng.happens(100) => with(200, vec![b' '; LARGE_BYTES]),
            4 => with(200, b"[[[[1,2,3]]]]".to_vec()),
            5 => with(status, self.flipped(body)),
            _ => with(status, self.lying_answer(path, body)),
        }
    }

    fn lying_answer(&self, path: &str, body: Vec<u8>) -> Vec<u8> {
        let watermark = if self.rng.happens(500) { 0 } else { self.rng.next() >> 12 };
        match path {
            "/mesh/v1/deliveries" => changed(body, |answer: &mut DeliveryAnswer| {
                answer.watermark = watermark;
                if self.rng.happens(500) {
                    answer.results.push(ItemResult::Accepted);
                }
            }),
            "/mesh/v1/deliveries:pull" => changed(body, |pulled: &mut Pulled| {
                pulled.more = true;
                pulled.next = watermark;
                for item in pulled.delivery.iter_mut().flat_map(|delivery| &mut delivery.items) {
                    item.envelope = reworded(&item.envelope);
                }
            }),
            "/mesh/v1/records:batch" => changed(body, |answer: &mut RecordsBatchAnswer| {
                for found in &mut answer.records {
                    if let Found::Record(record) = found {
                        record.envelope = reworded(&record.envelope);
                    }
                }
            }),
            _ => self.flipped(body),
        }
    }

    fn flipped(&self, mut body: Vec<u8>) -> Vec<u8> {
        let at = self.rng.below(body.len().max(1) as u64) as usize;
        if let Some(byte) = body.get_mut(at) {
            *byte ^= 1 << self.rng.below(7);
        }
        body
    }

    fn garbage(&self) -> Vec<u8> {
        (0..self.rng.below(300)).map(|_| self.rng.next() as u8).collect()
    }
}

/// A body with a change, or as it is if it is of another type.
fn changed<T: Serialize + DeserializeOwned>(body: Vec<u8>, change: impl FnOnce(&mut T)) -> Vec<u8> {
    match serde_json::from_slice::<T>(&body) {
        Ok(mut value) => {
            change(&mut value);
            serde_json::to_vec(&value).unwrap_or(body)
        }
        Err(_) => body,
    }
}

/// Other words under the same signature.
fn reworded(envelope: &Envelope) -> Envelope {
    let body = String::from_utf8_lossy(envelope.body()).replace("said by", FORGED);
    Envelope::new(envelope.kind(), body.into_bytes(), *envelope.signature()).unwrap_or_else(|_| envelope.clone())
}

fn holds_like(delivery: &Delivery) -> bool {
    delivery.items.iter().any(|item| item.envelope.kind() == Kind::Like)
}

fn keep_likes(path: &str, body: Vec<u8>) -> Spoken {
    let delivery = serde_json::from_slice::<Delivery>(&body).ok().filter(|_| path == "/mesh/v1/deliveries");
    let Some(delivery) = delivery.filter(holds_like) else { return Spoken::Body(body) };
    let answer = DeliveryAnswer {
        results: vec![ItemResult::Accepted; delivery.items.len()],
        watermark: delivery.items.last().map_or(0, |item| item.index + 1),
        cosignature: None,
    };
    Spoken::Instead(Answer { status: 200, retry_after_s: None, body: serde_json::to_vec(&answer).unwrap_or_default() })
}
