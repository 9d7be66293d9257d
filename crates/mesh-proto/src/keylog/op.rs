//! One key operation: its body, how it is made, what is checked before any log is looked at.

use crate::address::{Address, Domain};
use crate::bytes::Salt;
use crate::envelope::body::{CritError, check_crit};
use crate::envelope::{Envelope, Kind, RecordId, id_of_pae};
use crate::json;
use crate::key::{AccountId, KeyError, KeyId, SecretKey, Verifier};
use crate::keylog::LogPosition;
use crate::limits::{CRIT_MAX, KEY_OP_BYTES_MAX, MIRRORS_MAX, TITLE_BYTES_MAX};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The fields that every key operation has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The account; absent in the genesis, whose hash it is.
    #[serde(default, deserialize_with = "crate::envelope::body::present", skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// The operation that this one follows; absent in the genesis.
    #[serde(default, deserialize_with = "crate::envelope::body::present", skip_serializing_if = "Option::is_none")]
    pub prev: Option<RecordId>,
    /// The key that signs: the root key or a device key.
    pub signer: KeyId,
    /// Claimed time, milliseconds since the epoch.
    pub at: u64,
    /// Random bytes, so that the id cannot be guessed.
    pub salt: Salt,
}

const HEAD_FIELDS: [&str; 7] = ["account", "prev", "signer", "at", "salt", "op", "crit"];

/// The names that a reader must understand. Operations of this version write none.
#[derive(Deserialize)]
struct Critical {
    #[serde(default, deserialize_with = "crate::envelope::body::names")]
    crit: BTreeSet<String>,
}

/// What a key operation does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op")]
pub enum Action {
    /// Creates the account: its root key, its first device, its first address. Signed by the root key.
    #[serde(rename = "genesis")]
    Genesis {
        /// The offline key, made from the recovery phrase.
        root: KeyId,
        /// The first device key.
        device: KeyId,
        /// The name under which the account starts.
        address: Address,
        /// What the person calls the device.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        name: String,
    },
    /// Lets another device sign.
    #[serde(rename = "device.add")]
    DeviceAdd {
        /// The new device key.
        device: KeyId,
        /// What the person calls the device.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        name: String,
    },
    /// Ends a device. Its records up to `last_good` stay good; later ones, and all in other logs, are disowned.
    #[serde(rename = "device.revoke")]
    DeviceRevoke {
        /// The device key.
        device: KeyId,
        /// The last leaf that the person stands by; absent: none.
        #[serde(default, deserialize_with = "crate::envelope::body::present_object", skip_serializing_if = "Option::is_none")]
        last_good: Option<LogPosition>,
    },
    /// Replaces the root key: at once if root signs, after 30 days of logged time if a device does.
    #[serde(rename = "root.rotate")]
    RootRotate {
        /// The new root key.
        root: KeyId,
    },
    /// Changes the address: another user name, another home, or both.
    #[serde(rename = "home.move")]
    HomeMove {
        /// The new address.
        address: Address,
    },
    /// Names the domains that keep a copy of the account's public records, in place of those named before.
    #[serde(rename = "mirror.set")]
    MirrorSet {
        /// The domains, each once.
        mirrors: Vec<Domain>,
    },
    /// Ends the account.
    #[serde(rename = "account.close")]
    AccountClose,
}

impl Action {
    /// Names of the operation's own fields.
    fn fields(&self) -> &'static [&'static str] {
        match self {
            Action::Genesis { .. } => &["root", "device", "address", "name"],
            Action::DeviceAdd { .. } => &["device", "name"],
            Action::DeviceRevoke { .. } => &["device", "last_good"],
            Action::RootRotate { .. } => &["root"],
            Action::HomeMove { .. } => &["address"],
            Action::MirrorSet { .. } => &["mirrors"],
            Action::AccountClose => &[],
        }
    }

    /// The device that this makes known.
    pub fn adds(&self) -> Option<&KeyId> {
        match self {
            Action::Genesis { device, .. } | Action::DeviceAdd { device, .. } => Some(device),
            _ => None,
        }
    }
}

/// Why a key operation is refused before its place in a log matters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyOpError {
    /// The envelope carries something else.
    #[error("the envelope carries a {0}, not a key operation")]
    OtherKind(Kind),
    /// The body has more than [`KEY_OP_BYTES_MAX`] bytes.
    #[error("the operation has {0} bytes, more than {KEY_OP_BYTES_MAX}")]
    TooLarge(usize),
    /// The body is not the JSON that it should be.
    #[error("the operation's body is malformed: {0}")]
    Body(#[from] json::JsonError),
    /// A genesis that is not signed by its own root, or that names a predecessor.
    #[error("a genesis names its root key as signer, and neither account nor predecessor; other operations name both")]
    Shape,
    /// The device's name is too long, or would upset a terminal.
    #[error("the device's name has more than {TITLE_BYTES_MAX} bytes, or control characters")]
    Name,
    /// `crit` names a field that this version does not know.
    #[error("the operation needs its field {0:?} to be understood, which this version does not: a newer version may be needed")]
    UnknownCritical(String),
    /// `crit` lists more than [`CRIT_MAX`] names.
    #[error("crit lists more than {CRIT_MAX} names")]
    CritTooLong,
    /// More than [`MIRRORS_MAX`] mirrors, or one of them twice.
    #[error("an account names at most {MIRRORS_MAX} mirrors, each once")]
    Mirrors,
    /// The signing key is unusable, or the signature does not fit.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// A key operation, parsed. Whether it may stand where it claims is for the log to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyOp {
    /// The operation's id.
    pub id: RecordId,
    /// The common fields.
    pub head: Head,
    /// What it does.
    pub action: Action,
    /// The key that it brings in, decompressed once: a hostile log makes its reader replay it again and again.
    pub(super) brought: Option<Verifier>,
}

impl KeyOp {
    /// Parses the body of an envelope; a key that it brings in is checked to be usable.
    pub fn open(envelope: &Envelope) -> Result<Self, KeyOpError> {
        if envelope.kind() != Kind::Key {
            return Err(KeyOpError::OtherKind(envelope.kind()));
        }
        let body = envelope.body();
        if body.len() > KEY_OP_BYTES_MAX {
            return Err(KeyOpError::TooLarge(body.len()));
        }
        let head: Head = json::parse(body)?;
        let Critical { crit } = json::parse_checked(body)?;
        let action: Action = json::parse_checked(body)?;
        check_crit(&crit, |name| HEAD_FIELDS.contains(&name) || action.fields().contains(&name)).map_err(|error| match error {
            CritError::TooLong => KeyOpError::CritTooLong,
            CritError::Unknown(name) => KeyOpError::UnknownCritical(name),
        })?;
        let shaped = match &action {
            Action::Genesis { root, .. } => head.account.is_none() && head.prev.is_none() && head.signer == *root,
            _ => head.account.is_some() && head.prev.is_some(),
        };
        if !shaped {
            return Err(KeyOpError::Shape);
        }
        if let Action::Genesis { name, .. } | Action::DeviceAdd { name, .. } = &action
            && (name.len() > TITLE_BYTES_MAX || name.chars().any(char::is_control))
        {
            return Err(KeyOpError::Name);
        }
        if let Action::MirrorSet { mirrors } = &action
            && (mirrors.len() > MIRRORS_MAX || mirrors.iter().collect::<BTreeSet<_>>().len() < mirrors.len())
        {
            return Err(KeyOpError::Mirrors);
        }
        let brought = match &action {
            Action::Genesis { device: key, .. } | Action::DeviceAdd { device: key, .. } | Action::RootRotate { root: key } => {
                Some(key.verifier()?)
            }
            Action::DeviceRevoke { .. } | Action::HomeMove { .. } | Action::MirrorSet { .. } | Action::AccountClose => None,
        };
        Ok(Self { id: id_of_pae(&envelope.pae()), head, action, brought })
    }

    /// Verifies the signature under the signer that the operation names.
    pub fn verify(&self, envelope: &Envelope) -> Result<(), KeyOpError> {
        Ok(envelope.verify(&self.head.signer.verifier()?)?)
    }
}

/// A key operation about to be signed.
#[derive(Debug, Clone)]
pub struct NewOp {
    /// The account and the head that the operation follows; absent for a genesis.
    pub follows: Option<(AccountId, RecordId)>,
    /// What it does.
    pub action: Action,
    /// Claimed time, milliseconds since the epoch.
    pub at: u64,
    /// Random bytes.
    pub salt: Salt,
}

impl NewOp {
    /// The exact bytes that `signer` would sign, for `--dry-run` and for keys held elsewhere.
    pub fn body(&self, signer: KeyId) -> Vec<u8> {
        #[derive(Serialize)]
        struct Body<'a> {
            #[serde(flatten)]
            action: &'a Action,
            #[serde(flatten)]
            head: Head,
        }
        let (account, prev) = self.follows.unzip();
        let head = Head { account, prev, signer, at: self.at, salt: self.salt };
        serde_json::to_vec(&Body { action: &self.action, head }).expect("a key operation has only plain fields")
    }

    /// Signs the operation.
    pub fn sign(&self, key: &SecretKey) -> Envelope {
        Envelope::sign(Kind::Key, self.body(key.id()), key)
    }
}
