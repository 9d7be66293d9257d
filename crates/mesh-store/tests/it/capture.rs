//! Captures: copied at any moment, of a running or of a dead store, they open as what was there.

use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use mesh_store::fjall::capture_stopped;
use mesh_store::{Capture, Kv, StoreError};

use crate::support::{check_numbered, copy_folder, open_small, write_numbered};

/// Copies what was captured into an empty folder.
fn put(capture: &Capture, folder: &Path) {
    for file in capture.files() {
        let path = folder.join(file.name());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut content = Vec::new();
        file.read().unwrap().read_to_end(&mut content).unwrap();
        assert_eq!(content.len() as u64, file.size_bytes());
        std::fs::write(path, content).unwrap();
    }
}

/// How many numbered batches a copy of the capture holds.
fn copied(capture: &Capture) -> u64 {
    let copy = tempfile::tempdir().unwrap();
    put(capture, copy.path());
    let store = open_small(copy.path()).unwrap();
    let count = check_numbered(&store);
    assert_eq!(write_numbered(&store, count, count + 5, 2), count + 5, "it goes on");
    count
}

/// Batches written while captures are made: small segments make many checkpoints and compactions of them.
const BATCHES: u64 = 6_000;

#[test]
fn captures_under_load_hold_whatever_was_acknowledged_before_them() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_small(folder.path()).unwrap();
    let acknowledged = AtomicU64::new(0);
    let mut held = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for from in (0..BATCHES).step_by(20) {
                assert_eq!(write_numbered(&store, from, from + 20, 7), from + 20);
                acknowledged.store(from + 20, Ordering::Release);
            }
        });
        while acknowledged.load(Ordering::Acquire) < BATCHES {
            let before = acknowledged.load(Ordering::Acquire);
            let capture = store.capture().unwrap().unwrap();
            // Some are copied at once, some long after what they hold was merged away.
            if held.len() < 3 {
                held.push((before, capture));
            } else {
                assert!(copied(&capture) >= before);
            }
        }
    });
    store.compact().unwrap();
    for (before, capture) in &held {
        assert!(copied(capture) >= *before);
    }
    drop(held);
    assert_eq!(check_numbered(&store), BATCHES);
}

#[test]
fn a_stopped_store_is_captured_whole_and_kept_shut_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_small(folder.path()).unwrap();
    write_numbered(&store, 0, 300, 3);
    // What the disk holds while the store still runs is what a killed process leaves.
    let left = tempfile::tempdir().unwrap();
    store.close().unwrap();
    copy_folder(folder.path(), left.path()).unwrap();
    let capture = capture_stopped(left.path()).unwrap();
    assert!(matches!(open_small(left.path()), Err(StoreError::InUse { .. })));
    assert_eq!(copied(&capture), 300);
    drop(capture);
    assert_eq!(check_numbered(&open_small(left.path()).unwrap()), 300);
}

#[test]
fn a_folder_without_a_store_gives_nothing_and_a_running_one_is_not_captured_from_outside() {
    let folder = tempfile::tempdir().unwrap();
    assert!(capture_stopped(&folder.path().join("none")).unwrap().files().is_empty());
    let empty = open_small(folder.path()).unwrap();
    assert!(matches!(capture_stopped(folder.path()), Err(StoreError::InUse { .. })));
    assert_eq!(copied(&empty.capture().unwrap().unwrap()), 0);
    empty.close().unwrap();
    assert!(matches!(empty.capture(), Err(StoreError::Closed)));
}

#[test]
fn a_damaged_table_is_not_copied_in_silence() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_small(folder.path()).unwrap();
    write_numbered(&store, 0, 200, 3);
    store.compact().unwrap();
    let capture = store.capture().unwrap().unwrap();
    let table = capture.files().iter().find(|file| file.name().contains("/tables/")).unwrap();
    let path = folder.path().join(table.name());
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = table.read().unwrap().read_to_end(&mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("checksum"), "{error}");
}
