//! Secrets in the desktop's keyring: Secret Service over D-Bus on Linux, Keychain on macOS, Credential Manager on Windows.
//!
//! The calls block, and on Linux run an executor of their own, so each runs on a thread of its own: callers may be inside a runtime.

use super::{KeystoreError, SecretStore};
use keyring::{Entry, Error};
use mesh_proto::key::{KeyId, SecretKey};
use zeroize::Zeroizing;

/// The name under which a person finds the entries.
const SERVICE: &str = "mesh";

/// The keyring.
pub(super) struct OsStore;

/// Whether a keyring is there.
pub(super) fn answers() -> bool {
    on_thread(|| Ok(Entry::store_status().is_ok())).unwrap_or(false)
}

impl SecretStore for OsStore {
    fn save(&self, key: &SecretKey) -> Result<(), KeystoreError> {
        let key = key.clone();
        on_thread(move || entry(&key.id())?.set_secret(&*key.seed()).map_err(refused))
    }

    fn load(&self, device: &KeyId) -> Result<Option<SecretKey>, KeystoreError> {
        let device = *device;
        on_thread(move || {
            let secret = match entry(&device)?.get_secret() {
                Err(Error::NoEntry) => return Ok(None),
                other => Zeroizing::new(other.map_err(refused)?),
            };
            let seed = <[u8; 32]>::try_from(secret.as_slice()).map(Zeroizing::new);
            let key = seed.ok().map(|seed| SecretKey::from_seed(&seed)).filter(|key| key.id() == device);
            key.map(Some).ok_or_else(|| KeystoreError::Keyring(format!("the entry {device} does not hold its key")))
        })
    }

    fn remove(&self, device: &KeyId) -> Result<(), KeystoreError> {
        let device = *device;
        on_thread(move || match entry(&device)?.delete_credential() {
            Ok(()) | Err(Error::NoEntry) => Ok(()),
            Err(error) => Err(refused(error)),
        })
    }
}

fn entry(device: &KeyId) -> Result<Entry, KeystoreError> {
    Entry::new(SERVICE, &device.to_string()).map_err(refused)
}

/// The keyring's message; it never holds the secret.
fn refused(error: Error) -> KeystoreError {
    KeystoreError::Keyring(error.to_string())
}

fn on_thread<T: Send + 'static>(work: impl FnOnce() -> Result<T, KeystoreError> + Send + 'static) -> Result<T, KeystoreError> {
    std::thread::spawn(work).join().unwrap_or_else(|_| Err(KeystoreError::Keyring("it stopped unexpectedly".to_owned())))
}
