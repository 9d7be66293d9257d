//! How two homes find out in what their common sets differ, and mend it. `spec/healing.md`.

use super::federation::Delivery;
use crate::envelope::{Envelope, RecordId};
use crate::log::Origin;
use serde::{Deserialize, Serialize};

/// `POST /mesh/v1/sets:reconcile`: one message about a part of the set of records of the asked domain's people that lie in one log and concern the one who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Reconcile {
    /// The log: one of the domain that is asked, or one from which people brought records along who moved there.
    pub origin: Origin,
    /// The first leaf of the part.
    pub from: u64,
    /// The first leaf after it.
    pub to: u64,
    /// A negentropy message, base64url.
    pub message: String,
}

/// The answer to [`Reconcile`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Reconciled {
    /// A negentropy message, base64url.
    pub message: String,
}

/// `POST /mesh/v1/deliveries:fetch`: asks for deliveries of records by their ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Fetch {
    /// The log whose records come first. Of others some are handed out if there is none in it.
    pub origin: Origin,
    /// At most 100 ids.
    pub ids: Vec<RecordId>,
    /// The number of leaves of the newest checkpoint of the asked domain's present log that the one who asks keeps; absent if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<u64>,
}

/// The answer to [`Fetch`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Fetched {
    /// As many of the records as fit; absent if none of them is here for the one who asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
}

/// `POST /mesh/v1/sets:settle`: asks what is the matter with records of which only the one who asks knows, and says which ones it will never take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Settle {
    /// The log in which they lie.
    pub origin: Origin,
    /// Records that count where the one who asks is, and are not in the set of the domain that is asked; at most 100.
    pub held: Vec<RecordId>,
    /// Records of that set which the one who asks refuses for ever; at most 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RecordId>,
}

/// The answer to [`Settle`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Settled {
    /// One for each of `held`, in that order.
    pub held: Vec<Verdict>,
}

/// What the actor's home says about a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Verdict {
    /// It stands: it may be kept.
    Stands,
    /// A later one by the same actor about the same object took its place.
    Superseded,
    /// It was withdrawn.
    Withdrawn {
        /// The retract, which can be fetched; absent if its account was closed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retract: Option<RecordId>,
    },
    /// Its actor lives elsewhere now: ask there. Or it may still come from where its actor lived before.
    Elsewhere,
    /// There is no such record: it is to be dropped.
    Nothing,
}

/// `GET /api/v1/records/{id}/counters`: what the record's home counts, signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Counters {
    /// Envelopes of kind `counter`: one each for comments, likes, reposts and votes, 0 too.
    pub counters: Vec<Envelope>,
}
