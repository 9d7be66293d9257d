//! `spec/vectors`: written by `MESH_WRITE_VECTORS=1`, else compared byte for byte; either way each case is then read back from the file's
//! text and put through the public API, as a stranger's implementation would do.

mod counter;
mod envelope;
mod key_log;
mod log;
mod names;
mod record;
mod signature;
mod witness;

use crate::fixture::repository;
use serde_json::{Map, Value, json};
use std::fs;

/// Largest sum of all files, bytes.
const TOTAL_BYTES_MAX: u64 = 1_500_000;

/// One file of vectors.
pub(crate) struct File {
    /// Below `spec/vectors`, without `.json`.
    path: &'static str,
    /// What the cases are and how to run them.
    about: &'static str,
    /// The page that they belong to.
    page: &'static str,
    cases: Vec<Value>,
    /// Runs one case through the public API.
    verify: fn(&Value),
}

/// Members in the order of their names, whatever order the map keeps.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            names.sort();
            Value::Object(names.into_iter().map(|name| (name.clone(), sorted(&members[name]))).collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

/// One case to a line: short diffs, and no line for every byte of a proof.
fn text_of(file: &File) -> String {
    let head = json!({ "about": file.about, "page": file.page });
    let mut text = format!("{{\n\"about\": {},\n\"page\": {},\n\"cases\": [\n", head["about"], head["page"]);
    for (index, case) in file.cases.iter().enumerate() {
        let comma = if index + 1 == file.cases.len() { "" } else { "," };
        text.push_str(&format!("{}{comma}\n", sorted(case)));
    }
    text.push_str("]\n}\n");
    text
}

fn check(file: &File) {
    let path = repository("spec/vectors").join(format!("{}.json", file.path));
    let made = text_of(file);
    if std::env::var_os("MESH_WRITE_VECTORS").is_some() {
        fs::write(&path, &made).expect("spec/vectors is writable");
    }
    let stored = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}: MESH_WRITE_VECTORS=1 writes it", file.path));
    assert!(stored == made, "{} differs from what mesh-proto makes: `cargo xtask vectors --write`, then look at the difference", file.path);
    let value: Value = serde_json::from_str(&stored).expect("a vector file is JSON");
    for case in value["cases"].as_array().expect("cases") {
        (file.verify)(case);
    }
}

fn all() -> Vec<File> {
    [
        envelope::files(),
        record::files(),
        signature::files(),
        key_log::files(),
        log::files(),
        witness::files(),
        names::files(),
        counter::files(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[test]
fn vectors_are_what_mesh_proto_makes_and_accepts() {
    for file in all() {
        check(&file);
    }
}

#[test]
fn vectors_are_small_and_none_is_forgotten() {
    let known: Vec<String> = all().iter().map(|file| format!("{}.json", file.path)).collect();
    let mut total = 0;
    for folder in ["valid", "invalid"] {
        for entry in fs::read_dir(repository("spec/vectors").join(folder)).expect("the folder is there") {
            let entry = entry.expect("an entry");
            let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
            assert!(known.contains(&name), "{name} is written by nothing");
            total += entry.metadata().expect("its size").len();
        }
    }
    assert!(total < TOTAL_BYTES_MAX, "{total} bytes of vectors");
}

/// A member that is a string.
pub(crate) fn text<'a>(case: &'a Value, name: &str) -> &'a str {
    case[name].as_str().unwrap_or_else(|| panic!("{name} is text in {case}"))
}

/// A member that is a whole number.
pub(crate) fn number(case: &Value, name: &str) -> u64 {
    case[name].as_u64().unwrap_or_else(|| panic!("{name} is a number in {case}"))
}

/// A member read as `T`.
pub(crate) fn member<T: serde::de::DeserializeOwned>(case: &Value, name: &str) -> T {
    serde_json::from_value(case[name].clone()).unwrap_or_else(|error| panic!("{name} in {case}: {error}"))
}
