//! What operators decided: `spec/ruling.md`.

use crate::envelope::Envelope;
use serde::{Deserialize, Serialize};

/// `POST /mesh/v1/rulings`: what the signing domain decided about its people, their records, or reports made by the receiver's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RulingsPush {
    /// At most [`crate::limits::RULINGS_PUSH_MAX`] envelopes.
    pub rulings: Vec<Envelope>,
}

/// The answer: how many of them are in force now that were not before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RulingsTaken {
    /// Their number.
    pub taken: usize,
}

/// One page of rulings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RulingsPage {
    /// The signed rulings.
    pub rulings: Vec<Envelope>,
    /// Where the next page goes on, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
