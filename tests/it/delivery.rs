//! What a domain accepts from another: each refusal over real HTTP.

use crate::federation::{comment, like, post, retract, subscribe};
use crate::network::Home;
use crate::peer::{Peer, refusal};
use mesh_proto::api::{DeliveryAnswer, FeedPage, ItemResult, Problem};
use mesh_proto::envelope::{Envelope, Kind};
use mesh_proto::record::{Audience, Content, Post, Repost};

async fn here_and_peer() -> (Home, Peer) {
    (Home::start("one").await, Peer::start("peer", 40).await)
}

#[tokio::test]
async fn good_delivery_is_accepted_once_and_its_replay_changes_nothing() {
    let (one, mut peer) = here_and_peer().await;
    let (ada, neo) = (one.person("ada", 1).await, peer.person("neo", 2));
    let hello = one.says(&ada, post("hello")).await;
    let item = peer.log(&neo, &neo.sign(like(ada.object(&hello))));
    let delivery = peer.delivery(vec![item], &[&neo]);
    let first: DeliveryAnswer = peer.send(&one, &delivery).await.json();
    assert_eq!(first.results, [ItemResult::Accepted]);
    let again: DeliveryAnswer = peer.send(&one, &delivery).await.json();
    assert_eq!(again.results, [ItemResult::Known]);
    assert_eq!(one.count(&hello.id(), Kind::Like).await, 1);
}

#[tokio::test]
async fn replayed_request_is_refused_whole() {
    let (one, mut peer) = here_and_peer().await;
    let (ada, neo) = (one.person("ada", 1).await, peer.person("neo", 2));
    let hello = one.says(&ada, post("hello")).await;
    let item = peer.log(&neo, &neo.sign(like(ada.object(&hello))));
    let body = serde_json::to_vec(&peer.delivery(vec![item], &[&neo])).expect("json");
    let keyid = format!("{}/{}", peer.domain, peer.key.id());
    let headers = one.sign("POST", "/mesh/v1/deliveries", &body, (&keyid, &peer.key));
    assert_eq!(one.send_signed("POST", "/mesh/v1/deliveries", body.clone(), headers.clone()).await.status, 200);
    let replay = one.send_signed("POST", "/mesh/v1/deliveries", body, headers).await;
    assert_eq!((replay.status, replay.problem()), (401, "unauthenticated".into()));
}

#[tokio::test]
async fn missing_key_operations_are_asked_for_and_nothing_is_stored_until_they_come() {
    let (one, mut peer) = here_and_peer().await;
    let (ada, neo) = (one.person("ada", 1).await, peer.person("neo", 2));
    let hello = one.says(&ada, post("hello")).await;
    let item = peer.log(&neo, &neo.sign(like(ada.object(&hello))));
    let without = peer.delivery(vec![item.clone()], &[]);
    let reply = peer.send(&one, &without).await;
    assert_eq!(reply.status, 409);
    let problem: Problem = reply.json();
    assert_eq!((problem.code(), problem.keys_wanted[0].account), ("keys_wanted", neo.id()));
    assert_eq!(one.count(&hello.id(), Kind::Like).await, 0);
    let with = peer.delivery(vec![item], &[&neo]);
    assert_eq!(peer.send(&one, &with).await.status, 200);
    assert_eq!(one.count(&hello.id(), Kind::Like).await, 1);
}

#[tokio::test]
async fn forged_record_is_refused_and_the_honest_one_beside_it_is_not() {
    let (one, mut peer) = here_and_peer().await;
    let (ada, neo, eve) = (one.person("ada", 1).await, peer.person("neo", 2), peer.person("eve", 3));
    let hello = one.says(&ada, post("hello")).await;
    let honest = neo.sign(like(ada.object(&hello)));
    let wanted = eve.record(like(ada.object(&hello)));
    // Eve's home signs in her name with a key of its own.
    let forged = Envelope::sign(Kind::Like, wanted.body(), &peer.key);
    let items = vec![peer.log(&neo, &honest), peer.log(&eve, &forged)];
    let delivery = peer.delivery(items, &[&neo, &eve]);
    let mut answer: DeliveryAnswer = peer.send(&one, &delivery).await.json();
    assert_eq!(refusal(answer.results.remove(1)), "bad_signature");
    assert_eq!(answer.results, [ItemResult::Accepted]);
    assert_eq!(one.count(&hello.id(), Kind::Like).await, 1);
}

#[tokio::test]
async fn record_from_a_home_that_the_key_log_does_not_name_is_refused() {
    let (one, mut peer) = here_and_peer().await;
    let other = Peer::start("other", 50).await;
    let (ada, neo) = (one.person("ada", 1).await, other.person("neo", 2));
    let hello = one.says(&ada, post("hello")).await;
    let stolen = neo.sign(like(ada.object(&hello)));
    assert_eq!(refusal(peer.deliver(&one, &neo, &stolen).await), "not_home");
    assert_eq!(one.count(&hello.id(), Kind::Like).await, 0);
}

#[tokio::test]
async fn leaf_that_does_not_exist_is_refused() {
    let (one, mut peer) = here_and_peer().await;
    let (ada, neo) = (one.person("ada", 1).await, peer.person("neo", 2));
    let hello = one.says(&ada, post("hello")).await;
    peer.log(&neo, &neo.sign(post("something else")));
    let mut item = peer.log(&neo, &neo.sign(like(ada.object(&hello))));
    let good = peer.delivery(vec![item.clone()], &[&neo]);
    item.salt.0[0] ^= 1;
    let mut bad = peer.delivery(vec![item], &[&neo]);
    assert_eq!(peer.send(&one, &bad).await.problem(), "not_logged");
    bad.items = good.items.clone();
    bad.proof.hashes.push(bad.proof.hashes[0]);
    assert_eq!(peer.send(&one, &bad).await.problem(), "not_logged");
    bad.proof = good.proof.clone();
    bad.items[0].index = 7;
    assert_eq!(peer.send(&one, &bad).await.problem(), "not_logged");
    assert_eq!(one.count(&hello.id(), Kind::Like).await, 0);
    assert_eq!(peer.send(&one, &good).await.status, 200);
}

#[tokio::test]
async fn retract_that_comes_first_keeps_its_record_out() {
    let (one, mut peer) = here_and_peer().await;
    let (ada, neo) = (one.person("ada", 1).await, peer.person("neo", 2));
    let hello = one.says(&ada, post("hello")).await;
    let liked = neo.sign(like(ada.object(&hello)));
    let withdrawn = neo.sign(retract(&liked));
    let (first, second) = (peer.log(&neo, &liked), peer.log(&neo, &withdrawn));
    let late = peer.delivery(vec![first], &[&neo]);
    let early = peer.delivery(vec![second], &[&neo]);
    let answer: DeliveryAnswer = peer.send(&one, &early).await.json();
    assert_eq!(answer.results, [ItemResult::Accepted]);
    let answer: DeliveryAnswer = peer.send(&one, &late).await.json();
    assert_eq!(answer.results, [ItemResult::Accepted]);
    assert_eq!(one.count(&hello.id(), Kind::Like).await, 0);
    let again: DeliveryAnswer = peer.send(&one, &late).await.json();
    assert_eq!(again.results, [ItemResult::Known]);
    assert_eq!(one.count(&hello.id(), Kind::Like).await, 0);
}

#[tokio::test]
async fn strangers_neither_withdraw_nor_edit_nor_override_a_policy() {
    let (one, mut peer) = here_and_peer().await;
    let (ada, neo, eve) = (one.person("ada", 1).await, peer.person("neo", 2), peer.person("eve", 3));
    let mut quiet = Post::free("no likes, please");
    quiet.interaction.like = Audience::Nobody;
    let quiet = one.says(&ada, Content::Post(quiet)).await;
    let object = ada.object(&quiet);
    assert_eq!(refusal(peer.deliver(&one, &neo, &neo.sign(like(object.clone()))).await), "policy");
    assert_eq!(refusal(peer.deliver(&one, &neo, &neo.sign(retract(&quiet))).await), "forbidden");
    let said = neo.sign(comment(&object, &object, "said by neo"));
    assert_eq!(peer.deliver(&one, &neo, &said).await, ItemResult::Accepted);
    let Content::Comment(mut edit) = comment(&object, &object, "said by eve") else { unreachable!("a comment") };
    edit.revises = Some(said.id());
    assert_eq!(refusal(peer.deliver(&one, &eve, &eve.sign(Content::Comment(edit))).await), "forbidden");
    assert_eq!(refusal(peer.deliver(&one, &eve, &eve.sign(retract(&said))).await), "forbidden");
    assert_eq!(one.count(&quiet.id(), Kind::Comment).await, 1);
}

#[tokio::test]
async fn likes_of_what_is_not_here_are_refused() {
    let (one, mut peer) = here_and_peer().await;
    let (ada, neo) = (one.person("ada", 1).await, peer.person("neo", 2));
    let never_said = ada.sign(post("never submitted"));
    assert_eq!(refusal(peer.deliver(&one, &neo, &neo.sign(like(ada.object(&never_said)))).await), "object");
    let mut wrong_author = ada.object(&one.says(&ada, post("hello")).await);
    wrong_author.actor = neo.id();
    assert_eq!(refusal(peer.deliver(&one, &neo, &neo.sign(like(wrong_author))).await), "object");
}

#[tokio::test]
async fn posts_come_only_where_someone_subscribes() {
    let (one, mut peer) = here_and_peer().await;
    let (neo, trinity) = (peer.person("neo", 2), peer.person("trinity", 3));
    let ada = one.person("ada", 1).await;
    assert_eq!(refusal(peer.deliver(&one, &neo, &neo.sign(post("unasked for"))).await), "object");
    one.says(&ada, subscribe(neo.account_ref())).await;
    assert_eq!(peer.deliver(&one, &neo, &neo.sign(post("asked for"))).await, ItemResult::Accepted);
    let shared = trinity.sign(post("shared by neo"));
    let repost = Content::Repost(Repost { object: trinity.object(&shared) });
    assert_eq!(peer.deliver(&one, &neo, &neo.sign(repost)).await, ItemResult::Accepted);
    let feed: FeedPage = one.get_as(&ada, "/api/v1/feed").await.json();
    assert_eq!(feed.items.iter().map(|item| item.card.kind).collect::<Vec<_>>(), [Kind::Repost, Kind::Post]);
}

#[tokio::test]
async fn record_that_is_logged_again_counts_once_and_a_withdrawn_one_stays_withdrawn() {
    let (one, mut peer) = here_and_peer().await;
    let (ada, neo) = (one.person("ada", 1).await, peer.person("neo", 2));
    let hello = one.says(&ada, post("hello")).await;
    let said = neo.sign(comment(&ada.object(&hello), &ada.object(&hello), "again and again"));
    assert_eq!(peer.deliver(&one, &neo, &said).await, ItemResult::Accepted);
    assert_eq!(peer.deliver(&one, &neo, &said).await, ItemResult::Known);
    assert_eq!(one.count(&hello.id(), Kind::Comment).await, 1);
    assert_eq!(peer.deliver(&one, &neo, &neo.sign(retract(&said))).await, ItemResult::Accepted);
    assert_eq!(peer.deliver(&one, &neo, &said).await, ItemResult::Known);
    assert_eq!(one.count(&hello.id(), Kind::Comment).await, 0);
    assert!(one.view(&said.id()).await.tombstone.is_some());
}

#[tokio::test]
async fn only_the_log_that_a_domain_shows_is_taken_in() {
    let (one, mut peer) = here_and_peer().await;
    let (ada, neo) = (one.person("ada", 1).await, peer.person("neo", 2));
    let hello = one.says(&ada, post("hello")).await;
    peer.log = mesh_testkit::TestLog::new(&format!("{}/log/2", peer.domain), 41);
    let item = peer.log(&neo, &neo.sign(like(ada.object(&hello))));
    let mut delivery = peer.delivery(vec![item], &[&neo]);
    delivery.origin = format!("{}/log/2", peer.domain).parse().expect("an origin");
    assert_eq!(peer.send(&one, &delivery).await.problem(), "not_home");
}

#[tokio::test]
async fn like_that_is_logged_again_counts_once_and_a_withdrawn_one_stays_withdrawn() {
    let (one, mut peer) = here_and_peer().await;
    let (ada, neo) = (one.person("ada", 1).await, peer.person("neo", 2));
    let hello = one.says(&ada, post("hello")).await;
    let liked = neo.sign(like(ada.object(&hello)));
    let twice = vec![peer.log(&neo, &liked), peer.log(&neo, &liked)];
    let delivery = peer.delivery(twice, &[&neo]);
    assert_eq!(peer.send(&one, &delivery).await.status, 200);
    assert_eq!(one.count(&hello.id(), Kind::Like).await, 1);
    peer.deliver(&one, &neo, &liked).await;
    assert_eq!(one.count(&hello.id(), Kind::Like).await, 1);
    assert_eq!(peer.deliver(&one, &neo, &neo.sign(retract(&liked))).await, ItemResult::Accepted);
    assert_eq!(one.count(&hello.id(), Kind::Like).await, 0);
    assert_eq!(peer.deliver(&one, &neo, &liked).await, ItemResult::Known);
    assert_eq!(one.count(&hello.id(), Kind::Like).await, 0);
}

#[tokio::test]
async fn statements_of_one_delivery_see_each_other() {
    let (one, mut peer) = here_and_peer().await;
    let (ada, neo, eve) = (one.person("ada", 1).await, peer.person("neo", 2), peer.person("eve", 3));
    let mut quiet = Post::free("only for those who follow");
    quiet.interaction.comment = Audience::Subscribers;
    let quiet = one.says(&ada, Content::Post(quiet)).await;
    let object = ada.object(&quiet);
    let liked = neo.sign(like(object.clone()));
    let question = neo.sign(comment(&object, &object, "what I asked"));
    let Content::Comment(mut better) = comment(&object, &object, "what I meant to ask") else { unreachable!("a comment") };
    better.revises = Some(question.id());
    let regretted = eve.sign(comment(&object, &neo.object(&question), "regretted"));
    let said = [
        (&neo, liked.clone()),
        (&neo, neo.sign(retract(&liked))),
        (&neo, neo.sign(like(object.clone()))),
        (&neo, neo.sign(subscribe(ada.account_ref()))),
        (&eve, eve.sign(subscribe(ada.account_ref()))),
        (&neo, question.clone()),
        (&eve, eve.sign(comment(&object, &neo.object(&question), "answered at once"))),
        (&eve, regretted.clone()),
        (&eve, eve.sign(retract(&regretted))),
        (&neo, neo.sign(Content::Comment(better))),
    ];
    let items = said.iter().map(|(person, envelope)| peer.log(person, envelope)).collect();
    let delivery = peer.delivery(items, &[&neo, &eve]);
    let answer: DeliveryAnswer = peer.send(&one, &delivery).await.json();
    assert_eq!(answer.results, vec![ItemResult::Accepted; said.len()]);
    assert_eq!(one.count(&quiet.id(), Kind::Like).await, 1);
    assert_eq!(one.count(&quiet.id(), Kind::Comment).await, 2);
    assert_eq!(one.count(&question.id(), Kind::Comment).await, 1);
    assert!(one.view(&liked.id()).await.tombstone.is_some());
}
