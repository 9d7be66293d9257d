//! What people keep to themselves: mutes, lists, bookmarks; with the real program against real servers.

use super::{Terminal, uri};
use crate::network::{Home, until};

#[tokio::test(flavor = "multi_thread")]
async fn mutes_hide_people_words_and_domains_and_lists_show_only_their_people() {
    let (one, two) = (Home::start("one").await, Home::start("two").await);
    let (ada, eve, neo) = (Terminal::new(), Terminal::new(), Terminal::new());
    ada.join(&one.address("ada")).await;
    eve.join(&one.address("eve")).await;
    neo.join(&two.address("neo")).await;
    for name in ["ada", "eve"] {
        neo.one(&["subscribe", &one.address(name)]).await;
    }
    let beans = ada.one(&["post", "Beans are up"]).await;
    eve.one(&["post", "a spoiler: they are eaten"]).await;
    eve.one(&["comment", uri(&beans), "not by me"]).await;
    let feed = async |more: &[&str]| neo.run_all(&[&["feed"], more].concat()).await.1;
    until("both in the feed", async || {
        let feed = feed(&[]).await;
        feed.contains("Beans") && feed.contains("spoiler")
    })
    .await;

    neo.run(&["mute", "--word", "Spoiler"]).await;
    let shown = feed(&[]).await;
    assert!(shown.contains("Beans") && !shown.contains("eaten") && shown.contains("hidden by your mutes: 1"), "{shown}");
    neo.run(&["mute", "--word", "spoiler", "--remove"]).await;
    assert!(feed(&[]).await.contains("eaten"));
    let (code, words) = neo.run_all(&["mute", "--word", "spoiler", "--remove"]).await;
    assert_eq!(code, 3, "{words}");

    neo.run(&["mute", &one.address("eve")]).await;
    assert!(!feed(&[]).await.contains("eaten"));
    let (_, thread) = neo.run_all(&["thread", uri(&beans)]).await;
    assert!(thread.contains("Beans") && !thread.contains("not by me"), "{thread}");
    assert_eq!(neo.one(&["mute"]).await["people"].as_object().map(serde_json::Map::len), Some(1));
    neo.run(&["mute", "--remove", &one.address("eve")]).await;
    neo.run(&["mute", "--domain", &one.domain]).await;
    assert!(!feed(&[]).await.contains("Beans"));
    neo.run(&["mute", "--domain", &one.domain, "--remove"]).await;

    neo.run(&["list", "garden", &one.address("ada")]).await;
    let shown = feed(&["--list", "garden"]).await;
    assert!(shown.contains("Beans") && !shown.contains("eaten"), "{shown}");
    let (code, words) = neo.run_all(&["feed", "--list", "sport"]).await;
    assert!(code == 3 && words.contains("there is no list sport"), "{words}");
    assert_eq!(neo.json(&["list", "garden"]).await.len(), 1);

    neo.run(&["bookmark", uri(&beans)]).await;
    assert_eq!(neo.one(&["bookmark"]).await["uri"], beans["uri"]);
    neo.run(&["bookmark", uri(&beans), "--remove"]).await;
    assert_eq!(neo.json(&["bookmark"]).await.len(), 0);
    // Only the owner can read it.
    use std::os::unix::fs::PermissionsExt;
    let file = std::fs::metadata(neo.folder.path().join("home/private.json")).expect("it is kept");
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
}
