//! Checkpoints: C2SP `tlog-checkpoint` in a C2SP `signed-note`.

use crate::address::Domain;
use crate::bytes::{Hash, Signature, text_form};
use crate::key::{KeyId, SecretKey, Verifier};
use crate::limits::{CHECKPOINT_BYTES_MAX, LEAF_INDEX_MAX};
use data_encoding::BASE64;
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// The name of one run of a domain's log: `<domain>/log/<n>`, n from 1. A restore from backup opens the next. Tiles are served under it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    domain: Domain,
    number: u32,
}

impl Origin {
    /// The `number`-th log of `domain`.
    pub fn new(domain: Domain, number: u32) -> Self {
        Self { domain, number }
    }

    /// The domain whose log this is.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Which of the domain's logs, from 1.
    pub fn number(&self) -> u32 {
        self.number
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/log/{}", self.domain, self.number)
    }
}

/// A text that is not an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a log origin: expected <domain>/log/<number from 1>")]
pub struct OriginError;

impl FromStr for Origin {
    type Err = OriginError;
    fn from_str(text: &str) -> Result<Self, OriginError> {
        let (domain, number) = text.split_once("/log/").ok_or(OriginError)?;
        let domain = domain.parse().map_err(|_| OriginError)?;
        let canonical = number.bytes().all(|b| b.is_ascii_digit()) && !number.starts_with('0');
        let number = number.parse().ok().filter(|_| canonical).ok_or(OriginError)?;
        Ok(Self { domain, number })
    }
}

text_form!(Origin);

/// The signature type of Ed25519 in a signed note.
const NOTE_ED25519: u8 = 0x01;

/// Why a note is not a good checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// The note is not of the form that C2SP gives.
    #[error("malformed checkpoint: {0}")]
    Malformed(&'static str),
    /// No signature line is by the expected key, or it does not fit.
    #[error("the checkpoint is not signed by the log's key")]
    BadSignature,
    /// The checkpoint is of another log.
    #[error("the checkpoint is of log {0}")]
    OtherOrigin(Origin),
}

/// The head of a log at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: Origin,
    /// Number of leaves.
    pub size: u64,
    /// The root hash over them.
    pub root: Hash,
}

impl Checkpoint {
    /// The note text: origin, size, root in base64, each on its line.
    pub fn body(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, BASE64.encode(&self.root.0))
    }

    /// The signed note, with one signature by the log's key under the origin as key name.
    pub fn sign(&self, key: &SecretKey) -> String {
        let body = self.body();
        let name = self.origin.to_string();
        let mut blob = note_key_hash(&name, NOTE_ED25519, &key.id()).to_vec();
        blob.extend_from_slice(&key.sign(body.as_bytes()).0);
        format!("{body}\n\u{2014} {name} {}\n", BASE64.encode(&blob))
    }

    /// Parses a signed note and verifies the log's own signature. Well-formed lines by other keys, cosignatures among them, are passed over.
    pub fn open(note: &str, origin: &Origin, key: &Verifier) -> Result<Self, NoteError> {
        let note = Note::parse(note)?;
        let checkpoint = Self::said(&note, origin)?;
        let signed = note.signatures.iter().any(|signature| signature.is_by(origin, key, note.text.as_bytes()));
        if signed { Ok(checkpoint) } else { Err(NoteError::BadSignature) }
    }

    /// What a note says, whoever signed it: of use only to those who learn elsewhere whether to believe it.
    pub fn unverified(note: &str, origin: &Origin) -> Result<Self, NoteError> {
        Self::said(&Note::parse(note)?, origin)
    }

    fn said(note: &Note<'_>, origin: &Origin) -> Result<Self, NoteError> {
        let mut lines = note.text.split('\n');
        let (Some(named), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(NoteError::Malformed("expected origin, size and root hash"));
        };
        let named: Origin = named.parse().map_err(|_| NoteError::Malformed("the origin"))?;
        if named != *origin {
            return Err(NoteError::OtherOrigin(named));
        }
        let size = parse_size(size).ok_or(NoteError::Malformed("the size"))?;
        let root =
            BASE64.decode(root.as_bytes()).ok().and_then(|r| <[u8; 32]>::try_from(r).ok()).ok_or(NoteError::Malformed("the root hash"))?;
        Ok(Self { origin: named, size, root: Hash(root) })
    }
}

/// Canonical decimal, at most one more than the largest leaf index.
fn parse_size(text: &str) -> Option<u64> {
    text.parse().ok().filter(|size: &u64| *size <= LEAF_INDEX_MAX + 1 && size.to_string() == text)
}

/// A note of the right form: nothing is said of what its text means or who signed it.
pub(super) struct Note<'a> {
    /// What is signed, with its last line feed.
    pub(super) text: &'a str,
    pub(super) signatures: Vec<NoteSignature<'a>>,
}

impl<'a> Note<'a> {
    pub(super) fn parse(note: &'a str) -> Result<Self, NoteError> {
        if note.len() > CHECKPOINT_BYTES_MAX {
            return Err(NoteError::Malformed("too large"));
        }
        if note.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
            return Err(NoteError::Malformed("a control character"));
        }
        let end = note.find("\n\n").ok_or(NoteError::Malformed("no blank line before the signatures"))?;
        let (text, rest) = note.split_at(end + 1);
        let lines = rest[1..].strip_suffix('\n').ok_or(NoteError::Malformed("no line feed at the end"))?;
        let signatures: Option<Vec<NoteSignature<'_>>> = lines.split('\n').map(NoteSignature::parse).collect();
        Ok(Self { text, signatures: signatures.ok_or(NoteError::Malformed("a signature line"))? })
    }
}

/// One signature line of a note: `— <key name> <base64 of key hash and signature>`.
pub(super) struct NoteSignature<'a> {
    /// The line without its line feed.
    pub(super) line: &'a str,
    pub(super) name: &'a str,
    pub(super) key_hash: [u8; 4],
    pub(super) signature: Vec<u8>,
}

impl<'a> NoteSignature<'a> {
    pub(super) fn parse(line: &'a str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '+') {
            return None;
        }
        let blob = BASE64.decode(encoded.as_bytes()).ok()?;
        let (key_hash, signature) = blob.split_first_chunk::<4>()?;
        (!signature.is_empty()).then(|| Self { line, name, key_hash: *key_hash, signature: signature.to_vec() })
    }

    fn is_by(&self, origin: &Origin, key: &Verifier, signed: &[u8]) -> bool {
        let name = origin.to_string();
        let Ok(signature) = <[u8; 64]>::try_from(self.signature.as_slice()) else {
            return false;
        };
        self.name == name
            && self.key_hash == note_key_hash(&name, NOTE_ED25519, &key.id())
            && key.verify(signed, &Signature(signature)).is_ok()
    }
}

/// The first four bytes of `SHA-256(name ‖ "\n" ‖ signature type ‖ public key)`.
pub(super) fn note_key_hash(name: &str, signature_type: u8, key: &KeyId) -> [u8; 4] {
    let mut hash = Sha256::new();
    hash.update(name.as_bytes());
    hash.update([b'\n', signature_type]);
    hash.update(key.public());
    let digest: [u8; 32] = hash.finalize().into();
    [digest[0], digest[1], digest[2], digest[3]]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        Checkpoint { origin: "one.localhost:8001/log/1".parse().expect("an origin"), size: 12, root: Hash([3; 32]) }
    }

    #[test]
    fn signed_note_round_trips_and_ignores_cosignatures() {
        let key = SecretKey::from_seed(&[4; 32]);
        let verifier = key.id().verifier().expect("good");
        let checkpoint = checkpoint();
        let note = format!("{}\u{2014} witness.example AAAAAAAA\n", checkpoint.sign(&key));
        assert_eq!(Checkpoint::open(&note, &checkpoint.origin, &verifier), Ok(checkpoint));
    }

    #[test]
    fn note_by_another_key_or_changed_is_refused() {
        let verifier = SecretKey::from_seed(&[4; 32]).id().verifier().expect("good");
        let checkpoint = checkpoint();
        let note = checkpoint.sign(&SecretKey::from_seed(&[5; 32]));
        assert_eq!(Checkpoint::open(&note, &checkpoint.origin, &verifier), Err(NoteError::BadSignature));
        let changed = checkpoint.sign(&SecretKey::from_seed(&[4; 32])).replace("\n12\n", "\n13\n");
        assert_eq!(Checkpoint::open(&changed, &checkpoint.origin, &verifier), Err(NoteError::BadSignature));
    }
}
