//! A data folder of an older version is a fixture: it is upgraded after a backup, and everything that the older server answered is answered still.

use crate::network::Home;
use mesh_proto::bytes::from_base64url;
use mesh_server::config::{self, State};
use mesh_server::operator::restore::{self, GoOn};
use mesh_server::operator::upgrade;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Where the fixture is; its README says what it is.
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/data-folder-1");

fn fixture<T: DeserializeOwned>(name: &str) -> T {
    let packed = std::fs::read(Path::new(FIXTURE).join(name)).expect("the fixture");
    serde_json::from_slice(&zstd::decode_all(&packed[..]).expect("zstd")).expect("JSON")
}

/// The data folder as the older server left it.
fn older() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("set");
    for (name, content) in fixture::<BTreeMap<String, String>>("folder.json.zst") {
        let path = folder.path().join(&name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(&path, from_base64url(&content, "a file").expect("base64url")).expect("written");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("set");
    }
    folder
}

/// Whether an answer says all that the older one said; it may say more.
fn check_says(path: &str, older: &Value, now: &Value) {
    match (older, now) {
        (Value::Object(older), Value::Object(now)) => {
            for (field, value) in older.iter().filter(|(field, _)| *field != "software") {
                check_says(&format!("{path} {field}"), value, now.get(field).unwrap_or(&Value::Null));
            }
        }
        (Value::Array(older), Value::Array(now)) if older.len() == now.len() => {
            older.iter().zip(now).for_each(|(older, now)| check_says(path, older, now));
        }
        _ => assert_eq!(now, older, "{path}"),
    }
}

/// Starts the domain, compares every answer with the older server's, and looks at the pages.
async fn check_all_is_there(folder: tempfile::TempDir) {
    let mut home = Home::start_over(folder).await;
    let answers: BTreeMap<String, Value> = fixture("answers.json.zst");
    assert!(answers.len() > 20);
    for (path, older) in &answers {
        let reply = home.get(path).await;
        assert_eq!(reply.status, 200, "{path}");
        let now = if older.is_string() { Value::String(String::from_utf8(reply.body).expect("text")) } else { reply.json() };
        check_says(path, older, &now);
    }
    for (page, text) in [("/@ada", "repair café"), ("/@bruno", "lighthouse"), ("/", "one.localhost")] {
        let reply = home.get(page).await;
        assert!(String::from_utf8_lossy(&reply.body).contains(text), "{page} has lost {text:?}");
    }
    home.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn folder_of_format_1_is_upgraded_and_everything_is_still_there() {
    let folder = older();
    let root = folder.path().to_owned();
    assert_eq!(config::state(&root).expect("readable"), State::Older(1));
    let refused = config::read(&root).err().expect("refused").to_string();
    assert!(refused.contains("meshd upgrade"), "{refused}");
    let upgrade = || {
        let root = root.clone();
        async {
            tokio::task::spawn_blocking(move || upgrade::run(&root, None, Box::new(|_| ()))).await.expect("no panic").expect("upgraded")
        }
    };
    let upgraded = upgrade().await;
    assert_eq!((upgraded.from, upgraded.to), (1, config::FORMAT));
    assert_eq!(std::fs::metadata(&root).expect("a folder").permissions().mode() & 0o777, 0o700);
    let backup = upgraded.backup.expect("a backup was made before");
    let kept = tempfile::tempdir().expect("a folder");
    std::fs::copy(&backup, kept.path().join("before")).expect("copied");
    let again = upgrade().await;
    assert_eq!((again.from, again.backup), (config::FORMAT, None), "there is nothing to do");
    check_all_is_there(folder).await;

    // As it was before the upgrade: an older archive is restored, and upgraded on the way.
    let put_back = tempfile::tempdir().expect("a folder");
    let (from, to) = (kept.path().join("before"), put_back.path().to_owned());
    let restored = tokio::task::spawn_blocking(move || restore::run(&from, &to, GoOn::AsItWas, Box::new(|_| ())));
    let restored = restored.await.expect("no panic").expect("restored");
    assert_eq!((restored.about.format, restored.log.number(), restored.leaves), (1, 1, 13));
    check_all_is_there(put_back).await;
}
