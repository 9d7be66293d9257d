//! What a server takes that has nothing to do: memory, and the time until it is ready.

use crate::Options;
use crate::prefill::{Prefill, domain, run_folder};
use crate::report::{Bound, Report};
use crate::server::{Server, set_up};
use std::path::Path;
use std::time::Duration;

/// Starts of which the middle one is told.
const STARTS: usize = 5;
/// How long the server has nothing to do before its memory is looked at.
const REST: Duration = Duration::from_secs(2);

pub(crate) async fn run(options: &Options) -> anyhow::Result<Report> {
    let empty = run_folder()?;
    set_up(empty.path(), &domain()?)?;
    let (ready, rss) = starts(empty.path()).await?;
    let prefill = Prefill::get(options).await?;
    let filled = prefill.copy()?;
    let (ready_filled, rss_filled) = starts(filled.path()).await?;
    let server = Server::start(filled.path()).await?;
    server.kill()?;
    let server = Server::start(filled.path()).await?;
    let ready_after_kill = server.ready;
    server.stop().await?;

    let mut report = Report::new("idle");
    report.condition(format!("the middle of {STARTS} starts; full: {} references", prefill.manifest.references));
    report.figure("rss_mb", rss, Bound::Most(64.0), "memory of an empty server, 2 s after it was ready");
    report.figure("ready_ms", ms(ready), Bound::Most(300.0), "from the start of an empty server until /readyz says so");
    report.figure("ready_1m_ms", ms(ready_filled), Bound::Most(2_000.0), "the same, of a full one");
    report.figure("ready_1m_killed_ms", ms(ready_after_kill), Bound::None, "the same, after kill -9 at rest");
    report.figure("rss_1m_mb", rss_filled, Bound::None, "memory of a full one, 2 s after it was ready");
    Ok(report)
}

/// The middle time until ready, and the memory of the last start.
async fn starts(data: &Path) -> anyhow::Result<(Duration, f64)> {
    let mut ready = Vec::new();
    let mut rss_mb = 0.0;
    for start in 1..=STARTS {
        let server = Server::start(data).await?;
        ready.push(server.ready);
        if start == STARTS {
            tokio::time::sleep(REST).await;
            rss_mb = server.rss_mb()?;
        }
        server.stop().await?;
    }
    ready.sort_unstable();
    Ok((ready[STARTS / 2], rss_mb))
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
