//! Request signatures: the one profile of HTTP Message Signatures (RFC 9421) that MESH speaks.
//!
//! Owns the three header values, the signature base, the rules about time, and the memory of nonces. The order of work for a receiver:
//! [`ParsedSignature::parse`] → look up the key of `keyid` → [`ParsedSignature::verify`] → [`NonceWindow::remember`] → read the body,
//! hashing → [`VerifiedHead::check_body`]. So no body is read, and no nonce stored, for a stranger. Pure: times, nonces and keys are
//! arguments. See `spec/http-signature.md`; why this is not a general library: `docs/adr/0003-http-signatures.md`.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::bytes::Signature;
use crate::key::Verifier;
use crate::limits::{KEYID_CHARS_MAX, NONCE_CHARS_MAX, NONCE_CHARS_MIN, SIGNATURE_AHEAD_S_MAX, SIGNATURE_LIFE_S_MAX, TARGET_URI_BYTES_MAX};

mod field;
mod nonce;
#[cfg(test)]
mod tests;

pub use nonce::{NonceError, NonceWindow};

/// The header with the hash of the body (RFC 9530), in lower case as HTTP/2 writes it.
pub const CONTENT_DIGEST: &str = "content-digest";
/// The header with what is signed and how.
pub const SIGNATURE_INPUT: &str = "signature-input";
/// The header with the signature.
pub const SIGNATURE: &str = "signature";
/// The `tag` parameter: separates these signatures from those of any other profile.
pub const TAG: &str = "mesh";

/// Longest method, characters.
const METHOD_CHARS_MAX: usize = 16;

/// Why signature headers cannot be read. All are the sender's fault, and sending the same again does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// One of the three headers is not there.
    #[error("the header {0} is missing")]
    Missing(&'static str),
    /// A header stands more than once.
    #[error("the header {0} stands more than once")]
    Repeated(&'static str),
    /// Not a structured field (RFC 9651) of the right type in its canonical form.
    #[error("the header {header} is not {expected}, in the canonical form of RFC 9651")]
    Malformed {
        /// Which header.
        header: &'static str,
        /// What it should hold.
        expected: &'static str,
    },
    /// Several signatures, or one with another label.
    #[error("the header {0} holds one member, labelled mesh")]
    Label(&'static str),
    /// Other covered components, or another order.
    #[error("the covered components are (\"@method\" \"@target-uri\" \"content-digest\"), in this order and without parameters")]
    Components,
    /// A parameter that must be there is not.
    #[error("the parameter {0} is missing")]
    ParameterMissing(&'static str),
    /// A parameter that the profile does not have: `alg` too, since the key says the algorithm.
    #[error("the parameter {0} is not part of this profile: leave it out")]
    ParameterUnknown(String),
    /// A parameter has a value that the profile does not allow.
    #[error("the parameter {name} must be {expected}")]
    Parameter {
        /// Which parameter.
        name: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// The method or the target URI cannot be signed.
    #[error("{0}")]
    Request(&'static str),
}

/// Why a signature that could be read does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// `created` is further ahead than clocks may differ.
    #[error("the signature was made {ahead_s} s in the future, more than {SIGNATURE_AHEAD_S_MAX}: set the clock and sign again")]
    Ahead {
        /// By how much, seconds.
        ahead_s: u64,
    },
    /// `expires` has passed.
    #[error("the signature expired {ago_s} s ago: sign again, and set the clock if this repeats")]
    Expired {
        /// For how long, seconds.
        ago_s: u64,
    },
    /// Made before this server started, which so cannot know whether it has seen the nonce.
    #[error("the signature was made before this server started: sign again")]
    BeforeStart,
    /// The signature does not fit the key, the method, the target and the digest.
    #[error("the signature does not fit the key and the request")]
    BadSignature,
    /// The body is not the one that was signed.
    #[error("the body does not have the digest that was signed")]
    BodyDigest,
}

impl VerifyError {
    /// Whether a new signature over the same request, by a right clock, can succeed.
    #[must_use]
    pub fn sign_again(self) -> bool {
        matches!(self, Self::Ahead { .. } | Self::Expired { .. } | Self::BeforeStart)
    }
}

/// SHA-256 of a request body, empty or not. `Display` gives the header value `sha-256=:…:` (RFC 9530, base64 with padding).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentDigest([u8; 32]);

impl ContentDigest {
    /// Hashes a body that is in memory.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        Self(Sha256::digest(body).into())
    }

    /// Takes the SHA-256 that a streaming reader or writer computed.
    #[must_use]
    pub const fn from_sha256(hash: [u8; 32]) -> Self {
        Self(hash)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn sha256(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha-256=:{}:", data_encoding::BASE64.encode(&self.0))
    }
}

/// The method and the absolute target URI of a request, as both sides know them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestParts<'a> {
    method: &'a str,
    target_uri: &'a str,
}

impl<'a> RequestParts<'a> {
    /// `method` as sent (`GET`); `target_uri` = [`crate::address::Domain::base_url`] of the *receiver* followed by path and query as
    /// sent. A server puts its own configured domain there, never the `Host` header.
    ///
    /// # Errors
    /// [`SignatureError::Request`] if the method is not 1–16 upper-case letters, or the target is not `http://…` or `https://…` in printable
    /// ASCII without space, `"`, `\` or `#`, with a path, within [`TARGET_URI_BYTES_MAX`].
    pub fn new(method: &'a str, target_uri: &'a str) -> Result<Self, SignatureError> {
        if method.is_empty() || method.len() > METHOD_CHARS_MAX || !method.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(SignatureError::Request("the method is 1 to 16 upper-case letters"));
        }
        let rest = target_uri.strip_prefix("https://").or_else(|| target_uri.strip_prefix("http://"));
        let has_path = rest.is_some_and(|rest| rest.find('/').is_some_and(|at| at > 0));
        let printable = target_uri.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\' | b'#'));
        if !has_path || !printable {
            return Err(SignatureError::Request("the target is an absolute http(s) URI in ASCII, with a path and without a fragment"));
        }
        if target_uri.len() > TARGET_URI_BYTES_MAX {
            return Err(SignatureError::Request("the target URI is too long"));
        }
        Ok(Self { method, target_uri })
    }
}

/// The parameters of a signature. Times are whole seconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureInput {
    created_s: u64,
    expires_s: u64,
    nonce: String,
    keyid: String,
}

impl SignatureInput {
    /// Parameters to sign with. `nonce` comes from a cryptographic random source.
    ///
    /// # Errors
    /// [`SignatureError::Parameter`] if `expires_s` is not after `created_s` by at most [`SIGNATURE_LIFE_S_MAX`], the nonce is not
    /// 16–64 characters of base64url, or the keyid is not 1–300 printable ASCII characters without space, `"` and `\`.
    pub fn new(created_s: u64, expires_s: u64, nonce: &str, keyid: &str) -> Result<Self, SignatureError> {
        let in_order = created_s < field::TIME_S_END && expires_s > created_s && expires_s - created_s <= SIGNATURE_LIFE_S_MAX;
        if !in_order {
            return Err(SignatureError::Parameter { name: "expires", expected: "1 to 60 seconds after created" });
        }
        let url_safe = nonce.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        if !url_safe || !(NONCE_CHARS_MIN..=NONCE_CHARS_MAX).contains(&nonce.len()) {
            return Err(SignatureError::Parameter { name: "nonce", expected: "16 to 64 characters of base64url" });
        }
        let plain = keyid.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\'));
        if !plain || !(1..=KEYID_CHARS_MAX).contains(&keyid.len()) {
            return Err(SignatureError::Parameter {
                name: "keyid",
                expected: "1 to 300 printable ASCII characters without space, quote or backslash",
            });
        }
        Ok(Self { created_s, expires_s, nonce: nonce.to_owned(), keyid: keyid.to_owned() })
    }
}

/// Values for the three headers that a signed request carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHeaders {
    /// For [`CONTENT_DIGEST`].
    pub content_digest: String,
    /// For [`SIGNATURE_INPUT`].
    pub signature_input: String,
    /// For [`SIGNATURE`].
    pub signature: String,
}

/// Signs a request. `sign` gets the signature base and returns the Ed25519 signature.
#[must_use]
pub fn sign(parts: RequestParts<'_>, digest: ContentDigest, input: &SignatureInput, sign: impl FnOnce(&[u8]) -> [u8; 64]) -> SignedHeaders {
    let params = field::params(input);
    let signature = sign(base(parts, digest, &params).as_bytes());
    SignedHeaders {
        content_digest: digest.to_string(),
        signature_input: format!("{}={params}", field::LABEL),
        signature: format!("{}=:{}:", field::LABEL, data_encoding::BASE64.encode(&signature)),
    }
}

/// The clock of a receiver. Whole seconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Now.
    pub now_s: u64,
    /// When this process began to remember nonces.
    pub process_start_s: u64,
}

/// The signature headers of a request, read but not yet believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedSignature {
    input: SignatureInput,
    /// The value of `@signature-params`, as it was received.
    params: String,
    digest: ContentDigest,
    signature: Signature,
}

impl ParsedSignature {
    /// Finds the three headers among all `(name, value)` of a request, in any case of the names, and reads them.
    ///
    /// # Errors
    /// Whatever keeps the headers from being this profile, see [`SignatureError`].
    pub fn parse<'a>(headers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<Self, SignatureError> {
        let names = [CONTENT_DIGEST, SIGNATURE_INPUT, SIGNATURE];
        let mut values: [Option<&[u8]>; 3] = [None; 3];
        for (name, value) in headers {
            let known = names.iter().zip(values.iter_mut()).find(|(known, _)| known.eq_ignore_ascii_case(name));
            if let Some((known, slot)) = known
                && slot.replace(value).is_some()
            {
                return Err(SignatureError::Repeated(known));
            }
        }
        let [digest, input, signature] = values;
        let digest = field::digest(digest.ok_or(SignatureError::Missing(CONTENT_DIGEST))?)?;
        let (input, params) = field::input(input.ok_or(SignatureError::Missing(SIGNATURE_INPUT))?)?;
        let signature = field::signature(signature.ok_or(SignatureError::Missing(SIGNATURE))?)?;
        Ok(Self { input, params, digest, signature })
    }

    /// Who claims to have signed, so that the key can be looked up.
    #[must_use]
    pub fn keyid(&self) -> &str {
        &self.input.keyid
    }

    /// The digest that the signature covers: what the body must have.
    #[must_use]
    pub fn digest(&self) -> ContentDigest {
        self.digest
    }

    /// Checks the times alone, before a key is looked up.
    ///
    /// # Errors
    /// [`VerifyError::Ahead`], [`VerifyError::Expired`] or [`VerifyError::BeforeStart`].
    pub fn check_times(&self, times: Times) -> Result<(), VerifyError> {
        let ahead_s = self.input.created_s.saturating_sub(times.now_s);
        if ahead_s > SIGNATURE_AHEAD_S_MAX {
            return Err(VerifyError::Ahead { ahead_s });
        }
        if self.input.expires_s < times.now_s {
            return Err(VerifyError::Expired { ago_s: times.now_s - self.input.expires_s });
        }
        if self.input.created_s < times.process_start_s {
            return Err(VerifyError::BeforeStart);
        }
        Ok(())
    }

    /// Checks times and signature. The body is still to be checked, with [`VerifiedHead::check_body`], and the nonce to be remembered.
    ///
    /// # Errors
    /// What [`ParsedSignature::check_times`] says, then [`VerifyError::BadSignature`].
    pub fn verify(self, parts: RequestParts<'_>, key: &Verifier, times: Times) -> Result<VerifiedHead, VerifyError> {
        self.check_times(times)?;
        let base = base(parts, self.digest, &self.params);
        key.verify(base.as_bytes(), &self.signature).map_err(|_| VerifyError::BadSignature)?;
        Ok(VerifiedHead(self))
    }
}

/// A request whose head is genuine: method, target and the digest of a body not yet read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedHead(ParsedSignature);

impl VerifiedHead {
    /// Who signed.
    #[must_use]
    pub fn keyid(&self) -> &str {
        &self.0.input.keyid
    }

    /// The signer's nonce.
    #[must_use]
    pub fn nonce(&self) -> &str {
        &self.0.input.nonce
    }

    /// Until when the signature could be sent again, seconds since the epoch.
    #[must_use]
    pub fn expires_s(&self) -> u64 {
        self.0.input.expires_s
    }

    /// Compares the body that was received with the one that was signed. Nothing of a body may take effect before.
    ///
    /// # Errors
    /// [`VerifyError::BodyDigest`].
    pub fn check_body(&self, received: ContentDigest) -> Result<(), VerifyError> {
        if received == self.0.digest { Ok(()) } else { Err(VerifyError::BodyDigest) }
    }
}

fn base(parts: RequestParts<'_>, digest: ContentDigest, params: &str) -> String {
    let digest = digest.to_string();
    field::base(&[("@method", parts.method), ("@target-uri", parts.target_uri), ("content-digest", &digest)], params)
}
