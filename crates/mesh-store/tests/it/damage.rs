//! Bits flip, files are cut, files vanish. Every outcome must be: all data there, or refused with words. Never less data without a word.

use std::path::{Path, PathBuf};

use mesh_store::{Config, FjallStore, KeyRange, Order, Read, Space, StoreError};

use crate::support::{check_numbered, copy_folder, open_small, write_numbered};

const BATCHES: u64 = 300;

/// A folder as it lies there while the store runs: a checkpoint, and `BATCHES` acknowledged batches of which most are in the journal only.
fn living_folder() -> tempfile::TempDir {
    let work = tempfile::tempdir().unwrap();
    let kept = tempfile::tempdir().unwrap();
    let store = FjallStore::open(work.path(), Config { disk_reserve_bytes: 0, ..Config::default() }).unwrap();
    assert_eq!(write_numbered(&store, 0, 50, 4), 50);
    store.compact().unwrap();
    assert_eq!(write_numbered(&store, 50, BATCHES, 3), BATCHES);
    copy_folder(work.path(), kept.path()).unwrap();
    kept
}

fn journal(folder: &Path) -> PathBuf {
    let mut segments: Vec<PathBuf> = std::fs::read_dir(folder.join("journal")).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.sort();
    assert_eq!(segments.len(), 1);
    segments.remove(0)
}

/// Damages a copy of a folder and opens it: how many batches are there, or why not?
fn after(folder: &Path, damage: impl FnOnce(&Path)) -> Result<u64, StoreError> {
    let copy = tempfile::tempdir().unwrap();
    copy_folder(folder, copy.path()).unwrap();
    damage(copy.path());
    open_small(copy.path()).map(|store| check_numbered(&store))
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

fn assert_whole_or_refused(outcome: Result<u64, StoreError>, context: &str) {
    match outcome {
        Ok(found) => assert_eq!(found, BATCHES, "{context}: batches were lost without a word"),
        Err(StoreError::Corrupt { what, advice }) => assert!(!what.is_empty() && !advice.is_empty(), "{context}"),
        Err(other) => panic!("{context}: {other:?}"),
    }
}

#[test]
fn a_flipped_bit_in_the_journal_loses_nothing_silently() {
    let folder = living_folder();
    let length = std::fs::metadata(journal(folder.path())).unwrap().len() as usize;
    for at in (0..length).step_by(length / 400).chain(length - 60..length) {
        let outcome = after(folder.path(), |copy| change(&journal(copy), |bytes| bytes[at] ^= 1 << (at % 8)));
        assert_whole_or_refused(outcome, &format!("byte {at} of {length}"));
    }
}

#[test]
fn a_flipped_bit_before_valid_frames_is_refused_even_without_the_mark() {
    let folder = living_folder();
    std::fs::remove_file(folder.path().join("journal-mark")).unwrap();
    let length = std::fs::metadata(journal(folder.path())).unwrap().len() as usize;
    for at in (0..length * 9 / 10).step_by(length / 200) {
        let outcome = after(folder.path(), |copy| change(&journal(copy), |bytes| bytes[at] ^= 0x10));
        let error = outcome.unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "byte {at}: {error:?}");
    }
}

#[test]
fn a_journal_cut_below_its_mark_is_refused() {
    let folder = living_folder();
    let length = std::fs::metadata(journal(folder.path())).unwrap().len() as usize;
    for keep in (0..length).step_by(length / 150) {
        let error = after(folder.path(), |copy| change(&journal(copy), |bytes| bytes.truncate(keep))).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{keep} of {length}: {error:?}");
    }
    let error = after(folder.path(), |copy| change(&journal(copy), |bytes| bytes.truncate(length - 1))).unwrap_err();
    assert!(error.to_string().contains("was synced"), "{error}");
}

#[test]
fn an_unfinished_write_at_the_end_is_cut_off() {
    let folder = living_folder();
    for rest in [&b"\xf7MF\x1a\0\0\0\x10 half a frame"[..], &[0; 4096], &[0xff; 7]] {
        let outcome = after(folder.path(), |copy| change(&journal(copy), |bytes| bytes.extend_from_slice(rest)));
        assert_eq!(outcome.unwrap(), BATCHES);
    }
}

#[test]
fn writing_goes_on_after_an_unfinished_write() {
    let folder = living_folder();
    change(&journal(folder.path()), |bytes| bytes.extend_from_slice(&[7; 3000]));
    let store = open_small(folder.path()).unwrap();
    assert_eq!(write_numbered(&store, BATCHES, BATCHES + 100, 5), BATCHES + 100);
    drop(store);
    assert_eq!(check_numbered(&open_small(folder.path()).unwrap()), BATCHES + 100);
}

#[test]
fn missing_files_are_refused() {
    let folder = living_folder();
    let first = Space::ALL[0].name();
    for name in ["format", "checkpoint", &format!("trees/{first}/current")] {
        let error = after(folder.path(), |copy| std::fs::remove_file(copy.join(name)).unwrap()).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{name}: {error:?}");
    }
    let error = after(folder.path(), |copy| std::fs::remove_file(journal(copy)).unwrap()).unwrap_err();
    assert!(error.to_string().contains("is missing"), "{error}");
    let error = after(folder.path(), |copy| std::fs::remove_dir_all(copy.join("trees")).unwrap()).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
}

#[test]
fn a_flipped_bit_in_a_small_file_loses_nothing_silently() {
    let folder = living_folder();
    for name in ["checkpoint", "journal-mark", "format"] {
        let length = std::fs::metadata(folder.path().join(name)).unwrap().len() as usize;
        for bit in 0..length * 8 {
            let outcome = after(folder.path(), |copy| change(&copy.join(name), |bytes| bytes[bit / 8] ^= 1 << (bit % 8)));
            if !matches!(outcome, Err(StoreError::WrongFormat { .. })) {
                assert_whole_or_refused(outcome, &format!("bit {bit} of {name}"));
            }
        }
    }
}

#[test]
fn a_flipped_bit_in_a_table_is_never_read_as_data() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_small(folder.path()).unwrap();
    write_numbered(&store, 0, BATCHES, 50);
    store.compact().unwrap();
    drop(store);
    let expected = everything(&open_small(folder.path()).unwrap()).unwrap();
    let mut files = Vec::new();
    list_files(&folder.path().join("trees"), &mut files);
    for path in files {
        let length = std::fs::metadata(&path).unwrap().len() as usize;
        let path = path.strip_prefix(folder.path()).unwrap();
        for at in (0..length).step_by(length / 60 + 1) {
            let copy = tempfile::tempdir().unwrap();
            copy_folder(folder.path(), copy.path()).unwrap();
            change(&copy.path().join(path), |bytes| bytes[at] ^= 1 << (at % 8));
            let outcome = open_small(copy.path()).and_then(|store| everything(&store));
            match outcome {
                Ok(found) => assert!(found == expected, "byte {at} of {}: wrong data was read", path.display()),
                Err(StoreError::Corrupt { .. }) => {}
                Err(other) => panic!("byte {at} of {}: {other:?}", path.display()),
            }
        }
    }
}

type Entries = Vec<(mesh_store::Key, mesh_store::Value)>;

/// All entries, by scans and by single reads.
fn everything(store: &FjallStore) -> Result<Entries, StoreError> {
    let mut found = Vec::new();
    for space in Space::ALL.iter().copied() {
        for (key, value) in store.scan(space, &KeyRange::all(), Order::Forward, usize::MAX)? {
            assert_eq!(store.get(space, &key)?.as_ref(), Some(&value));
            found.push((key, value));
        }
    }
    Ok(found)
}

fn list_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { list_files(&path, files) } else { files.push(path) }
    }
}
