//! What domains tell each other of third ones' logs, so that nobody shows one log here and another there.

use super::federation::KeysKnown;
use serde::{Deserialize, Serialize};

/// `GET /mesh/v1/pins`: the newest checkpoints that a domain keeps of others' logs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PinsPage {
    /// Signed notes as they were shown there, one of each log; at most 100.
    pub notes: Vec<String>,
    /// The next page, if there is more: `?after=`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u32>,
}

/// Two notes of one log, both signed by its key, of which the one does not begin with the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogFork {
    /// The one with fewer leaves, or the one that was seen first.
    pub before: String,
    /// The other. If it has as many leaves and another root, the two prove the fork by themselves.
    pub after: String,
}

/// `GET /mesh/v1/evidence`: the forks that a domain found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EvidencePage {
    /// One fork of each log that has one; at most 100.
    pub forks: Vec<LogFork>,
    /// The next page, if there is more: `?after=`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u32>,
}

/// `GET /mesh/v1/known?address=`: whom a domain knows under an address, of whatever domain. More than one account: that domain gave a name twice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KnownUnder {
    /// The accounts with the heads of their key logs; at most 16.
    pub accounts: Vec<KeysKnown>,
}
