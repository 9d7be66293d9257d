//! A folder of the index as it is searched: one state of tantivy's, with its columns open.

mod compile;
mod newest;

use crate::error::SearchError;
use crate::index::schema::{Fields, NO, POPULARITY, PUBLISHED};
use crate::query::plan::Plan;
use crate::search::Statistics;
use newest::Newest;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use tantivy::collector::TopDocs;
use tantivy::columnar::ColumnValues;
use tantivy::fieldnorm::FieldNormReader;
use tantivy::query::Bm25StatisticsProvider;
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocAddress, DocSet, Searcher, SegmentReader, Term};

/// One readable state of a folder.
pub(crate) struct Source {
    pub(crate) searcher: Searcher,
    pub(crate) fields: Fields,
    pub(crate) segments: Vec<Columns>,
    tokens: OnceLock<u64>,
}

/// What is kept beside the terms of a segment.
#[derive(Clone)]
pub(crate) struct Columns {
    pub(crate) no: Arc<dyn ColumnValues<u64>>,
    pub(crate) published: Arc<dyn ColumnValues<u64>>,
    pub(crate) popularity: Arc<dyn ColumnValues<u64>>,
    pub(crate) lengths: FieldNormReader,
}

impl Columns {
    fn open(segment: &SegmentReader, fields: Fields) -> tantivy::Result<Self> {
        let fast = segment.fast_fields();
        Ok(Self {
            no: fast.column_first_or_default(NO)?,
            published: fast.column_first_or_default(PUBLISHED)?,
            popularity: fast.column_first_or_default(POPULARITY)?,
            lengths: segment.get_fieldnorms_reader(fields.terms)?,
        })
    }
}

/// A document that matched.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) no: u64,
    pub(crate) bm25: f32,
    pub(crate) published_ms: u64,
    pub(crate) popularity: u64,
    pub(crate) address: DocAddress,
}

impl Source {
    pub(crate) fn open(searcher: Searcher, fields: Fields) -> tantivy::Result<Self> {
        let segments = searcher.segment_readers().iter().map(|segment| Columns::open(segment, fields)).collect::<tantivy::Result<_>>()?;
        Ok(Self { searcher, fields, segments, tokens: OnceLock::new() })
    }

    /// Documents that stand.
    pub(crate) fn documents(&self) -> u64 {
        self.searcher.num_docs()
    }

    /// The sum of their lengths, as these are kept.
    pub(crate) fn tokens(&self) -> u64 {
        *self.tokens.get_or_init(|| {
            let segments = self.searcher.segment_readers().iter().zip(&self.segments);
            segments
                .map(|(segment, columns)| segment.doc_ids_alive().map(|doc| u64::from(columns.lengths.fieldnorm(doc))).sum::<u64>())
                .sum()
        })
    }

    /// The largest local id.
    pub(crate) fn highest(&self) -> Option<u64> {
        self.segments.iter().map(|columns| columns.no.max_value()).max()
    }

    pub(crate) fn frequency(&self, stem: &str) -> Result<u64, SearchError> {
        Ok(self.searcher.doc_freq(&Term::from_field_text(self.fields.terms, stem))?)
    }

    /// The best `count` by BM25, in no order; a document that several combinations of stems found comes once.
    pub(crate) fn best(&self, plan: &Plan, statistics: &Statistics, count: usize) -> Result<Vec<Found>, SearchError> {
        let provider = Provider { terms: self.fields.terms, statistics, searcher: &self.searcher };
        let mut best: BTreeMap<DocAddress, f32> = BTreeMap::new();
        let queries = self.compile(plan)?;
        let several = queries.len() > 1;
        let mut found = Vec::new();
        for query in queries {
            let top = self.searcher.search_with_statistics_provider(&query, &TopDocs::with_limit(count).order_by_score(), &provider)?;
            if !several {
                found = top;
                break;
            }
            for (score, address) in top {
                best.entry(address).and_modify(|known| *known = known.max(score)).or_insert(score);
            }
        }
        found.extend(best.into_iter().map(|(address, score)| (score, address)));
        Ok(found.into_iter().filter_map(|(score, address)| self.found(score, address)).collect())
    }

    fn found(&self, bm25: f32, address: DocAddress) -> Option<Found> {
        let columns = self.segments.get(address.segment_ord as usize)?;
        Some(Found {
            no: columns.no.get_val(address.doc_id),
            bm25,
            published_ms: columns.published.get_val(address.doc_id),
            popularity: columns.popularity.get_val(address.doc_id),
            address,
        })
    }

    /// The newest `count`, in no order, that come after (`published`, `no`) in the order from new to old.
    pub(crate) fn newest(
        &self,
        plan: &Plan,
        count: usize,
        after: Option<(u64, u64)>,
        hidden: &dyn Fn(u64) -> bool,
    ) -> Result<Vec<Found>, SearchError> {
        let query = self.filter(plan)?;
        let weight = query.weight(tantivy::query::EnableScoring::disabled_from_searcher(&self.searcher))?;
        let mut newest = Newest::new(count, after);
        for (segment_ord, (segment, columns)) in (0..).zip(self.searcher.segment_readers().iter().zip(&self.segments)) {
            weight.for_each_no_score(segment, &mut |docs| {
                for doc in docs {
                    if segment.is_deleted(*doc) {
                        continue;
                    }
                    let published = columns.published.get_val(*doc);
                    if newest.may_take(published) {
                        let no = columns.no.get_val(*doc);
                        if !hidden(no) {
                            newest.take(published, no, DocAddress::new(segment_ord, *doc));
                        }
                    }
                }
            })?;
        }
        Ok(newest.into_addresses().filter_map(|address| self.found(0.0, address)).collect())
    }

    pub(crate) fn length(&self, address: DocAddress) -> u32 {
        self.segments.get(address.segment_ord as usize).map_or(0, |columns| columns.lengths.fieldnorm(address.doc_id))
    }

    /// How often each document has each stem, all words one after the other.
    pub(crate) fn all_times(
        &self,
        addresses: &BTreeSet<DocAddress>,
        words: &[Vec<String>],
    ) -> Result<BTreeMap<DocAddress, Vec<u32>>, SearchError> {
        let mut times: BTreeMap<DocAddress, Vec<u32>> = addresses.iter().map(|address| (*address, Vec::new())).collect();
        let segments: BTreeSet<u32> = addresses.iter().map(|address| address.segment_ord).collect();
        for segment in segments {
            let index = self.searcher.segment_reader(segment).inverted_index(self.fields.terms)?;
            for stem in words.iter().flatten() {
                let mut postings = index.read_postings(&Term::from_field_text(self.fields.terms, stem), IndexRecordOption::WithFreqs)?;
                for (address, times) in times.range_mut(DocAddress::new(segment, 0)..=DocAddress::new(segment, u32::MAX)) {
                    times.push(postings.as_mut().map_or(0, |postings| times_at(postings, address.doc_id)));
                }
            }
        }
        Ok(times)
    }
}

/// How often the document has the term; documents come in ascending order.
fn times_at(postings: &mut tantivy::postings::SegmentPostings, doc: u32) -> u32 {
    use tantivy::postings::Postings;
    if postings.doc() < doc {
        postings.seek(doc);
    }
    if postings.doc() == doc { postings.term_freq() } else { 0 }
}

/// Gives tantivy the statistics that a search is made with.
struct Provider<'a> {
    terms: Field,
    statistics: &'a Statistics,
    searcher: &'a Searcher,
}

impl Bm25StatisticsProvider for Provider<'_> {
    fn total_num_tokens(&self, _field: Field) -> tantivy::Result<u64> {
        Ok(self.statistics.tokens.max(1))
    }

    fn total_num_docs(&self) -> tantivy::Result<u64> {
        Ok(self.statistics.documents.max(1))
    }

    fn doc_freq(&self, term: &Term) -> tantivy::Result<u64> {
        if term.field() != self.terms {
            return self.searcher.doc_freq(term);
        }
        let frequency = term.value().as_str().map_or(0, |stem| self.statistics.frequency(stem));
        Ok(frequency.min(self.statistics.documents.max(1)))
    }
}
