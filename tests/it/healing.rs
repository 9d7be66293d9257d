//! Two homes find out in what their common sets differ, and the actors' home is right.

mod carried;
mod counters;
mod polls;

use crate::federation::{comment, like, post, retract, subscribe, until_subscribed};
use crate::network::{Home, until};
use crate::peer::Peer;
use crate::stored::durability::copy;
use mesh_node::healing::{Aim, Report};
use mesh_proto::api::{Comments, FeedPage, Fetch, Fetched, Pulled, Reconcile, Reconciled, Settle, Settled, Verdict};
use mesh_proto::bytes::{base64url, from_base64url};
use mesh_proto::envelope::{Envelope, Kind, RecordId};
use mesh_proto::limits::SET_MESSAGE_BYTES_MAX;
use mesh_server::{config, verify};
use mesh_store::{Batch, Config, FjallStore, KeyRange, Kv, Order, Read, Space};
use mesh_testkit::TestAccount;
use std::path::Path;

/// Negentropy: version 1, no bound, ids, none of them. What an empty set begins with.
const EMPTY: [u8; 5] = [0x61, 0, 0, 2, 0];

/// Stops a home, compares it with all others or heals it, and starts it again. Answers what is said of each.
async fn verify_all(home: &mut Home, aim: Aim) -> Vec<verify::Compared> {
    home.stop().await;
    let folder = config::read(home.folder.path()).expect("a good folder");
    let compared = verify::run(&folder, aim, |_| ()).await.expect("opens");
    home.start_again().await;
    compared
}

/// The same; answers what is said of the first other one.
async fn verify(home: &mut Home, aim: Aim) -> Result<Report, String> {
    let compared = verify_all(home, aim).await;
    compared.into_iter().next().expect("another domain is known").outcome.map_err(|error| error.to_string())
}

async fn heal(home: &mut Home) -> Report {
    verify(home, Aim::Repair).await.expect("heals")
}

/// Changes rows of a stopped home.
fn change(folder: &Path, change: impl FnOnce(&FjallStore, &mut Batch)) {
    tokio::task::block_in_place(|| {
        let store = FjallStore::open(folder.join("store"), Config::default()).expect("opens");
        let mut batch = Batch::new();
        change(&store, &mut batch);
        store.commit(batch).wait().expect("commits");
        store.close().expect("closes");
    });
}

fn rows(store: &FjallStore, space: Space) -> Vec<(Vec<u8>, Vec<u8>)> {
    let rows = store.scan(space, &KeyRange::all(), Order::Forward, 100_000).expect("reads");
    rows.into_iter().map(|(key, row)| (key.to_vec(), row.to_vec())).collect()
}

/// Loses the references of the records: the rows themselves, and whatever points at them. Counters stay, and so become wrong.
fn lose(store: &FjallStore, batch: &mut Batch, ids: &[RecordId]) {
    for id in ids {
        let place = store.get(Space::Id, &id.hash()[..16]).expect("reads").expect("it is here");
        batch.delete(Space::Id, &id.hash()[..16]).delete(Space::Reference, &place);
        for space in [Space::Object, Space::Timeline, Space::Notice] {
            for (key, row) in rows(store, space) {
                if row == place || key.ends_with(&place) {
                    batch.delete(space, key);
                }
            }
        }
    }
}

/// A home with a post, and another one whose people act on it and are followed from there.
struct Pair {
    one: Home,
    two: Home,
    ada: TestAccount,
    people: Vec<TestAccount>,
    hello: Envelope,
    likes: Vec<Envelope>,
    comments: Vec<Envelope>,
    posts: Vec<Envelope>,
}

const PEOPLE: u8 = 6;

async fn pair() -> Pair {
    let (one, two) = (Home::start("one").await, Home::start("two").await);
    let ada = one.person("ada", 1).await;
    let hello = one.says(&ada, post("hello")).await;
    let object = ada.object(&hello);
    let (mut people, mut likes, mut comments, mut posts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for number in 0..PEOPLE {
        let person = two.person(&format!("p{number}"), 10 + number).await;
        two.says(&person, subscribe(ada.account_ref())).await;
        likes.push(two.says(&person, like(object.clone())).await);
        comments.push(two.says(&person, comment(&object, &object, &format!("comment {number}"))).await);
        people.push(person);
    }
    one.until_count(&hello.id(), Kind::Comment, u64::from(PEOPLE)).await;
    one.says(&ada, subscribe(people[0].account_ref())).await;
    until_subscribed(&two, &people[0], 1).await;
    for number in 0..3 {
        posts.push(two.says(&people[0], post(&format!("post {number}"))).await);
    }
    until("the posts arrive", async || feed(&one, &ada).await.len() == 3).await;
    Pair { one, two, ada, people, hello, likes, comments, posts }
}

/// What others say in a feed, newest first.
async fn feed(home: &Home, reader: &TestAccount) -> Vec<RecordId> {
    let page: FeedPage = home.get_as(reader, "/api/v1/feed").await.json();
    page.items.iter().filter(|item| item.card.actor != reader.id()).map(|item| item.card.id).collect()
}

async fn thread(home: &Home, root: &Envelope) -> Vec<RecordId> {
    let page: Comments = home.get(&format!("/api/v1/records/{}/comments?limit=100", root.id())).await.json();
    page.comments.iter().map(|comment| comment.card.id).collect()
}

fn ids(envelopes: &[Envelope]) -> Vec<RecordId> {
    envelopes.iter().map(Envelope::id).collect()
}

impl Pair {
    /// What is right when nothing is lost.
    async fn check_whole(&self) {
        let count = u64::from(PEOPLE);
        assert_eq!(self.one.count(&self.hello.id(), Kind::Like).await, count);
        assert_eq!(self.one.count(&self.hello.id(), Kind::Comment).await, count);
        until_subscribed(&self.one, &self.ada, count).await;
        assert_eq!(thread(&self.one, &self.hello).await, ids(&self.comments));
        let mut posts = ids(&self.posts);
        posts.reverse();
        assert_eq!(feed(&self.one, &self.ada).await, posts);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_references_come_again_and_counters_are_exact() {
    let mut pair = pair().await;
    let whole = heal(&mut pair.one).await;
    assert_eq!((whole.missing, whole.extra), (0, 0), "{whole:?}");
    assert!(whole.compared >= 3 * usize::from(PEOPLE) + 3, "{whole:?}");
    pair.one.stop().await;
    let mut lost = ids(&pair.likes[1..4]);
    lost.extend(ids(&pair.comments[..2]));
    lost.extend(ids(&pair.posts[1..2]));
    change(pair.one.folder.path(), |store, batch| lose(store, batch, &lost));
    pair.one.start_again().await;
    assert_eq!(feed(&pair.one, &pair.ada).await.len(), 2);
    let looked = verify(&mut pair.one, Aim::Look).await.expect("compares");
    assert_eq!((looked.missing, looked.extra, looked.fetched), (6, 0, 0), "{looked:?}");
    let report = heal(&mut pair.one).await;
    assert_eq!((report.missing, report.fetched, report.dropped), (6, 6, 0), "{report:?}");
    pair.check_whole().await;
    let again = heal(&mut pair.one).await;
    assert_eq!((again.missing, again.extra), (0, 0), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn references_that_their_home_does_not_know_are_dropped() {
    let mut pair = pair().await;
    pair.two.stop().await;
    let mut unknown = ids(&pair.likes[..1]);
    unknown.extend(ids(&pair.comments[1..3]));
    unknown.extend(ids(&pair.posts[2..]));
    // As a home that invents what its people said would have it: the other one counts what is nowhere.
    change(pair.two.folder.path(), |store, batch| lose(store, batch, &unknown));
    pair.two.start_again().await;
    let report = heal(&mut pair.one).await;
    assert_eq!((report.extra, report.dropped, report.missing), (4, 4, 0), "{report:?}");
    let count = u64::from(PEOPLE);
    assert_eq!(pair.one.count(&pair.hello.id(), Kind::Like).await, count - 1);
    assert_eq!(pair.one.count(&pair.hello.id(), Kind::Comment).await, count - 2);
    let left: Vec<RecordId> = ids(&pair.comments).into_iter().filter(|id| !unknown.contains(id)).collect();
    assert_eq!(thread(&pair.one, &pair.hello).await, left);
    assert_eq!(feed(&pair.one, &pair.ada).await, [pair.posts[1].id(), pair.posts[0].id()]);
    for id in &unknown {
        assert_eq!(pair.one.get(&format!("/api/v1/records/{id}")).await.status, 404, "as if it had never come");
    }
    let again = heal(&mut pair.one).await;
    assert_eq!((again.missing, again.extra), (0, 0), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_reference_comes_again_when_its_home_knows_it_again() {
    let mut pair = pair().await;
    pair.two.stop().await;
    let whole = tempfile::tempdir().expect("a folder");
    copy(&pair.two.folder.path().join("store"), whole.path());
    change(pair.two.folder.path(), |store, batch| lose(store, batch, &ids(&pair.comments)));
    pair.two.start_again().await;
    assert_eq!(heal(&mut pair.one).await.dropped, usize::from(PEOPLE));
    assert_eq!(pair.one.count(&pair.hello.id(), Kind::Comment).await, 0);
    pair.two.stop().await;
    std::fs::remove_dir_all(pair.two.folder.path().join("store")).expect("removed");
    copy(whole.path(), &pair.two.folder.path().join("store"));
    pair.two.start_again().await;
    assert_eq!(heal(&mut pair.one).await.fetched, usize::from(PEOPLE));
    pair.check_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missed_withdrawal_is_taken_in() {
    let mut pair = pair().await;
    pair.one.stop().await;
    let before = tempfile::tempdir().expect("a folder");
    copy(&pair.one.folder.path().join("store"), before.path());
    pair.one.start_again().await;
    pair.two.says(&pair.people[0], retract(&pair.likes[0])).await;
    pair.two.says(&pair.people[1], retract(&pair.comments[1])).await;
    pair.two.says(&pair.people[2], like(pair.ada.object(&pair.hello))).await;
    let marker = pair.two.says(&pair.people[3], comment(&pair.ada.object(&pair.hello), &pair.ada.object(&pair.hello), "last")).await;
    until("all arrives", async || thread(&pair.one, &pair.hello).await.contains(&marker.id())).await;
    pair.one.stop().await;
    // All of that is forgotten, but for how far it went.
    let mut watermarks = Vec::new();
    change(pair.one.folder.path(), |store, _| watermarks = rows(store, Space::Watermark));
    std::fs::remove_dir_all(pair.one.folder.path().join("store")).expect("removed");
    copy(before.path(), &pair.one.folder.path().join("store"));
    change(pair.one.folder.path(), |_, batch| watermarks.iter().for_each(|(key, row)| _ = batch.put(Space::Watermark, key, row)));
    pair.one.start_again().await;
    let report = heal(&mut pair.one).await;
    // Two withdrawals, the second like and the last comment came; what they changed needed nobody to say so.
    assert_eq!((report.fetched, report.dropped), (4, 0), "{report:?}");
    let count = u64::from(PEOPLE);
    assert_eq!(pair.one.count(&pair.hello.id(), Kind::Like).await, count - 1);
    assert_eq!(pair.one.count(&pair.hello.id(), Kind::Comment).await, count);
    assert!(pair.one.view(&pair.likes[0].id()).await.tombstone.is_some());
    let again = heal(&mut pair.one).await;
    assert_eq!((again.missing, again.extra), (0, 0), "{again:?}");
}

/// A home to which a played domain delivered a like, so that its log is known.
async fn played() -> (Home, Peer, TestAccount, Envelope, Envelope) {
    let (one, mut peer) = (Home::start("one").await, Peer::start("peer", 40).await);
    let (ada, neo) = (one.person("ada", 1).await, peer.person("neo", 2));
    let hello = one.says(&ada, post("hello")).await;
    let liked = neo.sign(like(ada.object(&hello)));
    let item = peer.log(&neo, &liked);
    let mut delivery = peer.delivery(vec![item], &[&neo]);
    delivery.since = Some(0);
    assert_eq!(peer.send(&one, &delivery).await.status, 200);
    one.until_count(&hello.id(), Kind::Like, 1).await;
    (one, peer, neo, hello, liked)
}

fn json(value: &impl serde::Serialize) -> (u16, Vec<u8>) {
    (200, serde_json::to_vec(value).expect("json"))
}

/// Answers messages about sets as told, and everything else as a home that has nothing new.
fn says(peer: &Peer, reconciled: impl Fn(&[u8]) -> Vec<u8> + Send + 'static, verdict: Verdict) {
    peer.answers(move |path, body| match path {
        "/mesh/v1/deliveries:pull" => json(&Pulled { delivery: None, next: 1, more: false }),
        "/mesh/v1/sets:reconcile" => {
            let asked: Reconcile = serde_json::from_slice(body).expect("a message");
            json(&Reconciled { message: base64url(&reconciled(&from_base64url(&asked.message, "message").expect("bytes"))) })
        }
        "/mesh/v1/deliveries:fetch" => json(&Fetched { delivery: None }),
        "/mesh/v1/sets:settle" => {
            let asked: Settle = serde_json::from_slice(body).expect("a question");
            json(&Settled { held: vec![verdict.clone(); asked.held.len()] })
        }
        _ => (404, Vec::new()),
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn home_that_answers_nonsense_about_a_set_changes_nothing() {
    let (mut one, peer, _, hello, _) = played().await;
    let endless = |_: &[u8]| [&[0x61, 0, 0, 1][..], &[7; 16]].concat();
    says(&peer, endless, Verdict::Nothing);
    assert!(verify(&mut one, Aim::Repair).await.expect_err("it has no end").contains("does not come to an end"));
    for (words, message) in [
        ("malformed", vec![0x61, 0, 0, 9]),
        ("malformed", vec![0x61, 0, 0, 2, 0xff, 0xff, 0xff, 0xff, 0x7f]),
        ("malformed", Vec::new()),
        ("malformed", vec![0x62]),
        ("too long", vec![0x61; SET_MESSAGE_BYTES_MAX + 1]),
    ] {
        says(&peer, move |_| message.clone(), Verdict::Nothing);
        let error = verify(&mut one, Aim::Repair).await.expect_err("it is nonsense");
        assert!(error.contains(words), "{error}");
    }
    assert_eq!(one.count(&hello.id(), Kind::Like).await, 1);
    // It has what nobody can have, and hands it out to nobody.
    says(&peer, |_| [&[0x61, 0, 0, 2, 1][..], &[9; 32]].concat(), Verdict::Stands);
    let report = heal(&mut one).await;
    assert_eq!((report.missing, report.fetched, report.dropped), (1, 0, 0), "{report:?}");
    assert_eq!(one.count(&hello.id(), Kind::Like).await, 1);
    // But about its own people's records it is right.
    says(&peer, |_| EMPTY.to_vec(), Verdict::Nothing);
    assert_eq!(heal(&mut one).await.dropped, 1);
    assert_eq!(one.count(&hello.id(), Kind::Like).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn fetched_record_that_does_not_verify_is_refused_and_told_so() {
    let (mut one, mut peer, neo, hello, liked) = played().await;
    let ada = one.person("eve", 5).await;
    let second = one.says(&ada, post("another")).await;
    let honest = neo.sign(like(ada.object(&second)));
    let forged = Envelope::new(honest.kind(), honest.body().to_vec(), *liked.signature()).expect("small");
    let item = peer.log(&neo, &forged);
    let delivery = peer.delivery(vec![item], &[&neo]);
    let delivery = peer.grown(&delivery, 1);
    let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let heard = std::sync::Arc::clone(&told);
    let (liked, bad) = (liked.id(), forged.id());
    peer.answers(move |path, body| match path {
        "/mesh/v1/deliveries:pull" => json(&Pulled { delivery: None, next: 1, more: false }),
        "/mesh/v1/sets:reconcile" => {
            json(&Reconciled { message: base64url(&[&[0x61, 0, 0, 2, 2][..], liked.hash(), bad.hash()].concat()) })
        }
        "/mesh/v1/deliveries:fetch" => json(&Fetched { delivery: Some(delivery.clone()) }),
        "/mesh/v1/sets:settle" => {
            heard.lock().expect("no panic").extend(serde_json::from_slice::<Settle>(body).expect("a question").refused);
            json(&Settled { held: Vec::new() })
        }
        _ => (404, Vec::new()),
    });
    let report = heal(&mut one).await;
    assert_eq!((report.missing, report.fetched, report.refused), (1, 0, 1), "{report:?}");
    assert_eq!(*told.lock().expect("no panic"), [bad]);
    assert_eq!(one.count(&second.id(), Kind::Like).await, 0);
    assert_eq!(one.count(&hello.id(), Kind::Like).await, 1);
}

async fn ask(home: &Home, peer: &Peer, origin: &str, message: &[u8]) -> crate::network::Reply {
    let origin = format!("{origin}/log/1").parse().expect("an origin");
    let asked = Reconcile { origin, from: 0, to: 1 << 40, message: base64url(message) };
    peer.signed(home, "/mesh/v1/sets:reconcile", &asked).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_learns_of_another_domains_set() {
    let (one, two, peer) = (Home::start("one").await, Home::start("two").await, Peer::start("peer", 40).await);
    let (ada, neo) = (one.person("ada", 1).await, two.person("neo", 2).await);
    let hello = two.says(&neo, post("hello")).await;
    one.says(&ada, subscribe(neo.account_ref())).await;
    until_subscribed(&two, &neo, 1).await;
    let liked = one.says(&ada, like(neo.object(&hello))).await;
    two.until_count(&hello.id(), Kind::Like, 1).await;
    let answer: Reconciled = ask(&one, &peer, &one.domain, &EMPTY).await.json();
    assert_eq!(answer.message, base64url(&EMPTY), "an empty set");
    let origin = format!("{}/log/1", one.domain).parse::<mesh_proto::log::Origin>().expect("an origin");
    let fetch = Fetch { origin: origin.clone(), ids: vec![liked.id()], checkpoint: None };
    assert_eq!(peer.signed(&one, "/mesh/v1/deliveries:fetch", &fetch).await.json::<Fetched>().delivery, None);
    let settle = Settle { origin: origin.clone(), held: vec![liked.id()], refused: vec![liked.id()] };
    assert_eq!(peer.signed(&one, "/mesh/v1/sets:settle", &settle).await.json::<Settled>().held, [Verdict::Nothing]);
    assert_eq!(ask(&one, &peer, &two.domain, &EMPTY).await.problem(), "not_home");
    let unsigned = Reconcile { origin, from: 0, to: 1, message: base64url(&EMPTY) };
    assert_eq!(one.post_json("/mesh/v1/sets:reconcile", &unsigned).await.problem(), "unauthenticated");
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_about_sets_is_refused_and_too_much_of_it_slows_down() {
    let (one, peer) = (Home::start("one").await, Peer::start("peer", 40).await);
    for message in [&[][..], &[0x61, 0, 0, 9], &[0x61, 0, 0, 2, 0xff, 0xff, 0xff, 0xff, 0x7f], &[0x61, 0, 40], &[0x10]] {
        assert_eq!(ask(&one, &peer, &one.domain, message).await.problem(), "malformed", "{message:?}");
    }
    assert_eq!(ask(&one, &peer, &one.domain, &vec![0x61; SET_MESSAGE_BYTES_MAX + 1]).await.problem(), "too_large");
    let origin: mesh_proto::log::Origin = format!("{}/log/1", one.domain).parse().expect("an origin");
    for (from, to) in [(5, 5), (6, 5), (0, (1 << 40) + 1), (u64::MAX, u64::MAX)] {
        let asked = Reconcile { origin: origin.clone(), from, to, message: base64url(&EMPTY) };
        assert_eq!(peer.signed(&one, "/mesh/v1/sets:reconcile", &asked).await.problem(), "malformed");
    }
    let many = Fetch { origin: origin.clone(), ids: vec![RecordId::from_hash([1; 32]); 101], checkpoint: None };
    assert_eq!(peer.signed(&one, "/mesh/v1/deliveries:fetch", &many).await.problem(), "too_large");
    let mut refused = None;
    for part in 1..200 {
        let asked = Reconcile { origin: origin.clone(), from: 0, to: part, message: base64url(&EMPTY) };
        let reply = peer.signed(&one, "/mesh/v1/sets:reconcile", &asked).await;
        if reply.status != 200 {
            refused = Some((part, reply.problem()));
            break;
        }
    }
    let (after, code) = refused.expect("somebody asks for set after set");
    assert_eq!(code, "slow_down");
    assert!(after > 30, "an honest domain asks for as many: {after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn record_that_is_refused_for_ever_is_not_compared_again() {
    let mut pair = pair().await;
    let object = pair.ada.object(&pair.hello);
    let mut quiet = mesh_proto::record::Post::free("nobody may like this");
    quiet.interaction.like = mesh_proto::record::Audience::Nobody;
    let quiet = pair.one.says(&pair.ada, mesh_proto::record::Content::Post(quiet)).await;
    pair.two.says(&pair.people[0], like(pair.ada.object(&quiet))).await;
    let marker = pair.two.says(&pair.people[0], comment(&object, &object, "after it")).await;
    until("it arrives", async || thread(&pair.one, &pair.hello).await.contains(&marker.id())).await;
    let report = heal(&mut pair.one).await;
    assert_eq!((report.missing, report.refused), (0, 0), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn running_server_says_that_it_heals_by_itself() {
    let one = Home::start("one").await;
    let folder = config::read(one.folder.path()).expect("a good folder");
    let error = verify::run(&folder, Aim::Repair, |_| ()).await.err().expect("it runs");
    assert!(format!("{error:#}").contains("by itself"), "{error:#}");
}
