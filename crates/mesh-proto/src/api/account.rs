//! Accounts: registration, keys, pairing, how they are shown.

use super::content::Counts;
use crate::address::{Address, Domain};
use crate::envelope::{Envelope, RecordId};
use crate::key::{AccountId, KeyId};
use crate::keylog::{LogPosition, Status};
use serde::{Deserialize, Serialize};

/// Who may register. The operator's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum RegistrationMode {
    /// Everyone.
    Open,
    /// Those with an invite code.
    Invite,
    /// Those whose client does some work first.
    ProofOfWork,
    /// Nobody.
    Closed,
}

/// `GET /api/v1/registration`: what registering takes here and now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Registration {
    /// Who may register.
    pub mode: RegistrationMode,
    /// With `proof-of-work`: the leading zero bits to find.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pow_bits: Option<u8>,
    /// With `proof-of-work`: the server's salt, base64url; it is valid for ten minutes at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pow_salt: Option<String>,
}

/// What somebody who comes to a domain shows, as the domain's rules ask for it: members of the request itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Admission {
    /// With `invite`: the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite: Option<String>,
    /// With `proof-of-work`: the salt that was worked on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pow_salt: Option<String>,
    /// With `proof-of-work`: the number found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pow_nonce: Option<u64>,
}

/// `POST /api/v1/accounts`: claims an address.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewAccount {
    /// The genesis key operation, signed by the root key.
    pub genesis: Envelope,
    /// What the domain asks of those who come.
    #[serde(flatten)]
    pub admission: Admission,
}

/// The answer to a registration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Registered {
    /// The new account.
    pub account: AccountId,
    /// Its address.
    pub address: Address,
    /// Where the genesis was logged; the name leaf follows it.
    pub leaf: LogPosition,
}

/// The answer to a key operation at the account's home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeysAdded {
    /// The head of the key log now.
    pub head: RecordId,
    /// Number of operations that were new.
    pub added: usize,
}

/// An invite code, made by the operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Invite {
    /// The code; it works once.
    pub code: String,
}

/// A profile as shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProfileView {
    /// The display name; empty if none was ever set.
    pub name: String,
    /// A few words about oneself.
    pub bio: String,
    /// Whether what the account says is left out of every search.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub noindex: bool,
}

/// `GET /api/v1/accounts/{who}`: an account as its home, or a server that knows it, shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AccountView {
    /// The identity.
    pub account: AccountId,
    /// The present name.
    pub address: Address,
    /// Head of the key log.
    pub head: RecordId,
    /// Where it stands.
    pub status: Status,
    /// When it was created, milliseconds since the epoch.
    pub created: u64,
    /// How it presents itself.
    pub profile: ProfileView,
    /// Counters: `subscribe` are its subscribers, `post` its posts.
    #[cfg_attr(feature = "openapi", schema(value_type = std::collections::BTreeMap<String, u64>))]
    pub counts: Counts,
    /// The other domains whose cosignatures vouch for the log that holds the name, as its home says: the notes themselves are with the keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub witnesses: Vec<Domain>,
    /// The signed [`crate::ruling::Ruling`] by which it is suspended, if it is: what it said is not shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended: Option<Envelope>,
}

/// `POST /api/v1/accounts/{who}/pairings`: a new device asks to be added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PairingRequest {
    /// The new device's key.
    pub device: KeyId,
    /// What the person calls the device.
    pub name: String,
}

/// A pending request to add a device. The code that people compare is made from `device` by both sides; the server cannot forge it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Pairing {
    /// The new device's key.
    pub device: KeyId,
    /// What the person calls the device.
    pub name: String,
    /// When the request is forgotten, milliseconds since the epoch.
    pub expires: u64,
}

impl PairingRequest {
    /// The code that people compare: twelve characters of base32 (60 bits) of `SHA-256("mesh-pair-v1" ‖ account (32) ‖ key id (33))`, in three groups.
    pub fn code(account: &AccountId, device: &KeyId) -> String {
        use sha2::{Digest, Sha256};
        let digest: [u8; 32] =
            Sha256::new_with_prefix(b"mesh-pair-v1").chain_update(account.hash()).chain_update(device.as_bytes()).finalize().into();
        let text = crate::bytes::base32(&digest[..8]);
        format!("{}-{}-{}", &text[..4], &text[4..8], &text[8..12])
    }
}

/// `GET /api/v1/accounts/{who}/pairings`: the pending requests, for the account's own devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PairingList {
    /// Oldest first.
    pub pairings: Vec<Pairing>,
}
