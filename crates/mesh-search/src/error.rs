//! What can go wrong with an index: the disk's fault, or damage.

use std::io;

/// Why the index could not answer or take a change.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The index on disk could not be read or written.
    #[error("the search index cannot be used: look at the disk; the folder of the index may be removed, it is made anew from the store")]
    Index(#[from] tantivy::TantivyError),
    /// The folder could not be read or written.
    #[error("the folder of the search index cannot be used: look at its rights and the room on the disk")]
    Folder(#[from] io::Error),
    /// Nothing could be written for a while.
    #[error("the search index has not been written for {0} s: look at the disk; what is searched is older")]
    Stalled(u64),
    /// The writer has ended.
    #[error("the search index is closed")]
    Closed,
    /// A cursor that this index did not give.
    #[error("this page has no continuation here: search anew")]
    Cursor,
}
