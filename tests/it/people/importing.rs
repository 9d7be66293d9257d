//! Posts of other networks, imported with the real program at a real server.

use super::{Running, Terminal, uri};
use crate::network::Home;
use serde_json::json;

fn fixture(name: &str) -> String {
    format!("{}/../fixtures/import/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// An archive with so many posts: `number 0`, `number 1`, …
pub(super) fn outbox(posts: usize) -> serde_json::Value {
    let actor = "https://social.example/users/ada";
    let note = |n: usize| {
        let content = format!("<p>number {n}</p>");
        let published = format!("2022-12-12T10:{:02}:{:02}Z", n / 60, n % 60);
        let object =
            json!({"type": "Note", "id": format!("{actor}/statuses/{n}"), "published": published, "to": ["as:Public"], "content": content});
        json!({"type": "Create", "actor": actor, "object": object})
    };
    json!({"type": "OrderedCollection", "orderedItems": (0..posts).map(note).collect::<Vec<_>>()})
}

#[tokio::test(flavor = "multi_thread")]
async fn posts_are_imported_once_marked_in_the_signed_record_and_resumed() {
    let one = Home::start("one").await;
    let ada = Terminal::new();
    ada.join(&one.address("ada")).await;
    for (file, count) in [("mastodon-outbox.json", 5), ("bluesky.car", 3), ("nostr.jsonl", 2)] {
        assert_eq!(ada.json(&["--dry-run", "import", &fixture(file)]).await.len(), count, "{file}");
        let done = ada.json(&["import", &fixture(file)]).await;
        assert_eq!(done.len(), count, "{file}");
        let (code, words) = ada.run_all(&["import", &fixture(file)]).await;
        assert!(code == 0 && words.contains("0 posts imported"), "{words}");
        // What was imported proves like anything else, and says where it comes from.
        let proof = ada.one(&["verify", uri(&done[0])]).await;
        assert_eq!(proof["standing"], "good");
        let shown = ada.one(&["show", uri(&done[0])]).await;
        assert_eq!(shown["imported"], done[0]["imported"]);
        let (_, text) = ada.run(&["show", uri(&done[0])]).await;
        assert!(text.contains("its author says: from"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn import_that_was_killed_goes_on_and_says_nothing_twice() {
    const POSTS: usize = 60;
    let one = Home::start("one").await;
    let ada = Terminal::new();
    ada.join(&one.address("ada")).await;
    let file = ada.folder.path().join("outbox.json");
    std::fs::write(&file, outbox(POSTS).to_string()).expect("written");
    let file = file.to_str().expect("plain");
    let mut running = Running::start(&ada, &["import", file]);
    running.until("number 1").await;
    running.child.kill().await.expect("killed");
    let (code, words) = ada.run_all(&["import", file]).await;
    assert!(code == 0 && words.contains("are among your posts already"), "{words}");
    let (_, shown) = ada.run(&["show", &one.address("ada")]).await;
    assert!(shown.contains(&format!("{POSTS} posts")), "{shown}");
    let (code, words) = ada.run_all(&["import", file]).await;
    assert!(code == 0 && words.contains("0 posts imported"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_and_foreign_files_publish_nothing_and_say_where() {
    let one = Home::start("one").await;
    let ada = Terminal::new();
    ada.join(&one.address("ada")).await;
    let broken = ada.folder.path().join("broken.json");
    let bytes = std::fs::read(fixture("mastodon-outbox.json")).expect("a fixture");
    std::fs::write(&broken, &bytes[..bytes.len() / 2]).expect("written");
    let (code, words) = ada.run_all(&["import", broken.to_str().expect("plain")]).await;
    assert!(code == 2 && words.contains("broken at line") && words.contains("nothing was published"), "{words}");
    let (code, words) = ada.run_all(&["import", &fixture("../README.md")]).await;
    assert!(code == 2 && words.contains("no export"), "{words}");
    let (_, feed) = ada.run(&["show", &one.address("ada")]).await;
    assert!(feed.contains("0 posts"), "{feed}");
}
