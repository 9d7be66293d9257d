//! Signed counters: a home says how many statements of a kind it counts about an object, and which ones, in 32 bytes. `spec/healing.md`.
//!
//! Anybody who enumerates the statements can tell whether that is so. Nothing here says what a statement is worth: that is for whoever verifies it.

use crate::address::Domain;
use crate::bytes::Hash;
use crate::envelope::{Envelope, Kind, RecordId};
use crate::json::{self, JsonError};
use crate::key::{KeyError, SecretKey, Verifier};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What comes before the sum, so that the hash is of nothing else.
const LABEL: &[u8] = b"mesh-set-v1";

/// The sum of a set of record ids: in whatever order they are added, it is the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SetSum {
    /// Little-endian, modulo 2^256.
    sum: [u8; 32],
    count: u64,
}

impl SetSum {
    /// Adds an id.
    pub fn add(&mut self, id: &RecordId) {
        let mut carry = 0;
        for (byte, added) in self.sum.iter_mut().zip(id.hash()) {
            let sum = u16::from(*byte) + u16::from(*added) + carry;
            *byte = sum as u8;
            carry = sum >> 8;
        }
        self.count += 1;
    }

    /// How many ids were added.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// SHA-256 of the label, the sum and the count.
    pub fn fingerprint(&self) -> Hash {
        let mut hasher = Sha256::new();
        hasher.update(LABEL);
        hasher.update(self.sum);
        hasher.update(self.count.to_be_bytes());
        Hash(hasher.finalize().into())
    }
}

impl<'a> FromIterator<&'a RecordId> for SetSum {
    fn from_iter<T: IntoIterator<Item = &'a RecordId>>(ids: T) -> Self {
        let mut sum = Self::default();
        ids.into_iter().for_each(|id| sum.add(id));
        sum
    }
}

/// The body of a `counter` envelope, signed by the object's home with its `request` key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    /// The home that counts.
    pub domain: Domain,
    /// The record acted upon, by its stable id.
    pub object: RecordId,
    /// The kind of the statements.
    pub kind: Kind,
    /// How many of them stand.
    pub count: u64,
    /// Of their stable ids, [`SetSum::fingerprint`].
    pub fingerprint: Hash,
    /// Of votes: how many of them chose each option of the poll. Empty of everything else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub votes: Vec<u64>,
    /// When they were counted, milliseconds since the epoch.
    pub at: u64,
}

/// Why a signed counter is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CounterError {
    /// The envelope carries something else.
    #[error("the envelope carries a {0}, not a counter")]
    Kind(Kind),
    /// The body is not as it should be.
    #[error("the counter is malformed")]
    Body(#[source] JsonError),
    /// The signature is not by the key.
    #[error("the counter's signature does not hold")]
    Signature(#[source] KeyError),
}

impl Counter {
    /// Signs it by the domain's request key.
    pub fn sign(&self, key: &SecretKey) -> Envelope {
        let body = serde_json::to_vec(self).expect("a counter has only plain fields");
        Envelope::sign(Kind::Counter, body, key)
    }

    /// Reads and verifies one. Which domain, object and kind it is about is for the caller to compare.
    pub fn open(envelope: &Envelope, key: &Verifier) -> Result<Self, CounterError> {
        if envelope.kind() != Kind::Counter {
            return Err(CounterError::Kind(envelope.kind()));
        }
        envelope.verify(key).map_err(CounterError::Signature)?;
        json::parse(envelope.body()).map_err(CounterError::Body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(count: u8) -> Vec<RecordId> {
        (0..count).map(|n| RecordId::from_hash([n.wrapping_mul(97) ^ 0xf0; 32])).collect()
    }

    #[test]
    fn order_does_not_matter_and_every_id_does() {
        let mut ids = ids(20);
        let sum: SetSum = ids.iter().collect();
        ids.reverse();
        assert_eq!(ids.iter().collect::<SetSum>().fingerprint(), sum.fingerprint());
        assert_ne!(ids[1..].iter().collect::<SetSum>().fingerprint(), sum.fingerprint());
        let twice: SetSum = ids.iter().chain(&ids[..1]).collect();
        assert_ne!(twice.fingerprint(), sum.fingerprint());
    }

    #[test]
    fn carries_go_on_to_the_end_and_are_lost_there() {
        let mut sum = SetSum::default();
        sum.add(&RecordId::from_hash([0xff; 32]));
        let mut one = [0; 32];
        one[0] = 1;
        sum.add(&RecordId::from_hash(one));
        assert_eq!(sum, SetSum { sum: [0; 32], count: 2 });
    }

    #[test]
    fn counter_is_good_under_its_key_only_and_nothing_else_passes_for_one() {
        let (key, other) = (SecretKey::from_seed(&[1; 32]), SecretKey::from_seed(&[2; 32]));
        let counter = Counter {
            domain: "one.localhost:8001".parse().expect("a domain"),
            object: ids(1)[0],
            kind: Kind::Like,
            count: 2,
            fingerprint: Hash([7; 32]),
            votes: Vec::new(),
            at: 1_700_000_000_000,
        };
        let verifier = |key: &SecretKey| key.id().verifier().expect("a key");
        let signed = counter.sign(&key);
        assert_eq!(Counter::open(&signed, &verifier(&key)), Ok(counter));
        assert!(matches!(Counter::open(&signed, &verifier(&other)), Err(CounterError::Signature(_))));
        let challenge = Envelope::sign(Kind::Challenge, signed.body().to_vec(), &key);
        assert_eq!(Counter::open(&challenge, &verifier(&key)), Err(CounterError::Kind(Kind::Challenge)));
        let nonsense = Envelope::sign(Kind::Counter, b"{}".to_vec(), &key);
        assert!(matches!(Counter::open(&nonsense, &verifier(&key)), Err(CounterError::Body(_))));
    }
}
