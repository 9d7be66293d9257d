//! A post's page with fifty comments, read again and again while it is liked, against nginx sending the same bytes from a file, plain and as browsers
//! ask for it, compressed; and a site map of ten thousand addresses. In turns, so that both meet the same machine.

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
use mesh_proto::record::{Content, Like, ObjectRef, Post};
use std::borrow::Cow;
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
/// Largest page that is read.
const PAGE_BYTES_MAX: usize = 1 << 20;
/// How often the site map is asked for.
const MAPS: usize = 7;

/// In which form the page is asked for.
#[derive(Clone, Copy)]
enum Form {
    Plain,
    Compressed,
}

impl Form {
    fn headers(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Compressed => "accept-encoding: zstd\r\n",
        }
    }

    /// Where nginx has it in one turn: nginx remembers what a file was.
    fn file(self, turn: u64) -> String {
        match self {
            Self::Plain => format!("{turn}.html"),
            Self::Compressed => format!("{turn}.zst"),
        }
    }

    /// What a reader sees.
    fn read(self, body: &[u8]) -> anyhow::Result<Cow<'_, [u8]>> {
        Ok(match self {
            Self::Plain => body.into(),
            Self::Compressed => zstd::bulk::decompress(body, PAGE_BYTES_MAX)?.into(),
        })
    }
}

/// What one of the two servers took so far.
#[derive(Default)]
struct Side {
    requests: u64,
    wall: Duration,
    cpu: Duration,
}

impl Side {
    fn add(&mut self, started: Instant, cpu: Duration) {
        self.wall += started.elapsed();
        self.cpu += cpu;
        self.requests += REQUESTS_PER_LIKE * LIKES_PER_TURN;
    }

    fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.requests as f64
    }

    fn per_second(&self) -> f64 {
        self.requests as f64 / self.wall.as_secs_f64()
    }
}

/// Both servers in one form of the page.
struct Match {
    form: Form,
    ours: Side,
    theirs: Side,
}

impl Match {
    fn new(form: Form) -> Self {
        Self { form, ours: Side::default(), theirs: Side::default() }
    }

    fn cpu_ratio(&self) -> f64 {
        self.ours.cpu_us() / self.theirs.cpu_us()
    }
}

/// nginx with one process and one file for each form. Dropped, it is killed.
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
             http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; types {{ text/html html zst; }}\n\
             client_body_temp_path {here}/1; proxy_temp_path {here}/2; fastcgi_temp_path {here}/3; uwsgi_temp_path {here}/4; scgi_temp_path {here}/5;\n\
             open_file_cache max=10;\n\
             server {{ listen {address}; root {here}; location ~ zst$ {{ add_header Content-Encoding zstd; }} }} }}\n"
        );
        std::fs::write(folder.path().join("nginx.conf"), config)?;
        let mut command = Command::new("nginx");
        command.arg("-c").arg(folder.path().join("nginx.conf")).arg("-p").arg(folder.path()).arg("-e").arg(folder.path().join("error.log"));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let child = child.context("cannot start nginx: `apt-get install nginx-light`")?;
        Ok(Self { child, address, folder })
    }

    fn serve(&self, file: &str, page: &[u8]) -> anyhow::Result<()> {
        Ok(std::fs::write(self.folder.path().join(file), page)?)
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

/// A post that is liked and read.
struct Reading {
    server: Server,
    connection: Connection,
    domain: Domain,
    object: ObjectRef,
    path: String,
    likes: u64,
}

impl Reading {
    /// Starts a server whose post has its comments.
    async fn start(data: &Path) -> anyhow::Result<Self> {
        let domain: Domain = "bench.localhost:8001".parse()?;
        set_up(data, &domain)?;
        let server = Server::start(data).await?;
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
        Ok(Self { server, connection, domain, object, path, likes: 0 })
    }

    /// Likes and reads; answers the page as it came last. Who likes joins before the time is taken; the likes themselves count.
    async fn turn(&mut self, form: Form, side: &mut Side) -> anyhow::Result<Vec<u8>> {
        let mut statements = Vec::new();
        for number in self.likes..self.likes + LIKES_PER_TURN {
            let person = join(&mut self.connection, &self.domain, 1_000 + number).await?;
            statements.push(person.sign(Content::Like(Like { object: self.object.clone() }), number, now_ms()));
        }
        let request = format!("GET {}", self.path);
        let (started, cpu) = (Instant::now(), self.server.cpu()?);
        let mut page = Vec::new();
        for statement in &statements {
            say(&mut self.connection, statement).await?;
            self.likes += 1;
            let words = if self.likes == 1 { "1 like<".to_owned() } else { format!("{} likes<", grouped(self.likes)) };
            for _ in 0..REQUESTS_PER_LIKE {
                page = self.connection.exchange(&request, form.headers(), &[]).await?.body;
                if !contains(&form.read(&page)?, words.as_bytes()) {
                    bail!("a page without its newest like: {words} is missing");
                }
            }
        }
        side.add(started, self.server.cpu()? - cpu);
        Ok(page)
    }
}

/// Digits in groups of three, as pages show them.
fn grouped(number: u64) -> String {
    if number < 1_000 { number.to_string() } else { format!("{},{:03}", number / 1_000, number % 1_000) }
}

/// Reads the same bytes from nginx.
async fn read_file(nginx: &Nginx, connection: &mut Connection, (form, page): (Form, &[u8]), side: &mut Side) -> anyhow::Result<()> {
    let file = form.file(side.requests);
    nginx.serve(&file, page)?;
    let request = format!("GET /{file}");
    let (started, cpu) = (Instant::now(), process::cpu(nginx.child.id())?);
    for _ in 0..REQUESTS_PER_LIKE * LIKES_PER_TURN {
        let reply = connection.exchange(&request, form.headers(), &[]).await?;
        if reply.status != 200 || reply.body.len() != page.len() {
            bail!("nginx answers {}: {}", reply.status, error_log(nginx.folder.path()));
        }
    }
    side.add(started, process::cpu(nginx.child.id())? - cpu);
    Ok(())
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<Report> {
    let data = tempfile::tempdir()?;
    let mut reading = Reading::start(data.path()).await?;
    let nginx = Nginx::start()?;
    let mut other = nginx.connect().await?;
    let mut matches = [Form::Plain, Form::Compressed].map(Match::new);
    let (started, time) = (Instant::now(), Duration::from_secs(options.seconds));
    let mut bytes = [0; 2];
    while started.elapsed() < time {
        for (Match { form, ours, theirs }, bytes) in matches.iter_mut().zip(&mut bytes) {
            let page = reading.turn(*form, ours).await?;
            read_file(&nginx, &mut other, (*form, &page), theirs).await?;
            *bytes = page.len();
        }
        let [plain, packed] = &matches;
        progress(format!(
            "{} requests each, {:.2} and {:.2} times the CPU of nginx",
            plain.ours.requests,
            plain.cpu_ratio(),
            packed.cpu_ratio()
        ));
    }
    let sitemap_ms = sitemap(&mut reading.connection, &reading.domain).await?;
    reading.server.stop().await?;
    Ok(report(&matches, bytes, sitemap_ms))
}

fn report([plain, packed]: &[Match; 2], bytes: [usize; 2], sitemap_ms: f64) -> Report {
    let mut report = Report::new("page");
    report.condition(format!(
        "a post with {COMMENTS} comments, {} bytes, compressed {}; one connection, a like for every {REQUESTS_PER_LIKE} requests, each page looked at for it",
        bytes[0], bytes[1]
    ));
    report.figure("cpu_ratio", plain.cpu_ratio(), Bound::Most(2.0), "CPU of a request: meshd with its likes / nginx with a file");
    report.figure("cpu_us", plain.ours.cpu_us(), Bound::None, "CPU of a request, meshd");
    report.figure("nginx_cpu_us", plain.theirs.cpu_us(), Bound::None, "CPU of a request, nginx");
    report.figure("throughput_ratio", plain.ours.per_second() / plain.theirs.per_second(), Bound::None, "requests a second: meshd / nginx");
    report.figure(
        "zstd_cpu_ratio",
        packed.cpu_ratio(),
        Bound::Most(2.0),
        "the same, compressed: by meshd after each like, for nginx before",
    );
    report.figure("zstd_cpu_us", packed.ours.cpu_us(), Bound::None, "CPU of a compressed request, meshd");
    report.figure("nginx_zstd_cpu_us", packed.theirs.cpu_us(), Bound::None, "CPU of a compressed request, nginx");
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
