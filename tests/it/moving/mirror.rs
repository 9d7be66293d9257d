//! Mirrors: a domain that keeps a copy of what an account says, so that a home which is destroyed loses nobody's posts.

use super::{announce, export, move_op, settle, subscribers};
use crate::federation::{post, retract, subscribe};
use crate::network::{Home, Reply, until};
use crate::peer::Peer;
use crate::people::Terminal;
use mesh_proto::address::Domain;
use mesh_proto::api::{FeedPage, KeysView, MirrorRequest, RecordProof, RecordView, Tombstone};
use mesh_proto::envelope::RecordId;
use mesh_proto::keylog::Action;
use mesh_proto::log::{Checkpoint, entry_hash, verify};
use mesh_proto::record::RetractReason;
use mesh_testkit::TestAccount;

pub(super) fn domain(home: &Home) -> mesh_proto::address::Domain {
    home.domain.parse().expect("a domain")
}

/// Asks `mirror` to keep a copy, and names it in the key log.
pub(super) async fn mirror_at(home: &Home, mirror: &Home, person: &mut TestAccount) {
    let reply = ask(home, mirror, person).await;
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    name_mirrors(home, person, vec![domain(mirror)]).await;
}

async fn ask(home: &Home, mirror: &Home, person: &TestAccount) -> Reply {
    let path = format!("/api/v1/accounts/{}/mirror", person.id());
    mirror.post_as(person, &path, &MirrorRequest { home: domain(home) }).await
}

pub(super) async fn name_mirrors(home: &Home, person: &mut TestAccount, mirrors: Vec<Domain>) {
    let device = person.device.clone();
    let op = person.key_op(Action::MirrorSet { mirrors }, &device);
    assert_eq!(home.submit_key(person, &op).await.status, 200);
}

pub(super) async fn has(home: &Home, id: &RecordId) -> bool {
    let reply = home.get(&format!("/api/v1/records/{id}")).await;
    reply.status == 200 && reply.json::<mesh_proto::api::RecordView>().record.is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn destroyed_home_loses_nobodys_posts() {
    let mut one = Home::start("one").await;
    let two = Home::start_with("two", |config| config.mirrors_max = 1).await;
    // Nothing is kept at three but references.
    let mut three = Home::start_with("three", |config| config.cache_mb = 0).await;
    let four = Home::start("four").await;
    let mut neo = one.person("neo", 1).await;
    let trinity = three.person("trinity", 2).await;
    let old = one.says(&neo, post("before there was a mirror")).await;
    let withdrawn = one.says(&neo, post("regretted")).await;
    three.says(&trinity, subscribe(neo.account_ref())).await;
    until("trinity follows", async || subscribers(&one, &neo).await == 1).await;
    mirror_at(&one, &two, &mut neo).await;
    until("the mirror has what was said before", async || has(&two, &withdrawn.id()).await).await;
    let new = one.says(&neo, post("after it")).await;
    one.says(&neo, retract(&withdrawn)).await;
    for id in [old.id(), new.id()] {
        until("the mirror has it", async || has(&two, &id).await).await;
    }
    until("the mirror forgets what is withdrawn", async || two.view(&withdrawn.id()).await.tombstone.is_some()).await;
    until("three knows the new post", async || three.get(&format!("/api/v1/records/{}", new.id())).await.status == 200).await;
    let keys = format!("/mesh/v1/accounts/{}/keys", neo.id());
    until("three knows the mirror", async || three.get(&keys).await.json::<KeysView>().ops.len() == 2).await;

    one.stop().await;
    let gone = std::mem::replace(&mut one.folder, tempfile::tempdir().expect("a folder"));
    gone.close().expect("the disk is gone");

    // Readers of other domains still have it, from the mirror, with the proof that it was logged when it was.
    assert!(has(&three, &new.id()).await);
    let proof: RecordProof = two.get(&format!("/mesh/v1/records/{}/proof", old.id())).await.json();
    let checkpoint = Checkpoint::unverified(&proof.checkpoint, &proof.record.leaf.origin).expect("a note");
    assert_eq!((checkpoint.origin.domain(), proof.record.envelope.id()), (&domain(&one), old.id()));
    let leaf = (proof.record.leaf.index, entry_hash(&proof.record.opening.entry()));
    assert_eq!(verify(checkpoint.size, &checkpoint.root, &[leaf], &proof.proof), Ok(()));

    // Neo goes on at four, with nothing but the phrase and what the mirror has.
    let luggage = export(&two, &neo).await;
    move_op(&mut neo, "neo", &four);
    settle(&four, &neo, &luggage).await;
    announce(&four, &neo, &luggage).await;
    assert!(has(&four, &old.id()).await && has(&four, &new.id()).await);
    until("the mirror knows where neo went", async || two.view(&new.id()).await.card.address.domain() == &domain(&four)).await;
    // Nobody told three: it asks the mirror, because one does not answer when it is asked for news.
    three.stop().await;
    three.start_again().await;
    until("trinity follows at four", async || subscribers(&four, &neo).await == 1).await;
    let third = four.says(&neo, post("alive")).await;
    until("it is in trinity's feed and at the mirror", async || {
        let page: FeedPage = three.get_as(&trinity, "/api/v1/feed").await.json();
        page.items.iter().any(|item| item.card.id == third.id() && item.record.is_some()) && has(&two, &third.id()).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn domain_that_did_not_agree_keeps_nothing() {
    let (one, two) = (Home::start("one").await, Home::start("two").await);
    let mut neo = one.person("neo", 1).await;
    let (morpheus, oracle) = (one.person("morpheus", 2).await, two.person("oracle", 3).await);
    two.says(&oracle, subscribe(morpheus.account_ref())).await;
    until("oracle follows", async || subscribers(&one, &morpheus).await == 1).await;
    let path = format!("/api/v1/accounts/{}/mirror", neo.id());
    let asked = MirrorRequest { home: domain(&one) };
    assert_eq!(two.post_as(&neo, &path, &asked).await.problem(), "policy");
    assert_eq!(two.post_json(&path, &asked).await.problem(), "unauthenticated");
    let device = neo.device.clone();
    let op = neo.key_op(Action::MirrorSet { mirrors: vec![domain(&two)] }, &device);
    assert_eq!(one.submit_key(&neo, &op).await.status, 200);
    let said = one.says(&neo, post("unwanted")).await;
    let wanted = one.says(&morpheus, post("wanted")).await;
    until("what was said later is there", async || has(&two, &wanted.id()).await).await;
    assert_eq!(two.get(&format!("/api/v1/records/{}", said.id())).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_account_is_erased_at_every_home_that_it_had_and_at_its_mirrors() {
    let mut one = Home::start("one").await;
    let mut two = Home::start_with("two", |config| config.mirrors_max = 1).await;
    let mut four = Home::start("four").await;
    let mut neo = one.person("neo", 1).await;
    let word = "thereisnospoon";
    let old = one.says(&neo, post(word)).await;
    mirror_at(&one, &two, &mut neo).await;
    until("the mirror has it", async || has(&two, &old.id()).await).await;
    let luggage = export(&one, &neo).await;
    let op = move_op(&mut neo, "neo", &four);
    settle(&four, &neo, &luggage).await;
    assert_eq!(one.submit_key(&neo, &op).await.status, 200);
    announce(&four, &neo, &luggage).await;
    let new = four.says(&neo, post(&format!("still {word}"))).await;
    until("the mirror has the new one", async || has(&two, &new.id()).await).await;
    until("the mirror knows the new home", async || two.view(&old.id()).await.card.address.domain() == &domain(&four)).await;
    let root = neo.root.clone();
    let close = neo.key_op(Action::AccountClose, &root);
    assert_eq!(four.submit_key(&neo, &close).await.status, 200);
    for home in [&one, &two, &four] {
        until("nothing is shown", async || !has(home, &old.id()).await && !has(home, &new.id()).await).await;
    }
    for home in [&mut one, &mut two, &mut four] {
        home.stop().await;
        assert_eq!(crate::stored::erasure::found_in_spaces(home.folder.path(), word), Vec::<String>::new(), "{}", home.domain);
    }
}

/// Whether a mirror answers for a record; without a copy it shows what the home has.
async fn keeps(mirror: &Home, id: &RecordId) -> bool {
    mirror.get(&format!("/mesh/v1/records/{id}/proof")).await.status == 200
}

/// The place is free once the mirror has heard of it, and until the copy is gone it asks for patience.
async fn until_agreed(home: &Home, mirror: &Home, person: &mut TestAccount) {
    until("the place is free", async || ask(home, mirror, person).await.status == 200).await;
    name_mirrors(home, person, vec![domain(mirror)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mirror_that_is_named_no_more_or_whose_account_closed_has_its_place_free_and_no_copy() {
    let one = Home::start("one").await;
    let mut two = Home::start_with("two", |config| (config.mirrors_max, config.cache_mb) = (1, 0)).await;
    let (mut neo, mut trinity) = (one.person("neo", 1).await, one.person("trinity", 2).await);
    let mut morpheus = one.person("morpheus", 3).await;
    let word = |person: &TestAccount| format!("thewordsof{}", person.address().user());
    let mut said = Vec::new();
    for person in [&neo, &trinity, &morpheus] {
        said.push(one.says(person, post(&word(person))).await.id());
    }
    mirror_at(&one, &two, &mut neo).await;
    until("the mirror has neo's", async || keeps(&two, &said[0]).await).await;
    assert_eq!(ask(&one, &two, &trinity).await.problem(), "policy", "there is room for one");

    name_mirrors(&one, &mut neo, Vec::new()).await;
    until("neo's copy is gone", async || !keeps(&two, &said[0]).await).await;
    until_agreed(&one, &two, &mut trinity).await;
    until("the mirror has trinity's", async || keeps(&two, &said[1]).await).await;
    assert_eq!(ask(&one, &two, &neo).await.problem(), "policy", "and for one only");

    let root = trinity.root.clone();
    let close = trinity.key_op(Action::AccountClose, &root);
    assert_eq!(one.submit_key(&trinity, &close).await.status, 200);
    crate::stored::erasure::until_withdrawn(&two, &said[1]).await;
    until_agreed(&one, &two, &mut morpheus).await;
    until("the mirror has morpheus's", async || keeps(&two, &said[2]).await).await;

    two.stop().await;
    let found = |person| crate::stored::erasure::found_in_spaces(two.folder.path(), &word(person));
    assert_eq!((found(&neo), found(&trinity)), (Vec::new(), Vec::new()));
    assert_ne!(found(&morpheus), Vec::<String>::new(), "the search finds what is there");
    two.start_again().await;
    // What it knew before it keeps whole once it is asked again.
    name_mirrors(&one, &mut morpheus, Vec::new()).await;
    until_agreed(&one, &two, &mut neo).await;
    until("the mirror has neo's again", async || keeps(&two, &said[0]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mirror_that_lies_is_named_and_the_next_one_is_asked() {
    let mut one = Home::start("one").await;
    let two = Home::start_with("two", |config| config.mirrors_max = 1).await;
    let (liar, mut neo) = (Peer::start("liar", 40).await, one.person("neo", 1).await);
    let said = one.says(&neo, post("there is a spoon")).await;
    mirror_at(&one, &two, &mut neo).await;
    until("the mirror has it", async || has(&two, &said.id()).await).await;
    let liar_domain: Domain = liar.domain.parse().expect("a domain");
    name_mirrors(&one, &mut neo, vec![liar_domain, domain(&two)]).await;
    let (link, reader) = (format!("mesh://{}/{}", neo.address(), said.id()), Terminal::new());
    assert_eq!(reader.one(&["verify", &link]).await["vouched"], "log-domain");

    // It shows the record as it is, with a proof in which a hash is another.
    let path = format!("/mesh/v1/records/{}/proof", said.id());
    until("two proves it", async || two.get(&path).await.status == 200).await;
    let mut proof: RecordProof = two.get(&path).await.json();
    // Its key log lacks the newest operation, as that of a mirror may which is behind.
    let mut keys: KeysView = two.get(&format!("/mesh/v1/accounts/{}/keys", neo.id())).await.json();
    keys.ops.truncate(2);
    let keys = serde_json::to_vec(&keys).expect("json");
    let path = format!("/mesh/v1/accounts/{}/keys", neo.id());
    until("two knows the newest operation", async || two.get(&path).await.json::<KeysView>().ops.len() == 3).await;
    let view = two.get(&format!("/api/v1/records/{}", said.id())).await.body;
    proof.proof.hashes[0] = mesh_proto::bytes::Hash([7; 32]);
    let proof = serde_json::to_vec(&proof).expect("json");
    liar.answers(move |path, _| match path {
        path if path.ends_with("/proof") => (200, proof.clone()),
        path if path.ends_with("/keys") => (200, keys.clone()),
        path if path.starts_with("/api/v1/records/") => (200, view.clone()),
        _ => (404, Vec::new()),
    });
    one.stop().await;
    let verified = reader.one(&["verify", &link]).await;
    assert_eq!((&verified["kept_by"], &verified["lied"]), (&serde_json::json!(two.domain), &serde_json::json!([liar.domain])));
    let (code, words) = reader.run_all(&["verify", &link]).await;
    assert!(code == 0 && words.contains(&format!("LIED      {}", liar.domain)), "{code} {words}");

    // It says that the record was withdrawn: without a signature the next one is asked, and one by somebody else is a lie.
    let smith = TestAccount::new(&neo.address().to_string(), 9);
    let mut view: RecordView = two.view(&said.id()).await;
    view.record = None;
    for (signed, lies) in [(None, serde_json::Value::Null), (Some(smith.sign(retract(&said))), serde_json::json!([liar.domain]))] {
        view.tombstone = Some(Tombstone { id: said.id(), reason: RetractReason::Author, signer: neo.id(), retract: signed.map(Box::new) });
        let (view, keys) = (serde_json::to_vec(&view).expect("json"), two.get(&path).await.body);
        liar.answers(move |path, _| match path {
            path if path.starts_with("/api/v1/records/") => (200, view.clone()),
            path if path.ends_with("/keys") => (200, keys.clone()),
            _ => (404, Vec::new()),
        });
        let verified = reader.one(&["verify", &link]).await;
        assert_eq!((&verified["kept_by"], &verified["lied"]), (&serde_json::json!(two.domain), &lies));
    }
}
