//! Stored formats: the number, the steps between numbers, and a folder written by format 1.

use std::path::Path;

use mesh_store::files::{Files, OsFiles};
use mesh_store::migrate::{self, Step};
use mesh_store::{Config, Kv, StoreError};

use crate::support::{check_numbered, copy_folder, open_small, write_numbered};

#[test]
fn a_new_folder_gets_the_present_format() {
    let folder = tempfile::tempdir().unwrap();
    drop(open_small(folder.path()).unwrap());
    assert_eq!(migrate::read(folder.path()).unwrap(), Some(migrate::FORMAT));
}

#[test]
fn a_newer_format_is_refused_with_words() {
    let folder = tempfile::tempdir().unwrap();
    drop(open_small(folder.path()).unwrap());
    std::fs::write(folder.path().join("format"), "7\n").unwrap();
    let error = open_small(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::WrongFormat { found: 7, known: migrate::FORMAT }), "{error:?}");
    assert!(error.to_string().contains("newer program"), "{error}");
}

/// Steps for the test: the first appends a line and then fails on its first try; the second appends another.
const STEPS: &[Step] = &[
    Step { from: 1, what: "fails half-way once", run: half_way },
    Step { from: 2, what: "appends", run: |files, folder| append(files, folder, "two") },
];

fn half_way(files: &dyn Files, folder: &Path) -> Result<(), StoreError> {
    // Restartable: it sets a file to a value rather than adding to it.
    files.replace(&folder.join("notes"), b"one").map_err(|_| StoreError::Closed)?;
    let tried = folder.join("tried");
    if tried.exists() {
        return Ok(());
    }
    std::fs::write(tried, "").map_err(|_| StoreError::Closed)?;
    Err(StoreError::Closed)
}

fn append(files: &dyn Files, folder: &Path, text: &str) -> Result<(), StoreError> {
    files.replace(&folder.join("notes"), format!("one {text}").as_bytes()).map_err(|_| StoreError::Closed)
}

#[test]
fn an_interrupted_migration_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("format"), "1\n").unwrap();
    migrate::run(&OsFiles, folder.path(), STEPS).unwrap_err();
    assert_eq!(migrate::read(folder.path()).unwrap(), Some(1), "a failed step does not count");
    migrate::run(&OsFiles, folder.path(), STEPS).unwrap();
    assert_eq!(migrate::read(folder.path()).unwrap(), Some(3));
    assert_eq!(std::fs::read_to_string(folder.path().join("notes")).unwrap(), "one two");
    migrate::run(&OsFiles, folder.path(), STEPS).unwrap();
    let error = migrate::run(&OsFiles, folder.path(), migrate::STEPS).unwrap_err();
    assert!(matches!(error, StoreError::WrongFormat { found: 3, .. }), "the older program refuses the migrated folder: {error:?}");
}

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fixtures/format-1");

/// The fixture holds the numbered batches 0..40: 25 in tables, 15 in the journal, as left by a process that died.
#[test]
fn a_folder_of_format_1_opens() {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(Path::new(FIXTURE), folder.path()).unwrap();
    let store = open_small(folder.path()).unwrap();
    assert_eq!(check_numbered(&store), 40);
    assert_eq!(write_numbered(&store, 40, 60, 4), 60);
}

/// Writes the fixture anew; run by hand, and only when a new format number is given out.
#[test]
#[ignore = "writes the fixture"]
fn write_fixture() {
    let folder = tempfile::tempdir().unwrap();
    let store = mesh_store::FjallStore::open(folder.path(), Config::default()).unwrap();
    write_numbered(&store, 0, 25, 1);
    store.compact().unwrap();
    write_numbered(&store, 25, 40, 3);
    copy_folder(folder.path(), Path::new(FIXTURE)).unwrap();
    store.close().unwrap();
}
