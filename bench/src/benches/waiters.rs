//! The part of `write` without HTTP: 64 tasks that give records to the services and wait until they are durable.
#![expect(clippy::print_stdout, reason = "the answers go to the bench that started this process")]

use super::write::Corpus;
use crate::prefill::{Peers, open_node};
use anyhow::bail;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::task::JoinSet;

/// Reads orders from the standard input: a file to load, or `go`. Answers each with a line when it is carried out.
pub(crate) async fn run(data: &Path) -> anyhow::Result<()> {
    let node = Arc::new(tokio::task::block_in_place(|| open_node(data, Peers::default()))?);
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    let mut corpus = Corpus::new();
    while let Some(order) = orders.next_line().await? {
        match order.as_str() {
            "go" => write(&node, std::mem::take(&mut corpus)).await?,
            path => corpus = serde_json::from_slice(&std::fs::read(path)?)?,
        }
        println!("done");
    }
    tokio::task::block_in_place(|| node.stop())?;
    Ok(())
}

async fn write(node: &Arc<mesh_node::Node>, corpus: Corpus) -> anyhow::Result<()> {
    let mut waiters = JoinSet::new();
    for records in corpus {
        let node = Arc::clone(node);
        waiters.spawn(async move {
            for record in records {
                let (is_new, _) = node.records.submit(record).await?;
                if !is_new {
                    bail!("a record was known already");
                }
            }
            Ok(())
        });
    }
    while let Some(waiter) = waiters.join_next().await {
        waiter??;
    }
    Ok(())
}
