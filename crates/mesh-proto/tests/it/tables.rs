//! The tables of `spec/` agree with the constants of the code.

use crate::fixture::repository;
use mesh_proto::limits::*;
use std::collections::BTreeMap;
use std::fs;

fn read(path: &str) -> String {
    fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The first two cells of each row whose first cell is in back quotes.
fn rows(page: &str) -> BTreeMap<String, String> {
    let row = |line: &str| {
        let (name, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        Some((name.to_owned(), rest.split(" |").next()?.replace(',', "")))
    };
    page.lines().filter_map(row).collect()
}

/// Names of the public constants in a source file.
fn constants(source: &str) -> Vec<String> {
    source
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("pub const ")?.split_once(':').map(|(name, _)| name.to_owned()))
        .collect()
}

#[test]
fn limits_page_names_every_limit_with_its_value() {
    macro_rules! values {
        ($($name:ident)*) => { BTreeMap::from([$((stringify!($name).to_owned(), $name.to_string())),*]) };
    }
    let values = values! {
        USER_BYTES_MAX DOMAIN_BYTES_MAX BODY_BYTES_MAX ENVELOPE_BYTES_MAX JSON_DEPTH_MAX JSON_INTEGER_MAX KEY_OP_BYTES_MAX KEY_OPS_MAX KEY_OPS_ROOT_RESERVE DEVICES_MAX
        ROOT_ROTATE_WAIT_MS CLOCK_AHEAD_MS_MAX TEXT_BYTES_MAX TITLE_BYTES_MAX BIO_BYTES_MAX TAGS_MAX TAG_BYTES_MAX NETWORK_BYTES_MAX IMPORT_URL_BYTES_MAX CRIT_MAX BATCH_RECORDS_MAX DELIVERY_BYTES_MAX
        REQUEST_BYTES_MAX KEY_OPS_BATCH_MAX KEYS_BATCH_MAX PAGE_MAX SIGNATURE_LIFE_S_MAX NONCE_CHARS_MAX CHECKPOINT_AGE_MS_MAX CHECKPOINT_BYTES_MAX TILE_WIDTH LEAF_INDEX_MAX
        POW_BITS_MAX SIGNATURE_AHEAD_S_MAX NONCE_CHARS_MIN KEYID_CHARS_MAX TARGET_URI_BYTES_MAX NONCES_MAX LINK_BYTES_MAX
        COSIGNATURES_MAX CONSISTENCY_HASHES_MAX SET_MESSAGE_BYTES_MAX SET_ITEMS_MAX MIRRORS_MAX RULINGS_PUSH_MAX
        SCHEDULED_MAX SCHEDULED_AHEAD_MS_MAX
        MIRROR_BYTES_MAX ARRIVAL_DOMAINS_MAX TEXT_TAGS_MAX PREVIEW_URL_BYTES_MAX PREVIEW_TEXT_BYTES_MAX
        POLL_OPTIONS_MIN POLL_OPTIONS_MAX POLL_OPTION_BYTES_MAX POLL_LIFE_MS_MIN POLL_LIFE_MS_MAX
    };
    let mut names = constants(&read("crates/mesh-proto/src/limits.rs"));
    names.sort();
    assert_eq!(names, values.keys().cloned().collect::<Vec<_>>(), "a limit is missing in this test");
    assert_eq!(rows(&read("spec/limits.md")), values, "spec/limits.md");
}

#[test]
fn errors_page_names_every_problem_code() {
    let source = read("crates/mesh-proto/src/api/problem.rs");
    let code =
        |line: &str| line.trim_start().strip_prefix("pub const ")?.split_once(": &str = \"")?.1.strip_suffix("\";").map(str::to_owned);
    let mut codes: Vec<String> = source.lines().filter_map(code).filter(|code| !code.contains(':')).collect();
    codes.sort();
    assert_eq!(rows(&read("spec/errors.md")).into_keys().collect::<Vec<_>>(), codes);
}
