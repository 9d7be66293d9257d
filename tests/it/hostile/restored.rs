//! A domain whose data folder was put back from a backup: its log is shorter than what others saw of it.

use crate::federation::{like, post, subscribe, until_subscribed};
use crate::network::{Home, until};
use crate::stored::durability::copy;
use mesh_proto::api::{Discovery, FeedPage, RecordProof};
use mesh_proto::envelope::{Kind, RecordId};
use mesh_proto::log::{Checkpoint, Origin, entry_hash, verify};
use mesh_server::{config, serve};
use mesh_testkit::TestAccount;

async fn feed_has(home: &Home, reader: &TestAccount, id: &RecordId) -> bool {
    let page: FeedPage = home.get_as(reader, "/api/v1/feed?limit=100").await.json();
    page.items.iter().any(|item| item.card.id == *id && item.record.is_some())
}

/// What the operator does with `meshd new-log`.
async fn begin_new_log(home: &Home) -> Origin {
    let folder = home.folder.path().to_owned();
    let begun = tokio::task::spawn_blocking(move || serve::begin_new_log(&config::read(&folder).expect("reads")));
    begun.await.expect("no panic").expect("begins")
}

#[tokio::test(flavor = "multi_thread")]
async fn domain_put_back_from_a_backup_begins_a_new_log_and_goes_on() {
    let (mut one, two) = (Home::start("one").await, Home::start("two").await);
    let (ada, bob) = (one.person("ada", 1).await, two.person("bob", 2).await);
    two.says(&bob, subscribe(ada.account_ref())).await;
    until_subscribed(&one, &ada, 1).await;
    let first = one.says(&ada, post("before the backup")).await;
    until("it is in bob's feed", async || feed_has(&two, &bob, &first.id()).await).await;
    one.stop().await;
    let backup = tempfile::tempdir().expect("a folder");
    copy(one.folder.path(), backup.path());
    one.start_again().await;
    for number in 0..3 {
        let lost = one.says(&ada, post(&format!("lost {number}"))).await;
        until("it is in bob's feed", async || feed_has(&two, &bob, &lost.id()).await).await;
    }
    // The disk dies; the operator puts the backup back. Somebody posts before anybody notices.
    one.stop().await;
    std::fs::remove_dir_all(one.folder.path().join("store")).expect("gone");
    copy(&backup.path().join("store"), &one.folder.path().join("store"));
    one.start_again().await;
    let unheard = one.says(&ada, post("to nobody")).await;
    one.stop().await;
    let origin = begin_new_log(&one).await;
    assert_eq!(origin.number(), 2);
    one.start_again().await;
    let discovery: Discovery = one.get("/.well-known/mesh").await.json();
    assert_eq!(discovery.origin, origin);

    // The new log begins with the old one's last checkpoint, and the old one stays where it was.
    let old = String::from_utf8(one.get("/log/1/checkpoint").await.body).expect("a note");
    let entries = one.get("/log/2/tile/entries/000.p/1").await.body;
    assert_eq!(entries[2..], mesh_node::log::first_entry(&old).0);
    for id in [first.id(), unheard.id()] {
        let proof: RecordProof = one.get(&format!("/mesh/v1/records/{id}/proof")).await.json();
        assert_eq!(proof.record.leaf.origin.number(), 1);
        let checkpoint = Checkpoint::unverified(&proof.checkpoint, &proof.record.leaf.origin).expect("a note");
        let leaf = (proof.record.leaf.index, entry_hash(&proof.record.opening.entry()));
        assert_eq!(verify(checkpoint.size, &checkpoint.root, &[leaf], &proof.proof), Ok(()));
    }
    // What is said from now on goes both ways, in the new log.
    let second = one.says(&ada, post("after the restore")).await;
    until("it is in bob's feed", async || feed_has(&two, &bob, &second.id()).await).await;
    assert_eq!(two.view(&second.id()).await.card.leaf.origin, origin);
    two.says(&bob, like(ada.object(&second))).await;
    two.says(&bob, like(ada.object(&first))).await;
    one.until_count(&second.id(), Kind::Like, 1).await;
    one.until_count(&first.id(), Kind::Like, 1).await;
    // Once more: a third log, after an ordinary restart in between.
    one.stop().await;
    one.start_again().await;
    one.says(&ada, post("and on")).await;
    one.stop().await;
    assert_eq!(begin_new_log(&one).await.number(), 3);
    one.start_again().await;
    let third = one.says(&ada, post("in the third log")).await;
    until("it is in bob's feed", async || feed_has(&two, &bob, &third.id()).await).await;
}
