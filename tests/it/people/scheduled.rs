//! Posts on schedule: the home publishes them without their author; with the real programs.

use super::{Terminal, uri};
use crate::network::{Home, now_ms, until};
use mesh_proto::api::{FeedPage, ScheduledList};
use mesh_proto::envelope::Envelope;
use mesh_proto::record::{Content, Post, ReportReason};
use mesh_proto::ruling::{Measure, Ruling};
use mesh_server::operator::{Order, Target};
use mesh_testkit::TestAccount;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A post that claims a time.
fn planned(person: &TestAccount, text: &str, at: u64) -> Envelope {
    let mut record = person.record(Content::Post(Post::free(text)));
    record.head.at = at;
    record.sign(&person.device)
}

/// What a person planned here.
async fn plans(home: &Home, person: &TestAccount) -> ScheduledList {
    home.get_as(person, "/api/v1/scheduled").await.json()
}

async fn plan(home: &Home, person: &TestAccount, post: &Envelope) {
    let reply = home.post_as(person, "/api/v1/scheduled", post).await;
    assert_eq!(reply.status, 201, "{}", String::from_utf8_lossy(&reply.body));
}

async fn is_public(home: &Home, id: &str) -> bool {
    home.get(&format!("/api/v1/records/{id}")).await.status == 200
}

#[tokio::test(flavor = "multi_thread")]
async fn post_is_published_at_its_time_and_reaches_subscribers_with_its_proof() {
    let (one, two) = (Home::start("one").await, Home::start("two").await);
    let (ada, neo) = (Terminal::new(), Terminal::new());
    ada.join(&one.address("ada")).await;
    neo.join(&two.address("neo")).await;
    neo.one(&["subscribe", &one.address("ada")]).await;
    let before = now_ms();
    let plan = ada.one(&["post", "--in", "5s", "on the hour", "--tag", "clock"]).await;
    let id = plan["id"].as_str().expect("an id").to_owned();
    let at = plan["at"].as_u64().expect("a time");
    assert!(at >= before + 5_000);
    until("it is public", async || is_public(&one, &id).await).await;
    assert!(now_ms() >= at, "it was public before its time");
    until("neo reads it", async || neo.run_all(&["feed"]).await.1.contains("on the hour")).await;
    let link = format!("mesh://{}/{id}", one.address("ada"));
    let proof = neo.one(&["verify", &link]).await;
    assert_eq!(proof["standing"], "good", "{proof}");
    assert!(ada.json(&["scheduled"]).await.is_empty());
    let (code, words) = ada.run_all(&["scheduled", "--cancel", &id]).await;
    assert_eq!(code, 3, "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn planned_posts_are_listed_cancelled_and_come_along_as_drafts_when_their_author_moves() {
    let (one, two) = (Home::start("one").await, Home::start("two").await);
    let ada = Terminal::new();
    ada.join(&one.address("ada")).await;
    let later = ada.one(&["post", "--in", "2 days", "much later"]).await;
    ada.one(&["post", "--in", "1h", "in an hour"]).await;
    let (code, shown) = ada.run(&["scheduled"]).await;
    assert!(code == 0 && shown.find("in an hour") < shown.find("much later"), "{shown}");
    assert!(!is_public(&one, later["id"].as_str().expect("an id")).await);
    for page in ["/", "/@ada", "/feed.atom"] {
        let page = String::from_utf8_lossy(&one.get(page).await.body).into_owned();
        assert!(!page.contains("much later"), "{page}");
    }

    // What cannot be planned is kept.
    let (code, words) = ada.run_all(&["post", "--at", "2999-12-24 18:00 UTC", "too far"]).await;
    assert!(code == 1 && words.contains("366 days") && words.contains("draft 1"), "{words}");
    let (code, words) = ada.run_all(&["post", "--at", "2001-01-01 00:00", "too late"]).await;
    assert!(code == 2 && words.contains("has passed"), "{words}");

    let cancelled = ada.one(&["scheduled", "--cancel", later["id"].as_str().expect("an id")]).await;
    assert_eq!(ada.json(&["scheduled"]).await.len(), 1);
    let name = cancelled["draft"].as_str().expect("a name");
    let planned = ada.one(&["draft", "publish", name, "--in", "3 days"]).await;
    assert!(planned["at"].as_u64().expect("a time") > now_ms());
    assert_eq!(ada.json(&["scheduled"]).await.len(), 2);

    let phrase = ada.phrase_file();
    let (code, words) = ada.run_all(&["id", "move", &two.address("ada"), "--phrase-file", &phrase]).await;
    assert!(code == 0 && words.matches("kept as draft").count() == 2, "{words}");
    assert!(ada.json(&["scheduled"]).await.is_empty());
    let drafts = ada.json(&["draft"]).await;
    let texts: Vec<&str> = drafts.iter().filter_map(|draft| draft["words"]["post"]["post"]["text"].as_str()).collect();
    assert!(texts.contains(&"in an hour") && texts.contains(&"much later"), "{texts:?}");
    let name = drafts[drafts.len() - 1]["name"].as_str().expect("a name");
    let published = ada.one(&["draft", "publish", name]).await;
    assert!(uri(&published).contains(&two.address("ada")));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_its_author_sees_a_plan_and_a_suspended_one_learns_why_it_failed() {
    let home = Home::start("one").await;
    let (ada, eve) = (home.person("ada", 1).await, home.person("eve", 2).await);
    let post = planned(&ada, "not yet", now_ms() + 3_600_000);
    plan(&home, &ada, &post).await;
    let path = format!("/api/v1/scheduled/{}", post.id());
    assert_eq!(plans(&home, &ada).await.scheduled.len(), 1);
    assert!(plans(&home, &eve).await.scheduled.is_empty());
    assert_eq!(home.get("/api/v1/scheduled").await.problem(), "unauthenticated");
    assert_eq!(home.post_as(&eve, "/api/v1/scheduled", &post).await.problem(), "forbidden");
    assert_eq!(home.post("/api/v1/scheduled", post.to_json()).await.problem(), "unauthenticated");
    let as_eve = (&*format!("{}/{}", eve.id(), eve.device.id()), &eve.device);
    assert_eq!(home.signed("DELETE", &path, Vec::new(), as_eve).await.problem(), "not_found");
    assert_eq!(home.get(&format!("/api/v1/records/{}", post.id())).await.status, 404);
    // Nobody takes it before its time, not even from its author.
    assert_eq!(home.submit(&post).await.problem(), "future");

    let soon = planned(&ada, "never", now_ms() + 6_000);
    plan(&home, &ada, &soon).await;
    let order =
        Order { target: Target::Account("ada".into()), measure: Measure::Suspend, reason: ReportReason::Spam, text: "decided".into() };
    let _: Ruling = home.operator("POST", "/rulings", &order).await.expect("the operator decides");
    until("it was refused", async || plans(&home, &ada).await.scheduled.iter().any(|post| post.refused.is_some())).await;
    let failed = plans(&home, &ada).await.scheduled.into_iter().find(|post| post.id == soon.id()).expect("it is listed");
    assert_eq!(failed.refused.expect("why").code, "moderated");
    assert_eq!(home.get(&format!("/api/v1/records/{}", soon.id())).await.status, 404);
}

/// A server that ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Server {
    /// The real `meshd` over this folder.
    fn start(data: &Path) -> Self {
        let own = std::env::current_exe().expect("a path");
        let program = own.ancestors().nth(2).expect("a target folder").join("meshd");
        assert!(program.exists(), "build the server first: cargo build --package mesh-server");
        let mut command = Command::new(program);
        command.args(["serve", "--data", data.to_str().expect("a plain path")]).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().expect("runs"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_server_publishes_once_what_was_due_meanwhile() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port();
    let domain = format!("plan.localhost:{port}");
    let settings = mesh_server::config::Config::new(domain.parse().expect("a domain"));
    mesh_server::config::set_up(&data, &settings, &mesh_server::system_rng()).expect("set up");
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let get = async |path: &str| {
        let answer = http.get(format!("http://127.0.0.1:{port}{path}")).send().await.ok()?;
        if answer.status().is_success() { answer.bytes().await.ok() } else { None }
    };
    let ready = async || get("/readyz").await.is_some();

    let mut server = Server::start(&data);
    until("it answers", ready).await;
    let ada = Terminal::new();
    ada.join(&format!("ada@{domain}")).await;
    let plan = ada.one(&["post", "--in", "5s", "whatever happens"]).await;
    let (id, at) = (plan["id"].as_str().expect("an id"), plan["at"].as_u64().expect("a time"));
    let path = format!("/api/v1/records/{id}");
    // SIGKILL: it can do nothing more.
    server.0.kill().expect("killed");
    server.0.wait().expect("it ended");
    until("its time has passed", async || now_ms() > at).await;
    drop(server);
    // And again and again, in the moment when it publishes.
    for _ in 0..4 {
        let mut server = Server::start(&data);
        until("it answers", ready).await;
        server.0.kill().expect("killed");
        server.0.wait().expect("it ended");
    }
    let _server = Server::start(&data);
    until("it is public", async || get(&path).await.is_some()).await;
    until("nothing is planned", async || ada.json(&["scheduled"]).await.is_empty()).await;
    let page: FeedPage = serde_json::from_slice(&get("/api/v1/accounts/ada/posts").await.expect("a page")).expect("JSON");
    assert_eq!(page.items.len(), 1);
    let proof = ada.one(&["verify", &format!("mesh://ada@{domain}/{id}")]).await;
    assert_eq!(proof["standing"], "good", "{proof}");
}
