//! A domain played by the test: it says over real HTTP whatever the test wants.

use crate::network::{Home, Reply};
use axum::Json;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use mesh_proto::api::{
    Challenge, ChallengeRequest, Delivery, DeliveryAnswer, DeliveryItem, Discovery, DomainKey, DomainKeyUse, ItemResult, KeysPush,
    PolicyView, Problem, RegistrationMode,
};
use mesh_proto::envelope::{Envelope, Kind};
use mesh_proto::key::SecretKey;
use mesh_proto::log::BatchProof;
use mesh_testkit::{TestAccount, TestLog};
use serde::Serialize;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What came: leaves in their order, and below which there is all that was ever sent.
#[derive(Default)]
struct Received {
    leaves: Vec<u64>,
    watermark: u64,
    /// Requests with key operations, of which the first is refused as a replay.
    keys: usize,
}

/// What a played domain answers to all that it does not understand: a path and a body become a status and a body.
pub(crate) type Answers = Box<dyn Fn(&str, &[u8]) -> (u16, Vec<u8>) + Send>;

/// A played domain.
pub(crate) struct Peer {
    pub(crate) domain: String,
    pub(crate) key: SecretKey,
    pub(crate) log: TestLog,
    /// Makes the log's key.
    number: u8,
    discovery: Arc<Mutex<Discovery>>,
    received: Arc<Mutex<Received>>,
    answers: Arc<Mutex<Option<Answers>>>,
    task: JoinHandle<()>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Peer {
    /// Starts a played domain; `number` makes its keys.
    pub(crate) async fn start(label: &str, number: u8) -> Self {
        Self::start_with(label, number, axum::Router::new()).await
    }

    /// The same with more that it answers.
    pub(crate) async fn start_with(label: &str, number: u8, more: axum::Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let domain = format!("{label}.localhost:{}", listener.local_addr().expect("bound").port());
        let key = SecretKey::from_seed(&[number; 32]);
        let log = TestLog::new(&format!("{domain}/log/1"), number.wrapping_add(1));
        let discovery = Discovery {
            versions: vec![1],
            domain: domain.parse().expect("a domain"),
            keys: vec![DomainKey { id: key.id(), key_use: DomainKeyUse::Request }, DomainKey { id: log.key(), key_use: DomainKeyUse::Log }],
            origin: format!("{domain}/log/1").parse().expect("an origin"),
            software: "played".into(),
            limits: Default::default(),
            policy: PolicyView { registration: RegistrationMode::Closed, mirrors: false },
        };
        let received = Arc::new(Mutex::default());
        let answers = Arc::new(Mutex::default());
        let discovery = Arc::new(Mutex::new(discovery));
        let shown = (Arc::clone(&discovery), more);
        let task = tokio::spawn(serve(listener, shown, key.clone(), (Arc::clone(&received), Arc::clone(&answers))));
        Self { domain, key, log, number, discovery, received, answers, task }
    }

    /// Begins its second log. Answers the first.
    pub(crate) fn begin_new_log(&mut self) -> TestLog {
        let origin = format!("{}/log/2", self.domain);
        self.discovery.lock().expect("no panic").origin = origin.parse().expect("an origin");
        std::mem::replace(&mut self.log, TestLog::new(&origin, self.number.wrapping_add(1)))
    }

    /// Says what is answered to questions that a played domain does not understand by itself.
    pub(crate) fn answers(&self, answers: impl Fn(&str, &[u8]) -> (u16, Vec<u8>) + Send + 'static) {
        *self.answers.lock().expect("no panic") = Some(Box::new(answers));
    }

    /// The leaves that were delivered here.
    pub(crate) fn received(&self) -> Vec<u64> {
        self.received.lock().expect("no panic").leaves.clone()
    }

    /// How often key operations were brought.
    pub(crate) fn keys_brought(&self) -> usize {
        self.received.lock().expect("no panic").keys
    }

    /// Loses all that was delivered.
    pub(crate) fn forget(&self) {
        *self.received.lock().expect("no panic") = Received::default();
    }

    /// A person who lives here, as far as this domain says.
    pub(crate) fn person(&self, user: &str, number: u8) -> TestAccount {
        TestAccount::new(&format!("{user}@{}", self.domain), number)
    }

    /// Logs a record and makes it an item of a delivery.
    pub(crate) fn log(&mut self, person: &TestAccount, envelope: &Envelope) -> DeliveryItem {
        let logged = self.log.accept(person, envelope.clone());
        DeliveryItem { index: logged.leaf.index, salt: logged.opening.salt, received: logged.opening.received, envelope: logged.envelope }
    }

    /// An honest delivery of logged items, with the key logs of `people`.
    pub(crate) fn delivery(&mut self, items: Vec<DeliveryItem>, people: &[&TestAccount]) -> Delivery {
        let indexes: Vec<u64> = items.iter().map(|item| item.index).collect();
        let proof: BatchProof = self.log.prove(&indexes);
        let keys = people.iter().map(|person| KeysPush { account: person.id(), ops: person.keys.ops().cloned().collect() }).collect();
        Delivery {
            origin: self.discovery.lock().expect("no panic").origin.clone(),
            checkpoint: self.log.checkpoint(),
            proof,
            growth: None,
            since: None,
            items,
            keys,
        }
    }

    /// Sends a delivery, rightly signed by this domain.
    pub(crate) async fn send(&self, to: &Home, delivery: &Delivery) -> Reply {
        let reply = self.signed(to, "/mesh/v1/deliveries", delivery).await;
        if reply.status != 409 || reply.problem() != "checkpoint_wanted" {
            return reply;
        }
        self.signed(to, "/mesh/v1/deliveries", &self.grown(delivery, reply.json::<Problem>().checkpoint_wanted.expect("a size"))).await
    }

    /// A delivery under the present checkpoint, with the proof that the log grew from `size`.
    pub(crate) fn grown(&self, delivery: &Delivery, size: u64) -> Delivery {
        let indexes: Vec<u64> = delivery.items.iter().map(|item| item.index).collect();
        let (proof, growth) = (self.log.prove(&indexes), Some(self.log.prove_growth(size)));
        Delivery { checkpoint: self.log.checkpoint(), proof, growth, ..delivery.clone() }
    }

    /// Sends a request, rightly signed by this domain.
    pub(crate) async fn signed(&self, to: &Home, path: &str, body: &impl Serialize) -> Reply {
        let body = serde_json::to_vec(body).expect("json");
        let keyid = format!("{}/{}", self.domain, self.key.id());
        let headers = to.sign("POST", path, &body, (&keyid, &self.key));
        to.send_signed("POST", path, body, headers).await
    }

    /// Logs one record, and makes a delivery of it.
    pub(crate) fn delivery_of(&mut self, person: &TestAccount, envelope: &Envelope) -> Delivery {
        let item = self.log(person, envelope);
        self.delivery(vec![item], &[person])
    }

    /// Logs and delivers one record; answers its result.
    pub(crate) async fn deliver(&mut self, to: &Home, person: &TestAccount, envelope: &Envelope) -> ItemResult {
        let delivery = self.delivery_of(person, envelope);
        let reply = self.send(to, &delivery).await;
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        reply.json::<DeliveryAnswer>().results.remove(0)
    }
}

type State = (Arc<Mutex<Received>>, Arc<Mutex<Option<Answers>>>);

async fn serve(
    listener: TcpListener,
    (discovery, more): (Arc<Mutex<Discovery>>, axum::Router),
    key: SecretKey,
    (received, answers): State,
) {
    let domain = discovery.lock().expect("no panic").domain.clone();
    let challenge = move |Json(asked): Json<ChallengeRequest>| async move {
        let answer = Challenge { domain, from: asked.from, nonce: asked.nonce, at: 0 };
        Json(Envelope::sign(Kind::Challenge, serde_json::to_vec(&answer).expect("json"), &key))
    };
    let keys_received = Arc::clone(&received);
    let deliveries = move |headers: HeaderMap, body: Bytes| async move {
        let body = if headers.contains_key("content-encoding") { zstd::decode_all(&body[..]).expect("zstd") } else { body.to_vec() };
        let delivery: Delivery = serde_json::from_slice(&body).expect("a delivery");
        let mut received = received.lock().expect("no panic");
        let indexes = delivery.items.iter().map(|item| item.index);
        if delivery.since.is_some_and(|since| since <= received.watermark) {
            received.watermark = received.watermark.max(indexes.clone().max().map_or(0, |last| last + 1));
            received.leaves.extend(indexes);
        }
        Json(DeliveryAnswer { results: vec![ItemResult::Accepted; delivery.items.len()], watermark: received.watermark, cosignature: None })
    };
    let keys = move || async move {
        let mut received = keys_received.lock().expect("no panic");
        received.keys += 1;
        if received.keys == 1 { StatusCode::UNAUTHORIZED } else { StatusCode::OK }
    };
    let other = move |uri: axum::http::Uri, headers: HeaderMap, body: Bytes| async move {
        let body = if headers.contains_key("content-encoding") { zstd::decode_all(&body[..]).expect("zstd") } else { body.to_vec() };
        let answers = answers.lock().expect("no panic");
        let (status, body) = answers.as_ref().map_or((404, Vec::new()), |answers| answers(uri.path(), &body));
        (axum::http::StatusCode::from_u16(status).expect("a status"), body)
    };
    let router = axum::Router::new()
        .fallback(other)
        .route("/mesh/v1/keys", post(keys))
        .route("/.well-known/mesh", get(move || async move { Json(discovery.lock().expect("no panic").clone()) }))
        .route("/mesh/v1/challenges", post(challenge))
        .route("/mesh/v1/deliveries", post(deliveries))
        .merge(more);
    axum::serve(listener, router).await.expect("serves");
}

/// The code of a refused item.
#[track_caller]
pub(crate) fn refusal(result: ItemResult) -> String {
    match result {
        ItemResult::Refused { code, .. } => code,
        other => panic!("it was not refused: {other:?}"),
    }
}
