//! A tag's page: what people of this domain published under it, newest first.

use super::answer::{Captured, Outcome, Page, answer, redirect, send};
use super::entry::{Body, Entry};
use super::fault::Fault;
use super::machine::structured::Graph;
use super::person::entries;
use super::text::{self, Span};
use super::{Head, Site};
use crate::App;
use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use mesh_proto::limits::TAG_BYTES_MAX;
use mesh_proto::record::tag;
use serde::Deserialize;

/// Posts on one page.
const POSTS_MAX: usize = 20;

/// Which page of the list.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Seek {
    before: Option<String>,
}

/// The page.
#[derive(Template)]
#[template(path = "tag.html")]
pub(super) struct TagPage {
    pub(super) site: Site,
    pub(super) head: Head,
    pub(super) tag: String,
    pub(super) path: String,
    pub(super) posts: Vec<Entry>,
    /// Whether this is not the first page of the list.
    pub(super) later: bool,
    /// The next page of the list.
    pub(super) next: Option<String>,
}

impl TagPage {
    pub(super) fn new(site: Site, tag: String, posts: Vec<Entry>, (later, next): (bool, Option<String>)) -> Self {
        let path = tag_path(&tag);
        let mut head = Head {
            title: format!("#{tag}"),
            description: format!("What people of {} published under #{tag}.", site.domain),
            canonical: Some(format!("{}{path}", site.domain.base_url())),
            noindex: posts.is_empty() || later,
            feeds: Some((path.clone(), format!("#{tag}"))),
            ..Head::default()
        };
        head.graph = Some(Graph::page("CollectionPage", &head, &site));
        Self { site, head, tag, path, posts, later, next }
    }
}

/// The path of a folded tag's page.
pub(super) fn tag_path(tag: &str) -> String {
    format!("/tag/{}", text::encoded(tag))
}

/// The folded form of a tag in a path.
pub(super) fn parse(raw: &str) -> Result<String, Fault> {
    let folded = tag::folded(raw);
    let plain = folded
        .chars()
        .all(|c| if c.is_ascii() { c.is_ascii_alphanumeric() || matches!(c, '_' | '-') } else { !c.is_whitespace() && !c.is_control() });
    let shown = text::name(&folded);
    if folded.is_empty() || !plain || folded.len() > TAG_BYTES_MAX || shown != folded {
        return Err(Fault::no_tag());
    }
    Ok(folded)
}

/// `GET /tag/{tag}`.
pub(super) async fn show(
    State(app): State<App>,
    Captured(tag): Captured<String>,
    seek: Result<Query<Seek>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let outcome = match seek {
        Ok(Query(seek)) => page(&app, &tag, seek, &headers).await,
        Err(_) => Err(Fault::malformed()),
    };
    answer(&app, &headers, outcome)
}

async fn page(app: &App, raw: &str, seek: Seek, headers: &HeaderMap) -> Outcome {
    let tag = parse(raw)?;
    if tag != raw {
        return Ok(redirect(&tag_path(&tag)));
    }
    let later = seek.before.is_some();
    let list = app.node.published.page(Some(&tag), seek.before, POSTS_MAX).await?;
    let posts = entries(app, &list.items).await;
    Ok(send(headers, &Page::render(StatusCode::OK, &TagPage::new(Site::of(app), tag, posts, (later, list.next)))))
}
