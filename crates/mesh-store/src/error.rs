//! What can go wrong in a store, and whose fault it is.

use crate::space::Space;

/// Coarse classes of [`StoreError`], for callers that decide whether to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The caller's condition did not hold, or the batch is malformed. Read again and decide anew.
    Caller,
    /// The store cannot take the write now. Trying again later may succeed.
    Retry,
    /// The store needs an operator.
    Operator,
}

/// An error of the key-value store.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// A condition of the batch did not hold, so nothing of the batch was written.
    #[error("condition {index} of the batch does not hold for a key of {}", space.name())]
    ConditionFailed {
        /// Position of the condition in the order in which the batch's conditions were stated, from 0.
        index: usize,
        /// The space of the condition's key.
        space: Space,
    },
    /// A key, value or batch passes a limit of [`crate::limits`]. The caller's fault.
    #[error("{what} of {size_bytes} passes the limit of {limit_bytes}")]
    TooLarge {
        /// `key`, `value`, `batch` or `items of a batch`.
        what: &'static str,
        /// What was given.
        size_bytes: usize,
        /// What is allowed.
        limit_bytes: usize,
    },
    /// The batch asks for what cannot be: an `add` to a value that is no counter (not 8 bytes), or past the range; an empty key. The
    /// caller's fault.
    #[error("the batch cannot be applied in {}: {reason}", space.name())]
    Invalid {
        /// The space of the key.
        space: Space,
        /// `overflow`, `not a counter` or `empty key`.
        reason: &'static str,
    },
    /// The disk has no room. Reads go on; writes resume by themselves when there is room again.
    #[error("the disk is full: {free_bytes} bytes free where {reserve_bytes} are kept in reserve")]
    Full {
        /// Free bytes seen at the last look.
        free_bytes: u64,
        /// The reserve below which writes are refused.
        reserve_bytes: u64,
    },
    /// Too many batches wait for the writer. Nothing of this batch was written.
    #[error("the store is busy: too many writes wait")]
    Busy,
    /// Stored bytes are damaged or missing.
    #[error("{what}. {advice}")]
    Corrupt {
        /// What was found, where.
        what: String,
        /// What the operator can do.
        advice: &'static str,
    },
    /// The operating system failed a read or write. For a commit, the outcome is unknown until the store is opened again.
    #[error("{doing}")]
    Io {
        /// What the store was doing.
        doing: String,
        /// The cause.
        #[source]
        source: std::sync::Arc<std::io::Error>,
    },
    /// The store was closed, or stopped after a failure that makes further writes unsafe.
    #[error("the store is closed to writes")]
    Closed,
    /// The folder was written by another version of this program.
    #[error("{}", wrong_format(*found, *known))]
    WrongFormat {
        /// The folder's format number.
        found: u32,
        /// The number that this program reads and writes.
        known: u32,
    },
    /// Another process has the folder open.
    #[error("another meshd is using {folder}: stop it first, or choose another folder")]
    InUse {
        /// The folder.
        folder: String,
    },
}

impl StoreError {
    /// The class of the error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::ConditionFailed { .. } | Self::TooLarge { .. } | Self::Invalid { .. } => ErrorKind::Caller,
            Self::Full { .. } | Self::Busy => ErrorKind::Retry,
            Self::Corrupt { .. } | Self::Io { .. } | Self::Closed | Self::WrongFormat { .. } | Self::InUse { .. } => ErrorKind::Operator,
        }
    }

    /// Wraps an input/output error with what was being done.
    pub(crate) fn io(doing: impl Into<String>, source: std::io::Error) -> Self {
        Self::Io { doing: doing.into(), source: std::sync::Arc::new(source) }
    }
}

fn wrong_format(found: u32, known: u32) -> String {
    let next = if found > known { "use the newer program, or restore a backup made by this one" } else { "run `meshd upgrade`" };
    format!("the store has format {found}, this program knows {known}: {next}")
}
