//! The disk is full: writes are refused, reads go on, and writes resume when there is room, without opening the store again.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use mesh_store::files::OsFiles;
use mesh_store::testing::FaultFiles;
use mesh_store::{Batch, Config, ErrorKind, FjallStore, Health, Kv, Read, Space, StoreError};

use crate::support::{check_numbered, numbered, open_small, small, write_numbered};

#[test]
fn a_journal_that_finds_no_room_refuses_writes_and_resumes() {
    for room in 0..200 {
        let folder = tempfile::tempdir().unwrap();
        let files = FaultFiles::new();
        let store = FjallStore::open(folder.path(), small(Arc::new(files.clone()))).unwrap();
        write_numbered(&store, 0, 20, 4);
        files.set_room(Some(room * 7));
        let written = write_numbered(&store, 20, 60, 1);
        if written < 60 {
            let error = store.commit(numbered(written)).wait().unwrap_err();
            assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
            assert_eq!(error.kind(), ErrorKind::Retry);
            assert_eq!(check_numbered(&store), written, "reads go on, and see nothing of what was refused");
        }
        files.set_room(None);
        assert_eq!(write_numbered(&store, written, 80, 4), 80);
        assert_eq!(store.status().health, Health::Ok);
        drop(store);
        assert_eq!(check_numbered(&open_small(folder.path()).unwrap()), 80);
    }
}

#[test]
fn too_little_reserve_refuses_writes() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { disk_reserve_bytes: u64::MAX, ..small(Arc::new(OsFiles)) };
    let store = FjallStore::open(folder.path(), config).unwrap();
    let error = store.commit(numbered(0)).wait().unwrap_err();
    assert!(matches!(error, StoreError::Full { reserve_bytes: u64::MAX, .. }), "{error:?}");
    assert_eq!(store.status().health, Health::Full);
}

/// A small file system of its own, gone when dropped.
struct TinyDisk(tempfile::TempDir);

impl TinyDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]).arg(folder.path()).status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

/// Commits 50 kB values until refused; answers how many were acknowledged.
fn fill(store: &FjallStore, from: u32) -> (u32, StoreError) {
    for n in from.. {
        let mut batch = Batch::new();
        // Incompressible, so that tables do not shrink it.
        let value: Vec<u8> = (0..12_500_u32).flat_map(|i| (i ^ n).wrapping_mul(0x9e37_79b9).rotate_left(i % 31).to_be_bytes()).collect();
        batch.put(Space::ALL[0], n.to_be_bytes(), value);
        if let Err(error) = store.commit(batch).wait() {
            return (n, error);
        }
    }
    unreachable!("a tiny disk fills up")
}

fn fill_tiny_disk(reserve_bytes: u64) {
    let Some(disk) = TinyDisk::mount() else {
        eprintln!("skipped: mounting a tmpfs needs root");
        return;
    };
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![1; 8 << 20]).unwrap();
    let config = Config { segment_bytes: 1 << 20, disk_reserve_bytes: reserve_bytes, ..Config::default() };
    let store = FjallStore::open(disk.path().join("store"), config.clone()).unwrap();
    let (written, error) = fill(&store, 0);
    assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
    let all_there = |store: &FjallStore, count: u32| {
        for n in 0..count {
            assert!(store.get(Space::ALL[0], &n.to_be_bytes()).unwrap().is_some(), "{n} of {count}");
        }
    };
    all_there(&store, written);
    std::fs::remove_file(&ballast).unwrap();
    // The housekeeper looks again every second; until then a refusal is fair.
    let (more, _) = loop {
        let (more, error) = fill(&store, written);
        if more > written {
            break (more, error);
        }
        std::thread::yield_now();
    };
    all_there(&store, more);
    drop(store);
    std::fs::remove_dir_all(disk.path().join("lost+found")).ok();
    let store = FjallStore::open(disk.path().join("store"), config).unwrap();
    all_there(&store, more);
}

#[test]
fn a_really_full_disk_refuses_writes_and_resumes() {
    fill_tiny_disk(4 << 20);
}

#[test]
fn a_really_full_disk_without_reserve_loses_nothing() {
    fill_tiny_disk(0);
}
