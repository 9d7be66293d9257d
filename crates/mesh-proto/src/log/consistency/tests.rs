//! Against the definitions: the prover of RFC 6962 §2.1.2 over slices of leaves, the verifier of RFC 9162 §2.1.4.2.

use super::*;
use crate::log::{Tree, entry_hash, root_of};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::convert::Infallible;

/// Largest tree of which every older size is tried.
const SIZE_MAX: u64 = 300;

struct Grown {
    leaves: Vec<Hash>,
    /// The root of each size.
    roots: Vec<Hash>,
    nodes: BTreeMap<(u32, u64), Hash>,
}

impl Nodes for &Grown {
    type Error = Infallible;
    fn node(&mut self, height: u32, index: u64) -> Result<Hash, Infallible> {
        Ok(self.nodes[&(height, index)])
    }
}

impl Grown {
    fn new(size: u64) -> Self {
        let mut tree = Tree::default();
        let mut grown = Self { leaves: Vec::new(), roots: vec![tree.root()], nodes: BTreeMap::new() };
        for index in 0..size {
            let mut entry = [0; 32];
            entry[..8].copy_from_slice(&index.to_be_bytes());
            let leaf = entry_hash(&Hash(entry));
            let nodes = &mut grown.nodes;
            tree.push(leaf, |height, index, hash| {
                nodes.insert((height, index), *hash);
            });
            grown.leaves.push(leaf);
            grown.roots.push(tree.root());
        }
        grown
    }

    fn at(&self, size: u64) -> (u64, Hash) {
        (size, self.roots[size as usize])
    }

    fn prove(&self, old: u64, new: u64) -> ConsistencyProof {
        let Ok(proof) = prove_consistency(&mut &*self, old, new);
        proof.expect("good sizes")
    }
}

/// `SUBPROOF(m, D[n], b)` with the RFC's `b`.
fn naive_proof(old: usize, leaves: &[Hash], b: bool) -> Vec<Hash> {
    if old == leaves.len() {
        return if b { Vec::new() } else { vec![root_of(leaves)] };
    }
    let (left, right) = leaves.split_at(split(leaves.len() as u64) as usize);
    let (mut hashes, last) = if old <= left.len() {
        (naive_proof(old, left, b), root_of(right))
    } else {
        (naive_proof(old - left.len(), right, false), root_of(left))
    };
    hashes.push(last);
    hashes
}

/// The RFC's algorithm for 0 < first < second.
fn naive_verify(first: (u64, Hash), second: (u64, Hash), path: &[Hash]) -> bool {
    let mut path = path.to_vec();
    if path.is_empty() {
        return false;
    }
    if first.0.is_power_of_two() {
        path.insert(0, first.1);
    }
    let (mut fnode, mut snode) = (first.0 - 1, second.0 - 1);
    while fnode & 1 == 1 {
        fnode >>= 1;
        snode >>= 1;
    }
    let (mut fr, mut sr) = (path[0], path[0]);
    for c in &path[1..] {
        if snode == 0 {
            return false;
        }
        if fnode & 1 == 1 || fnode == snode {
            fr = node_hash(c, &fr);
            sr = node_hash(c, &sr);
            while fnode & 1 == 0 && fnode != 0 {
                fnode >>= 1;
                snode >>= 1;
            }
        } else {
            sr = node_hash(&sr, c);
        }
        fnode >>= 1;
        snode >>= 1;
    }
    fr == first.1 && sr == second.1 && snode == 0
}

#[test]
fn proof_between_any_two_sizes_holds() {
    let grown = Grown::new(SIZE_MAX);
    for new in 0..=SIZE_MAX {
        for old in 0..=new {
            let proof = grown.prove(old, new);
            assert_eq!(verify_consistency(grown.at(old), grown.at(new), &proof), Ok(()), "{old} {new}");
            if 0 < old && old < new {
                assert!(naive_verify(grown.at(old), grown.at(new), &proof.hashes), "{old} {new}");
            }
        }
    }
}

#[test]
fn proof_is_that_of_the_rfc() {
    let grown = Grown::new(70);
    for new in 1..=70 {
        for old in 1..=new {
            let expected = naive_proof(old as usize, &grown.leaves[..new as usize], true);
            assert_eq!(grown.prove(old, new).hashes, expected, "{old} {new}");
        }
    }
}

#[test]
fn changed_hash_root_or_number_of_hashes_is_refused() {
    let grown = Grown::new(40);
    let (spare, wrong) = (Hash([0; 32]), Hash([7; 32]));
    for new in 1..=40 {
        for old in 1..=new {
            let (good, before, after) = (grown.prove(old, new), grown.at(old), grown.at(new));
            for index in 0..good.hashes.len() {
                let mut changed = good.clone();
                changed.hashes[index] = wrong;
                assert_eq!(verify_consistency(before, after, &changed), Err(ProofError::Inconsistent), "{old} {new}");
                changed = good.clone();
                changed.hashes.remove(index);
                assert_eq!(verify_consistency(before, after, &changed), Err(ProofError::Length), "{old} {new}");
            }
            let mut longer = good.clone();
            longer.hashes.push(spare);
            assert_eq!(verify_consistency(before, after, &longer), Err(ProofError::Length), "{old} {new}");
            assert_eq!(verify_consistency((old, wrong), after, &good), Err(ProofError::Inconsistent), "{old} {new}");
            assert_eq!(verify_consistency(before, (new, wrong), &good), Err(ProofError::Inconsistent), "{old} {new}");
            assert_eq!(verify_consistency((new + 1, before.1), after, &good), Err(ProofError::Sizes), "{old} {new}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    /// A size is bound by its checkpoint's signature, not by the proof: trees of one shape along the edge have one proof. So a changed size
    /// is refused exactly where the RFC's verifier refuses it.
    #[test]
    fn changed_size_is_judged_as_by_the_rfc(old in 1u64..200, more in 1u64..200) {
        let grown = Grown::new(old + more);
        let (before, after) = (grown.at(old), grown.at(old + more));
        let proof = grown.prove(old, old + more);
        for size in 1..400 {
            let holds = |first: (u64, Hash), second: (u64, Hash)| verify_consistency(first, second, &proof).is_ok();
            if size < after.0 {
                prop_assert_eq!(holds((size, before.1), after), naive_verify((size, before.1), after, &proof.hashes), "old {}", size);
            }
            if size > before.0 {
                prop_assert_eq!(holds(before, (size, after.1)), naive_verify(before, (size, after.1), &proof.hashes), "new {}", size);
            }
        }
    }
}

#[test]
fn trees_of_one_size_need_one_root_and_no_hashes() {
    let grown = Grown::new(5);
    let empty = ConsistencyProof::default();
    assert_eq!(verify_consistency(grown.at(5), grown.at(5), &empty), Ok(()));
    assert_eq!(verify_consistency(grown.at(5), (5, Hash([7; 32])), &empty), Err(ProofError::Inconsistent));
    assert_eq!(verify_consistency(grown.at(5), grown.at(5), &ConsistencyProof { hashes: vec![Hash([0; 32])] }), Err(ProofError::Length));
}

#[test]
fn tree_of_no_leaves_is_the_beginning_of_any() {
    let grown = Grown::new(5);
    let empty = ConsistencyProof::default();
    assert_eq!(verify_consistency(grown.at(0), grown.at(5), &empty), Ok(()));
    assert_eq!(verify_consistency(grown.at(0), grown.at(0), &empty), Ok(()));
    assert_eq!(verify_consistency((0, Hash([7; 32])), grown.at(5), &empty), Err(ProofError::Inconsistent));
    assert_eq!(verify_consistency((0, Hash([7; 32])), (0, Hash([7; 32])), &empty), Err(ProofError::Inconsistent));
    assert_eq!(verify_consistency(grown.at(0), grown.at(5), &ConsistencyProof { hashes: vec![Hash([0; 32])] }), Err(ProofError::Length));
}

#[test]
fn sizes_out_of_range_and_long_proofs_are_refused() {
    let (hash, largest) = (Hash([7; 32]), LEAF_INDEX_MAX + 1);
    let long = ConsistencyProof { hashes: vec![hash; CONSISTENCY_HASHES_MAX + 1] };
    assert_eq!(verify_consistency((1, hash), (largest, hash), &long), Err(ProofError::Length));
    let longest = ConsistencyProof { hashes: vec![hash; CONSISTENCY_HASHES_MAX] };
    assert_eq!(verify_consistency((largest / 2 + 1, hash), (largest, hash), &longest), Err(ProofError::Inconsistent));
    assert_eq!(verify_consistency((1, hash), (largest + 1, hash), &longest), Err(ProofError::Sizes));
    assert_eq!(prove_consistency(&mut &Grown::new(2), 2, 1), Ok(None));
    assert_eq!(prove_consistency(&mut &Grown::new(2), 1, largest + 1), Ok(None));
}
