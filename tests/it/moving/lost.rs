//! Twelve domains, of which one is destroyed with its disk.

use super::mirror::{domain, has, mirror_at};
use super::{announce, export, feed_has, move_op, settle, subscribers};
use crate::federation::{comment, like, post, subscribe};
use crate::network::{Home, until};
use mesh_proto::api::{KeysView, RecordView};
use mesh_proto::envelope::{Envelope, Kind};
use mesh_proto::keylog::KeyLog;
use mesh_testkit::TestAccount;

/// Someone of the lost domain, with what they said, who follows them, and where they are next.
struct Lost {
    person: TestAccount,
    said: Vec<Envelope>,
    followers: Vec<(usize, TestAccount)>,
    mirror: usize,
    next: usize,
}

const PEOPLE: usize = 3;

async fn twelve() -> Vec<Home> {
    let mut homes = Vec::new();
    for number in 0..12 {
        homes.push(Home::start_with(&format!("d{number}"), |config| (config.mirrors_max, config.cache_mb) = (10, 0)).await);
    }
    homes
}

/// Three people of the first domain. Each has a mirror, says two things, and is followed and answered from two other domains.
async fn people(homes: &[Home]) -> Vec<Lost> {
    let mut lost = Vec::new();
    for number in 0..PEOPLE {
        let mut person = homes[0].person(&format!("person{number}"), number as u8 + 1).await;
        let mirror = number + 1;
        mirror_at(&homes[0], &homes[mirror], &mut person).await;
        let mut followers = Vec::new();
        for at in [7 + number, 8 + number] {
            let follower = homes[at].person(&format!("follower{number}"), (10 + 2 * number + at) as u8).await;
            homes[at].says(&follower, subscribe(person.account_ref())).await;
            followers.push((at, follower));
        }
        until("both follow", async || subscribers(&homes[0], &person).await == 2).await;
        let mut said = Vec::new();
        for text in ["one thing", "and another"] {
            said.push(homes[0].says(&person, post(text)).await);
        }
        for (at, follower) in &followers {
            let object = person.object(&said[0]);
            homes[*at].says(follower, like(object.clone())).await;
            homes[*at].says(follower, comment(&object, &object, "so it is")).await;
        }
        homes[0].until_count(&said[0].id(), Kind::Comment, 2).await;
        homes[0].until_count(&said[0].id(), Kind::Like, 2).await;
        for envelope in &said {
            until("the mirror has it", async || has(&homes[mirror], &envelope.id()).await).await;
        }
        lost.push(Lost { person, said, followers, mirror, next: number + 4 });
    }
    lost
}

#[tokio::test(flavor = "multi_thread")]
async fn domain_of_twelve_is_destroyed_and_its_people_go_on_elsewhere() {
    let mut homes = twelve().await;
    let mut lost = people(&homes).await;
    // The stranger's domain knows some others, and nothing of the one that is lost or of its people.
    let stranger = homes[11].person("stranger", 90).await;
    for number in 4..7 {
        let friend = homes[number].person("friend", 91 + number as u8).await;
        homes[11].says(&stranger, subscribe(friend.account_ref())).await;
    }
    homes[0].stop().await;
    let gone = std::mem::replace(&mut homes[0].folder, tempfile::tempdir().expect("a folder"));
    gone.close().expect("the disk is gone");
    for Lost { person, mirror, next, .. } in &mut lost {
        let luggage = export(&homes[*mirror], person).await;
        let user = person.address().user().to_string();
        move_op(person, &user, &homes[*next]);
        settle(&homes[*next], person, &luggage).await;
        announce(&homes[*next], person, &luggage).await;
        until("the mirror knows", async || homes[*mirror].view(&luggage_first(&luggage)).await.card.address == person.address()).await;
    }
    // Every domain asks those that it knows for news once an hour, and at its start; for one that does not answer it asks the mirrors of whom it follows.
    for home in &mut homes[7..11] {
        home.stop().await;
        home.start_again().await;
    }
    for Lost { person, said, followers, next, .. } in &lost {
        let home = &homes[*next];
        until("the followers came along", async || subscribers(home, person).await == 2).await;
        home.until_count(&said[0].id(), Kind::Like, 2).await;
        home.until_count(&said[0].id(), Kind::Comment, 2).await;
        let news = home.says(person, post("still here")).await;
        for (at, follower) in followers {
            until("their feeds go on", async || feed_has(&homes[*at], follower, &news.id()).await).await;
            assert!(feed_has(&homes[*at], follower, &said[1].id()).await, "and still hold what was said before");
        }
        // A stranger's reader opens an old link to the lost domain, and verifies what it gets.
        let link = format!("/api/v1/resolve?uri=mesh://{}@{}/{}", person.address().user(), homes[0].domain, said[0].id());
        let reply = homes[11].get(&link).await;
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        let view: RecordView = reply.json();
        let shown = view.record.expect("the record");
        let keys: KeysView = homes[11].get(&format!("/mesh/v1/accounts/{}/keys", person.id())).await.json();
        let keys = KeyLog::from_ops(keys.ops).expect("a key log");
        assert_eq!((keys.account(), keys.view().address()), (person.id(), &person.address()));
        let head = mesh_proto::record::Record::open(&shown.envelope).expect("a record").head;
        let key = keys.check_use(&head.device, &head.keys, Some(&shown.leaf)).expect("its device");
        assert!(shown.envelope.verify(key).is_ok() && shown.envelope == said[0]);
        assert_eq!(shown.leaf.origin.domain(), &domain(&homes[0]), "it lies where it was said");
    }
}

fn luggage_first(luggage: &super::Luggage) -> mesh_proto::envelope::RecordId {
    luggage.parts[0].items[0].envelope.id()
}
