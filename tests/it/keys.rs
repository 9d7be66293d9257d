//! Key logs over real HTTP: revocation, forks, recovery.

use crate::federation::{like, post};
use crate::network::{Home, until};
use crate::peer::{Peer, refusal};
use mesh_proto::api::{AccountView, ItemResult, KeysAdded, KeysPush, KeysView, PairingList, PairingRequest};
use mesh_proto::bytes::Salt;
use mesh_proto::envelope::Kind;
use mesh_proto::key::SecretKey;
use mesh_proto::keylog::{Action, KeyLog, LogPosition, LoggedOp, NewOp, Status};
use mesh_testkit::TestAccount;

fn add(number: u8) -> Action {
    Action::DeviceAdd { device: SecretKey::from_seed(&[number; 32]).id(), name: String::new() }
}

fn push(person: &TestAccount) -> KeysPush {
    KeysPush { account: person.id(), ops: person.keys.ops().cloned().collect() }
}

#[tokio::test]
async fn revoked_device_is_refused_at_home_and_what_it_said_later_is_disowned() {
    let one = Home::start("one").await;
    let mut ada = one.person("ada", 1).await;
    let thief = ada.add_device(77);
    let added = ada.keys.ops().last().expect("the operation").envelope.clone();
    assert_eq!(one.submit_key(&ada, &added).await.status, 200);
    let said = |person: &TestAccount, key: &SecretKey, text: &str| {
        let mut record = person.record(post(text));
        record.head.device = key.id();
        record.sign(key)
    };
    let good = said(&ada, &thief, "before the theft");
    let leaf = one.accept(&good).await.leaf;
    let bad = said(&ada, &thief, "after the theft");
    one.accept(&bad).await;
    let root = ada.root.clone();
    let revoke = ada.key_op(Action::DeviceRevoke { device: thief.id(), last_good: Some(leaf) }, &root);
    assert_eq!(one.submit_key(&ada, &revoke).await.status, 200);
    assert_eq!(one.submit(&said(&ada, &thief, "too late")).await.problem(), "device");
    assert!(!one.view(&good.id()).await.card.disowned);
    assert!(one.view(&bad.id()).await.card.disowned);
}

#[tokio::test]
async fn device_revoked_at_its_home_is_refused_by_a_peer_beyond_last_good() {
    let (one, mut peer) = (Home::start("one").await, Peer::start("peer", 40).await);
    let (ada, mut neo) = (one.person("ada", 1).await, peer.person("neo", 2));
    let (first, second) = (one.says(&ada, post("first")).await, one.says(&ada, post("second")).await);
    let good = peer.log(&neo, &neo.sign(like(ada.object(&first))));
    let bad = peer.log(&neo, &neo.sign(like(ada.object(&second))));
    let last_good = LogPosition { origin: format!("{}/log/1", peer.domain).parse().expect("an origin"), index: good.index };
    let (device, root) = (neo.device.id(), neo.root.clone());
    neo.key_op(Action::DeviceRevoke { device, last_good: Some(last_good) }, &root);
    let delivery = peer.delivery(vec![good, bad], &[&neo]);
    let mut answer: mesh_proto::api::DeliveryAnswer = peer.send(&one, &delivery).await.json();
    assert_eq!(refusal(answer.results.remove(1)), "device");
    assert_eq!(answer.results, [ItemResult::Accepted]);
}

#[tokio::test]
async fn two_device_branches_freeze_an_account_until_root_acts() {
    let (one, mut peer) = (Home::start("one").await, Peer::start("peer", 40).await);
    let (ada, mut neo) = (one.person("ada", 1).await, peer.person("neo", 2));
    let hello = one.says(&ada, post("hello")).await;
    let (genesis, device, root) = (neo.keys.head(), neo.device.clone(), neo.root.clone());
    let stranger = one.post_json("/mesh/v1/keys", &push(&neo)).await;
    assert_eq!(stranger.problem(), "not_found", "nobody here knows the account");
    assert_eq!(peer.deliver(&one, &neo, &neo.sign(like(ada.object(&hello)))).await, ItemResult::Accepted);
    neo.key_op_after(genesis, add(80), &device);
    let branch = neo.keys.head();
    assert_eq!(one.post_json("/mesh/v1/keys", &push(&neo)).await.status, 200);
    neo.key_op_after(genesis, add(81), &device);
    let forked: KeysAdded = one.post_json("/mesh/v1/keys", &push(&neo)).await.json();
    assert_eq!((forked.added, forked.head), (1, genesis));
    assert_eq!(refusal(peer.deliver(&one, &neo, &neo.sign(like(ada.object(&hello)))).await), "account");
    neo.key_op_after(branch, add(82), &root);
    assert_eq!(one.post_json("/mesh/v1/keys", &push(&neo)).await.status, 200);
    assert_eq!(peer.deliver(&one, &neo, &neo.sign(like(ada.object(&hello)))).await, ItemResult::Accepted);
}

#[tokio::test]
async fn root_branch_beats_a_device_branch_and_two_root_branches_are_shown_as_compromised() {
    let one = Home::start("one").await;
    let mut ada = one.person("ada", 1).await;
    let (genesis, device, root) = (ada.keys.head(), ada.device.clone(), ada.root.clone());
    let by_thief = ada.key_op_after(genesis, add(80), &device);
    assert_eq!(one.submit_key(&ada, &by_thief).await.status, 200);
    // A device-signed operation on the old head would freeze the account: at home it is refused.
    let stale = ada.key_op_after(genesis, add(81), &device);
    assert_eq!(one.submit_key(&ada, &stale).await.problem(), "head_moved");
    let by_root = ada.key_op_after(genesis, Action::DeviceRevoke { device: device.id(), last_good: None }, &root);
    let added: KeysAdded = one.submit_key(&ada, &by_root).await.json();
    assert_eq!(added.head, by_root.id());
    let status = async || one.get("/api/v1/accounts/ada").await.json::<AccountView>().status;
    assert_eq!(status().await, Status::Active);
    let second = ada.key_op_after(genesis, add(83), &root);
    assert_eq!(one.submit_key(&ada, &second).await.status, 200);
    assert_eq!(status().await, Status::Compromised);
    assert_eq!(one.submit(&ada.sign(post("anyone?"))).await.problem(), "account");
}

#[tokio::test]
async fn former_root_key_that_signs_beside_the_rotation_is_taken_in_at_home_as_elsewhere() {
    let one = Home::start("one").await;
    let mut ada = one.person("ada", 1).await;
    let (genesis, root, next) = (ada.keys.head(), ada.root.clone(), SecretKey::from_seed(&[88; 32]));
    let rotation = ada.key_op(Action::RootRotate { root: next.id() }, &root);
    assert_eq!(one.submit_key(&ada, &rotation).await.status, 200);
    let stale = ada.key_op_after(genesis, add(81), &ada.device.clone());
    assert_eq!(one.submit_key(&ada, &stale).await.problem(), "head_moved");
    let beside = ada.key_op_after(genesis, add(80), &root);
    assert_eq!(one.submit_key(&ada, &beside).await.status, 200);
    assert_eq!(one.get("/api/v1/accounts/ada").await.json::<AccountView>().status, Status::Compromised);
}

#[tokio::test]
async fn phrase_on_a_new_machine_brings_the_account_back() {
    let one = Home::start("one").await;
    let mut ada = one.person("ada", 1).await;
    let hello = one.says(&ada, post("hello")).await;
    let keys: KeysView = one.get(&format!("/mesh/v1/accounts/{}/keys", ada.id())).await.json();
    let log = KeyLog::from_ops(keys.ops).expect("a good log");
    assert_eq!((log.account(), log.view().root_at(0)), (ada.id(), ada.root.id()));
    assert!(keys.name.is_some());
    let (root, new) = (ada.root.clone(), SecretKey::from_seed(&[90; 32]));
    let added = ada.key_op(Action::DeviceAdd { device: new.id(), name: "new machine".into() }, &root);
    assert_eq!(one.submit_key(&ada, &added).await.status, 200);
    ada.device = new;
    one.says(&ada, post("I am back")).await;
    assert!(one.view(&hello.id()).await.record.is_some());
}

#[tokio::test]
async fn pairing_requests_are_seen_by_the_accounts_own_devices_only() {
    let one = Home::start("one").await;
    let (ada, eve) = (one.person("ada", 1).await, one.person("eve", 2).await);
    let device = SecretKey::from_seed(&[91; 32]).id();
    let asked = one.post_json("/api/v1/accounts/ada/pairings", &PairingRequest { device, name: "tablet".into() }).await;
    assert_eq!(asked.status, 201);
    let list: PairingList = one.get_as(&ada, "/api/v1/accounts/ada/pairings").await.json();
    assert_eq!(list.pairings.iter().map(|pairing| pairing.device).collect::<Vec<_>>(), [device]);
    assert_eq!(one.get_as(&eve, "/api/v1/accounts/ada/pairings").await.problem(), "forbidden");
    assert_eq!(one.get("/api/v1/accounts/ada/pairings").await.problem(), "unauthenticated");
}

#[tokio::test]
async fn names_are_given_once_and_reserved_names_never() {
    let one = Home::start("one").await;
    let ada = one.person("ada", 1).await;
    assert_eq!(one.register(&ada).await.status, 201, "the same genesis again is the same account");
    assert_eq!(one.register(&TestAccount::new(&one.address("ada"), 9)).await.problem(), "name");
    assert_eq!(one.register(&TestAccount::new(&one.address("admin"), 9)).await.problem(), "name");
    assert_eq!(one.register(&TestAccount::new("ada@elsewhere.localhost:1", 9)).await.problem(), "not_home");
    let mut forged = TestAccount::new(&one.address("mallory"), 9);
    forged.keys = KeyLog::from_genesis(LoggedOp { received: 0, ..ada.keys.ops().next().expect("genesis").clone() }).expect("good");
    assert_eq!(one.register(&forged).await.status, 201);
    assert_eq!(one.get("/api/v1/accounts/mallory").await.status, 404);
}

#[tokio::test]
async fn nobody_takes_a_name_here_through_the_back_door() {
    let (one, mut peer) = (Home::start("one").await, Peer::start("peer", 40).await);
    let (mut ada, mut neo) = (one.person("ada", 1).await, peer.person("neo", 2));
    let hello = one.says(&ada, post("hello")).await;
    assert_eq!(peer.deliver(&one, &neo, &neo.sign(like(ada.object(&hello)))).await, ItemResult::Accepted);
    // Someone of another domain, and someone of this one, claim a name of this domain by a key operation alone.
    for person in [&mut neo, &mut ada] {
        let root = person.root.clone();
        person.key_op(Action::HomeMove { address: one.address("president").parse().expect("an address") }, &root);
        let reply = one.post_json("/mesh/v1/keys", &push(person)).await;
        assert_eq!(reply.status, 403, "{}", String::from_utf8_lossy(&reply.body));
    }
    assert_eq!(one.get("/api/v1/accounts/president").await.status, 404);
    let likes: mesh_proto::api::Cards = one.get(&format!("/api/v1/records/{}/references?kind=like", hello.id())).await.json();
    assert_eq!(likes.cards[0].address.to_string(), format!("neo@{}", peer.domain));
}

#[tokio::test]
async fn closed_account_of_another_domain_is_refused_once_its_closure_is_known() {
    let (one, mut peer) = (Home::start("one").await, Peer::start("peer", 40).await);
    let (ada, mut neo) = (one.person("ada", 1).await, peer.person("neo", 2));
    let hello = one.says(&ada, post("hello")).await;
    let before = neo.sign(like(ada.object(&hello)));
    assert_eq!(peer.deliver(&one, &neo, &before).await, ItemResult::Accepted);
    let root = neo.root.clone();
    neo.key_op(Action::AccountClose, &root);
    assert_eq!(one.post_json("/mesh/v1/keys", &push(&neo)).await.status, 200);
    assert_eq!(refusal(peer.deliver(&one, &neo, &neo.sign(like(ada.object(&hello)))).await), "account");
}

#[tokio::test]
async fn closure_beside_another_branch_of_root_compromises_and_erases_nothing() {
    let one = Home::start("one").await;
    let mut ada = one.person("ada", 1).await;
    let hello = one.says(&ada, post("hello")).await;
    let (genesis, root) = (ada.keys.head(), ada.root.clone());
    let added = ada.key_op(add(80), &root);
    assert_eq!(one.submit_key(&ada, &added).await.status, 200);
    let close = ada.key_op_after(genesis, Action::AccountClose, &root);
    assert_eq!(one.submit_key(&ada, &close).await.status, 200);
    let view: AccountView = one.get("/api/v1/accounts/ada").await.json();
    assert_eq!(view.status, Status::Compromised);
    assert!(one.view(&hello.id()).await.record.is_some());
    assert_eq!(one.get("/@ada").await.status, 200);
}

#[tokio::test]
async fn nobody_but_root_closes_an_account() {
    let one = Home::start("one").await;
    let ada = one.person("ada", 1).await;
    let close = NewOp { follows: Some((ada.id(), ada.keys.head())), action: Action::AccountClose, at: 0, salt: Salt([7; 16]) };
    assert_eq!(one.submit_key(&ada, &close.sign(&ada.device)).await.problem(), "forbidden");
    one.says(&ada, post("still here")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn revocation_reaches_other_domains_without_a_record() {
    let (one, two) = (Home::start("one").await, Home::start("two").await);
    let (ada, mut neo) = (one.person("ada", 1).await, two.person("neo", 2).await);
    let hello = one.says(&ada, post("hello")).await;
    two.says(&neo, like(ada.object(&hello))).await;
    one.until_count(&hello.id(), Kind::Like, 1).await;
    let root = neo.root.clone();
    let added = neo.key_op(Action::DeviceAdd { device: SecretKey::from_seed(&[77; 32]).id(), name: "laptop".into() }, &root);
    assert_eq!(two.submit_key(&neo, &added).await.status, 200);
    let revoked = neo.key_op(Action::DeviceRevoke { device: SecretKey::from_seed(&[77; 32]).id(), last_good: None }, &root);
    assert_eq!(two.submit_key(&neo, &revoked).await.status, 200);
    until("the revocation is known elsewhere", async || {
        let known: KeysView = one.get(&format!("/mesh/v1/accounts/{}/keys", neo.id())).await.json();
        known.ops.iter().any(|op| op.envelope == revoked)
    })
    .await;
}

#[tokio::test]
async fn revocation_is_sent_again_to_a_domain_that_took_it_for_a_replay() {
    let (one, mut peer) = (Home::start("one").await, Peer::start("peer", 40).await);
    let (mut ada, neo) = (one.person("ada", 1).await, peer.person("neo", 2));
    let hello = one.says(&ada, post("hello")).await;
    peer.deliver(&one, &neo, &neo.sign(like(ada.object(&hello)))).await;
    one.says(&ada, like(neo.object(&neo.sign(post("something there"))))).await;
    until("the peer has something from there", async || !peer.received().is_empty()).await;
    let (device, root) = (ada.add_device(80), ada.root.clone());
    let added = ada.keys.ops().last().expect("an operation").envelope.clone();
    assert_eq!(one.submit_key(&ada, &added).await.status, 200);
    let revoked = ada.key_op(Action::DeviceRevoke { device: device.id(), last_good: None }, &root);
    assert_eq!(one.submit_key(&ada, &revoked).await.status, 200);
    until("it is refused", async || peer.keys_brought() == 1).await;
    // A sign of life: the lane need not wait for its time.
    let again = peer.delivery_of(&neo, &neo.sign(like(ada.object(&hello))));
    until("it is brought again", async || {
        peer.send(&one, &again).await;
        peer.keys_brought() > 1
    })
    .await;
}
