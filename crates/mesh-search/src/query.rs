//! What people ask for: the query language.
//!
//! | written | finds documents |
//! |---|---|
//! | `two words` | with both, in any form and place |
//! | `"two words"` | with exactly these words, one after the other |
//! | `-word`, `-"two words"`, `-tag:news` | without it |
//! | `tea OR coffee` | with one of both |
//! | `from:neo@mesh.org` | by this author |
//! | `domain:mesh.org` | of this domain's people |
//! | `tag:rust`, `#rust` | with this tag |
//! | `lang:de` | in this language |
//! | `type:post`, `comment`, `profile` | of this kind |
//! | `before:2026-01-31`, `after:2026-01-01` | published before that day, or on that day and later |
//! | `has:link`, `image`, `poll`, `video`, `audio` | that carry one |
//!
//! Anything else is words. There is no nesting: parentheses, stars and the like mean nothing.

mod parse;
pub(crate) mod plan;

use crate::analysis::{Shape, Token, tokens};
use crate::limits::{QUERY_BYTES_MAX, QUERY_FILTERS_MAX, QUERY_WORDS_MAX};
use std::fmt;

/// A query as it was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    pub(crate) clauses: Vec<Clause>,
    pub(crate) filters: Vec<Filter>,
    notes: Vec<Note>,
}

/// What must, or must not, be there: one of several things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clause {
    pub(crate) sign: Sign,
    pub(crate) items: Vec<Item>,
}

/// Whether something is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    Wanted,
    Unwanted,
}

/// Words as they were written without a space, or a phrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) words: Vec<Word>,
    /// Folded words and their places, if they must stand in this order.
    pub(crate) phrase: Vec<(u32, String)>,
}

/// A word of the query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    /// Folded.
    pub(crate) word: String,
    /// The stems under which it may be indexed.
    pub(crate) stems: Vec<String>,
    pub(crate) shape: Shape,
}

/// What narrows a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Filter {
    /// `from:`, `domain:`, `tag:`, `lang:`, `type:` or `has:`, and the value as it is indexed.
    Fact(Sign, Fact, String),
    /// Published earlier, milliseconds.
    Before(u64),
    /// Published then or later, milliseconds.
    After(u64),
}

/// What is known of a document beside its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fact {
    From,
    Domain,
    Tag,
    Language,
    Kind,
    Has,
}

impl Fact {
    /// The term under which a document with that fact is indexed.
    pub(crate) fn term(self, value: &str) -> String {
        let letter = match self {
            Self::From => 'f',
            Self::Domain => 'd',
            Self::Tag => 't',
            Self::Language => 'l',
            Self::Kind => 'k',
            Self::Has => 'h',
        };
        format!("{letter}{value}")
    }

    /// Whether a document has one value only, so that several values mean "one of these".
    pub(crate) fn is_single(self) -> bool {
        !matches!(self, Self::Tag | Self::Has)
    }
}

/// What was not done as it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// Words beyond the limit were left out.
    Words,
    /// Filters beyond the limit were left out.
    Filters,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words => write!(f, "only the first {QUERY_WORDS_MAX} words were searched"),
            Self::Filters => write!(f, "only the first {QUERY_FILTERS_MAX} filters counted"),
        }
    }
}

/// Why a query cannot be answered; the caller's fault, each with the way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// Too many bytes.
    #[error("the query has {0} bytes: at most {QUERY_BYTES_MAX} are read, search for fewer words")]
    TooLong(usize),
    /// No word and no filter.
    #[error("there is nothing to search for: write a word, or a filter such as tag:music")]
    Empty,
    /// Everything is excluded.
    #[error("the query only says what it does not want: add a word, or a filter such as type:post")]
    OnlyUnwanted,
    /// A filter's value is none.
    #[error("{key}: does not know {value:?}: {expected}")]
    Value {
        /// The filter.
        key: &'static str,
        /// What was written.
        value: String,
        /// What can be.
        expected: &'static str,
    },
}

impl Query {
    /// Reads what a person wrote.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        parse::parse(text)
    }

    /// What was not done as it was asked, for the person who asked.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// The words by which documents are ranked: for each, the stems it may be indexed under. Frequencies of a hit come in this order.
    pub fn words(&self) -> Vec<Vec<String>> {
        self.wanted_words().map(|word| word.stems.clone()).collect()
    }

    pub(crate) fn wanted_words(&self) -> impl Iterator<Item = &Word> {
        self.clauses.iter().filter(|clause| clause.sign == Sign::Wanted).flat_map(|clause| &clause.items).flat_map(|item| &item.words)
    }
}

impl Word {
    fn of(token: Token) -> Self {
        Self { stems: token.stems(), word: token.word, shape: token.shape }
    }

    /// The stems under which another folded word may be indexed.
    pub(crate) fn stems_of(&self, word: &str) -> Vec<String> {
        tokens(word, QUERY_WORDS_MAX).into_iter().flat_map(|token| token.stems()).collect()
    }
}
