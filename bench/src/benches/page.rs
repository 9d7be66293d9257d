//! A post's page with fifty comments, read again and again while it is liked, against nginx sending the same bytes from a file; and a site map of ten
//! thousand addresses. In turns, so that both meet the same machine.

use crate::Options;
use crate::content::comment;
use crate::http::{Connection, now_ms};
use crate::people::Person;
use crate::process;
use crate::report::{Bound, Report, progress};
use crate::server::{Server, set_up};
use anyhow::{Context, bail};
use mesh_proto::address::Domain;
use mesh_proto::api::{Admission, NewAccount};
use mesh_proto::envelope::Envelope;
use mesh_proto::record::{Content, Like, Post};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const COMMENTS: u64 = 50;
/// Requests between two likes.
const REQUESTS_PER_LIKE: u64 = 100;
/// Likes, and with them requests, in a turn.
const LIKES_PER_TURN: u64 = 40;
/// Addresses of the site map: posts, and their authors.
const ADDRESSES: u64 = 10_000;
const AUTHORS: u64 = 20;
/// How often the site map is asked for.
const MAPS: usize = 7;

/// What one of the two servers took so far.
#[derive(Default)]
struct Side {
    requests: u64,
    wall: Duration,
    cpu: Duration,
}

impl Side {
    fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.requests as f64
    }

    fn per_second(&self) -> f64 {
        self.requests as f64 / self.wall.as_secs_f64()
    }
}

/// nginx with one process and one file. Dropped, it is killed.
struct Nginx {
    child: Child,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Nginx {
    fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let address = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let here = folder.path().display();
        let config = format!(
            "daemon off; master_process off; worker_processes 1; pid {here}/pid; error_log {here}/error.log;\n\
             events {{ worker_connections 64; }}\n\
             http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; types {{ text/html html; }}\n\
             client_body_temp_path {here}/1; proxy_temp_path {here}/2; fastcgi_temp_path {here}/3; uwsgi_temp_path {here}/4; scgi_temp_path {here}/5;\n\
             open_file_cache max=10;\n\
             server {{ listen {address}; root {here}; }} }}\n"
        );
        std::fs::write(folder.path().join("nginx.conf"), config)?;
        let mut command = Command::new("nginx");
        command.arg("-c").arg(folder.path().join("nginx.conf")).arg("-p").arg(folder.path()).arg("-e").arg(folder.path().join("error.log"));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let child = child.context("cannot start nginx: `apt-get install nginx-light`")?;
        Ok(Self { child, address, folder })
    }

    fn serve(&self, page: &[u8]) -> anyhow::Result<()> {
        let fresh = self.folder.path().join("fresh");
        std::fs::write(&fresh, page)?;
        Ok(std::fs::rename(fresh, self.folder.path().join("page.html"))?)
    }

    async fn connect(&self) -> anyhow::Result<Connection> {
        for _ in 0..500 {
            if let Ok(connection) = Connection::open(self.address).await {
                return Ok(connection);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bail!("nginx does not answer: {}", error_log(self.folder.path()))
    }
}

fn error_log(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("error.log")).unwrap_or_default()
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<Report> {
    let data = tempfile::tempdir()?;
    let domain: Domain = "bench.localhost:8001".parse()?;
    set_up(data.path(), &domain)?;
    let server = Server::start(data.path()).await?;
    let mut connection = Connection::open(server.address).await?;
    let author = join(&mut connection, &domain, 0).await?;
    let post = author.sign(Content::Post(Post::free("What do you think of the loom?")), 0, now_ms());
    say(&mut connection, &post).await?;
    let object = author.object(post.id());
    for number in 1..=COMMENTS {
        let person = join(&mut connection, &domain, number).await?;
        say(&mut connection, &person.sign(comment(object.clone(), number * 7), number, now_ms())).await?;
    }
    let path = format!("/@{}/{}", author.address.user(), post.id());
    let nginx = Nginx::start()?;
    let mut other = nginx.connect().await?;
    let (mut ours, mut theirs) = (Side::default(), Side::default());
    let mut likes = 0;
    while ours.wall + theirs.wall < Duration::from_secs(options.seconds) {
        let mut statements = Vec::new();
        for number in likes..likes + LIKES_PER_TURN {
            let person = join(&mut connection, &domain, 1_000 + number).await?;
            statements.push(person.sign(Content::Like(Like { object: object.clone() }), number, now_ms()));
        }
        let (started, cpu) = (Instant::now(), server.cpu()?);
        let mut page = Vec::new();
        for statement in &statements {
            say(&mut connection, statement).await?;
            likes += 1;
            let words = if likes == 1 { "1 like<".to_owned() } else { format!("{likes} likes<") };
            for _ in 0..REQUESTS_PER_LIKE {
                page = connection.get(&path).await?.body;
                if !contains(&page, words.as_bytes()) {
                    bail!("a page without its newest like: {words} is missing");
                }
            }
        }
        ours.wall += started.elapsed();
        ours.cpu += server.cpu()? - cpu;
        ours.requests += REQUESTS_PER_LIKE * LIKES_PER_TURN;
        nginx.serve(&page)?;
        let (started, cpu) = (Instant::now(), process::cpu(nginx.child.id())?);
        for _ in 0..REQUESTS_PER_LIKE * LIKES_PER_TURN {
            let reply = other.get("/page.html").await?;
            if reply.status != 200 || reply.body.len() != page.len() {
                bail!("nginx answers {}: {}", reply.status, error_log(nginx.folder.path()));
            }
        }
        theirs.wall += started.elapsed();
        theirs.cpu += process::cpu(nginx.child.id())? - cpu;
        theirs.requests += REQUESTS_PER_LIKE * LIKES_PER_TURN;
        progress(format!("{} requests each, {:.1} against {:.1} µs of CPU", ours.requests, ours.cpu_us(), theirs.cpu_us()));
    }
    let sitemap_ms = sitemap(&mut connection, &domain).await?;
    server.stop().await?;
    Ok(report(&ours, &theirs, sitemap_ms))
}

fn report(ours: &Side, theirs: &Side, sitemap_ms: f64) -> Report {
    let mut report = Report::new("page");
    report.condition(format!(
        "a post with {COMMENTS} comments, one connection, a like for every {REQUESTS_PER_LIKE} requests, each page looked at for it"
    ));
    report.figure(
        "cpu_ratio",
        ours.cpu_us() / theirs.cpu_us(),
        Bound::Most(2.0),
        "CPU of a request: meshd with its likes / nginx with a file",
    );
    report.figure("cpu_us", ours.cpu_us(), Bound::None, "CPU of a request, meshd");
    report.figure("nginx_cpu_us", theirs.cpu_us(), Bound::None, "CPU of a request, nginx");
    report.figure("throughput_ratio", ours.per_second() / theirs.per_second(), Bound::None, "requests a second: meshd / nginx");
    report.figure("sitemap_ms", sitemap_ms, Bound::Most(200.0), format!("a site map of {ADDRESSES} addresses, the middle of {MAPS}"));
    report
}

fn contains(page: &[u8], words: &[u8]) -> bool {
    page.windows(words.len()).any(|window| window == words)
}

async fn join(connection: &mut Connection, domain: &Domain, number: u64) -> anyhow::Result<Person> {
    let person = Person::new(domain, number)?;
    let new = NewAccount { genesis: person.genesis.envelope.clone(), admission: Admission::default() };
    let reply = connection.post("/api/v1/accounts", "", &serde_json::to_vec(&new)?).await?;
    reply.json::<serde_json::Value>()?;
    Ok(person)
}

async fn say(connection: &mut Connection, envelope: &Envelope) -> anyhow::Result<()> {
    connection.post("/api/v1/records", "", &envelope.to_json()).await?.json::<serde_json::Value>()?;
    Ok(())
}

/// Publishes until the site map is full; answers how long it takes.
async fn sitemap(connection: &mut Connection, domain: &Domain) -> anyhow::Result<f64> {
    progress("publishing for the site map");
    let mut authors = Vec::new();
    for number in 0..AUTHORS {
        authors.push(join(connection, domain, 1_000_000 + number).await?);
    }
    // One post and its author are there already.
    for number in 0..ADDRESSES - AUTHORS - 2 {
        let author = &authors[(number % AUTHORS) as usize];
        say(connection, &author.sign(Content::Post(Post::free(format!("Post number {number} #numbers"))), number, now_ms())).await?;
    }
    let mut taken = Vec::new();
    for _ in 0..MAPS {
        let started = Instant::now();
        let reply = connection.get("/sitemap/1.xml").await?;
        taken.push(started.elapsed());
        let addresses = String::from_utf8_lossy(&reply.body).matches("<loc>").count() as u64;
        if addresses != ADDRESSES {
            bail!("the site map has {addresses} addresses");
        }
    }
    taken.sort_unstable();
    Ok(taken[MAPS / 2].as_secs_f64() * 1000.0)
}
