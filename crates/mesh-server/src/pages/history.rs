//! What became of a post or comment: all its versions, oldest first.

use super::answer::{Captured, Outcome, Page, answer, redirect, send};
use super::entry::{Body, Entry, Extent};
use super::fault::Fault;
use super::person::{Found, find, page_of};
use super::record::{Seek, current};
use super::text::{self, Span};
use super::time::Moment;
use super::{Head, Site, blocking};
use crate::App;
use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use mesh_proto::api::{RecordView, code};
use mesh_proto::envelope::Kind;
use std::sync::Arc;

/// Versions on one page.
const VERSIONS_MAX: usize = 20;

/// The page.
#[derive(Template)]
#[template(path = "history.html")]
struct HistoryPage {
    site: Site,
    head: Head,
    /// The present version.
    entry: Entry,
    /// The author's name for people.
    name: String,
    versions: Vec<Version>,
    /// Whether this is not the first page.
    later: bool,
    /// The next page.
    next: Option<String>,
}

/// One version on the page.
struct Version {
    at: Moment,
    entry: Entry,
}

/// `GET /@{user}/{id}/history`.
pub(super) async fn show(
    State(app): State<App>,
    Captured((user, id)): Captured<(String, String)>,
    seek: Result<Query<Seek>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let outcome = match seek {
        Ok(Query(seek)) => page(&app, (&user, &id), seek, &headers).await,
        Err(_) => Err(Fault::malformed()),
    };
    answer(&app, &headers, outcome)
}

async fn page(app: &App, (user, id): (&str, &str), seek: Seek, headers: &HeaderMap) -> Outcome {
    let (account, author) = match find(app, user).await? {
        Found::Here(account, view) => (account, view),
        Found::Spelt(user) => return Ok(redirect(&format!("/@{user}/{id}/history"))),
        Found::Moved(account) => return Ok(redirect(&format!("{}/{id}/history", page_of(&account)))),
    };
    let view = current(app, id).await?;
    if view.card.actor != account.id() || !matches!(view.card.kind, Kind::Post | Kind::Comment) {
        return Err(Fault::no_record());
    }
    let here = app.node.domain();
    let entry = Entry::new(&view, here, Extent::Excerpt);
    let (later, record, node) = (seek.after.is_some(), view.card.id, Arc::clone(&app.node));
    let found = blocking(move || node.views.versions(&record, seek.after.as_deref(), VERSIONS_MAX)).await;
    let found = match found {
        // Its own page says that it was withdrawn; and who lives elsewhere has a page there.
        Err(error) if matches!(error.code(), code::GONE | code::NOT_HOME) => return Ok(redirect(&entry.href)),
        found => found?,
    };
    let versions = found.versions.into_iter().map(|logged| {
        let at = Moment::new(logged.opening.received);
        let version = RecordView { record: Some(logged), ..view.clone() };
        Version { at, entry: Entry::new(&version, here, Extent::Whole) }
    });
    let versions = versions.collect();
    let name = text::display_name(&author);
    let head = Head {
        title: format!("All versions of a {} by {name}", entry.kind.name()),
        description: format!("What {} changed in it, and when.", entry.author.address),
        canonical: Some(format!("{}/history", view.url)),
        noindex: true,
        ..Head::default()
    };
    let page = HistoryPage { site: Site::of(app), head, entry, name, versions, later, next: found.next };
    Ok(send(headers, &Page::render(StatusCode::OK, &page)))
}
