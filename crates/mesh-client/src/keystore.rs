//! Where the device key lives: the desktop's keyring, or a file that only its owner can read.
//!
//! Owns the folder with the identity: `identity.json` says who one is (nothing secret), the seam [`SecretStore`] holds the device's seed.
//! **The recovery phrase and the root key are never stored.** Files are written beside their place, synced and renamed over it, so a crash
//! leaves the old one or the new one. A key file that others can read is refused, not repaired: who could read it may have.

mod file;
#[cfg(feature = "os-keyring")]
mod os;
#[cfg(test)]
mod tests;

pub(crate) use file::{read_capped, write_atomically};

use crate::identity::{Identity, StoreKind, StoredIdentity};
use mesh_proto::key::{KeyId, SecretKey};
use std::io;
use std::path::{Path, PathBuf};

/// Name of the file that says who one is.
const IDENTITY_FILE: &str = "identity.json";
/// Largest such file, bytes: it may hold a genesis that is not yet registered.
const IDENTITY_BYTES_MAX: u64 = 64 * 1024;

/// Why a key cannot be kept or found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeystoreError {
    /// A file or folder could not be read or written.
    #[error("cannot use {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others than the owner can read or write a secret.
    #[error(
        "{path} can be used by others (mode {mode:03o}): if nobody has read it, run `chmod {wanted:03o} {path}`; otherwise revoke this device"
    )]
    Exposed {
        /// Which file or folder.
        path: PathBuf,
        /// The mode found.
        mode: u32,
        /// The mode it must have.
        wanted: u32,
    },
    /// A file is not what this program writes.
    #[error("{path} is damaged: {what}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The desktop's keyring said no.
    #[error("the keyring of this system failed: {0}")]
    Keyring(String),
    /// The identity is there and its key is not.
    #[error("the key of device {0} is not in {1}: it may have been removed, or the keyring is locked")]
    Missing(KeyId, &'static str),
}

/// The seam: one seed per device key.
pub trait SecretStore: Send + Sync {
    /// Keeps the key.
    fn save(&self, key: &SecretKey) -> Result<(), KeystoreError>;
    /// Finds the key.
    fn load(&self, device: &KeyId) -> Result<Option<SecretKey>, KeystoreError>;
    /// Forgets the key; forgetting an unknown one is no error.
    fn remove(&self, device: &KeyId) -> Result<(), KeystoreError>;
}

/// The folder with the identity.
#[derive(Debug, Clone)]
pub struct Keystore {
    folder: PathBuf,
}

impl Keystore {
    /// The keystore in `folder`, which need not exist yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Who one is here, without touching the key; `None` before `init`.
    pub fn stored(&self) -> Result<Option<StoredIdentity>, KeystoreError> {
        let path = self.folder.join(IDENTITY_FILE);
        let Some(bytes) = read_capped(&path, IDENTITY_BYTES_MAX)? else {
            return Ok(None);
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| KeystoreError::Damaged { path, what: error.to_string() })
    }

    /// Who one is here, with the key.
    pub fn load(&self) -> Result<Option<Identity>, KeystoreError> {
        let Some(stored) = self.stored()? else { return Ok(None) };
        let found = self.secrets(stored.store)?.load(&stored.device)?;
        let key = found.ok_or(KeystoreError::Missing(stored.device, stored.store.name()))?;
        Ok(Some(Identity { stored, key }))
    }

    /// Keeps an identity: the key first, so that what `identity.json` names is always there.
    pub fn save(&self, identity: &Identity) -> Result<(), KeystoreError> {
        self.secrets(identity.stored.store)?.save(&identity.key)?;
        self.save_stored(&identity.stored)
    }

    /// Writes who one is; the key is there already.
    pub fn save_stored(&self, stored: &StoredIdentity) -> Result<(), KeystoreError> {
        let path = self.folder.join(IDENTITY_FILE);
        let bytes =
            serde_json::to_vec_pretty(stored).map_err(|error| KeystoreError::Damaged { path: path.clone(), what: error.to_string() })?;
        write_atomically(&path, &bytes)
    }

    /// Forgets the identity and its key. The account lives on.
    pub fn remove(&self) -> Result<(), KeystoreError> {
        let Some(stored) = self.stored()? else { return Ok(()) };
        let path = self.folder.join(IDENTITY_FILE);
        std::fs::remove_file(&path).map_err(|source| KeystoreError::File { path, source })?;
        self.secrets(stored.store)?.remove(&stored.device)
    }

    /// Where a new key should go: into the keyring if one answers, else into a file.
    pub fn best_store(&self) -> StoreKind {
        #[cfg(feature = "os-keyring")]
        if os::answers() {
            return StoreKind::OsKeyring;
        }
        StoreKind::File
    }

    fn secrets(&self, kind: StoreKind) -> Result<Box<dyn SecretStore>, KeystoreError> {
        match kind {
            StoreKind::File => Ok(Box::new(file::FileStore::new(&self.folder))),
            #[cfg(feature = "os-keyring")]
            StoreKind::OsKeyring => Ok(Box::new(os::OsStore)),
            #[cfg(not(feature = "os-keyring"))]
            StoreKind::OsKeyring => Err(KeystoreError::Keyring("this program was built without it (feature os-keyring)".to_owned())),
        }
    }
}
