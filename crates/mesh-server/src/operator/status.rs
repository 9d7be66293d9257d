//! How the domain is.

use super::Desk;
use crate::SOFTWARE;
use crate::problem::Answer;
use axum::Json;
use axum::extract::State;
use mesh_node::Health;
use mesh_proto::address::Domain;
use mesh_proto::log::Origin;
use serde::{Deserialize, Serialize};

/// How a domain is.
#[derive(Debug, Serialize, Deserialize)]
pub struct Status {
    /// Name and version.
    pub software: String,
    /// The domain.
    pub domain: Domain,
    /// `ok`; `full`: no room on the disk, reading works; `failed`: it must be started again.
    pub store: String,
    /// Milliseconds since it was started.
    pub up_ms: u64,
    /// The log, and how many leaves it has.
    pub log: Origin,
    /// Leaves of the log.
    pub leaves: u64,
    /// Other domains that it has met.
    pub domains: usize,
    /// Those of them for which something waits.
    pub domains_waited_for: usize,
    /// Logs of other domains that showed two histories.
    pub forked: Vec<Origin>,
    /// Bytes of the store on disk.
    pub store_bytes: u64,
    /// Bytes of its journal.
    pub journal_bytes: u64,
}

/// `GET /status`.
pub(super) async fn show(State(Desk { node, started_ms, .. }): State<Desk>) -> Answer<Json<Status>> {
    let kept = node.kv().status();
    let waited_for = node.peers.met().iter().map(|peer| node.outbox.waiting(peer.no(), 1)).collect::<Result<Vec<_>, _>>()?;
    Ok(Json(Status {
        software: SOFTWARE.into(),
        domain: node.domain().clone(),
        store: health(kept.health).into(),
        up_ms: node.clock().now_ms().saturating_sub(started_ms),
        log: node.log.origin().clone(),
        leaves: node.log.size(),
        domains: node.peers.met().len(),
        domains_waited_for: waited_for.iter().filter(|waiting| **waiting > 0).count(),
        forked: node.peers.forked(),
        store_bytes: kept.data_bytes,
        journal_bytes: kept.journal_bytes,
    }))
}

fn health(health: Health) -> &'static str {
    match health {
        Health::Ok => "ok",
        Health::Full => "full",
        Health::Failed => "failed",
    }
}
