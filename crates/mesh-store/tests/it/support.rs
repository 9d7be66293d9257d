//! What several test files share: spaces, small configurations, and the numbered write load that crash tests check.

use std::path::Path;
use std::sync::Arc;

use mesh_store::files::{Files, OsFiles};
use mesh_store::{Batch, Config, FjallStore, KeyRange, Kv, Order, Space, StoreError, counter};

/// Two spaces, by number: the stored fixture uses them, and numbers do not change.
pub(crate) fn spaces() -> (Space, Space) {
    let numbered = |number| Space::ALL.iter().copied().find(|space| *space as u8 == number).expect("numbers are never given up");
    (numbered(0), numbered(1))
}

/// Small segments, so that checkpoints and compactions happen all the time.
pub(crate) fn small(files: Arc<dyn Files>) -> Config {
    Config { cache_bytes: 1 << 20, segment_bytes: 32 * 1024, disk_reserve_bytes: 0, files }
}

pub(crate) fn open_small(folder: &Path) -> Result<FjallStore, StoreError> {
    FjallStore::open(folder, small(Arc::new(OsFiles)))
}

/// The batch with number `n` of the load: two puts, a hot counter, a condition, and a removal of an older key.
pub(crate) fn numbered(n: u64) -> Batch {
    let (first, second) = spaces();
    let mut batch = Batch::new();
    batch.expect_absent(first, number_key(n)).put(first, number_key(n), number_value(n));
    batch.put(second, index_key(n), n.to_be_bytes()).add(second, "c:total", 1);
    if n >= 10 {
        batch.delete(second, index_key(n - 10));
    }
    batch
}

fn number_key(n: u64) -> Vec<u8> {
    [b"n:", &n.to_be_bytes()[..]].concat()
}

fn index_key(n: u64) -> Vec<u8> {
    [b"i:", &n.to_be_bytes()[..]].concat()
}

fn number_value(n: u64) -> Vec<u8> {
    n.to_be_bytes().repeat(3 + (n % 40) as usize)
}

/// Checks that the store holds exactly the batches `0..k` for some `k`, whole, and answers `k`.
pub(crate) fn check_numbered(store: &dyn Kv) -> u64 {
    let (first, second) = spaces();
    let found = store.scan(first, &KeyRange::prefix("n:"), Order::Forward, usize::MAX).expect("scan");
    for (n, (key, value)) in found.iter().enumerate() {
        assert_eq!(key.as_ref(), number_key(n as u64), "batch {n} is missing, later ones are there");
        assert_eq!(value.as_ref(), number_value(n as u64), "the value of batch {n}");
    }
    let total = found.len() as u64;
    assert_eq!(counter(store, second, b"c:total").expect("counter"), total as i64, "the counter counts each batch once");
    let index = store.scan(second, &KeyRange::prefix("i:"), Order::Backward, usize::MAX).expect("scan");
    let expected: Vec<Vec<u8>> = (total.saturating_sub(10)..total).rev().map(index_key).collect();
    let got: Vec<Vec<u8>> = index.iter().map(|(key, _)| key.to_vec()).collect();
    assert_eq!(got, expected, "the removals of the last batches");
    assert_eq!(store.status().sequence, total, "one sequence a batch");
    total
}

/// Writes the batches `from..to`, keeping `ahead` of them in flight; answers how many were acknowledged before the first refusal.
pub(crate) fn write_numbered(store: &dyn Kv, from: u64, to: u64, ahead: usize) -> u64 {
    let mut flying = std::collections::VecDeque::new();
    let mut acknowledged = from;
    let mut next = from;
    while acknowledged < to {
        while next < to && flying.len() < ahead {
            flying.push_back(store.commit(numbered(next)));
            next += 1;
        }
        let Some(commit) = flying.pop_front() else { break };
        if commit.wait().is_err() {
            // Those behind it rest on it, so none of them may have been acknowledged.
            assert!(flying.into_iter().all(|later| later.wait().is_err()), "a batch was acknowledged after a lost one");
            break;
        }
        acknowledged += 1;
    }
    acknowledged
}

/// Copies a folder with all its files.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
