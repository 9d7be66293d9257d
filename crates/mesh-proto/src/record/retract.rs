//! A withdrawal. `spec/retract.md`.

use super::{RecordError, require};
use crate::envelope::RecordId;
use serde::{Deserialize, Serialize};

/// The withdrawal of a record: its payload is erased, a tombstone stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retract {
    /// The record, by its stable id: all its versions go.
    pub object: RecordId,
    /// On whose wish: an account withdraws as [`RetractReason::Author`]; the other reasons stand in tombstones that a home makes itself.
    #[serde(deserialize_with = "crate::envelope::body::word")]
    pub reason: RetractReason,
}

impl Retract {
    /// Names of the retraction's own fields.
    pub const FIELDS: &'static [&'static str] = &["object", "reason"];

    pub(super) fn check(&self) -> Result<(), RecordError> {
        require(self.reason == RetractReason::Author, "reason", "an account withdraws as \"author\"")
    }
}

/// On whose wish a record was withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum RetractReason {
    /// Its author's.
    Author,
    /// Its home's.
    Home,
    /// The law's.
    Law,
}
