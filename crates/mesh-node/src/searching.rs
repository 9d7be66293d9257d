//! Searching what people of this domain say.
//!
//! The index is derived from the store: it follows the log, a moment behind it, and may be lost at any time. What it finds is shown only as far as the
//! store shows it now, so that what was withdrawn, hidden or left out of searches is not found from that moment on, whatever the index still holds.

mod documents;
mod indexing;

use crate::Ports;
use crate::accounts::Accounts;
use crate::bus::Bus;
use crate::error::{NodeError, Result};
use crate::log::Log;
use crate::tables::Lid;
use crate::tables::reference::Reference;
use crate::views::Views;
use documents::{Indexed, Subject, subject};
use indexing::Progress;
use mesh_proto::api::{RecordView, SearchPage, SearchResult, SnippetPiece, code};
use mesh_proto::envelope::RecordId;
use mesh_proto::port::Clock;
use mesh_proto::record::{Content, Record};
use mesh_search::{Answer, Cursor, Index, Note, Opened, Pass, Query, Request, SearchError, Writer, snippet};
pub use mesh_search::{Match, Sort};
use mesh_store::Kv;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Characters of a snippet.
const SNIPPET_CHARS: usize = 240;
/// Most results of one page.
pub const RESULTS_MAX: usize = 50;
/// How often one page looks for more after it left something out.
const ROUNDS_MAX: usize = 4;

/// What is searched for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The words, as they were typed.
    pub query: String,
    /// Which of them must be there.
    pub matching: Match,
    /// What comes first.
    pub sort: Sort,
    /// Where an earlier page ended.
    pub after: Option<String>,
    /// Results wanted, at most [`RESULTS_MAX`].
    pub limit: usize,
}

/// The service.
pub struct Searching {
    kv: Arc<dyn Kv>,
    accounts: Arc<Accounts>,
    log: Arc<Log>,
    views: Arc<Views>,
    bus: Arc<Bus>,
    clock: Arc<dyn Clock>,
    engine: Option<Engine>,
}

/// The index, where there is one.
struct Engine {
    index: Index,
    writer: Mutex<Option<Writer>>,
    progress: Mutex<Progress>,
}

/// The services that it needs.
pub(crate) type Parts<'a> = (&'a Arc<Accounts>, &'a Arc<Log>, &'a Arc<Views>, &'a Arc<Bus>);

impl Searching {
    /// Opens the index in a folder; without one nothing is found. Blocks while it looks at every byte.
    pub(crate) fn open(ports: &Ports, (accounts, log, views, bus): Parts<'_>, folder: Option<PathBuf>) -> Result<Arc<Self>> {
        Ok(Arc::new(Self {
            kv: Arc::clone(&ports.kv),
            accounts: Arc::clone(accounts),
            log: Arc::clone(log),
            views: Arc::clone(views),
            bus: Arc::clone(bus),
            clock: Arc::clone(&ports.clock),
            engine: folder.as_deref().map(Engine::open).transpose()?,
        }))
    }

    fn engine(&self) -> Result<&Engine> {
        self.engine.as_ref().ok_or(NodeError::NotFound("search index"))
    }

    /// One page of what is found here.
    pub async fn here(self: &Arc<Self>, asked: &Asked) -> Result<SearchPage> {
        let query = Query::parse(&asked.query).map_err(|error| NodeError::refused(code::MALFORMED, error.to_string()))?;
        let limit = asked.limit.clamp(1, RESULTS_MAX);
        let mut page = SearchPage { notes: query.notes().iter().map(Note::to_string).collect(), ..SearchPage::default() };
        let mut after = asked.after.as_deref().map(str::parse::<Cursor>).transpose().map_err(failed)?;
        for _ in 0..ROUNDS_MAX {
            let answer = self.ask(&query, (asked.matching, asked.sort), (after.take(), limit - page.results.len())).await?;
            page.corrections.extend(answer.corrections.iter().flat_map(|correction| correction.meant.iter().take(1).cloned()));
            page.corrections.dedup();
            let found = answer.hits.iter().map(|hit| (hit.no, hit.score, hit.pass)).collect::<Vec<_>>();
            page.results.extend(self.show(&query, found).await?);
            after = answer.next;
            if after.is_none() || page.results.len() >= limit {
                break;
            }
        }
        page.next = after.map(|cursor| cursor.to_string());
        Ok(page)
    }

    async fn ask(
        self: &Arc<Self>,
        query: &Query,
        (matching, sort): (Match, Sort),
        (after, limit): (Option<Cursor>, usize),
    ) -> Result<Answer> {
        let (this, query, now_ms) = (Arc::clone(self), query.clone(), self.clock.now_ms());
        let searched = tokio::task::spawn_blocking(move || {
            let request = Request { query: &query, matching, sort, limit, after: after.as_ref(), now_ms, statistics: None };
            this.engine()?.index.search(&request).map_err(failed)
        });
        searched.await.map_err(|_| NodeError::Stopping)?
    }

    /// What was found, as far as it is to be shown.
    async fn show(self: &Arc<Self>, query: &Query, found: Vec<(u64, f32, Pass)>) -> Result<Vec<SearchResult>> {
        let (this, numbers) = (Arc::clone(self), found.iter().map(|(no, ..)| *no).collect::<Vec<_>>());
        let places = tokio::task::spawn_blocking(move || numbers.into_iter().map(|no| this.standing(no)).collect::<Result<Vec<_>>>());
        let places = places.await.map_err(|_| NodeError::Stopping)??;
        let lids = places.iter().flatten().map(|(lid, _)| *lid).collect();
        let mut views: BTreeMap<RecordId, RecordView> =
            self.views.records(lids).await?.into_iter().map(|view| (view.card.id, view)).collect();
        let mut results = Vec::with_capacity(found.len());
        for ((_, score, pass), place) in found.into_iter().zip(places) {
            // Operators may hide what stands.
            let view = place.and_then(|(_, id)| views.remove(&id)).filter(|view| view.record.is_some());
            let Some(view) = view else { continue };
            let pieces = snippet(&said(&view), query, SNIPPET_CHARS);
            let snippet = pieces.into_iter().map(|piece| SnippetPiece { text: piece.text, hit: piece.is_hit }).collect();
            results.push(SearchResult { record: view, snippet, score, tolerant: pass == Pass::Tolerant });
        }
        Ok(results)
    }

    /// The record behind a document, if it is still to be found. What is gone leaves the index. Blocks.
    fn standing(&self, no: u64) -> Result<Option<(Lid, RecordId)>> {
        let lid = match subject(no) {
            Subject::Record(lid) => Some(lid),
            Subject::Person(account) => self.profile_of(account)?,
        };
        match lid.map(|lid| self.document(lid).map(|indexed| (lid, indexed))).transpose()? {
            Some((lid, Indexed::Found(_))) => Ok(Reference::get(&*self.kv, lid)?.map(|reference| (lid, reference.id))),
            Some((_, Indexed::Withheld(_))) => Ok(None),
            Some((_, Indexed::Gone)) | None => {
                self.engine()?.write(|writer| writer.remove(no))?;
                Ok(None)
            }
        }
    }

    /// Words that may go on from what was typed.
    pub async fn suggest(self: &Arc<Self>, typed: String, limit: usize) -> Result<Vec<String>> {
        let this = Arc::clone(self);
        let suggested = tokio::task::spawn_blocking(move || this.engine()?.index.suggest(&typed, limit).map_err(failed));
        suggested.await.map_err(|_| NodeError::Stopping)?
    }
}

impl Engine {
    fn open(folder: &Path) -> Result<Self> {
        let Opened { index, writer, upto, rebuild } = Index::open(folder).map_err(failed)?;
        if let Some(why) = rebuild {
            tracing::warn!(reason = ?why, "search.rebuilding");
        }
        let progress = Progress::new(upto, rebuild.is_some());
        Ok(Self { index, writer: Mutex::new(Some(writer)), progress: Mutex::new(progress) })
    }
}

/// What a record says, for people.
fn said(view: &RecordView) -> String {
    let record = view.record.as_ref().and_then(|logged| Record::open(&logged.envelope).ok());
    match record.map(|record| record.content) {
        Some(Content::Post(post)) => match post.title {
            Some(title) => format!("{title}\n{}", post.text),
            None => post.text,
        },
        Some(Content::Comment(comment)) => comment.text,
        Some(Content::Profile(profile)) => format!("{}\n{}", profile.name, profile.bio),
        _ => String::new(),
    }
}

fn failed(error: SearchError) -> NodeError {
    match error {
        SearchError::Cursor => NodeError::refused(code::MALFORMED, "`after` is not where a page of this server ended: begin anew"),
        error => NodeError::Search(Arc::new(error)),
    }
}
