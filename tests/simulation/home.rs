//! A simulated domain: a real server over a real node, whose ports are the simulation's. It starts, stops, is killed, and starts again from its disk.

use crate::clock::{SkewedClock, Time};
use crate::disk::{Disk, Handle};
use crate::hostile::Liar;
use crate::wire::{Place, Way, Wire, read};
use axum::body::Body;
use axum::http::Request;
use mesh_node::buckets::Rates;
use mesh_node::registration::RegistrationRules;
use mesh_node::{Config, Node, Ports};
use mesh_proto::address::Domain;
use mesh_proto::api::RegistrationMode;
use mesh_proto::http_signature::{CONTENT_DIGEST, ContentDigest, RequestParts, SIGNATURE, SIGNATURE_INPUT, SignatureInput, sign};
use mesh_proto::key::{KeyId, SecretKey};
use mesh_proto::port::{Answer, Clock, Rng};
use mesh_server::App;
use mesh_server::config::Limits;
use mesh_server::signing::Signer;
use mesh_store::{Kv, MemoryStore};
use mesh_testkit::{SeededRng, TestAccount};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Bytes of a home's caches: small, so that eviction is simulated too.
const CACHE_BYTES_MAX: u64 = 64 * 1024;
const MEMORY_BYTES_MAX: u64 = 1024 * 1024;
/// Accounts of which a domain keeps copies.
const MIRRORS_MAX: u32 = 4;
/// Largest answer that the checker reads.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A domain's random source. What decides about time, the 8 bytes of a wait after a failure, comes from a stream of its own: else nonces and salts, which several
/// threads draw, would change it.
#[derive(Debug)]
struct Streams {
    waits: SeededRng,
    others: SeededRng,
}

impl Rng for Streams {
    fn fill(&self, out: &mut [u8]) {
        if out.len() == 8 { self.waits.fill(out) } else { self.others.fill(out) }
    }
}

/// Who asks, and with which of their devices.
pub(crate) type Asker<'a> = (&'a TestAccount, &'a SecretKey);

/// How a domain ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// In order.
    Stopped,
    /// By kill -9, or by a loss of power.
    Killed,
}

/// What the operator of a restored domain does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NewLog {
    /// `meshd new-log`.
    Begun,
    /// Nothing, against the advice of docs/run-a-domain.md.
    Forgotten,
}

/// A domain.
pub(crate) struct Home {
    pub(crate) place: Place,
    pub(crate) domain: Domain,
    pub(crate) clock: Arc<SkewedClock>,
    pub(crate) disk: Disk,
    /// What it does to what it sends and answers; an honest one has none.
    pub(crate) liar: Option<Arc<Liar>>,
    time: Time,
    wire: Arc<Wire>,
    rng: Arc<Streams>,
    running: Option<(Arc<Node>, Arc<Handle>)>,
    /// The disk as the last process saw it.
    before: Weak<Handle>,
    nonces: u64,
}

impl Home {
    /// A domain that does not run yet.
    pub(crate) fn new((wire, time): (&Arc<Wire>, &Time), (place, domain): (Place, Domain), seed: u64, disk: Disk) -> Self {
        Self {
            place,
            domain,
            clock: SkewedClock::new(time, 0),
            disk,
            liar: None,
            time: time.clone(),
            wire: Arc::clone(wire),
            rng: Arc::new(Streams { waits: SeededRng::new(seed), others: SeededRng::new(!seed) }),
            running: None,
            before: Weak::new(),
            nonces: 0,
        }
    }

    /// The running node.
    pub(crate) fn node(&self) -> Option<&Arc<Node>> {
        self.running.as_ref().map(|(node, _)| node)
    }

    /// Goes back to a copy of its disk, and begins a new log over it, as `meshd new-log` does.
    pub(crate) async fn restore(&mut self, copy: MemoryStore, new_log: NewLog) {
        self.end(End::Killed).await;
        self.disk.put_back(copy);
        if new_log == NewLog::Begun {
            let kv: Arc<dyn Kv> = self.disk.open();
            mesh_node::log::begin_new(&kv, &self.domain, self.key(2)).expect("a domain restored from a backup begins a new log");
        }
        self.start().await;
    }

    /// The public key that signs its log's checkpoints.
    pub(crate) fn log_key(&self) -> KeyId {
        self.key(2).id()
    }

    fn key(&self, number: u8) -> SecretKey {
        let mut seed = [number; 32];
        seed[..8].copy_from_slice(&(self.place as u64).to_be_bytes());
        SecretKey::from_seed(&seed)
    }

    /// Starts over its disk.
    pub(crate) async fn start(&mut self) {
        if self.running.is_some() {
            return;
        }
        // Somebody may still wait for an answer that the last process was to fetch.
        while self.before.strong_count() > 0 {
            self.time.pass(Duration::from_secs(1)).await;
        }
        let handle = self.disk.open();
        self.before = Arc::downgrade(&handle);
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let signer = Signer::new(self.domain.clone(), self.key(1), Arc::clone(&clock), Arc::clone(&self.rng) as _);
        let way = Way { wire: Arc::clone(&self.wire), from: self.place, signer, liar: self.liar.clone() };
        let config = Config {
            domain: self.domain.clone(),
            request_key: self.key(1),
            log_key: self.key(2),
            registration: RegistrationRules { mode: RegistrationMode::Open, pow_bits: 0 },
            rates: Rates::default(),
            cache_bytes_max: CACHE_BYTES_MAX,
            mirrors_max: MIRRORS_MAX,
            accounts_bytes_max: MEMORY_BYTES_MAX,
            heads_bytes_max: MEMORY_BYTES_MAX,
            search: None,
        };
        let ports = Ports { kv: Arc::clone(&handle) as _, clock, rng: Arc::clone(&self.rng) as _, transport: Arc::new(way) };
        let node = Arc::new(Node::open(config, ports).expect("a domain opens over what it left"));
        node.start();
        let router = mesh_server::router(App::new(Arc::clone(&node), Limits::default()));
        self.wire.open(self.place, router);
        self.running = Some((node, handle));
    }

    /// Ends the process.
    pub(crate) async fn end(&mut self, end: End) {
        let Some((node, handle)) = self.running.take() else { return };
        match end {
            End::Stopped => self.wire.close(self.place).await,
            End::Killed => {
                handle.cut_off();
                self.disk.lose_power();
                self.wire.slam(self.place);
            }
        }
        let stopped = tokio::task::spawn_blocking(move || node.stop()).await.expect("stopping does not panic");
        // A disk without power cannot be closed.
        if end == End::Stopped {
            stopped.expect("stops in order");
        }
    }

    /// Lets someone who lives here write. Time stands still meanwhile: the thread that appends is none of the runtime's, and would seem idle.
    /// Whatever the request needs of other domains must be here already.
    pub(crate) async fn write(&self, path: &str, body: Vec<u8>) -> Option<Answer> {
        let router = self.wire.router(self.place)?;
        let request = Request::post(path).header("content-type", "application/json").body(Body::from(body)).expect("a good request");
        let runtime = tokio::runtime::Handle::current();
        let answer = tokio::task::spawn_blocking(move || runtime.block_on(read(router, request, ANSWER_BYTES_MAX)));
        answer.await.expect("handlers do not panic").ok()
    }

    /// What is shown here.
    pub(crate) async fn show(&self, path: &str) -> Option<Answer> {
        let router = self.wire.router(self.place)?;
        let request = Request::get(path).body(Body::empty()).expect("a good request");
        read(router, request, ANSWER_BYTES_MAX).await.ok()
    }

    /// Lets anybody write, while time goes on: the domain may ask others.
    pub(crate) async fn take<T: Serialize>(&self, path: &str, body: &T) -> Option<Answer> {
        let router = self.wire.router(self.place)?;
        let body = serde_json::to_vec(body).expect("json");
        let request = Request::post(path).header("content-type", "application/json").body(Body::from(body)).expect("a good request");
        read(router, request, ANSWER_BYTES_MAX).await.ok()
    }

    /// What is shown here, if it is there.
    pub(crate) async fn shown<T: DeserializeOwned>(&self, path: &str) -> Option<T> {
        let answer = self.show(path).await.filter(|answer| answer.status == 200)?;
        serde_json::from_slice(&answer.body).ok()
    }

    /// What is shown to someone who lives here.
    pub(crate) async fn shown_to<T: DeserializeOwned>(&mut self, asker: Asker<'_>, path: &str) -> Option<T> {
        let answer = self.ask(asker, ("GET", path), Vec::new()).await.filter(|answer| answer.status == 200)?;
        serde_json::from_slice(&answer.body).ok()
    }

    /// Answers a signed request, while time goes on.
    pub(crate) async fn ask(&mut self, (person, device): Asker<'_>, (method, path): (&str, &str), body: Vec<u8>) -> Option<Answer> {
        let router = self.wire.router(self.place)?;
        self.nonces += 1;
        let target = format!("{}{path}", self.domain.base_url());
        let (now_s, nonce) = (self.clock.now_ms() / 1000, format!("checker{:016}", self.nonces));
        let keyid = format!("{}/{}", person.id(), device.id());
        let input = SignatureInput::new(now_s, now_s + 30, &nonce, &keyid).expect("good input");
        let parts = RequestParts::new(method, &target).expect("a target");
        let headers = sign(parts, ContentDigest::of(&body), &input, |base| device.sign(base).0);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(CONTENT_DIGEST, headers.content_digest)
            .header(SIGNATURE_INPUT, headers.signature_input)
            .header(SIGNATURE, headers.signature)
            .body(Body::from(body))
            .expect("a good request");
        read(router, request, ANSWER_BYTES_MAX).await.ok()
    }
}
