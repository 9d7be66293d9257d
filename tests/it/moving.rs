//! Moving home: the same person, records and readers at another domain; with the old home's help, and without it.

mod gate;
mod hostile;
mod lost;
mod mirror;
mod people;

use crate::federation::{comment, like, post, retract, subscribe};
use crate::network::{Home, until};
use mesh_proto::address::Domain;
use mesh_proto::api::{
    AccountView, Admission, Announced, Arrival, Delivery, ExportPage, FeedPage, ImportEnd, Imported, ItemResult, KeysView, Registered,
};
use mesh_proto::envelope::{Envelope, Kind, RecordId};
use mesh_proto::keylog::Action;
use mesh_proto::record::{Content, Post, Retract, RetractReason};
use mesh_testkit::TestAccount;
use std::collections::BTreeSet;
use tokio::net::TcpListener;

/// What an account takes along.
#[derive(Default)]
pub(crate) struct Luggage {
    pub(crate) parts: Vec<Delivery>,
    domains: BTreeSet<Domain>,
}

/// All that a home hands out of an account.
pub(crate) async fn export(from: &Home, person: &TestAccount) -> Luggage {
    let mut luggage = Luggage::default();
    let mut next = 0;
    loop {
        let reply = from.get_as(person, &format!("/api/v1/accounts/{}/export?from={next}", person.id())).await;
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        let page: ExportPage = reply.json();
        luggage.parts.extend(page.part);
        luggage.domains.extend(page.domains);
        next = page.next;
        if !page.more {
            return luggage;
        }
    }
}

pub(crate) fn move_op(person: &mut TestAccount, user: &str, to: &Home) -> Envelope {
    let (root, address) = (person.root.clone(), to.address(user).parse().expect("an address"));
    person.key_op(Action::HomeMove { address }, &root)
}

pub(crate) fn arrival(person: &TestAccount) -> Arrival {
    Arrival { account: person.id(), ops: person.keys.ops().cloned().collect(), admission: Admission::default() }
}

pub(crate) async fn import(to: &Home, person: &TestAccount, part: &Delivery) -> Vec<ItemResult> {
    let path = format!("/api/v1/accounts/{}/import", person.id());
    let reply = to.post_as(person, &path, part).await;
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    reply.json::<Imported>().results
}

/// What a client does once the key log names the new home.
pub(crate) async fn settle(to: &Home, person: &TestAccount, luggage: &Luggage) {
    let reply = to.post_json("/api/v1/arrivals", &arrival(person)).await;
    assert_eq!(reply.status, 201, "{}", String::from_utf8_lossy(&reply.body));
    assert_eq!(reply.json::<Registered>().account, person.id());
    for part in &luggage.parts {
        let results = import(to, person, part).await;
        assert!(results.iter().all(|result| *result == ItemResult::Accepted), "{results:?}");
    }
}

pub(crate) async fn announce(to: &Home, person: &TestAccount, luggage: &Luggage) {
    let end = ImportEnd { domains: luggage.domains.iter().cloned().collect() };
    let reply = to.post_as(person, &format!("/api/v1/accounts/{}/import:end", person.id()), &end).await;
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    assert!(reply.json::<Announced>().domains >= 1);
}

async fn subscribers(home: &Home, person: &TestAccount) -> u64 {
    let view: AccountView = home.get(&format!("/api/v1/accounts/{}", person.id())).await.json();
    view.counts.get(&Kind::Subscribe).copied().unwrap_or(0)
}

async fn feed_has(home: &Home, reader: &TestAccount, id: &RecordId) -> bool {
    let page: FeedPage = home.get_as(reader, "/api/v1/feed?limit=100").await.json();
    page.items.iter().any(|item| item.card.id == *id && item.record.is_some())
}

/// Three domains, and people who know each other across them.
struct World {
    one: Home,
    two: Home,
    three: Home,
    neo: TestAccount,
    smith: TestAccount,
    oracle: TestAccount,
    trinity: TestAccount,
    morpheus: TestAccount,
    first: Envelope,
    second: Envelope,
    comment: Envelope,
    of_morpheus: Envelope,
}

impl World {
    /// Neo lives at one. Someone of each domain follows neo, likes the first post and comments on it; neo follows morpheus and likes a post.
    async fn new() -> Self {
        let (one, two, three) = (Home::start("one").await, Home::start("two").await, Home::start("three").await);
        let (neo, smith) = (one.person("neo", 1).await, one.person("smith", 2).await);
        let oracle = two.person("oracle", 3).await;
        let (trinity, morpheus) = (three.person("trinity", 4).await, three.person("morpheus", 5).await);
        let first = one.says(&neo, post("the first post")).await;
        let of_morpheus = three.says(&morpheus, post("wake up")).await;
        let mut comments = Vec::new();
        for (home, person) in [(&one, &smith), (&two, &oracle), (&three, &trinity)] {
            home.says(person, subscribe(neo.account_ref())).await;
            home.says(person, like(neo.object(&first))).await;
            comments.push(home.says(person, comment(&neo.object(&first), &neo.object(&first), "well said")).await);
        }
        one.until_count(&first.id(), Kind::Like, 3).await;
        one.until_count(&first.id(), Kind::Comment, 3).await;
        until("all follow neo", async || subscribers(&one, &neo).await == 3).await;
        one.says(&neo, subscribe(morpheus.account_ref())).await;
        one.says(&neo, like(morpheus.object(&of_morpheus))).await;
        let comment = one.says(&neo, comment(&morpheus.object(&of_morpheus), &morpheus.object(&of_morpheus), "I am awake")).await;
        three.until_count(&of_morpheus.id(), Kind::Comment, 1).await;
        three.until_count(&of_morpheus.id(), Kind::Like, 1).await;
        until("neo follows", async || subscribers(&three, &morpheus).await == 1).await;
        let second = one.says(&neo, post("the second post")).await;
        for (home, reader) in [(&one, &smith), (&two, &oracle), (&three, &trinity)] {
            until("the second post is in a feed", async || feed_has(home, reader, &second.id()).await).await;
        }
        Self { one, two, three, neo, smith, oracle, trinity, morpheus, first, second, comment, of_morpheus }
    }

    /// What must hold once neo lives at two, whatever became of one.
    async fn neo_lives_at_two(&self, followers: u64) {
        let Self { two, three, neo, .. } = self;
        for (record, text) in [(&self.first, "the first post"), (&self.second, "the second post"), (&self.comment, "I am awake")] {
            let view = two.view(&record.id()).await;
            let shown = view.record.expect("two answers for it").envelope;
            assert!(String::from_utf8_lossy(shown.body()).contains(text), "{text}");
            assert_eq!(view.card.address.domain().as_str(), two.domain);
        }
        two.until_count(&self.first.id(), Kind::Like, followers).await;
        two.until_count(&self.first.id(), Kind::Comment, followers).await;
        until("the followers came along", async || subscribers(two, neo).await == followers).await;
        // What neo said about others stands, once.
        assert_eq!(three.count(&self.of_morpheus.id(), Kind::Like).await, 1);
        assert_eq!(three.count(&self.of_morpheus.id(), Kind::Comment).await, 1);
        assert_eq!(subscribers(three, &self.morpheus).await, 1);
        // What is said from now on goes both ways.
        let third = two.says(neo, post("the third post")).await;
        for (home, reader) in [(two, &self.oracle), (three, &self.trinity)] {
            until("the third post is in a feed", async || feed_has(home, reader, &third.id()).await).await;
        }
        let news = three.says(&self.morpheus, post("follow the rabbit")).await;
        until("morpheus is in neo's feed", async || feed_has(two, neo, &news.id()).await).await;
        // Undoing works at the new home.
        let act = two.get_as(neo, &format!("/api/v1/acts?kind=like&object={}", self.of_morpheus.id())).await;
        let liked = act.json::<mesh_proto::api::Acts>().records;
        assert_eq!(liked.len(), 1);
        two.says(neo, Content::Retract(Retract { object: liked[0], reason: RetractReason::Author })).await;
        three.until_count(&self.of_morpheus.id(), Kind::Like, 0).await;
        // So does withdrawing what was said at the old home, and changing it.
        two.says(neo, retract(&self.second)).await;
        until("the second post is withdrawn at three", async || three.view(&self.second.id()).await.tombstone.is_some()).await;
        two.says(neo, Content::Post(Post { revises: Some(self.first.id()), ..Post::free("the first post, better") })).await;
        until("the edit is at three", async || {
            let shown = three.view(&self.first.id()).await.record;
            shown.is_some_and(|record| String::from_utf8_lossy(record.envelope.body()).contains("better"))
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn account_moves_with_the_help_of_its_old_home() {
    let mut world = World::new().await;
    let luggage = export(&world.one, &world.neo).await;
    let op = move_op(&mut world.neo, "neo", &world.two);
    settle(&world.two, &world.neo, &luggage).await;
    assert_eq!(world.one.submit_key(&world.neo, &op).await.status, 200);
    announce(&world.two, &world.neo, &luggage).await;
    world.neo_lives_at_two(3).await;
    // The old home lives: it redirects, its people follow, and it takes nothing in neo's name.
    let World { one, two, neo, smith, first, .. } = &world;
    let moved = one.http.get(format!("http://127.0.0.1:{}/@neo/{}", one.port, first.id())).send().await.expect("answers");
    assert_eq!(moved.status(), 308);
    assert_eq!(moved.headers()["location"].to_str().expect("text"), format!("http://{}/@neo/{}", two.domain, first.id()));
    assert_eq!(one.get("/@neo").await.status, 308);
    assert_eq!(one.submit(&neo.sign(post("again at one"))).await.problem(), "not_home");
    let fourth = two.says(neo, post("the fourth post")).await;
    until("smith still follows", async || feed_has(one, smith, &fourth.id()).await).await;
    until("the second post is gone at the old home", async || one.view(&world.second.id()).await.tombstone.is_some()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn likes_of_those_who_know_only_the_post_follow_its_author() {
    let (one, two, three) = (Home::start("one").await, Home::start("two").await, Home::start("three").await);
    let mut neo = one.person("neo", 1).await;
    let (trinity, morpheus) = (three.person("trinity", 2).await, three.person("morpheus", 3).await);
    let first = one.says(&neo, post("the first post")).await;
    let object = neo.object(&first);
    one.says(&neo, like(object.clone())).await;
    // Nobody at three needed neo's key log for that.
    three.says(&trinity, like(object.clone())).await;
    one.until_count(&first.id(), Kind::Like, 2).await;
    let luggage = export(&one, &neo).await;
    let op = move_op(&mut neo, "neo", &two);
    settle(&two, &neo, &luggage).await;
    assert_eq!(two.count(&first.id(), Kind::Like).await, 1, "one's own like of what one brought along counts");
    assert_eq!(one.submit_key(&neo, &op).await.status, 200);
    announce(&two, &neo, &luggage).await;
    two.until_count(&first.id(), Kind::Like, 2).await;
    // Who still believes the old home is told by it, if only then.
    three.says(&morpheus, like(object)).await;
    two.until_count(&first.id(), Kind::Like, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn like_that_was_under_way_during_a_move_arrives() {
    let (one, two, three) = (Home::start("one").await, Home::start("two").await, Home::start("three").await);
    let (mut neo, trinity) = (one.person("neo", 1).await, three.person("trinity", 2).await);
    let first = one.says(&neo, post("the first post")).await;
    let object = neo.object(&first);
    let luggage = export(&one, &neo).await;
    let op = move_op(&mut neo, "neo", &two);
    settle(&two, &neo, &luggage).await;
    assert_eq!(one.submit_key(&neo, &op).await.status, 200);
    announce(&two, &neo, &luggage).await;
    // Nobody told three: one refuses the like, and says where neo lives.
    three.says(&trinity, like(object)).await;
    two.until_count(&first.id(), Kind::Like, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn account_moves_without_its_old_home() {
    let mut world = World::new().await;
    let luggage = export(&world.one, &world.neo).await;
    world.one.stop().await;
    let gone = std::mem::replace(&mut world.one.folder, tempfile::tempdir().expect("a folder"));
    gone.close().expect("the disk is gone");
    move_op(&mut world.neo, "neo", &world.two);
    settle(&world.two, &world.neo, &luggage).await;
    announce(&world.two, &world.neo, &luggage).await;
    world.neo_lives_at_two(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn announcement_that_a_stop_interrupted_goes_on_at_the_next_start() {
    let (mut one, mut two, three) = (Home::start("one").await, Home::start("two").await, Home::start("three").await);
    let (mut neo, trinity) = (one.person("neo", 1).await, three.person("trinity", 2).await);
    three.says(&trinity, subscribe(neo.account_ref())).await;
    until("trinity follows", async || subscribers(&one, &neo).await == 1).await;
    let mut luggage = export(&one, &neo).await;
    // Nobody but two tells it.
    one.stop().await;
    move_op(&mut neo, "neo", &two);
    settle(&two, &neo, &luggage).await;
    // A domain that takes connections and never answers holds it up.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = silent.local_addr().expect("bound").port();
    luggage.domains.insert(format!("silent.localhost:{port}").parse().expect("a domain"));
    announce(&two, &neo, &luggage).await;
    two.stop().await;
    let keys: KeysView = three.get(&format!("/mesh/v1/accounts/{}/keys", neo.id())).await.json();
    assert_eq!(keys.ops.len(), 1, "three was told: nothing was interrupted");
    two.start_again().await;
    until("trinity follows at two", async || subscribers(&two, &neo).await == 1).await;
}
