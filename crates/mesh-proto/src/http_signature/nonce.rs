//! The nonces seen, for as long as their signatures live.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::VerifiedHead;
use crate::limits::NONCES_MAX;

/// Bytes of hash kept for one nonce: no two meet by chance.
const MARK_BYTES: usize = 16;

type Mark = [u8; MARK_BYTES];

/// Why a request may not go on although its signature holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NonceError {
    /// The same signer has used the nonce within its life: a replay. The sender's fault.
    #[error("this nonce was used before: sign again with a new one")]
    Replayed,
    /// Too many live nonces. The server's state: try again later, signed anew.
    #[error("too many signed requests at this moment: try again in a minute")]
    Busy,
}

/// The nonces of the last minute, by signer. Bounded at [`NONCES_MAX`] (about 16 MB): when full it refuses, since to forget a live
/// nonce would let a request be replayed. Lives in memory only; a restart is covered by `created` being refused from before it.
#[derive(Debug, Clone, Default)]
pub struct NonceWindow {
    seen: BTreeSet<Mark>,
    by_expiry_s: BTreeMap<u64, Vec<Mark>>,
}

impl NonceWindow {
    /// An empty window.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the nonce of a verified request; forgets those expired before `now_s` (seconds since the epoch).
    ///
    /// # Errors
    /// [`NonceError::Replayed`] if the signer has used it, [`NonceError::Busy`] if the window is full.
    pub fn remember(&mut self, head: &VerifiedHead, now_s: u64) -> Result<(), NonceError> {
        self.forget_expired(now_s);
        self.insert(mark(head.keyid(), head.nonce()), head.expires_s(), NONCES_MAX)
    }

    /// How many nonces are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    fn forget_expired(&mut self, now_s: u64) {
        while let Some(bucket) = self.by_expiry_s.first_entry() {
            if *bucket.key() >= now_s {
                break;
            }
            for mark in bucket.remove() {
                self.seen.remove(&mark);
            }
        }
    }

    fn insert(&mut self, mark: Mark, expires_s: u64, max: usize) -> Result<(), NonceError> {
        if self.seen.contains(&mark) {
            return Err(NonceError::Replayed);
        }
        if self.seen.len() >= max {
            return Err(NonceError::Busy);
        }
        self.seen.insert(mark);
        self.by_expiry_s.entry(expires_s).or_default().push(mark);
        Ok(())
    }
}

/// A nonce belongs to its signer: another's equal nonce is another nonce. A space cannot stand in either.
fn mark(keyid: &str, nonce: &str) -> Mark {
    let hash = Sha256::new().chain_update(keyid).chain_update(" ").chain_update(nonce).finalize();
    let mut mark = Mark::default();
    mark.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    mark
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonce_is_refused_until_it_expires_and_only_for_its_signer() {
        let mut window = NonceWindow::new();
        assert_eq!(window.insert(mark("a", "n"), 100, 10), Ok(()));
        assert_eq!(window.insert(mark("a", "n"), 100, 10), Err(NonceError::Replayed));
        assert_eq!(window.insert(mark("b", "n"), 100, 10), Ok(()));
        window.forget_expired(100);
        assert_eq!(window.len(), 2);
        window.forget_expired(101);
        assert!(window.is_empty());
    }

    #[test]
    fn full_window_refuses_and_forgets_nothing() {
        let mut window = NonceWindow::new();
        for at in 0..10u64 {
            assert_eq!(window.insert(mark("a", &at.to_string()), 100 + at, 10), Ok(()));
        }
        assert_eq!(window.insert(mark("a", "new"), 100, 10), Err(NonceError::Busy));
        assert_eq!(window.insert(mark("a", "0"), 100, 10), Err(NonceError::Replayed));
        window.forget_expired(101);
        assert_eq!(window.insert(mark("a", "new"), 160, 10), Ok(()));
    }
}
