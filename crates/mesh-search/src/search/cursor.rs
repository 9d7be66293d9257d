//! Where an answer ended: opaque to whoever holds it.
//!
//! It holds the time and the statistics that the first page was ranked with and the words that were searched, so that a document's score is the same on all
//! pages, whatever is written in between. Who forges one fools only themselves.

use super::{Correction, Pass, Statistics};
use crate::error::SearchError;
use crate::limits::{CANDIDATES, CANDIDATES_MAX, CURSOR_BYTES_MAX, QUERY_WORDS_MAX};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Where an answer ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cursor {
    #[serde(rename = "p")]
    pub(super) pass: Pass,
    #[serde(rename = "n")]
    pub(super) now_ms: u64,
    #[serde(rename = "s")]
    pub(super) statistics: Statistics,
    #[serde(rename = "w")]
    pub(super) words: Vec<Vec<String>>,
    #[serde(rename = "t")]
    pub(super) tolerant_words: Vec<Vec<String>>,
    #[serde(rename = "k")]
    pub(super) candidates: usize,
    /// BM25 (bits) and number of the last candidate that earlier pages have used up.
    #[serde(rename = "f")]
    pub(super) floor: Option<(u32, u64)>,
    /// Score (bits), or time of publication, and number of the last hit.
    #[serde(rename = "a")]
    pub(super) after: Option<(u64, u64)>,
    #[serde(rename = "c", default)]
    pub(super) corrections: Vec<(String, Vec<String>)>,
}

impl Cursor {
    /// The cursor, of which nothing can ask for more than one that was given.
    pub(super) fn bounded(&self) -> Self {
        let mut bounded = self.clone();
        bounded.candidates = bounded.candidates.clamp(CANDIDATES, CANDIDATES_MAX);
        for words in [&mut bounded.words, &mut bounded.tolerant_words] {
            words.truncate(QUERY_WORDS_MAX);
        }
        bounded
    }

    pub(super) fn corrections(&self) -> Vec<Correction> {
        self.corrections.iter().map(|(word, meant)| Correction { word: word.clone(), meant: meant.clone() }).collect()
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = serde_json::to_vec(self).map_err(|_| fmt::Error)?;
        f.write_str(&BASE64URL_NOPAD.encode(&json))
    }
}

impl FromStr for Cursor {
    type Err = SearchError;

    fn from_str(text: &str) -> Result<Self, SearchError> {
        if text.len() > CURSOR_BYTES_MAX {
            return Err(SearchError::Cursor);
        }
        let json = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| SearchError::Cursor)?;
        serde_json::from_slice(&json).map_err(|_| SearchError::Cursor)
    }
}
