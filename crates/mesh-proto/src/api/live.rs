//! Server-sent events of `GET /api/v1/events`.

use super::content::{Notification, RecordView};
use serde::{Deserialize, Serialize};

/// One event; its name on the wire is the variant's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Event {
    /// A new item at the top of the feed.
    Feed(Box<RecordView>),
    /// Something happened to one's own things.
    Notification(Box<Notification>),
    /// The reader was too slow and events were dropped: read the feed again.
    Missed(u64),
}
