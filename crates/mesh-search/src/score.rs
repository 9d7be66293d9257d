//! How documents are ranked: pure functions, so that whoever is told the frequencies and lengths can compute a score again.
//!
//! `score = bm25 × (1 + FRESH · 2^(−age / HALF_LIFE) + POPULAR · min(1, log10(1 + popularity) / 5))`
//!
//! BM25 (k1 1.2, b 0.75) is computed in `f32` as tantivy does, over one field in which the words of a title count three times and tags twice. A query word
//! stands for several stems: the best of them counts, and the words are summed in the order of the query. Equal scores are ordered by `no`.

use crate::search::Statistics;
use tantivy::fieldnorm::FieldNormReader;

const K1: f32 = 1.2;
const B: f32 = 0.75;
/// What the newest document gains over an endlessly old one.
const FRESH: f32 = 0.25;
/// After so many days half of that is left.
const HALF_LIFE_DAYS: f32 = 30.0;
/// What a document with 100,000 likes gains.
const POPULAR: f32 = 0.25;
const DAY_MS: f32 = 86_400_000.0;

/// How often a title's words count.
pub const TITLE_WEIGHT: u32 = 3;
/// How often a tag counts.
pub const TAG_WEIGHT: u32 = 2;

/// The length as the index keeps it: one byte, exact up to 40.
pub fn quantise(length: u32) -> u8 {
    FieldNormReader::fieldnorm_to_id(length)
}

/// The length that such a byte stands for.
pub fn dequantise(byte: u8) -> u32 {
    FieldNormReader::id_to_fieldnorm(byte)
}

/// How much a term tells that `frequency` of `documents` have.
pub fn idf(frequency: u64, documents: u64) -> f32 {
    let frequency = frequency.min(documents);
    let x = ((documents - frequency) as f32 + 0.5) / (frequency as f32 + 0.5);
    (1.0 + x).ln()
}

/// What one term contributes: `times` in a document of `length` (dequantised), where the mean length is `mean`.
pub fn term(idf: f32, times: u32, length: u32, mean: f32) -> f32 {
    let times = times as f32;
    let norm = K1 * (1.0 - B + B * length as f32 / mean);
    idf * (1.0 + K1) * (times / (times + norm))
}

/// The BM25 of a document: for each word of the query the best of its stems.
///
/// `words` are the stems of each word, `times` how often the document has each of them, in the same order, all words one after the other.
pub fn bm25(statistics: &Statistics, words: &[Vec<String>], times: &[u32], length: u32) -> f32 {
    let mean = statistics.mean();
    let mut times = times.iter();
    let mut sum = 0.0;
    for stems in words {
        let best = stems
            .iter()
            .zip(times.by_ref())
            .filter(|(_, times)| **times > 0)
            .map(|(stem, times)| term(idf(statistics.frequency(stem), statistics.documents), *times, length, mean))
            .fold(0.0, f32::max);
        sum += best;
    }
    sum
}

/// What age and popularity multiply a score by: from 1 to 1.5.
pub fn signals(published_ms: u64, popularity: u64, now_ms: u64) -> f32 {
    let age_days = now_ms.saturating_sub(published_ms) as f32 / DAY_MS;
    let fresh = (-age_days / HALF_LIFE_DAYS).exp2();
    let popular = ((1.0 + popularity as f32).log10() / 5.0).min(1.0);
    1.0 + FRESH * fresh + POPULAR * popular
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_up_to_forty_are_exact() {
        for length in 0..=40 {
            assert_eq!(dequantise(quantise(length)), length);
        }
        assert!(dequantise(quantise(1_000)) <= 1_000);
    }

    #[test]
    fn signals_stay_within_their_bounds() {
        assert!((signals(1_000, 0, 1_000) - 1.25).abs() < 1e-6);
        assert!((signals(u64::MAX, u64::MAX, 0) - 1.5).abs() < 1e-6);
        assert!(signals(0, 0, u64::MAX) >= 1.0);
    }

    #[test]
    fn a_term_that_all_have_tells_little_and_one_that_nobody_has_does_not_panic() {
        assert!(idf(10, 10) < idf(1, 10));
        assert!(idf(11, 10) > 0.0 && idf(0, 0) > 0.0);
    }
}
