//! What every engine must do. Each check is a plain function over `&dyn Kv`, run for every engine.

use std::collections::BTreeSet;

use mesh_store::limits::{BATCH_BYTES_MAX, BATCH_ITEMS_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};
use mesh_store::{Batch, ErrorKind, FjallStore, KeyRange, Kv, MemoryStore, Order, Place, Read, Space, StoreError, counter};

use crate::support::{open_small, spaces};

const S: Space = Space::ALL[0];

/// Runs every check on a fresh store of the engine.
fn check_all(mut fresh: impl FnMut() -> Box<dyn Kv>) {
    for check in CHECKS {
        let store = fresh();
        check(&*store);
        store.close().unwrap();
    }
}

const CHECKS: &[fn(&dyn Kv)] = &[
    a_put_is_read_back,
    later_operations_of_a_batch_win,
    conditions_hold_or_nothing_is_written,
    the_failing_condition_is_named,
    conditions_see_earlier_batches,
    counters_add_up_and_vanish_at_zero,
    counters_refuse_overflow_and_foreign_values,
    scans_go_both_ways_and_stop_at_the_limit,
    prefixes_of_0xff_are_scanned_to_the_end,
    empty_ranges_find_nothing,
    snapshots_do_not_change,
    limits_are_refused,
    merged_batches_are_one,
    batches_without_operations_only_check,
    watchers_see_commits_of_their_space,
    changes_are_noted_before_their_commit_resolves,
    dropped_commits_are_written,
    closed_stores_read_but_do_not_write,
    spaces_are_apart,
];

#[test]
fn memory_store_conforms() {
    check_all(|| Box::new(MemoryStore::new()));
}

#[test]
fn fjall_store_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let mut number = 0;
    check_all(|| {
        number += 1;
        Box::new(open_small(&folder.path().join(number.to_string())).unwrap())
    });
}

#[test]
fn fjall_store_conforms_when_everything_is_in_tables() {
    let folder = tempfile::tempdir().unwrap();
    let mut number = 0;
    check_all(|| {
        number += 1;
        Box::new(Flushing(open_small(&folder.path().join(number.to_string())).unwrap()))
    });
}

/// Compacts after every commit, so that reads come from tables.
struct Flushing(FjallStore);

impl Read for Flushing {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<mesh_store::Value>, StoreError> {
        self.0.get(space, key)
    }
    fn multi_get(&self, space: Space, keys: &[&[u8]]) -> Result<Vec<Option<mesh_store::Value>>, StoreError> {
        self.0.multi_get(space, keys)
    }
    fn scan(
        &self,
        space: Space,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(mesh_store::Key, mesh_store::Value)>, StoreError> {
        self.0.scan(space, range, order, limit)
    }
}

impl Kv for Flushing {
    fn snapshot(&self) -> Result<Box<dyn Read>, StoreError> {
        self.0.snapshot()
    }
    fn commit(&self, batch: Batch) -> mesh_store::Commit {
        let outcome = self.0.commit(batch).wait();
        if outcome.is_ok() {
            self.0.compact().unwrap();
        }
        mesh_store::Commit::known(outcome)
    }
    fn watch(&self, space: Space) -> tokio::sync::watch::Receiver<u64> {
        self.0.watch(space)
    }
    fn changes(&self) -> &mesh_store::Changes {
        self.0.changes()
    }
    fn status(&self) -> mesh_store::Status {
        self.0.status()
    }
    fn capture(&self) -> Result<Option<mesh_store::Capture>, StoreError> {
        self.0.capture()
    }
    fn close(&self) -> Result<(), StoreError> {
        self.0.close()
    }
}

fn commit(store: &dyn Kv, build: impl FnOnce(&mut Batch)) -> Result<u64, StoreError> {
    let mut batch = Batch::new();
    build(&mut batch);
    store.commit(batch).wait().map(|committed| committed.sequence)
}

fn keys(store: &dyn Read, range: &KeyRange, order: Order, limit: usize) -> Vec<Vec<u8>> {
    store.scan(S, range, order, limit).unwrap().into_iter().map(|(key, _)| key.to_vec()).collect()
}

fn a_put_is_read_back(store: &dyn Kv) {
    let before = store.status().sequence;
    let sequence = commit(store, |batch| {
        batch.put(S, "a", "1").put(S, "empty", "");
    });
    assert_eq!(sequence.unwrap(), before + 1);
    assert_eq!(store.get(S, b"a").unwrap().unwrap(), "1");
    assert_eq!(store.get(S, b"empty").unwrap().unwrap(), "");
    assert_eq!(store.get(S, b"b").unwrap(), None);
    assert_eq!(store.get(S, b"").unwrap(), None);
    let several = store.multi_get(S, &[b"b", b"a", b"a"]).unwrap();
    assert_eq!(several, [None, Some("1".into()), Some("1".into())]);
    commit(store, |batch| {
        batch.delete(S, "a").delete(S, "never there");
    })
    .unwrap();
    assert_eq!(store.get(S, b"a").unwrap(), None);
}

fn later_operations_of_a_batch_win(store: &dyn Kv) {
    commit(store, |batch| {
        batch.put(S, "a", "1").delete(S, "a").put(S, "b", "1").put(S, "b", "2");
        batch.put(S, "c", 5_i64.to_be_bytes()).add(S, "c", 2).delete(S, "d").add(S, "d", 3).add(S, "e", 4).delete(S, "e");
    })
    .unwrap();
    assert_eq!(store.get(S, b"a").unwrap(), None);
    assert_eq!(store.get(S, b"b").unwrap().unwrap(), "2");
    assert_eq!(counter(store, S, b"c").unwrap(), 7);
    assert_eq!(counter(store, S, b"d").unwrap(), 3);
    assert_eq!(store.get(S, b"e").unwrap(), None);
}

fn conditions_hold_or_nothing_is_written(store: &dyn Kv) {
    commit(store, |batch| {
        batch.expect_absent(S, "a").put(S, "a", "1");
    })
    .unwrap();
    let check = |build: &dyn Fn(&mut Batch), holds: bool| {
        let outcome = commit(store, |batch| {
            build(batch);
            batch.put(S, "witness", "x");
        });
        assert_eq!(outcome.is_ok(), holds);
        assert_eq!(store.get(S, b"witness").unwrap().is_some(), holds);
        commit(store, |batch| {
            batch.delete(S, "witness");
        })
        .unwrap();
    };
    check(
        &|batch| {
            batch.expect_absent(S, "a");
        },
        false,
    );
    check(
        &|batch| {
            batch.expect_absent(S, "b");
        },
        true,
    );
    check(
        &|batch| {
            batch.expect_present(S, "a");
        },
        true,
    );
    check(
        &|batch| {
            batch.expect_present(S, "b");
        },
        false,
    );
    check(
        &|batch| {
            batch.expect_value(S, "a", "1");
        },
        true,
    );
    check(
        &|batch| {
            batch.expect_value(S, "a", "2");
        },
        false,
    );
    check(
        &|batch| {
            batch.expect_value(S, "b", "");
        },
        false,
    );
}

fn the_failing_condition_is_named(store: &dyn Kv) {
    let outcome = commit(store, |batch| {
        batch.expect_absent(S, "a").expect_present(S, "b").put(S, "a", "1");
    });
    assert!(matches!(outcome, Err(StoreError::ConditionFailed { index: 1, space: S })), "{outcome:?}");
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Caller);
}

fn conditions_see_earlier_batches(store: &dyn Kv) {
    let claim = |value: &str| {
        let mut batch = Batch::new();
        batch.expect_absent(S, "claim").put(S, "claim", value).add(S, "claims", 1);
        store.commit(batch)
    };
    let commits: Vec<_> = (0..50).map(|n| claim(&n.to_string())).collect();
    let outcomes: Vec<bool> = commits.into_iter().map(|commit| commit.wait().is_ok()).collect();
    assert_eq!(outcomes.iter().filter(|won| **won).count(), 1);
    assert!(outcomes[0], "the first called is the first served");
    assert_eq!(store.get(S, b"claim").unwrap().unwrap(), "0");
    assert_eq!(counter(store, S, b"claims").unwrap(), 1);
}

fn counters_add_up_and_vanish_at_zero(store: &dyn Kv) {
    assert_eq!(counter(store, S, b"n").unwrap(), 0);
    let commits: Vec<_> = (1..=100)
        .map(|n| {
            let mut batch = Batch::new();
            batch.add(S, "n", n);
            store.commit(batch)
        })
        .collect();
    for commit in commits {
        commit.wait().unwrap();
    }
    assert_eq!(counter(store, S, b"n").unwrap(), 5050);
    commit(store, |batch| {
        batch.add(S, "n", -5051).add(S, "zero", 0);
    })
    .unwrap();
    assert_eq!(counter(store, S, b"n").unwrap(), -1);
    commit(store, |batch| {
        batch.add(S, "n", 1);
    })
    .unwrap();
    assert_eq!(store.get(S, b"n").unwrap(), None);
    assert_eq!(store.get(S, b"zero").unwrap(), None);
    commit(store, |batch| {
        batch.expect_absent(S, "n").add(S, "n", 2);
    })
    .unwrap();
}

fn counters_refuse_overflow_and_foreign_values(store: &dyn Kv) {
    commit(store, |batch| {
        batch.add(S, "n", i64::MAX).put(S, "text", "hello");
    })
    .unwrap();
    for key in ["n", "text"] {
        let outcome = commit(store, |batch| {
            batch.put(S, "witness", "x").add(S, "other", 1).add(S, key, 1);
        });
        assert!(matches!(outcome, Err(StoreError::Invalid { space: S, .. })), "{outcome:?}");
    }
    assert_eq!(store.get(S, b"witness").unwrap(), None);
    assert_eq!(store.get(S, b"other").unwrap(), None);
    assert_eq!(counter(store, S, b"n").unwrap(), i64::MAX);
    assert!(counter(store, S, b"text").is_err());
}

fn scans_go_both_ways_and_stop_at_the_limit(store: &dyn Kv) {
    commit(store, |batch| {
        for n in 0..100_u8 {
            batch.put(S, [b'k', n], [n]);
        }
        batch.put(S, "j", "").put(S, "l", "");
    })
    .unwrap();
    commit(store, |batch| {
        batch.delete(S, [b'k', 50]).put(S, [b'k', 51], "new");
    })
    .unwrap();
    let forward = keys(store, &KeyRange::prefix("k"), Order::Forward, usize::MAX);
    let mut backward = keys(store, &KeyRange::prefix("k"), Order::Backward, usize::MAX);
    assert_eq!(forward.len(), 99);
    backward.reverse();
    assert_eq!(forward, backward);
    assert!(forward.is_sorted());
    assert_eq!(keys(store, &KeyRange::all(), Order::Forward, 2), [b"j".to_vec(), b"k\0".to_vec()]);
    assert_eq!(keys(store, &KeyRange::all(), Order::Backward, 2), [b"l".to_vec(), b"k\x63".to_vec()]);
    assert_eq!(keys(store, &KeyRange::all(), Order::Forward, 0).len(), 0);
    assert_eq!(keys(store, &KeyRange::between("k\x30", "k\x35"), Order::Forward, 9).len(), 4);
    assert_eq!(keys(store, &KeyRange::starting_at("k\x62"), Order::Forward, 9).len(), 3);
    let page = KeyRange::prefix("k").after("k\x05");
    assert_eq!(keys(store, &page, Order::Forward, 1), [b"k\x06".to_vec()]);
    let page = KeyRange::prefix("k").before("k\x05");
    assert_eq!(keys(store, &page, Order::Backward, 1), [b"k\x04".to_vec()]);
}

fn prefixes_of_0xff_are_scanned_to_the_end(store: &dyn Kv) {
    let all: [&[u8]; 5] = [b"a", b"a\xff", b"a\xff\xff\x01", b"b", b"\xff\xff\xff"];
    commit(store, |batch| {
        for key in all {
            batch.put(S, key, "");
        }
    })
    .unwrap();
    assert_eq!(keys(store, &KeyRange::prefix("a"), Order::Forward, 9).len(), 3);
    assert_eq!(keys(store, &KeyRange::prefix(b"a\xff"), Order::Backward, 9), [b"a\xff\xff\x01".to_vec(), b"a\xff".to_vec()]);
    assert_eq!(keys(store, &KeyRange::prefix(b"\xff\xff"), Order::Forward, 9), [b"\xff\xff\xff".to_vec()]);
    assert_eq!(keys(store, &KeyRange::prefix(""), Order::Backward, 9).len(), 5);
}

fn empty_ranges_find_nothing(store: &dyn Kv) {
    commit(store, |batch| {
        batch.put(S, "a", "").put(S, "b", "");
    })
    .unwrap();
    for range in
        [KeyRange::between("b", "a"), KeyRange::between("a", "a"), KeyRange::all().after("b"), KeyRange::prefix("a").after("a").before("a")]
    {
        for order in [Order::Forward, Order::Backward] {
            assert_eq!(keys(store, &range, order, 9).len(), 0, "{range:?}");
        }
    }
}

fn snapshots_do_not_change(store: &dyn Kv) {
    let write = |value: &str| {
        commit(store, |batch| {
            for n in 0..20_u8 {
                batch.put(S, [n], value);
            }
            batch.put(S, format!("extra {value}"), "").delete(S, [5]);
        })
        .unwrap();
    };
    write("1");
    let first = store.snapshot().unwrap();
    write("2");
    let second = store.snapshot().unwrap();
    write("3");
    for (snapshot, value, length) in [(&first, "1", 20), (&second, "2", 21)] {
        assert_eq!(snapshot.get(S, &[1]).unwrap().unwrap(), value);
        assert_eq!(keys(&**snapshot, &KeyRange::all(), Order::Backward, usize::MAX).len(), length);
    }
    drop(first);
    write("4");
    assert_eq!(second.get(S, &[1]).unwrap().unwrap(), "2");
    assert_eq!(store.get(S, &[1]).unwrap().unwrap(), "4");
}

fn limits_are_refused(store: &dyn Kv) {
    let long_key = vec![1; KEY_BYTES_MAX];
    let long_value = vec![2; VALUE_BYTES_MAX];
    commit(store, |batch| {
        batch.put(S, &long_key, &long_value);
    })
    .unwrap();
    assert_eq!(store.get(S, &long_key).unwrap().unwrap(), long_value);
    let refused = |build: &dyn Fn(&mut Batch)| {
        let outcome = commit(store, |batch| {
            batch.put(S, "witness", "");
            build(batch);
        });
        assert!(matches!(outcome, Err(StoreError::TooLarge { .. })), "{outcome:?}");
    };
    refused(&|batch| {
        batch.put(S, vec![1; KEY_BYTES_MAX + 1], "");
    });
    refused(&|batch| {
        batch.delete(S, vec![1; KEY_BYTES_MAX + 1]);
    });
    refused(&|batch| {
        batch.expect_value(S, "k", vec![1; VALUE_BYTES_MAX + 1]);
    });
    refused(&|batch| {
        for n in 0..=(BATCH_BYTES_MAX / VALUE_BYTES_MAX) as u32 {
            batch.put(S, n.to_be_bytes(), &long_value);
        }
    });
    refused(&|batch| {
        for n in 0..=BATCH_ITEMS_MAX as u32 {
            batch.delete(S, n.to_be_bytes());
        }
    });
    let outcome = commit(store, |batch| {
        batch.put(S, "witness", "").put(S, "", "");
    });
    assert!(matches!(outcome, Err(StoreError::Invalid { .. })), "{outcome:?}");
    assert_eq!(store.get(S, b"witness").unwrap(), None);
    commit(store, |batch| {
        for n in 0..(BATCH_BYTES_MAX / (VALUE_BYTES_MAX + 4)) as u32 {
            batch.put(S, n.to_be_bytes(), &long_value);
        }
    })
    .unwrap();
}

fn merged_batches_are_one(store: &dyn Kv) {
    let mut one = Batch::new();
    one.expect_absent(S, "a").put(S, "a", "1").add(S, "n", 1);
    let mut two = Batch::new();
    two.expect_absent(S, "a").expect_value(S, "b", "0").put(S, "b", "2").add(S, "n", 1);
    let mut both = one.clone();
    both.merge(two);
    assert!(!both.is_empty());
    assert_eq!(both.size_bytes(), one.size_bytes() + 6);
    let outcome = store.commit(both.clone()).wait();
    assert!(matches!(outcome, Err(StoreError::ConditionFailed { index: 2, .. })), "{outcome:?}");
    commit(store, |batch| {
        batch.put(S, "b", "0");
    })
    .unwrap();
    store.commit(both).wait().unwrap();
    assert_eq!(store.get(S, b"b").unwrap().unwrap(), "2");
    assert_eq!(counter(store, S, b"n").unwrap(), 2);
}

fn batches_without_operations_only_check(store: &dyn Kv) {
    let sequence = commit(store, |batch| {
        batch.put(S, "a", "1");
    })
    .unwrap();
    assert_eq!(commit(store, |_| {}).unwrap(), sequence);
    assert_eq!(
        commit(store, |batch| {
            batch.expect_present(S, "a");
        })
        .unwrap(),
        sequence
    );
    assert!(
        commit(store, |batch| {
            batch.expect_absent(S, "a");
        })
        .is_err()
    );
    assert_eq!(store.status().sequence, sequence);
}

fn watchers_see_commits_of_their_space(store: &dyn Kv) {
    let (first, second) = spaces();
    let mut watch = store.watch(first);
    assert!(!watch.has_changed().unwrap());
    let sequence = commit(store, |batch| {
        batch.put(first, "a", "1");
    })
    .unwrap();
    assert!(watch.has_changed().unwrap());
    assert_eq!(*watch.borrow_and_update(), sequence);
    let refused = commit(store, |batch| {
        batch.expect_absent(first, "a").put(first, "a", "2");
    });
    assert!(refused.is_err());
    if first != second {
        commit(store, |batch| {
            batch.put(second, "a", "1");
        })
        .unwrap();
    }
    assert!(!watch.has_changed().unwrap());
}

fn changes_are_noted_before_their_commit_resolves(store: &dyn Kv) {
    let space = Space::Count;
    let places = [Place::of_key(space, b"12345678 and more"), Place::of_space(Space::Notice)];
    let before = store.changes().now();
    commit(store, |batch| {
        batch.put(space, "another", "1");
    })
    .unwrap();
    assert!(!store.changes().any_since(before, &places), "of another key");
    for key in ["12345678", "12345678 or others that begin so"] {
        let before = store.changes().now();
        commit(store, |batch| {
            batch.add(space, key, 1);
        })
        .unwrap();
        assert!(store.changes().any_since(before, &places), "{key}");
        assert!(!store.changes().any_since(store.changes().now(), &places));
    }
    let before = store.changes().now();
    let outcome = commit(store, |batch| {
        batch.expect_present(space, "absent").put(Space::Notice, "a", "1");
    });
    assert!(outcome.is_err() && !store.changes().any_since(before, &places), "what is refused changes nothing");
    commit(store, |batch| {
        batch.put(Space::Notice, "any key", "1");
    })
    .unwrap();
    assert!(store.changes().any_since(before, &places), "a whole space");
}

fn dropped_commits_are_written(store: &dyn Kv) {
    let mut batch = Batch::new();
    batch.put(S, "a", "1");
    drop(store.commit(batch));
    commit(store, |batch| {
        batch.expect_present(S, "a");
    })
    .unwrap();
}

fn closed_stores_read_but_do_not_write(store: &dyn Kv) {
    commit(store, |batch| {
        batch.put(S, "a", "1");
    })
    .unwrap();
    store.close().unwrap();
    let outcome = commit(store, |batch| {
        batch.put(S, "a", "2");
    });
    assert!(matches!(outcome, Err(StoreError::Closed)), "{outcome:?}");
    assert_eq!(store.get(S, b"a").unwrap().unwrap(), "1");
}

fn spaces_are_apart(store: &dyn Kv) {
    for space in Space::ALL.iter().copied() {
        commit(store, |batch| {
            batch.expect_absent(space, "k").put(space, "k", space.name());
        })
        .unwrap();
    }
    for space in Space::ALL.iter().copied() {
        assert_eq!(store.get(space, b"k").unwrap().unwrap(), space.name());
    }
}

#[test]
fn numbers_and_names_of_spaces_are_unique() {
    let numbers: BTreeSet<u8> = Space::ALL.iter().map(|space| *space as u8).collect();
    let names: BTreeSet<&str> = Space::ALL.iter().map(|space| space.name()).collect();
    assert_eq!((numbers.len(), names.len()), (Space::ALL.len(), Space::ALL.len()));
}

#[tokio::test]
async fn a_commit_can_be_awaited() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_small(folder.path()).unwrap();
    let mut batch = Batch::new();
    batch.put(S, "a", "1");
    let committed = store.commit(batch).await.unwrap();
    assert_eq!(committed.sequence, 1);
    assert_eq!(store.get(S, b"a").unwrap().unwrap(), "1");
}
