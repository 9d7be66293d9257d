//! Authority stays at home: what one domain's people say is nowhere in another's store.

use crate::federation::{comment, post};
use crate::network::{Home, until};
use mesh_proto::envelope::Kind;
use mesh_store::{Config, FjallStore, KeyRange, Kv, Order, Read, Space};
use std::path::Path;

/// Every row of every key space, searched for a text.
pub(crate) fn found_in_spaces(folder: &Path, text: &str) -> Vec<String> {
    let mut places = Vec::new();
    let store = FjallStore::open(folder.join("store"), Config::default()).expect("opens");
    for space in Space::ALL {
        let mut range = KeyRange::all();
        loop {
            let rows = store.scan(*space, &range, Order::Forward, 1_000).expect("reads");
            for (key, value) in &rows {
                if contains(key, text) || contains(value, text) {
                    places.push(format!("key space {}", space.name()));
                }
            }
            match rows.last() {
                Some((last, _)) => range = range.after(last),
                None => break,
            }
        }
    }
    store.close().expect("closes");
    places
}

fn found_in_files(folder: &Path, text: &str) -> Vec<String> {
    let mut places = Vec::new();
    search_files(folder, text, &mut places);
    places
}

/// Every file as it lies on disk: journals, tables, configuration.
fn search_files(folder: &Path, text: &str, places: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            search_files(&path, text, places);
        } else if contains(&std::fs::read(&path).expect("a file"), text) {
            places.push(path.display().to_string());
        }
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Comments from `two` on a post of `one` with a random word, and searches `one`'s folder for the word.
async fn search_for_comment(cache_mb: u64) -> Vec<String> {
    let mut one = Home::start_with("one", |config| config.cache_mb = cache_mb).await;
    let two = Home::start("two").await;
    let (ada, neo) = (one.person("ada", 1).await, two.person("neo", 2).await);
    let hello = one.says(&ada, post("hello")).await;
    let word = format!("w{}", mesh_proto::bytes::base64url(&mesh_proto::port::random::<12>(&mesh_server::system_rng())));
    let object = ada.object(&hello);
    two.says(&neo, comment(&object, &object, &word)).await;
    one.until_count(&hello.id(), Kind::Comment, 1).await;
    if cache_mb > 0 {
        // The cache is written without waiting.
        until("the journal has the body", async || !found_in_files(one.folder.path(), &word).is_empty()).await;
    }
    // While it runs, its journal holds everything that was just written, as it was written.
    let mut places = found_in_files(one.folder.path(), &word);
    one.stop().await;
    places.extend(found_in_spaces(one.folder.path(), &word));
    places
}

#[tokio::test(flavor = "multi_thread")]
async fn comment_text_is_nowhere_in_the_objects_home_without_the_cache() {
    assert_eq!(search_for_comment(0).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_search_finds_the_text_with_the_cache() {
    let places = search_for_comment(16).await;
    assert!(places.iter().any(|place| place == "key space cache"), "{places:?}");
    assert!(places.iter().any(|place| place.contains("journal")), "{places:?}");
}
