//! Drafts: nobody loses words, and nothing is published twice; with the real program against real servers.

use super::{Terminal, uri};
use crate::network::Home;
use serde_json::Value;

/// What somebody has published, newest first.
async fn posts(home: &Home, user: &str) -> Vec<Value> {
    let page: Value = home.get(&format!("/api/v1/accounts/{user}/posts")).await.json();
    page["items"].as_array().expect("items").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn drafts_are_kept_edited_and_published() {
    let home = Home::start("one").await;
    let ada = Terminal::new();
    ada.join(&home.address("ada")).await;
    assert_eq!(ada.one(&["draft", "new", "the beans", "--title", "Garden", "--tag", "beans"]).await["name"], "1");
    ada.one(&["draft", "new", "--name", "peas", "the peas"]).await;
    let (code, words) = ada.run_all(&["draft", "new", "--name", "peas", "other peas"]).await;
    assert!(code == 2 && words.contains("already"), "{words}");
    let (code, words) = ada.run_all(&["draft", "new", ""]).await;
    assert_eq!(code, 2, "{words}");

    // An editor gets the text and gives back what was written, arguments and all.
    let (code, words) = ada.run_with_editor("sed -i s/beans/runner-beans/", &["draft", "edit", "1"]).await;
    assert_eq!(code, 0, "{words}");
    assert_eq!(ada.one(&["draft", "show", "1"]).await["words"]["post"]["post"]["text"], "the runner-beans");
    let (code, words) = ada.run_with_editor("false", &["draft", "edit", "1"]).await;
    assert!(code == 1 && words.contains("nothing was sent"), "{words}");
    let (code, words) = ada.run_with_editor("no-such-editor", &["draft", "edit", "1"]).await;
    assert!(code == 1 && words.contains("EDITOR"), "{words}");
    let (_, shown) = ada.run(&["draft"]).await;
    assert!(shown.contains("runner-beans") && shown.contains("the peas"), "{shown}");

    use std::os::unix::fs::PermissionsExt;
    let file = std::fs::metadata(ada.folder.path().join("home/drafts/1.json")).expect("it is kept");
    assert_eq!(file.permissions().mode() & 0o777, 0o600);

    let (code, words) = ada.run_all(&["--dry-run", "draft", "publish", "1"]).await;
    assert!(code == 0 && words.contains("runner-beans"), "{words}");
    let post = ada.one(&["draft", "publish", "1"]).await;
    let (_, shown) = ada.run(&["show", uri(&post)]).await;
    assert!(shown.contains("runner-beans") && shown.contains("Garden") && shown.contains("#beans"), "{shown}");
    let (code, words) = ada.run_all(&["draft", "publish", "1"]).await;
    assert!(code == 3 && words.contains("there is no draft 1"), "{words}");
    assert_eq!(posts(&home, "ada").await.len(), 1);

    ada.run(&["draft", "new", "--name", "answer", "--answer", uri(&post), "well said"]).await;
    ada.run(&["draft", "new", "--name", "change", "--edit", uri(&post), "the beans after all"]).await;
    ada.one(&["draft", "publish", "answer"]).await;
    ada.one(&["draft", "publish", "change"]).await;
    let (_, thread) = ada.run(&["thread", uri(&post)]).await;
    assert!(thread.contains("well said") && thread.contains("the beans after all"), "{thread}");
    assert_eq!(ada.run_all(&["draft", "delete", "peas"]).await.0, 0);
    assert!(ada.json(&["draft"]).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn words_that_could_not_be_published_are_kept_and_published_once() {
    let mut home = Home::start("one").await;
    let ada = Terminal::new();
    ada.join(&home.address("ada")).await;
    let post = ada.one(&["post", "first"]).await;
    home.stop().await;
    let (code, words) = ada.run_all(&["post", "long thoughts", "--tag", "deep"]).await;
    assert!(code == 5 && words.contains("draft 1") && words.contains("mesh draft publish 1"), "{words}");
    let (code, words) = ada.run_all(&["--json", "comment", uri(&post), "a long answer"]).await;
    assert!(code == 5 && words.contains("mesh draft publish 2"), "{words}");
    // Nothing is kept of a rehearsal, and of nothing.
    ada.run_all(&["--dry-run", "post", "not meant"]).await;
    ada.run_all(&["post", ""]).await;
    assert_eq!(ada.json(&["draft"]).await.len(), 2);
    let (code, words) = ada.run_all(&["draft", "publish", "1"]).await;
    assert!(code == 5 && words.contains("mesh draft publish 1"), "{words}");
    home.start_again().await;
    ada.one(&["draft", "publish", "1"]).await;
    ada.one(&["draft", "publish", "2"]).await;
    assert!(ada.json(&["draft"]).await.is_empty());
    assert_eq!(posts(&home, "ada").await.len(), 2);

    // What the home refuses is kept too, and can be made good.
    let (code, words) = ada.run_all(&["post", &"x".repeat(40_000)]).await;
    assert!(code == 2 && words.contains("kept as draft"), "{words}");
    let name = ada.json(&["draft"]).await[0]["name"].as_str().expect("a name").to_owned();
    assert_eq!(ada.run_all(&["draft", "edit", &name, "shorter"]).await.0, 0);
    ada.one(&["draft", "publish", &name]).await;
    assert_eq!(posts(&home, "ada").await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_that_was_lost_publishes_nothing_twice() {
    let home = Home::start("one").await;
    let ada = Terminal::new();
    ada.join(&home.address("ada")).await;
    ada.one(&["draft", "new", "once"]).await;
    let file = ada.folder.path().join("home/drafts/1.json");
    let first = ada.one(&["draft", "publish", "1"]).await;
    // As it lay on the disk when the program was killed before it had the answer: signed, and not removed.
    let view: Value = home.get(&format!("/api/v1/records/{}", first["id"].as_str().expect("an id"))).await.json();
    let words = serde_json::json!({"post": {"post": {"text": "once", "terms": "free"}}});
    let left = serde_json::json!({"words": words, "kept": 1, "signed": view["record"]["envelope"]});
    std::fs::write(&file, left.to_string()).expect("written");
    let (code, words) = ada.run_all(&["draft", "edit", "1", "twice"]).await;
    assert!(code == 6 && words.contains("may be published already"), "{words}");
    let again = ada.one(&["draft", "publish", "1"]).await;
    assert_eq!(again["id"], first["id"]);
    assert_eq!(posts(&home, "ada").await.len(), 1);
    assert!(!file.exists());

    // Two programs at the same moment.
    ada.one(&["draft", "new", "--name", "both", "only one of us"]).await;
    let arguments = ["--json", "draft", "publish", "both"];
    let (one, two) = tokio::join!(ada.run_all(&arguments), ada.run_all(&arguments));
    let mut codes = [one.0, two.0];
    codes.sort_unstable();
    assert_eq!(codes, [0, 3], "{one:?} {two:?}");
    assert_eq!(posts(&home, "ada").await.len(), 2);
}
