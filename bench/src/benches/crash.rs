//! kill -9 under write load, again and again: what was acknowledged is there, and the log only ever grows.
//!
//! The bench keeps the log's tree as it reads it, entry by entry. Each checkpoint that the server ever showed must have the root that the tree had
//! at that size: so no later log differs from what was shown before. In the end everything is read once more from the beginning.

use crate::http::{Connection, now_ms};
use crate::people::{Person, mixed};
use crate::prefill::{domain, run_folder};
use crate::report::{Bound, Report, progress};
use crate::server::{Server, set_up};
use anyhow::{Context, bail, ensure};
use mesh_proto::api::{Accepted, Discovery, DomainKeyUse, NewAccount, RecordView, Registered};
use mesh_proto::bytes::Hash;
use mesh_proto::key::Verifier;
use mesh_proto::limits::TILE_WIDTH;
use mesh_proto::log::{Checkpoint, Origin, Tree, entry_hash};
use mesh_proto::record::{Content, Post};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

const CLIENTS: usize = 32;
/// How long a server writes before it is killed.
const LIFE_MS: std::ops::Range<u64> = 20..220;
/// Cycles between two reports.
const REPORT_EVERY: u64 = 100;

/// The log as it was shown.
struct Shown {
    origin: Origin,
    key: Verifier,
    tree: Tree,
    /// The root at each size that the tree went through.
    roots: Vec<Hash>,
    /// Checkpoints that were shown, by size.
    checkpoints: BTreeMap<u64, Hash>,
}

pub(crate) async fn run(cycles: u64) -> anyhow::Result<Report> {
    let data = run_folder()?;
    let domain = domain()?;
    set_up(data.path(), &domain)?;
    let people: Vec<Arc<Person>> = Person::many(&domain, CLIENTS as u64)?.into_iter().map(Arc::new).collect();
    let mut server = Server::start(data.path()).await?;
    let mut connection = Connection::open(server.address).await?;
    register(&mut connection, &people).await?;
    let mut shown = Shown::begin(&mut connection).await?;
    let count = Arc::new(AtomicU64::new(0));
    let (mut acknowledged, mut lost, mut ready) = (Vec::new(), 0, Vec::new());
    for cycle in 1..=cycles {
        let (written, seen) = write_until_killed(server, &people, &count, cycle).await?;
        server = Server::start(data.path()).await?;
        ready.push(server.ready);
        let mut connection = Connection::open(server.address).await?;
        shown.checkpoints.extend(seen.iter().map(|note| shown.open(note)).collect::<anyhow::Result<Vec<_>>>()?);
        shown.catch_up(&mut connection).await?;
        lost += missing(server.address, &written).await?;
        acknowledged.extend(written);
        if cycle % REPORT_EVERY == 0 {
            progress(format!(
                "{cycle} cycles, {} records acknowledged, {lost} lost, the log has {} leaves",
                acknowledged.len(),
                shown.tree.size()
            ));
        }
    }
    progress("everything once more");
    lost += missing(server.address, &acknowledged).await?;
    let mut connection = Connection::open(server.address).await?;
    shown.read_again(&mut connection).await?;
    server.stop().await?;

    let mut report = Report::new("crash");
    report.condition(format!(
        "{CLIENTS} clients write posts; kill -9 after {} to {} ms; each checkpoint shown is compared",
        LIFE_MS.start, LIFE_MS.end
    ));
    report.figure("lost", lost as f64, Bound::Most(0.0), "acknowledged records that were not there after a start");
    report.figure("cycles", cycles as f64, Bound::None, "kills");
    report.figure("acknowledged", acknowledged.len() as f64, Bound::None, "records acknowledged");
    report.figure("leaves", shown.tree.size() as f64, Bound::None, "leaves of the log in the end");
    report.figure("checkpoints", shown.checkpoints.len() as f64, Bound::None, "different checkpoints that were shown, all consistent");
    ready.sort_unstable();
    let slowest = ready.last().map_or(0.0, |ready| ready.as_secs_f64() * 1000.0);
    report.figure("ready_ms_max", slowest, Bound::None, "the slowest start after a kill");
    Ok(report)
}

async fn register(connection: &mut Connection, people: &[Arc<Person>]) -> anyhow::Result<()> {
    for person in people {
        let new = NewAccount { genesis: person.genesis.envelope.clone(), admission: Default::default() };
        connection.post("/api/v1/accounts", "", &serde_json::to_vec(&new)?).await?.json::<Registered>()?;
    }
    Ok(())
}

/// Lets everyone write until the server is killed; answers what was acknowledged, and the checkpoints that were seen meanwhile.
async fn write_until_killed(
    server: Server,
    people: &[Arc<Person>],
    count: &Arc<AtomicU64>,
    cycle: u64,
) -> anyhow::Result<(Vec<Accepted>, Vec<String>)> {
    let mut clients = JoinSet::new();
    for person in people {
        clients.spawn(write(server.address, Arc::clone(person), Arc::clone(count)));
    }
    let watching = tokio::spawn(watch(server.address));
    let life_ms = LIFE_MS.start + mixed(cycle) % (LIFE_MS.end - LIFE_MS.start);
    tokio::time::sleep(Duration::from_millis(life_ms)).await;
    server.kill()?;
    let mut written = Vec::new();
    while let Some(client) = clients.join_next().await {
        written.extend(client??);
    }
    Ok((written, watching.await?))
}

/// Posts until the connection breaks; answers what was acknowledged.
async fn write(address: SocketAddr, person: Arc<Person>, count: Arc<AtomicU64>) -> anyhow::Result<Vec<Accepted>> {
    let mut written = Vec::new();
    let Ok(mut connection) = Connection::open(address).await else { return Ok(written) };
    loop {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let post = person.sign(Content::Post(Post::free(format!("post {number}"))), number, now_ms());
        match connection.post("/api/v1/records", "", &post.to_json()).await {
            Ok(reply) => written.push(reply.json()?),
            Err(_) => return Ok(written),
        }
    }
}

/// Reads checkpoints until the connection breaks.
async fn watch(address: SocketAddr) -> Vec<String> {
    let mut seen = Vec::new();
    let Ok(mut connection) = Connection::open(address).await else { return seen };
    while let Ok(reply) = connection.get("/log/1/checkpoint").await {
        seen.extend(String::from_utf8(reply.body));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    seen
}

/// How many of these records are not where their acknowledgement says.
async fn missing(address: SocketAddr, written: &[Accepted]) -> anyhow::Result<u64> {
    let mut readers = JoinSet::new();
    for some in written.chunks(written.len().div_ceil(4).max(1)).map(<[Accepted]>::to_vec) {
        readers.spawn(async move {
            let mut connection = Connection::open(address).await?;
            let mut missing = 0;
            for accepted in some {
                let view = connection.get(&format!("/api/v1/records/{}", accepted.id)).await?.json::<RecordView>();
                let there = view.is_ok_and(|view| {
                    view.card.leaf == accepted.leaf && view.record.is_some_and(|record| record.envelope.id() == accepted.id)
                });
                missing += u64::from(!there);
            }
            anyhow::Ok(missing)
        });
    }
    let mut missing = 0;
    while let Some(reader) = readers.join_next().await {
        missing += reader??;
    }
    Ok(missing)
}

impl Shown {
    async fn begin(connection: &mut Connection) -> anyhow::Result<Self> {
        let discovery: Discovery = connection.get("/.well-known/mesh").await?.json()?;
        let key = discovery.key(DomainKeyUse::Log).context("no log key")?.verifier()?;
        let tree = Tree::default();
        let roots = vec![tree.root()];
        let mut shown = Self { origin: discovery.origin, key, tree, roots, checkpoints: BTreeMap::new() };
        shown.catch_up(connection).await?;
        Ok(shown)
    }

    /// The size and the root that a checkpoint states.
    fn open(&self, note: &str) -> anyhow::Result<(u64, Hash)> {
        let checkpoint = Checkpoint::open(note, &self.origin, &self.key)?;
        if let Some(root) = self.checkpoints.get(&checkpoint.size)
            && *root != checkpoint.root
        {
            bail!("two checkpoints of {} leaves have different roots", checkpoint.size);
        }
        Ok((checkpoint.size, checkpoint.root))
    }

    /// Reads the log on from where the tree ends, and compares all checkpoints shown since.
    async fn catch_up(&mut self, connection: &mut Connection) -> anyhow::Result<()> {
        let known = self.tree.size();
        let note = String::from_utf8(connection.get("/log/1/checkpoint").await?.body)?;
        let (size, root) = self.open(&note)?;
        self.checkpoints.insert(size, root);
        let last = self.checkpoints.keys().next_back().copied().unwrap_or_default();
        ensure!(size == last && size >= known, "the log shrank to {size} leaves after {}", last.max(known));
        while self.tree.size() < size {
            let start = self.tree.size();
            let tile = start / TILE_WIDTH;
            let width = (size - tile * TILE_WIDTH).min(TILE_WIDTH);
            let skip = (start - tile * TILE_WIDTH) as usize;
            for entry in entries(connection, tile, width).await?.into_iter().skip(skip) {
                self.tree.push(entry_hash(&entry), |_, _, _| ());
                self.roots.push(self.tree.root());
            }
        }
        for (size, root) in self.checkpoints.range(known..) {
            ensure!(
                self.roots.get(*size as usize) == Some(root),
                "the log is not consistent with the checkpoint of {size} leaves shown before"
            );
        }
        Ok(())
    }

    /// Reads the whole log from its beginning, and compares every checkpoint that was ever shown.
    async fn read_again(&mut self, connection: &mut Connection) -> anyhow::Result<()> {
        self.tree = Tree::default();
        self.roots = vec![self.tree.root()];
        self.catch_up(connection).await
    }
}

/// The entries of a bundle: each after its length in two bytes.
async fn entries(connection: &mut Connection, tile: u64, width: u64) -> anyhow::Result<Vec<Hash>> {
    let partial = if width < TILE_WIDTH { format!(".p/{width}") } else { String::new() };
    let leading = if tile < 1_000 { String::new() } else { format!("x{:03}/", tile / 1_000) };
    let reply = connection.get(&format!("/log/1/tile/entries/{leading}{:03}{partial}", tile % 1_000)).await?;
    ensure!(reply.status == 200 && tile < 1_000_000, "no entry bundle {tile}: HTTP status {}", reply.status);
    let entries: Option<Vec<Hash>> = reply.body.chunks(34).map(|entry| entry.get(2..)?.try_into().ok().map(Hash)).collect();
    entries.filter(|entries| entries.len() as u64 == width).context("a bundle is malformed")
}
