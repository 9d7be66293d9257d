//! Coming back after an absence: a server pulls what it missed from eight domains, compared with the same records delivered to it while it runs.
//!
//! Turn by turn, so that both meet the same machine and the same store. What is delivered and what is pulled is made and signed before the clock runs.
//! In the end every counter of every post must be what the records say.

use crate::Options;
use crate::content::Objects;
use crate::crowd::{DOMAINS, INTRODUCTIONS, Identity, MIX, PEOPLE_EACH, introduction, on_all, send};
use crate::http::Connection;
use crate::prefill::Prefill;
use crate::proofs;
use crate::report::{Bound, Report, progress};
use crate::sender::{Packed, Sender, Turns};
use crate::server::Server;
use crate::source::Source;
use anyhow::ensure;
use mesh_proto::api::{DeliveryItem, RecordView};
use mesh_proto::envelope::{Kind, RecordId};
use mesh_proto::limits::BATCH_RECORDS_MAX;
use mesh_proto::record::{Content, Record};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// Pages of one domain in a turn, for each second to be measured, and at most: fewer than one turn of catching up takes.
const PAGES_EACH_SECOND: u64 = 8;
const PAGES_MAX: u64 = 240;
/// What one domain has for a server that was away, in the second part.
const MISSED: usize = 10_000;

/// Records that came, and what that took.
#[derive(Default)]
struct Totals {
    records: usize,
    cpu: Duration,
    wall: Duration,
}

impl Totals {
    fn add(&mut self, records: usize, (cpu, wall): (Duration, Duration)) {
        self.records += records;
        self.cpu += cpu;
        self.wall += wall;
    }

    fn per_cpu_second(&self) -> f64 {
        self.records as f64 / self.cpu.as_secs_f64()
    }

    fn per_second(&self) -> f64 {
        self.records as f64 / self.wall.as_secs_f64()
    }
}

/// One domain's backlog, pulled.
struct Absence {
    seconds: f64,
    requests: usize,
}

/// Likes and comments by post.
type Counts = BTreeMap<RecordId, [u64; 2]>;

/// Domains that are played, with what the counters must be.
struct Cast {
    senders: Vec<Sender>,
    sources: Vec<Arc<Source>>,
    counts: Counts,
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<Report> {
    let prefill = Prefill::get(options).await?;
    let objects = prefill.objects()?;
    let (dense, sparse) = tokio::task::block_in_place(|| proofs::measure(&objects))?;
    let data = prefill.copy()?;
    // One more than deliver: the people of the last one are strangers.
    let mut cast = Cast::new(DOMAINS + 1).await?;
    introduce(&mut cast, data.path(), &objects).await?;

    let pages = (options.seconds * PAGES_EACH_SECOND).clamp(1, PAGES_MAX) as usize;
    let (mut pushed, mut pulled) = (Totals::default(), Totals::default());
    while (pushed.wall + pulled.wall).as_secs() < options.seconds {
        push(&mut cast, data.path(), (&objects, pages), &mut pushed).await?;
        pull(&mut cast, data.path(), (&objects, pages), &mut pulled).await?;
        let rates = (pushed.per_cpu_second(), pulled.per_cpu_second());
        progress(format!("{:.0} records delivered, {:.0} pulled for each second of CPU time", rates.0, rates.1));
    }
    let known = absence(&mut cast, data.path(), (&objects, 0)).await?;
    let strangers = absence(&mut cast, data.path(), (&objects, DOMAINS)).await?;
    let checked = check(&cast, data.path(), &objects).await?;

    let mut report = Report::new("catchup");
    report.condition(format!(
        "{DOMAINS} domains of {PEOPLE_EACH} people, {pages} pages of {BATCH_RECORDS_MAX} records of each in a turn; {MIX}"
    ));
    report.condition(format!("into {} references; {checked} counters are exact in the end", prefill.manifest.references));
    for (what, totals) in [("delivered", &pushed), ("pulled", &pulled)] {
        let (wall, cpu) = (totals.wall.as_secs_f64(), totals.cpu.as_secs_f64());
        report.condition(format!("{} records {what} in {wall:.1} s, {cpu:.1} s of server CPU", totals.records));
    }
    let ratio = pulled.per_cpu_second() / pushed.per_cpu_second();
    report.figure("ratio", ratio, Bound::Least(0.8), "records / CPU second of the server: pulled ÷ delivered");
    report.figure(
        "records_per_cpu_s",
        pulled.per_cpu_second(),
        Bound::None,
        "records pulled for each second of the server's CPU time, its start included",
    );
    report.figure("ingest_per_cpu_s", pushed.per_cpu_second(), Bound::None, "records delivered for each second of the server's CPU time");
    report.figure("records_per_s", pulled.per_second(), Bound::None, "records pulled for each second of the clock");
    report.figure("ingest_per_s", pushed.per_second(), Bound::None, "records delivered for each second of the clock");
    report.figure("requests", known.requests as f64, Bound::Most(200.0), format!("for {MISSED} records of one domain"));
    report.figure("seconds", known.seconds, Bound::Most(10.0), "from ready until they are all stored");
    report.figure("requests_strangers", strangers.requests as f64, Bound::Most(200.0), "the same, but hardly anyone's key log is known");
    report.figure("seconds_strangers", strangers.seconds, Bound::Most(10.0), "from ready until they are all stored");
    proof_figures(&mut report, (&dense, &sparse));
    Ok(report)
}

fn proof_figures(report: &mut Report, (dense, sparse): (&proofs::Overhead, &proofs::Overhead)) {
    let most = Bound::Most(100.0);
    let (leaves, step) = (proofs::LEAVES, proofs::SPARSE);
    let of = |sort: &str| format!("bytes beyond each signed record, {sort}, of a log of {leaves}");
    report.figure("proof_bytes_per_record", dense.compressed, most, of("100 leaves in a row, zstd"));
    report.figure("proof_json_bytes_per_record", dense.json, Bound::None, of("100 leaves in a row, JSON, for whoever reads no zstd"));
    let name = "proof_bytes_per_record_sparse";
    report.figure(name, sparse.compressed, most, of(&format!("every {step}th leaf, zstd")));
    let name = "proof_json_bytes_per_record_sparse";
    report.figure(name, sparse.json, Bound::None, of(&format!("every {step}th leaf, JSON, for whoever reads no zstd")));
}

impl Cast {
    async fn new(domains: usize) -> anyhow::Result<Self> {
        let (mut senders, mut sources) = (Vec::new(), Vec::new());
        for n in 0..domains {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let sender = Sender::new(format!("m{n}.localhost:{}", listener.local_addr()?.port()).parse()?, PEOPLE_EACH)?;
            sources.push(Source::start(&sender, listener)?);
            senders.push(sender);
        }
        Ok(Self { senders, sources, counts: Counts::new() })
    }

    /// The next pages of records of some domains, which count from now on. Nobody likes a post twice.
    fn speak(&mut self, which: Range<usize>, (objects, pages): (&Objects, usize)) -> anyhow::Result<Vec<Vec<Vec<DeliveryItem>>>> {
        let said = on_all(&mut self.senders[which], |sender| {
            let pages: Vec<_> = (0..pages).map(|_| sender.next(MIX, objects, Turns::ByChance)).collect();
            let mut counts = Counts::new();
            for item in pages.iter().flatten() {
                match Record::open(&item.envelope)?.content {
                    Content::Like(like) => counts.entry(like.object.id).or_default()[0] += 1,
                    Content::Comment(comment) => counts.entry(comment.root.id).or_default()[1] += 1,
                    _ => (),
                }
            }
            Ok((pages, counts))
        })?;
        let mut all = Vec::new();
        for (pages, counts) in said {
            for (post, more) in counts {
                let known = self.counts.entry(post).or_default();
                *known = [known[0] + more[0], known[1] + more[1]];
            }
            all.push(pages);
        }
        Ok(all)
    }

    /// The same, offered to whoever pulls.
    fn offer(&mut self, which: Range<usize>, (objects, pages): (&Objects, usize)) -> anyhow::Result<()> {
        let said = self.speak(which.clone(), (objects, pages))?;
        for (n, pages) in which.zip(said) {
            let sender = &mut self.senders[n];
            let missed = sender.missed(pages);
            self.sources[n].offer(missed, sender.size())?;
        }
        Ok(())
    }

    fn identities(&self, server: &Server) -> anyhow::Result<Vec<Arc<Identity>>> {
        self.senders.iter().map(|sender| Identity::new(sender, server.address)).collect()
    }
}

/// Everyone speaks once, but only a hundred of the last domain's people. Notes what the counters are then.
async fn introduce(cast: &mut Cast, data: &Path, objects: &Objects) -> anyhow::Result<()> {
    progress("everyone introduces themselves");
    let server = Server::start(data).await?;
    let (all, few) = cast.senders.split_at_mut(DOMAINS);
    let mut introductions = on_all(all, |sender| introduction(sender, objects, INTRODUCTIONS))?;
    introductions.extend(on_all(few, |sender| introduction(sender, objects, 1))?);
    send(&cast.identities(&server)?, introductions).await?;
    cast.counts = counters(server.address, objects).await?;
    server.stop().await
}

/// Records are delivered to a running server.
async fn push(cast: &mut Cast, data: &Path, (objects, pages): (&Objects, usize), totals: &mut Totals) -> anyhow::Result<()> {
    let said = cast.speak(0..DOMAINS, (objects, pages))?;
    let mut packed = Vec::new();
    for (sender, pages) in cast.senders.iter_mut().zip(said) {
        packed.push(sender.deliveries(pages).iter().map(Packed::new).collect::<anyhow::Result<Vec<_>>>()?);
    }
    let server = Server::start(data).await?;
    let (cpu, started) = (server.cpu()?, Instant::now());
    let (records, _) = send(&cast.identities(&server)?, packed).await?;
    totals.add(records, (server.cpu()? - cpu, started.elapsed()));
    server.stop().await
}

/// As many records are pulled by a server that starts.
async fn pull(cast: &mut Cast, data: &Path, (objects, pages): (&Objects, usize), totals: &mut Totals) -> anyhow::Result<()> {
    cast.offer(0..DOMAINS, (objects, pages))?;
    let started = Instant::now();
    let server = Server::start(data).await?;
    let mut done = started;
    for source in &cast.sources[..DOMAINS] {
        done = done.max(source.pulled().await?);
    }
    totals.add(DOMAINS * pages * BATCH_RECORDS_MAX, (server.cpu()?, done - started));
    server.stop().await
}

/// One domain has a backlog.
async fn absence(cast: &mut Cast, data: &Path, (objects, which): (&Objects, usize)) -> anyhow::Result<Absence> {
    cast.offer(which..which + 1, (objects, MISSED / BATCH_RECORDS_MAX))?;
    let server = Server::start(data).await?;
    let (ready, source) = (Instant::now(), &cast.sources[which]);
    let done = source.pulled().await?;
    let absence = Absence { seconds: done.saturating_duration_since(ready).as_secs_f64(), requests: source.requests() };
    server.stop().await?;
    Ok(absence)
}

/// Fails unless every counter is what was said. Answers how many there are.
async fn check(cast: &Cast, data: &Path, objects: &Objects) -> anyhow::Result<usize> {
    let server = Server::start(data).await?;
    let counts = counters(server.address, objects).await?;
    server.stop().await?;
    for (post, count) in &counts {
        let said = cast.counts.get(post).copied().unwrap_or_default();
        ensure!(*count == said, "post {post} has {count:?} likes and comments, but {said:?} were made");
    }
    Ok(counts.len() * 2)
}

async fn counters(address: SocketAddr, objects: &Objects) -> anyhow::Result<Counts> {
    let mut connection = Connection::open(address).await?;
    let mut counts = Counts::new();
    for post in &objects.posts {
        let view: RecordView = connection.get(&format!("/api/v1/records/{}", post.id)).await?.json()?;
        let count = |kind| view.counts.get(&kind).copied().unwrap_or_default();
        counts.insert(post.id, [count(Kind::Like), count(Kind::Comment)]);
    }
    Ok(counts)
}
