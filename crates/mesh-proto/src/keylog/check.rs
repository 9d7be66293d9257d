//! Whether a record's device could sign it: the question that every verifier asks of a key log.

use super::{KeyLog, Status};
use crate::envelope::RecordId;
use crate::key::{KeyId, Verifier};
use crate::log::Origin;
use serde::{Deserialize, Serialize};

/// A leaf of a home log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogPosition {
    /// The log's name.
    pub origin: Origin,
    /// The leaf's index, from 0.
    pub index: u64,
}

/// Why a device may not have signed a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UseError {
    /// The record was signed under a key-log head that is not known here.
    #[error("the record was signed under key operation {0}, which is not known here: send the account's key operations")]
    UnknownHead(RecordId),
    /// The head lies on a branch that lost, or that is contested.
    #[error("the record was signed under a branch of the key log that is contested or was overruled by the root key")]
    LostBranch,
    /// Two device-signed branches: nothing more is accepted until root acts.
    #[error(
        "the account is frozen: two branches of its key log are signed by devices; its owner must settle this with the recovery phrase"
    )]
    Frozen,
    /// Two root-signed branches.
    #[error("the account is compromised: its root key signed two different histories")]
    Compromised,
    /// The account was closed.
    #[error("the account is closed")]
    Closed,
    /// The device was not live at the named head.
    #[error("device {0} is not a device of this account at the key operation that the record names")]
    UnknownDevice(KeyId),
    /// The device was revoked, and the leaf is not one that the owner stands by.
    #[error("device {0} was revoked before this record was logged")]
    Revoked(KeyId),
}

impl KeyLog {
    /// The key of `device`, if it may have signed a record under head `keys` that the home logged at `leaf` (`None`: about to be logged).
    ///
    /// New records additionally need an account that [`KeyLog::check_open`] finds open; records accepted earlier are asked this question again
    /// after every key operation, and an error then means that they are *disowned*.
    pub fn check_use(&self, device: &KeyId, keys: &RecordId, leaf: Option<&LogPosition>) -> Result<&Verifier, UseError> {
        if !self.contains(keys) {
            return Err(UseError::UnknownHead(*keys));
        }
        let at = self.view().position(keys).ok_or(UseError::LostBranch)?;
        let entry = self.view().devices().get(device).filter(|entry| entry.added_at <= at).ok_or(UseError::UnknownDevice(*device))?;
        match &entry.revoked {
            None => Ok(&entry.verifier),
            Some(revocation) if revocation.at <= at => Err(UseError::Revoked(*device)),
            Some(revocation) => match (&revocation.last_good, leaf) {
                (Some(last), Some(leaf)) if last.origin == leaf.origin && leaf.index <= last.index => Ok(&entry.verifier),
                _ => Err(UseError::Revoked(*device)),
            },
        }
    }

    /// Whether the owner does not stand by a record that was accepted earlier: the device that [`KeyLog::device_at`] gives was revoked before `leaf`,
    /// or came by a branch that lost.
    pub fn is_disowned(&self, device_place: usize, leaf: &LogPosition) -> bool {
        let Some(entry) = self.device_at(device_place).and_then(|device| self.view().devices().get(device)) else {
            return true;
        };
        let Some(revocation) = &entry.revoked else { return false };
        !revocation.last_good.as_ref().is_some_and(|last| last.origin == leaf.origin && leaf.index <= last.index)
    }

    /// Whether the account may act at all.
    pub fn check_open(&self) -> Result<(), UseError> {
        match self.view().status() {
            Status::Active => Ok(()),
            Status::Frozen => Err(UseError::Frozen),
            Status::Compromised => Err(UseError::Compromised),
            Status::Closed => Err(UseError::Closed),
        }
    }
}
