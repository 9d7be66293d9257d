//! What a person may have meant who mistyped a phrase. Works on this device only; nothing here leaves it.

use bip39::Language;

use super::{Guesses, WORDS, entropy_of};

/// Most guesses offered.
const GUESSES_MAX: usize = 8;
/// Words further away than this are other words, not slips.
const DISTANCE_MAX: usize = 2;
/// The word list's own rule: four letters tell any two words apart.
const PREFIX_CHARS: usize = 4;

/// Guesses for the one word that is not in the list, at `at` (from 0): words that make the checksum right come first, then the nearer.
pub(super) fn for_unknown(indices: &[Option<u16>], at: usize, typed: &str) -> Guesses {
    let mut phrase = [0u16; WORDS];
    for (slot, index) in phrase.iter_mut().zip(indices) {
        *slot = index.unwrap_or_default();
    }
    let mut found: Vec<(bool, usize, &'static str)> = Vec::new();
    for (index, word) in list() {
        let distance = distance(typed, word);
        if distance > DISTANCE_MAX {
            continue;
        }
        if let Some(slot) = phrase.get_mut(at) {
            *slot = index;
        }
        found.push((entropy_of(&phrase).is_none(), distance, word));
    }
    found.sort_unstable();
    Guesses(found.into_iter().take(GUESSES_MAX).map(|(_, _, word)| (at + 1, word)).collect())
}

/// Changes of one word to one at distance 1 that make the checksum right.
pub(super) fn for_checksum(indices: &[u16; WORDS]) -> Guesses {
    let words = Language::English.word_list();
    let mut phrase = *indices;
    let mut found = Vec::new();
    for (at, typed) in indices.iter().enumerate() {
        let Some(typed_word) = words.get(usize::from(*typed)) else {
            continue;
        };
        for (index, word) in list() {
            if index == *typed || distance(typed_word, word) > 1 {
                continue;
            }
            if let Some(slot) = phrase.get_mut(at) {
                *slot = index;
            }
            if entropy_of(&phrase).is_some() {
                found.push((at + 1, word));
            }
        }
        if let Some(slot) = phrase.get_mut(at) {
            *slot = *typed;
        }
    }
    found.truncate(GUESSES_MAX);
    Guesses(found)
}

fn list() -> impl Iterator<Item = (u16, &'static str)> {
    (0u16..).zip(Language::English.word_list().iter().copied())
}

/// Insertions, deletions, substitutions and swaps of neighbours between two words (optimal string alignment), but 1 at most if
/// they share the four letters that name a word. Anything above [`DISTANCE_MAX`] may be returned as just that.
fn distance(typed: &str, word: &str) -> usize {
    let (a, b) = (typed.as_bytes(), word.as_bytes());
    if a.len().abs_diff(b.len()) > DISTANCE_MAX {
        return if shares_prefix(a, b) { 1 } else { DISTANCE_MAX + 1 };
    }
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX - 1);
            let mut best = (at(&last, j) + usize::from(x != y)).min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    let distance = last.last().copied().unwrap_or(b.len());
    if shares_prefix(a, b) { distance.min(1) } else { distance }
}

fn shares_prefix(a: &[u8], b: &[u8]) -> bool {
    a.len() >= PREFIX_CHARS && a.get(..PREFIX_CHARS) == b.get(..PREFIX_CHARS)
}
