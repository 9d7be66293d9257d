//! The part of `write` without HTTP: 64 tasks that give records to the services and wait until they are durable.
#![expect(clippy::print_stdout, reason = "the answers go to the bench that started this process")]

use super::write::Corpus;
use crate::prefill::{Peers, open_node};
use anyhow::bail;
use std::path::Path;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Reads orders from the standard input: a file to load, `go`, or `stop`. Answers each with a line when it is carried out.
pub(crate) async fn run(data: &Path) -> anyhow::Result<()> {
    let node = Arc::new(tokio::task::block_in_place(|| open_node(data, Peers::default()))?);
    let mut corpus = Corpus::new();
    let mut order = String::new();
    // Whoever started this process may end without an order: then the input ends.
    while tokio::task::block_in_place(|| std::io::stdin().read_line(&mut order))? > 0 {
        match order.trim_end() {
            "stop" => break,
            "go" => write(&node, std::mem::take(&mut corpus)).await?,
            path => corpus = serde_json::from_slice(&std::fs::read(path)?)?,
        }
        order.clear();
        println!("done");
    }
    tokio::task::block_in_place(|| node.stop())?;
    println!("done");
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
