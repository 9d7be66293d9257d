//! The index as a dictionary: words that begin so, words that look alike, suggestions.

use crate::analysis::{Shape, tokens};
use crate::error::SearchError;
use crate::index::{Index, View};
use crate::limits::{CHARACTER_PAIRS_MAX, CORRECTIONS_MAX, QUERY_BYTES_MAX, SUGGESTIONS_MAX, TERMS_SCANNED_MAX};
use crate::query::Query;
use std::collections::HashMap;
use tantivy::Term;
use tantivy::query::FuzzyTermQuery;
use tantivy::schema::Field;

/// Letters of a word in which two errors are looked for; in shorter ones one.
const TWO_ERRORS_CHARS_MIN: usize = 8;
/// Letters of a word that may be mistyped at all.
const CORRECTED_CHARS_MIN: usize = 4;

impl Index {
    /// What a person may be about to write: the text with its last word completed, the most frequent first.
    pub fn suggest(&self, text: &str, limit: usize) -> Result<Vec<String>, SearchError> {
        if text.len() > QUERY_BYTES_MAX {
            return Ok(Vec::new());
        }
        let Some(last) = tokens(text, QUERY_BYTES_MAX).pop().filter(|last| last.range.end == text.len() && last.shape == Shape::Word)
        else {
            return Ok(Vec::new());
        };
        let view = self.view();
        let words = view.beginning(&last.word, |source| source.fields.words)?;
        let head = text.get(..last.range.start).unwrap_or_default();
        Ok(most_frequent(words, limit.min(SUGGESTIONS_MAX)).into_iter().map(|word| format!("{head}{word}")).collect())
    }
}

impl View {
    /// The stems of each word of a query. A single East Asian character stands for all terms that begin with it.
    pub(crate) fn stems(&self, query: &Query) -> Result<Vec<Vec<String>>, SearchError> {
        let stems = query.wanted_words().map(|word| -> Result<Vec<String>, SearchError> {
            let mut stems = word.stems.clone();
            if word.shape == Shape::Lone {
                let mut pairs = self.beginning(&word.word, |source| source.fields.terms)?;
                let newest = self.tail.iter().flat_map(|pending| &pending.terms).filter(|(term, _)| term.starts_with(&word.word));
                for (term, _) in newest {
                    *pairs.entry(term.clone()).or_default() += 1;
                }
                pairs.remove(&word.word);
                stems.extend(most_frequent(pairs, CHARACTER_PAIRS_MAX));
            }
            Ok(stems)
        });
        stems.collect()
    }

    /// Words of the index that differ from this one by a letter or two, the most frequent first.
    pub(crate) fn corrections(&self, word: &str) -> Result<Vec<String>, SearchError> {
        let letters = word.chars().count();
        if letters < CORRECTED_CHARS_MIN {
            return Ok(Vec::new());
        }
        let distance = if letters < TWO_ERRORS_CHARS_MIN { 1 } else { 2 };
        let mut like: HashMap<String, u64> = HashMap::new();
        for source in self.sources.iter() {
            let words = source.fields.words;
            let query = FuzzyTermQuery::new(Term::from_field_text(words, word), distance, true);
            for segment in source.searcher.segment_readers() {
                let index = segment.inverted_index(words)?;
                let mut stream = index.terms().search(query.automaton()?).into_stream()?;
                for _ in 0..TERMS_SCANNED_MAX {
                    if !stream.advance() {
                        break;
                    }
                    let term = String::from_utf8_lossy(stream.key()).into_owned();
                    *like.entry(term).or_default() += u64::from(stream.value().doc_freq);
                }
            }
        }
        like.remove(word);
        Ok(most_frequent(like, CORRECTIONS_MAX))
    }

    /// Terms that begin so and how many documents have each.
    fn beginning(&self, prefix: &str, field: impl Fn(&crate::index::source::Source) -> Field) -> Result<HashMap<String, u64>, SearchError> {
        let mut found: HashMap<String, u64> = HashMap::new();
        for source in self.sources.iter() {
            for segment in source.searcher.segment_readers() {
                let index = segment.inverted_index(field(source))?;
                let mut stream = index.terms().range().ge(prefix).into_stream()?;
                for _ in 0..TERMS_SCANNED_MAX {
                    if !stream.advance() || !stream.key().starts_with(prefix.as_bytes()) {
                        break;
                    }
                    let term = String::from_utf8_lossy(stream.key()).into_owned();
                    *found.entry(term).or_default() += u64::from(stream.value().doc_freq);
                }
            }
        }
        Ok(found)
    }
}

fn most_frequent(words: HashMap<String, u64>, count: usize) -> Vec<String> {
    let mut words: Vec<(String, u64)> = words.into_iter().collect();
    words.sort_unstable_by(|(one, often), (other, oftener)| oftener.cmp(often).then_with(|| one.cmp(other)));
    words.into_iter().take(count).map(|(word, _)| word).collect()
}
