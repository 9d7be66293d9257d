//! The search page: what people of this domain say, people and tags by name, and what an address leads to. It works without scripts.

use super::answer::{Outcome, Page, answer, redirect, send};
use super::entry::{Entry, Extent};
use super::fault::Fault;
use super::home::Person;
use super::tag::{self, tag_path};
use super::text;
use super::{Head, Site, blocking};
use crate::App;
use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use mesh_node::NodeError;
use mesh_node::accounts::Account;
use mesh_node::searching::{self, Match, Sort};
use mesh_proto::address::Address;
use mesh_proto::api::{SearchResult, SnippetPiece};
use mesh_proto::keylog::Status;
use mesh_proto::uri::Target;
use serde::Deserialize;
use std::sync::Arc;

/// Longest query, bytes.
const QUERY_BYTES_MAX: usize = 256;
/// Results on a page.
const RESULTS: usize = 20;
/// People that are named.
const PEOPLE_MAX: usize = 20;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    q: String,
    /// Where the page before ended.
    after: Option<String>,
}

/// The page.
#[derive(Template)]
#[template(path = "search.html")]
pub(super) struct SearchPage {
    pub(super) site: Site,
    pub(super) head: Head,
    pub(super) query: String,
    pub(super) people: Vec<Person>,
    /// A tag of these words, with its path and whether anything here bears it.
    pub(super) tag: Option<(String, String, bool)>,
    /// What the words name elsewhere: how it is called, and its URL.
    pub(super) elsewhere: Option<(String, String)>,
    pub(super) found: Found,
}

impl SearchPage {
    /// Whether the words are the name of something.
    fn is_named(&self) -> bool {
        !self.people.is_empty() || self.elsewhere.is_some() || self.tag.as_ref().is_some_and(|(_, _, used)| *used)
    }
}

/// What is said about the words.
#[derive(Default)]
pub(super) struct Found {
    pub(super) results: Vec<Hit>,
    /// What was not searched for as it was asked, in words.
    pub(super) notes: Vec<String>,
    /// Words that may have been meant.
    pub(super) corrections: Vec<String>,
    /// The next page.
    pub(super) next: Option<String>,
}

/// A result.
pub(super) struct Hit {
    pub(super) entry: Entry,
    pub(super) pieces: Vec<SnippetPiece>,
    pub(super) tolerant: bool,
}

/// `GET /search?q=…`.
pub(super) async fn show(State(app): State<App>, asked: Result<Query<Asked>, QueryRejection>, headers: HeaderMap) -> Response {
    let outcome = match asked {
        Ok(Query(asked)) => page(&app, asked, &headers).await,
        Err(_) => Err(Fault::malformed()),
    };
    answer(&app, &headers, outcome)
}

async fn page(app: &App, Asked { q: asked, after }: Asked, headers: &HeaderMap) -> Outcome {
    let end = asked.floor_char_boundary(QUERY_BYTES_MAX);
    let query = text::name(&asked[..end]);
    let found = found(app, &query, after).await?;
    if let Some(tag) = query.strip_prefix('#').and_then(|tag| tag::parse(tag).ok()) {
        return Ok(redirect(&tag_path(&tag)));
    }
    let here = app.node.domain();
    let target = address(&query, app).map(|address| format!("{}/@{}", address.domain().base_url(), address.user()));
    let target = target.or_else(|| query.parse::<Target>().ok().and_then(|target| target.permalink()));
    let mut elsewhere = None;
    match target.as_deref().map(|url| (url, url.strip_prefix(&here.base_url()).filter(|path| path.starts_with('/')))) {
        Some((_, Some(path))) => return Ok(redirect(path)),
        Some((url, None)) => elsewhere = Some((query.clone(), url.to_owned())),
        None => {}
    }
    let people = people(app, &query).await?;
    let tag = match tag::parse(&query) {
        Ok(tag) => {
            let used = !app.node.published.page(Some(&tag), None, 1).await?.items.is_empty();
            Some((tag.clone(), tag_path(&tag), used))
        }
        Err(_) => None,
    };
    let head = Head {
        title: "Search".to_owned(),
        description: format!("Find people, tags and what an address names, on {here}."),
        canonical: Some(format!("{}/search", here.base_url())),
        // What was found is for who asked, not for search engines.
        noindex: !query.is_empty(),
        ..Head::default()
    };
    let page = SearchPage { site: Site::of(app), head, query, people, tag, elsewhere, found };
    Ok(send(headers, &Page::render(StatusCode::OK, &page)))
}

/// What people here say about the words. What cannot be searched for is said in words, above what else the words may mean.
async fn found(app: &App, query: &str, after: Option<String>) -> Result<Found, Fault> {
    if query.is_empty() {
        return Ok(Found::default());
    }
    let asked = searching::Asked { query: query.to_owned(), matching: Match::All, sort: Sort::Best, after, limit: RESULTS };
    let page = match app.node.searching.here(&asked).await {
        Ok(page) => page,
        Err(NodeError::NotFound(_)) => return Ok(Found::default()),
        Err(NodeError::Refused { detail, .. }) => return Ok(Found { notes: vec![detail], ..Found::default() }),
        Err(error) => return Err(error.into()),
    };
    let hit = |result: SearchResult| Hit {
        entry: Entry::new(&result.record, app.node.domain(), Extent::Excerpt),
        pieces: result.snippet,
        tolerant: result.tolerant,
    };
    let next = page.next.map(|next| format!("/search?q={}&after={next}", text::encoded(query)));
    Ok(Found { results: page.results.into_iter().map(hit).collect(), notes: page.notes, corrections: page.corrections, next })
}

/// An address, with or without `@` before it.
fn address(query: &str, app: &App) -> Option<Address> {
    let name = query.strip_prefix('@').unwrap_or(query).to_lowercase();
    match name.contains('@') {
        true => name.parse().ok(),
        false => query.starts_with('@').then(|| Some(Address::new(name.parse().ok()?, app.node.domain().clone()))).flatten(),
    }
}

/// People of this domain whose names in addresses begin with the query.
async fn people(app: &App, query: &str) -> Result<Vec<Person>, Fault> {
    let start = query.to_lowercase();
    if start.is_empty() || !start.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-')) {
        return Ok(Vec::new());
    }
    let node = Arc::clone(&app.node);
    let found = blocking(move || {
        let exact = node.accounts.by_name(&start)?.map(|account| (start.clone(), account));
        let after = node.accounts.names(Some(&start), PEOPLE_MAX)?;
        let named = exact.into_iter().chain(after).take_while(|(name, _)| name.starts_with(&start)).take(PEOPLE_MAX);
        let shown = |account: &Account| account.log.view().status() != Status::Closed && !node.rulings.hides_account(account);
        let here = named.filter(|(_, account)| account.home() == node.domain() && shown(account));
        here.map(|(_, account)| Ok(Person::new(&node.views.account(&account)?))).collect::<Result<Vec<_>, NodeError>>()
    });
    Ok(found.await?)
}
