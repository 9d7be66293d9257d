//! The power fails while the store writes. Everything not synced is lost: in the journal and the marks by the fault layer, in the trees by
//! putting back their folder as it was when the last checkpoint was written. What was acknowledged must be there all the same.
//!
//! The trees' own files are thereby set back to the last moment at which the store relies on them. That the library syncs its files before
//! that moment cannot be shown this way.

use std::path::Path;
use std::sync::{Arc, Mutex};

use mesh_store::testing::{FaultFiles, Torn};
use mesh_store::{FjallStore, Health, Kv, StoreError};

use crate::support::{check_numbered, copy_folder, numbered, open_small, small, write_numbered};

/// Writes until the power fails after `acknowledged` batches, and answers how many were acknowledged in all. The folder then holds what the
/// worst disk would.
fn crash(folder: &Path, from: u64, patience: u64, torn: Torn) -> u64 {
    let kept = tempfile::tempdir().unwrap();
    let trees = folder.join("trees");
    let files = FaultFiles::new();
    let checkpoints = Arc::new(Mutex::new(0_u64));
    let keep = {
        let (kept, trees, checkpoints) = (kept.path().to_path_buf(), trees.clone(), Arc::clone(&checkpoints));
        move |path: &Path| {
            if path.ends_with("checkpoint") {
                let mut number = checkpoints.lock().unwrap();
                *number += 1;
                copy_folder(&trees, &kept.join(number.to_string())).unwrap();
            }
        }
    };
    if trees.exists() {
        copy_folder(&trees, &kept.path().join("0")).unwrap();
    }
    files.on_replace(keep);
    let store = FjallStore::open(folder, small(Arc::new(files.clone()))).unwrap();
    assert_eq!(check_numbered(&store), from);
    let acknowledged = std::thread::scope(|scope| {
        let writer = scope.spawn(|| write_numbered(&store, from, u64::MAX, 24));
        let mut watch = store.watch(mesh_store::Space::ALL[0]);
        while *watch.borrow_and_update() < from + patience {
            // The load never ends by itself, so a change always comes.
            futures_util::FutureExt::now_or_never(watch.changed());
            std::thread::yield_now();
        }
        files.lose_power(torn).unwrap();
        writer.join().unwrap()
    });
    drop(store);
    std::fs::remove_dir_all(&trees).unwrap();
    copy_folder(&kept.path().join(checkpoints.lock().unwrap().to_string()), &trees).unwrap();
    acknowledged
}

#[test]
fn acknowledged_batches_survive_a_loss_of_power() {
    for round in 0..40_u64 {
        let folder = tempfile::tempdir().unwrap();
        let mut from = 0;
        for life in 0..3 {
            let torn = match (round + life) % 4 {
                0 => Torn::Nothing,
                1 => Torn::Bytes(round * 37 % 5000),
                2 => Torn::ZerosAfter(round * 53 % 5000),
                _ => Torn::Bytes(u64::MAX / 2),
            };
            let acknowledged = crash(folder.path(), from, 1 + (round * 131 + life * 17) % 900, torn);
            let copy = tempfile::tempdir().unwrap();
            copy_folder(folder.path(), copy.path()).unwrap();
            from = check_numbered(&open_small(copy.path()).unwrap());
            assert!(from >= acknowledged, "round {round}, life {life}, {torn:?}: {acknowledged} acknowledged, {from} there");
        }
    }
}

#[test]
fn a_failed_sync_stops_writes_until_reopened() {
    let folder = tempfile::tempdir().unwrap();
    let files = FaultFiles::new();
    let store = FjallStore::open(folder.path(), small(Arc::new(files.clone()))).unwrap();
    assert_eq!(write_numbered(&store, 0, 10, 1), 10);
    files.fail_syncs_after(0);
    let error = store.commit(numbered(10)).wait().unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error:?}");
    assert_eq!(store.status().health, Health::Failed);
    let error = store.commit(numbered(10)).wait().unwrap_err();
    assert!(matches!(error, StoreError::Closed), "{error:?}");
    assert_eq!(check_numbered(&store), 10, "what was not synced is not shown");
    drop(store);
    let store = open_small(folder.path()).unwrap();
    let found = check_numbered(&store);
    assert!((10..=11).contains(&found), "{found}");
    assert_eq!(write_numbered(&store, found, 20, 1), 20);
}

#[test]
fn a_group_costs_one_sync() {
    let folder = tempfile::tempdir().unwrap();
    let files = FaultFiles::new();
    let config = mesh_store::Config { segment_bytes: 1 << 30, ..small(Arc::new(files.clone())) };
    let store = FjallStore::open(folder.path(), config).unwrap();
    write_numbered(&store, 0, 1, 1);
    let before = files.syncs();
    write_numbered(&store, 1, 4, 1);
    assert_eq!(files.syncs() - before, 3);
}

#[test]
fn closing_leaves_nothing_to_replay() {
    let folder = tempfile::tempdir().unwrap();
    let files = FaultFiles::new();
    let store = FjallStore::open(folder.path(), small(Arc::new(files.clone()))).unwrap();
    files.fail_replaces();
    assert_eq!(write_numbered(&store, 0, 1000, 16), 1000);
    store.close().unwrap_err();
    drop(store);
    // No checkpoint could be taken: there are several full segments and an empty one.
    let segments = |folder: &Path| std::fs::read_dir(folder.join("journal")).unwrap().count();
    assert!(segments(folder.path()) > 2);
    drop(open_small(folder.path()).unwrap());
    assert_eq!(segments(folder.path()), 1);
    let store = open_small(folder.path()).unwrap();
    assert_eq!(store.status().memory_bytes, 0, "everything is in tables");
    assert_eq!(check_numbered(&store), 1000);
}
