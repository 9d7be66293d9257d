//! A reader who follows a thousand people of other domains: pages of 50, bodies cached.

use crate::Options;
use crate::http::{Connection, signed};
use crate::people::Person;
use crate::prefill::{OWN_PEOPLE, Prefill, domain};
use crate::report::{Bound, Report};
use crate::server::Server;
use anyhow::bail;
use mesh_proto::api::FeedPage;
use mesh_proto::http_signature::ContentDigest;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const READERS: usize = 4;
const PAGE: usize = 50;
/// Pages that a reader turns before beginning again.
const PAGES: usize = 4;

/// Who reads, and how that is signed.
struct Reader {
    address: SocketAddr,
    base_url: String,
    keyid: String,
    person: Person,
}

/// Pages read, and what each took.
type Walked = (usize, Vec<Duration>);

pub(crate) async fn run(options: &Options) -> anyhow::Result<Report> {
    let prefill = Prefill::get(options).await?;
    let data = prefill.copy()?;
    let server = Server::start(data.path()).await?;
    let person = Person::new(&domain()?, OWN_PEOPLE)?;
    let keyid = format!("{}/{}", person.id, person.device.id());
    let reader = Arc::new(Reader { address: server.address, base_url: domain()?.base_url(), keyid, person });
    // The first walk fills the caches.
    let (started, cpu) = (Instant::now(), server.cpu()?);
    let mut connection = Connection::open(server.address).await?;
    let first = reader.page(&mut connection, None).await?;
    let cold = (started.elapsed(), server.cpu()? - cpu);
    reader.walk(&mut connection, PAGES).await?;

    let mut report = Report::new("feed");
    report.condition(format!(
        "{} followed, {} references, {READERS} readers at once, pages 1 to {PAGES} of {PAGE}",
        1_000, prefill.manifest.references
    ));
    let seconds = Duration::from_secs(options.seconds);
    let (all, mut taken) = measure(&server, &reader, (PAGES, seconds)).await?;
    let (top, _) = measure(&server, &reader, (1, seconds / 4)).await?;
    server.stop().await?;
    report.figure("cpu_ms", all, Bound::Most(3.0), "CPU time of the server for one page");
    report.figure("first_page_cpu_ms", top, Bound::None, "the same, for first pages only");
    report.figure(
        "cold_ms",
        cold.0.as_secs_f64() * 1000.0,
        Bound::None,
        format!("the very first page after the start, {} items", first.items.len()),
    );
    report.latencies(&mut taken, "pages");
    Ok(report)
}

/// CPU milliseconds of the server for each page.
async fn measure(server: &Server, reader: &Arc<Reader>, (pages, time): (usize, Duration)) -> anyhow::Result<(f64, Vec<Duration>)> {
    let cpu = server.cpu()?;
    let mut readers = JoinSet::new();
    for _ in 0..READERS {
        let reader = Arc::clone(reader);
        readers.spawn(async move {
            let started = Instant::now();
            let mut connection = Connection::open(reader.address).await?;
            let (mut count, mut taken) = (0, Vec::new());
            while started.elapsed() < time {
                let (some, times) = reader.walk(&mut connection, pages).await?;
                count += some;
                taken.extend(times);
            }
            anyhow::Ok((count, taken))
        });
    }
    let (mut count, mut taken) = (0, Vec::new());
    while let Some(reader) = readers.join_next().await {
        let (some, times) = reader??;
        count += some;
        taken.extend(times);
    }
    Ok(((server.cpu()? - cpu).as_secs_f64() * 1000.0 / count as f64, taken))
}

impl Reader {
    async fn walk(&self, connection: &mut Connection, pages: usize) -> anyhow::Result<Walked> {
        let mut before = None;
        let mut taken = Vec::with_capacity(pages);
        for _ in 0..pages {
            let started = Instant::now();
            before = self.page(connection, before).await?.next;
            taken.push(started.elapsed());
        }
        Ok((pages, taken))
    }

    async fn page(&self, connection: &mut Connection, before: Option<String>) -> anyhow::Result<FeedPage> {
        let before = before.map_or_else(String::new, |before| format!("&before={before}"));
        let path = format!("/api/v1/feed?limit={PAGE}{before}");
        let headers = signed("GET", &format!("{}{path}", self.base_url), ContentDigest::of(&[]), (&self.keyid, &self.person.device))?;
        let page: FeedPage = connection.exchange(&format!("GET {path}"), &headers, &[]).await?.json()?;
        if page.items.len() != PAGE || page.items.iter().any(|item| item.record.is_none()) {
            bail!("a page of {} items, {} with bodies", page.items.len(), page.items.iter().filter(|item| item.record.is_some()).count());
        }
        Ok(page)
    }
}
