//! Fixed-size byte strings and their one textual form each.
//!
//! Hash ids are 33 bytes, `0x01 ‖ SHA-256`, written as 53 characters of unpadded lower-case base32 (RFC 4648). Keys, salts, signatures
//! and bodies are unpadded base64url (RFC 4648 §5). Decoding is canonical: exactly one text stands for exactly one value.

use data_encoding::{BASE64URL_NOPAD, Encoding, Specification};
use std::sync::LazyLock;

/// The version byte in front of every SHA-256 based id.
pub const HASH_ID_SHA256: u8 = 0x01;
/// Characters of a hash id in text.
pub const HASH_ID_CHARS: usize = 53;

/// Why a text is not the value it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// The text has characters outside the alphabet, the wrong length, or bits that a canonical encoder never sets.
    #[error("not a canonical {what}: expected {expected}")]
    Malformed {
        /// What the text was read as.
        what: &'static str,
        /// The form it should have.
        expected: &'static str,
    },
    /// The leading byte names a version or suite that this implementation does not know.
    #[error("{what} of unknown type {found:#04x}: a newer protocol version may be needed")]
    UnknownType {
        /// What the text was read as.
        what: &'static str,
        /// The byte found.
        found: u8,
    },
}

static BASE32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut spec = Specification::new();
    spec.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
    spec.encoding().expect("the RFC 4648 alphabet in lower case is a valid specification")
});

/// Unpadded lower-case base32.
pub fn base32(bytes: &[u8]) -> String {
    BASE32.encode(bytes)
}

/// Unpadded base64url.
pub fn base64url(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

/// Decodes unpadded base64url, canonically.
pub fn from_base64url(text: &str, what: &'static str) -> Result<Vec<u8>, TextError> {
    BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| TextError::Malformed { what, expected: "unpadded base64url" })
}

/// Decodes unpadded base64url of exactly `N` bytes.
pub fn array_from_base64url<const N: usize>(text: &str, what: &'static str) -> Result<[u8; N], TextError> {
    let malformed = TextError::Malformed { what, expected: "unpadded base64url of the right length" };
    if BASE64URL_NOPAD.decode_len(text.len()) != Ok(N) {
        return Err(malformed);
    }
    let mut out = [0; N];
    match BASE64URL_NOPAD.decode_mut(text.as_bytes(), &mut out) {
        Ok(_) => Ok(out),
        Err(_) => Err(malformed),
    }
}

pub(crate) fn hash_id_to_text(hash: &[u8; 32]) -> String {
    let mut bytes = [HASH_ID_SHA256; 33];
    bytes[1..].copy_from_slice(hash);
    BASE32.encode(&bytes)
}

pub(crate) fn hash_id_from_text(text: &str, what: &'static str) -> Result<[u8; 32], TextError> {
    let malformed = TextError::Malformed { what, expected: "53 characters of lower-case base32" };
    if text.len() != HASH_ID_CHARS {
        return Err(malformed);
    }
    let mut bytes = [0; 33];
    if BASE32.decode_mut(text.as_bytes(), &mut bytes).is_err() {
        return Err(malformed);
    }
    let [HASH_ID_SHA256, hash @ ..] = bytes else {
        return Err(TextError::UnknownType { what, found: bytes[0] });
    };
    Ok(hash)
}

/// Gives a newtype `Display`, `Debug`, `FromStr` and serde over its text, and an OpenAPI schema of a string.
macro_rules! text_form {
    ($name:ident) => {
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl serde::de::Visitor<'_> for Text {
                    type Value = $name;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(concat!("the text of a ", stringify!($name)))
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new().schema_type(utoipa::openapi::schema::Type::String).into()
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::ToSchema for $name {}
    };
}

/// Declares a newtype over `0x01 ‖ SHA-256` with its text form.
macro_rules! hash_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Wraps a SHA-256 hash.
            pub const fn from_hash(hash: [u8; 32]) -> Self {
                Self(hash)
            }

            /// The 32 bytes of the hash, without the version byte.
            pub const fn hash(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&crate::bytes::hash_id_to_text(&self.0))
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::bytes::TextError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                crate::bytes::hash_id_from_text(text, $what).map(Self)
            }
        }

        crate::bytes::text_form!($name);
    };
}

/// Declares a newtype over `N` opaque bytes, written as base64url.
macro_rules! opaque_bytes {
    ($(#[$doc:meta])* $name:ident, $len:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&crate::bytes::base64url(&self.0))
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::bytes::TextError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                crate::bytes::array_from_base64url(text, $what).map(Self)
            }
        }

        crate::bytes::text_form!($name);
    };
}

pub(crate) use {hash_id, text_form};

opaque_bytes! {
    /// 16 random bytes that keep a hash from being guessed.
    Salt, 16, "salt"
}
opaque_bytes! {
    /// A SHA-256 hash: a node of a log tree.
    Hash, 32, "hash"
}
opaque_bytes! {
    /// An Ed25519 signature (RFC 8032).
    Signature, 64, "signature"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64url_with_stray_bits_is_refused() {
        assert!(array_from_base64url::<1>("AA", "x").is_ok());
        assert!(array_from_base64url::<1>("AB", "x").is_err());
        assert!(array_from_base64url::<1>("AA==", "x").is_err());
    }

    #[test]
    fn hash_id_is_canonical() {
        let text = hash_id_to_text(&[7; 32]);
        assert_eq!(text.len(), HASH_ID_CHARS);
        assert_eq!(hash_id_from_text(&text, "x"), Ok([7; 32]));
        assert!(hash_id_from_text(&text.to_uppercase(), "x").is_err());
        // 53 characters carry 265 bits for 264: the last bit must be zero.
        let mut odd = text.clone();
        odd.pop();
        odd.push('7');
        assert!(hash_id_from_text(&odd, "x").is_err());
    }

    #[test]
    fn hash_id_of_another_version_is_named() {
        let mut bytes = [0x02; 33];
        bytes[1..].fill(9);
        assert_eq!(hash_id_from_text(&base32(&bytes), "x"), Err(TextError::UnknownType { what: "x", found: 2 }));
    }
}
