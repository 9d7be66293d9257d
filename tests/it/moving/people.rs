//! People move with the real `mesh` program: with their old home, without it, and through every mishap on the way.

use super::gate::{Gate, Shut};
use crate::network::{Home, until};
use crate::people::{Terminal, uri};
use mesh_proto::api::RegistrationMode;
use mesh_proto::envelope::{Kind, RecordId};
use serde_json::Value;
use std::fs;

fn id(value: &Value) -> RecordId {
    value["id"].as_str().expect("an id").parse().expect("a record id")
}

/// Destroys a home: its server and its disk.
async fn destroy(home: &mut Home) {
    home.stop().await;
    let gone = std::mem::replace(&mut home.folder, tempfile::tempdir().expect("a folder"));
    gone.close().expect("the disk is gone");
}

async fn move_to(terminal: &Terminal, address: &str, more: &[&str]) -> Value {
    let phrase = terminal.phrase_file();
    let arguments = [&["id", "move", address, "--phrase-file", &phrase], more].concat();
    terminal.one(&arguments).await
}

/// What the identity file says.
fn identity(terminal: &Terminal) -> Value {
    let text = fs::read(terminal.folder.path().join("home/identity.json")).expect("an identity");
    serde_json::from_slice(&text).expect("JSON")
}

async fn until_in_feed(terminal: &Terminal, words: &str) {
    until(words, async || terminal.run_all(&["feed"]).await.1.contains(words)).await;
}

/// Waits until a mirror keeps a record and proves it.
async fn until_kept(mirror: &Home, record: &Value) {
    let path = format!("/mesh/v1/records/{}/proof", id(record));
    until("the mirror keeps it", async || mirror.get(&path).await.status == 200).await;
}

/// Number of key operations in the log.
async fn operations(terminal: &Terminal, address: &str) -> u64 {
    terminal.one(&["verify", address]).await["operations"].as_u64().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn person_moves_with_the_old_home_and_everything_goes_on() {
    let (one, two) = (Home::start("one").await, Home::start("two").await);
    let (neo, tablet, ada) = (Terminal::new(), Terminal::new(), Terminal::new());
    neo.join(&one.address("neo")).await;
    ada.join(&one.address("ada")).await;
    tablet.one(&["init", "--recover", "--address", &one.address("neo"), "--phrase-file", &neo.phrase_file(), "--yes"]).await;
    let first = neo.one(&["post", "the first words"]).await;
    ada.one(&["subscribe", &one.address("neo")]).await;
    neo.one(&["subscribe", &one.address("ada")]).await;
    ada.one(&["like", uri(&first)]).await;
    one.until_count(&id(&first), Kind::Like, 1).await;

    let new = two.address("neo");
    let (code, words) = neo.run_all(&["id", "move", &new, "--dry-run"]).await;
    assert!(code == 0 && words.contains("home.move") && words.contains("/api/v1/arrivals"), "{words}");
    assert_eq!(identity(&neo)["stage"], "active");
    let moved = move_to(&neo, &new, &[]).await;
    assert_eq!((moved["address"].as_str(), moved["refused"].as_array().map(Vec::len)), (Some(new.as_str()), Some(0)), "{moved}");
    assert_eq!(moved["left"][0]["told"], true);
    assert_eq!(identity(&neo)["stage"], "active");
    assert!(!neo.folder.path().join("home/moving.jsonl").exists());
    two.until_count(&id(&first), Kind::Like, 1).await;

    // Both ways, on both sides, from now on.
    neo.one(&["post", "words from two"]).await;
    until_in_feed(&ada, "words from two").await;
    ada.one(&["post", "words of ada"]).await;
    until_in_feed(&neo, "words of ada").await;
    let shown = neo.one(&["id", "show"]).await;
    assert_eq!(shown["homes"], serde_json::json!([one.domain, two.domain]));
    assert_eq!(shown["address"], new);
    // The old link is still the same record, and so is its proof.
    let proof = ada.one(&["verify", uri(&first)]).await;
    assert_eq!(
        (proof["standing"].as_str(), proof["vouched"].as_str(), proof["address"].as_str()),
        (Some("good"), Some("log-domain"), Some(new.as_str()))
    );
    // Another device learns where it lives now.
    let (code, words) = tablet.run_all(&["post", "lost"]).await;
    assert!(code == 6 && words.contains("mesh id show"), "{code} {words}");
    tablet.one(&["id", "show"]).await;
    tablet.one(&["post", "found"]).await;
    until_in_feed(&ada, "found").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn person_moves_from_a_saved_export_when_the_home_is_destroyed() {
    let (mut one, two) = (Home::start("one").await, Home::start("two").await);
    let (neo, eve, trinity) = (Terminal::new(), Terminal::new(), Terminal::new());
    let three = Home::start("three").await;
    neo.join(&one.address("neo")).await;
    eve.join(&one.address("eve")).await;
    trinity.join(&three.address("trinity")).await;
    trinity.one(&["subscribe", &one.address("neo")]).await;
    let first = neo.one(&["post", "before the fire"]).await;
    trinity.one(&["verify", uri(&first)]).await;
    until_in_feed(&trinity, "before the fire").await;
    let file = neo.folder.path().join("neo.jsonl").to_str().expect("plain").to_owned();
    let saved = neo.one(&["export", &file]).await;
    assert_eq!((saved["summary"]["records"].as_u64(), saved["summary"]["unvouched"].as_u64()), (Some(1), Some(0)), "{saved}");
    let of_eve = eve.folder.path().join("eve.jsonl").to_str().expect("plain").to_owned();
    eve.one(&["export", &of_eve]).await;
    let (code, lines) = neo.run(&["export", "-"]).await;
    assert_eq!((code, lines.lines().count()), (0, fs::read_to_string(&file).expect("text").lines().count()));
    assert!(lines.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    destroy(&mut one).await;

    let (new, phrase) = (two.address("neo"), neo.phrase_file());
    let (code, words) = neo.run_all(&["id", "move", &new, "--phrase-file", &phrase]).await;
    assert!(code == 5 && words.contains("--from FILE"), "{code} {words}");
    let (code, words) = neo.run_all(&["id", "move", &new, "--phrase-file", &phrase, "--from", &of_eve]).await;
    assert!(code == 2 && words.contains("is the export of account"), "{code} {words}");
    let broken = neo.folder.path().join("broken.jsonl").to_str().expect("plain").to_owned();
    let whole = fs::read_to_string(&file).expect("text");
    fs::write(&broken, &whole[..whole.len() - 20]).expect("written");
    let (code, words) = neo.run_all(&["id", "move", &new, "--phrase-file", &phrase, "--from", &broken]).await;
    assert!(code == 2 && words.contains(&format!("line {}", whole.lines().count())), "{code} {words}");
    assert_eq!(identity(&neo)["stage"], "active", "nothing was signed");

    let moved = move_to(&neo, &new, &["--from", &file]).await;
    assert_eq!((moved["along"].as_u64(), moved["left"][0]["told"].as_bool()), (Some(1), Some(false)), "{moved}");
    // A reader who had met the old home: its log key still vouches, as soon as the reader's home knows where neo lives.
    until("three knows where neo lives", async || trinity.run_all(&["verify", uri(&first)]).await.0 == 0).await;
    let proof = trinity.one(&["verify", uri(&first)]).await;
    assert_eq!(
        (proof["standing"].as_str(), proof["vouched"].as_str(), proof["kept_by"].as_str()),
        (Some("good"), Some("seen-before"), Some(two.domain.as_str())),
        "{proof}"
    );
    let (code, words) = trinity.run_all(&["verify", uri(&first)]).await;
    assert!(code == 0 && words.contains("(gone)") && words.contains("seen here before"), "{words}");
    let (code, words) = trinity.run_all(&["show", uri(&first)]).await;
    assert!(code == 0 && words.contains("before the fire"), "{words}");
    // A stranger asks the new home, and hears who vouches for what.
    let stranger = Terminal::new();
    let link = format!("mesh://{new}/{}", id(&first));
    let proof = stranger.one(&["verify", &link]).await;
    assert_eq!(proof["standing"], "good");
    let vouched = proof["vouched"].as_str().expect("a word");
    let witnessed = proof["witnesses"].as_array().is_some_and(|witnesses| !witnesses.is_empty());
    assert_eq!(vouched, if witnessed { "witnesses" } else { "nobody" }, "{proof}");
    let (code, words) = stranger.run_all(&["verify", uri(&first)]).await;
    assert!(code == 5 && words.contains("--via"), "{code} {words}");
    neo.one(&["post", "after the fire"]).await;
    until_in_feed(&trinity, "after the fire").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn person_moves_from_a_mirror_without_saying_so() {
    let mut one = Home::start("one").await;
    let two = Home::start_with("two", |config| config.mirrors_max = 1).await;
    let three = Home::start("three").await;
    let (neo, ada) = (Terminal::new(), Terminal::new());
    neo.join(&one.address("neo")).await;
    ada.join(&one.address("ada")).await;
    let first = neo.one(&["post", "kept twice"]).await;
    let (code, words) = neo.run_all(&["doctor"]).await;
    assert!(code == 0 && words.contains("mesh id mirror add"), "{words}");
    let (code, words) = neo.run_all(&["id", "mirror", "add", &three.domain]).await;
    assert!(code == 6 && words.contains("keeps no copies"), "{code} {words}");
    let (code, words) = neo.run_all(&["id", "mirror", "add", &one.domain]).await;
    assert!(code == 2 && words.contains("is your home"), "{code} {words}");
    let trinity = Terminal::new();
    trinity.join(&three.address("trinity")).await;
    let follow = neo.one(&["subscribe", &three.address("trinity")]).await;
    neo.one(&["id", "mirror", "add", &two.domain]).await;
    trinity.one(&["verify", &one.address("neo")]).await;
    until_kept(&two, &follow).await;
    until("the mirror has the post", async || neo.one(&["id", "mirror"]).await["state"] == "current").await;
    // There is room for one.
    let (code, _) = ada.run_all(&["id", "mirror", "add", &two.domain]).await;
    assert_eq!(code, 6);
    assert_eq!(neo.one(&["id", "show"]).await["mirrors"], serde_json::json!([two.domain]));
    destroy(&mut one).await;

    let (code, words) = neo.run_all(&["verify", uri(&first)]).await;
    assert!(code == 0 && words.contains(&format!("kept by   {}", two.domain)), "{code} {words}");
    let (code, words) = trinity.run_all(&["show", &one.address("neo")]).await;
    assert!(code == 0 && words.contains("kept twice") && words.contains("the mirror"), "{code} {words}");
    let new = three.address("neo");
    let moved = move_to(&neo, &new, &[]).await;
    assert_eq!((moved["address"].as_str(), moved["along"].as_u64()), (Some(new.as_str()), Some(2)), "{moved}");
    let (code, words) = neo.run_all(&["show", &format!("mesh://{new}/{}", id(&first))]).await;
    assert!(code == 0 && words.contains("kept twice"), "{words}");
    trinity.one(&["post", "follow the rabbit"]).await;
    until_in_feed(&neo, "follow the rabbit").await;
    neo.one(&["id", "mirror", "remove", &two.domain]).await;
    assert_eq!(neo.one(&["id", "show"]).await["mirrors"], serde_json::json!([]));
    let (code, _) = neo.run_all(&["id", "mirror", "remove", &two.domain]).await;
    assert_eq!(code, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn person_moves_to_the_mirror_and_still_follows_whom_it_did_not_know() {
    let mut one = Home::start("one").await;
    let two = Home::start_with("two", |config| config.mirrors_max = 1).await;
    let three = Home::start("three").await;
    let (neo, trinity) = (Terminal::new(), Terminal::new());
    neo.join(&one.address("neo")).await;
    trinity.join(&three.address("trinity")).await;
    neo.one(&["id", "mirror", "add", &two.domain]).await;
    let follow = neo.one(&["subscribe", &three.address("trinity")]).await;
    let like = neo.one(&["like", uri(&trinity.one(&["post", "knock knock"]).await)]).await;
    until_kept(&two, &follow).await;
    until_kept(&two, &like).await;
    destroy(&mut one).await;
    let new = two.address("neo");
    let moved = move_to(&neo, &new, &["--from", &two.domain]).await;
    assert_eq!((moved["along"].as_u64(), moved["refused"].as_array().map(Vec::len)), (Some(2), Some(0)), "{moved}");
    trinity.one(&["post", "follow the rabbit"]).await;
    until_in_feed(&neo, "follow the rabbit").await;
    assert_eq!(three.get("/api/v1/accounts/trinity").await.json::<Value>()["counts"]["subscribe"], 1);
    neo.one(&["undo", &three.address("trinity")]).await;
    until("nobody follows trinity", async || {
        let counts = three.get("/api/v1/accounts/trinity").await.json::<Value>()["counts"]["subscribe"].clone();
        counts.is_null() || counts == 0
    })
    .await;
    // One's own home is no mirror, though the key log still names it.
    assert!(neo.json(&["id", "mirror"]).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn leaf_for_which_nobody_vouches_does_not_save_a_revoked_device() {
    let (mut one, two, three) = (Home::start("one").await, Home::start("two").await, Home::start("three").await);
    let (neo, tablet, trinity, stranger) = (Terminal::new(), Terminal::new(), Terminal::new(), Terminal::new());
    let phrase = neo.phrase_file();
    neo.join(&one.address("neo")).await;
    trinity.join(&three.address("trinity")).await;
    let joined = tablet.one(&["init", "--recover", "--address", &one.address("neo"), "--phrase-file", &phrase, "--yes"]).await;
    let post = tablet.one(&["post", "before the theft"]).await;
    neo.one(&["id", "revoke", joined["device"].as_str().expect("a key"), "--phrase-file", &phrase]).await;
    assert_eq!(trinity.one(&["verify", uri(&post)]).await["standing"], "good");
    let new = two.address("neo");
    assert_eq!(move_to(&neo, &new, &[]).await["along"], 1);
    destroy(&mut one).await;
    let link = format!("mesh://{new}/{}", id(&post));
    let proof = trinity.one(&["verify", &link]).await;
    assert_eq!((proof["vouched"].as_str(), proof["standing"].as_str()), (Some("seen-before"), Some("good")), "{proof}");
    let (code, words) = stranger.run_all(&["verify", &link]).await;
    assert!(code == 4 && words.contains("NOBODY vouches") && words.contains("DISOWNED"), "{code} {words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn move_goes_on_after_an_interruption_at_each_step() {
    let mut gate = Gate::new().await;
    let one = Home::start("one").await;
    let two = Home::start_as(|_| format!("two.localhost:{}", gate.port), |_| ()).await;
    gate.lead_to(two.port);
    let steps = [
        Shut::Request("POST /api/v1/arrivals".to_owned()),
        Shut::Answer("POST /api/v1/arrivals".to_owned()),
        Shut::Request("/import HTTP".to_owned()),
        Shut::Answer("/import HTTP".to_owned()),
        Shut::Request("/import:end HTTP".to_owned()),
        Shut::Answer("/import:end HTTP".to_owned()),
    ];
    for (number, step) in steps.into_iter().enumerate() {
        let neo = Terminal::new();
        let (old, new) = (one.address(&format!("neo{number}")), two.address(&format!("neo{number}")));
        neo.join(&old).await;
        let first = neo.one(&["post", "along the way"]).await;
        gate.shut(Some(step.clone()));
        let (code, words) = neo.run_all(&["id", "move", &new, "--phrase-file", &neo.phrase_file()]).await;
        assert!(code == 5 && words.contains(&two.domain), "{step:?}: {code} {words}");
        let kept = identity(&neo);
        assert!(kept["stage"]["moving"]["ops"].as_array().is_some_and(|ops| ops.len() == 1), "{step:?}: {kept}");
        // Nothing else may be signed by the phrase meanwhile.
        let (code, words) = neo.run_all(&["id", "rotate", "--phrase-file", &neo.phrase_file()]).await;
        assert!(code == 6 && words.contains("on your way"), "{step:?}: {code} {words}");
        gate.shut(None);
        // It needs neither the address nor the phrase again: what was signed is kept.
        let moved = neo.one(&["id", "move"]).await;
        assert_eq!((moved["address"].as_str(), moved["along"].as_u64()), (Some(new.as_str()), Some(1)), "{step:?}: {moved}");
        assert_eq!(identity(&neo)["stage"], "active");
        assert_eq!(operations(&neo, &new).await, 2, "{step:?}: one move, once");
        let (code, words) = neo.run_all(&["show", &format!("mesh://{new}/{}", id(&first))]).await;
        assert!(code == 0 && words.contains("along the way"), "{step:?}: {words}");
        let (code, _) = neo.run_all(&["doctor"]).await;
        assert_eq!(code, 0, "{step:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_signed_for_a_move_that_cannot_be() {
    let one = Home::start("one").await;
    let open = Home::start("two").await;
    let closed = Home::start_with("three", |config| config.registration = RegistrationMode::Closed).await;
    let invited = Home::start_with("four", |config| config.registration = RegistrationMode::Invite).await;
    let mut gone = Home::start("five").await;
    let (neo, other) = (Terminal::new(), Terminal::new());
    neo.join(&one.address("neo")).await;
    other.join(&open.address("neo")).await;
    gone.stop().await;
    let wrong = other.phrase_file();
    let right = neo.phrase_file();
    let cases = [
        (open.address("neo"), &right, 6, "somebody else's"),
        (open.address("admin"), &right, 6, "reserved"),
        (open.address("thomas"), &wrong, 6, "not the recovery phrase"),
        (closed.address("neo"), &right, 6, "takes nobody"),
        (invited.address("neo"), &right, 6, "--invite"),
        (gone.address("neo"), &right, 5, "could not be reached"),
        (one.address("thomas"), &right, 2, "is your home"),
        ("nonsense".to_owned(), &right, 2, "nonsense"),
    ];
    for (address, phrase, expected, words) in cases {
        let (code, said) = neo.run_all(&["id", "move", &address, "--phrase-file", phrase]).await;
        assert!(code == expected && said.contains(words), "{address}: {code} {said}");
        assert_eq!(identity(&neo)["stage"], "active", "{address}");
    }
    let (code, said) = neo.run_all(&["id", "move"]).await;
    assert!(code == 2 && said.contains("say where to"), "{code} {said}");
    neo.one(&["post", "still here"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_arrival_is_followed_by_another_one_and_not_by_a_fork() {
    let one = Home::start("one").await;
    let two = Home::start("two").await;
    let invited = Home::start_with("four", |config| config.registration = RegistrationMode::Invite).await;
    let neo = Terminal::new();
    neo.join(&one.address("neo")).await;
    let first = neo.one(&["post", "the long way"]).await;
    let phrase = neo.phrase_file();
    let (code, words) = neo.run_all(&["id", "move", &invited.address("neo"), "--phrase-file", &phrase, "--invite", "no-such-code"]).await;
    assert!(code == 6 && words.contains("invite"), "{code} {words}");
    // The old home still is the home.
    neo.one(&["post", "meanwhile"]).await;
    let new = two.address("neo");
    let moved = move_to(&neo, &new, &[]).await;
    assert_eq!((moved["address"].as_str(), moved["along"].as_u64()), (Some(new.as_str()), Some(2)), "{moved}");
    let shown = neo.one(&["id", "show"]).await;
    assert_eq!((shown["status"].as_str(), shown["operations"].as_u64()), (Some("active"), Some(3)), "{shown}");
    let proof = neo.one(&["verify", uri(&first)]).await;
    assert_eq!(proof["standing"], "good");
}

#[tokio::test(flavor = "multi_thread")]
async fn phrase_and_saved_file_bring_everything_back_when_home_and_machine_are_lost() {
    let (mut one, two) = (Home::start("one").await, Home::start("two").await);
    let (neo, empty, ada) = (Terminal::new(), Terminal::new(), Terminal::new());
    neo.join(&one.address("neo")).await;
    ada.join(&two.address("ada")).await;
    ada.one(&["subscribe", &one.address("neo")]).await;
    let first = neo.one(&["post", "before the fire"]).await;
    until_in_feed(&ada, "before the fire").await;
    let saved = empty.folder.path().join("neo.jsonl");
    let file = saved.to_str().expect("plain");
    neo.one(&["export", file]).await;
    fs::copy(neo.phrase_file(), empty.phrase_file()).expect("the phrase is on paper");
    destroy(&mut one).await;
    drop(neo);

    let arguments = ["init", "--recover", "--from", file, "--phrase-file", &empty.phrase_file(), "--address"];
    let (code, words) = empty.run_all(&[&arguments[..], &[&two.address("ada")]].concat()).await;
    assert!(code == 2 && words.contains("is the export of"), "{words}");
    empty.one(&[&arguments[..], &[&one.address("neo")]].concat()).await;
    let moved = move_to(&empty, &two.address("neo"), &["--from", file]).await;
    assert_eq!(moved["refused"].as_array().map(Vec::len), Some(0), "{moved}");
    let (_, shown) = empty.run(&["show", &two.address("neo")]).await;
    assert!(shown.contains("before the fire"), "{shown}");
    let after = empty.one(&["post", "after the fire"]).await;
    until_in_feed(&ada, "after the fire").await;
    assert_eq!(ada.one(&["verify", uri(&after)]).await["standing"], "good");
    assert_eq!(ada.one(&["verify", uri(&first), "--via", &two.domain]).await["standing"], "good");
}
