//! Records of the domain's own people, one at a time: 64 clients over HTTP, compared with 64 waiters who give the same records to the same
//! services without HTTP, in another process over a copy of the same store. In slices, turn by turn, so that both meet the same machine.

use crate::Options;
use crate::content::{Mix, Objects};
use crate::http::{Connection, now_ms};
use crate::people::Person;
use crate::prefill::{OWN_PEOPLE, Prefill, domain};
use crate::process;
use crate::report::{Bound, Report, progress};
use crate::server::Server;
use anyhow::{Context, bail};
use mesh_proto::envelope::Envelope;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

pub(crate) const CLIENTS: usize = 64;
/// Records of one client in a slice.
const SLICE: usize = 500;
/// Records of one client before measuring.
const WARM_UP: usize = 50;
const MIX: Mix = Mix { posts: 30, likes: 45, comments: 20 };

/// What each client sends, in its order.
pub(crate) type Corpus = Vec<Vec<Envelope>>;

/// What one of the two ways took so far.
#[derive(Default)]
struct Side {
    records: usize,
    wall: Duration,
    cpu: Duration,
}

impl Side {
    fn per_cpu_second(&self) -> f64 {
        self.records as f64 / self.cpu.as_secs_f64()
    }

    fn per_second(&self) -> f64 {
        self.records as f64 / self.wall.as_secs_f64()
    }
}

/// People taking turns.
pub(crate) struct Writers {
    people: Vec<Person>,
    objects: Objects,
    turn: u64,
}

impl Writers {
    /// The domain's people, who have not said anything yet.
    pub(crate) fn new(prefill: &Prefill) -> anyhow::Result<Self> {
        Ok(Self { people: Person::many(&domain()?, OWN_PEOPLE)?, objects: prefill.objects()?, turn: 0 })
    }

    /// The next `count` records of each client. A client speaks for one person after the other.
    pub(crate) fn next(&mut self, count: usize) -> Corpus {
        let first = self.turn;
        self.turn += count as u64;
        let people_each = self.people.len() / CLIENTS;
        let one = |client: usize| {
            let records = (first..first + count as u64).map(|turn| {
                let person = &self.people[client * people_each + turn as usize % people_each];
                let content = MIX.content(&self.objects, crate::people::mixed(person.number), turn / people_each as u64);
                person.sign(content, turn, now_ms())
            });
            records.collect::<Vec<_>>()
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let clients: Vec<usize> = (0..CLIENTS).collect();
        std::thread::scope(|scope| {
            let one = &one;
            let threads: Vec<_> = clients
                .chunks(CLIENTS.div_ceil(cores))
                .map(|some| scope.spawn(move || some.iter().map(|client| one(*client)).collect::<Vec<_>>()))
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("a panic is a bug of the bench")).collect()
        })
    }
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<Report> {
    let prefill = Prefill::get(options).await?;
    let mut writers = Writers::new(&prefill)?;
    let (data, other_data) = (prefill.copy()?, prefill.copy()?);
    let server = Server::start(data.path()).await?;
    let mut waiters = Waiters::start(other_data.path())?;
    let mut taken = Vec::new();
    let (mut over_http, mut without) = (Side::default(), Side::default());
    let warm_up = writers.next(WARM_UP);
    waiters.load(other_data.path(), &warm_up)?;
    waiters.go()?;
    send(server.address, warm_up).await?;
    while over_http.wall < Duration::from_secs(options.seconds) {
        let corpus = tokio::task::block_in_place(|| writers.next(SLICE));
        waiters.load(other_data.path(), &corpus)?;
        let (started, cpu) = (Instant::now(), process::cpu(waiters.pid)?);
        waiters.go()?;
        without.wall += started.elapsed();
        without.cpu += process::cpu(waiters.pid)? - cpu;
        without.records += CLIENTS * SLICE;
        let (started, cpu) = (Instant::now(), server.cpu()?);
        taken.extend(send(server.address, corpus).await?);
        over_http.wall += started.elapsed();
        over_http.cpu += server.cpu()? - cpu;
        over_http.records += CLIENTS * SLICE;
        progress(format!(
            "{} records over HTTP in {:.1} s, without in {:.1} s",
            over_http.records,
            over_http.wall.as_secs_f64(),
            without.wall.as_secs_f64()
        ));
    }
    waiters.stop()?;
    server.stop().await?;

    let mut report = Report::new("write");
    report.condition(format!("{CLIENTS} clients, one record at a time; {MIX}; into {} references", prefill.manifest.references));
    report.condition(format!(
        "{} records: HTTP {:.1} s of CPU, without HTTP {:.1} s",
        over_http.records,
        over_http.cpu.as_secs_f64(),
        without.cpu.as_secs_f64()
    ));
    let meaning = "records / CPU second of the server ÷ the same of waiters without HTTP";
    report.figure("ratio", over_http.per_cpu_second() / without.per_cpu_second(), Bound::Least(0.6), meaning);
    report.figure("records_per_cpu_s", over_http.per_cpu_second(), Bound::None, "over HTTP, for each second of the server's CPU time");
    report.figure("waiters_per_cpu_s", without.per_cpu_second(), Bound::None, "without HTTP, for each second of CPU time");
    report.figure("records_per_s", over_http.per_second(), Bound::None, "over HTTP, for each second of the clock");
    report.figure("waiters_per_s", without.per_second(), Bound::None, "without HTTP, for each second of the clock");
    report.latencies(&mut taken, "writes");
    Ok(report)
}

/// Every client sends its records, one after the other.
pub(crate) async fn send(address: SocketAddr, corpus: Corpus) -> anyhow::Result<Vec<Duration>> {
    let mut clients = JoinSet::new();
    for records in corpus {
        clients.spawn(async move {
            let bodies: Vec<Vec<u8>> = records.iter().map(Envelope::to_json).collect();
            let mut connection = Connection::open(address).await?;
            let mut taken = Vec::with_capacity(bodies.len());
            for body in bodies {
                let started = Instant::now();
                let reply = connection.post("/api/v1/records", "", &body).await?;
                taken.push(started.elapsed());
                if reply.status != 201 {
                    bail!("HTTP status {}: {}", reply.status, String::from_utf8_lossy(&reply.body));
                }
            }
            Ok(taken)
        });
    }
    let mut taken = Vec::new();
    while let Some(client) = clients.join_next().await {
        taken.extend(client??);
    }
    Ok(taken)
}

/// The other process: it loads what a file holds, then writes it when told.
struct Waiters {
    child: Child,
    pid: u32,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Waiters {
    fn start(data: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.arg("waiters").arg(data).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let pid = child.id();
        let (orders, answers) = child.stdin.take().zip(child.stdout.take()).context("no pipes")?;
        Ok(Self { child, pid, orders, answers: BufReader::new(answers) })
    }

    fn load(&mut self, folder: &Path, corpus: &Corpus) -> anyhow::Result<()> {
        let path = folder.join("corpus.json");
        std::fs::write(&path, serde_json::to_vec(corpus)?)?;
        self.order(&path.to_string_lossy())
    }

    fn go(&mut self) -> anyhow::Result<()> {
        self.order("go")
    }

    /// Gives an order, waits until it is carried out.
    fn order(&mut self, order: &str) -> anyhow::Result<()> {
        tokio::task::block_in_place(|| {
            writeln!(self.orders, "{order}")?;
            let mut answer = String::new();
            self.answers.read_line(&mut answer)?;
            if answer != "done\n" {
                bail!("the waiters failed");
            }
            Ok(())
        })
    }

    fn stop(mut self) -> anyhow::Result<()> {
        self.order("stop")?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Waiters {
    fn drop(&mut self) {
        // They may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
