//! Stores that are full already: made once, by the real services, kept in the target folder, copied for each run.
//!
//! A domain with 1,024 people of its own and 10,000 posts, and what ten thousand people of eight other domains said to and about them. One more
//! person, the reader, subscribes to a thousand of the others. One post has a long thread, one a short one.

use crate::Options;
use crate::content::{Mix, Objects, comment};
use crate::http::now_ms;
use crate::people::Person;
use crate::report::progress;
use crate::sender::{Sender, Turns};
use crate::server::set_up;
use anyhow::{Context, bail};
use futures_util::{StreamExt, TryStreamExt, stream};
use mesh_node::{Config, Node, Ports};
use mesh_proto::address::Domain;
use mesh_proto::api::{Challenge, ChallengeRequest, Delivery, DeliveryAnswer, Discovery, ItemResult, NewAccount};
use mesh_proto::envelope::{Envelope, Kind, RecordId};
use mesh_proto::key::SecretKey;
use mesh_proto::limits::BATCH_RECORDS_MAX;
use mesh_proto::port::{Answer, BoxFuture, Clock, Transport, TransportError};
use mesh_proto::record::{Content, ObjectRef, Post, Subscribe};
use mesh_store::{FjallStore, Kv};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// Changed whenever a store made before would not be the same.
const VERSION: u32 = 3;
/// The domain whose store it is.
const DOMAIN: &str = "bench.localhost:7999";
/// People of the domain, besides the reader.
pub(crate) const OWN_PEOPLE: u64 = 1_024;
const OWN_POSTS: u64 = 10_000;
const DOMAINS: u64 = 8;
const PEOPLE_EACH: u64 = 1_250;
/// Whom the reader follows, in each other domain.
const FOLLOWED_EACH: usize = 125;
/// What the others say, but for those whom the reader follows: they post.
const MIX: Mix = Mix { posts: 0, likes: 65, comments: 25 };
/// Comments of the long and of the short thread.
pub(crate) const THREADS: (u64, u64) = (10_000, 10);
/// Writes under way at once while filling.
const AT_ONCE: usize = 512;
const MANIFEST: &str = "bench.json";

/// What is in a filled store.
#[derive(Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// References: own and foreign.
    pub(crate) references: u64,
    /// The posts to act on.
    pub(crate) posts: Vec<ObjectRef>,
    /// The post with the long thread.
    pub(crate) long_thread: RecordId,
    /// The post with the short thread.
    pub(crate) short_thread: RecordId,
}

/// A filled data folder.
pub(crate) struct Prefill {
    folder: PathBuf,
    pub(crate) manifest: Manifest,
}

/// The domain of filled stores.
pub(crate) fn domain() -> anyhow::Result<Domain> {
    Ok(DOMAIN.parse()?)
}

/// Where benches keep their files: beside the programs' folder.
pub(crate) fn work_folder() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let folder = program.ancestors().nth(2).context("the program lies in no target folder")?.join("bench");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// A folder for one run, removed in the end.
pub(crate) fn run_folder() -> anyhow::Result<TempDir> {
    Ok(tempfile::Builder::new().prefix("run-").tempdir_in(work_folder()?)?)
}

impl Prefill {
    /// The filled folder with this number of references, made if it is not there.
    pub(crate) async fn get(options: &Options) -> anyhow::Result<Self> {
        let formats = (mesh_server::config::FORMAT, mesh_store::migrate::FORMAT);
        let name = format!("prefill-v{VERSION}-folder{}-store{}-{}", formats.0, formats.1, options.rows);
        let folder = work_folder()?.join(name);
        if options.fresh && folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        if !folder.exists() {
            progress(format!("filling a store with {} references, once", options.rows));
            let unfinished = run_folder()?;
            fill(unfinished.path(), options.rows).await?;
            std::fs::rename(unfinished.keep(), &folder)?;
        }
        let manifest = serde_json::from_slice(&std::fs::read(folder.join(MANIFEST))?)?;
        Ok(Self { folder, manifest })
    }

    /// A copy to run on.
    pub(crate) fn copy(&self) -> anyhow::Result<TempDir> {
        let copy = run_folder()?;
        copy_folder(&self.folder, copy.path())?;
        Ok(copy)
    }

    /// What others can act on.
    pub(crate) fn objects(&self) -> anyhow::Result<Objects> {
        let people = Person::many(&domain()?, OWN_PEOPLE)?;
        Ok(Objects { posts: self.manifest.posts.clone(), people: people.iter().map(Person::account_ref).collect() })
    }
}

/// Copies a folder with all that is in it.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// The services of a data folder, with other domains that are only played. Blocks.
pub(crate) fn open_node(data: &Path, peers: Peers) -> anyhow::Result<Node> {
    let folder = mesh_server::config::read(data)?;
    let store = mesh_store::Config { cache_bytes: folder.config.store_memory_mb * 1024 * 1024, ..mesh_store::Config::default() };
    let kv: Arc<dyn Kv> = Arc::new(FjallStore::open(&folder.store, store)?);
    let config = Config {
        domain: folder.config.domain.clone(),
        registration: folder.config.rules(),
        rates: folder.config.rates(),
        cache_bytes_max: folder.config.cache_mb * 1024 * 1024,
        mirrors_max: 0,
        accounts_bytes_max: 128 * 1024 * 1024,
        heads_bytes_max: 32 * 1024 * 1024,
        search: None,
        request_key: folder.request_key,
        log_key: folder.log_key,
    };
    let rng = Arc::new(mesh_server::system_rng());
    Ok(Node::open(config, Ports { kv, clock: Arc::new(Now), rng, transport: Arc::new(peers) })?)
}

async fn fill(data: &Path, rows: u64) -> anyhow::Result<()> {
    let domain = domain()?;
    set_up(data, &domain)?;
    let mut senders = (0..DOMAINS)
        .map(|n| Sender::new(format!("p{n}.localhost:{}", 7_100 + n).parse()?, PEOPLE_EACH))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let node = tokio::task::block_in_place(|| open_node(data, Peers::of(&senders)))?;
    node.start();
    let people = Person::many(&domain, OWN_PEOPLE + 1)?;
    let mut posts = own_people_and_posts(&node, &people).await?;
    let (long, short) = (posts.swap_remove(0), posts.swap_remove(0));
    let objects = Objects { posts, people: people.iter().take(OWN_PEOPLE as usize).map(Person::account_ref).collect() };
    let peers = stream::iter(&senders).then(|sender| node.peers.discover(&sender.domain, None)).try_collect::<Vec<_>>().await?;
    let threads = Threads { long: (long.clone(), THREADS.0 / DOMAINS), short: (short.clone(), THREADS.1 / DOMAINS + 1) };
    // Until everyone has spoken once, nobody is known.
    let introductions = PEOPLE_EACH.div_ceil(BATCH_RECORDS_MAX as u64);
    let deliveries = rows.div_ceil(DOMAINS * BATCH_RECORDS_MAX as u64);
    progress("the others speak");
    on_all((&mut senders, &peers), |sender, peer| {
        (0..introductions).try_for_each(|_| {
            let items = sender.next(MIX, &objects, Turns::InOrder);
            let mut delivery = sender.delivery(items);
            delivery.keys = sender.keys_of(&delivery)?;
            deliver(&node, peer, &delivery)
        })
    })?;
    subscribe(&node, &people[OWN_PEOPLE as usize], &senders).await?;
    on_all((&mut senders, &peers), |sender, peer| {
        sender.authors = FOLLOWED_EACH;
        (introductions..deliveries).try_for_each(|_| {
            let items = sender.next(MIX, &objects, Turns::InOrder);
            deliver(&node, peer, &sender.delivery(items))
        })?;
        threads.speak(&node, (sender, peer))
    })?;
    let threads = DOMAINS * (threads.long.1 + threads.short.1);
    let own = OWN_POSTS + DOMAINS * FOLLOWED_EACH as u64;
    let references = deliveries.max(introductions) * DOMAINS * BATCH_RECORDS_MAX as u64 + threads + own;
    let manifest = Manifest { references, posts: objects.posts, long_thread: long.id, short_thread: short.id };
    std::fs::write(data.join(MANIFEST), serde_json::to_vec(&manifest)?)?;
    tokio::task::block_in_place(|| node.stop())?;
    Ok(())
}

/// Registers the domain's people and lets them post.
async fn own_people_and_posts(node: &Node, people: &[Person]) -> anyhow::Result<Vec<ObjectRef>> {
    progress("own people register and post");
    let registrations = people.iter().map(|person| {
        let genesis = person.genesis.envelope.clone();
        node.records.register(NewAccount { genesis, admission: Default::default() })
    });
    stream::iter(registrations).buffer_unordered(AT_ONCE).try_collect::<Vec<_>>().await?;
    let posts = (0..OWN_POSTS).map(|n| {
        let author = &people[(n % OWN_PEOPLE) as usize];
        let post = author.sign(Content::Post(Post::free(format!("post number {n} of this domain"))), n, now_ms());
        let object = author.object(post.id());
        async move { node.records.submit(post).await.map(|_| object) }
    });
    Ok(stream::iter(posts).buffered(AT_ONCE).try_collect().await?)
}

/// The reader subscribes to some people of each other domain, which are told.
async fn subscribe(node: &Node, reader: &Person, senders: &[Sender]) -> anyhow::Result<()> {
    let followed = senders.iter().flat_map(|sender| sender.people.iter().take(FOLLOWED_EACH));
    let subscriptions = followed.enumerate().map(|(n, author)| {
        node.records.submit(reader.sign(Content::Subscribe(Subscribe { object: author.account_ref() }), n as u64, now_ms()))
    });
    stream::iter(subscriptions).buffer_unordered(AT_ONCE).try_collect::<Vec<_>>().await?;
    drain(node, senders).await
}

type KnownPeer = Arc<mesh_node::peers::Peer>;

/// Lets all other domains work at once.
fn on_all(
    (senders, peers): (&mut [Sender], &[KnownPeer]),
    work: impl Fn(&mut Sender, &KnownPeer) -> anyhow::Result<()> + Sync,
) -> anyhow::Result<()> {
    tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            let work = &work;
            let threads: Vec<_> = senders.iter_mut().zip(peers).map(|(sender, peer)| scope.spawn(move || work(sender, peer))).collect();
            threads.into_iter().try_for_each(|thread| thread.join().expect("a panic is a bug of the bench"))
        })
    })
}

fn deliver(node: &Node, peer: &KnownPeer, delivery: &Delivery) -> anyhow::Result<()> {
    let answer = node.intake.deliver(peer, delivery)?;
    match answer.results.iter().find(|result| **result != ItemResult::Accepted) {
        Some(other) => bail!("a delivery was not accepted: {other:?}"),
        None => Ok(()),
    }
}

/// Posts with the number of comments that each other domain makes.
struct Threads {
    long: (ObjectRef, u64),
    short: (ObjectRef, u64),
}

impl Threads {
    fn speak(&self, node: &Node, (sender, peer): (&mut Sender, &KnownPeer)) -> anyhow::Result<()> {
        for (post, count) in [&self.long, &self.short] {
            let mut left = 0..*count;
            while !left.is_empty() {
                let some = left.by_ref().take(BATCH_RECORDS_MAX);
                let items = some.map(|n| {
                    let person = n as usize % sender.people.len();
                    let envelope = sender.people[person].sign(comment(post.clone(), n), n, now_ms());
                    sender.log(person, envelope)
                });
                let items = items.collect();
                deliver(node, peer, &sender.delivery(items))?;
            }
        }
        Ok(())
    }
}

/// Waits until the subscriptions have reached the other domains.
async fn drain(node: &Node, senders: &[Sender]) -> anyhow::Result<()> {
    let numbers = senders.iter().filter_map(|sender| node.peers.get(&sender.domain).map(|peer| peer.no())).collect::<Vec<_>>();
    let mut changed = node.kv().watch(mesh_store::Space::Cursor);
    while numbers.iter().map(|no| node.outbox.waiting(*no, 1)).try_fold(0, |sum, waiting| waiting.map(|waiting| sum + waiting))? > 0 {
        changed.changed().await?;
    }
    Ok(())
}

struct Now;

impl Clock for Now {
    fn now_ms(&self) -> u64 {
        now_ms()
    }
}

/// Other domains without sockets: they say who they are and accept everything.
#[derive(Default)]
pub(crate) struct Peers(BTreeMap<Domain, (Discovery, SecretKey)>);

impl Peers {
    fn of(senders: &[Sender]) -> Self {
        Self(senders.iter().map(|sender| (sender.domain.clone(), (sender.discovery(), sender.request_key.clone()))).collect())
    }

    fn answer(&self, domain: &Domain, path: &str, body: &[u8]) -> Option<Vec<u8>> {
        let (discovery, key) = self.0.get(domain)?;
        match path {
            "/.well-known/mesh" => serde_json::to_vec(discovery).ok(),
            "/mesh/v1/challenges" => {
                let asked: ChallengeRequest = serde_json::from_slice(body).ok()?;
                let answer = Challenge { domain: domain.clone(), from: asked.from, nonce: asked.nonce, at: now_ms() };
                Some(Envelope::sign(Kind::Challenge, serde_json::to_vec(&answer).ok()?, key).to_json())
            }
            "/mesh/v1/deliveries" => {
                let delivery: Delivery = serde_json::from_slice(body).ok()?;
                let results = vec![ItemResult::Accepted; delivery.items.len()];
                serde_json::to_vec(&DeliveryAnswer { results, watermark: delivery.items.last()?.index + 1, cosignature: None }).ok()
            }
            _ => None,
        }
    }

    fn exchange(&self, domain: &Domain, path: &str, body: &[u8]) -> Result<Answer, TransportError> {
        let body = self.answer(domain, path, body).ok_or_else(|| TransportError::Unreachable("nobody plays it".to_owned()))?;
        Ok(Answer { status: 200, retry_after_s: None, body })
    }
}

impl Transport for Peers {
    fn get<'a>(&'a self, domain: &'a Domain, path: &'a str) -> BoxFuture<'a, Result<Answer, TransportError>> {
        Box::pin(async move { self.exchange(domain, path, &[]) })
    }

    fn post<'a>(&'a self, domain: &'a Domain, path: &'a str, body: Vec<u8>) -> BoxFuture<'a, Result<Answer, TransportError>> {
        Box::pin(async move { self.exchange(domain, path, &body) })
    }
}
