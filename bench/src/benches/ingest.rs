//! Records of other domains through the whole receiving path: HTTP, request signature, zstd, JSON, log proof, record signatures, references,
//! counters, durable commit. Compared with nothing but verifying the same record signatures.
//!
//! Eight domains are played here, keys served over real HTTP. Everything that they send is made and signed before the clock runs, in slices:
//! make, verify the baseline, deliver. Only the request signatures are made while delivering, as they hold for seconds.

use crate::Options;
use crate::baseline::Baseline;
use crate::content::Objects;
use crate::crowd::{AT_ONCE, DOMAINS, INTRODUCTIONS, Identity, MIX, PEOPLE_EACH, introduction, on_all, send};
use crate::http::answer_all;
use crate::prefill::Prefill;
use crate::report::{Bound, Report, progress};
use crate::sender::{Packed, Sender, Turns};
use crate::server::Server;
use anyhow::Context;
use mesh_proto::limits::BATCH_RECORDS_MAX;
use mesh_proto::record::Record;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// Deliveries of one domain in a slice.
const SLICE: usize = 125;
/// How long the baseline is measured in each slice.
const BASELINE: Duration = Duration::from_millis(1_500);

#[derive(Default)]
struct Totals {
    records: usize,
    wall: Duration,
    taken: Vec<Duration>,
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<Report> {
    let prefill = Prefill::get(options).await?;
    let objects = prefill.objects()?;
    let data = prefill.copy()?;
    let server = Server::start(data.path()).await?;
    let mut senders = Vec::new();
    for n in 0..DOMAINS {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let sender = Sender::new(format!("m{n}.localhost:{}", listener.local_addr()?.port()).parse()?, PEOPLE_EACH)?;
        tokio::spawn(answer_all(listener, serde_json::to_vec(&sender.discovery())?));
        senders.push(sender);
    }
    let identities = senders.iter().map(|sender| Identity::new(sender, server.address)).collect::<anyhow::Result<Vec<Arc<_>>>>()?;
    progress("everyone introduces themselves");
    let introductions = on_all(&mut senders, |sender| introduction(sender, &objects, INTRODUCTIONS))?;
    send(&identities, introductions).await?;

    let mut totals = Totals::default();
    let mut baseline = sample(&mut senders, &objects)?;
    let wanted = Duration::from_secs(options.seconds);
    let mut cpu_before = None;
    while totals.wall < wanted {
        let slice = on_all(&mut senders, |sender| {
            let parts = (0..SLICE).map(|_| sender.next(MIX, &objects, Turns::ByChance)).collect();
            sender.deliveries(parts).iter().map(Packed::new).collect()
        })?;
        tokio::task::block_in_place(|| baseline.measure(BASELINE));
        // From here on all of the server's time counts, what it does between slices too.
        let cpu_before = cpu_before.get_or_insert(server.cpu()?);
        let started = Instant::now();
        let (records, taken) = send(&identities, slice).await?;
        totals.wall += started.elapsed();
        totals.records += records;
        totals.taken.extend(taken);
        let cpu = (server.cpu()? - *cpu_before).as_secs_f64();
        progress(format!("{} records in {:.1} s, {:.1} s of server CPU", totals.records, totals.wall.as_secs_f64(), cpu));
    }
    let cpu = server.cpu()? - cpu_before.context("nothing was measured")?;
    let rss_mb = server.rss_mb()?;
    server.stop().await?;
    Ok(report(&prefill, &mut totals, (cpu, rss_mb), &baseline))
}

fn report(prefill: &Prefill, totals: &mut Totals, (cpu, rss_mb): (Duration, f64), baseline: &Baseline) -> Report {
    let mut report = Report::new("ingest");
    report.condition(format!(
        "{} domains of {PEOPLE_EACH} people, {AT_ONCE} deliveries of each under way, {BATCH_RECORDS_MAX} records each",
        DOMAINS
    ));
    report.condition(format!("{MIX}; messages of {} bytes; into {} references", baseline.message_bytes(), prefill.manifest.references));
    report.condition(format!("{} records in {:.1} s, {:.1} s of server CPU", totals.records, totals.wall.as_secs_f64(), cpu.as_secs_f64()));
    let per_cpu_second = totals.records as f64 / cpu.as_secs_f64();
    let bare = baseline.per_cpu_second();
    report.figure(
        "ratio",
        per_cpu_second / bare,
        Bound::Least(0.5),
        "records / CPU second of the server ÷ bare verifications / CPU second",
    );
    report.figure("records_per_cpu_s", per_cpu_second, Bound::None, "records for each second of the server's CPU time");
    report.figure("verifies_per_cpu_s", bare, Bound::None, "strict verifications for each second of CPU time, both cores busy");
    report.figure("records_per_s", totals.records as f64 / totals.wall.as_secs_f64(), Bound::None, "records for each second of the clock");
    report.figure("rss_mb", rss_mb, Bound::None, "memory of the server in the end");
    report.latencies(&mut totals.taken, "deliveries");
    report
}

/// The baseline: records as they are about to be delivered, of everyone.
fn sample(senders: &mut [Sender], objects: &Objects) -> anyhow::Result<Baseline> {
    let mut records = Vec::new();
    for sender in senders {
        for _ in 0..PEOPLE_EACH as usize / BATCH_RECORDS_MAX {
            for item in sender.next(MIX, objects, Turns::InOrder) {
                let key = Record::open(&item.envelope)?.head.device.verifier()?;
                records.push((key, item.envelope));
            }
        }
    }
    Ok(Baseline::new(records))
}
