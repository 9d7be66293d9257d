//! Cosignatures of checkpoints by other domains as witnesses: C2SP `tlog-cosignature`, `cosignature/v1`.
//!
//! It judges no time and knows nobody's key: the caller has a clock and the domains' `log` keys. Whoever signs has checked consistency before.

use super::note::{Note, NoteError, NoteSignature, note_key_hash};
use crate::address::Domain;
use crate::bytes::{Signature, text_form};
use crate::key::{SecretKey, Verifier};
use crate::limits::CHECKPOINT_BYTES_MAX;
use crate::limits::COSIGNATURES_MAX;
use data_encoding::BASE64;
use std::fmt;
use std::str::FromStr;

/// The signature type of a timestamped Ed25519 cosignature in a signed note.
const NOTE_COSIGNATURE_ED25519: u8 = 0x04;
/// Latest time of a cosignature, seconds since the epoch.
const TIME_S_MAX: u64 = i64::MAX as u64;

/// A witness's statement that, at a time, the checkpoint was the largest consistent one that it had seen of that log. Its text is the
/// signature line without its line feed: `— <domain> <base64 of key hash (4), time (8), signature (64)>`.
#[derive(Clone, PartialEq, Eq)]
pub struct Cosignature {
    domain: Domain,
    time_s: u64,
    key_hash: [u8; 4],
    signature: Signature,
}

/// Why a cosignature is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CosignatureError {
    /// The line is not of the form that C2SP gives, its name is not a domain, or its time is beyond 2^63 - 1.
    #[error("malformed cosignature: expected a dash, a domain, and base64 of a key hash, a time below 2^63 and an Ed25519 signature")]
    Malformed,
    /// The note to cosign is malformed.
    #[error("the cosigned note is refused")]
    Note(#[from] NoteError),
    /// The cosignature is by another key, or of another note.
    #[error("the cosignature is not by the witness's key over this checkpoint")]
    Unverified,
    /// The note has no room for one more.
    #[error("the checkpoint has {COSIGNATURES_MAX} cosignatures, or would be above {CHECKPOINT_BYTES_MAX} bytes")]
    Full,
}

impl Cosignature {
    /// Signs the text of `note` as the witness `domain`, by its `log` key. Open the note and check its consistency first.
    pub fn sign(note: &str, domain: Domain, key: &SecretKey, time_s: u64) -> Result<Self, CosignatureError> {
        let note = Note::parse(note)?;
        if time_s > TIME_S_MAX {
            return Err(CosignatureError::Malformed);
        }
        let key_hash = note_key_hash(domain.as_str(), NOTE_COSIGNATURE_ED25519, &key.id());
        let signature = key.sign(message(note.text, time_s).as_bytes());
        Ok(Self { domain, time_s, key_hash, signature })
    }

    /// The witness, as it calls itself. The signature does not cover it: verify with the key of this very domain.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// When the witness signed, by its own clock, seconds since the epoch.
    pub fn time_s(&self) -> u64 {
        self.time_s
    }

    /// Checks that this is by `key`, the witness's, over the text of `note`. Of the note only the form is checked.
    pub fn verify(&self, note: &str, key: &Verifier) -> Result<(), CosignatureError> {
        let note = Note::parse(note)?;
        if self.key_hash != note_key_hash(self.domain.as_str(), NOTE_COSIGNATURE_ED25519, &key.id()) {
            return Err(CosignatureError::Unverified);
        }
        key.verify(message(note.text, self.time_s).as_bytes(), &self.signature).map_err(|_| CosignatureError::Unverified)
    }

    fn from_line(line: &NoteSignature<'_>) -> Option<Self> {
        let domain = line.name.parse().ok()?;
        let (time, signature) = line.signature.split_first_chunk::<8>()?;
        let time_s = u64::from_be_bytes(*time);
        let signature = Signature(signature.try_into().ok()?);
        (time_s <= TIME_S_MAX).then_some(Self { domain, time_s, key_hash: line.key_hash, signature })
    }
}

impl fmt::Display for Cosignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blob = [&self.key_hash[..], &self.time_s.to_be_bytes(), &self.signature.0].concat();
        write!(f, "\u{2014} {} {}", self.domain, BASE64.encode(&blob))
    }
}

impl FromStr for Cosignature {
    type Err = CosignatureError;
    fn from_str(line: &str) -> Result<Self, CosignatureError> {
        NoteSignature::parse(line).and_then(|line| Self::from_line(&line)).ok_or(CosignatureError::Malformed)
    }
}

text_form!(Cosignature);

/// What is signed: `text` is the note's, with its last line feed.
fn message(text: &str, time_s: u64) -> String {
    format!("cosignature/v1\ntime {time_s}\n{text}")
}

/// The first [`COSIGNATURES_MAX`] well-formed cosignatures of a note, in its order, none of them verified. A witness may occur twice: count
/// domains, not lines.
pub fn cosignatures(note: &str) -> Result<Vec<Cosignature>, NoteError> {
    let note = Note::parse(note)?;
    Ok(note.signatures.iter().filter_map(Cosignature::from_line).take(COSIGNATURES_MAX).collect())
}

/// The note with a cosignature at its end, verified by `key`, in the place of older ones by that witness. If the note has one by that witness
/// that is as new or newer, it stays as it is.
pub fn with_cosignature(note: &str, cosignature: &Cosignature, key: &Verifier) -> Result<String, CosignatureError> {
    cosignature.verify(note, key)?;
    let parsed = Note::parse(note)?;
    let mut out = format!("{}\n", parsed.text);
    let mut others = 0;
    for signature in &parsed.signatures {
        match Cosignature::from_line(signature) {
            Some(present) if present.domain == cosignature.domain => {
                if present.time_s >= cosignature.time_s {
                    return Ok(note.to_owned());
                }
                continue;
            }
            Some(_) => others += 1,
            None => {}
        }
        out.push_str(signature.line);
        out.push('\n');
    }
    out.push_str(&format!("{cosignature}\n"));
    if others < COSIGNATURES_MAX && out.len() <= CHECKPOINT_BYTES_MAX { Ok(out) } else { Err(CosignatureError::Full) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::Hash;
    use crate::log::{Checkpoint, Origin};

    const TIME_S: u64 = 1_700_000_000;

    fn checkpoint(size: u64) -> Checkpoint {
        Checkpoint { origin: origin(), size, root: Hash([3; 32]) }
    }

    fn origin() -> Origin {
        "one.localhost:8001/log/1".parse().expect("an origin")
    }

    fn note(size: u64) -> String {
        checkpoint(size).sign(&log_key())
    }

    fn log_key() -> SecretKey {
        SecretKey::from_seed(&[4; 32])
    }

    fn witness_key() -> SecretKey {
        SecretKey::from_seed(&[5; 32])
    }

    fn verifier(key: &SecretKey) -> Verifier {
        key.id().verifier().expect("good")
    }

    fn by(domain: &str, note: &str, time_s: u64) -> Cosignature {
        Cosignature::sign(note, domain.parse().expect("a domain"), &witness_key(), time_s).expect("a good note")
    }

    fn add(note: &str, cosignature: &Cosignature) -> Result<String, CosignatureError> {
        with_cosignature(note, cosignature, &verifier(&witness_key()))
    }

    #[test]
    fn cosigned_note_opens_and_lists_its_cosignatures() {
        let note = note(12);
        let (two, three) = (by("two.localhost:8002", &note, TIME_S), by("three.org", &note, TIME_S + 1));
        let cosigned = add(&add(&note, &two).expect("room"), &three).expect("room");
        assert_eq!(cosigned, format!("{note}{two}\n{three}\n"));
        assert_eq!(Checkpoint::open(&cosigned, &origin(), &verifier(&log_key())), Ok(checkpoint(12)));
        assert_eq!(cosignatures(&cosigned), Ok(vec![two.clone(), three]));
        assert_eq!((two.domain().as_str(), two.time_s()), ("two.localhost:8002", TIME_S));
        assert_eq!(two.verify(&cosigned, &verifier(&witness_key())), Ok(()));
        assert_eq!(two.to_string().parse(), Ok(two));
    }

    #[test]
    fn cosignature_of_another_note_key_name_or_time_is_refused() {
        let (note, other) = (note(12), note(13));
        let good = by("two.localhost:8002", &note, TIME_S);
        let key = verifier(&witness_key());
        assert_eq!(good.verify(&other, &key), Err(CosignatureError::Unverified));
        assert_eq!(good.verify(&note, &verifier(&log_key())), Err(CosignatureError::Unverified));
        let renamed = Cosignature { domain: "three.org".parse().expect("a domain"), ..good.clone() };
        assert_eq!(renamed.verify(&note, &key), Err(CosignatureError::Unverified));
        let later = Cosignature { time_s: TIME_S + 1, ..good.clone() };
        assert_eq!(add(&note, &later), Err(CosignatureError::Unverified));
        assert_eq!(good.verify("hello", &key), Err(CosignatureError::Note(NoteError::Malformed("no blank line before the signatures"))));
    }

    #[test]
    fn newer_cosignature_replaces_the_older_of_its_witness() {
        let note = note(12);
        let (old, new, other) = (by("two.org", &note, TIME_S), by("two.org", &note, TIME_S + 1), by("three.org", &note, TIME_S));
        let cosigned = add(&add(&note, &old).expect("room"), &other).expect("room");
        let replaced = add(&cosigned, &new).expect("room");
        assert_eq!(replaced, format!("{note}{other}\n{new}\n"));
        assert_eq!(add(&replaced, &old), Ok(replaced.clone()));
        assert_eq!(add(&replaced, &new), Ok(replaced.clone()));
    }

    #[test]
    fn note_takes_so_many_cosignatures_and_bytes() {
        let mut cosigned = note(12);
        for index in 0..COSIGNATURES_MAX {
            cosigned = add(&cosigned, &by(&format!("w{index}.org"), &cosigned, TIME_S)).expect("room");
        }
        assert_eq!(add(&cosigned, &by("one-more.org", &cosigned, TIME_S)), Err(CosignatureError::Full));
        let replaced = add(&cosigned, &by("w3.org", &cosigned, TIME_S + 1)).expect("one goes, one comes");
        assert_eq!(cosignatures(&replaced).map(|all| all.len()), Ok(COSIGNATURES_MAX));
        let foreign = format!("\u{2014} log.example {}\n", BASE64.encode(&[0; 5000]));
        let large = format!("{}{foreign}", note(12));
        assert_eq!(cosignatures(&large), Ok(Vec::new()));
        let larger = format!("{large}\u{2014} x {}\n", BASE64.encode(&[0; 900]));
        assert_eq!(add(&larger, &by("two.org", &larger, TIME_S)), Err(CosignatureError::Full));
    }

    #[test]
    fn time_beyond_63_bits_is_refused() {
        let domain: Domain = "two.org".parse().expect("a domain");
        assert_eq!(Cosignature::sign(&note(12), domain.clone(), &witness_key(), 1 << 63), Err(CosignatureError::Malformed));
        let last = Cosignature::sign(&note(12), domain, &witness_key(), TIME_S_MAX).expect("a good time");
        let beyond = Cosignature { time_s: 1 << 63, ..last };
        assert_eq!(beyond.to_string().parse::<Cosignature>(), Err(CosignatureError::Malformed));
    }
}
