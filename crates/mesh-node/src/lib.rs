//! The services of a MESH domain, without HTTP.
//!
//! Services form a layered graph; each knows only those before it:
//! `tables` → [`accounts`], [`log`], [`heads`] → [`objects`], [`peers`] → [`rulings`] → `index` → [`bus`] → [`bodies`], [`registration`], [`pairing`], [`buckets`] →
//! [`outbox`] → `append` → [`records`], [`intake`] → [`planned`], [`catchup`], [`healing`] → [`moderation`] → [`remote`] → [`views`], [`fresh`] → [`feed`], [`notices`],
//! [`counters`], [`published`], [`searching`]. What happens further down is told upward as [`News`].
//!
//! [`Node`] owns the services, the append thread and the outbox task. Everything that a crash must not lose is in the store when an answer is given;
//! memory holds only what can be read again.

pub mod accounts;
pub mod bus;
mod error;
mod federation;
mod index;
pub mod log;
pub mod moderation;
pub mod objects;
mod reading;
pub mod rulings;
pub mod searching;
mod tables;
#[cfg(test)]
mod testing;
mod writing;

pub use federation::{buckets, catchup, comparing, healing, intake, outbox, peers};
use federation::{dating, forks, frame, moved, packing, pin, queue};
pub use mesh_store::{Capture, Captured, Health, Kv, MemoryStore};
pub use reading::{bodies, counters, feed, fresh, heads, notices, published, remote, views};
pub use writing::{pairing, planned, records, registration};

use writing::moving::Room;
use writing::{append, places};

pub use error::{NodeError, Result};
pub use index::News;
pub use tables::{AccountLid, Lid, ObjectLid, PeerNo};

use accounts::Accounts;
use bodies::Bodies;
use buckets::{Buckets, Rates};
use bus::Bus;
use catchup::CatchUp;
use comparing::Comparing;
use counters::Counters;
use feed::Feed;
use heads::Heads;
use healing::Healing;
use intake::Intake;
use log::Log;
use mesh_proto::address::Domain;
use mesh_proto::api::{Challenge, ChallengeRequest, KeysView, NameLeaf};
use mesh_proto::envelope::{Envelope, Kind};
use mesh_proto::key::SecretKey;
use mesh_proto::keylog::LogPosition;
use mesh_proto::log::Opening;
use mesh_proto::port::{Clock, Rng, Transport};
use mesh_store::{Batch, Space};
use moderation::Moderation;
use notices::Notices;
use objects::Objects;
use outbox::Outbox;
use pairing::Pairings;
use peers::Peers;
use planned::Plans;
use published::Published;
use records::Records;
use registration::{Registrar, RegistrationRules};
use remote::Remote;
use rulings::Rulings;
use searching::Searching;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use views::Views;

/// What a domain is.
#[derive(Clone)]
pub struct Config {
    /// Its name.
    pub domain: Domain,
    /// Signs requests and challenges.
    pub request_key: SecretKey,
    /// Signs checkpoints.
    pub log_key: SecretKey,
    /// Who may register.
    pub registration: RegistrationRules,
    /// How fast strangers may go.
    pub rates: Rates,
    /// Accounts of other domains of which copies are kept at most; 0: of nobody.
    pub mirrors_max: u32,
    /// Bytes of foreign bodies kept in the store; 0 keeps none.
    pub cache_bytes_max: u64,
    /// Bytes of key logs kept in memory.
    pub accounts_bytes_max: u64,
    /// Bytes of author heads kept in memory.
    pub heads_bytes_max: u64,
    /// The folder of the search index; without one nothing is found.
    pub search: Option<PathBuf>,
}

/// The ports through which a domain meets the world.
#[derive(Clone)]
pub struct Ports {
    /// The store.
    pub kv: Arc<dyn Kv>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Random bytes.
    pub rng: Arc<dyn Rng>,
    /// The way to other domains.
    pub transport: Arc<dyn Transport>,
}

/// A domain's services.
pub struct Node {
    domain: Domain,
    request_key: SecretKey,
    ports: Ports,
    /// Who people are.
    pub accounts: Arc<Accounts>,
    /// The home log.
    pub log: Arc<Log>,
    /// Other domains.
    pub peers: Arc<Peers>,
    /// What operators decided.
    pub rulings: Arc<Rulings>,
    /// Deciding.
    pub moderation: Arc<Moderation>,
    /// Writing.
    pub records: Arc<Records>,
    /// What is to be written later.
    pub plans: Arc<Plans>,
    /// Who may register.
    pub registrar: Arc<Registrar>,
    /// Reading other domains.
    pub remote: Remote,
    /// Deliveries of others.
    pub intake: Arc<Intake>,
    /// Deliveries to others.
    pub outbox: Arc<Outbox>,
    /// Comparing what others keep of third ones' logs.
    pub comparing: Arc<Comparing>,
    /// Asking others for what is missing.
    pub catchup: Arc<CatchUp>,
    /// Comparing what others have with what is here.
    pub healing: Arc<Healing>,
    /// Reading.
    pub views: Arc<Views>,
    /// What people of this domain published.
    pub published: Arc<Published>,
    /// Finding it.
    pub searching: Arc<Searching>,
    /// Signed counters.
    pub counters: Arc<Counters>,
    /// Feeds.
    pub feed: Arc<Feed>,
    /// Notifications.
    pub notices: Arc<Notices>,
    /// Device pairing.
    pub pairings: Pairings,
    /// Token buckets.
    pub buckets: Buckets,
    /// News.
    pub bus: Arc<Bus>,
    appender: Mutex<Option<JoinHandle<()>>>,
    tasks: Mutex<Vec<tokio::task::JoinHandle<()>>>,
}

impl Node {
    /// Opens a domain over its store. Blocks while it reads the log's edge.
    pub fn open(config: Config, ports: Ports) -> Result<Self> {
        let Ports { kv, clock, rng, transport } = ports.clone();
        check_domain(&*kv, &config.domain)?;
        published::prepare(&*kv)?;
        let (log, tree) = Log::open(Arc::clone(&kv), &config.domain, config.log_key)?;
        let accounts = Arc::new(Accounts::open(Arc::clone(&kv), config.domain.clone(), config.accounts_bytes_max)?);
        let heads = Arc::new(Heads::new(Arc::clone(&kv), config.heads_bytes_max));
        let objects = Arc::new(Objects::new(Arc::clone(&kv), Arc::clone(&accounts), config.domain.clone()));
        let peers = Arc::new(Peers::open(Arc::clone(&kv), Arc::clone(&clock), Arc::clone(&transport), log.origins())?);
        let rulings = Arc::new(Rulings::open(Arc::clone(&kv), Arc::clone(&peers))?);
        let bus = Arc::new(Bus::new(Arc::clone(&heads), Arc::clone(&objects)));
        let known = (Arc::clone(&accounts), Arc::clone(&peers), Arc::clone(&transport));
        let bodies = Bodies::open(Arc::clone(&kv), known, config.cache_bytes_max)?;
        let registrar = Arc::new(Registrar::new(Arc::clone(&kv), Arc::clone(&clock), &*rng, config.domain.clone(), config.registration));
        let archives = Arc::new(AtomicU64::new(tables::carried::next_sequence(&*kv)?));
        let (queue, appender) = append::Appender {
            kv: Arc::clone(&kv),
            log: Arc::clone(&log),
            tree,
            received: last_received(&*kv)?,
            accounts: Arc::clone(&accounts),
            objects: Arc::clone(&objects),
            peers: Arc::clone(&peers),
            clock: Arc::clone(&clock),
            rng: Arc::clone(&rng),
            bus: Arc::clone(&bus),
            archives: Arc::clone(&archives),
        }
        .spawn()?;
        let parts = (Arc::clone(&accounts), Arc::clone(&objects), Arc::clone(&peers), Arc::clone(&bodies), Arc::clone(&log), archives);
        let (intake, outbox, comparing, healing) = federate(parts, (&bus, &rulings), ports.clone());
        let parts = (Arc::clone(&accounts), Arc::clone(&peers), Arc::clone(&rulings), Arc::clone(&bus), Arc::clone(&intake));
        let moderation = Arc::new(Moderation::new(Arc::clone(&kv), parts, Arc::clone(&clock), config.request_key.clone()));
        let parts = ((Arc::clone(&accounts), Arc::clone(&peers), Arc::clone(&rulings)), Arc::clone(&log), bodies, heads);
        let (views, counters, feed, notices) = read(&kv, parts, (Arc::clone(&clock), config.request_key.clone()));
        let known = (Arc::clone(&accounts), Arc::clone(&peers), Arc::clone(&rulings));
        let parts = (known, objects, Arc::clone(&registrar), Arc::clone(&bus), Arc::clone(&log));
        let records = Arc::new(Records::new(&ports, parts, (Room::new(config.mirrors_max), queue)));
        let plans = Arc::new(Plans::new(&ports, Arc::clone(&accounts), Arc::clone(&records)));
        Ok(Self {
            domain: config.domain,
            request_key: config.request_key.clone(),
            published: Arc::new(Published::new(&ports, (Arc::clone(&accounts), Arc::clone(&rulings)), Arc::clone(&views))),
            searching: Searching::open(&ports, (&accounts, &log, &views, &bus), config.search)?,
            ports,
            accounts: Arc::clone(&accounts),
            log,
            peers: Arc::clone(&peers),
            rulings: Arc::clone(&rulings),
            moderation,
            plans,
            remote: Remote::new(Arc::clone(&transport), Arc::clone(&peers), Arc::clone(&records), clock),
            records: Arc::clone(&records),
            registrar,
            catchup: CatchUp::new(peers, (Arc::clone(&intake), Arc::clone(&records), Arc::clone(&comparing)), transport),
            comparing,
            healing,
            intake,
            outbox,
            counters,
            feed,
            notices,
            views,
            pairings: Pairings::default(),
            buckets: Buckets::new(config.rates),
            bus,
            appender: Mutex::new(Some(appender)),
            tasks: Mutex::default(),
        })
    }

    /// Starts delivering and catching up, and goes on with what was interrupted. Needs a tokio runtime.
    pub fn start(&self) {
        let tasks = [
            tokio::spawn(Arc::clone(&self.outbox).run()),
            tokio::spawn(Arc::clone(&self.plans).run()),
            tokio::spawn(Arc::clone(&self.catchup).run()),
            tokio::spawn(Arc::clone(&self.healing).run()),
            tokio::spawn(Arc::clone(&self.records).go_on_announcing()),
            tokio::spawn(Arc::clone(&self.searching).run()),
        ];
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).extend(tasks);
    }

    /// The domain's name.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// How the store is.
    pub fn health(&self) -> Health {
        self.ports.kv.status().health
    }

    /// The store, for status and snapshots.
    pub fn kv(&self) -> &Arc<dyn Kv> {
        &self.ports.kv
    }

    /// The time.
    pub fn clock(&self) -> &dyn Clock {
        &*self.ports.clock
    }

    /// Random bytes.
    pub fn rng(&self) -> &dyn Rng {
        &*self.ports.rng
    }

    /// The key by which this domain signs requests.
    pub fn request_key(&self) -> &SecretKey {
        &self.request_key
    }

    /// Answers another domain's challenge: deliveries from it are welcome.
    pub fn answer_challenge(&self, request: &ChallengeRequest) -> Envelope {
        let answer = Challenge { domain: self.domain.clone(), from: request.from.clone(), nonce: request.nonce, at: self.clock().now_ms() };
        let body = serde_json::to_vec(&answer).expect("a challenge has only plain fields");
        Envelope::sign(Kind::Challenge, body, &self.request_key)
    }

    /// An account's key log, with the proof of its name where it lives here.
    pub fn keys(&self, account: &accounts::Account) -> Result<KeysView> {
        let name = match account.name_leaf.filter(|_| account.home() == &self.domain) {
            Some(index) => self.name_leaf(account, index)?,
            None => None,
        };
        Ok(KeysView { account: account.id(), ops: account.log.ops().cloned().collect(), name })
    }

    fn name_leaf(&self, account: &accounts::Account, index: u64) -> Result<Option<NameLeaf>> {
        let Some(payload) = tables::payload::Payload::get(&*self.ports.kv, Lid::new(tables::OWN, index))? else { return Ok(None) };
        let mut part = self.log.part(index);
        // A checkpoint that others have seen says more than a newer one that nobody has.
        let witnessed = self.log.witnessed().filter(|head| part.base == self.log.base() && head.size > index - part.base);
        part.head = witnessed.unwrap_or(part.head);
        let proof = self.log.prove_part(&part, &[index])?;
        let opening =
            Opening { salt: payload.salt, record: payload.record, account: account.id(), kind: payload.kind, received: payload.received };
        let leaf = LogPosition { origin: part.origin, index: index - part.base };
        Ok(Some(NameLeaf { leaf, opening, checkpoint: part.head.note.to_string(), proof }))
    }

    /// Stops: no new work is taken, what was taken is finished, the store is closed. Blocks.
    pub fn stop(&self) -> Result<()> {
        for task in self.tasks.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            task.abort();
        }
        self.records.close();
        if let Some(appender) = self.appender.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // A panic there was logged by the panic hook.
            let _ = appender.join();
        }
        self.searching.close();
        self.ports.kv.close()?;
        Ok(())
    }
}

/// The services by which people read, and what they need.
type Readable = (rulings::Known, Arc<Log>, Arc<Bodies>, Arc<Heads>);

fn read(
    kv: &Arc<dyn Kv>,
    (known, log, bodies, heads): Readable,
    (clock, key): (Arc<dyn Clock>, SecretKey),
) -> (Arc<Views>, Arc<Counters>, Arc<Feed>, Arc<Notices>) {
    let views = Views::new(Arc::clone(kv), known.clone(), (log, bodies), Arc::clone(&clock));
    let (accounts, peers, rulings) = known;
    let counters = Counters::new((Arc::clone(kv), accounts, peers, Arc::clone(&views), rulings), clock, key);
    let feed = Feed { kv: Arc::clone(kv), heads, views: Arc::clone(&views) };
    let notices = Notices { kv: Arc::clone(kv), views: Arc::clone(&views) };
    (views, Arc::new(counters), Arc::new(feed), Arc::new(notices))
}

/// The services that take in, deliver, compare and heal.
fn federate(
    parts: intake::Parts,
    (bus, rulings): (&Arc<Bus>, &Arc<Rulings>),
    ports: Ports,
) -> (Arc<Intake>, Arc<Outbox>, Arc<Comparing>, Arc<Healing>) {
    let Ports { kv, clock, rng, transport } = ports.clone();
    let (accounts, _, peers, _, log, _) = &parts;
    let outbox = Outbox {
        kv: Arc::clone(&kv),
        log: Arc::clone(log),
        accounts: Arc::clone(accounts),
        peers: Arc::clone(peers),
        rulings: Arc::clone(rulings),
        transport: Arc::clone(&transport),
        rng: Arc::clone(&rng),
        clock: Arc::clone(&clock),
        waiting: Arc::clone(&bus.waiting),
        shown: Mutex::default(),
        asleep: Mutex::default(),
        early: Mutex::default(),
    };
    let (accounts, peers, log, outbox) = (Arc::clone(accounts), Arc::clone(peers), Arc::clone(log), Arc::new(outbox));
    let intake = Arc::new(Intake::new(Arc::clone(&kv), parts, Arc::clone(bus), clock));
    let comparing = Comparing::new(kv, (Arc::clone(&peers), Arc::clone(&intake), Arc::clone(&log)), transport, rng);
    let healing = Healing::new((accounts, peers, Arc::clone(&intake), Arc::clone(bus)), (log, Arc::clone(&outbox)), ports);
    (intake, outbox, Arc::new(comparing), Arc::new(healing))
}

/// A store belongs to one domain for ever: ids and logs name it.
fn check_domain(kv: &dyn Kv, domain: &Domain) -> Result<()> {
    match kv.get(Space::Meta, b"domain")? {
        Some(known) if known == domain.as_str().as_bytes() => Ok(()),
        Some(known) => Err(NodeError::refused(
            mesh_proto::api::code::NOT_HOME,
            format!(
                "this data folder belongs to {}, not to {domain}: name the right folder or the right domain",
                String::from_utf8_lossy(&known)
            ),
        )),
        None => {
            let mut batch = Batch::new();
            batch.put(Space::Meta, "domain", domain.as_str());
            kv.commit(batch).wait()?;
            Ok(())
        }
    }
}

/// The time of the last leaf: the next one's is not less. A withdrawal is never erased itself and lies after what it erased, so that
/// a short way back leads to a leaf that is still open.
fn last_received(kv: &dyn Kv) -> Result<u64> {
    let rows = kv.scan(Space::Payload, &mesh_store::KeyRange::all(), mesh_store::Order::Backward, 1_000)?;
    for (_, row) in rows {
        if let Some(payload) = tables::payload::Payload::decode(&row)? {
            return Ok(payload.received);
        }
    }
    Ok(0)
}
