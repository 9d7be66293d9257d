//! What waits for other domains.

use super::Desk;
use crate::problem::Answer;
use axum::Json;
use axum::extract::State;
use mesh_proto::address::Domain;
use serde::{Deserialize, Serialize};

/// Rows that are counted for one domain at most: what is more is said to be so many.
const COUNTED_MAX: usize = 10_000;

/// What waits for other domains.
#[derive(Debug, Serialize, Deserialize)]
pub struct Queue {
    /// The domains for which something waits.
    pub destinations: Vec<Destination>,
}

/// A domain for which something waits.
#[derive(Debug, Serialize, Deserialize)]
pub struct Destination {
    /// The domain.
    pub domain: Domain,
    /// Rows that wait; counted up to 10,000 in order and as many out of order.
    pub waiting: usize,
    /// Since when deliveries fail, milliseconds since the epoch, if they do.
    pub failing_since: Option<u64>,
}

/// `GET /queue`.
pub(super) async fn show(State(Desk { node, .. }): State<Desk>) -> Answer<Json<Queue>> {
    let mut destinations = Vec::new();
    for peer in node.peers.met() {
        let (waiting, failing_since) = (node.outbox.waiting(peer.no(), COUNTED_MAX)?, node.outbox.failing_since(peer.no()));
        if waiting > 0 || failing_since.is_some() {
            destinations.push(Destination { domain: peer.domain().clone(), waiting, failing_since });
        }
    }
    Ok(Json(Queue { destinations }))
}
