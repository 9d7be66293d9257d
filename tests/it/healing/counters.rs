//! A home is held to its counters with the real `mesh` program: it must be able to show what it counts.

use crate::federation::polls::{asked, long_poll, vote};
use crate::federation::{comment, like, retract};
use crate::network::{Home, until};
use crate::people::Terminal;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use mesh_proto::api::{Counters, DomainKeyUse};
use mesh_proto::counter::{Counter, SetSum};
use mesh_proto::envelope::{Envelope, Kind};
use mesh_proto::key::SecretKey;
use mesh_proto::record::Poll;
use mesh_server::config;
use mesh_testkit::TestAccount;
use serde_json::Value;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What a home says is changed by this on its way: a path and what was answered become another answer.
type Lie = Arc<dyn Fn(&str, Vec<u8>) -> Vec<u8> + Send + Sync>;

/// A home of which everybody sees only what somebody lets through.
struct Behind {
    home: Home,
    two: Home,
    listener: Option<TcpListener>,
    front: Option<JoinHandle<()>>,
    hello: Envelope,
    poll: Poll,
    key: SecretKey,
}

impl Drop for Behind {
    fn drop(&mut self) {
        if let Some(front) = self.front.take() {
            front.abort();
        }
    }
}

async fn forward(to: u16, lie: Lie, (method, uri, headers, body): (Method, Uri, HeaderMap, Bytes)) -> (StatusCode, Vec<u8>) {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let mut request = client.request(method, format!("http://127.0.0.1:{to}{path}")).body(body);
    for (name, value) in &headers {
        if name != "host" && name != "content-length" {
            request = request.header(name, value);
        }
    }
    let response = request.send().await.expect("it answers");
    let status = response.status();
    let body = response.bytes().await.expect("a whole answer").to_vec();
    (status, if status == StatusCode::OK { lie(&path, body) } else { body })
}

impl Behind {
    /// A home with a post with a poll that three people elsewhere like, vote on and comment on; one of each is withdrawn.
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let home = Home::start_as(|_| format!("one.localhost:{port}"), |_| ()).await;
        let key = config::read(home.folder.path()).expect("a good folder").request_key;
        let ada = home.person("ada", 1).await;
        let poll = long_poll(&["tea", "coffee"]);
        let hello = asked(&ada, &poll);
        home.accept(&hello).await;
        let two = Home::start("two").await;
        let mut behind = Self { home, two, listener: Some(listener), front: None, hello, poll, key };
        behind.tell(Arc::new(|_: &str, body| body));
        behind.act(&ada).await;
        behind
    }

    async fn act(&self, ada: &TestAccount) {
        let object = ada.object(&self.hello);
        for number in 0..4 {
            let person = self.two.person(&format!("p{number}"), 10 + number).await;
            let liked = self.two.says(&person, like(object.clone())).await;
            let voted = self.two.says(&person, vote(ada, &self.hello, &self.poll, &[usize::from(number > 0)])).await;
            let said = self.two.says(&person, comment(&object, &object, "well said")).await;
            if number == 3 {
                self.two.says(&person, retract(&liked)).await;
                self.two.says(&person, retract(&voted)).await;
                self.two.says(&person, retract(&said)).await;
            }
        }
        self.home.says(ada, comment(&object, &object, "thank you")).await;
        self.home.until_count(&self.hello.id(), Kind::Comment, 4).await;
        self.home.until_count(&self.hello.id(), Kind::Like, 3).await;
        self.home.until_count(&self.hello.id(), Kind::Vote, 3).await;
    }

    /// From now on this is told.
    fn tell(&mut self, lie: Lie) {
        let listener = match self.listener.take() {
            Some(listener) => listener,
            None => panic!("a home tells one story for each test"),
        };
        let to = self.home.port;
        let handler =
            move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| forward(to, Arc::clone(&lie), (method, uri, headers, body));
        let router = axum::Router::new().fallback(handler);
        self.front = Some(tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") }));
    }

    /// Replaces what is told.
    async fn tell_instead(&mut self, lie: impl Fn(&str, Vec<u8>) -> Vec<u8> + Send + Sync + 'static) {
        if let Some(front) = self.front.take() {
            front.abort();
            drop(front.await);
        }
        let port: u16 = self.home.domain.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        self.listener = Some(TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free again"));
        self.tell(Arc::new(lie));
    }

    async fn verify(&self) -> (i32, String) {
        let link = format!("mesh://{}/{}", self.home.address("ada"), self.hello.id());
        Terminal::new().run_all(&["verify", "--thread", &link]).await
    }

    async fn check_wrong(&self, words: &str) {
        let (code, said) = self.verify().await;
        assert_eq!(code, 4, "{said}");
        assert!(said.contains(&words.replace("HOME", &self.home.domain)), "{said}");
    }

    /// The counters with one of them changed and signed anew.
    fn signed(&self, kind: Kind, change: fn(&mut Counter)) -> impl Fn(&str, Vec<u8>) -> Vec<u8> + use<> {
        let key = self.key.clone();
        move |path, body| {
            if !path.ends_with("/counters") {
                return body;
            }
            let mut answer: Counters = serde_json::from_slice(&body).expect("counters");
            for envelope in &mut answer.counters {
                let mut counter = Counter::open(envelope, &key.id().verifier().expect("a key")).expect("signed");
                if counter.kind == kind {
                    change(&mut counter);
                    *envelope = counter.sign(&key);
                }
            }
            serde_json::to_vec(&answer).expect("json")
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn honest_counters_hold_whoever_checks_them() {
    let behind = Behind::start().await;
    let (code, said) = behind.verify().await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("holds: 4 counted, 4 verified") && said.contains("holds: 3 counted, 3 verified"), "{said}");
    assert!(said.contains("votes     holds: 3 counted, 3 verified (option 1: 1, option 2: 2)"), "{said}");
    let link = format!("mesh://{}/{}", behind.home.address("ada"), behind.hello.id());
    let proof: Value = Terminal::new().one(&["verify", "--thread", &link]).await;
    assert_eq!(proof["counters"][1]["verdict"], "holds");
    assert_eq!(proof["counters"][1]["signed"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn inflated_counters_are_found_out() {
    let mut behind = Behind::start().await;
    // It signs more than there are.
    let one_more = behind.signed(Kind::Like, |counter| counter.count += 1);
    behind.tell_instead(one_more).await;
    behind.check_wrong("HOME counts 4 likes but can show only 3 that verify").await;
    // It shows more beside the record than it signs.
    behind
        .tell_instead(|path, body| match path.ends_with("/counters") || !path.starts_with("/api/v1/records/") {
            true => body,
            false => String::from_utf8(body).expect("text").replace(r#""like":3"#, r#""like":41"#).into_bytes(),
        })
        .await;
    behind.check_wrong("HOME shows 41 likes but signs 3").await;
    // The number is right, what was counted is not.
    let others = behind.signed(Kind::Comment, |counter| counter.fingerprint = SetSum::default().fingerprint());
    behind.tell_instead(others).await;
    behind.check_wrong("shows others than those that it counted").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn votes_that_are_moved_to_another_option_are_found_out() {
    let mut behind = Behind::start().await;
    let moved = behind.signed(Kind::Vote, |counter| counter.votes = vec![2, 1]);
    behind.tell_instead(moved).await;
    behind.check_wrong("HOME counts 3 votes, but by their options the votes that verify are 1, 2").await;
    behind
        .tell_instead(|path, body| match path.ends_with("/counters") || !path.starts_with("/api/v1/records/") {
            true => body,
            false => String::from_utf8(body).expect("text").replace(r#""votes":[1,2]"#, r#""votes":[3,0]"#).into_bytes(),
        })
        .await;
    behind.check_wrong("HOME counts 3 votes, but by their options the votes that verify are 1, 2").await;
    let one_more = behind.signed(Kind::Vote, |counter| counter.count += 1);
    behind.tell_instead(one_more).await;
    behind.check_wrong("HOME counts 4 votes but can show only 3 that verify").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invented_and_repeated_likes_are_found_out() {
    let mut behind = Behind::start().await;
    // One like is listed twice and signed as two.
    let twice = behind.signed(Kind::Like, |counter| counter.count += 1);
    behind
        .tell_instead(move |path, body| {
            if !path.contains("/references?kind=like") {
                return twice(path, body);
            }
            let mut cards: Value = serde_json::from_slice(&body).expect("cards");
            let again = cards["cards"][0].clone();
            cards["cards"].as_array_mut().expect("a list").push(again);
            serde_json::to_vec(&cards).expect("json")
        })
        .await;
    behind.check_wrong("HOME counts 4 likes but can show only 3 that verify").await;
    // A like whose signature was changed on the way.
    behind
        .tell_instead(|_, body| {
            let mut view: Value = serde_json::from_slice(&body).unwrap_or_default();
            if view["card"]["kind"] != "like" {
                return body;
            }
            let signature = view["record"]["envelope"]["signatures"][0]["sig"].as_str().expect("a signature").to_owned();
            let first = if signature.starts_with('A') { "B" } else { "A" };
            view["record"]["envelope"]["signatures"][0]["sig"] = format!("{first}{}", &signature[1..]).into();
            serde_json::to_vec(&view).expect("json")
        })
        .await;
    behind.check_wrong("HOME counts 3 likes but can show only 0 that verify").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn likes_whose_home_is_gone_are_named_and_accuse_nobody() {
    let mut behind = Behind::start().await;
    behind.two.stop().await;
    let (code, said) = behind.verify().await;
    assert_eq!(code, 5, "{said}");
    assert!(said.contains("of which 3 cannot be had now") && said.contains(&behind.two.domain), "{said}");
    behind.two.start_again().await;
    until("its home answers again", async || behind.verify().await.0 == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_are_signed_by_the_records_home_only() {
    let behind = Behind::start().await;
    let path = format!("/api/v1/records/{}/counters", behind.hello.id());
    let answer: Counters = behind.home.get(&path).await.json();
    let discovery: mesh_proto::api::Discovery = behind.home.get("/.well-known/mesh").await.json();
    let key = discovery.key(DomainKeyUse::Request).expect("a key").verifier().expect("a good key");
    let counts: Vec<(Kind, u64)> =
        answer.counters.iter().map(|envelope| Counter::open(envelope, &key).expect("signed")).map(|one| (one.kind, one.count)).collect();
    assert_eq!(counts, [(Kind::Comment, 4), (Kind::Like, 3), (Kind::Repost, 0), (Kind::Vote, 3)]);
    let comments: mesh_proto::api::Comments = behind.home.get(&format!("/api/v1/records/{}/comments", behind.hello.id())).await.json();
    let foreign =
        comments.comments.iter().find(|comment| comment.card.address.domain().to_string() == behind.two.domain).expect("a comment");
    assert_eq!(behind.home.get(&format!("/api/v1/records/{}/counters", foreign.card.id)).await.problem(), "not_home");
}
