//! Domains that answer our own requests with garbage, too much, or never: bounded, said in words, and nobody else waits for it.

use super::Neighbours;
use crate::boundary::refused;
use crate::federation::{like, post, until_subscribed};
use crate::network::{Home, Reply, until};
use crate::peer::Peer;
use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use mesh_proto::api::{Challenge, ChallengeRequest, Discovery, DomainKey, DomainKeyUse, PolicyView, Pulled, RegistrationMode};
use mesh_proto::envelope::{Envelope, Kind, RecordId};
use mesh_proto::key::SecretKey;
use mesh_testkit::TestAccount;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What comes instead of an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Bad {
    Garbage,
    WrongTypes,
    Deep,
    Bomb,
    Redirect,
    TooShort,
    Failing,
    ManyResults,
    Endless,
    Drops,
    Never,
}

/// Those that end by themselves, or by the bound on bytes.
const SOON: [Bad; 9] =
    [Bad::Garbage, Bad::WrongTypes, Bad::Deep, Bad::Bomb, Bad::Redirect, Bad::TooShort, Bad::Failing, Bad::ManyResults, Bad::Endless];

/// Bytes of one piece of an endless answer.
const PIECE_BYTES: usize = 64 * 1024;
/// More than this is never read of one answer, with what lies in buffers on the way.
const READ_BYTES_MAX: u64 = 32 * 1024 * 1024;

impl Bad {
    async fn answer(self, sent: Arc<AtomicU64>) -> Response {
        let endless = |piece: usize, wait: Duration| {
            let tick = tokio::time::interval(wait);
            let pieces = futures_util::stream::unfold(tick, move |mut tick| {
                let sent = Arc::clone(&sent);
                async move {
                    if wait > Duration::from_micros(1) {
                        tick.tick().await;
                    }
                    sent.fetch_add(piece as u64, Ordering::SeqCst);
                    Some((Ok::<_, Infallible>(Bytes::from(vec![b'['; piece])), tick))
                }
            });
            Body::from_stream(pieces).into_response()
        };
        match self {
            Self::Garbage => "\u{fffd}<html>{{{{".into_response(),
            Self::WrongTypes => Json(serde_json::json!({
                "results": "all", "watermark": "far", "delivery": 7, "next": [], "more": "yes", "accounts": {}, "records": 1, "card": null
            }))
            .into_response(),
            Self::Deep => "[".repeat(200_000).into_response(),
            Self::Bomb => {
                let bomb = zstd::encode_all(std::io::repeat(b'[').take_bytes(64 << 20), 1).expect("compresses");
                ([(header::CONTENT_ENCODING, "zstd")], bomb).into_response()
            }
            Self::Redirect => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, "http://127.0.0.1:1/")]).into_response(),
            Self::TooShort => ([(header::CONTENT_LENGTH, "1000")], Body::from_stream(once("{\"results\":["))).into_response(),
            Self::Failing => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            Self::ManyResults => {
                let results = vec![serde_json::json!({"result": "accepted"}); 10_000];
                Json(serde_json::json!({"results": results, "watermark": u64::MAX, "records": results, "accounts": []})).into_response()
            }
            Self::Endless => endless(PIECE_BYTES, Duration::from_micros(1)),
            Self::Drops => endless(1, Duration::from_secs(1)),
            Self::Never => std::future::pending().await,
        }
    }
}

/// A body that ends before it should.
fn once(text: &'static str) -> impl futures_util::Stream<Item = std::io::Result<Bytes>> {
    let broken = std::io::Error::other("gone");
    futures_util::stream::iter([Ok(Bytes::from_static(text.as_bytes())), Err(broken)])
}

/// `Read::take` by another name, as the extension trait of futures has it too.
trait TakeBytes: std::io::Read + Sized {
    fn take_bytes(self, limit: u64) -> std::io::Take<Self> {
        std::io::Read::take(self, limit)
    }
}

impl<R: std::io::Read> TakeBytes for R {}

/// A domain that says well who it is, and nothing else.
struct Evil {
    domain: String,
    key: SecretKey,
    sent: Arc<AtomicU64>,
    asked: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Drop for Evil {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Evil {
    async fn start(bad: Bad) -> Self {
        Self::start_with(move |_, sent| bad.answer(sent)).await
    }

    /// `answer` is told how often it was asked before.
    async fn start_with<F: Future<Output = Response> + Send + 'static>(
        answer: impl Fn(u64, Arc<AtomicU64>) -> F + Clone + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let domain = format!("evil.localhost:{}", listener.local_addr().expect("bound").port());
        let key = SecretKey::from_seed(&[66; 32]);
        let discovery = Discovery {
            versions: vec![1],
            domain: domain.parse().expect("a domain"),
            keys: vec![DomainKey { id: key.id(), key_use: DomainKeyUse::Request }, DomainKey { id: key.id(), key_use: DomainKeyUse::Log }],
            origin: format!("{domain}/log/1").parse().expect("an origin"),
            software: "played".into(),
            limits: Default::default(),
            policy: PolicyView { registration: RegistrationMode::Closed, mirrors: false },
        };
        let (sent, asked) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let (counted, asks) = (Arc::clone(&sent), Arc::clone(&asked));
        let (own, signer) = (discovery.domain.clone(), key.clone());
        let challenge = move |Json(asked): Json<ChallengeRequest>| async move {
            let answer = Challenge { domain: own, from: asked.from, nonce: asked.nonce, at: 0 };
            Json(Envelope::sign(Kind::Challenge, serde_json::to_vec(&answer).expect("json"), &signer))
        };
        let pages = Router::new()
            .route("/.well-known/mesh", get(move || async move { Json(discovery) }))
            .route("/mesh/v1/challenges", axum::routing::post(challenge))
            .fallback(move || answer(asks.fetch_add(1, Ordering::SeqCst), Arc::clone(&counted)));
        let task = tokio::spawn(async move { axum::serve(listener, pages).await.expect("serves") });
        Self { domain, key, sent, asked, task }
    }

    fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    /// Makes itself known.
    async fn meet(&self, home: &Home) {
        let keyid = format!("{}/{}", self.domain, self.key.id());
        refused(&home.signed("POST", "/mesh/v1/deliveries", b"{}".to_vec(), (&keyid, &self.key)).await, 400, "malformed", "a greeting");
    }
}

async fn resolve(one: &Home, home: &str) -> Reply {
    one.get(&format!("/api/v1/resolve?uri=mesh://neo@{home}/{}", RecordId::from_hash([7; 32]))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_instead_of_a_record_is_refused_in_words_and_bounded() {
    let one = Home::start("one").await;
    for bad in SOON {
        let evil = Evil::start(bad).await;
        refused(&resolve(&one, &evil.domain).await, 502, "remote", &format!("{bad:?}"));
        assert!(evil.sent.load(Ordering::SeqCst) < READ_BYTES_MAX, "{bad:?}: the server reads on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn record_of_a_lost_home_is_looked_for_once_in_a_while() {
    let (one, mut peer) = (Home::start("one").await, Peer::start("peer", 40).await);
    let neo = peer.person("neo", 1);
    peer.deliver(&one, &neo, &neo.sign(post("hello"))).await;
    let asked = Arc::<AtomicU64>::default();
    let counted = Arc::clone(&asked);
    peer.answers(move |path, _| {
        counted.fetch_add(u64::from(path == "/mesh/v1/records:batch"), Ordering::SeqCst);
        (404, Vec::new())
    });
    for _ in 0..5 {
        refused(&resolve(&one, "gone.localhost:1").await, 502, "remote", "nobody has it");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

/// Serves somebody while a request of somebody else waits for a domain that does not answer.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_silent_domain_keeps_nobody_else_waiting() {
    let mut stage = Neighbours::start().await;
    for bad in [Bad::Never, Bad::Drops] {
        let evil = Evil::start(bad).await;
        let waiting: Vec<_> = (0..20).map(|_| Box::pin(resolve(&stage.one, &evil.domain))).collect();
        let mut waiting = futures_util::future::select_all(waiting);
        let hello = stage.one.says(&stage.ada, post(&format!("{bad:?}")));
        let said = tokio::select! {
            said = hello => said,
            (reply, ..) = &mut waiting => panic!("{bad:?}: answered {reply:?}"),
        };
        tokio::select! {
            () = async { stage.two.says(&stage.bob, like(stage.ada.object(&said))).await; stage.one.until_count(&said.id(), Kind::Like, 1).await } => {}
            (reply, ..) = &mut waiting => panic!("{bad:?}: answered {reply:?}"),
        }
        assert!(evil.asked() >= 20, "{bad:?}");
    }
    stage.one.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn destination_that_answers_badly_is_tried_seldom_and_others_get_theirs() {
    let stage = Neighbours::start().await;
    let hi = stage.two.says(&stage.bob, post("hi")).await;
    let mut all = Vec::new();
    for (number, bad) in SOON.into_iter().chain([Bad::Drops, Bad::Never]).enumerate() {
        let evil = Evil::start(bad).await;
        evil.meet(&stage.one).await;
        let neo = TestAccount::new(&format!("neo@{}", evil.domain), number as u8 + 10);
        stage.one.says(&stage.ada, like(neo.object(&neo.sign(post("there"))))).await;
        all.push((bad, evil));
    }
    for (bad, evil) in &all {
        until(&format!("{bad:?} is tried"), async || evil.asked() > 0).await;
    }
    stage.one.says(&stage.ada, like(stage.bob.object(&hi))).await;
    stage.two.until_count(&hi.id(), Kind::Like, 1).await;
    for (bad, evil) in &all {
        // Back-off is random, and what is under way is one delivery, and its record alone.
        assert!(evil.asked() <= 8, "{bad:?}: asked {} times", evil.asked());
        assert!(evil.sent.load(Ordering::SeqCst) < 8 * READ_BYTES_MAX, "{bad:?}: the server reads on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn domains_that_answer_a_pull_badly_keep_no_other_from_being_asked() {
    let mut stage = Neighbours::start().await;
    let mut all = Vec::new();
    for bad in SOON.into_iter().chain([Bad::Drops, Bad::Never]) {
        let evil = Evil::start(bad).await;
        evil.meet(&stage.one).await;
        all.push((bad, evil));
    }
    stage.one.stop().await;
    let missed = stage.two.says(&stage.bob, post("missed")).await;
    let before: Vec<u64> = all.iter().map(|(_, evil)| evil.asked()).collect();
    stage.one.start_again().await;
    until("the missed post comes", async || stage.one.get(&format!("/api/v1/records/{}", missed.id())).await.status == 200).await;
    for ((bad, evil), before) in all.iter().zip(before) {
        assert!(evil.asked() - before <= 8, "{bad:?}: asked {} times", evil.asked());
    }
}

/// A domain that leads on: it always has more.
async fn leading_on(next: fn(u64) -> u64) -> Evil {
    Evil::start_with(move |asked, _| async move { Json(Pulled { delivery: None, next: next(asked), more: true }).into_response() }).await
}

/// Pages that one domain is asked for in one turn, as the server has it, and the question of comparing.
const TURN_MAX: u64 = 250 + 1;

#[tokio::test(flavor = "multi_thread")]
async fn pull_that_is_led_on_for_ever_ends() {
    for (next, asked_max) in [((|_| 5) as fn(u64) -> u64, 3), (|asked| asked + 1, TURN_MAX)] {
        let (mut one, two) = (Home::start("one").await, Home::start("two").await);
        let (ada, bob) = (one.person("ada", 1).await, two.person("bob", 2).await);
        let evil = leading_on(next).await;
        evil.meet(&one).await;
        one.stop().await;
        one.start_again().await;
        until("it is led on", async || evil.asked() >= asked_max).await;
        // Whatever else happens, it asks no more.
        one.says(&ada, crate::federation::subscribe(bob.account_ref())).await;
        until_subscribed(&two, &bob, 1).await;
        let hello = two.says(&bob, post("hello")).await;
        until("the post arrives", async || one.get(&format!("/api/v1/records/{}", hello.id())).await.status == 200).await;
        assert!(evil.asked() <= asked_max, "asked {} times", evil.asked());
    }
}
