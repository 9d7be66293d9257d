//! Backups of a running server, made by the real `meshd backup`: beside plain copies of the same bytes, and under the load of 64 clients who write one record at a time,
//! in slices with and without backups, turn by turn.

use crate::Options;
use crate::benches::write::{CLIENTS, Writers, send};
use crate::prefill::{Prefill, run_folder};
use crate::report::{Bound, Report, percentile_ms, progress};
use crate::server::{Server, program};
use anyhow::{Context, bail};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Pairs of a copy and a backup while nobody writes.
const PAIRS: usize = 7;
/// Records of one client in a slice, and before measuring.
const SLICE: usize = 250;
const WARM_UP: usize = 50;

pub(crate) async fn run(options: &Options) -> anyhow::Result<Report> {
    let prefill = Prefill::get(options).await?;
    let mut writers = Writers::new(&prefill)?;
    let (data, target) = (prefill.copy()?, run_folder()?);
    let server = Server::start(data.path()).await?;
    let place = Place { data: data.path().to_owned(), target: target.path().to_owned() };
    let (bytes, copies, backups) = tokio::task::block_in_place(|| place.pairs())?;

    send(server.address, writers.next(WARM_UP)).await?;
    let (mut without, mut during) = (Vec::new(), Vec::new());
    let mut under_load = (0, Duration::ZERO);
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(options.seconds) || during.is_empty() {
        let corpus = tokio::task::block_in_place(|| writers.next(SLICE));
        without.extend(send(server.address, corpus).await?);
        let corpus = tokio::task::block_in_place(|| writers.next(SLICE));
        let stop = Arc::new(AtomicBool::new(false));
        let (theirs, at) = (Arc::clone(&stop), place.clone());
        let backing_up = tokio::task::spawn_blocking(move || at.backups_until(&theirs));
        let taken = send(server.address, corpus).await;
        stop.store(true, Ordering::Relaxed);
        let (count, time) = backing_up.await??;
        during.extend(taken?);
        under_load = (under_load.0 + count, under_load.1 + time);
        progress(format!("{} writes without, {} beside {} backups", without.len(), during.len(), under_load.0));
    }
    server.stop().await?;

    let mut report = Report::new("backup");
    let megabytes = bytes as f64 / 1e6;
    report.condition(format!(
        "{} references, an archive of {megabytes:.0} MB; medians of {PAIRS} pairs, turn by turn",
        prefill.manifest.references
    ));
    report.condition(format!(
        "under load: {CLIENTS} clients, one record at a time; {} writes without a backup, {} beside {}",
        without.len(),
        during.len(),
        under_load.0
    ));
    let (copy, backup) = (megabytes / median(copies), megabytes / median(backups));
    report.figure("copy_ratio", backup / copy, Bound::Least(0.5), "rate of a backup ÷ rate of a plain synced copy of the same bytes");
    let (normal, beside) = (percentile_ms(&mut without, 99), percentile_ms(&mut during, 99));
    report.figure("p99_ratio", beside / normal, Bound::Most(3.0), "99 of 100 writes beside a backup ÷ the same without");
    report.figure("copy_mb_per_s", copy, Bound::None, "a plain synced copy");
    report.figure("backup_mb_per_s", backup, Bound::None, "a backup, the start of the program and the checks included");
    report.figure("loaded_mb_per_s", megabytes * under_load.0 as f64 / under_load.1.as_secs_f64(), Bound::None, "backups under load");
    report.figure("p99_ms", normal, Bound::None, "99 of 100 writes without a backup take at most this");
    report.figure("p99_beside_ms", beside, Bound::None, "the same beside a backup");
    Ok(report)
}

/// Where things lie.
#[derive(Clone)]
struct Place {
    data: PathBuf,
    target: PathBuf,
}

impl Place {
    /// The bytes of an archive, and what copies and backups took.
    fn pairs(&self) -> anyhow::Result<(u64, Vec<Duration>, Vec<Duration>)> {
        let (archive, copy) = (self.target.join("archive"), self.target.join("copy"));
        self.back_up(&archive)?;
        let bytes = std::fs::metadata(&archive)?.len();
        let (mut copies, mut backups) = (Vec::new(), Vec::new());
        for _ in 0..PAIRS {
            let started = Instant::now();
            plain_copy(&archive, &copy)?;
            copies.push(started.elapsed());
            std::fs::remove_file(&copy)?;
            let other = self.target.join("other");
            backups.push(self.back_up(&other)?);
            std::fs::remove_file(&other)?;
        }
        Ok((bytes, copies, backups))
    }

    /// Makes backups one after the other, until told to stop; the last one is finished. Answers how many and how long they took.
    fn backups_until(&self, stop: &AtomicBool) -> anyhow::Result<(usize, Duration)> {
        let (mut count, mut time) = (0, Duration::ZERO);
        while !stop.load(Ordering::Relaxed) {
            let archive = self.target.join("loaded");
            time += self.back_up(&archive)?;
            std::fs::remove_file(&archive)?;
            count += 1;
        }
        Ok((count, time))
    }

    fn back_up(&self, to: &Path) -> anyhow::Result<Duration> {
        let started = Instant::now();
        let mut command = Command::new(program("meshd")?);
        let status = command
            .args(["backup", "--data"])
            .arg(&self.data)
            .arg("--to")
            .arg(to)
            .stdout(Stdio::null())
            .status()
            .context("cannot start meshd")?;
        if !status.success() {
            bail!("the backup failed");
        }
        Ok(started.elapsed())
    }
}

fn plain_copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::copy(from, to)?;
    File::open(to)?.sync_all()?;
    Ok(())
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0.0, Duration::as_secs_f64)
}
