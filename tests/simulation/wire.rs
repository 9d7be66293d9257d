//! The network between domains: requests and answers that are late, lost, doubled, overtaken or cut off, and no sockets.
//!
//! What becomes of a message follows from the seed, the two domains and how many messages went between them before, so that it does not depend on which
//! thread was faster. A request that arrives is handled even if its sender has given up, or its answer is lost.

use crate::clock::Time;
use crate::hostile::{Heard, Liar, Spoken};
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use mesh_proto::address::Domain;
use mesh_proto::port::{Answer, BoxFuture, Transport, TransportError};
use mesh_server::signing::Signer;
use mesh_testkit::{Link, SeededRng};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tower::ServiceExt;

/// How long a whole exchange may take, and the largest answers that are read: as the server's own way out has it.
const WAIT: Duration = Duration::from_secs(30);
const GET_BYTES_MAX: usize = 4 * 1024 * 1024;
const POST_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long requests under way may take once a domain stops.
const STOP_WAIT: Duration = Duration::from_secs(8);

/// A domain's number.
pub(crate) type Place = usize;

/// Locks what no panic leaves half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a running domain takes requests.
struct Door {
    router: Router,
    under_way: JoinSet<()>,
}

/// A request on its way.
#[derive(Clone)]
struct Letter {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    answer_bytes_max: usize,
}

type Outcome = Result<Answer, TransportError>;

/// The network.
pub(crate) struct Wire {
    seed: u64,
    time: Time,
    names: BTreeMap<Domain, Place>,
    doors: Vec<Mutex<Option<Door>>>,
    /// What domains do to their answers.
    liars: Mutex<BTreeMap<Place, Arc<Liar>>>,
    link: Mutex<Link>,
    chances: Mutex<BTreeMap<(Place, Place), Arc<SeededRng>>>,
    /// Parts of the network that reach only themselves.
    islands: Mutex<BTreeMap<u64, BTreeSet<Place>>>,
    /// Exchanges so far.
    pub(crate) exchanges: std::sync::atomic::AtomicU64,
}

impl Wire {
    /// A network between these domains.
    pub(crate) fn new(seed: u64, time: &Time, domains: &[Domain]) -> Arc<Self> {
        Arc::new(Self {
            seed,
            time: time.clone(),
            names: domains.iter().cloned().zip(0..).collect(),
            doors: domains.iter().map(|_| Mutex::new(None)).collect(),
            liars: Mutex::default(),
            link: Mutex::new(Link::GOOD),
            chances: Mutex::default(),
            islands: Mutex::default(),
            exchanges: Default::default(),
        })
    }

    /// Changes what happens to messages from now on.
    pub(crate) fn set_link(&self, link: Link) {
        *lock(&self.link) = link;
    }

    /// Cuts a part of the network off from the rest.
    pub(crate) fn cut(&self, number: u64, island: BTreeSet<Place>) {
        lock(&self.islands).insert(number, island);
    }

    /// Mends such a cut.
    pub(crate) fn mend(&self, number: u64) {
        lock(&self.islands).remove(&number);
    }

    /// No more faults.
    pub(crate) fn calm(&self) {
        lock(&self.islands).clear();
        self.set_link(Link::GOOD);
    }

    /// Makes a domain lie in its answers.
    pub(crate) fn lies(&self, place: Place, liar: Arc<Liar>) {
        lock(&self.liars).insert(place, liar);
    }

    /// Lets a domain take requests.
    pub(crate) fn open(&self, place: Place, router: Router) {
        *lock(&self.doors[place]) = Some(Door { router, under_way: JoinSet::new() });
    }

    /// A domain takes no more requests; those under way are finished.
    pub(crate) async fn close(&self, place: Place) {
        let Some(mut door) = lock(&self.doors[place]).take() else { return };
        let finished = async { while door.under_way.join_next().await.is_some() {} };
        // What takes longer is cut off.
        let _ = tokio::time::timeout(STOP_WAIT, finished).await;
    }

    /// A domain is gone, and what it was doing with it.
    pub(crate) fn slam(&self, place: Place) {
        drop(lock(&self.doors[place]).take());
    }

    /// The router of a running domain, for its own people: they are near it.
    pub(crate) fn router(&self, place: Place) -> Option<Router> {
        lock(&self.doors[place]).as_ref().map(|door| door.router.clone())
    }

    fn is_cut(&self, from: Place, to: Place) -> bool {
        lock(&self.islands).values().any(|island| island.contains(&from) != island.contains(&to))
    }

    /// The delays of the copies of a message that arrive.
    fn copies(&self, from: Place, to: Place) -> Vec<Duration> {
        let chance = {
            let mut chances = lock(&self.chances);
            let seed = self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ ((from as u64) << 32) ^ (to as u64 + 1);
            Arc::clone(chances.entry((from, to)).or_insert_with(|| Arc::new(SeededRng::new(seed))))
        };
        let link = *lock(&self.link);
        link.copies(&chance).into_iter().map(Duration::from_millis).collect()
    }

    async fn exchange(self: &Arc<Self>, from: Place, to: &Domain, letter: Letter) -> Outcome {
        self.exchanges.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let Some(to) = self.names.get(to).copied() else {
            return Err(TransportError::Unreachable(format!("there is no domain {to}")));
        };
        // Held until the end: that nothing comes back shows only when the time is over.
        let (answers, mut answered) = mpsc::unbounded_channel();
        for delay in self.copies(from, to) {
            let (wire, letter, answers) = (Arc::clone(self), letter.clone(), answers.clone());
            tokio::spawn(async move {
                wire.time.pass(delay).await;
                wire.arrive((from, to), letter, answers);
            });
        }
        match tokio::time::timeout(WAIT, answered.recv()).await {
            Ok(Some(outcome)) => outcome,
            Ok(None) | Err(_) => Err(TransportError::Timeout),
        }
    }

    /// Hands a request over, to be handled in the receiver's own time.
    fn arrive(self: Arc<Self>, (from, to): (Place, Place), letter: Letter, answers: mpsc::UnboundedSender<Outcome>) {
        if self.is_cut(from, to) {
            return;
        }
        let mut door = lock(&self.doors[to]);
        let Some(door) = door.as_mut() else {
            // Nobody listens: that is known at once. The one who asked may have gone.
            drop(answers.send(Err(TransportError::Unreachable("connection refused".into()))));
            return;
        };
        while door.under_way.try_join_next().is_some() {}
        let router = door.router.clone();
        let wire = Arc::clone(&self);
        door.under_way.spawn(async move {
            let path = letter.path.clone();
            let mut outcome = handle(router, letter).await;
            let liar = lock(&wire.liars).get(&to).cloned();
            if let Some(liar) = liar {
                match liar.answer(&path, outcome) {
                    Heard::Silence => return,
                    Heard::Answer(answer) => outcome = answer,
                }
            }
            let Some(delay) = wire.copies(to, from).into_iter().min() else { return };
            wire.time.pass(delay).await;
            if !wire.is_cut(to, from) {
                drop(answers.send(outcome));
            }
        });
    }
}

/// Lets a router answer, as over a connection.
async fn handle(router: Router, letter: Letter) -> Outcome {
    let mut request = Request::builder().method(letter.method).uri(letter.path);
    for (name, value) in letter.headers {
        request = request.header(name, value);
    }
    let request = request.body(Body::from(letter.body)).expect("senders make good requests");
    read(router, request, letter.answer_bytes_max).await
}

/// Sends a request to a router and reads its answer.
pub(crate) async fn read(router: Router, mut request: Request<Body>, bytes_max: usize) -> Outcome {
    // A neighbour: buckets that measure the time outside must not decide about a simulation.
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from((Ipv4Addr::LOCALHOST, 1))));
    let Ok(response) = router.oneshot(request).await;
    let status = response.status().as_u16();
    let retry_after_s = response.headers().get("retry-after").and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    match axum::body::to_bytes(response.into_body(), bytes_max).await {
        Ok(body) => Ok(Answer { status, retry_after_s, body: body.to_vec() }),
        Err(_) => Err(TransportError::TooLarge(bytes_max)),
    }
}

/// How one domain reaches the others.
pub(crate) struct Way {
    pub(crate) wire: Arc<Wire>,
    pub(crate) from: Place,
    pub(crate) signer: Signer,
    /// What it does to its requests.
    pub(crate) liar: Option<Arc<Liar>>,
}

impl Transport for Way {
    fn get<'a>(&'a self, domain: &'a Domain, path: &'a str) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let letter =
                Letter { method: "GET", path: path.to_owned(), headers: Vec::new(), body: Vec::new(), answer_bytes_max: GET_BYTES_MAX };
            self.wire.exchange(self.from, domain, letter).await
        })
    }

    fn post<'a>(&'a self, domain: &'a Domain, path: &'a str, body: Vec<u8>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let body = match &self.liar {
                None => body,
                Some(liar) => match liar.say(path, body) {
                    Spoken::Nothing => return Err(TransportError::Unreachable("it has no wish to".into())),
                    Spoken::Body(body) => body,
                    Spoken::Instead(answer) => return Ok(answer),
                },
            };
            let signed = self.signer.sign(domain, path, body).map_err(|error| TransportError::Unreachable(error.to_string()))?;
            let (headers, body) = (signed.headers, signed.body);
            let letter = Letter { method: "POST", path: path.to_owned(), headers, body, answer_bytes_max: POST_BYTES_MAX };
            self.wire.exchange(self.from, domain, letter).await
        })
    }
}
