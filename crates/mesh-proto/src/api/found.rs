//! What a search answers to people.

use super::RecordView;
use serde::{Deserialize, Serialize};

/// `GET /api/v1/search`: one page of what was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SearchPage {
    /// What was found, best first.
    pub results: Vec<SearchResult>,
    /// Where the next page goes on (`after`); `None` when this is all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// What was not searched for as it was asked, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Words that may have been meant, and were searched for as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub corrections: Vec<String>,
}

/// A record that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SearchResult {
    /// The record; a person is found by a profile.
    pub record: RecordView,
    /// Where the words are in what it says, a few words around them.
    pub snippet: Vec<SnippetPiece>,
    /// What it is ranked by: only good for comparing results of one search.
    pub score: f32,
    /// Whether it only has most of the words, or words like them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tolerant: bool,
}

/// A piece of a snippet: plain text, never markup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SnippetPiece {
    /// The words.
    pub text: String,
    /// Whether they were asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hit: bool,
}

/// `GET /api/v1/search/suggestions`: words that may go on from what was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Suggestions {
    /// The whole query with its last word completed, the most frequent first.
    pub queries: Vec<String>,
}
