//! What a destination refused because it does not know yet what it acts on. That may be on its way from a third domain, as after a move: it is sent
//! again every hour for a day. Only memory: what a restart forgets, healing finds.

use super::Outbox;
use crate::error::Result;
use crate::queue;
use crate::tables::{PeerNo, outbox_key};
use mesh_store::{Batch, Space};
use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;
use tokio::time::Instant;

/// How long such a record waits.
const AGAIN: Duration = Duration::from_secs(3_600);
/// How often it is sent again.
const TRIES_MAX: u32 = 24;
/// Records that wait so at most, about 50 bytes each.
const EARLY_MAX: usize = 100_000;

/// The records that wait: how often each was sent again, and when it is its turn.
#[derive(Debug, Default)]
pub(crate) struct Early(BTreeMap<(PeerNo, u64), (u32, Option<Instant>)>);

impl Outbox {
    /// Notes what came of records that are not in order.
    pub(super) fn note_early(&self, peer: PeerNo, dealt: &[u64], early: &[u64]) {
        let mut known = self.early.lock().unwrap_or_else(PoisonError::into_inner);
        for number in dealt {
            let tries = known.0.remove(&(peer, *number)).map_or(0, |(tries, _)| tries + 1);
            if early.contains(number) && tries < TRIES_MAX && known.0.len() < EARLY_MAX {
                known.0.insert((peer, *number), (tries, Some(Instant::now() + AGAIN)));
            }
        }
    }

    /// Waits until some are due.
    pub(super) async fn until_early(&self) {
        let next = self.early.lock().unwrap_or_else(PoisonError::into_inner).0.values().filter_map(|(_, due)| *due).min();
        match next {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// Queues those that are due. Answers for whom.
    pub(super) async fn queue_early(&self) -> Result<Vec<PeerNo>> {
        let now = Instant::now();
        let due: Vec<(PeerNo, u64)> = {
            let mut known = self.early.lock().unwrap_or_else(PoisonError::into_inner);
            let due = known.0.iter_mut().filter_map(|(place, (_, due))| due.take_if(|due| *due <= now).map(|_| *place));
            due.collect()
        };
        let mut batch = Batch::new();
        let mut peers = Vec::new();
        for (peer, number) in due {
            if self.kv.get(Space::Outbox, &outbox_key(peer, number))?.is_some_and(|row| queue::is_refused(&row)) {
                queue::put_wanted(&mut batch, peer, number);
                batch.put(Space::Late, outbox_key(peer, number), []);
                peers.push(peer);
            }
        }
        peers.dedup();
        self.kv.commit(batch).await?;
        Ok(peers)
    }
}
