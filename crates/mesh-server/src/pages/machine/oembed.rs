//! oEmbed (oembed.com): how other sites show a post of this domain, without its server's scripts: there are none.

use super::super::answer::{Page, answer, send};
use super::super::entry::{Entry, Extent};
use super::super::fault::Fault;
use super::super::person::{Found, find};
use super::super::text::{self, Span};
use super::feed::xml;
use crate::App;
use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use mesh_proto::envelope::{Kind, RecordId};
use serde::{Deserialize, Serialize};

/// Pixels that a card takes in width unless less is asked for.
const WIDTH: u32 = 550;
/// The least that may be asked for.
const WIDTH_MIN: u32 = 200;
/// Seconds for which others may keep it.
const CACHE_AGE_S: u32 = 3600;

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    url: String,
    #[serde(default)]
    format: Option<String>,
    #[serde(default)]
    maxwidth: Option<u32>,
}

/// The answer, in the words of the specification.
#[derive(Debug, Serialize)]
struct Embed {
    version: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    title: String,
    author_name: String,
    author_url: String,
    provider_name: String,
    provider_url: String,
    cache_age: u32,
    html: String,
    width: u32,
    height: Option<u32>,
}

/// A post as a quotation: what sites that clean markup leave of it still says who said what.
#[derive(Template)]
#[template(path = "machine/quotation.html")]
struct Quotation<'a> {
    entry: &'a Entry,
    name: &'a str,
    url: &'a str,
    author_url: &'a str,
}

/// `GET /oembed?url=…`.
pub(in crate::pages) async fn show(State(app): State<App>, asked: Result<Query<Asked>, QueryRejection>, headers: HeaderMap) -> Response {
    let outcome = match asked {
        Ok(Query(asked)) => embed(&app, &asked).await.and_then(|embed| written(&embed, asked.format.as_deref())),
        Err(_) => Err(Fault::malformed()),
    };
    answer(&app, &headers, outcome.map(|page| send(&headers, &page)))
}

async fn embed(app: &App, asked: &Asked) -> Result<Embed, Fault> {
    let here = app.node.domain();
    let path = asked.url.strip_prefix(&here.base_url()).and_then(|path| path.strip_prefix("/@"));
    let (user, id) = path.and_then(|path| path.split_once('/')).ok_or_else(Fault::not_found)?;
    let id: RecordId = id.split(['?', '#']).next().unwrap_or_default().parse().map_err(|_| Fault::no_record())?;
    let Found::Here(account, author) = find(app, user).await? else { return Err(Fault::no_record()) };
    let view = app.node.views.record(id).await?;
    let entry = Entry::new(&view, here, Extent::Excerpt);
    if view.card.actor != account.id() || !matches!(view.card.kind, Kind::Post | Kind::Comment) || entry.words().is_none() {
        return Err(Fault::no_record());
    }
    let name = text::display_name(&author);
    let author_url = format!("{}/@{}", here.base_url(), author.address.user());
    let title = entry.title().map_or_else(|| format!("{} by {name}", entry.kind), str::to_owned);
    let html = Quotation { entry: &entry, name: &name, url: &view.url, author_url: &author_url };
    Ok(Embed {
        version: "1.0",
        kind: "rich",
        title,
        html: html.render().expect("writing to a string does not fail"),
        author_name: name,
        author_url,
        provider_name: here.to_string(),
        provider_url: format!("{}/", here.base_url()),
        cache_age: CACHE_AGE_S,
        width: asked.maxwidth.unwrap_or(WIDTH).clamp(WIDTH_MIN, WIDTH),
        height: None,
    })
}

fn written(embed: &Embed, format: Option<&str>) -> Result<Page, Fault> {
    let (media_type, body) = match format {
        None | Some("json") => ("application/json", serde_json::to_string(embed).expect("an embed has only plain fields")),
        Some("xml") => ("text/xml; charset=utf-8", as_xml(embed)),
        Some(_) => return Err(Fault::no_such_format()),
    };
    Ok(Page::of(StatusCode::OK, media_type, body).for_other_sites())
}

fn as_xml(embed: &Embed) -> String {
    let serde_json::Value::Object(fields) = serde_json::json!(embed) else { return String::new() };
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<oembed>\n");
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        out.push_str(&format!("<{name}>{}</{name}>\n", xml(&value)));
    }
    out + "</oembed>\n"
}
