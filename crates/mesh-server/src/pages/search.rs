//! The search page: finds people and tags by name and what an address leads to, and says that words inside posts cannot be searched for yet.

use super::answer::{Outcome, Page, answer, redirect, send};
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
use mesh_proto::address::Address;
use mesh_proto::keylog::Status;
use mesh_proto::uri::Target;
use serde::Deserialize;
use std::sync::Arc;

/// Longest query, bytes.
const QUERY_BYTES_MAX: usize = 256;
/// People that are named.
const PEOPLE_MAX: usize = 20;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    q: String,
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
}

/// `GET /search?q=…`.
pub(super) async fn show(State(app): State<App>, asked: Result<Query<Asked>, QueryRejection>, headers: HeaderMap) -> Response {
    let outcome = match asked {
        Ok(Query(asked)) => page(&app, &asked.q, &headers).await,
        Err(_) => Err(Fault::malformed()),
    };
    answer(&app, &headers, outcome)
}

async fn page(app: &App, asked: &str, headers: &HeaderMap) -> Outcome {
    let end = asked.floor_char_boundary(QUERY_BYTES_MAX);
    let query = text::name(&asked[..end]);
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
    let page = SearchPage { site: Site::of(app), head, query, people, tag, elsewhere };
    Ok(send(headers, &Page::render(StatusCode::OK, &page)))
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
