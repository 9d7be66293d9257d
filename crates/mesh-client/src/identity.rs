//! Becoming and remaining somebody: registration, recovery, pairing, devices, the root key.
//!
//! Owns who one is ([`Identity`]) and how that comes about. Every change of a key log is drafted here, signed by the caller's key and
//! checked against the verified log before it is sent. The recovery phrase passes through and is kept nowhere.

pub mod change;
pub mod create;
pub mod mirrors;
pub mod pair;
pub mod recover;

use mesh_proto::address::{Address, Domain};
use mesh_proto::envelope::Envelope;
use mesh_proto::key::{AccountId, KeyId, SecretKey};
use serde::{Deserialize, Serialize};

/// Where secrets are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreKind {
    /// A file of mode 0600.
    File,
    /// The keyring of the operating system.
    OsKeyring,
}

impl StoreKind {
    /// The words for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "a file that only you can read",
            Self::OsKeyring => "the keyring of this system",
        }
    }
}

/// How far an identity has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The genesis was made, and the home has not confirmed it yet. Sending it again is the same registration.
    Registering {
        /// The genesis.
        genesis: Box<Envelope>,
    },
    /// The device waits to be added by another one.
    Pairing,
    /// The device speaks for the account.
    Active,
    /// The account is on its way to another home. The device speaks for it where the address says.
    Moving(Box<Moving>),
}

/// A move that was signed and is not at its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moving {
    /// The operations that root signed for it, in their order; the last one names the new address. No others may ever be signed in their place:
    /// two different ones after the same head would make the account compromised.
    pub ops: Vec<Envelope>,
    /// Where the account lives afterwards.
    pub to: Address,
    /// The homes that it leaves.
    pub leaves: Vec<Domain>,
    /// Whether the new home has taken the account in.
    pub arrived: bool,
}

impl Stage {
    /// Whether the device speaks for the account.
    pub fn is_ready(&self) -> bool {
        matches!(self, Self::Active | Self::Moving(_))
    }
}

/// Who one is: everything but the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredIdentity {
    /// The account.
    pub account: AccountId,
    /// Its address when this was last written.
    pub address: Address,
    /// The key of this device.
    pub device: KeyId,
    /// What the person calls this device.
    pub device_name: String,
    /// Where the key is.
    pub store: StoreKind,
    /// How far it has come.
    pub stage: Stage,
}

/// Who one is, with the key to say so.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Who.
    pub stored: StoredIdentity,
    /// This device's key.
    pub key: SecretKey,
}

/// What the person calls a device, and where its key goes.
#[derive(Debug, Clone)]
pub struct NewDevice {
    /// The name, shown in the list of devices.
    pub name: String,
    /// Where the key is kept.
    pub store: StoreKind,
}
