//! A post with ten thousand comments: pages of 50 with cached bodies, and its counters, which must cost the same as those of a quiet post.

use crate::Options;
use crate::http::Connection;
use crate::prefill::{Prefill, THREADS};
use crate::report::{Bound, Report};
use crate::server::Server;
use anyhow::bail;
use mesh_proto::api::{Comments, RecordView};
use mesh_proto::envelope::{Kind, RecordId};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const READERS: usize = 4;
const PAGE: usize = 50;

/// What is asked for again and again.
#[derive(Clone, Copy)]
enum Asked {
    /// The pages of the thread, one after the other.
    Pages,
    /// The record alone, with its counters.
    Record,
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<Report> {
    let prefill = Prefill::get(options).await?;
    let data = prefill.copy()?;
    let server = Server::start(data.path()).await?;
    let (long, short) = (prefill.manifest.long_thread, prefill.manifest.short_thread);
    let mut connection = Connection::open(server.address).await?;
    let comments = count(&mut connection, long).await?;
    if comments < THREADS.0 {
        bail!("the thread has only {comments} comments");
    }
    let few = count(&mut connection, short).await?;
    let time = Duration::from_secs(options.seconds);
    // One walk through everything fills the caches.
    measure(&server, (long, Asked::Pages), Duration::ZERO).await?;
    let (page, mut taken) = measure(&server, (long, Asked::Pages), time).await?;
    // Turn by turn, so that both meet the same machine.
    let (mut many, mut quiet) = (0.0, 0.0);
    for _ in 0..COUNT_TURNS {
        many += measure(&server, (long, Asked::Record), time / (2 * COUNT_TURNS)).await?.0;
        quiet += measure(&server, (short, Asked::Record), time / (2 * COUNT_TURNS)).await?.0;
    }
    server.stop().await?;

    let mut report = Report::new("thread");
    report.condition(format!(
        "{comments} comments, {} references, {READERS} readers at once, all pages of {PAGE}",
        prefill.manifest.references
    ));
    report.figure("cpu_ms", page, Bound::Most(2.0), "CPU time of the server for one page");
    report.figure(
        "count_ratio",
        many / quiet,
        Bound::Most(1.2),
        format!("the record with its counters: {comments} comments ÷ {few} comments"),
    );
    report.figure("record_cpu_ms", many / f64::from(COUNT_TURNS), Bound::None, "CPU time of the server for the record with its counters");
    report.latencies(&mut taken, "pages");
    Ok(report)
}

const COUNT_TURNS: u32 = 4;

async fn count(connection: &mut Connection, id: RecordId) -> anyhow::Result<u64> {
    let view: RecordView = connection.get(&format!("/api/v1/records/{id}")).await?.json()?;
    Ok(view.counts.get(&Kind::Comment).copied().unwrap_or_default())
}

/// CPU milliseconds of the server for each answer.
async fn measure(server: &Server, (id, asked): (RecordId, Asked), time: Duration) -> anyhow::Result<(f64, Vec<Duration>)> {
    let cpu = server.cpu()?;
    let mut readers = JoinSet::new();
    for _ in 0..READERS {
        readers.spawn(read(server.address, (id, asked), time));
    }
    let mut taken = Vec::new();
    while let Some(reader) = readers.join_next().await {
        taken.extend(reader??);
    }
    Ok(((server.cpu()? - cpu).as_secs_f64() * 1000.0 / taken.len() as f64, taken))
}

/// Reads for a while; whole threads, at least once.
async fn read(address: SocketAddr, (id, asked): (RecordId, Asked), time: Duration) -> anyhow::Result<Vec<Duration>> {
    let started = Instant::now();
    let mut connection = Connection::open(address).await?;
    let mut taken = Vec::new();
    loop {
        match asked {
            Asked::Pages => walk(&mut connection, id, &mut taken).await?,
            Asked::Record => {
                let asked = Instant::now();
                count(&mut connection, id).await?;
                taken.push(asked.elapsed());
            }
        }
        if started.elapsed() >= time {
            return Ok(taken);
        }
    }
}

async fn walk(connection: &mut Connection, id: RecordId, taken: &mut Vec<Duration>) -> anyhow::Result<()> {
    let mut after = String::new();
    loop {
        let started = Instant::now();
        let page: Comments = connection.get(&format!("/api/v1/records/{id}/comments?limit={PAGE}{after}")).await?.json()?;
        taken.push(started.elapsed());
        if page.comments.iter().any(|comment| comment.record.is_none()) {
            bail!("a body is not cached");
        }
        match page.next {
            Some(next) => after = format!("&after={next}"),
            None => return Ok(()),
        }
    }
}
