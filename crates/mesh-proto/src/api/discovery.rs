//! `/.well-known/mesh`: what a domain is and demands.

use super::account::RegistrationMode;
use crate::address::Domain;
use crate::key::KeyId;
use crate::log::Origin;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `GET /.well-known/mesh` (RFC 8615).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Discovery {
    /// The protocol versions spoken, highest last. This is version 1.
    pub versions: Vec<u32>,
    /// The domain that answers.
    pub domain: Domain,
    /// Its keys.
    pub keys: Vec<DomainKey>,
    /// Its present log.
    pub origin: Origin,
    /// Software name and version, for people.
    pub software: String,
    /// Its limits, by the names in the specification.
    pub limits: LimitView,
    /// Its rules.
    pub policy: PolicyView,
}

/// Limits by name.
pub type LimitView = BTreeMap<String, u64>;

/// A key of a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DomainKey {
    /// The public key.
    pub id: KeyId,
    /// What it is for.
    #[serde(rename = "use")]
    pub key_use: DomainKeyUse,
}

/// What a domain key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum DomainKeyUse {
    /// Signs requests to other domains and answers to challenges.
    Request,
    /// Signs checkpoints of the log.
    Log,
}

/// A domain's rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PolicyView {
    /// Who may register.
    pub registration: RegistrationMode,
    /// Whether it keeps copies of what people of other domains say.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mirrors: bool,
}

impl Discovery {
    /// The key for one use.
    pub fn key(&self, key_use: DomainKeyUse) -> Option<KeyId> {
        self.keys.iter().find(|key| key.key_use == key_use).map(|key| key.id)
    }
}
