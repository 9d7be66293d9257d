//! Posts that a home is to publish later.

use crate::envelope::{Envelope, RecordId};
use serde::{Deserialize, Serialize};

/// Why a planned post was not published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NotPublished {
    /// A problem code.
    pub code: String,
    /// What is wrong.
    pub detail: String,
}

/// A planned post, as only its author sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Scheduled {
    /// The record's id, now and when it is published.
    pub id: RecordId,
    /// When it is to be published, milliseconds since the epoch: the time that it claims.
    pub at: u64,
    /// The signed post.
    pub envelope: Envelope,
    /// Set if it was due and was refused: it will not be published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<NotPublished>,
}

/// `GET /api/v1/scheduled`: all planned posts of the signer, soonest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScheduledList {
    /// The planned posts.
    pub scheduled: Vec<Scheduled>,
}
