//! Two domains, one network: people subscribe, post, like and comment across domains.

pub(crate) mod polls;

use crate::network::{Home, until};
use crate::stored::erasure::found_in_spaces;
use mesh_proto::api::{AccountView, Comments, FeedPage, NotificationPage};
use mesh_proto::envelope::{Envelope, Kind};
use mesh_proto::record::{AccountRef, Audience, Comment, Content, Like, ObjectRef, Post, Repost, Retract, RetractReason, Subscribe, Terms};
use mesh_testkit::TestAccount;

pub(crate) fn like(object: ObjectRef) -> Content {
    Content::Like(Like { object })
}

pub(crate) fn subscribe(object: AccountRef) -> Content {
    Content::Subscribe(Subscribe { object })
}

pub(crate) fn comment(root: &ObjectRef, parent: &ObjectRef, text: &str) -> Content {
    Content::Comment(Comment {
        root: root.clone(),
        parent: parent.clone(),
        text: text.into(),
        lang: None,
        terms: Terms::Free,
        revises: None,
    })
}

pub(crate) fn retract(record: &Envelope) -> Content {
    Content::Retract(Retract { object: record.id(), reason: RetractReason::Author })
}

pub(crate) fn post(text: &str) -> Content {
    Content::Post(Post::free(text))
}

/// Waits until the subscription of someone elsewhere is known at the author's home.
pub(crate) async fn until_subscribed(home: &Home, author: &TestAccount, count: u64) {
    until("the subscription arrives", async || {
        let view: AccountView = home.get(&format!("/api/v1/accounts/{}", author.id())).await.json();
        view.counts.get(&Kind::Subscribe).copied().unwrap_or(0) == count
    })
    .await;
}

async fn feed(home: &Home, person: &TestAccount) -> FeedPage {
    home.get_as(person, "/api/v1/feed").await.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn people_act_and_read_across_domains_and_all_is_there_after_a_restart() {
    let (mut one, mut two) = (Home::start("one").await, Home::start("two").await);
    let (ada, neo) = (one.person("ada", 1).await, two.person("neo", 2).await);
    let earlier = one.says(&ada, post("said before anyone followed")).await;
    two.says(&neo, subscribe(ada.account_ref())).await;
    until("what was said before is in neo's feed", async || feed(&two, &neo).await.items.len() == 1).await;
    assert_eq!(feed(&two, &neo).await.items[0].card.id, earlier.id());

    let hello = one.says(&ada, post("hello, network")).await;
    let object = ada.object(&hello);
    until("the post is in neo's feed", async || feed(&two, &neo).await.items.len() == 2).await;
    let item = feed(&two, &neo).await.items.remove(0);
    assert_eq!(item.record.expect("the body came with it").envelope, hello);

    two.says(&neo, like(object.clone())).await;
    let answer = two.says(&neo, comment(&object, &object, "hello, ada")).await;
    one.until_count(&hello.id(), Kind::Like, 1).await;
    one.until_count(&hello.id(), Kind::Comment, 1).await;
    check_thread(&one, &hello, &answer).await;

    let notifications: NotificationPage = one.get_as(&ada, "/api/v1/notifications").await.json();
    let kinds: Vec<Kind> = notifications.notifications.iter().map(|notice| notice.card.kind).collect();
    assert_eq!(kinds, [Kind::Comment, Kind::Like, Kind::Subscribe]);

    one.stop().await;
    two.stop().await;
    one.start_again().await;
    two.start_again().await;
    assert_eq!(one.count(&hello.id(), Kind::Like).await, 1);
    check_thread(&one, &hello, &answer).await;
    assert_eq!(feed(&two, &neo).await.items.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_begins_to_follow_reads_posts_as_they_read_now() {
    let (one, two) = (Home::start("one").await, Home::start("two").await);
    let (ada, neo) = (one.person("ada", 1).await, two.person("neo", 2).await);
    let first = one.says(&ada, post("helo")).await;
    let edit = one.says(&ada, Content::Post(Post { revises: Some(first.id()), ..Post::free("hello") })).await;
    two.says(&neo, subscribe(ada.account_ref())).await;
    until("the edit is in neo's feed", async || {
        let items = feed(&two, &neo).await.items;
        items.len() == 1 && items[0].record.as_ref().is_some_and(|record| record.envelope == edit)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn second_repost_takes_the_place_of_the_first_where_its_author_is_followed() {
    let (one, two) = (Home::start("one").await, Home::start("two").await);
    let (ada, eve, neo) = (one.person("ada", 1).await, one.person("eve", 2).await, two.person("neo", 3).await);
    let hello = one.says(&eve, post("hello")).await;
    two.says(&neo, subscribe(ada.account_ref())).await;
    until_subscribed(&one, &ada, 1).await;
    let repost = || Content::Repost(Repost { object: eve.object(&hello) });
    let shown = async || feed(&two, &neo).await.items.into_iter().map(|item| item.card.id).collect::<Vec<_>>();
    one.says(&ada, repost()).await;
    until("the first repost arrives", async || shown().await.len() == 1).await;
    let second = one.says(&ada, repost()).await;
    until("the second takes its place", async || shown().await == [second.id()]).await;
    one.says(&ada, retract(&second)).await;
    until("none is left", async || shown().await.is_empty()).await;
    let third = one.says(&ada, repost()).await;
    until("a new one is a new one", async || shown().await == [third.id()]).await;
    assert!(two.view(&second.id()).await.tombstone.is_some(), "withdrawn stays withdrawn");
}

async fn check_thread(one: &Home, post: &Envelope, answer: &Envelope) {
    let thread: Comments = one.get(&format!("/api/v1/records/{}/comments", post.id())).await.json();
    let [comment] = thread.comments.as_slice() else { panic!("one comment: {thread:?}") };
    assert_eq!(comment.card.parent, Some(post.id()));
    assert_eq!(comment.record.as_ref().expect("its body").envelope, *answer);
}

#[tokio::test(flavor = "multi_thread")]
async fn second_like_counts_once_and_undo_takes_it_back() {
    let (one, two) = (Home::start("one").await, Home::start("two").await);
    let (ada, neo) = (one.person("ada", 1).await, two.person("neo", 2).await);
    let hello = one.says(&ada, post("hello")).await;
    let first = two.says(&neo, like(ada.object(&hello))).await;
    let second = two.says(&neo, like(ada.object(&hello))).await;
    let marker = two.says(&neo, comment(&ada.object(&hello), &ada.object(&hello), "after both")).await;
    one.until_count(&hello.id(), Kind::Comment, 1).await;
    assert_eq!(one.count(&hello.id(), Kind::Like).await, 1);
    // The first like was overtaken: withdrawing it changes nothing.
    two.says(&neo, retract(&first)).await;
    two.says(&neo, retract(&marker)).await;
    one.until_count(&hello.id(), Kind::Comment, 0).await;
    assert_eq!(one.count(&hello.id(), Kind::Like).await, 1);
    two.says(&neo, retract(&second)).await;
    one.until_count(&hello.id(), Kind::Like, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn edit_is_current_everywhere_and_only_its_author_edits() {
    let (one, two) = (Home::start("one").await, Home::start("two").await);
    let (ada, eve, neo) = (one.person("ada", 1).await, one.person("eve", 2).await, two.person("neo", 3).await);
    two.says(&neo, subscribe(ada.account_ref())).await;
    until_subscribed(&one, &ada, 1).await;
    let first = one.says(&ada, post("helo")).await;
    let edit = |text: &str| Content::Post(Post { revises: Some(first.id()), ..Post::free(text) });
    let refused = one.submit(&eve.sign(edit("hijacked"))).await;
    assert_eq!(refused.problem(), "forbidden");
    let second = one.says(&ada, edit("hello")).await;
    let current = one.view(&second.id()).await;
    assert_eq!((current.card.id, current.record.expect("a body").envelope), (first.id(), second.clone()));
    until("the edit is in neo's feed", async || {
        let items = feed(&two, &neo).await.items;
        items.len() == 1 && items[0].record.as_ref().is_some_and(|record| record.envelope == second)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn withdrawn_post_leaves_a_tombstone_and_no_text_in_any_key_space() {
    let (mut one, mut two) = (Home::start("one").await, Home::start("two").await);
    let (ada, neo) = (one.person("ada", 1).await, two.person("neo", 2).await);
    two.says(&neo, subscribe(ada.account_ref())).await;
    until_subscribed(&one, &ada, 1).await;
    let hello = one.says(&ada, post("regretted words")).await;
    until("the post arrives", async || feed(&two, &neo).await.items.len() == 1).await;
    one.says(&ada, retract(&hello)).await;
    until("it leaves neo's feed", async || feed(&two, &neo).await.items.is_empty()).await;
    let view = one.view(&hello.id()).await;
    assert!(view.record.is_none());
    assert_eq!(view.tombstone.expect("a tombstone").signer, ada.id());
    for home in [&mut one, &mut two] {
        home.stop().await;
        assert_eq!(found_in_spaces(home.folder.path(), "regretted words"), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn authors_policy_governs_every_depth() {
    let one = Home::start("one").await;
    let (ada, eve) = (one.person("ada", 1).await, one.person("eve", 2).await);
    let mut quiet = Post::free("only for those who follow");
    quiet.interaction.comment = Audience::Subscribers;
    quiet.interaction.like = Audience::Nobody;
    let quiet = one.says(&ada, Content::Post(quiet)).await;
    let object = ada.object(&quiet);
    assert_eq!(one.submit(&eve.sign(like(object.clone()))).await.problem(), "policy");
    assert_eq!(one.submit(&eve.sign(comment(&object, &object, "may I?"))).await.problem(), "policy");
    one.says(&eve, subscribe(ada.account_ref())).await;
    let first = one.says(&eve, comment(&object, &object, "now I may")).await;
    let answer = one.says(&ada, comment(&object, &eve.object(&first), "you may")).await;
    let answers: Comments = one.get(&format!("/api/v1/records/{}/comments", first.id())).await.json();
    assert_eq!(answers.comments.iter().map(|comment| comment.card.id).collect::<Vec<_>>(), [answer.id()]);
    assert_eq!(one.count(&quiet.id(), Kind::Comment).await, 2);
    assert_eq!(one.count(&first.id(), Kind::Comment).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn withdrawal_and_edit_reach_those_who_no_longer_subscribe() {
    let (one, two) = (Home::start("one").await, Home::start("two").await);
    let (ada, neo) = (one.person("ada", 1).await, two.person("neo", 2).await);
    let subscription = two.says(&neo, subscribe(ada.account_ref())).await;
    until_subscribed(&one, &ada, 1).await;
    let (regretted, improved) = (one.says(&ada, post("regretted")).await, one.says(&ada, post("to be improved")).await);
    until("both posts arrive", async || feed(&two, &neo).await.items.len() == 2).await;
    two.says(&neo, retract(&subscription)).await;
    until_subscribed(&one, &ada, 0).await;
    one.says(&ada, retract(&regretted)).await;
    let mut edit = Post::free("improved");
    edit.revises = Some(improved.id());
    let edit = one.says(&ada, Content::Post(edit)).await;
    until("the withdrawal arrives", async || two.view(&regretted.id()).await.tombstone.is_some()).await;
    until("the edit arrives", async || two.view(&improved.id()).await.record.is_some_and(|record| record.envelope == edit)).await;
}
