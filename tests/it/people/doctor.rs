//! `mesh doctor`: what is wrong, and what to do about it; with the real program against a real server.

use super::Terminal;
use crate::network::Home;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;

/// What it found about one thing.
async fn finding(terminal: &Terminal, check: &str) -> (i32, Value) {
    let (code, said) = terminal.run(&["--json", "doctor"]).await;
    let found = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find(|finding| finding["check"] == check);
    (code, found.unwrap_or_else(|| panic!("nothing about {check}: {said}")))
}

/// Something must be wrong with one thing, with this in its next step.
async fn expect_bad(terminal: &Terminal, check: &str, next: &str) {
    let (code, found) = finding(terminal, check).await;
    assert_ne!(code, 0);
    assert_eq!(found["ok"], false, "{found}");
    assert!(found["next"].as_str().is_some_and(|words| words.contains(next)), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn healthy_identity_passes_every_check_and_each_trouble_has_a_next_step() {
    let mut home = Home::start("one").await;
    let ada = Terminal::new();
    let (code, words) = ada.run_all(&["doctor"]).await;
    assert!(code == 3 && words.contains("next: mesh init"), "{words}");
    ada.join(&home.address("ada")).await;
    let (code, words) = ada.run_all(&["doctor"]).await;
    assert_eq!(code, 0, "{words}");
    for check in ["identity", "files", "phrase", "disk", "drafts", "home", "protocol", "clock", "key", "key log", "name", "scheduled"] {
        assert!(words.lines().any(|line| line.starts_with("ok") && line.contains(check)), "{check}: {words}");
    }

    let folder = ada.folder.path().join("home");
    let identity = folder.join("identity.json");
    std::fs::set_permissions(&identity, std::fs::Permissions::from_mode(0o644)).expect("set");
    expect_bad(&ada, "files", "chmod -R go=").await;
    std::fs::set_permissions(&identity, std::fs::Permissions::from_mode(0o600)).expect("set");

    std::fs::copy(ada.phrase_file(), folder.join("words")).expect("copied");
    expect_bad(&ada, "phrase", "on paper").await;
    std::fs::remove_file(folder.join("words")).expect("removed");

    std::fs::write(folder.join("private.json"), "{").expect("written");
    expect_bad(&ada, "private", "backup").await;
    std::fs::remove_file(folder.join("private.json")).expect("removed");

    home.stop().await;
    let (code, _) = ada.run_all(&["post", "nobody hears it"]).await;
    assert_eq!(code, 5);
    expect_bad(&ada, "home", "mesh id move").await;
    let (_, found) = finding(&ada, "drafts").await;
    assert_eq!((&found["ok"], &found["detail"]), (&true.into(), &"1 kept".into()));
    home.start_again().await;
    assert_eq!(ada.run(&["doctor"]).await.0, 0);
}
