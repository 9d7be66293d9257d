//! A withdrawal. `spec/retract.md`.

use crate::envelope::RecordId;
use serde::{Deserialize, Serialize};

/// The withdrawal of a record: its payload is erased, a tombstone stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retract {
    /// The record, by its stable id: all its versions go.
    pub object: RecordId,
    /// On whose wish.
    pub reason: RetractReason,
}

impl Retract {
    /// Names of the retraction's own fields.
    pub const FIELDS: &'static [&'static str] = &["object", "reason"];
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
