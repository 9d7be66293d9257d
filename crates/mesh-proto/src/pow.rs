//! Proof of work for registration: hashcash over SHA-256, bound to one domain, one challenge and one account.
//!
//! Owns the text that is hashed and the check. The server issues the salt and forgets or refuses it after use; this module
//! does not know which salts are live. See `spec/proof-of-work.md`.

use sha2::{Digest, Sha256};

use crate::address::Domain;
use crate::bytes::Salt;
use crate::key::AccountId;
use crate::limits::{JSON_INTEGER_MAX, POW_BITS_MAX};

/// Largest counter: it travels as a JSON integer.
const COUNTER_MAX: u64 = JSON_INTEGER_MAX.unsigned_abs();

/// Why a proof or a challenge is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PowError {
    /// The server asks for more than a client will do.
    #[error("the challenge asks for {0} zero bits, more than the {POW_BITS_MAX} that are allowed")]
    TooHard(u8),
    /// The hash has too few leading zero bits.
    #[error("the proof has {found} leading zero bits, the challenge asks for {wanted}")]
    TooFewBits {
        /// Zero bits that the offered counter gives.
        found: u32,
        /// Zero bits that the challenge asks for.
        wanted: u8,
    },
    /// The counter does not fit a JSON integer.
    #[error("the counter is above 2^53 - 1")]
    Counter,
}

/// What has to be worked for. Build it with the values that the server issued and the id of the genesis to be registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    domain: Domain,
    salt: Salt,
    bits: u8,
    genesis: AccountId,
}

impl Challenge {
    /// Binds the server's challenge (`salt`, `bits` leading zero bits) to the domain and to the account to be registered there.
    ///
    /// # Errors
    /// [`PowError::TooHard`] if `bits` is above [`POW_BITS_MAX`].
    pub fn new(domain: Domain, salt: Salt, bits: u8, genesis: AccountId) -> Result<Self, PowError> {
        if bits > POW_BITS_MAX {
            return Err(PowError::TooHard(bits));
        }
        Ok(Self { domain, salt, bits, genesis })
    }

    /// Leading zero bits asked for; a solution takes 2^bits hashes on average.
    #[must_use]
    pub fn bits(&self) -> u8 {
        self.bits
    }

    /// Checks a counter: one hash.
    ///
    /// # Errors
    /// [`PowError::TooFewBits`] if the hash is not small enough, [`PowError::Counter`] if the counter is above 2^53 - 1.
    pub fn verify(&self, counter: u64) -> Result<(), PowError> {
        if counter > COUNTER_MAX {
            return Err(PowError::Counter);
        }
        let found = zero_bits(&self.prefix(), counter);
        if found < u32::from(self.bits) {
            return Err(PowError::TooFewBits { found, wanted: self.bits });
        }
        Ok(())
    }

    /// The part of the hashed text before the counter, with the space at its end.
    fn text(&self) -> String {
        format!("mesh-pow-v1 {} {} {} {} ", self.domain, self.bits, self.salt, self.genesis)
    }

    fn prefix(&self) -> Sha256 {
        Sha256::new_with_prefix(self.text())
    }
}

/// Tries the counters `start..start + count` and returns the first that solves the challenge. Callers go on at
/// `start + count`, and between two calls they show progress or stop.
#[must_use]
pub fn solve_step(challenge: &Challenge, start: u64, count: u32) -> Option<u64> {
    let prefix = challenge.prefix();
    let end = start.saturating_add(u64::from(count)).min(COUNTER_MAX + 1);
    (start..end).find(|counter| zero_bits(&prefix, *counter) >= u32::from(challenge.bits))
}

/// Leading zero bits of SHA-256(prefix ‖ counter in decimal). `prefix` holds the state after the fixed text.
fn zero_bits(prefix: &Sha256, counter: u64) -> u32 {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = counter;
    for (index, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        at = index;
        if rest == 0 {
            break;
        }
    }
    let hash = prefix.clone().chain_update(digits.get(at..).unwrap_or_default()).finalize();
    let mut bits = 0;
    for byte in hash {
        bits += byte.leading_zeros();
        if byte != 0 {
            break;
        }
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn genesis(fill: u8) -> AccountId {
        AccountId::from_hash([fill; 32])
    }

    fn challenge(domain: &str, salt: u8, bits: u8, account: u8) -> Challenge {
        Challenge::new(domain.parse().expect("domain"), Salt([salt; 16]), bits, genesis(account)).expect("bits are allowed")
    }

    fn solve(challenge: &Challenge) -> u64 {
        (0..4096u64).find_map(|step| solve_step(challenge, step * 1024, 1024)).expect("a solution within 4 M hashes")
    }

    #[test]
    fn text_and_solution_are_those_of_the_spec_page() {
        let challenge = challenge("mesh.org", 7, 12, 9);
        let id = genesis(9);
        assert_eq!(challenge.text(), format!("mesh-pow-v1 mesh.org 12 BwcHBwcHBwcHBwcHBwcHBw {id} "));
        assert_eq!(solve(&challenge), 1564);
    }

    #[test]
    fn solution_for_another_domain_salt_difficulty_or_account_is_refused() {
        let counter = solve(&challenge("mesh.org", 1, 12, 1));
        for other in [challenge("mesh.example", 1, 12, 1), challenge("mesh.org", 2, 12, 1), challenge("mesh.org", 1, 12, 2)] {
            assert!(matches!(other.verify(counter), Err(PowError::TooFewBits { wanted: 12, .. })));
        }
        assert!(challenge("mesh.org", 1, 13, 1).verify(counter).is_err());
    }

    #[test]
    fn limits_hold() {
        let made = Challenge::new("mesh.org".parse().expect("domain"), Salt([0; 16]), POW_BITS_MAX + 1, genesis(0));
        assert_eq!(made, Err(PowError::TooHard(POW_BITS_MAX + 1)));
        let free = challenge("mesh.org", 0, 0, 0);
        assert_eq!(free.verify(COUNTER_MAX), Ok(()));
        assert_eq!(free.verify(COUNTER_MAX + 1), Err(PowError::Counter));
        assert_eq!(solve_step(&free, COUNTER_MAX, 10), Some(COUNTER_MAX));
        assert_eq!(solve_step(&free, COUNTER_MAX + 1, 10), None);
        assert_eq!(solve_step(&free, u64::MAX, u32::MAX), None);
        assert_eq!(solve_step(&free, 5, 0), None);
    }

    proptest! {
        #[test]
        fn what_is_solved_verifies_and_nothing_before_it_does(salt: u8, bits in 0u8..8) {
            let challenge = challenge("one.localhost:8001", salt, bits, 3);
            let counter = solve(&challenge);
            prop_assert_eq!(challenge.verify(counter), Ok(()));
            for earlier in 0..counter {
                prop_assert!(challenge.verify(earlier).is_err());
            }
        }
    }
}
