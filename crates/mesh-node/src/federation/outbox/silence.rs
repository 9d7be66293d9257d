//! Destinations to which nothing can be delivered: since when, and when it is no use to go on. They pull what they missed; rows and cursor stay.

use super::Outbox;
use crate::tables::PeerNo;
use crate::tables::codec::{Reader, put_time};
use mesh_store::{Batch, Space};
use std::sync::Arc;

/// After so long in vain nothing is sent until the destination shows a sign of life.
const GIVE_UP_MS: u64 = 7 * 24 * 3_600_000;

/// Since when deliveries fail, if they do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Silence(Option<u64>);

impl Silence {
    pub(super) fn is_too_long(self, now_ms: u64) -> bool {
        self.0.is_some_and(|since| now_ms.saturating_sub(since) >= GIVE_UP_MS)
    }
}

/// What came of some deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Delivered,
    Failed,
}

impl Outbox {
    /// What is known of a destination; what cannot be read counts as nothing.
    pub(super) fn silence(&self, no: PeerNo) -> Silence {
        let row = self.kv.get(Space::Silent, &no.0.to_be_bytes()).ok().flatten();
        Silence(row.and_then(|row| Reader::new(&row, "silent").time().ok()))
    }

    /// Since when nothing can be delivered to a destination, milliseconds since the epoch, if that is so.
    pub fn failing_since(&self, no: PeerNo) -> Option<u64> {
        self.silence(no).0
    }

    /// The silence goes on, begins or ends. It is kept over a restart.
    pub(super) async fn silence_after(&self, no: PeerNo, silence: Silence, outcome: Outcome) -> Silence {
        let now = match (silence, outcome) {
            (Silence(Some(_)), Outcome::Failed) | (Silence(None), Outcome::Delivered) => return silence,
            (Silence(None), Outcome::Failed) => Some(self.clock.now_ms()),
            (Silence(Some(_)), Outcome::Delivered) => None,
        };
        let mut batch = Batch::new();
        match now {
            Some(now) => {
                let mut row = Vec::with_capacity(6);
                put_time(&mut row, now);
                batch.put(Space::Silent, no.0.to_be_bytes(), row);
            }
            None => drop(batch.delete(Space::Silent, no.0.to_be_bytes())),
        }
        if let Err(error) = self.kv.commit(batch).await {
            tracing::warn!(error.message = %error, "outbox.silence_not_kept");
        }
        Silence(now)
    }

    /// Waits until the domain shows a sign of life, for ever if need be.
    pub(super) async fn until_sign_of_life(&self, no: PeerNo) {
        let alive = Arc::clone(self.asleep().entry(no).or_default());
        alive.notified().await;
        self.asleep().remove(&no);
    }
}
