//! Moving: how an account takes its records from one home to another, and what proves them there.

use super::account::Admission;
use super::content::LoggedRecord;
use super::federation::{Delivery, ItemResult};
use crate::address::Domain;
use crate::key::AccountId;
use crate::keylog::LoggedOp;
use crate::log::BatchProof;
use serde::{Deserialize, Serialize};

/// `POST /api/v1/arrivals`: an account whose key log names this domain comes to live here.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Arrival {
    /// The account.
    pub account: AccountId,
    /// Its whole key log, parents first, with the `home.move` that names an address of this domain.
    pub ops: Vec<LoggedOp>,
    /// What the domain asks of those who come.
    #[serde(flatten)]
    pub admission: Admission,
}

/// `GET /api/v1/accounts/{who}/export`: a part of an account's records, for its own devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExportPage {
    /// Records of one log with their proof; absent if this stretch of the store holds none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Delivery>,
    /// Where to go on.
    pub next: u64,
    /// Whether there may be more.
    pub more: bool,
    /// On the first page: the domains that hold something of the account or about it, and must learn where it went.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<Domain>,
}

/// The answer to `POST /api/v1/accounts/{who}/import`, which takes a part of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Imported {
    /// What became of each record.
    pub results: Vec<ItemResult>,
}

/// `POST /api/v1/accounts/{who}/import:end`: everything is here, and others may be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImportEnd {
    /// The domains to be told, as the export names them.
    pub domains: Vec<Domain>,
}

/// The answer to [`ImportEnd`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Announced {
    /// Number of domains that will be told.
    pub domains: usize,
}

/// `POST /api/v1/accounts/{who}/mirror`: one of the account's devices asks a domain to keep a copy of what the account says to everybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MirrorRequest {
    /// Where the account lives.
    pub home: Domain,
}

/// The answer: the domain keeps what the account's home delivers, once the account names it in a `mirror.set`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MirrorAgreement {
    /// The account.
    pub account: AccountId,
    /// Bytes of records that are kept at most.
    pub bytes_max: u64,
}

/// `GET /mesh/v1/records/{id}/proof`: a record with the proof of its leaf, by whoever keeps the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecordProof {
    /// The record.
    pub record: LoggedRecord,
    /// Signed note of a checkpoint that covers its leaf.
    pub checkpoint: String,
    /// The proof for this leaf.
    pub proof: BatchProof,
}
