//! The home log: leaves, the tree over them, proofs, checkpoints.
//!
//! A leaf entry is 32 bytes and says nothing by itself; its *opening* says what it stands for and is served apart, so that it can be erased.
//! The tree is RFC 6962's; tiles, checkpoints and cosignatures are C2SP's `tlog-tiles`, `signed-note` and
//! `tlog-cosignature`.

mod consistency;
mod cosignature;
mod leaf;
mod note;
mod tree;

pub use consistency::{ConsistencyProof, prove_consistency, verify_consistency};
pub use cosignature::{Cosignature, CosignatureError, cosignatures, with_cosignature};
pub use leaf::{Opening, name_id};
pub use note::{Checkpoint, NoteError, Origin, OriginError};
pub use tree::{BatchProof, Nodes, ProofError, Tree, entry_hash, narrow, node_hash, prove, root_of, verify};
