//! Many at once: what must happen once happens once.

use super::leaves;
use crate::federation::{like, post, retract, subscribe};
use crate::network::{Home, until};
use crate::peer::Peer;
use futures_util::future::join_all;
use mesh_proto::api::{Accepted, FeedPage, KeysPush};
use mesh_proto::envelope::Kind;
use mesh_testkit::TestAccount;

#[tokio::test]
async fn record_that_comes_many_times_at_once_gets_one_leaf() {
    let one = Home::start("one").await;
    let ada = one.person("ada", 1).await;
    let before = leaves(&one).await;
    let hello = ada.sign(post("hello"));
    let replies = join_all((0..50).map(|_| one.submit(&hello))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 201).count(), 1);
    let leaf = replies[0].json::<Accepted>().leaf;
    assert!(replies.iter().all(|reply| reply.status <= 201 && reply.json::<Accepted>().leaf == leaf));
    assert_eq!(leaves(&one).await, before + 1);
}

#[tokio::test]
async fn likes_of_one_person_at_once_count_once() {
    let one = Home::start("one").await;
    let (ada, eve) = (one.person("ada", 1).await, one.person("eve", 2).await);
    let hello = one.says(&ada, post("hello")).await;
    let likes: Vec<_> = (0..20).map(|_| eve.sign(like(ada.object(&hello)))).collect();
    for reply in join_all(likes.iter().map(|like| one.submit(like))).await {
        assert_eq!(reply.status, 201);
    }
    assert_eq!(one.count(&hello.id(), Kind::Like).await, 1);
}

#[tokio::test]
async fn retract_that_races_its_like_wins_in_every_order() {
    let (one, mut peer) = (Home::start("one").await, Peer::start("peer", 40).await);
    let (ada, neo) = (one.person("ada", 1).await, peer.person("neo", 2));
    for round in 0..10 {
        let hello = one.says(&ada, post(&format!("post {round}"))).await;
        let liked = neo.sign(like(ada.object(&hello)));
        let (first, second) = (peer.log(&neo, &liked), peer.log(&neo, &neo.sign(retract(&liked))));
        let (likes, retracts) = (peer.delivery(vec![first], &[&neo]), peer.delivery(vec![second], &[&neo]));
        let (like_sent, retract_sent) = tokio::join!(peer.send(&one, &likes), peer.send(&one, &retracts));
        assert_eq!((like_sent.status, retract_sent.status), (200, 200));
        assert_eq!(one.count(&hello.id(), Kind::Like).await, 0, "round {round}");
    }
}

#[tokio::test]
async fn undo_that_races_a_second_like_leaves_one_or_none() {
    let one = Home::start("one").await;
    let (ada, eve) = (one.person("ada", 1).await, one.person("eve", 2).await);
    for round in 0..10 {
        let hello = one.says(&ada, post(&format!("post {round}"))).await;
        let first = one.says(&eve, like(ada.object(&hello))).await;
        let (undo, again) = (eve.sign(retract(&first)), eve.sign(like(ada.object(&hello))));
        let (undone, liked) = tokio::join!(one.submit(&undo), one.submit(&again));
        assert_eq!((undone.status, liked.status), (201, 201));
        assert_eq!(one.count(&hello.id(), Kind::Like).await, 1, "round {round}: the second like stands");
        one.says(&eve, retract(&again)).await;
        assert_eq!(one.count(&hello.id(), Kind::Like).await, 0, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn same_account_from_two_sides_at_once_spoils_nobody_elses_writes() {
    let one = Home::start("one").await;
    let ada = one.person("ada", 1).await;
    for number in 0..20u8 {
        let new = TestAccount::new(&one.address(&format!("user{number}")), 50 + number);
        let push = KeysPush { account: new.id(), ops: new.keys.ops().cloned().collect() };
        let said = ada.sign(post(&format!("post {number}")));
        let (pushed, _, said) = tokio::join!(one.post_json("/mesh/v1/keys", &push), one.register(&new), one.submit(&said));
        assert!(pushed.status < 500, "{}", String::from_utf8_lossy(&pushed.body));
        assert_eq!(said.status, 201, "{}", String::from_utf8_lossy(&said.body));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn posts_said_while_a_subscription_is_under_way_all_arrive() {
    let (one, two) = (Home::start("one").await, Home::start("two").await);
    let neo = two.person("neo", 1).await;
    for number in 0..20u8 {
        let author = one.person(&format!("author{number}"), 50 + number).await;
        two.says(&neo, subscribe(author.account_ref())).await;
        for post_number in 0..10 {
            one.says(&author, post(&format!("post {post_number}"))).await;
        }
        until("all ten posts arrive", async || {
            let page: FeedPage = two.get(&format!("/api/v1/accounts/{}/posts", author.id())).await.json();
            page.items.len() == 10
        })
        .await;
    }
}
