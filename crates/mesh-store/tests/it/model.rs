//! Random operations against the durable engine and the memory engine side by side: every answer must be the same.

use mesh_store::{Batch, FjallStore, KeyRange, Kv, MemoryStore, Order, Read, Space};
use proptest::prelude::*;

use crate::support::open_small;

#[derive(Debug, Clone)]
enum Step {
    /// Batches committed without waiting in between.
    Commit(Vec<Vec<Item>>),
    Scan(Vec<u8>, Vec<u8>, Order, usize),
    Snapshot,
    DropSnapshot,
    Reopen,
    Compact,
}

#[derive(Debug, Clone)]
enum Item {
    Absent(Space, Vec<u8>),
    Present(Space, Vec<u8>),
    Value(Space, Vec<u8>, Vec<u8>),
    Put(Space, Vec<u8>, Vec<u8>),
    Delete(Space, Vec<u8>),
    Add(Space, Vec<u8>, i64),
}

fn space() -> impl Strategy<Value = Space> {
    // Few, so that the same keys meet often.
    prop::sample::select(Space::ALL.get(..3).unwrap_or(Space::ALL))
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(vec![0_u8, b'a', b'b', 0xff]), 1..4)
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::sample::select(vec![vec![], b"x".to_vec(), b"y".to_vec()]),
        (-2_i64..3).prop_map(|n| n.to_be_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..3000),
    ]
}

fn item() -> impl Strategy<Value = Item> {
    prop_oneof![
        1 => (space(), key()).prop_map(|(s, k)| Item::Absent(s, k)),
        1 => (space(), key()).prop_map(|(s, k)| Item::Present(s, k)),
        1 => (space(), key(), value()).prop_map(|(s, k, v)| Item::Value(s, k, v)),
        6 => (space(), key(), value()).prop_map(|(s, k, v)| Item::Put(s, k, v)),
        4 => (space(), key()).prop_map(|(s, k)| Item::Delete(s, k)),
        4 => (space(), key(), prop_oneof![-2_i64..3, Just(i64::MAX)]).prop_map(|(s, k, n)| Item::Add(s, k, n)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let batches = prop::collection::vec(prop::collection::vec(item(), 0..6), 1..12);
    let order = prop_oneof![Just(Order::Forward), Just(Order::Backward)];
    prop_oneof![
        12 => batches.prop_map(Step::Commit),
        6 => (key(), key(), order, 0_usize..8).prop_map(|(a, b, o, n)| Step::Scan(a, b, o, n)),
        2 => Just(Step::Snapshot),
        1 => Just(Step::DropSnapshot),
        1 => Just(Step::Reopen),
        1 => Just(Step::Compact),
    ]
}

fn batch(items: &[Item]) -> Batch {
    let mut batch = Batch::new();
    for item in items {
        match item {
            Item::Absent(s, k) => batch.expect_absent(*s, k),
            Item::Present(s, k) => batch.expect_present(*s, k),
            Item::Value(s, k, v) => batch.expect_value(*s, k, v),
            Item::Put(s, k, v) => batch.put(*s, k, v),
            Item::Delete(s, k) => batch.delete(*s, k),
            Item::Add(s, k, n) => batch.add(*s, k, *n),
        };
    }
    batch
}

fn same_content(left: &dyn Read, right: &dyn Read) {
    for space in Space::ALL.iter().copied() {
        for order in [Order::Forward, Order::Backward] {
            let all = KeyRange::all();
            assert_eq!(left.scan(space, &all, order, 1000).unwrap(), right.scan(space, &all, order, 1000).unwrap());
        }
    }
}

fn run(steps: &[Step]) {
    let folder = tempfile::tempdir().unwrap();
    let mut store: FjallStore = open_small(folder.path()).unwrap();
    let oracle = MemoryStore::new();
    let mut snapshots: Vec<(Box<dyn Read>, Box<dyn Read>)> = Vec::new();
    for step in steps {
        match step {
            Step::Commit(batches) => {
                let commits: Vec<_> = batches.iter().map(|items| store.commit(batch(items))).collect();
                for (commit, items) in commits.into_iter().zip(batches) {
                    let expected = oracle.commit(batch(items)).wait();
                    let got = commit.wait();
                    assert_eq!(format!("{got:?}"), format!("{expected:?}"), "{items:?}");
                }
            }
            Step::Scan(a, b, order, limit) => {
                for range in [
                    KeyRange::prefix(a),
                    KeyRange::between(a, b),
                    KeyRange::starting_at(b),
                    KeyRange::prefix(a).after(b),
                    KeyRange::all().before(b),
                ] {
                    for space in Space::ALL.iter().copied() {
                        let got = store.scan(space, &range, *order, *limit).unwrap();
                        assert_eq!(got, oracle.scan(space, &range, *order, *limit).unwrap(), "{range:?}");
                        assert!(got.iter().all(|(key, _)| range.contains(key)));
                        assert_eq!(store.get(space, a).unwrap(), oracle.get(space, a).unwrap());
                    }
                }
            }
            Step::Snapshot => snapshots.push((store.snapshot().unwrap(), oracle.snapshot().unwrap())),
            Step::DropSnapshot => drop(snapshots.pop()),
            Step::Reopen => {
                snapshots.clear();
                drop(store);
                store = open_small(folder.path()).unwrap();
            }
            Step::Compact => store.compact().unwrap(),
        }
        for (got, expected) in &snapshots {
            same_content(&**got, &**expected);
        }
    }
    same_content(&store, &oracle);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn fjall_store_answers_as_the_memory_store(steps in prop::collection::vec(step(), 1..40)) {
        run(&steps);
    }
}
