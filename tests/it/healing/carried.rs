//! What lies in another log than the present one of its author's home: brought along by accounts that moved, or of a log that the home had before.

use super::{change, feed, heal, ids, lose, pair, verify_all};
use crate::federation::{comment, like, post, retract, subscribe, until_subscribed};
use crate::moving::{announce, arrival, export, import, move_op, settle};
use crate::network::{Home, until};
use crate::peer::Peer;
use mesh_node::healing::{Aim, Report};
use mesh_proto::api::{Counters, Fetch, Fetched, KeysView, Reconcile, Settle, Settled, Verdict};
use mesh_proto::bytes::base64url;
use mesh_proto::envelope::{Envelope, Kind, RecordId};
use mesh_proto::log::Origin;
use mesh_server::{config, serve};
use mesh_testkit::TestAccount;

/// Neo said at one what concerns ada at three, and lives at two now.
struct Moved {
    two: Home,
    three: Home,
    ada: TestAccount,
    hello: Envelope,
    posts: Vec<Envelope>,
    liked: Envelope,
    comments: Vec<Envelope>,
    _one: Home,
}

async fn moved() -> Moved {
    let (one, two, three) = (Home::start("one").await, Home::start("two").await, Home::start("three").await);
    let (mut neo, ada) = (one.person("neo", 1).await, three.person("ada", 2).await);
    let hello = three.says(&ada, post("hello")).await;
    three.says(&ada, subscribe(neo.account_ref())).await;
    until_subscribed(&one, &neo, 1).await;
    let object = ada.object(&hello);
    let (mut posts, mut comments) = (Vec::new(), Vec::new());
    for number in 0..3 {
        posts.push(one.says(&neo, post(&format!("post {number}"))).await);
        comments.push(one.says(&neo, comment(&object, &object, &format!("comment {number}"))).await);
    }
    one.says(&neo, subscribe(ada.account_ref())).await;
    let liked = one.says(&neo, like(object)).await;
    three.until_count(&hello.id(), Kind::Like, 1).await;
    until("the posts are in a feed", async || feed(&three, &ada).await.len() == 3).await;
    let luggage = export(&one, &neo).await;
    let op = move_op(&mut neo, "neo", &two);
    settle(&two, &neo, &luggage).await;
    assert_eq!(one.submit_key(&neo, &op).await.status, 200);
    announce(&two, &neo, &luggage).await;
    until("three knows where neo lives", async || {
        let known: KeysView = three.get(&format!("/mesh/v1/accounts/{}/keys", neo.id())).await.json();
        known.ops.len() == 2
    })
    .await;
    until_subscribed(&two, &neo, 1).await;
    let marker = two.says(&neo, post("at two")).await;
    until("it is in a feed", async || feed(&three, &ada).await.contains(&marker.id())).await;
    until_delivered(&two).await;
    Moved { two, three, ada, hello, posts, liked, comments, _one: one }
}

impl Moved {
    /// What three finds out about two.
    async fn compare(&mut self, aim: Aim) -> Report {
        let compared = verify_all(&mut self.three, aim).await;
        let two = compared.into_iter().find(|compared| compared.domain.as_str() == self.two.domain).expect("two is known");
        two.outcome.expect("compares")
    }

    /// How many statements of a kind three signs for.
    async fn signed(&self, kind: &str) -> u64 {
        let counters: Counters = self.three.get(&format!("/api/v1/records/{}/counters", self.hello.id())).await.json();
        let bodies = counters.counters.iter().map(|counter| serde_json::from_slice::<serde_json::Value>(counter.body()).expect("JSON"));
        let found = bodies.into_iter().find(|body| body["kind"] == kind).expect("a counter");
        found["count"].as_u64().expect("a number")
    }

    async fn check_whole(&self) {
        self.three.until_count(&self.hello.id(), Kind::Like, 1).await;
        self.three.until_count(&self.hello.id(), Kind::Comment, 3).await;
        assert_eq!((self.signed("like").await, self.signed("comment").await), (1, 3));
        let shown = feed(&self.three, &self.ada).await;
        assert!(self.posts.iter().all(|post| shown.contains(&post.id())), "{shown:?}");
        until_subscribed(&self.three, &self.ada, 1).await;
    }
}

/// What came along is delivered out of the order of the home's own log.
async fn until_delivered(home: &Home) {
    until("nothing waits any more", async || {
        let metrics = home.get("/metrics").await;
        String::from_utf8_lossy(&metrics.body).lines().any(|line| line == "mesh_domains_waiting 0")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_reference_to_what_came_along_comes_again() {
    let mut moved = moved().await;
    // Two does not know what one sent to three: it is told, and nothing goes.
    let first = moved.compare(Aim::Repair).await;
    assert_eq!((first.missing, first.fetched, first.dropped), (0, 0, 0), "{first:?}");
    moved.check_whole().await;
    let whole = moved.compare(Aim::Look).await;
    assert_eq!((whole.missing, whole.extra), (0, 0), "{whole:?}");
    assert!(whole.compared >= 8, "{whole:?}");
    moved.three.stop().await;
    let lost = [moved.liked.id(), moved.comments[1].id(), moved.posts[0].id()];
    change(moved.three.folder.path(), |store, batch| lose(store, batch, &lost));
    moved.three.start_again().await;
    assert_eq!((moved.signed("like").await, moved.signed("comment").await), (0, 2));
    let looked = moved.compare(Aim::Look).await;
    assert_eq!((looked.missing, looked.extra, looked.fetched), (3, 0, 0), "{looked:?}");
    let healed = moved.compare(Aim::Repair).await;
    assert_eq!((healed.missing, healed.fetched, healed.dropped), (3, 3, 0), "{healed:?}");
    moved.check_whole().await;
    let again = moved.compare(Aim::Look).await;
    assert_eq!((again.missing, again.extra), (0, 0), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn reference_that_did_not_come_along_vanishes() {
    let mut moved = moved().await;
    moved.two.stop().await;
    let invented = [moved.liked.id(), moved.comments[0].id(), moved.posts[2].id()];
    // Three counts what the home of its actor does not know.
    change(moved.two.folder.path(), |store, batch| lose(store, batch, &invented));
    moved.two.start_again().await;
    let healed = moved.compare(Aim::Repair).await;
    assert_eq!((healed.dropped, healed.missing), (3, 0), "{healed:?}");
    moved.three.until_count(&moved.hello.id(), Kind::Like, 0).await;
    moved.three.until_count(&moved.hello.id(), Kind::Comment, 2).await;
    assert_eq!((moved.signed("like").await, moved.signed("comment").await), (0, 2));
    assert!(!feed(&moved.three, &moved.ada).await.contains(&moved.posts[2].id()));
    for id in invented {
        assert_eq!(moved.three.get(&format!("/api/v1/records/{id}")).await.status, 404, "as if it had never come");
    }
    let again = moved.compare(Aim::Look).await;
    assert_eq!((again.missing, again.extra), (0, 0), "{again:?}");
}

async fn asked(home: &Home, peer: &Peer, origin: &Origin, held: RecordId) -> Verdict {
    let question = Settle { origin: origin.clone(), held: vec![held], refused: Vec::new() };
    peer.signed(home, "/mesh/v1/sets:settle", &question).await.json::<Settled>().held.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_given_up_while_it_is_still_coming_along() {
    let (one, two, peer) = (Home::start("one").await, Home::start("two").await, Peer::start("peer", 40).await);
    let mut neo = one.person("neo", 1).await;
    let first = one.says(&neo, post("first")).await;
    let luggage = export(&one, &neo).await;
    let late = one.says(&neo, post("late")).await;
    let origin: Origin = format!("{}/log/1", one.domain).parse().expect("an origin");
    let question = Reconcile { origin: origin.clone(), from: 0, to: 1, message: base64url(&super::EMPTY) };
    let op = move_op(&mut neo, "neo", &two);
    assert_eq!(two.post_json("/api/v1/arrivals", &arrival(&neo)).await.status, 201);
    // Nothing came along yet: two does not answer for that log.
    assert_eq!(peer.signed(&two, "/mesh/v1/sets:reconcile", &question).await.problem(), "not_home");
    for part in &luggage.parts {
        import(&two, &neo, part).await;
    }
    assert_eq!(one.submit_key(&neo, &op).await.status, 200);
    assert_eq!(peer.signed(&two, "/mesh/v1/sets:reconcile", &question).await.status, 200);
    assert_eq!(asked(&two, &peer, &origin, first.id()).await, Verdict::Stands);
    assert_eq!(asked(&two, &peer, &origin, late.id()).await, Verdict::Elsewhere);
    announce(&two, &neo, &luggage).await;
    until("all came that comes", async || asked(&two, &peer, &origin, late.id()).await == Verdict::Nothing).await;
    // What it withdrew since was withdrawn in another log, and can be had.
    two.says(&neo, retract(&first)).await;
    let Verdict::Withdrawn { retract: Some(retract) } = asked(&two, &peer, &origin, first.id()).await else { panic!("it was withdrawn") };
    let fetch = Fetch { origin, ids: vec![retract], checkpoint: None };
    let fetched: Fetched = peer.signed(&two, "/mesh/v1/deliveries:fetch", &fetch).await.json();
    let delivery = fetched.delivery.expect("a delivery");
    assert_eq!((delivery.origin.domain().as_str(), delivery.items[0].envelope.id()), (two.domain.as_str(), retract));
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_references_of_a_log_that_ended_come_again() {
    let mut pair = pair().await;
    // One is away when something is said last in the old log: it comes out of order.
    pair.one.stop().await;
    let object = pair.ada.object(&pair.hello);
    let last = pair.two.says(&pair.people[0], comment(&object, &object, "the last one")).await;
    pair.two.stop().await;
    let folder = config::read(pair.two.folder.path()).expect("a good folder");
    let begun = tokio::task::spawn_blocking(move || serve::begin_new_log(&folder)).await.expect("no panic").expect("begins");
    assert_eq!(begun.number(), 2);
    pair.two.start_again().await;
    pair.one.start_again().await;
    let new = pair.two.says(&pair.people[1], comment(&object, &object, "in the new log")).await;
    pair.one.until_count(&pair.hello.id(), Kind::Comment, u64::try_from(pair.comments.len()).expect("few") + 2).await;
    pair.one.stop().await;
    let mut lost = vec![last.id(), new.id()];
    lost.extend(ids(&pair.likes[..2]));
    change(pair.one.folder.path(), |store, batch| lose(store, batch, &lost));
    pair.one.start_again().await;
    let report = heal(&mut pair.one).await;
    assert_eq!((report.missing, report.fetched, report.dropped), (4, 4, 0), "{report:?}");
    let again = heal(&mut pair.one).await;
    assert_eq!((again.missing, again.extra), (0, 0), "{again:?}");
}
