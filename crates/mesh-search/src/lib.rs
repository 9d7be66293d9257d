//! Search over public records.
//!
//! Owns: the index and its folder, the query language, ranking, snippets, suggestions. Derived from the store and nothing else: it can be removed at any time.
//!
//! ```no_run
//! use mesh_search::{Document, Index, Match, Query, Request, Sort};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let opened = Index::open("search".as_ref())?;
//! // Feed what the store has after `opened.upto`, then all that is new.
//! opened.writer.put(&Document { no: 7, author: "neo@mesh.org".into(), text: "There is no spoon".into(), ..Document::default() })?;
//! opened.writer.reached(8)?;
//! let query = Query::parse("spoons from:neo@mesh.org")?;
//! let request = Request { query: &query, matching: Match::All, sort: Sort::Best, limit: 20, after: None, now_ms: 0, statistics: None };
//! assert_eq!(opened.index.search(&request)?.hits[0].no, 7);
//! # Ok(())
//! # }
//! ```
//!
//! Tasks: one thread for each [`Writer`], which alone touches the folder; tantivy's own threads merge. Lock order: one lock, held for a few pointers. A crash
//! leaves the last commit, which names how far it came.
//!
//! Deliberately not here: texts (the caller has them), who may see a record (only what everyone may see is put in), HTTP, and other servers.

mod analysis;
mod document;
mod error;
mod index;
pub mod limits;
mod query;
pub mod score;
mod search;
mod snippet;

pub use analysis::ANALYSER;
pub use document::{Document, DocumentKind, Has};
pub use error::SearchError;
pub use index::{Index, Opened, Posting, Rebuild, Snapshot, Writer};
pub use query::{Note, Query, QueryError};
pub use search::{Answer, Correction, Cursor, Hit, Match, Pass, Request, Sort, Statistics};
pub use snippet::{Piece, snippet};
