//! What domains say to each other.

use super::content::{LoggedRecord, Tombstone};
use crate::address::Domain;
use crate::bytes::Salt;
use crate::envelope::{Envelope, RecordId};
use crate::key::AccountId;
use crate::keylog::{LogPosition, LoggedOp};
use crate::log::{BatchProof, ConsistencyProof, Cosignature, Opening, Origin};
use serde::{Deserialize, Serialize};

/// `POST /mesh/v1/deliveries`: records of the sending domain's people, in the order of their leaves, with the proof that they are logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Delivery {
    /// The sender's log.
    pub origin: Origin,
    /// Signed note of a checkpoint that covers every leaf below.
    pub checkpoint: String,
    /// One proof for all leaves.
    pub proof: BatchProof,
    /// That the log only grew since a checkpoint that the receiver knows. Absent if the sender does not know what that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub growth: Option<Growth>,
    /// From this leaf to the last one below, nothing but these records concerns the receiver. Absent if they come out of order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// The records, by strictly ascending leaf index; at most 100.
    pub items: Vec<DeliveryItem>,
    /// Key operations that the receiver asked for with `keys_wanted`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeysPush>,
}

/// The proof that a checkpoint's log begins with an older one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Growth {
    /// Number of leaves of the older one.
    pub size: u64,
    /// The proof.
    pub proof: ConsistencyProof,
}

/// One delivered record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeliveryItem {
    /// The leaf's index in the sender's log.
    pub index: u64,
    /// The leaf's salt.
    pub salt: Salt,
    /// When the sender accepted it, milliseconds since the epoch.
    pub received: u64,
    /// The signed record.
    pub envelope: Envelope,
}

/// The answer to a delivery: one result per item, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeliveryAnswer {
    /// What became of each item.
    pub results: Vec<ItemResult>,
    /// The receiver has all that concerns it below this leaf. The sender goes on from here, be it further back than it thought.
    pub watermark: u64,
    /// The receiver's cosignature of the delivery's checkpoint, if it had not seen that before: it keeps it, and no log that does not begin with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cosignature: Option<Cosignature>,
}

/// `POST /mesh/v1/deliveries:pull`: asks a domain for the records that concern the one who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Pull {
    /// The log of the domain that is asked.
    pub origin: Origin,
    /// The first leaf of interest.
    pub from: u64,
    /// What is below this leaf and concerns the one who asks is stored there.
    pub watermark: u64,
    /// The number of leaves of the newest checkpoint of this log that the one who asks keeps; absent if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<u64>,
}

/// The answer to [`Pull`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Pulled {
    /// The next records; absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
    /// Where to go on.
    pub next: u64,
    /// Whether there is more.
    pub more: bool,
}

/// What became of a delivered record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ItemResult {
    /// Stored as a reference.
    Accepted,
    /// It was known already; nothing changed.
    Known,
    /// Refused for ever: do not send it again.
    Refused {
        /// One of [`super::code`].
        code: String,
        /// What is wrong, for people.
        detail: String,
    },
}

/// `POST /mesh/v1/keys`: key operations of one account, from anyone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeysPush {
    /// The account.
    pub account: AccountId,
    /// The operations, parents first.
    pub ops: Vec<LoggedOp>,
}

/// An account whose operations the receiver of a delivery lacks, with the head it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeysKnown {
    /// The account.
    pub account: AccountId,
    /// The head of what is known; absent if nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<RecordId>,
}

/// `GET /mesh/v1/accounts/{id}/keys`: a key log as this server knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeysView {
    /// The account.
    pub account: AccountId,
    /// All operations, parents first.
    pub ops: Vec<LoggedOp>,
    /// At the account's home: the leaf that binds its name, with what the leaf commits to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<NameLeaf>,
}

/// The proof that a home logged a name binding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NameLeaf {
    /// Where.
    pub leaf: LogPosition,
    /// What the leaf commits to.
    pub opening: Opening,
    /// Signed note of a checkpoint that covers it.
    pub checkpoint: String,
    /// The proof for this leaf.
    pub proof: BatchProof,
}

/// `POST /mesh/v1/keys:batch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeysBatch {
    /// At most 256 accounts.
    pub accounts: Vec<AccountId>,
}

/// The answer to [`KeysBatch`]: the accounts known here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeysBatchAnswer {
    /// In the order asked; unknown accounts are left out.
    pub accounts: Vec<KeysView>,
}

/// `POST /mesh/v1/records:batch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecordsBatch {
    /// At most 100 ids: any version stands for its record, whose current version is answered.
    pub ids: Vec<RecordId>,
}

/// The answer to [`RecordsBatch`], in the order asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecordsBatchAnswer {
    /// One for each id.
    pub records: Vec<Found>,
}

/// What a home has under an id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "found", rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Found {
    /// The current version.
    Record(Box<LoggedRecord>),
    /// It was withdrawn.
    Tombstone(Tombstone),
    /// Nothing.
    Nothing,
}

/// `POST /mesh/v1/challenges`: asks a domain to show that it wants deliveries from `from`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChallengeRequest {
    /// The domain that asks.
    pub from: Domain,
    /// Random bytes that the answer repeats.
    pub nonce: Salt,
}

/// The signed answer, as the body of a `challenge` envelope under the domain's request key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Challenge {
    /// The domain that answers.
    pub domain: Domain,
    /// The domain that asked.
    pub from: Domain,
    /// The nonce that was sent.
    pub nonce: Salt,
    /// When it was answered, milliseconds since the epoch.
    pub at: u64,
}
