//! Polls: votes from everywhere count once each, and those that do not fit are refused wherever they are handed in.

use super::{like, post, retract};
use crate::moving::{announce, export, move_op, settle};
use crate::network::{Home, now_ms, until};
use crate::peer::{Peer, refusal};
use mesh_proto::api::{Acts, Cards, DeliveryAnswer, DeliveryItem, ItemResult, NotificationPage, RecordView, Tally};
use mesh_proto::envelope::Envelope;
use mesh_proto::key::SecretKey;
use mesh_proto::record::{Choices, Choose, Content, Poll, Post, Vote};
use mesh_testkit::TestAccount;

const HOUR_MS: u64 = 3_600_000;

pub(crate) fn poll(options: &[&str], choose: Choose, ends: u64) -> Poll {
    Poll { options: options.iter().map(|option| (*option).to_owned()).collect(), choose, ends }
}

/// A poll that lasts longer than any test.
pub(crate) fn long_poll(options: &[&str]) -> Poll {
    poll(options, Choose::One, now_ms() + HOUR_MS)
}

/// A post with a poll; it claims to have been made two minutes before the poll ends, or now.
pub(crate) fn asked(person: &TestAccount, poll: &Poll) -> Envelope {
    let mut record = person.record(Content::Post(Post { poll: Some(poll.clone()), ..Post::free("Which?") }));
    record.head.at = now_ms().min(poll.ends - 120_000);
    record.sign(&person.device)
}

pub(crate) fn vote(author: &TestAccount, question: &Envelope, poll: &Poll, places: &[usize]) -> Content {
    let choices = Choices::new(places.iter().copied()).expect("some");
    Content::Vote(Vote { object: author.object(question), poll: poll.hash(), ends: poll.ends, choices })
}

pub(crate) async fn tally(home: &Home, question: &Envelope) -> Option<Tally> {
    let view: RecordView = home.view(&question.id()).await;
    view.poll.expect("it has a poll").tally
}

/// Waits for so many voters and votes for each option.
pub(crate) async fn until_tally(home: &Home, question: &Envelope, voters: u64, votes: &[u64]) {
    let wanted = Some(Tally { voters, votes: votes.to_vec() });
    until(&format!("{voters} voters with {votes:?}"), async || tally(home, question).await == wanted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn votes_from_elsewhere_count_once_are_changed_and_taken_back() {
    let (mut one, two) = (Home::start("one").await, Home::start("two").await);
    let (ada, smith) = (one.person("ada", 1).await, one.person("smith", 2).await);
    let (neo, eve) = (two.person("neo", 3).await, two.person("eve", 4).await);
    let choice = long_poll(&["tea", "coffee", "water"]);
    let question = asked(&ada, &choice);
    one.accept(&question).await;
    until_tally(&one, &question, 0, &[0, 0, 0]).await;
    two.says(&neo, vote(&ada, &question, &choice, &[0])).await;
    two.says(&eve, vote(&ada, &question, &choice, &[1])).await;
    one.says(&smith, vote(&ada, &question, &choice, &[1])).await;
    until_tally(&one, &question, 3, &[1, 2, 0]).await;

    // The same once more is one; another one takes its place.
    let again = neo.sign(vote(&ada, &question, &choice, &[2]));
    two.accept(&again).await;
    two.accept(&again).await;
    until_tally(&one, &question, 3, &[0, 2, 1]).await;
    let acts: Acts = two.get_as(&neo, &format!("/api/v1/acts?kind=vote&object={}", question.id())).await.json();
    assert_eq!(acts.records, [again.id()]);
    let cards: Cards = one.get(&format!("/api/v1/records/{}/references?kind=vote", question.id())).await.json();
    assert_eq!(cards.cards.len(), 3, "{cards:?}");
    let notices: NotificationPage = one.get_as(&ada, "/api/v1/notifications").await.json();
    assert!(notices.notifications.is_empty(), "nobody is told of each vote: {notices:?}");
    let elsewhere: RecordView = two.get(&format!("/api/v1/resolve?uri=mesh://{}/{}", one.address("ada"), question.id())).await.json();
    assert_eq!(elsewhere.poll.and_then(|poll| poll.tally).map(|tally| tally.votes), Some(vec![0, 2, 1]));

    two.says(&neo, retract(&again)).await;
    until_tally(&one, &question, 2, &[0, 2, 0]).await;
    one.stop().await;
    one.start_again().await;
    until_tally(&one, &question, 2, &[0, 2, 0]).await;
    two.says(&neo, vote(&ada, &question, &choice, &[2])).await;
    until_tally(&one, &question, 3, &[0, 2, 1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_choices_count_for_each_option_and_once_as_a_voter() {
    let (one, two) = (Home::start("one").await, Home::start("two").await);
    let (ada, neo) = (one.person("ada", 1).await, two.person("neo", 2).await);
    let choice = poll(&["a", "b", "c", "d", "e", "f", "g", "h"], Choose::Many, now_ms() + HOUR_MS);
    let question = asked(&ada, &choice);
    one.accept(&question).await;
    two.says(&neo, vote(&ada, &question, &choice, &[0, 3, 7])).await;
    until_tally(&one, &question, 1, &[1, 0, 0, 1, 0, 0, 0, 1]).await;
    two.says(&neo, vote(&ada, &question, &choice, &[3, 4])).await;
    until_tally(&one, &question, 1, &[0, 0, 0, 1, 1, 0, 0, 0]).await;
}

/// What is wrong with a vote, and the code of its refusal.
fn bad_votes(ada: &TestAccount, (question, choice): (&Envelope, &Poll), plain: &Envelope) -> Vec<(&'static str, Content, &'static str)> {
    let other = Poll { ends: choice.ends + 1, ..choice.clone() };
    let renamed = Poll { options: vec!["yes".into(), "no".into()], ..choice.clone() };
    let Content::Vote(lied) = vote(ada, question, choice, &[0]) else { panic!("a vote") };
    vec![
        ("an option that there is not", vote(ada, question, choice, &[2]), "object"),
        ("more than one option", vote(ada, question, choice, &[0, 1]), "object"),
        ("another end", vote(ada, question, &other, &[0]), "object"),
        ("other options", vote(ada, question, &renamed, &[0]), "object"),
        ("an end that is not the poll's", Content::Vote(Vote { ends: choice.ends + HOUR_MS, ..lied }), "object"),
        ("a post without a poll", vote(ada, plain, choice, &[0]), "object"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn votes_that_do_not_fit_are_refused_at_home_and_from_elsewhere() {
    let (one, mut peer) = (Home::start("one").await, Peer::start("peer", 40).await);
    let (ada, eve) = (one.person("ada", 1).await, one.person("eve", 2).await);
    let neo = peer.person("neo", 3);
    let choice = long_poll(&["tea", "coffee"]);
    let over = poll(&["tea", "coffee"], Choose::One, now_ms() - 60_000);
    let (question, late) = (asked(&ada, &choice), asked(&ada, &over));
    one.accept(&question).await;
    one.accept(&late).await;
    let plain = one.says(&ada, post("no question")).await;
    for (what, bad, code) in bad_votes(&ada, (&question, &choice), &plain) {
        assert_eq!(one.submit(&eve.sign(bad.clone())).await.problem(), code, "{what}");
        assert_eq!(refusal(peer.deliver(&one, &neo, &neo.sign(bad)).await), code, "{what}, from elsewhere");
    }
    assert_eq!(one.submit(&eve.sign(vote(&ada, &late, &over, &[0]))).await.problem(), "ended");
    assert_eq!(one.submit(&ada.sign(vote(&ada, &question, &choice, &[0]))).await.problem(), "policy", "one's own poll");
    let good = eve.record(vote(&ada, &question, &choice, &[0]));
    let forged = Envelope::sign(good.kind(), good.body(), &SecretKey::from_seed(&[99; 32]));
    assert_eq!(one.submit(&forged).await.problem(), "bad_signature");
    let by_another = Envelope::sign(good.kind(), neo.record(vote(&ada, &question, &choice, &[0])).body(), &SecretKey::from_seed(&[99; 32]));
    assert_eq!(refusal(peer.deliver(&one, &neo, &by_another).await), "bad_signature");
    assert_eq!(tally(&one, &question).await, Some(Tally { voters: 0, votes: vec![0, 0] }));
    assert!(one.view(&late.id()).await.poll.expect("a poll").over);
}

/// The time that counts is the one at which the voter's home logged the vote.
#[tokio::test(flavor = "multi_thread")]
async fn vote_that_was_logged_in_time_counts_however_late_it_comes() {
    let (one, mut peer) = (Home::start("one").await, Peer::start("peer", 40).await);
    let (ada, neo, eve) = (one.person("ada", 1).await, peer.person("neo", 2), peer.person("eve", 3));
    let over = poll(&["tea", "coffee"], Choose::One, now_ms() - 60_000);
    let question = asked(&ada, &over);
    one.accept(&question).await;
    let mut items = Vec::new();
    for (person, received) in [(&neo, over.ends), (&eve, over.ends + 1)] {
        let logged = peer.log.accept_at(person, person.sign(vote(&ada, &question, &over, &[1])), received);
        items.push(DeliveryItem { index: logged.leaf.index, salt: logged.opening.salt, received, envelope: logged.envelope });
    }
    let delivery = peer.delivery(items, &[&neo, &eve]);
    let results = peer.send(&one, &delivery).await.json::<DeliveryAnswer>().results;
    assert_eq!(results[0], ItemResult::Accepted);
    assert_eq!(refusal(results[1].clone()), "ended");
    until_tally(&one, &question, 1, &[0, 1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn edit_keeps_the_poll_and_its_votes() {
    let (one, two) = (Home::start("one").await, Home::start("two").await);
    let (ada, neo) = (one.person("ada", 1).await, two.person("neo", 2).await);
    let choice = long_poll(&["tea", "coffee"]);
    let question = asked(&ada, &choice);
    one.accept(&question).await;
    two.says(&neo, vote(&ada, &question, &choice, &[1])).await;
    until_tally(&one, &question, 1, &[0, 1]).await;
    let edit = |poll: Option<Poll>| ada.sign(Content::Post(Post { poll, revises: Some(question.id()), ..Post::free("Which one?") }));
    let swapped = Poll { options: vec!["coffee".into(), "tea".into()], ..choice.clone() };
    let longer = Poll { ends: choice.ends + HOUR_MS, ..choice.clone() };
    for changed in [None, Some(swapped), Some(longer)] {
        assert_eq!(one.submit(&edit(changed)).await.problem(), "forbidden");
    }
    one.accept(&edit(Some(choice.clone()))).await;
    until_tally(&one, &question, 1, &[0, 1]).await;
    let plain = one.says(&ada, post("no question")).await;
    let grown = Content::Post(Post { poll: Some(choice.clone()), revises: Some(plain.id()), ..Post::free("now a question") });
    assert_eq!(one.submit(&ada.sign(grown)).await.problem(), "forbidden");
    // A vote for what is shown now is one for what was asked.
    two.says(&neo, vote(&ada, &question, &choice, &[0])).await;
    until_tally(&one, &question, 1, &[1, 0]).await;
    one.says(&ada, retract(&question)).await;
    assert_eq!(one.submit(&one.person("eve", 3).await.sign(vote(&ada, &question, &choice, &[0]))).await.problem(), "gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn votes_follow_the_author_and_voters_who_move() {
    let (one, two, three) = (Home::start("one").await, Home::start("two").await, Home::start("three").await);
    let (mut ada, smith) = (one.person("ada", 1).await, one.person("smith", 2).await);
    let (oracle, mut trinity) = (two.person("oracle", 3).await, three.person("trinity", 4).await);
    let choice = long_poll(&["stay", "go"]);
    let question = asked(&ada, &choice);
    one.accept(&question).await;
    let said = |places: &[usize]| vote(&ada, &question, &choice, places);
    for (home, person, place) in [(&one, &smith, 0), (&two, &oracle, 1), (&three, &trinity, 1)] {
        home.says(person, said(&[place])).await;
    }
    until_tally(&one, &question, 3, &[1, 2]).await;
    let luggage = export(&one, &ada).await;
    let op = move_op(&mut ada, "ada", &two);
    settle(&two, &ada, &luggage).await;
    assert_eq!(one.submit_key(&ada, &op).await.status, 200);
    announce(&two, &ada, &luggage).await;
    until_tally(&two, &question, 3, &[1, 2]).await;
    assert_eq!(tally(&one, &question).await, None, "only the home counts all");

    // Trinity moves to where the poll is now, and takes the vote back there.
    let before: Acts = three.get_as(&trinity, &format!("/api/v1/acts?kind=vote&object={}", question.id())).await.json();
    let luggage = export(&three, &trinity).await;
    let op = move_op(&mut trinity, "trinity", &two);
    settle(&two, &trinity, &luggage).await;
    assert_eq!(three.submit_key(&trinity, &op).await.status, 200);
    announce(&two, &trinity, &luggage).await;
    until_tally(&two, &question, 3, &[1, 2]).await;
    let after: Acts = two.get_as(&trinity, &format!("/api/v1/acts?kind=vote&object={}", question.id())).await.json();
    assert_eq!(after, before);
    let undo = mesh_proto::record::Retract { object: after.records[0], reason: mesh_proto::record::RetractReason::Author };
    two.says(&trinity, Content::Retract(undo)).await;
    until_tally(&two, &question, 2, &[1, 1]).await;
    two.says(&trinity, like(ada.object(&question))).await;
}
