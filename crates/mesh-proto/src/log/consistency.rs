//! Consistency proofs of RFC 6962 §2.1.2: a newer tree begins with the leaves of an older one.
//!
//! Sizes and roots come from signed checkpoints; this does not look at signatures.

use super::tree::{Nodes, ProofError, empty_root, node_hash, range_hash, split};
use crate::bytes::Hash;
use crate::limits::{CONSISTENCY_HASHES_MAX, LEAF_INDEX_MAX};
use serde::{Deserialize, Serialize};

/// A proof that a newer tree begins with the leaves of an older one: `PROOF(m, D[n])` of RFC 6962 §2.1.2.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConsistencyProof {
    /// The hashes in the RFC's order, from the deepest subtree to the root's child.
    pub hashes: Vec<Hash>,
}

fn check_sizes(old_size: u64, new_size: u64) -> Result<(), ProofError> {
    if old_size <= new_size && new_size <= LEAF_INDEX_MAX + 1 { Ok(()) } else { Err(ProofError::Sizes) }
}

/// Makes the proof that the tree of `new_size` leaves begins with that of `old_size`. None if a size is out of range.
pub fn prove_consistency<N: Nodes>(nodes: &mut N, old_size: u64, new_size: u64) -> Result<Option<ConsistencyProof>, N::Error> {
    if check_sizes(old_size, new_size).is_err() {
        return Ok(None);
    }
    let mut hashes = Vec::new();
    if old_size > 0 {
        prove_edge(nodes, 0, (old_size, new_size), &mut hashes)?;
    }
    Ok(Some(ConsistencyProof { hashes }))
}

/// The subtree of `new` leaves from `start`, `old` ≥ 1 of which were there before. Recursion depth is at most 41: sizes have 41 bits.
fn prove_edge<N: Nodes>(nodes: &mut N, start: u64, (old, new): (u64, u64), out: &mut Vec<Hash>) -> Result<(), N::Error> {
    if old == new {
        // From the first leaf on it is the whole old tree, whose root the verifier knows.
        if start > 0 {
            out.push(range_hash(nodes, start, new)?);
        }
        return Ok(());
    }
    let left = split(new);
    if old <= left {
        prove_edge(nodes, start, (old, left), out)?;
        out.push(range_hash(nodes, start + left, new - left)?);
    } else {
        prove_edge(nodes, start + left, (old - left, new - left), out)?;
        out.push(range_hash(nodes, start, left)?);
    }
    Ok(())
}

/// Checks that the tree `new` (size, root hash) begins with the leaves of the tree `old`. Trees of one size must have one root; the tree of
/// no leaves, with its own root, is the beginning of any.
pub fn verify_consistency(old: (u64, Hash), new: (u64, Hash), proof: &ConsistencyProof) -> Result<(), ProofError> {
    let ((old_size, old_root), (new_size, new_root)) = (old, new);
    check_sizes(old_size, new_size)?;
    if proof.hashes.len() > CONSISTENCY_HASHES_MAX {
        return Err(ProofError::Length);
    }
    let mut hashes = proof.hashes.iter();
    let computed = if old_size == 0 {
        // Nothing is known of a tree that grew from nothing; of one that did not grow, the root.
        (empty_root(), if new_size == 0 { empty_root() } else { new_root })
    } else {
        verify_edge((0, &old_root), (old_size, new_size), &mut hashes).ok_or(ProofError::Length)?
    };
    if hashes.next().is_some() {
        return Err(ProofError::Length);
    }
    if computed == (old_root, new_root) { Ok(()) } else { Err(ProofError::Inconsistent) }
}

/// The hashes over the old and over all leaves of the subtree that begins at `start`.
fn verify_edge((start, old_root): (u64, &Hash), (old, new): (u64, u64), hashes: &mut std::slice::Iter<'_, Hash>) -> Option<(Hash, Hash)> {
    if old == new {
        let hash = if start == 0 { *old_root } else { *hashes.next()? };
        return Some((hash, hash));
    }
    let left = split(new);
    if old <= left {
        let (old_hash, new_hash) = verify_edge((start, old_root), (old, left), hashes)?;
        Some((old_hash, node_hash(&new_hash, hashes.next()?)))
    } else {
        let (old_hash, new_hash) = verify_edge((start + left, old_root), (old - left, new - left), hashes)?;
        let left_hash = hashes.next()?;
        Some((node_hash(left_hash, &old_hash), node_hash(left_hash, &new_hash)))
    }
}

#[cfg(test)]
mod tests;
