//! The Merkle tree of RFC 6962 §2.1 over 32-byte entries, and proofs for many leaves at once.

use crate::bytes::Hash;
use crate::limits::BATCH_RECORDS_MAX;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The hash of a leaf: `SHA-256(0x00 ‖ entry)`.
pub fn entry_hash(entry: &Hash) -> Hash {
    Hash(Sha256::new_with_prefix([0]).chain_update(entry.0).finalize().into())
}

/// The hash of an inner node: `SHA-256(0x01 ‖ left ‖ right)`.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Hash(Sha256::new_with_prefix([1]).chain_update(left.0).chain_update(right.0).finalize().into())
}

/// The root of no leaves: SHA-256 of nothing.
pub(super) fn empty_root() -> Hash {
    Hash(Sha256::digest([]).into())
}

/// The growing edge of a tree: its complete subtrees, largest first. Appending costs one hash on average.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    size: u64,
    peaks: Vec<Hash>,
}

impl Tree {
    /// The tree of `size` leaves whose complete subtrees, largest first, have these roots.
    pub fn from_peaks(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        (size.count_ones() as usize == peaks.len()).then_some(Self { size, peaks })
    }

    /// Appends a leaf hash. `complete` is told of every complete subtree that ends here: (height, index at that height, hash).
    pub fn push(&mut self, leaf: Hash, mut complete: impl FnMut(u32, u64, &Hash)) {
        let mut hash = leaf;
        let mut height = 0;
        complete(0, self.size, &hash);
        while (self.size >> height) & 1 == 1 {
            let left = self.peaks.pop().expect("one peak per set bit of the size");
            hash = node_hash(&left, &hash);
            height += 1;
            complete(height, self.size >> height, &hash);
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root hash.
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return empty_root() };
        peaks.fold(*last, |right, left| node_hash(left, &right))
    }
}

/// The root over leaf hashes, for tests and small logs.
pub fn root_of(leaves: &[Hash]) -> Hash {
    let mut tree = Tree::default();
    for leaf in leaves {
        tree.push(*leaf, |_, _, _| ());
    }
    tree.root()
}

/// Where a prover finds the hash of a complete subtree.
pub trait Nodes {
    /// Why a hash could not be read.
    type Error;
    /// The hash of the complete subtree of 2^`height` leaves that is the `index`-th at its height.
    fn node(&mut self, height: u32, index: u64) -> Result<Hash, Self::Error>;
}

/// A proof that leaves are in a tree: the hashes of the maximal subtrees without any of them, from left to right.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchProof {
    /// The hashes, from left to right.
    pub hashes: Vec<Hash>,
}

/// Why a proof does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The leaves are not strictly ascending, too many, none, or beyond the tree's size.
    #[error("the leaves to prove are not 1 to {BATCH_RECORDS_MAX} strictly ascending indexes below the tree's size")]
    Indexes,
    /// The proof has too few or too many hashes.
    #[error("the proof has the wrong number of hashes")]
    Length,
    /// The computed root is not the checkpoint's.
    #[error("the leaves are not in the log of that checkpoint")]
    Root,
    /// The older tree is larger than the newer, or the newer than a log can be.
    #[error("the sizes to prove are not an older and a newer one of at most 2^40 leaves")]
    Sizes,
    /// A computed root is not its checkpoint's.
    #[error("the log of the newer checkpoint does not begin with that of the older")]
    Inconsistent,
}

fn check_indexes(size: u64, mut indexes: impl Iterator<Item = u64>) -> Result<(), ProofError> {
    let first = indexes.next().ok_or(ProofError::Indexes)?;
    let (last, count) =
        indexes.try_fold((first, 1), |(before, count), next| (next > before).then_some((next, count + 1))).ok_or(ProofError::Indexes)?;
    if count <= BATCH_RECORDS_MAX && last < size { Ok(()) } else { Err(ProofError::Indexes) }
}

/// The left part of a subtree of `size` ≥ 2 leaves: the largest power of two below it (RFC 6962 §2.1).
pub(super) fn split(size: u64) -> u64 {
    1 << (63 - (size - 1).leading_zeros())
}

/// Makes the proof for `indexes` (strictly ascending) in the tree of `size` leaves.
pub fn prove<N: Nodes>(nodes: &mut N, size: u64, indexes: &[u64]) -> Result<Option<BatchProof>, N::Error> {
    if check_indexes(size, indexes.iter().copied()).is_err() {
        return Ok(None);
    }
    let mut hashes = Vec::new();
    prove_range(nodes, 0, size, indexes, &mut hashes)?;
    Ok(Some(BatchProof { hashes }))
}

/// Recursion depth is at most 41: leaf indexes have 40 bits.
fn prove_range<N: Nodes>(nodes: &mut N, start: u64, size: u64, indexes: &[u64], out: &mut Vec<Hash>) -> Result<(), N::Error> {
    if indexes.is_empty() {
        out.push(range_hash(nodes, start, size)?);
    } else if size > 1 {
        let left = split(size);
        let (in_left, in_right) = indexes.split_at(indexes.partition_point(|index| *index < start + left));
        prove_range(nodes, start, left, in_left, out)?;
        prove_range(nodes, start + left, size - left, in_right, out)?;
    }
    Ok(())
}

/// The hash over the leaves `start..start + size`; `start` is a multiple of the size's highest power of two.
pub(super) fn range_hash<N: Nodes>(nodes: &mut N, start: u64, size: u64) -> Result<Hash, N::Error> {
    if size.is_power_of_two() {
        let height = size.trailing_zeros();
        return nodes.node(height, start >> height);
    }
    let left = split(size);
    let left_hash = nodes.node(left.trailing_zeros(), start >> left.trailing_zeros())?;
    Ok(node_hash(&left_hash, &range_hash(nodes, start + left, size - left)?))
}

/// Checks that `leaves` (index, leaf hash; strictly ascending) are in the tree of `size` leaves with root `root`.
pub fn verify(size: u64, root: &Hash, leaves: &[(u64, Hash)], proof: &BatchProof) -> Result<(), ProofError> {
    check_indexes(size, leaves.iter().map(|(index, _)| *index))?;
    let mut hashes = proof.hashes.iter();
    let computed = verify_range(0, size, leaves, &mut hashes).ok_or(ProofError::Length)?;
    if hashes.next().is_some() {
        return Err(ProofError::Length);
    }
    if computed == *root { Ok(()) } else { Err(ProofError::Root) }
}

fn verify_range(start: u64, size: u64, leaves: &[(u64, Hash)], hashes: &mut std::slice::Iter<'_, Hash>) -> Option<Hash> {
    match leaves {
        [] => hashes.next().copied(),
        [(_, leaf)] if size == 1 => Some(*leaf),
        _ => {
            let left = split(size);
            let (in_left, in_right) = leaves.split_at(leaves.partition_point(|(index, _)| *index < start + left));
            let left_hash = verify_range(start, left, in_left, hashes)?;
            Some(node_hash(&left_hash, &verify_range(start + left, size - left, in_right, hashes)?))
        }
    }
}

/// The proof for some of the leaves that `proof` holds for: whoever has all their hashes needs no log to make it.
pub fn narrow(size: u64, leaves: &[(u64, Hash)], proof: &BatchProof, wanted: &[u64]) -> Result<BatchProof, ProofError> {
    check_indexes(size, leaves.iter().map(|(index, _)| *index))?;
    check_indexes(size, wanted.iter().copied())?;
    if wanted.iter().any(|index| leaves.binary_search_by_key(index, |(known, _)| *known).is_err()) {
        return Err(ProofError::Indexes);
    }
    let mut hashes = proof.hashes.iter();
    let mut out = Vec::new();
    narrow_range((0, size), leaves, wanted, (&mut hashes, &mut out)).ok_or(ProofError::Length)?;
    if hashes.next().is_some() { Err(ProofError::Length) } else { Ok(BatchProof { hashes: out }) }
}

/// Goes through the old proof as its verifier does, and writes down what the new verifier cannot compute.
fn narrow_range(
    (start, size): (u64, u64),
    leaves: &[(u64, Hash)],
    wanted: &[u64],
    (hashes, out): (&mut std::slice::Iter<'_, Hash>, &mut Vec<Hash>),
) -> Option<()> {
    if wanted.is_empty() {
        out.push(verify_range(start, size, leaves, hashes)?);
    } else if size > 1 {
        let left = split(size);
        let (in_left, in_right) = leaves.split_at(leaves.partition_point(|(index, _)| *index < start + left));
        let (wanted_left, wanted_right) = wanted.split_at(wanted.partition_point(|index| *index < start + left));
        narrow_range((start, left), in_left, wanted_left, (hashes, out))?;
        narrow_range((start + left, size - left), in_right, wanted_right, (hashes, out))?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    struct Known(BTreeMap<(u32, u64), Hash>);

    impl Nodes for Known {
        type Error = Infallible;
        fn node(&mut self, height: u32, index: u64) -> Result<Hash, Infallible> {
            Ok(self.0[&(height, index)])
        }
    }

    fn tree(size: u64) -> (Tree, Known, Vec<Hash>) {
        let mut tree = Tree::default();
        let mut known = BTreeMap::new();
        let mut leaves = Vec::new();
        for index in 0..size {
            let mut entry = [0; 32];
            entry[..8].copy_from_slice(&index.to_be_bytes());
            let leaf = entry_hash(&Hash(entry));
            leaves.push(leaf);
            tree.push(leaf, |height, index, hash| {
                known.insert((height, index), *hash);
            });
        }
        (tree, Known(known), leaves)
    }

    fn naive_root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty_root(),
            [one] => *one,
            many => {
                let (left, right) = many.split_at(split(many.len() as u64) as usize);
                node_hash(&naive_root(left), &naive_root(right))
            }
        }
    }

    proptest! {
        #[test]
        fn proof_of_any_leaves_holds_and_only_for_them(size in 1u64..600, picks in proptest::collection::btree_set(0u64..600, 1..40)) {
            let (tree, mut known, leaves) = tree(size);
            prop_assert_eq!(tree.root(), naive_root(&leaves));
            let indexes: Vec<u64> = picks.into_iter().filter(|index| *index < size).collect();
            prop_assume!(!indexes.is_empty());
            let proof = prove(&mut known, size, &indexes).expect("infallible").expect("good indexes");
            let mut proven: Vec<(u64, Hash)> = indexes.iter().map(|index| (*index, leaves[*index as usize])).collect();
            prop_assert_eq!(verify(size, &tree.root(), &proven, &proof), Ok(()));
            let (some, part): (Vec<u64>, Vec<(u64, Hash)>) = proven.iter().step_by(2).map(|leaf| (leaf.0, *leaf)).unzip();
            let narrowed = narrow(size, &proven, &proof, &some).expect("the leaves are there");
            let proven_anew = prove(&mut known, size, &some).expect("infallible").expect("good indexes");
            prop_assert_eq!(&narrowed, &proven_anew);
            prop_assert_eq!(verify(size, &tree.root(), &part, &narrowed), Ok(()));
            proven[0].1 = Hash([7; 32]);
            prop_assert_eq!(verify(size, &tree.root(), &proven, &proof), Err(ProofError::Root));
        }
    }

    #[test]
    fn proof_with_a_spare_or_missing_hash_is_refused() {
        let (tree, mut known, leaves) = tree(5);
        let mut proof = prove(&mut known, 5, &[3]).expect("infallible").expect("good");
        let leaf = [(3, leaves[3])];
        proof.hashes.push(Hash([0; 32]));
        assert_eq!(verify(5, &tree.root(), &leaf, &proof), Err(ProofError::Length));
        proof.hashes.truncate(1);
        assert_eq!(verify(5, &tree.root(), &leaf, &proof), Err(ProofError::Length));
        assert_eq!(verify(3, &tree.root(), &leaf, &proof), Err(ProofError::Indexes));
    }
}
