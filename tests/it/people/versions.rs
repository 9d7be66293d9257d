//! What became of a post: `mesh history`, with the real program against real servers.

use super::{Terminal, uri};
use crate::network::{Home, until};
use mesh_proto::api::Versions;
use mesh_proto::record::{Content, Post};

#[tokio::test(flavor = "multi_thread")]
async fn history_shows_each_version_with_its_proof_and_what_changed() {
    let (one, two) = (Home::start("one").await, Home::start("two").await);
    let (ada, neo) = (Terminal::new(), Terminal::new());
    ada.join(&one.address("ada")).await;
    neo.join(&two.address("neo")).await;
    let post = ada.one(&["post", "the beans are green", "--tag", "garden"]).await;
    ada.one(&["post", "--edit", uri(&post), "the beans are red"]).await;
    ada.one(&["post", "--edit", uri(&post), "the beans are red and ripe", "--title", "Beans"]).await;

    let versions = neo.json(&["history", "--proof", uri(&post)]).await;
    assert_eq!(versions.len(), 3);
    assert_eq!(versions[0]["version"], post["id"]);
    assert!(versions[0].get("changes").is_none() && versions[0]["text"].as_str().expect("words").contains("green"));
    for version in &versions {
        assert_eq!((&version["state"], &version["proof"]["standing"]), (&"good".into(), &"good".into()), "{version}");
        assert_eq!(version["proof"]["version"], version["version"]);
    }
    assert_ne!(versions[1]["version"], versions[2]["version"]);
    // The link to one version leads to it.
    assert!(uri(&versions[1]).contains(versions[1]["version"].as_str().expect("an id")), "{}", versions[1]);

    let (code, words) = neo.run(&["history", uri(&post)]).await;
    assert!(code == 0 && words.contains("version 2 of 3") && words.contains("[-green-]{+red+}"), "{words}");
    assert!(words.contains("{+Beans+}"), "{words}");

    // Its page leads to all versions.
    let page = async |path: &str| String::from_utf8_lossy(&one.get(path).await.body).into_owned();
    let path = format!("/@ada/{}", post["id"].as_str().expect("an id"));
    assert!(page(&path).await.contains(&format!("{path}/history")));
    let all = page(&format!("{path}/history")).await;
    let places: Vec<Option<usize>> = ["beans are green", "beans are red<", "red and ripe"].iter().map(|words| all.find(words)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{all}");
    assert_eq!(one.get(&format!("/@neo/{}/history", post["id"].as_str().expect("an id"))).await.status, 404);

    ada.one(&["undo", uri(&post)]).await;
    assert_eq!(one.get(&format!("{path}/history")).await.status, 307);
    until("two knows of the withdrawal", async || neo.run(&["history", uri(&post)]).await.0 == 3).await;
    let (code, words) = neo.run(&["history", &format!("mesh://{}", one.address("ada"))]).await;
    assert_eq!(code, 2, "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_come_in_pages_and_only_from_a_domain_that_keeps_them() {
    let home = Home::start("one").await;
    let ada = home.person("ada", 1).await;
    let first = home.says(&ada, Content::Post(Post::free("0"))).await;
    for number in 1..=4 {
        home.says(&ada, Content::Post(Post { revises: Some(first.id()), ..Post::free(number.to_string()) })).await;
    }
    let path = format!("/api/v1/records/{}/versions", first.id());
    let (mut after, mut seen) = (String::new(), Vec::new());
    loop {
        let page: Versions = home.get(&format!("{path}?limit=2{after}")).await.json();
        seen.extend(page.versions.iter().map(|version| version.envelope.id()));
        let Some(next) = page.next else { break };
        after = format!("&after={next}");
    }
    assert_eq!((seen.len(), seen[0]), (5, first.id()));
    assert_eq!(seen.iter().collect::<std::collections::BTreeSet<_>>().len(), 5);
    assert_eq!(home.get(&format!("{path}?after=x")).await.problem(), "malformed");
    let unknown = ada.sign(Content::Post(Post::free("never sent"))).id();
    assert_eq!(home.get(&format!("/api/v1/records/{unknown}/versions")).await.status, 404);
    home.says(&ada, crate::federation::retract(&first)).await;
    assert_eq!(home.get(&path).await.problem(), "gone");
}
