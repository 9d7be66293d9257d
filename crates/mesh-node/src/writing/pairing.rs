//! Device pairing: a meeting place. Requests live in memory for ten minutes; the code that people compare is made from the key itself.

use crate::error::{NodeError, Result};
use crate::tables::AccountLid;
use mesh_proto::api::{Pairing, PairingList, PairingRequest, code};
use mesh_proto::limits::TITLE_BYTES_MAX;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// How long a request is kept, milliseconds.
const PAIRING_MS: u64 = 10 * 60 * 1000;
/// Most requests for one account.
const PAIRINGS_PER_ACCOUNT_MAX: usize = 8;
/// Most accounts with requests.
const ACCOUNTS_MAX: usize = 10_000;

/// The meeting place.
#[derive(Default)]
pub struct Pairings {
    waiting: Mutex<BTreeMap<AccountLid, Vec<Pairing>>>,
}

impl Pairings {
    /// Notes that a new device wants to join an account.
    pub fn ask(&self, account: AccountLid, request: PairingRequest, now_ms: u64) -> Result<Pairing> {
        if request.name.len() > TITLE_BYTES_MAX || request.device.verifier().is_err() {
            return Err(NodeError::refused(code::MALFORMED, "the device's key is unusable or its name too long"));
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|_, pairings| {
            pairings.retain(|pairing| pairing.expires > now_ms);
            !pairings.is_empty()
        });
        if waiting.len() >= ACCOUNTS_MAX {
            return Err(NodeError::SlowDown { retry_after_s: 60 });
        }
        let pairings = waiting.entry(account).or_default();
        pairings.retain(|pairing| pairing.device != request.device);
        if pairings.len() >= PAIRINGS_PER_ACCOUNT_MAX {
            return Err(NodeError::SlowDown { retry_after_s: PAIRING_MS / 1000 });
        }
        let pairing = Pairing { device: request.device, name: request.name, expires: now_ms + PAIRING_MS };
        pairings.push(pairing.clone());
        Ok(pairing)
    }

    /// The requests that wait, for the account's own devices.
    pub fn list(&self, account: AccountLid, now_ms: u64) -> PairingList {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let pairings = waiting.get(&account).into_iter().flatten().filter(|pairing| pairing.expires > now_ms);
        PairingList { pairings: pairings.cloned().collect() }
    }
}
