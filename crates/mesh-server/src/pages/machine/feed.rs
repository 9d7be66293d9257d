//! Feeds: Atom (RFC 4287) and JSON Feed 1.1 of a person, a tag and the whole domain. Posts with all their words; what is passed on is left out.

use super::super::answer::{Captured, Page, answer, redirect, send};
use super::super::entry::{Entry, Extent, Words};
use super::super::fault::Fault;
use super::super::person::{Found, find};
use super::super::tag::{self, tag_path};
use super::super::text::{self, Span};
use super::super::time::Moment;
use crate::App;
use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use mesh_proto::api::RecordView;
use mesh_proto::envelope::Kind;
use serde_json::{Value, json};

/// Posts in a feed.
const POSTS_MAX: usize = 20;

/// In which form.
#[derive(Debug, Clone, Copy)]
enum Form {
    Atom,
    Json,
}

/// A feed.
#[derive(Template)]
#[template(path = "machine/feed.xml")]
struct Feed {
    /// The page whose feed it is: its URL, and its path.
    page: (String, String),
    title: String,
    base: String,
    software: &'static str,
    items: Vec<Item>,
    /// When it changed last.
    updated: Moment,
}

/// One post in a feed.
struct Item {
    entry: Entry,
    url: String,
    title: String,
    content: String,
}

#[derive(Template)]
#[template(path = "machine/content.html")]
struct ContentPart<'a> {
    words: &'a Words,
}

impl Feed {
    fn new(app: &App, title: String, path: String, views: &[RecordView]) -> Self {
        let here = app.node.domain();
        let items: Vec<Item> = views.iter().filter_map(|view| Item::new(view, app)).collect();
        let updated =
            items.iter().map(|item| item.entry.edited.as_ref().unwrap_or(&item.entry.published)).max_by_key(|moment| &moment.machine);
        let base = here.base_url();
        Self {
            updated: updated.cloned().unwrap_or_else(|| Moment::new(0)),
            page: (format!("{base}{path}"), path),
            title,
            base,
            software: crate::SOFTWARE,
            items,
        }
    }

    /// The feed's own URL, without what the form adds.
    fn own(&self) -> String {
        format!("{}{}", self.base, self.page.1.trim_end_matches('/'))
    }

    fn written(&self, form: Form) -> Page {
        match form {
            Form::Atom => {
                let xml = self.render().expect("writing to a string does not fail");
                Page::of(StatusCode::OK, "application/atom+xml; charset=utf-8", xml).for_other_sites()
            }
            Form::Json => Page::of(StatusCode::OK, "application/feed+json; charset=utf-8", self.json().to_string()).for_other_sites(),
        }
    }

    fn json(&self) -> Value {
        let items: Vec<Value> = self.items.iter().map(Item::json).collect();
        json!({
            "version": "https://jsonfeed.org/version/1.1",
            "title": self.title,
            "home_page_url": self.page.0,
            "feed_url": format!("{}/feed.json", self.own()),
            "icon": format!("{}/assets/mesh.png", self.base),
            "items": items,
        })
    }
}

impl Item {
    fn new(view: &RecordView, app: &App) -> Option<Self> {
        let entry = Entry::new(view, app.node.domain(), Extent::Whole);
        let words = entry.words().filter(|_| entry.kind == Kind::Post && !entry.disowned)?;
        let title = words.title.clone().unwrap_or_else(|| words.summary.clone());
        let content = ContentPart { words }.render().expect("writing to a string does not fail").trim().to_owned();
        Some(Self { url: view.url.clone(), title, content, entry })
    }

    fn words(&self) -> &Words {
        self.entry.words().expect("an item has words")
    }

    /// All that it says, without markup.
    fn plain(&self) -> String {
        let words = self.words();
        let poll = words.poll.as_ref().map(|poll| format!("\n\n{}", poll.plain())).unwrap_or_default();
        words.text.plain() + &poll
    }

    fn json(&self) -> Value {
        let entry = &self.entry;
        let mut item = json!({
            "id": self.url,
            "url": self.url,
            "content_html": self.content,
            "content_text": self.plain(),
            "summary": self.words().summary,
            "date_published": entry.published.machine,
            "date_modified": entry.edited.as_ref().unwrap_or(&entry.published).machine,
            "authors": [{ "name": entry.author.address.to_string(), "url": entry.author.url() }],
            "tags": self.words().tags.iter().map(|tag| &tag.name).collect::<Vec<_>>(),
        });
        if let Some(title) = entry.title() {
            item["title"] = title.into();
        }
        if let Some(lang) = &self.words().lang {
            item["language"] = lang.as_str().into();
        }
        item
    }
}

/// Text for XML: what XML 1.0 cannot hold is left out, and what is markup is escaped.
pub(super) fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => out.push(c),
            '\u{0}'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}' => {}
            c => out.push(c),
        }
    }
    out
}

/// A feed, or the path where it is.
enum Out {
    Feed(Box<Feed>),
    At(String),
}

fn sent(app: &App, headers: &HeaderMap, made: Result<Out, Fault>, form: Form) -> Response {
    let name = if matches!(form, Form::Atom) { "feed.atom" } else { "feed.json" };
    answer(
        app,
        headers,
        made.map(|out| match out {
            Out::Feed(feed) => send(headers, &feed.written(form)),
            Out::At(path) => redirect(&format!("{path}/{name}")),
        }),
    )
}

async fn of_domain(app: &App) -> Result<Out, Fault> {
    let posts = app.node.published.page(None, None, POSTS_MAX).await?;
    Ok(Out::Feed(Box::new(Feed::new(app, format!("Posts on {}", app.node.domain()), "/".to_owned(), &posts.items))))
}

async fn of_tag(app: &App, tag: &str) -> Result<Out, Fault> {
    let folded = tag::parse(tag)?;
    if folded != tag {
        return Ok(Out::At(tag_path(&folded)));
    }
    let posts = app.node.published.page(Some(&folded), None, POSTS_MAX).await?;
    let title = format!("#{folded} on {}", app.node.domain());
    Ok(Out::Feed(Box::new(Feed::new(app, title, tag_path(&folded), &posts.items))))
}

async fn of_person(app: &App, user: &str) -> Result<Out, Fault> {
    let (account, view) = match find(app, user).await? {
        Found::Here(account, view) => (account, view),
        Found::Spelt(user) => return Ok(Out::At(format!("/@{user}"))),
        Found::Moved(account) => return Ok(Out::At(super::super::person::page_of(&account))),
    };
    let posts = app.node.views.posts(&account, None, POSTS_MAX).await?;
    let title = format!("{} ({})", text::display_name(&view), view.address);
    Ok(Out::Feed(Box::new(Feed::new(app, title, format!("/@{}", view.address.user()), &posts.items))))
}

/// `GET /feed.atom`.
pub(super) async fn domain_atom(State(app): State<App>, headers: HeaderMap) -> Response {
    sent(&app, &headers, of_domain(&app).await, Form::Atom)
}

/// `GET /feed.json`.
pub(super) async fn domain_json(State(app): State<App>, headers: HeaderMap) -> Response {
    sent(&app, &headers, of_domain(&app).await, Form::Json)
}

/// `GET /@{user}/feed.atom`.
pub(super) async fn person_atom(State(app): State<App>, Captured(user): Captured<String>, headers: HeaderMap) -> Response {
    sent(&app, &headers, of_person(&app, &user).await, Form::Atom)
}

/// `GET /@{user}/feed.json`.
pub(super) async fn person_json(State(app): State<App>, Captured(user): Captured<String>, headers: HeaderMap) -> Response {
    sent(&app, &headers, of_person(&app, &user).await, Form::Json)
}

/// `GET /tag/{tag}/feed.atom`.
pub(super) async fn tag_atom(State(app): State<App>, Captured(tag): Captured<String>, headers: HeaderMap) -> Response {
    sent(&app, &headers, of_tag(&app, &tag).await, Form::Atom)
}

/// `GET /tag/{tag}/feed.json`.
pub(super) async fn tag_json(State(app): State<App>, Captured(tag): Captured<String>, headers: HeaderMap) -> Response {
    sent(&app, &headers, of_tag(&app, &tag).await, Form::Json)
}
