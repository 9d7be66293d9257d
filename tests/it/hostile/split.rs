//! One log here, another there: domains compare what they were shown, and keep the proof.

use super::Neighbours;
use crate::federation::{like, post};
use crate::network::{Home, until};
use crate::peer::Peer;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use mesh_proto::api::{Delivery, EvidencePage, Growth, LogFork, PROBLEM_PREFIX, PinsPage, Problem};
use mesh_proto::log::Checkpoint;
use mesh_proto::record::ObjectRef;
use mesh_testkit::{TestAccount, TestLog};
use std::sync::{Arc, Mutex};

/// What a played home answers when it is asked for a proof, if anything.
type Answers = Arc<Mutex<Option<Box<dyn Fn(&str) -> Response + Send>>>>;

/// A played home with two logs of one name, and one person in both.
struct TwoFaced {
    peer: Peer,
    other: TestLog,
    neo: TestAccount,
    answers: Answers,
}

impl TwoFaced {
    async fn start() -> Self {
        let answers: Answers = Arc::default();
        let shown = Arc::clone(&answers);
        let answer = move |uri: axum::http::Uri| {
            let answer = shown.lock().expect("no panic").as_ref().map(|answer| answer(&uri.to_string()));
            async move { answer.unwrap_or_else(|| StatusCode::INTERNAL_SERVER_ERROR.into_response()) }
        };
        let more = Router::new().route("/log/1/growth", get(answer.clone())).route("/log/1/checkpoint", get(answer));
        let mut peer = Peer::start_with("evil", 40, more).await;
        let neo = peer.person("neo", 3);
        let mut other = TestLog::new(&format!("{}/log/1", peer.domain), 41);
        other.accept(&neo, neo.sign(post("shown to the other")));
        peer.log(&neo, &neo.sign(post("shown to the one")));
        Self { peer, other, neo, answers }
    }

    fn turn(&mut self) {
        std::mem::swap(&mut self.peer.log, &mut self.other);
    }

    fn answer(&self, answer: impl Fn(&str) -> Response + Send + 'static) {
        *self.answers.lock().expect("no panic") = Some(Box::new(answer));
    }

    async fn like(&mut self, to: &Home, object: ObjectRef) {
        let liked = self.neo.sign(like(object));
        let result = self.peer.deliver(to, &self.neo, &liked).await;
        assert_eq!(result, mesh_proto::api::ItemResult::Accepted);
    }

    /// One more delivery, which honestly shows growth from `size`.
    async fn more(&mut self, to: &Home, object: ObjectRef, size: u64) -> Problem {
        let item = self.peer.log(&self.neo, &self.neo.sign(like(object)));
        let delivery: Delivery = self.peer.delivery(vec![item], &[&self.neo]);
        let reply = self.peer.signed(to, "/mesh/v1/deliveries", &self.peer.grown(&delivery, size)).await;
        assert_eq!(reply.status, 409, "{}", String::from_utf8_lossy(&reply.body));
        reply.json()
    }
}

async fn forks(home: &Home) -> Vec<LogFork> {
    home.get("/mesh/v1/evidence").await.json::<EvidencePage>().forks
}

async fn again(home: &mut Home) {
    home.stop().await;
    home.start_again().await;
}

fn checkpoint(note: &str, log: &TestLog) -> Checkpoint {
    let origin = note.lines().next().expect("an origin").parse().expect("an origin");
    Checkpoint::open(note, &origin, &log.key().verifier().expect("a key")).expect("signed by the log's key")
}

#[tokio::test(flavor = "multi_thread")]
async fn two_logs_of_one_size_are_found_by_comparing_and_the_proof_is_passed_on() {
    let mut stage = Neighbours::start().await;
    let mut evil = TwoFaced::start().await;
    let (hello, hi) = (stage.one.says(&stage.ada, post("hello")).await, stage.two.says(&stage.bob, post("hi")).await);
    evil.like(&stage.one, stage.ada.object(&hello)).await;
    evil.turn();
    evil.like(&stage.two, stage.bob.object(&hi)).await;
    assert_eq!((forks(&stage.one).await, forks(&stage.two).await), (vec![], vec![]));
    again(&mut stage.one).await;
    until("one finds the fork", async || !forks(&stage.one).await.is_empty()).await;
    let found = forks(&stage.one).await.remove(0);
    let (before, after) = (checkpoint(&found.before, &evil.other), checkpoint(&found.after, &evil.other));
    assert!(before.size == after.size && before.root != after.root, "anybody can check it");
    evil.turn();
    let problem = evil.more(&stage.one, stage.ada.object(&hello), 2).await;
    assert_eq!(problem.code(), "log_forked");
    assert!(
        problem.detail.contains("showed other domains another history") && problem.detail.contains("/mesh/v1/evidence"),
        "{}",
        problem.detail
    );
    let about = String::from_utf8(stage.one.get("/about").await.body).expect("text");
    assert!(about.contains(&format!("<code>{}/log/1</code>", evil.peer.domain)), "the operator sees it");
    // The other needs no more than the proof.
    again(&mut stage.two).await;
    until("two knows it too", async || !forks(&stage.two).await.is_empty()).await;
    evil.turn();
    assert_eq!(evil.more(&stage.two, stage.bob.object(&hi), 2).await.code(), "log_forked");
    // It outlives a restart.
    again(&mut stage.one).await;
    assert_eq!(forks(&stage.one).await, [found]);
}

/// Shows two leaves to the one and three of another log to the other.
async fn shown_in_two_sizes() -> (Neighbours, TwoFaced, ObjectRef) {
    let stage = Neighbours::start().await;
    let mut evil = TwoFaced::start().await;
    let (hello, hi) = (stage.one.says(&stage.ada, post("hello")).await, stage.two.says(&stage.bob, post("hi")).await);
    evil.like(&stage.one, stage.ada.object(&hello)).await;
    evil.turn();
    evil.peer.log(&evil.neo, &evil.neo.sign(post("one more")));
    evil.like(&stage.two, stage.bob.object(&hi)).await;
    let object = stage.ada.object(&hello);
    (stage, evil, object)
}

#[tokio::test(flavor = "multi_thread")]
async fn log_that_did_not_grow_from_what_another_saw_is_found_though_its_home_gives_a_proof() {
    let (mut stage, evil, _) = shown_in_two_sizes().await;
    // A good proof, of the log that two was shown.
    let growth: Growth = evil.peer.log.prove_growth(2);
    let note = evil.peer.log.checkpoint();
    evil.answer(move |path| if path.contains("checkpoint") { note.clone().into_response() } else { Json(growth.clone()).into_response() });
    again(&mut stage.one).await;
    until("one finds the fork", async || !forks(&stage.one).await.is_empty()).await;
    let found = forks(&stage.one).await.remove(0);
    assert_eq!((checkpoint(&found.before, &evil.other).size, checkpoint(&found.after, &evil.other).size), (2, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn home_that_refuses_to_prove_and_shows_its_checkpoint_has_forked() {
    let (mut stage, evil, _) = shown_in_two_sizes().await;
    let note = evil.peer.log.checkpoint();
    let problem = Problem {
        problem_type: format!("{PROBLEM_PREFIX}not_found"),
        title: "no".into(),
        status: 404,
        detail: "there never was such a log".into(),
        keys_wanted: vec![],
        checkpoint_wanted: None,
    };
    evil.answer(move |path| match path.contains("checkpoint") {
        true => note.clone().into_response(),
        false => (StatusCode::NOT_FOUND, Json(problem.clone())).into_response(),
    });
    again(&mut stage.one).await;
    until("one finds the fork", async || !forks(&stage.one).await.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn home_that_does_not_answer_well_is_not_accused_and_an_honest_proof_moves_the_pin() {
    let mut stage = Neighbours::start().await;
    let mut honest = TwoFaced::start().await;
    let (hello, hi) = (stage.one.says(&stage.ada, post("hello")).await, stage.two.says(&stage.bob, post("hi")).await);
    honest.like(&stage.one, stage.ada.object(&hello)).await;
    honest.peer.log(&honest.neo, &honest.neo.sign(post("one more")));
    honest.like(&stage.two, stage.bob.object(&hi)).await;
    let asked = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&asked);
    honest.answer(move |_| {
        *counted.lock().expect("no panic") += 1;
        StatusCode::BAD_GATEWAY.into_response()
    });
    again(&mut stage.one).await;
    until("the home is asked", async || *asked.lock().expect("no panic") > 0).await;
    let (note, growth) = (honest.peer.log.checkpoint(), honest.peer.log.prove_growth(2));
    honest
        .answer(move |path| if path.contains("checkpoint") { note.clone().into_response() } else { Json(growth.clone()).into_response() });
    again(&mut stage.one).await;
    let newest = honest.peer.log.checkpoint();
    until("the pin moves", async || stage.one.get("/mesh/v1/pins").await.json::<PinsPage>().notes.contains(&newest)).await;
    assert_eq!(forks(&stage.one).await, []);
    assert_eq!(honest.more(&stage.one, stage.ada.object(&hello), 2).await.checkpoint_wanted, Some(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn peer_that_lies_about_an_honest_log_is_not_believed() {
    let stage = Neighbours::start().await;
    let Neighbours { mut one, two, bob, .. } = stage;
    let origin = format!("{}/log/1", two.domain);
    let mut forged = TestLog::new(&origin, 77);
    let liar = TestAccount::new("neo@evil.localhost", 4);
    for _ in 0..50 {
        forged.accept(&liar, liar.sign(post("never")));
    }
    // One note that the log's key never signed, and one that it did under which something else is written.
    let honest = String::from_utf8(two.get("/log/1/checkpoint").await.body).expect("text");
    let altered = honest.replacen('\n', "\n9", 1);
    let notes = vec![forged.checkpoint(), altered.clone(), "no note".into(), String::new()];
    let fork = LogFork { before: honest, after: altered };
    let lies = EvidencePage { forks: vec![fork.clone(), LogFork { before: fork.before.clone(), after: fork.before.clone() }], next: None };
    let asked = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&asked);
    let more = Router::new().route("/mesh/v1/pins", get(move || async move { Json(PinsPage { notes, next: None }) })).route(
        "/mesh/v1/evidence",
        get(move || async move {
            *counted.lock().expect("no panic") += 1;
            Json(lies)
        }),
    );
    let mut evil = Peer::start_with("evil", 40, more).await;
    let neo = evil.person("neo", 3);
    evil.deliver(&one, &neo, &neo.sign(post("to be met"))).await;
    again(&mut one).await;
    until("it tells its lies", async || *asked.lock().expect("no panic") > 0).await;
    // What two delivers after that is still taken.
    let hello = two.says(&bob, post("still here")).await;
    until("two's post arrives", async || one.get(&format!("/api/v1/records/{}", hello.id())).await.status == 200).await;
    assert_eq!(forks(&one).await, []);
}
