//! The recovery phrase: 24 words (BIP-39, English) that stand for 32 bytes of entropy, from which the root key is derived.
//!
//! Owns the way from entropy to words and back, help for a person who mistyped, and the derivation of the root seed. Deliberately
//! not BIP-39's PBKDF2 seed: there is no passphrase, and 256 bits need no stretching. See `spec/phrase.md`.

use std::fmt;
use std::str::FromStr;

use bip39::{Language, Mnemonic};
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

mod suggest;
#[cfg(test)]
mod tests;

/// Words of a phrase.
pub const WORDS: usize = 24;
/// Bytes of entropy behind a phrase.
pub const ENTROPY_BYTES: usize = 32;
/// HKDF `info` of the root seed; it separates the root key from whatever else may be derived from a phrase one day.
const ROOT_INFO: &[u8] = b"mesh-root-v1";

/// Why text is not a phrase. The message names positions, never words: it may be logged. The guesses that a program may show to
/// the person at the keyboard are in [`Guesses`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PhraseError {
    /// Not 24 words.
    #[error("a recovery phrase has {WORDS} words, this has {0}")]
    WordCount(usize),
    /// One word is not in the list.
    #[error("word {position} is not in the word list")]
    UnknownWord {
        /// Which word, counted from 1.
        position: usize,
        /// What may have been meant, likeliest first.
        guesses: Guesses,
    },
    /// Several words are not in the list.
    #[error("words {} are not in the word list", positions(.0))]
    UnknownWords(Vec<usize>),
    /// All words are in the list, but they do not belong together: one is another than was written down, or two changed places.
    #[error("the words do not fit together: a word is wrong or stands in the wrong place")]
    Checksum {
        /// Changes of one word to a similar one that would fit.
        guesses: Guesses,
    },
}

/// Words that may have been meant, with their positions from 1. Secret, since they are parts of a phrase: `Debug` shows only how many.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Guesses(Vec<(usize, &'static str)>);

impl Guesses {
    /// The position (from 1) and the word for each guess, likeliest first; at most eight.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &'static str)> + '_ {
        self.0.iter().copied()
    }
}

impl fmt::Debug for Guesses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guesses({} redacted)", self.0.len())
    }
}

/// A recovery phrase. Overwritten in memory when dropped; `Debug` shows nothing, `Display` shows the words.
#[derive(Clone, PartialEq, Eq)]
pub struct Phrase {
    entropy: Zeroizing<[u8; ENTROPY_BYTES]>,
}

impl Phrase {
    /// The phrase of 32 bytes that a cryptographic random source gave.
    #[must_use]
    pub fn from_entropy(mut entropy: [u8; ENTROPY_BYTES]) -> Self {
        let phrase = Self { entropy: Zeroizing::new(entropy) };
        entropy.zeroize();
        phrase
    }

    /// The 24 words in order.
    #[must_use]
    pub fn words(&self) -> [&'static str; WORDS] {
        let list = Language::English.word_list();
        indices_of(&self.entropy).map(|index| list.get(usize::from(index)).copied().unwrap_or_default())
    }

    /// The seed of the root key: HKDF-SHA-256 (RFC 5869) with the entropy as key, no salt, info `mesh-root-v1`, 32 bytes.
    #[must_use]
    pub fn root_seed(&self) -> Zeroizing<[u8; 32]> {
        let mut seed = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, &*self.entropy).expand(ROOT_INFO, &mut *seed).expect("32 bytes are within HKDF's limit");
        seed
    }
}

impl FromStr for Phrase {
    type Err = PhraseError;

    /// Reads 24 words in any case and with any white space between them.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = Zeroizing::new(text.to_lowercase());
        let count = text.split_whitespace().count();
        if count != WORDS {
            return Err(PhraseError::WordCount(count));
        }
        let indices: Zeroizing<Vec<Option<u16>>> =
            Zeroizing::new(text.split_whitespace().map(|word| Language::English.find_word(word)).collect());
        let unknown: Vec<usize> = indices.iter().enumerate().filter(|(_, index)| index.is_none()).map(|(at, _)| at).collect();
        match *unknown {
            [] => {}
            [at] => {
                let word = text.split_whitespace().nth(at).unwrap_or_default();
                return Err(PhraseError::UnknownWord { position: at + 1, guesses: suggest::for_unknown(&indices, at, word) });
            }
            _ => return Err(PhraseError::UnknownWords(unknown.iter().map(|at| at + 1).collect())),
        }
        let mut words = [0u16; WORDS];
        for (slot, index) in words.iter_mut().zip(indices.iter().flatten()) {
            *slot = *index;
        }
        let phrase = entropy_of(&words)
            .map(|entropy| Self { entropy })
            .ok_or_else(|| PhraseError::Checksum { guesses: suggest::for_checksum(&words) });
        words.zeroize();
        phrase
    }
}

impl fmt::Display for Phrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, word) in self.words().iter().enumerate() {
            let gap = if at == 0 { "" } else { " " };
            write!(f, "{gap}{word}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Phrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phrase(redacted)")
    }
}

/// The 24 numbers of 11 bits that the entropy and its checksum make.
fn indices_of(entropy: &[u8; ENTROPY_BYTES]) -> [u16; WORDS] {
    let mnemonic = Mnemonic::from_entropy(entropy).expect("BIP-39 knows 32 bytes of entropy");
    let mut indices = [0; WORDS];
    for (slot, index) in indices.iter_mut().zip(mnemonic.word_indices()) {
        *slot = u16::try_from(index).expect("an index has 11 bits");
    }
    indices
}

/// The entropy behind 24 indices, if the eight bits after it are its checksum, the first byte of its SHA-256.
fn entropy_of(indices: &[u16; WORDS]) -> Option<Zeroizing<[u8; ENTROPY_BYTES]>> {
    let mut bytes = Zeroizing::new([0u8; ENTROPY_BYTES + 1]);
    let bits = indices.iter().flat_map(|index| (0..11).rev().map(move |bit| index >> bit & 1));
    for (at, bit) in bits.enumerate() {
        if let Some(byte) = bytes.get_mut(at / 8) {
            *byte = *byte << 1 | u8::from(bit == 1);
        }
    }
    let (checksum, entropy) = bytes.split_last()?;
    if Sha256::digest(entropy).first() != Some(checksum) {
        return None;
    }
    let mut found = Zeroizing::new([0; ENTROPY_BYTES]);
    found.copy_from_slice(entropy);
    Some(found)
}

fn positions(all: &[usize]) -> String {
    all.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}
