//! Moves that must not succeed, and homes that lie about them. The old home is played where it lies.

use super::{announce, arrival, export, import, move_op, settle};
use crate::federation::{like, post, retract, subscribe, until_subscribed};
use crate::network::{Home, until};
use crate::peer::{Peer, refusal};
use mesh_proto::api::{Delivery, DeliveryAnswer, ItemResult, KeysPush, KeysView};
use mesh_proto::bytes::Hash;
use mesh_proto::envelope::Kind;
use mesh_proto::keylog::{Action, LogPosition, NewOp};
use mesh_proto::log::Origin;
use mesh_testkit::TestAccount;

fn keys(person: &TestAccount) -> KeysPush {
    KeysPush { account: person.id(), ops: person.keys.ops().cloned().collect() }
}

/// A part of an export of a played home: what a person said there, with its proof.
fn part(peer: &mut Peer, person: &TestAccount, said: &[&mesh_proto::envelope::Envelope]) -> Delivery {
    let items = said.iter().map(|envelope| peer.log(person, envelope)).collect();
    peer.delivery(items, &[])
}

#[tokio::test]
async fn only_the_root_key_moves_an_account() {
    let (one, two) = (Home::start("one").await, Home::start("two").await);
    let neo = one.person("neo", 1).await;
    let address = two.address("neo").parse().expect("an address");
    // A thief has the device, or the home makes it up.
    for key in [neo.device.clone(), two_key()] {
        let follows = Some((neo.id(), neo.keys.head()));
        let op =
            NewOp { follows, action: Action::HomeMove { address: Clone::clone(&address) }, at: 1, salt: mesh_proto::bytes::Salt([9; 16]) }
                .sign(&key);
        let mut stolen = arrival(&neo);
        stolen.ops.push(mesh_proto::keylog::LoggedOp { envelope: op, received: 1 });
        assert_eq!(two.post_json("/api/v1/arrivals", &stolen).await.problem(), "forbidden");
    }
    assert_eq!(two.get(&format!("/api/v1/accounts/{}", neo.id())).await.status, 404, "nothing was kept of it");
    assert_eq!(two.post_json("/api/v1/arrivals", &arrival(&neo)).await.problem(), "not_home");
}

fn two_key() -> mesh_proto::key::SecretKey {
    mesh_proto::key::SecretKey::from_seed(&[77; 32])
}

#[tokio::test]
async fn names_that_are_taken_or_reserved_are_not_had_by_moving() {
    let (one, two) = (Home::start("one").await, Home::start("two").await);
    let other = two.person("neo", 9).await;
    let mut neo = one.person("neo", 1).await;
    let before = neo.clone();
    move_op(&mut neo, "neo", &two);
    assert_eq!(two.post_json("/api/v1/arrivals", &arrival(&neo)).await.problem(), "name");
    neo = before.clone();
    move_op(&mut neo, "postmaster", &two);
    assert_eq!(two.post_json("/api/v1/arrivals", &arrival(&neo)).await.problem(), "name");
    let closed = Home::start_with("closed", |config| config.registration = mesh_proto::api::RegistrationMode::Closed).await;
    neo = before;
    move_op(&mut neo, "neo", &closed);
    assert_eq!(closed.post_json("/api/v1/arrivals", &arrival(&neo)).await.problem(), "registration");
    assert_eq!(two.view_of("neo").await.account, other.id());
}

#[tokio::test]
async fn import_takes_only_what_the_account_said_and_a_log_proves() {
    let two = Home::start("two").await;
    let mut peer = Peer::start("peer", 40).await;
    let (mut neo, eve) = (peer.person("neo", 1), peer.person("eve", 2));
    let said = neo.sign(post("said"));
    let good = part(&mut peer, &neo, &[&said]);
    move_op(&mut neo, "neo", &two);
    assert_eq!(two.post_json("/api/v1/arrivals", &arrival(&neo)).await.status, 201);
    // Another's record; a forged one; a proof that does not hold; a log in which neo never was; another's account.
    let of_eve = part(&mut peer, &eve, &[&eve.sign(post("of eve"))]);
    assert_eq!(refusal(import(&two, &neo, &of_eve).await.remove(0)), "forbidden");
    let forged = mesh_proto::envelope::Envelope::sign(Kind::Post, neo.record(post("forged")).body(), &peer.key);
    let forged = part(&mut peer, &neo, &[&forged]);
    assert_eq!(refusal(import(&two, &neo, &forged).await.remove(0)), "bad_signature");
    let path = format!("/api/v1/accounts/{}/import", neo.id());
    let mut unproven = good.clone();
    unproven.items[0].received += 1;
    assert_eq!(two.post_as(&neo, &path, &unproven).await.problem(), "not_logged");
    let mut elsewhere = good.clone();
    elsewhere.origin = "evil.localhost:9/log/1".parse::<Origin>().expect("an origin");
    assert_eq!(two.post_as(&neo, &path, &elsewhere).await.problem(), "not_home");
    assert_eq!(two.post_as(&eve, &path, &good).await.problem(), "unauthenticated");
    let trinity = two.person("trinity", 3).await;
    assert_eq!(two.post_as(&trinity, &path, &good).await.problem(), "forbidden");
    assert_eq!(two.get_as(&trinity, &format!("/api/v1/accounts/{}/export", neo.id())).await.problem(), "forbidden");
    assert_eq!(two.get(&format!("/api/v1/accounts/{}/export", neo.id())).await.problem(), "unauthenticated");
    // The good one, and the same again.
    assert_eq!(import(&two, &neo, &good).await, [ItemResult::Accepted]);
    assert_eq!(import(&two, &neo, &good).await, [ItemResult::Known]);
    assert!(two.view(&said.id()).await.record.is_some());
    // Another history of the same size under the same key is a fork of that log.
    let mut shifted = good;
    shifted.proof.hashes.push(Hash([1; 32]));
    assert_eq!(two.post_as(&neo, &path, &shifted).await.problem(), "not_logged");
}

#[tokio::test]
async fn what_a_revoked_device_said_after_its_last_good_leaf_is_not_imported() {
    let two = Home::start("two").await;
    let mut peer = Peer::start("peer", 40).await;
    let mut neo = peer.person("neo", 1);
    let (good, stolen) = (neo.sign(post("mine")), neo.sign(post("the thief's")));
    let items = vec![peer.log(&neo, &good), peer.log(&neo, &stolen)];
    let delivery = peer.delivery(items, &[]);
    let (root, device) = (neo.root.clone(), neo.device.id());
    let next = mesh_proto::key::SecretKey::from_seed(&[55; 32]);
    neo.key_op(Action::DeviceAdd { device: next.id(), name: "next".into() }, &root);
    let last_good = Some(LogPosition { origin: delivery.origin.clone(), index: 0 });
    neo.key_op(Action::DeviceRevoke { device, last_good }, &root);
    neo.device = next;
    move_op(&mut neo, "neo", &two);
    assert_eq!(two.post_json("/api/v1/arrivals", &arrival(&neo)).await.status, 201);
    let results = import(&two, &neo, &delivery).await;
    assert_eq!(results[0], ItemResult::Accepted);
    assert_eq!(refusal(results[1].clone()), "device");
}

#[tokio::test]
async fn withdrawn_record_is_not_brought_back_by_an_old_export() {
    let (one, two) = (Home::start("one").await, Home::start("two").await);
    let mut neo = one.person("neo", 1).await;
    let said = one.says(&neo, post("regretted")).await;
    let luggage = export(&one, &neo).await;
    move_op(&mut neo, "neo", &two);
    settle(&two, &neo, &luggage).await;
    announce(&two, &neo, &luggage).await;
    two.says(&neo, retract(&said)).await;
    for part in &luggage.parts {
        assert_eq!(import(&two, &neo, part).await, [ItemResult::Known]);
    }
    assert!(two.view(&said.id()).await.tombstone.is_some());
    assert!(two.view(&said.id()).await.record.is_none());
}

#[tokio::test]
async fn home_that_was_left_says_nothing_more_in_the_accounts_name() {
    let (one, two) = (Home::start("one").await, Home::start("two").await);
    let mut peer = Peer::start("peer", 40).await;
    let ada = one.person("ada", 3).await;
    let hello = one.says(&ada, post("hello")).await;
    let mut neo = peer.person("neo", 1);
    assert_eq!(peer.deliver(&one, &neo, &neo.sign(subscribe(ada.account_ref()))).await, ItemResult::Accepted);
    until_subscribed(&one, &ada, 1).await;
    let left_behind = neo.clone();
    move_op(&mut neo, "neo", &two);
    settle(&two, &neo, &super::Luggage::default()).await;
    // Two is believed about its own address, and only with the root key's word; the old home and strangers are not.
    assert_eq!(peer.signed(&one, "/mesh/v1/keys", &keys(&neo)).await.problem(), "not_home");
    assert_eq!(one.post_json("/mesh/v1/keys", &keys(&neo)).await.problem(), "not_home");
    let luggage = super::Luggage { domains: [one.domain.parse().expect("a domain")].into(), ..Default::default() };
    announce(&two, &neo, &luggage).await;
    until("one knows where neo lives", async || {
        let known: KeysView = one.get(&format!("/mesh/v1/accounts/{}/keys", neo.id())).await.json();
        known.ops.len() == 2
    })
    .await;
    let late = left_behind.sign(like(ada.object(&hello)));
    assert_eq!(refusal(peer.deliver(&one, &left_behind, &late).await), "not_home");
    assert_eq!(one.count(&hello.id(), Kind::Like).await, 0);
    two.says(&neo, like(ada.object(&hello))).await;
    one.until_count(&hello.id(), Kind::Like, 1).await;
}

#[tokio::test]
async fn domain_that_claims_an_account_by_a_device_is_refused() {
    let one = Home::start("one").await;
    let (peer, mut thief) = (Peer::start("peer", 40).await, Peer::start("thief", 50).await);
    let ada = one.person("ada", 3).await;
    let neo = peer.person("neo", 1);
    let mut peer = peer;
    assert_eq!(peer.deliver(&one, &neo, &neo.sign(subscribe(ada.account_ref()))).await, ItemResult::Accepted);
    let address = format!("neo@{}", thief.domain).parse().expect("an address");
    let follows = Some((neo.id(), neo.keys.head()));
    let op = NewOp { follows, action: Action::HomeMove { address }, at: 1, salt: mesh_proto::bytes::Salt([9; 16]) }.sign(&neo.device);
    let mut push = keys(&neo);
    push.ops.push(mesh_proto::keylog::LoggedOp { envelope: op, received: 1 });
    assert_eq!(thief.signed(&one, "/mesh/v1/keys", &push).await.problem(), "forbidden");
    let hello = one.says(&ada, post("hello")).await;
    let said = neo.sign(like(ada.object(&hello)));
    assert_eq!(refusal(thief.deliver(&one, &neo, &said).await), "not_home");
}

#[tokio::test]
async fn nobody_fills_the_log_of_a_domain_that_is_not_known_yet() {
    let one = Home::start("one").await;
    let mut evil = Peer::start("evil", 40).await;
    let (ada, eve) = (one.person("ada", 1).await, evil.person("eve", 2));
    let hello = one.says(&ada, post("hello")).await;
    let liked = eve.sign(like(ada.object(&hello)));
    let item = evil.log(&eve, &liked);
    // The same leaf as if it lay in the log of a domain that nobody has met.
    let mut made_up = evil.delivery(vec![item.clone()], &[&eve]);
    made_up.origin = "victim.localhost:9/log/1".parse::<Origin>().expect("an origin");
    made_up.checkpoint = made_up.checkpoint.replace(&evil.domain, "victim.localhost:9");
    assert_eq!(refusal(evil.send(&one, &made_up).await.json::<DeliveryAnswer>().results.remove(0)), "not_home");
    let honest = evil.delivery(vec![item], &[&eve]);
    assert_eq!(evil.send(&one, &honest).await.status, 200);
    one.until_count(&hello.id(), Kind::Like, 1).await;
}

#[tokio::test]
async fn imported_retract_withdraws_nobody_elses_record() {
    let (one, two) = (Home::start("one").await, Home::start("two").await);
    let mut peer = Peer::start("peer", 40).await;
    let (mut mallory, mut alice) = (peer.person("mallory", 7), one.person("alice", 8).await);
    let said = one.says(&alice, post("mine alone")).await;
    let theft = part(&mut peer, &mallory, &[&mallory.sign(retract(&said))]);
    move_op(&mut mallory, "mallory", &two);
    assert_eq!(two.post_json("/api/v1/arrivals", &arrival(&mallory)).await.status, 201);
    assert_eq!(import(&two, &mallory, &theft).await, [ItemResult::Accepted]);
    let luggage = export(&one, &alice).await;
    move_op(&mut alice, "alice", &two);
    settle(&two, &alice, &luggage).await;
    assert!(two.view(&said.id()).await.record.is_some());
}

#[tokio::test]
async fn domains_that_send_one_on_and_on_are_not_followed_for_ever() {
    let one = Home::start_with("one", |config| config.mirrors_max = 1).await;
    let (here, there) = (Peer::start("here", 40).await, Peer::start("there", 50).await);
    let mut neo = here.person("neo", 1);
    let root = neo.root.clone();
    let view = |person: &TestAccount| KeysView { account: person.id(), ops: person.keys.ops().cloned().collect(), name: None };
    let answer = |view: KeysView| {
        let body = serde_json::to_vec(&view).expect("json");
        move |path: &str, _: &[u8]| if path.ends_with("/keys") { (200, body.clone()) } else { (404, Vec::new()) }
    };
    neo.key_op(Action::HomeMove { address: format!("neo@{}", there.domain).parse().expect("an address") }, &root);
    here.answers(answer(view(&neo)));
    neo.key_op(Action::HomeMove { address: format!("neo@{}", here.domain).parse().expect("an address") }, &root);
    there.answers(answer(view(&neo)));
    let path = format!("/api/v1/accounts/{}/mirror", neo.id());
    let asked = mesh_proto::api::MirrorRequest { home: here.domain.parse().expect("a domain") };
    let reply = one.post_as(&neo, &path, &asked).await;
    assert_eq!((reply.status, reply.problem()), (502, "remote".into()));
    assert_eq!(one.get(&format!("/api/v1/accounts/{}", neo.id())).await.status, 404, "nothing was kept of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn account_whose_part_waits_for_a_silent_domain_holds_one_place() {
    let two = Home::start("two").await;
    let mut peer = Peer::start("peer", 40).await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let nobody = TestAccount::new(&format!("nobody@silent.localhost:{}", silent.local_addr().expect("bound").port()), 5);
    let mut neo = peer.person("neo", 1);
    let waits = part(&mut peer, &neo, &[&neo.sign(subscribe(nobody.account_ref()))]);
    let other = part(&mut peer, &neo, &[&neo.sign(post("said"))]);
    move_op(&mut neo, "neo", &two);
    assert_eq!(two.post_json("/api/v1/arrivals", &arrival(&neo)).await.status, 201);
    let path = format!("/api/v1/accounts/{}/import", neo.id());
    let second = async {
        let asking = silent.accept().await.expect("it is asked, and does not answer");
        let reply = two.post_as(&neo, &path, &other).await;
        drop(asking);
        reply.problem()
    };
    let (first, second) = tokio::join!(two.post_as(&neo, &path, &waits), second);
    assert_eq!((first.status, second.as_str()), (200, "slow_down"));
    assert_eq!(import(&two, &neo, &other).await, [ItemResult::Accepted]);
}

#[tokio::test]
async fn what_lies_in_the_log_of_a_domain_that_nobody_reaches_is_believed_of_live_devices() {
    let one = Home::start("one").await;
    let (mut dead, peer) = (Peer::start("dead", 40).await, Peer::start("peer", 50).await);
    let ada = one.person("ada", 1).await;
    let hello = one.says(&ada, post("hello")).await;
    let (mut neo, mut smith) = (dead.person("neo", 2), dead.person("smith", 3));
    let items: Vec<_> = [&neo, &smith].map(|person| dead.log(person, &person.sign(like(ada.object(&hello))))).into();
    for person in [&mut neo, &mut smith] {
        let address = format!("{}@{}", person.address().user(), peer.domain).parse().expect("an address");
        let root = person.root.clone();
        person.key_op(Action::HomeMove { address }, &root);
    }
    let both = dead.delivery(items.clone(), &[&neo, &smith]);
    let alone = dead.delivery(vec![items[0].clone()], &[&neo]);
    drop(dead);
    // Their new home brings it, and cannot prove whose log it is.
    assert_eq!(peer.send(&one, &both).await.problem(), "not_logged");
    assert_eq!(peer.send(&one, &alone).await.json::<DeliveryAnswer>().results, [ItemResult::Accepted]);
    assert_eq!(peer.send(&one, &alone).await.json::<DeliveryAnswer>().results, [ItemResult::Known]);
    one.until_count(&hello.id(), Kind::Like, 1).await;
}
