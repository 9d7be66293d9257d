//! The fields of the index.
//!
//! `terms`: stems with frequencies and lengths, by which is ranked. `words`: folded words with their places, for phrases, typing errors and suggestions. `facts`: author,
//! domain, tags, language, kind and the like, one term each. `no`, `published`, `popularity`: columns. Nothing is stored.

use crate::index::tail::Pending;
use tantivy::TantivyDocument;
use tantivy::schema::{FAST, Field, INDEXED, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::{PreTokenizedString, Token};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields {
    pub(crate) no: Field,
    pub(crate) terms: Field,
    pub(crate) words: Field,
    pub(crate) facts: Field,
    pub(crate) published: Field,
    pub(crate) popularity: Field,
}

pub(crate) const NO: &str = "no";
pub(crate) const PUBLISHED: &str = "published";
pub(crate) const POPULARITY: &str = "popularity";

impl Fields {
    pub(crate) fn schema() -> (Schema, Self) {
        let mut builder = Schema::builder();
        let text = |record, norms| {
            let indexing = TextFieldIndexing::default().set_tokenizer("raw").set_index_option(record).set_fieldnorms(norms);
            TextOptions::default().set_indexing_options(indexing)
        };
        let fields = Self {
            no: builder.add_u64_field(NO, INDEXED | FAST),
            terms: builder.add_text_field("terms", text(IndexRecordOption::WithFreqs, true)),
            words: builder.add_text_field("words", text(IndexRecordOption::WithFreqsAndPositions, false)),
            facts: builder.add_text_field("facts", text(IndexRecordOption::Basic, false)),
            published: builder.add_u64_field(PUBLISHED, FAST),
            popularity: builder.add_u64_field(POPULARITY, FAST),
        };
        (builder.build(), fields)
    }

    /// The document as tantivy takes it.
    pub(crate) fn document(self, pending: &Pending) -> TantivyDocument {
        let mut document = TantivyDocument::default();
        document.add_u64(self.no, pending.no);
        document.add_u64(self.published, pending.published_ms);
        document.add_u64(self.popularity, u64::from(pending.popularity));
        let terms = pending.terms.iter().flat_map(|(term, times)| std::iter::repeat_n(term, *times as usize)).map(|term| token(0, term));
        document.add_pre_tokenized_text(self.terms, PreTokenizedString { text: String::new(), tokens: terms.collect() });
        let words = pending.words.iter().map(|(position, word)| token(*position, word));
        document.add_pre_tokenized_text(self.words, PreTokenizedString { text: String::new(), tokens: words.collect() });
        for fact in &pending.facts {
            document.add_pre_tokenized_text(self.facts, PreTokenizedString { text: String::new(), tokens: vec![token(0, fact)] });
        }
        document
    }
}

fn token(position: u32, text: &str) -> Token {
    Token { offset_from: 0, offset_to: 0, position: position as usize, text: text.to_owned(), position_length: 1 }
}
