//! Both sides of a pair enumerate the same set, whatever lies around it, and find exactly that in which they differ.

use super::*;
use crate::federation::healing::answers::storage;
use crate::tables::OWN;
use crate::tables::account::{self, AccountRow};
use mesh_proto::envelope::Kind;
use mesh_store::{Batch, Kv, MemoryStore};
use mesh_testkit::TestAccount;
use negentropy::Negentropy;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;

const PEER: PeerNo = PeerNo(7);
const THEIR_LOG: OriginNo = OriginNo(3);

/// A leaf of the actors' home, and what became of its record at the other one.
#[derive(Debug, Clone, Copy)]
struct Leaf {
    standing: u8,
    /// 0: it went nowhere, 1: to another domain, 2: it was refused, else it is there.
    went: u8,
    /// How many leaves lie between it and the next.
    gap: u64,
    mover: bool,
}

fn leaves() -> impl Strategy<Value = Vec<Leaf>> {
    let gap = prop_oneof![4 => 0..3u64, 1 => 0..5_000u64];
    let leaf = (0..4u8, 0..8u8, gap, proptest::bool::weighted(0.1));
    proptest::collection::vec(leaf.prop_map(|(standing, went, gap, mover)| Leaf { standing, went, gap, mover }), 0..120)
}

fn id(index: u64) -> RecordId {
    let mut hash = [0xa5; 32];
    // Of a like number of bytes that differ, so that orders by id and by leaf are not the same.
    hash[..8].copy_from_slice(&index.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    RecordId::from_hash(hash)
}

/// A store with two accounts: the first lives at `one`, the second moved away.
fn store() -> (Arc<dyn Kv>, Accounts, Domain) {
    let (kv, one): (Arc<dyn Kv>, Domain) = (Arc::new(MemoryStore::new()), "one.localhost:1".parse().expect("a domain"));
    let accounts = Accounts::open(Arc::clone(&kv), one.clone(), 1 << 20).expect("opens");
    for (number, address) in [(1, "ada@one.localhost:1"), (2, "eve@two.localhost:2")] {
        let person = TestAccount::new(address, number);
        let mut batch = Batch::new();
        let lid = accounts.next_lid();
        account::insert(&mut batch, lid, &AccountRow { id: person.id(), name_leaf: None, keeps: false });
        account::put_op(&mut batch, lid, 0, person.keys.ops().next().expect("a genesis"));
        kv.commit(batch).wait().expect("commits");
    }
    (kv, accounts, one)
}

fn reference(leaf: Leaf, index: u64, log: OriginNo) -> Reference {
    let standing = [Standing::Live, Standing::Superseded, Standing::Retracted, Standing::Edit][usize::from(leaf.standing)];
    // An edit is of the first leaf, which stands or not.
    let object = (standing == Standing::Edit).then(|| Lid::new(log, 0).into());
    let actor = AccountLid(if leaf.mover { 2 } else { 1 });
    Reference { standing, kind: Kind::Like, id: id(index), actor, received: index, device: 0, object, parent: None, choices: None }
}

/// Writes the leaves into both stores; answers how many there are.
fn write(ours: &dyn Kv, theirs: &dyn Kv, leaves: &[Leaf]) -> u64 {
    let (mut at_home, mut elsewhere) = (Batch::new(), Batch::new());
    let mut index = 0;
    for leaf in leaves {
        reference(*leaf, index, OWN).insert(&mut at_home, Lid::new(OWN, index));
        match leaf.went {
            0 => {}
            1 => _ = at_home.put(Space::Outbox, crate::tables::outbox_key(PeerNo(PEER.0 + 1), index), []),
            2 => queue::put_refused(&mut at_home, PEER, index),
            _ => {
                queue::put_wanted(&mut at_home, PEER, index);
                reference(*leaf, index, THEIR_LOG).insert(&mut elsewhere, Lid::new(THEIR_LOG, index));
            }
        }
        // Other logs lie on both sides of it.
        for log in [THEIR_LOG.0 - 1, THEIR_LOG.0 + 1] {
            reference(*leaf, index + 1, OriginNo(log)).put(&mut elsewhere, Lid::new(OriginNo(log), index));
        }
        index += 1 + leaf.gap;
    }
    ours.commit(at_home).wait().expect("commits");
    theirs.commit(elsewhere).wait().expect("commits");
    index
}

fn both(here: &(Arc<dyn Kv>, Accounts, Domain), there: &(Arc<dyn Kv>, Accounts, Domain), (from, to): (u64, u64)) -> [Vec<Member>; 2] {
    let mut at_home = Judge::new(&*here.0, &here.1, &here.2);
    let sent = sent(&mut at_home, PEER, (OWN, from, to), usize::MAX).expect("reads");
    let mut elsewhere = Judge::new(&*there.0, &there.1, &there.2);
    let held = held(&mut elsewhere, (THEIR_LOG, from, to), usize::MAX).expect("reads");
    assert_eq!((sent.end, held.end), (to, to));
    [sent.members, held.members]
}

/// What an exchange between two sides says that only the one who asks has, and only the other one.
fn reconcile(asking: &[Member], asked: &[Member]) -> [BTreeSet<RecordId>; 2] {
    let (asking, asked) = (storage(asking).expect("a set"), storage(asked).expect("a set"));
    let mut client = Negentropy::borrowed(&asking, 4_096).expect("a good limit");
    let mut message = Some(client.initiate().expect("begins"));
    let (mut have, mut need) = (Vec::new(), Vec::new());
    while let Some(question) = message {
        // Whoever is asked remembers nothing.
        let answer = Negentropy::borrowed(&asked, 4_096).expect("a good limit").reconcile(&question).expect("answers");
        message = client.reconcile_with_ids(&answer, &mut have, &mut need).expect("a good answer");
    }
    [have, need].map(|ids| ids.into_iter().map(|id| RecordId::from_hash(id.to_bytes())).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn both_sides_enumerate_the_same_set(mut leaves in leaves(), cut in 0..100u64) {
        // An edit at the first leaf would be one of itself.
        leaves.iter_mut().take(1).for_each(|first| *first = Leaf { standing: first.standing % 3, went: 3, ..*first });
        let (here, there) = (store(), store());
        let end = write(&*here.0, &*there.0, &leaves).max(1);
        let middle = end * cut / 100;
        let [sent, held] = both(&here, &there, (0, end));
        prop_assert_eq!(&sent, &held);
        let [first, _] = both(&here, &there, (0, middle.max(1)));
        let [second, _] = both(&here, &there, (middle.max(1), end.max(middle.max(1))));
        prop_assert_eq!([first, second].concat(), sent, "parts make the whole");
    }

    #[test]
    fn what_one_side_lost_is_found(mut leaves in leaves(), lost in proptest::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..20)) {
        leaves.iter_mut().take(1).for_each(|first| *first = Leaf { standing: 0, went: 3, ..*first });
        let (here, there) = (store(), store());
        let end = write(&*here.0, &*there.0, &leaves).max(1);
        let [sent, held] = both(&here, &there, (0, end));
        let mut gone = [BTreeSet::new(), BTreeSet::new()];
        for (which, at_home) in lost.iter().filter(|_| !sent.is_empty()) {
            let member = sent[which.index(sent.len())];
            if !gone[usize::from(!at_home)].contains(&member.id) {
                gone[usize::from(*at_home)].insert(member.id);
            }
        }
        let without = |members: &[Member], gone: &BTreeSet<RecordId>| members.iter().copied().filter(|member| !gone.contains(&member.id)).collect::<Vec<_>>();
        let [extra, missing] = reconcile(&without(&held, &gone[0]), &without(&sent, &gone[1]));
        prop_assert_eq!([missing, extra], gone);
    }
}

#[test]
fn part_ends_where_it_has_as_many_records_as_it_may() {
    let (here, there) = (store(), store());
    let leaves = vec![Leaf { standing: 0, went: 3, gap: 1, mover: false }; 10];
    let end = write(&*here.0, &*there.0, &leaves);
    let mut judge = Judge::new(&*there.0, &there.1, &there.2);
    let part = held(&mut judge, (THEIR_LOG, 0, end), 4).expect("reads");
    assert_eq!((part.members.len(), part.end), (4, 8));
    let mut judge = Judge::new(&*here.0, &here.1, &here.2);
    let part = sent(&mut judge, PEER, (OWN, 0, end), 4).expect("reads");
    assert_eq!((part.members.len(), part.end), (4, 8));
    assert!(sent(&mut judge, PEER, (OWN, LEAF_INDEX_MAX, LEAF_INDEX_MAX + 1), 4).expect("reads").members.is_empty());
}
