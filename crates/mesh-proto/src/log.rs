//! The home log: leaves, the tree over them, proofs, checkpoints.
//!
//! A leaf entry is 32 bytes and says nothing by itself; its *opening* says what it stands for and is served apart, so that it can be erased.
//! The tree is RFC 6962's; tiles and checkpoints are C2SP's `tlog-tiles` and `signed-note`.

mod leaf;
mod note;
mod tree;

pub use leaf::{Opening, name_id};
pub use note::{Checkpoint, NoteError, Origin, OriginError};
pub use tree::{BatchProof, Nodes, ProofError, Tree, entry_hash, node_hash, prove, root_of, verify};
