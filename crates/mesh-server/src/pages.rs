//! Pages for everyone: plain HTML that works without JavaScript, without images, in print, and on a narrow screen.
//!
//! One file per page; `entry` makes records readable, `text` makes what people wrote safe to stand beside other things, `thread` makes a tree of
//! comments, `answer` turns a rendered page into an HTTP answer and keeps some, `machine` is what programs read about pages. Templates escape
//! everything; the one way around them is structured data, which escapes itself. Reading only: nothing here asks who is reading, so that every answer
//! may be cached by anyone.

mod about;
pub(crate) mod answer;
mod entry;
mod fault;
mod history;
mod home;
mod machine;
mod person;
mod record;
mod search;
mod tag;
mod text;
mod thread;
pub(crate) mod time;

#[cfg(test)]
mod tests;

use crate::App;
use answer::{answer, asset};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use fault::Fault;
use machine::structured::Graph;
use mesh_node::{NodeError, Result};
use mesh_proto::address::Domain;
use mesh_proto::api::code;

/// The routes of pages.
pub(crate) fn router() -> Router<App> {
    Router::new()
        .route("/", get(home::show))
        .route("/about", get(about::show))
        .route("/@{user}", get(person::show))
        .route("/@{user}/{id}", get(record::show))
        .route("/@{user}/{id}/history", get(history::show))
        .route("/tag/{tag}", get(tag::show))
        .route("/search", get(search::show))
        .merge(machine::router())
        .route("/assets/mesh.css", get(asset::style))
        .route("/assets/mesh.svg", get(asset::icon))
        .route("/assets/mesh.png", get(asset::picture))
}

/// What is answered where no route leads: a page for people, a problem document for programs.
pub(crate) async fn not_found(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    if let Some(rest) = path.strip_prefix("/%40") {
        // Some programs write an `@` like this wherever it stands.
        answer::redirect(&format!("/@{rest}"))
    } else if answer::wants_html(&headers) {
        answer(&app, &headers, Err(Fault::not_found()))
    } else {
        crate::problem::ApiError::new(code::NOT_FOUND, "there is nothing under this path: see /api/openapi.json").into_response()
    }
}

/// What every page says about the server.
#[derive(Debug, Clone)]
struct Site {
    domain: Domain,
    software: &'static str,
    style: &'static str,
    icon: &'static str,
    picture: &'static str,
}

impl Site {
    fn of(app: &App) -> Self {
        Self::new(app.node.domain().clone())
    }

    fn new(domain: Domain) -> Self {
        Self { domain, software: crate::SOFTWARE, style: asset::style_url(), icon: asset::icon_url(), picture: asset::picture_url() }
    }

    /// A page's title, with the domain where there is room for it.
    fn title(&self, head: &Head) -> String {
        let with_domain = format!("{} · {}", head.title, self.domain);
        if head.title != self.domain.as_str() && with_domain.chars().count() <= TITLE_CHARS_MAX {
            return with_domain;
        }
        match head.title.char_indices().nth(TITLE_CHARS_MAX) {
            Some(_) => format!("{}…", head.title.chars().take(TITLE_CHARS_MAX - 1).collect::<String>().trim_end()),
            None => head.title.clone(),
        }
    }
}

/// Characters of a title that tabs and search results show.
const TITLE_CHARS_MAX: usize = 70;

/// What a page says about itself to browsers, search engines, other sites and readers of proofs.
#[derive(Debug, Clone, Default)]
struct Head {
    title: String,
    description: String,
    /// The page's one address: at its author's home.
    canonical: Option<String>,
    /// The same as data, signed.
    alternate: Option<String>,
    /// Whether search engines should leave it to another address, or to none.
    noindex: bool,
    /// What it is, in OpenGraph's words.
    sort: Sort,
    /// The path before `feed.atom` and `feed.json`, with what is in the feeds.
    feeds: Option<(String, String)>,
    /// The same in schema.org's words.
    graph: Option<Graph>,
}

/// What a page is about, in OpenGraph's words.
#[derive(Debug, Clone, Default)]
enum Sort {
    #[default]
    Website,
    Profile(String),
    Article {
        author: String,
        published: String,
        modified: Option<String>,
        tags: Vec<String>,
    },
}

impl Head {
    /// The address under which others learn how to show the page.
    fn oembed(&self) -> Option<String> {
        let canonical = self.canonical.as_ref().filter(|_| matches!(self.sort, Sort::Article { .. }) && !self.noindex)?;
        Some(format!("/oembed?url={}", text::encoded(canonical)))
    }
}

/// Runs work that waits for the store.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|_| NodeError::Stopping)?
}

/// `1 comment`, `2 comments`, `12,345 comments`.
fn plural(count: u64, one: &str) -> String {
    format!("{} {one}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
