//! Domains to test with: real servers in this process, each with its own data folder and port.

pub(crate) mod peer;

use mesh_proto::address::Domain;
use mesh_proto::api::{Accepted, AccountView, Admission, NewAccount, Problem, RecordView};
use mesh_proto::envelope::{Envelope, Kind, RecordId};
use mesh_proto::http_signature::{CONTENT_DIGEST, ContentDigest, RequestParts, SIGNATURE, SIGNATURE_INPUT, SignatureInput, sign};
use mesh_proto::key::SecretKey;
use mesh_proto::record::Content;
use mesh_server::config::{self, Config};
use mesh_server::serve;
use mesh_store::FjallStore;
use mesh_store::testing::FaultFiles;
use mesh_testkit::TestAccount;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long a state may take to come about before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running domain.
pub(crate) struct Home {
    pub(crate) domain: String,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) port: u16,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
    /// The file operations of the store's journal, where tests put faults.
    files: Option<FaultFiles>,
    pub(crate) http: reqwest::Client,
}

/// An answer: status and body.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The body as an API type.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The problem's code; the status must be an error.
    #[track_caller]
    pub(crate) fn problem(&self) -> String {
        assert!(self.status >= 400, "{} {}", self.status, String::from_utf8_lossy(&self.body));
        self.json::<Problem>().code().to_owned()
    }
}

impl Home {
    /// Starts a domain `<label>.localhost:<a free port>` with an empty folder.
    pub(crate) async fn start(label: &str) -> Self {
        Self::start_with(label, |_| ()).await
    }

    /// The same with other settings.
    pub(crate) async fn start_with(label: &str, change: impl FnOnce(&mut Config)) -> Self {
        Self::start_as(|port| format!("{label}.localhost:{port}"), change).await
    }

    /// Starts a domain of any name, which is told the free port; it listens on loopback whatever it is called.
    pub(crate) async fn start_as(name: impl FnOnce(u16) -> String, change: impl FnOnce(&mut Config)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let domain = name(port);
        let folder = tempfile::tempdir().expect("a folder");
        let mut settings = Config::new(domain.parse().expect("a domain"));
        change(&mut settings);
        config::set_up(folder.path(), &settings, &mesh_server::system_rng()).expect("set up");
        Self::start_on(listener, folder, domain).await
    }

    async fn start_on(listener: TcpListener, folder: tempfile::TempDir, domain: String) -> Self {
        let port = listener.local_addr().expect("bound").port();
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
        let mut home = Self { domain, folder, port, running: None, files: None, http };
        home.serve(listener);
        home.until_it_answers().await;
        home
    }

    /// Starts the domain of a data folder that is there already.
    pub(crate) async fn start_over(folder: tempfile::TempDir) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let domain = config::read(folder.path()).expect("a good folder").config.domain.to_string();
        Self::start_on(listener, folder, domain).await
    }

    fn serve(&mut self, listener: TcpListener) {
        let folder = config::read(self.folder.path()).expect("a good folder");
        let files = self.files.clone();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let (node, folder) = tokio::task::spawn_blocking(move || (open(&folder, files), folder)).await.expect("opens");
            let until = async move { drop(stopped.await) };
            serve::serve(node, vec![listener], &folder, until).await.expect("serves and stops");
        });
        self.running = Some((stop, task));
    }

    /// Stops as Ctrl-C does.
    pub(crate) async fn stop(&mut self) {
        let (stop, task) = self.running.take().expect("it runs");
        stop.send(()).expect("it runs");
        task.await.expect("stops in order");
    }

    /// Stops a server whose disk is gone: whatever it still tries fails.
    pub(crate) async fn abandon(&mut self) {
        let (stop, task) = self.running.take().expect("it runs");
        stop.send(()).expect("it runs");
        // That it cannot close its store is the point.
        drop(task.await);
    }

    /// Starts again over the same folder, with these file operations under the store's journal.
    pub(crate) async fn start_again_on(&mut self, files: FaultFiles) {
        self.files = Some(files);
        self.start_again().await;
    }

    /// Starts again over the same folder, on the same port.
    pub(crate) async fn start_again(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.expect("the port is free again");
        self.serve(listener);
        self.until_it_answers().await;
    }

    /// Whatever is signed before a server counts time would be too old for it.
    async fn until_it_answers(&self) {
        self.get("/healthz").await;
    }

    /// The address of a person here.
    pub(crate) fn address(&self, user: &str) -> String {
        format!("{user}@{}", self.domain)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        reply(self.http.get(self.url(path))).await
    }

    pub(crate) async fn post(&self, path: &str, body: Vec<u8>) -> Reply {
        reply(self.http.post(self.url(path)).header("content-type", "application/json").body(body)).await
    }

    pub(crate) async fn post_json(&self, path: &str, body: &impl Serialize) -> Reply {
        self.post(path, serde_json::to_vec(body).expect("json")).await
    }

    /// Sends a request signed by `key` under `keyid`, as the protocol has it.
    pub(crate) async fn signed(&self, method: &str, path: &str, body: Vec<u8>, (keyid, key): (&str, &SecretKey)) -> Reply {
        let headers = self.sign(method, path, &body, (keyid, key));
        self.send_signed(method, path, body, headers).await
    }

    /// The three headers of a signature over a request with this body.
    pub(crate) fn sign(&self, method: &str, path: &str, body: &[u8], (keyid, key): (&str, &SecretKey)) -> [(&'static str, String); 3] {
        let target = format!("{}{path}", self.domain.parse::<Domain>().expect("a domain").base_url());
        let parts = RequestParts::new(method, &target).expect("a target");
        let now_s = now_ms() / 1000;
        let nonce = format!("nonce{:016}", NONCE.fetch_add(1, Ordering::Relaxed));
        let input = SignatureInput::new(now_s, now_s + 30, &nonce, keyid).expect("good input");
        let headers = sign(parts, ContentDigest::of(body), &input, |base| key.sign(base).0);
        [(CONTENT_DIGEST, headers.content_digest), (SIGNATURE_INPUT, headers.signature_input), (SIGNATURE, headers.signature)]
    }

    pub(crate) async fn send_signed(&self, method: &str, path: &str, body: Vec<u8>, headers: [(&'static str, String); 3]) -> Reply {
        let method = method.parse().expect("a method");
        let mut request = self.http.request(method, self.url(path));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        reply(request.body(body)).await
    }

    /// A signed `GET` by a person's device.
    pub(crate) async fn get_as(&self, person: &TestAccount, path: &str) -> Reply {
        self.signed("GET", path, Vec::new(), (&format!("{}/{}", person.id(), person.device.id()), &person.device)).await
    }

    /// A signed `POST` by a person's device.
    pub(crate) async fn post_as(&self, person: &TestAccount, path: &str, body: &impl Serialize) -> Reply {
        let body = serde_json::to_vec(body).expect("json");
        self.signed("POST", path, body, (&format!("{}/{}", person.id(), person.device.id()), &person.device)).await
    }

    /// Registers a person here; `number` makes the keys.
    pub(crate) async fn person(&self, user: &str, number: u8) -> TestAccount {
        let person = TestAccount::new(&self.address(user), number);
        let reply = self.register(&person).await;
        assert_eq!(reply.status, 201, "{}", String::from_utf8_lossy(&reply.body));
        person
    }

    pub(crate) async fn register(&self, person: &TestAccount) -> Reply {
        let genesis = person.keys.ops().next().expect("a genesis").envelope.clone();
        self.post_json("/api/v1/accounts", &NewAccount { genesis, admission: Admission::default() }).await
    }

    /// Submits a record that must be accepted.
    #[track_caller]
    pub(crate) fn accept<'a>(&'a self, envelope: &'a Envelope) -> impl Future<Output = Accepted> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let reply = self.submit(envelope).await;
            assert!(reply.status == 201 || reply.status == 200, "{caller}: {}", String::from_utf8_lossy(&reply.body));
            reply.json()
        }
    }

    pub(crate) async fn submit(&self, envelope: &Envelope) -> Reply {
        self.post("/api/v1/records", envelope.to_json()).await
    }

    /// Signs and submits a record that must be accepted.
    pub(crate) async fn says(&self, person: &TestAccount, content: Content) -> Envelope {
        let envelope = person.sign(content);
        self.accept(&envelope).await;
        envelope
    }

    /// Submits a key operation.
    pub(crate) async fn submit_key(&self, person: &TestAccount, op: &Envelope) -> Reply {
        self.post(&format!("/api/v1/accounts/{}/keys", person.id()), op.to_json()).await
    }

    /// Asks as its operator does, over the socket in the data folder.
    pub(crate) async fn operator<T: DeserializeOwned>(&self, method: &str, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        let folder = config::read(self.folder.path())?;
        mesh_server::operator::ask(&folder, (method.parse()?, path), body).await
    }

    /// A record as shown here.
    pub(crate) async fn view(&self, id: &RecordId) -> RecordView {
        self.get(&format!("/api/v1/records/{id}")).await.json()
    }

    /// Who bears a name here.
    pub(crate) async fn view_of(&self, user: &str) -> AccountView {
        self.get(&format!("/api/v1/accounts/{user}")).await.json()
    }

    /// How many live statements of `kind` a record has here.
    pub(crate) async fn count(&self, id: &RecordId, kind: Kind) -> u64 {
        self.view(id).await.counts.get(&kind).copied().unwrap_or(0)
    }

    /// Waits until a record has `count` live statements of `kind` here.
    pub(crate) async fn until_count(&self, id: &RecordId, kind: Kind, count: u64) {
        until(&format!("{count} {kind} of {id}"), async || self.count(id, kind).await == count).await;
    }
}

fn open(folder: &config::Folder, files: Option<FaultFiles>) -> mesh_server::Node {
    let Some(files) = files else { return serve::open(folder).expect("opens") };
    let settings = mesh_store::Config { files: Arc::new(files), ..mesh_store::Config::default() };
    let store = FjallStore::open(&folder.store, settings).expect("opens");
    serve::open_over(Arc::new(store), folder).expect("opens")
}

static NONCE: AtomicU64 = AtomicU64::new(0);

async fn reply(request: reqwest::RequestBuilder) -> Reply {
    let response = request.send().await.expect("the server answers");
    Reply { status: response.status().as_u16(), body: response.bytes().await.expect("a whole answer").to_vec() }
}

/// Waits for a state.
pub(crate) async fn until(what: &str, state: impl AsyncFn() -> bool) {
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    let deadline = std::time::Instant::now() + PATIENCE;
    while !state().await {
        assert!(std::time::Instant::now() < deadline, "this did not come about: {what}");
        tick.tick().await;
    }
}

/// The time that servers see.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64
}
