//! `meshd verify`: compares what a stopped domain has of others with what they have, and mends it if asked to.

use crate::config::Folder;
use crate::serve;
use anyhow::Context;
use mesh_node::healing::{Aim, Report};
use mesh_node::{Node, NodeError};
use mesh_proto::address::Domain;
use std::sync::Arc;

/// What came of comparing with one domain.
pub struct Compared {
    /// The other domain.
    pub domain: Domain,
    /// What was found and done.
    pub outcome: Result<Report, NodeError>,
}

/// Compares with every domain that is known, one after the other; `told` hears of each when it is done. The store must be nobody else's.
pub async fn run(folder: &Folder, aim: Aim, told: impl FnMut(&Compared)) -> anyhow::Result<Vec<Compared>> {
    let node = tokio::task::block_in_place(|| serve::open(folder)).with_context(in_use)?;
    let compared = compare(&node, aim, told).await;
    tokio::task::spawn_blocking(move || node.stop()).await??;
    Ok(compared)
}

fn in_use() -> &'static str {
    "cannot open the data folder. A server that runs on it compares and repairs by itself: every domain once a day, and sooner when a domain contradicts \
     itself (its log says healing.done). To do it now, stop the server first"
}

async fn compare(node: &Node, aim: Aim, mut told: impl FnMut(&Compared)) -> Vec<Compared> {
    let mut all = Vec::new();
    for peer in node.peers.met() {
        // What was not delivered yet is no difference.
        let outcome = match node.catchup.pull(&peer).await {
            Ok(_) => Arc::clone(&node.healing).heal(&peer, aim).await,
            Err(error) => Err(error),
        };
        let compared = Compared { domain: peer.domain().clone(), outcome };
        told(&compared);
        all.push(compared);
    }
    all
}

/// A line of the table, as wide as [`HEADER`].
pub fn line(compared: &Compared) -> String {
    match &compared.outcome {
        Ok(report) => format!(
            "{:<40} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9}",
            compared.domain.as_str(),
            report.compared,
            report.missing,
            report.extra,
            report.fetched,
            report.dropped,
            report.disputed,
            report.bytes
        ),
        Err(error) => format!("{:<40} {error}", compared.domain.as_str()),
    }
}

/// Above the lines.
pub const HEADER: &str = "domain                                    compared  missing    extra  fetched  dropped disputed     bytes";
