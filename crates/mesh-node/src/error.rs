//! Why a service says no, and who is at fault.

use mesh_proto::api::{ItemResult, KeysKnown, code};
use mesh_store::StoreError;
use std::sync::Arc;

/// Why a service says no.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NodeError {
    /// The caller's fault: sending the same again will not help.
    #[error("{detail}")]
    Refused {
        /// One of [`mesh_proto::api::code`].
        code: &'static str,
        /// What is wrong and what to do.
        detail: String,
    },
    /// The receiver of a delivery lacks key operations.
    #[error("key operations of {} accounts are missing: send them along in `keys`", .0.len())]
    KeysWanted(Vec<KeysKnown>),
    /// The receiver of a delivery knows a checkpoint of this many leaves, and the delivery does not show that the log grew from it.
    #[error("a checkpoint of {0} leaves is known here: show in `growth` that the log grew from it")]
    CheckpointWanted(u64),
    /// There is nothing under this name or id.
    #[error("there is no {0} here")]
    NotFound(&'static str),
    /// The caller is too fast.
    #[error("too many requests: wait {retry_after_s} s")]
    SlowDown {
        /// Seconds until there is room again.
        retry_after_s: u64,
    },
    /// Another domain did not answer, or not well.
    #[error("{domain} did not answer well: {detail}")]
    Remote {
        /// The other domain.
        domain: String,
        /// What went wrong.
        detail: String,
    },
    /// The server is stopping.
    #[error("the server is stopping: try again in a moment")]
    Stopping,
    /// The disk is full.
    #[error("the server's disk is full: reading works, writing will when its operator makes room")]
    Full,
    /// The search index failed.
    #[error("the search index does not answer as it should")]
    Search(#[source] Arc<mesh_search::SearchError>),
    /// The store failed.
    #[error("the store does not answer as it should")]
    Store(#[source] StoreError),
}

impl From<StoreError> for NodeError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full { .. } => Self::Full,
            StoreError::Closed => Self::Stopping,
            StoreError::Busy => Self::SlowDown { retry_after_s: 1 },
            other => Self::Store(other),
        }
    }
}

impl NodeError {
    /// The caller's fault, with a code of [`mesh_proto::api::code`] and words.
    pub fn refused(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Refused { code, detail: detail.into() }
    }

    /// A refusal is one record's result; a failure of ours is everybody's.
    pub(crate) fn item(&self) -> Result<ItemResult> {
        match self {
            Self::Refused { code, detail } => Ok(ItemResult::Refused { code: (*code).to_owned(), detail: detail.clone() }),
            Self::NotFound(_) => Ok(ItemResult::Refused { code: self.code().to_owned(), detail: self.to_string() }),
            other => Err(other.clone()),
        }
    }

    /// The code for people and machines on the other side.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused { code, .. } => code,
            Self::KeysWanted(_) => code::KEYS_WANTED,
            Self::CheckpointWanted(_) => code::CHECKPOINT_WANTED,
            Self::NotFound(_) => code::NOT_FOUND,
            Self::SlowDown { .. } => code::SLOW_DOWN,
            Self::Remote { .. } => code::REMOTE,
            Self::Stopping | Self::Full => code::UNAVAILABLE,
            Self::Store(_) | Self::Search(_) => code::INTERNAL,
        }
    }
}

/// What services answer.
pub type Result<T> = std::result::Result<T, NodeError>;
