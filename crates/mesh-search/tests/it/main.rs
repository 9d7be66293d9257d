//! Behaviour of the index as its users see it, one file for each part.

mod filters;
mod languages;
mod lifecycle;
mod paging;
mod ranking;
mod snippets;

use mesh_search::{Answer, Document, Index, Match, Opened, Query, Request, Sort};
use std::path::Path;
use tempfile::TempDir;

const NOW_MS: u64 = 1_800_000_000_000;

/// An index in a folder of its own.
struct Bed {
    folder: TempDir,
    opened: Opened,
}

impl Bed {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let opened = open(folder.path());
        Self { folder, opened }
    }

    /// An index with these texts, numbered from 0, on disk.
    fn with(texts: &[&str]) -> Self {
        let bed = Self::new();
        for (no, text) in (0..).zip(texts) {
            bed.put(&document(no, text));
        }
        bed.flush();
        bed
    }

    fn put(&self, document: &Document) {
        self.opened.writer.put(document).expect("put");
    }

    fn flush(&self) {
        self.opened.writer.flush().expect("flush");
    }

    fn find(&self, query: &str) -> Vec<u64> {
        numbers(&search(&self.opened.index, query, Sort::Best))
    }
}

fn open(folder: &Path) -> Opened {
    Index::open(folder).expect("open")
}

fn document(no: u64, text: &str) -> Document {
    Document {
        no,
        author: "neo@mesh.example".to_owned(),
        domain: "mesh.example".to_owned(),
        text: text.to_owned(),
        published_ms: NOW_MS - 1_000_000 + no,
        ..Document::default()
    }
}

fn request(query: &Query) -> Request<'_> {
    Request { query, matching: Match::All, sort: Sort::Best, limit: 20, after: None, now_ms: NOW_MS, statistics: None }
}

fn search(index: &Index, query: &str, sort: Sort) -> Answer {
    let query = Query::parse(query).expect("a query");
    index.search(&Request { sort, ..request(&query) }).expect("an answer")
}

fn numbers(answer: &Answer) -> Vec<u64> {
    answer.hits.iter().map(|hit| hit.no).collect()
}
