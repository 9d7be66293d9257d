//! Searching: what is asked, what is answered, and the passes in between.
//!
//! A ranked search takes the best [`CANDIDATES`] by BM25 and orders them anew by [`score`](crate::score). When these are used up, the next pages rank four times as many.
//! If all words were asked for and fewer than [`FEW`] documents have them, a tolerant pass follows: most of the words, and words of the index that look like the mistyped ones.

mod cursor;
mod dictionary;
mod passes;

use crate::error::SearchError;
use crate::index::{Index, View};
use crate::query::Query;
pub use cursor::Cursor;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[cfg(doc)]
use crate::limits::{CANDIDATES, FEW};

/// A search.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// What is looked for.
    pub query: &'a Query,
    /// Which of its words must be there.
    pub matching: Match,
    /// What comes first.
    pub sort: Sort,
    /// Hits in the answer, at most [`PAGE_MAX`](crate::limits::PAGE_MAX).
    pub limit: usize,
    /// Where an earlier answer ended. It also holds that answer's time and statistics, so that nothing moves between pages.
    pub after: Option<&'a Cursor>,
    /// The time, milliseconds since the epoch.
    pub now_ms: u64,
    /// Statistics to rank with; without, those of this index. Stems that they do not name count as often as they are here.
    pub statistics: Option<&'a Statistics>,
}

/// Which words must be there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Match {
    /// All; if that finds little, some. For people who type words.
    #[default]
    All,
    /// All, and nothing else.
    Strict,
    /// Any: the more and the rarer, the better. For sentences.
    Any,
}

/// What comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sort {
    /// What fits best. A query without words is answered from new to old.
    #[default]
    Best,
    /// What is newest.
    New,
}

/// How many documents there are, and how many have each stem.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistics {
    /// Documents.
    pub documents: u64,
    /// The sum of their lengths.
    pub tokens: u64,
    /// Documents that have a stem.
    pub frequencies: BTreeMap<String, u64>,
}

impl Statistics {
    /// Documents that have the stem.
    pub fn frequency(&self, stem: &str) -> u64 {
        self.frequencies.get(stem).copied().unwrap_or(0)
    }

    /// The mean length of a document.
    pub fn mean(&self) -> f32 {
        self.tokens.max(1) as f32 / self.documents.max(1) as f32
    }
}

/// What a search found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// The documents, best first; all of the tolerant pass come after all of the exact one.
    pub hits: Vec<Hit>,
    /// From where to go on; `None` when this is all.
    pub next: Option<Cursor>,
    /// The stems of each word that exact hits were ranked by.
    pub words: Vec<Vec<String>>,
    /// The same of tolerant hits.
    pub tolerant_words: Vec<Vec<String>>,
    /// Words that the index hardly has, and what was searched in addition.
    pub corrections: Vec<Correction>,
    /// What was ranked with.
    pub statistics: Statistics,
}

/// A word that may be mistyped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    /// As it was asked for, folded.
    pub word: String,
    /// What may have been meant, the most frequent first.
    pub meant: Vec<String>,
}

/// A document that was found, with all that its score is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// Its local id.
    pub no: u64,
    /// What it is ranked by.
    pub score: f32,
    /// The part of the score that its words make.
    pub bm25: f32,
    /// Its length, as the index keeps it.
    pub length: u32,
    /// How often it has each stem of [`Answer::words`], or of [`Answer::tolerant_words`], all words one after the other.
    pub times: Vec<u32>,
    /// When it was published, milliseconds since the epoch.
    pub published_ms: u64,
    /// Its popularity when it was indexed.
    pub popularity: u64,
    /// How it was found.
    pub pass: Pass,
}

/// How a document was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pass {
    /// It is what was asked for.
    Exact,
    /// It has most of the words, or words like them.
    Tolerant,
}

impl Index {
    /// Searches all that was put, whether it is on disk yet or not.
    pub fn search(&self, request: &Request<'_>) -> Result<Answer, SearchError> {
        let view = self.view();
        let has_words = request.query.wanted_words().next().is_some();
        if request.sort == Sort::New || !has_words {
            return passes::newest(&view, request);
        }
        passes::ranked(&view, request)
    }

    /// Statistics of this index for the words of a query, to be summed up with those of others.
    pub fn statistics(&self, query: &Query) -> Result<Statistics, SearchError> {
        self.view().statistics(&query.words())
    }
}

impl View {
    pub(crate) fn statistics(&self, words: &[Vec<String>]) -> Result<Statistics, SearchError> {
        let tail: u64 = self.tail.iter().map(|pending| u64::from(pending.length)).sum();
        let fullest = self.sources.iter().max_by_key(|source| source.documents());
        let mut statistics = Statistics {
            documents: fullest.map_or(0, |source| source.documents()) + self.tail.len() as u64,
            tokens: fullest.map_or(0, |source| source.tokens()) + tail,
            frequencies: BTreeMap::new(),
        };
        self.complete(&mut statistics, words)?;
        Ok(statistics)
    }

    /// Adds the frequencies of this index for stems that have none.
    pub(crate) fn complete(&self, statistics: &mut Statistics, words: &[Vec<String>]) -> Result<(), SearchError> {
        for stem in words.iter().flatten() {
            if !statistics.frequencies.contains_key(stem) {
                let mut frequency = 0;
                for source in self.sources.iter() {
                    frequency = source.frequency(stem)?.max(frequency);
                }
                statistics.frequencies.insert(stem.clone(), frequency.min(statistics.documents));
            }
        }
        Ok(())
    }
}
