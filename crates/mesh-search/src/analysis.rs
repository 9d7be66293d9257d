//! Texts as the index sees them: words, folded; pairs of characters where words are not written apart; stems.
//!
//! Words are folded first (compatibility forms, case, diacritics) and stemmed then, so that "Häuser", "hauser" and "Haus" meet. East Asian text is cut into runs of
//! one script; a run gives its overlapping pairs of characters, and its last character alone. So every character begins or is a term, and a single
//! character is found as the beginning of terms. Needs no dictionary, and two versions of a program never disagree.

pub(crate) mod fold;
pub(crate) mod language;
mod words;

use crate::document::Document;
use crate::limits::{DOCUMENT_TAGS_MAX, DOCUMENT_WORDS_MAX};
use crate::score::{TAG_WEIGHT, TITLE_WEIGHT};
pub(crate) use language::Language;
use std::collections::BTreeMap;
pub(crate) use words::{Script, Shape, Token, tokens};

/// The version of the analysis. Statistics and terms of two indexes go together only if these are the same; an index of another one is built anew.
pub const ANALYSER: &str = "mesh-search 1, frostem 2.20261016, whatlang 0.18";

/// Words between which no phrase reaches: title, text and tags are apart.
const GAP: u32 = 16;

/// A document as terms.
#[derive(Debug, Default)]
pub(crate) struct Analysed {
    /// ISO 639-1.
    pub(crate) language: Option<&'static str>,
    /// Stems and how often they count.
    pub(crate) terms: BTreeMap<String, u32>,
    /// The sum of those.
    pub(crate) length: u32,
    /// Folded words and their places.
    pub(crate) words: Vec<(u32, String)>,
}

impl Analysed {
    pub(crate) fn of(document: &Document) -> Self {
        let title = tokens(&document.title, DOCUMENT_WORDS_MAX);
        let text = tokens(&document.text, DOCUMENT_WORDS_MAX);
        let told = if document.text.is_empty() { &document.title } else { &document.text };
        let language = language::detect(told, if text.is_empty() { &title } else { &text }, document.language.as_deref());
        let mut analysed = Self { language: language.map(Language::code), ..Self::default() };
        let mut at = analysed.add(title, language, TITLE_WEIGHT, 0);
        at = analysed.add(text, language, 1, at);
        for tag in document.tags.iter().take(DOCUMENT_TAGS_MAX) {
            at = analysed.add(tokens(tag, DOCUMENT_WORDS_MAX), language, TAG_WEIGHT, at);
        }
        analysed
    }

    /// Adds words from the place `at` on; answers the place after them.
    fn add(&mut self, tokens: Vec<Token>, language: Option<Language>, weight: u32, at: u32) -> u32 {
        let mut end = at;
        for token in tokens {
            end = at + token.position + GAP;
            *self.terms.entry(token.stem(language)).or_default() += weight;
            self.length += weight;
            self.words.push((at + token.position, token.word));
        }
        end
    }
}
