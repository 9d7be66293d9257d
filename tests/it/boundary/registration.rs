//! Who may come in: closed, by invite, by work; and one name for one person.

use super::{leaves, refused};
use crate::federation::post;
use crate::network::{Home, Reply};
use futures_util::future::join_all;
use mesh_proto::api::{Admission, NewAccount, Registered, Registration, RegistrationMode};
use mesh_proto::pow::{Challenge, solve_step};
use mesh_server::{config, serve};
use mesh_testkit::TestAccount;

fn application(person: &TestAccount) -> NewAccount {
    let genesis = person.keys.ops().next().expect("a genesis").envelope.clone();
    NewAccount { genesis, admission: Admission::default() }
}

fn invited(person: &TestAccount, invite: Option<String>) -> NewAccount {
    NewAccount { admission: Admission { invite, ..Admission::default() }, ..application(person) }
}

async fn apply(one: &Home, new: &NewAccount) -> Reply {
    one.post_json("/api/v1/accounts", new).await
}

async fn rules(one: &Home) -> Registration {
    one.get("/api/v1/registration").await.json()
}

#[tokio::test]
async fn closed_domain_takes_nobody() {
    let one = Home::start_with("one", |config| config.registration = RegistrationMode::Closed).await;
    assert_eq!(rules(&one).await.mode, RegistrationMode::Closed);
    let ada = TestAccount::new(&one.address("ada"), 1);
    let new = invited(&ada, Some("AAAAAAAAAAAAAAAAAAAA".into()));
    refused(&apply(&one, &new).await, 403, "registration", "closed");
    assert_eq!(leaves(&one).await, 0);
}

/// Makes invites as an operator does: while the server rests.
async fn invites(one: &mut Home, count: usize) -> Vec<String> {
    one.stop().await;
    let folder = config::read(one.folder.path()).expect("a good folder");
    let made = tokio::task::spawn_blocking(move || {
        let node = serve::open(&folder).expect("opens");
        let codes = (0..count).map(|_| node.registrar.invite(node.rng()).expect("an invite").code).collect();
        node.stop().expect("stops");
        codes
    });
    let codes = made.await.expect("made");
    one.start_again().await;
    codes
}

#[tokio::test]
async fn invite_works_once_however_many_try_at_once_and_others_do_not_suffer() {
    let mut one = Home::start_with("one", |config| config.registration = RegistrationMode::Invite).await;
    let codes = invites(&mut one, 2).await;
    let ada = TestAccount::new(&one.address("ada"), 1);
    for (case, invite) in [
        ("none", None),
        ("empty", Some(String::new())),
        ("unknown", Some("A".repeat(20))),
        ("long", Some("A".repeat(100_000))),
        ("NUL", Some("\0".into())),
        ("in upper case", Some(codes[0].to_uppercase() + "x")),
    ] {
        refused(&apply(&one, &invited(&ada, invite)).await, 403, "registration", case);
    }
    let good = invited(&ada, Some(codes[0].clone()));
    assert_eq!(apply(&one, &good).await.status, 201);
    assert_eq!(apply(&one, &good).await.status, 201, "the same genesis again is the same account");

    let crowd: Vec<NewAccount> = (0..20u8)
        .map(|number| invited(&TestAccount::new(&one.address(&format!("user{number}")), 50 + number), Some(codes[1].clone())))
        .collect();
    let before = leaves(&one).await;
    let (came, said) = tokio::join!(
        join_all(crowd.iter().map(|new| apply(&one, new))),
        join_all((0..20).map(|number| {
            let envelope = ada.sign(post(&format!("post {number}")));
            let one = &one;
            async move { one.submit(&envelope).await.status }
        })),
    );
    let (inside, outside): (Vec<Reply>, Vec<Reply>) = came.into_iter().partition(|reply| reply.status == 201);
    assert_eq!(inside.len(), 1);
    for reply in outside {
        refused(&reply, 403, "registration", "used");
    }
    assert_eq!(said, [201; 20]);
    assert_eq!(leaves(&one).await, before + 20 + 2);
}

#[tokio::test]
async fn work_is_done_for_one_account_of_one_domain() {
    let work = |config: &mut config::Config| (config.registration, config.pow_bits) = (RegistrationMode::ProofOfWork, 10);
    let (one, two) = (Home::start_with("one", work).await, Home::start_with("two", work).await);
    let rules = rules(&one).await;
    let (ada, eve) = (TestAccount::new(&one.address("ada"), 1), TestAccount::new(&one.address("eve"), 2));
    let salt = rules.pow_salt.clone().expect("a salt");
    let bits = rules.pow_bits.expect("bits");
    let challenge = Challenge::new(one.domain.parse().expect("a domain"), salt.parse().expect("a salt"), bits, ada.id()).expect("allowed");
    let counter = solve_step(&challenge, 0, 1_000_000).expect("solved");
    let wrong = (0..).find(|counter| challenge.verify(*counter).is_err()).expect("most are");
    let with = |person: &TestAccount, salt: &str, counter: Option<u64>| NewAccount {
        admission: Admission { invite: None, pow_salt: Some(salt.into()), pow_nonce: counter },
        ..application(person)
    };
    for (case, new) in [
        ("no work", application(&ada)),
        ("no counter", with(&ada, &salt, None)),
        ("a wrong counter", with(&ada, &salt, Some(wrong))),
        ("a counter beyond", with(&ada, &salt, Some(u64::MAX))),
        ("a salt of one's own", with(&ada, &"A".repeat(22), Some(counter))),
        ("no salt", with(&ada, "", Some(counter))),
        ("another's work", with(&eve, &salt, Some(counter))),
    ] {
        refused(&apply(&one, &new).await, 403, "registration", case);
    }
    assert_eq!(leaves(&one).await, 0);
    assert_eq!(apply(&one, &with(&ada, &salt, Some(counter))).await.status, 201);
    let elsewhere = with(&TestAccount::new(&two.address("ada"), 1), &salt, Some(counter));
    refused(&apply(&two, &elsewhere).await, 403, "registration", "work for another domain");
}

#[tokio::test]
async fn name_goes_to_exactly_one_of_those_who_want_it_at_once() {
    let one = Home::start("one").await;
    let crowd: Vec<TestAccount> = (1..=20).map(|number| TestAccount::new(&one.address("neo"), number)).collect();
    let replies = join_all(crowd.iter().map(|person| one.register(person))).await;
    let (won, lost): (Vec<&Reply>, Vec<&Reply>) = replies.iter().partition(|reply| reply.status == 201);
    assert_eq!(won.len(), 1);
    for reply in lost {
        refused(reply, 409, "name", "too late");
    }
    let winner = won[0].json::<Registered>().account;
    let shown: mesh_proto::api::AccountView = one.get("/api/v1/accounts/neo").await.json();
    assert_eq!((shown.account, leaves(&one).await), (winner, 2));
}
