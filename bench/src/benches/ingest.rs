//! Records of other domains through the whole receiving path: HTTP, request signature, zstd, JSON, log proof, record signatures, references,
//! counters, durable commit. Compared with nothing but verifying the same record signatures.
//!
//! Eight domains are played here, keys served over real HTTP. Everything that they send is made and signed before the clock runs, in slices:
//! make, verify the baseline, deliver. Only the request signatures are made while delivering, as they hold for seconds.

use crate::Options;
use crate::baseline::Baseline;
use crate::content::{Mix, Objects};
use crate::http::{Connection, answer_all, signed};
use crate::prefill::{Prefill, domain};
use crate::report::{Bound, Report, progress};
use crate::sender::{Packed, Sender, Turns};
use crate::server::Server;
use anyhow::{Context, bail};
use mesh_proto::api::{DeliveryAnswer, ItemResult};
use mesh_proto::key::SecretKey;
use mesh_proto::limits::BATCH_RECORDS_MAX;
use mesh_proto::record::Record;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const DOMAINS: usize = 8;
const PEOPLE_EACH: u64 = 1_280;
/// Deliveries of one domain that are under way at once.
const AT_ONCE: usize = 2;
/// Deliveries of one domain in a slice.
const SLICE: usize = 125;
const MIX: Mix = Mix { posts: 0, likes: 60, comments: 30 };
/// How long the baseline is measured in each slice.
const BASELINE: Duration = Duration::from_millis(1_500);

/// How a domain sends.
struct Identity {
    address: SocketAddr,
    target: String,
    keyid: String,
    key: SecretKey,
}

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
    let target = format!("{}/mesh/v1/deliveries", domain()?.base_url());
    let identity = |sender: &Sender| Identity {
        address: server.address,
        target: target.clone(),
        keyid: sender.keyid(),
        key: sender.request_key.clone(),
    };
    let identities: Vec<Arc<Identity>> = senders.iter().map(|sender| Arc::new(identity(sender))).collect();
    progress("everyone introduces themselves");
    let introductions = on_all(&mut senders, |sender| introduction(sender, &objects))?;
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

/// Lets all domains work at once.
fn on_all<T: Send>(senders: &mut [Sender], work: impl Fn(&mut Sender) -> anyhow::Result<T> + Sync) -> anyhow::Result<Vec<T>> {
    tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            let work = &work;
            let threads: Vec<_> = senders.iter_mut().map(|sender| scope.spawn(move || work(sender))).collect();
            threads.into_iter().map(|thread| thread.join().expect("a panic is a bug of the bench")).collect()
        })
    })
}

/// At least one statement of everyone, with the key logs of those who speak.
fn introduction(sender: &mut Sender, objects: &Objects) -> anyhow::Result<Vec<Packed>> {
    let parts = (0..sender.people.len().div_ceil(BATCH_RECORDS_MAX)).map(|_| sender.next(MIX, objects, Turns::InOrder)).collect();
    let deliveries = sender.deliveries(parts).into_iter().map(|mut delivery| {
        delivery.keys = sender.keys_of(&delivery)?;
        Packed::new(&delivery)
    });
    deliveries.collect()
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

/// Delivers everything; answers the number of records and what each delivery took.
async fn send(identities: &[Arc<Identity>], deliveries: Vec<Vec<Packed>>) -> anyhow::Result<(usize, Vec<Duration>)> {
    let mut lanes = JoinSet::new();
    for (identity, deliveries) in identities.iter().zip(deliveries) {
        let waiting = Arc::new(Mutex::new(deliveries.into_iter()));
        for _ in 0..AT_ONCE {
            lanes.spawn(lane(Arc::clone(identity), Arc::clone(&waiting)));
        }
    }
    let (mut records, mut taken) = (0, Vec::new());
    while let Some(lane) = lanes.join_next().await {
        let (delivered, times) = lane??;
        records += delivered;
        taken.extend(times);
    }
    Ok((records, taken))
}

async fn lane(identity: Arc<Identity>, waiting: Arc<Mutex<std::vec::IntoIter<Packed>>>) -> anyhow::Result<(usize, Vec<Duration>)> {
    let mut connection = Connection::open(identity.address).await?;
    let (mut records, mut taken) = (0, Vec::new());
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
        let Some(packed) = next else { return Ok((records, taken)) };
        let headers = signed("POST", &identity.target, packed.digest, (&identity.keyid, &identity.key))?;
        let started = Instant::now();
        let reply = connection.post("/mesh/v1/deliveries", &format!("{headers}content-encoding: zstd\r\n"), &packed.body).await?;
        taken.push(started.elapsed());
        let answer: DeliveryAnswer = reply.json()?;
        if let Some(other) = answer.results.iter().find(|result| **result != ItemResult::Accepted) {
            bail!("a delivery was not accepted: {other:?}");
        }
        records += packed.records;
    }
}
