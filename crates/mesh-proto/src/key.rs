//! Accounts and the keys that speak for them.

pub mod phrase;

use crate::bytes::{Signature, TextError, array_from_base64url, base64url, hash_id, text_form};
use ed25519_dalek::{Signer, VerifyingKey};
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

hash_id! {
    /// An identity, for ever: the id of its genesis operation.
    AccountId, "account id"
}

/// The suite byte of Ed25519 (RFC 8032, verified strictly).
pub const SUITE_ED25519: u8 = 0x01;

/// A public key with its suite: 33 bytes, `suite ‖ key`, written as 44 characters of base64url. It is its own id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 33]);

impl KeyId {
    /// The id of an Ed25519 public key.
    pub fn ed25519(public: &[u8; 32]) -> Self {
        let mut bytes = [SUITE_ED25519; 33];
        bytes[1..].copy_from_slice(public);
        Self(bytes)
    }

    /// The bytes `suite ‖ key`.
    pub const fn as_bytes(&self) -> &[u8; 33] {
        &self.0
    }

    /// The public key without its suite byte.
    pub fn public(&self) -> &[u8] {
        &self.0[1..]
    }

    /// Reads `suite ‖ key`, refusing unknown suites.
    pub fn from_bytes(bytes: [u8; 33]) -> Result<Self, TextError> {
        match bytes[0] {
            SUITE_ED25519 => Ok(Self(bytes)),
            found => Err(TextError::UnknownType { what: "key id", found }),
        }
    }

    /// Decompresses the key for verification. Keys of small order and keys that are not points are refused: no signature by them
    /// could mean anything.
    pub fn verifier(&self) -> Result<Verifier, KeyError> {
        let mut public = [0; 32];
        public.copy_from_slice(self.public());
        if !is_canonical(&public) {
            return Err(KeyError::NotAPoint);
        }
        let key = VerifyingKey::from_bytes(&public).map_err(|_| KeyError::NotAPoint)?;
        if key.is_weak() {
            return Err(KeyError::Weak);
        }
        Ok(Verifier(key))
    }
}

/// Whether the y coordinate is below the field's prime 2^255 - 19 (RFC 8032 §5.1.3). The library reduces a larger one, so that one point
/// would have two key ids, and other implementations would refuse the second.
fn is_canonical(public: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = public;
    high & 0x7f != 0x7f || middle.iter().any(|byte| *byte != 0xff) || *low < 0xed
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64url(&self.0))
    }
}

impl FromStr for KeyId {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        Self::from_bytes(array_from_base64url(text, "key id")?)
    }
}

text_form!(KeyId);

/// Why a key or a signature is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The bytes are not the canonical encoding of a point of the curve.
    #[error("the public key is not the canonical encoding of a point of the curve")]
    NotAPoint,
    /// The key has small order, so that one signature would fit any message.
    #[error("the public key has small order")]
    Weak,
    /// The signature does not fit the message and the key.
    #[error("the signature does not fit the message and the key")]
    BadSignature,
}

/// A public key made ready to verify: decompressed once, used many times.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Verifier(VerifyingKey);

impl Verifier {
    /// Strict verification (RFC 8032 §5.1.7 without cofactor, small-order points refused): every implementation agrees on it.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), KeyError> {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        self.0.verify_strict(message, &signature).map_err(|_| KeyError::BadSignature)
    }

    /// The id of this key.
    pub fn id(&self) -> KeyId {
        KeyId::ed25519(self.0.as_bytes())
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({})", self.id())
    }
}

/// A private key. Its memory is cleared when it is dropped, and it never prints itself.
#[derive(Clone)]
pub struct SecretKey(ed25519_dalek::SigningKey);

impl SecretKey {
    /// The Ed25519 key of a 32-byte seed.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// The seed, for a keystore.
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The id of the public half.
    pub fn id(&self) -> KeyId {
        KeyId::ed25519(self.0.verifying_key().as_bytes())
    }

    /// Signs a message (deterministic, RFC 8032).
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_order_keys_are_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(KeyId::ed25519(&identity).verifier().err(), Some(KeyError::Weak));
        assert_eq!(KeyId::ed25519(&[0; 32]).verifier().err(), Some(KeyError::Weak));
    }

    #[test]
    fn unknown_suite_is_named() {
        let mut bytes = *SecretKey::from_seed(&[3; 32]).id().as_bytes();
        bytes[0] = 9;
        assert_eq!(base64url(&bytes).parse::<KeyId>(), Err(TextError::UnknownType { what: "key id", found: 9 }));
    }

    #[test]
    fn secret_key_does_not_print_itself() {
        let key = SecretKey::from_seed(&[3; 32]);
        assert!(!format!("{key:?}").contains("seed"));
        assert_eq!(key.id().verifier().map(|v| v.verify(b"m", &key.sign(b"m"))), Ok(Ok(())));
    }
}
