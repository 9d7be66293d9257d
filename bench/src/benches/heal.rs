//! Two homes that have a million records in common and differ in a hundred: finding and mending that, with the real commands over real HTTP.

use crate::Options;
use crate::content::{Mix, Objects};
use crate::http::{Connection, now_ms};
use crate::people::Person;
use crate::prefill::{copy_folder, run_folder, work_folder};
use crate::report::{Bound, Report, progress};
use crate::server::{Server, set_up};
use anyhow::{Context, bail};
use mesh_proto::address::Domain;
use mesh_proto::api::{Comments, NewAccount};
use mesh_proto::envelope::{Envelope, RecordId};
use mesh_proto::record::{Content, ObjectRef, Post};
use mesh_store::{Batch, Config, FjallStore, KeyRange, Kv, Order, Read, Space};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Changed whenever stores made before would not be the same.
const VERSION: u32 = 1;
/// The home of the objects, which asks, and the home of the actors.
const DOMAINS: [&str; 2] = ["heal.localhost:7991", "acts.localhost:7992"];
/// Records that one of the two lost, each.
const LOST_EACH: usize = 50;
const POSTS: u64 = 10_000;
const ACTORS: u64 = 1_024;
const CLIENTS: u64 = 64;
const MIX: Mix = Mix { posts: 0, likes: 100, comments: 0 };
/// Between two looks whether all has arrived, and how long that may take.
const LOOK: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(900);
const ROWS: usize = 10_000;

/// The folders of both homes, filled.
struct Pair([PathBuf; 2]);

pub(crate) async fn run(options: &Options) -> anyhow::Result<Report> {
    let pair = Pair::get(options).await?;
    let copies = [run_folder()?, run_folder()?];
    for (from, to) in pair.0.iter().zip(&copies) {
        copy_folder(from, to.path())?;
    }
    let [asks, acts] = [copies[0].path(), copies[1].path()];
    tokio::task::block_in_place(|| {
        lose(asks, 0)?;
        lose(acts, 1)
    })?;
    let server = Server::start_at_home(acts).await?;
    let cpu = server.cpu()?;
    let started = Instant::now();
    let healed = Healed::run(asks)?;
    let taken = started.elapsed();
    let cpu = server.cpu()? - cpu;
    let started = Instant::now();
    let again = Healed::run(asks)?;
    let taken_again = started.elapsed();
    server.stop().await?;

    let mut report = Report::new("heal");
    report.condition(format!("{} records in common, {LOST_EACH} lost on each side; the whole of `meshd verify --repair`", healed.compared));
    report.figure("seconds", taken.as_secs_f64(), Bound::Most(2.0), "of the clock: opening the store, comparing, mending, closing");
    report.figure("bytes", healed.bytes as f64, Bound::Most(1e6), "of all questions and answers, before compression");
    report.figure("found", (healed.missing + healed.extra) as f64, Bound::Least(2.0 * LOST_EACH as f64), "differences found");
    report.figure("mended", (healed.fetched + healed.dropped) as f64, Bound::Least(2.0 * LOST_EACH as f64), "of them mended");
    report.figure("left", (again.missing + again.extra) as f64, Bound::Most(0.0), "differences found the second time");
    report.figure("again_seconds", taken_again.as_secs_f64(), Bound::None, "of the clock: the same when nothing differs");
    report.figure("again_bytes", again.bytes as f64, Bound::None, "when nothing differs");
    report.figure("answering_cpu_s", cpu.as_secs_f64(), Bound::None, "CPU time of the home that is asked");
    report.figure("compared", healed.compared as f64, Bound::None, "records");
    Ok(report)
}

/// What `meshd verify --repair` says.
struct Healed {
    compared: usize,
    missing: usize,
    extra: usize,
    fetched: usize,
    dropped: usize,
    bytes: usize,
}

impl Healed {
    fn run(data: &Path) -> anyhow::Result<Self> {
        let mut command = std::process::Command::new(crate::server::program("meshd")?);
        let output = command
            .args(["verify", "--repair", "--data"])
            .arg(data)
            .env("MESHD_LOG", "warn,mesh_node::federation::healing=error")
            .output()?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = printed
            .lines()
            .find(|line| line.starts_with(DOMAINS[1]))
            .with_context(|| format!("it said nothing of {}: {printed}{}", DOMAINS[1], String::from_utf8_lossy(&output.stderr)))?;
        let mut numbers = line.split_whitespace().skip(1).map(str::parse);
        let mut next = || numbers.next().context("a column is missing").and_then(|number| number.with_context(|| line.to_owned()));
        let (compared, missing, extra, fetched, dropped, _, bytes) = (next()?, next()?, next()?, next()?, next()?, next()?, next()?);
        Ok(Self { compared, missing, extra, fetched, dropped, bytes })
    }
}

/// Takes some references away from a store, far from one another.
fn lose(data: &Path, which: usize) -> anyhow::Result<()> {
    let store = FjallStore::open(data.join("store"), Config::default())?;
    let mut places: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut range = KeyRange::all();
    loop {
        let rows = store.scan(Space::Reference, &range, Order::Forward, ROWS)?;
        // A like's kind is 19; of this home's own log the number is 0.
        let likes = rows.iter().filter(|(key, row)| row[1] == 19 && (key[..3] == [0; 3]) == (which == 1));
        places.extend(likes.map(|(key, row)| (key.to_vec(), row[2..18].to_vec())));
        match rows.last() {
            Some((last, _)) if rows.len() == ROWS => range = range.after(last),
            _ => break,
        }
    }
    let mut batch = Batch::new();
    let step = places.len() / LOST_EACH;
    for (place, id) in places.iter().skip(step / 3 * (which + 1)).step_by(step).take(LOST_EACH) {
        batch.delete(Space::Reference, place).delete(Space::Id, id);
    }
    store.commit(batch).wait()?;
    store.close()?;
    Ok(())
}

impl Pair {
    /// The filled folders, made if they are not there.
    async fn get(options: &Options) -> anyhow::Result<Self> {
        let formats = (mesh_server::config::FORMAT, mesh_store::migrate::FORMAT);
        let name = format!("heal-v{VERSION}-folder{}-store{}-{}", formats.0, formats.1, options.rows);
        let folder = work_folder()?.join(name);
        if options.fresh && folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        if !folder.exists() {
            progress(format!("filling two stores with {} records in common, once", options.rows));
            let unfinished = run_folder()?;
            let homes = DOMAINS.map(|domain| unfinished.path().join(&domain[..4]));
            fill(&homes, options.rows).await?;
            std::fs::rename(unfinished.keep(), &folder)?;
        }
        Ok(Self(DOMAINS.map(|domain| folder.join(&domain[..4]))))
    }
}

/// Lets people of one home like what people of the other one said, through two real servers.
async fn fill(homes: &[PathBuf; 2], rows: u64) -> anyhow::Result<()> {
    let mut servers = Vec::new();
    for (home, domain) in homes.iter().zip(DOMAINS) {
        std::fs::create_dir_all(home)?;
        set_up(home, &domain.parse()?)?;
        servers.push(Server::start_at_home(home).await?);
    }
    let (author, actors) = (Person::new(&domain(0), 0)?, Person::many(&domain(1), ACTORS)?);
    register(servers[0].address, std::slice::from_ref(&author)).await?;
    register(servers[1].address, &actors).await?;
    let posts: Vec<Envelope> = (0..POSTS).map(|n| author.sign(Content::Post(Post::free(format!("post {n}"))), n, now_ms())).collect();
    let objects: Vec<ObjectRef> = posts.iter().map(|post| author.object(post.id())).collect();
    send(servers[0].address, posts).await?;
    let each = rows / CLIENTS;
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (objects, address) = (Objects { posts: objects.clone(), people: Vec::new() }, servers[1].address);
        let people: Vec<Person> =
            (0..ACTORS / CLIENTS).map(|n| Person::new(&domain(1), client + n * CLIENTS)).collect::<anyhow::Result<_>>()?;
        clients.spawn(async move {
            let mut connection = Connection::open(address).await?;
            for turn in 0..each {
                let person = &people[(turn % people.len() as u64) as usize];
                let content = MIX.content(&objects, crate::people::mixed(person.number), turn / people.len() as u64);
                post_record(&mut connection, &person.sign(content, turn, now_ms())).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(client) = clients.join_next().await {
        client??;
    }
    let last = actors[0].sign(crate::content::comment(objects[0].clone(), 1), rows, now_ms());
    post_record(&mut Connection::open(servers[1].address).await?, &last).await?;
    until_arrived(servers[0].address, (&objects[0].id, &last.id())).await?;
    for server in servers {
        server.stop().await?;
    }
    Ok(())
}

fn domain(which: usize) -> Domain {
    DOMAINS[which].parse().expect("the names are good")
}

async fn register(address: SocketAddr, people: &[Person]) -> anyhow::Result<()> {
    let mut connection = Connection::open(address).await?;
    for person in people {
        let account = NewAccount { genesis: person.genesis.envelope.clone(), admission: Default::default() };
        let reply = connection.post("/api/v1/accounts", "", &serde_json::to_vec(&account)?).await?;
        if reply.status != 201 {
            bail!("HTTP status {}: {}", reply.status, String::from_utf8_lossy(&reply.body));
        }
    }
    Ok(())
}

async fn send(address: SocketAddr, records: Vec<Envelope>) -> anyhow::Result<()> {
    let mut clients = JoinSet::new();
    for part in records.chunks(records.len().div_ceil(CLIENTS as usize)) {
        let part = part.to_vec();
        clients.spawn(async move {
            let mut connection = Connection::open(address).await?;
            for record in &part {
                post_record(&mut connection, record).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(client) = clients.join_next().await {
        client??;
    }
    Ok(())
}

async fn post_record(connection: &mut Connection, record: &Envelope) -> anyhow::Result<()> {
    let reply = connection.post("/api/v1/records", "", &record.to_json()).await?;
    if reply.status != 201 {
        bail!("HTTP status {}: {}", reply.status, String::from_utf8_lossy(&reply.body));
    }
    Ok(())
}

/// Waits until the last record has arrived, and so all.
async fn until_arrived(address: SocketAddr, (post, last): (&RecordId, &RecordId)) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut connection = Connection::open(address).await?;
    loop {
        let thread: Comments = connection.get(&format!("/api/v1/records/{post}/comments")).await?.json()?;
        if thread.comments.iter().any(|comment| comment.card.id == *last) {
            return Ok(());
        }
        if started.elapsed() > PATIENCE {
            bail!("not all records arrived");
        }
        tokio::time::sleep(LOOK).await;
    }
}
