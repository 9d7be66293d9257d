//! The ranked part of an index, term by term: for digests that tell other servers what can be found here.

use crate::error::SearchError;
use crate::index::Index;
use crate::index::source::Source;
use std::sync::Arc;
use tantivy::postings::Postings;
use tantivy::schema::IndexRecordOption;
use tantivy::termdict::TermMerger;
use tantivy::{DocSet, TERMINATED};

/// What a commit holds, unchanging, without removed documents.
pub struct Snapshot {
    source: Arc<Source>,
    generation: u64,
}

/// A document that has a term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posting {
    /// Its local id.
    pub no: u64,
    /// How often it has the term.
    pub times: u32,
    /// Its length, as the index keeps it.
    pub length: u32,
}

impl Index {
    /// The last commit.
    pub fn snapshot(&self) -> Option<Snapshot> {
        let view = self.view();
        view.sources.first().map(|source| Snapshot { source: Arc::clone(source), generation: view.generation })
    }
}

impl Snapshot {
    /// A number that changes with every commit.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Documents.
    pub fn documents(&self) -> u64 {
        self.source.documents()
    }

    /// The sum of their lengths.
    pub fn tokens(&self) -> u64 {
        self.source.tokens()
    }

    /// Calls `visit` with every stem, in the order of its bytes, and the documents that have it, by number.
    pub fn for_each_term(&self, mut visit: impl FnMut(&str, &[Posting])) -> Result<(), SearchError> {
        let readers = self.source.searcher.segment_readers();
        let indexes = readers.iter().map(|segment| segment.inverted_index(self.source.fields.terms)).collect::<Result<Vec<_>, _>>()?;
        let streams = indexes.iter().map(|index| index.terms().stream()).collect::<Result<Vec<_>, _>>()?;
        let mut merger = TermMerger::new(streams);
        let mut found = Vec::new();
        while merger.advance() {
            found.clear();
            for (at, term) in merger.current_segment_ords_and_term_infos() {
                let (Some(index), Some(segment), Some(columns)) = (indexes.get(at), readers.get(at), self.source.segments.get(at)) else {
                    continue;
                };
                let mut postings = index.read_postings_from_terminfo(&term, IndexRecordOption::WithFreqs)?;
                while postings.doc() != TERMINATED {
                    let doc = postings.doc();
                    if !segment.is_deleted(doc) {
                        found.push(Posting {
                            no: columns.no.get_val(doc),
                            times: postings.term_freq(),
                            length: columns.lengths.fieldnorm(doc),
                        });
                    }
                    postings.advance();
                }
            }
            if !found.is_empty() {
                // Runs in order, one for each segment: what a stable sort is quickest at.
                found.sort_by_key(|posting| posting.no);
                visit(&String::from_utf8_lossy(merger.key()), &found);
            }
        }
        Ok(())
    }
}
