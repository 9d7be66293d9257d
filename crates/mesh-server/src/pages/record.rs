//! A record's page: a post, a comment or a repost, with the comments below it; a tombstone for what was withdrawn.

use super::answer::{Captured, Outcome, Page, answer, moved, redirect, send};
use super::entry::{Body, Entry, Extent, Proof, comments_word, json_path, local, uri_of, withdrawn_by};
use super::fault::Fault;
use super::machine::structured::Graph;
use super::person::{Found, find, page_of, shown};
use super::text::{self, Span};
use super::thread::{Answers, arrange};
use super::time::Moment;
use super::{Head, Site, Sort, blocking, plural};
use crate::App;
use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use mesh_node::NodeError;
use mesh_node::fresh::Seen;
use mesh_proto::address::Domain;
use mesh_proto::api::{AccountView, Comments, RecordView, Tombstone};
use mesh_proto::envelope::{Kind, RecordId};
use mesh_proto::record::{Comment, Content, ObjectRef, Record};
use serde::Deserialize;
use std::sync::Arc;

/// Comments on one page.
const COMMENTS_MAX: usize = 50;

/// Which page of the thread.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Seek {
    pub(super) after: Option<String>,
}

/// The page.
#[derive(Template)]
#[template(path = "record.html")]
pub(super) struct RecordPage {
    pub(super) site: Site,
    pub(super) head: Head,
    pub(super) entry: Entry,
    /// The author's name for people.
    pub(super) name: String,
    /// What a comment stands under.
    pub(super) context: Option<Context>,
    pub(super) proof: Option<Proof>,
    pub(super) thread: Thread,
}

/// The post that a comment belongs to, and the comment that it answers.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) root: Link,
    pub(super) parent: Option<Link>,
}

/// A record elsewhere: by its page, or, if that is not known here, by its name in the network.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) href: Option<String>,
    pub(super) words: String,
}

/// The comments below a record.
#[derive(Debug, Clone)]
pub(super) struct Thread {
    /// `3 comments`.
    pub(super) heading: String,
    /// How many there are.
    pub(super) count: u64,
    pub(super) answers: Vec<Answer>,
    /// Whether this is not the first page.
    pub(super) later: bool,
    /// The next page.
    pub(super) next: Option<String>,
}

/// A comment in a thread, with the markup of its nesting.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) entry: Entry,
    /// What it answers, where nesting does not say it.
    pub(super) answers: Option<Link>,
    /// Whether it opens a list inside the comment before it.
    pub(super) opens: bool,
    /// Whether comments are nested in it.
    pub(super) nests: bool,
    /// How many lists end after it.
    pub(super) closes: usize,
}

impl Thread {
    /// Nests a page of comments under the record `root`.
    pub(super) fn new(root: &RecordView, comments: &Comments, later: bool, here: &Domain) -> Self {
        let entries: Vec<Entry> = comments.comments.iter().map(|view| Entry::new(view, here, Extent::Excerpt)).collect();
        let parents: Vec<_> = comments.comments.iter().map(|view| (view.card.id, view.card.parent)).collect();
        let places = arrange(&root.card.id, &parents);
        let mut answers = Vec::with_capacity(places.len());
        for (at, place) in places.iter().enumerate() {
            let depth_before = at.checked_sub(1).and_then(|before| places.get(before)).map_or(0, |before| before.depth);
            let depth_after = places.get(at + 1).map_or(0, |after| after.depth);
            answers.push(Answer {
                entry: entries[place.position].clone(),
                answers: match place.answers {
                    Answers::Outer => None,
                    Answers::Comment(position) => {
                        let outer = &entries[position];
                        Some(Link { href: Some(format!("#c-{}", outer.id)), words: outer.author.address.to_string() })
                    }
                    Answers::Elsewhere => Some(Link { href: None, words: "a comment on another page".to_owned() }),
                },
                opens: place.depth > depth_before,
                nests: depth_after > place.depth,
                closes: place.depth.saturating_sub(depth_after),
            });
        }
        let count = root.counts.get(&Kind::Comment).copied().unwrap_or_default();
        let word = comments_word(root.card.kind);
        let heading = if count == 0 { format!("No {word}s yet") } else { plural(count, word) };
        Self { heading, count, answers, later, next: comments.next.clone() }
    }
}

impl RecordPage {
    pub(super) fn new(site: Site, author: &AccountView, view: &RecordView, entry: Entry, thread: Thread) -> Self {
        let name = text::display_name(author);
        let by = format!("{} by {}", capital(entry.kind.name()), entry.author.address);
        let words = entry.words();
        let summary = words.map(|words| words.summary.clone());
        let title = match (entry.title(), &summary) {
            (Some(title), _) => format!("{} – {name}", shortened(title)),
            (None, Some(summary)) => format!("{name}: “{}”", shortened(summary)),
            (None, None) => by.clone(),
        };
        let head = Head {
            title,
            description: summary.unwrap_or(by),
            canonical: Some(view.url.clone()),
            alternate: Some(json_path(&entry.id)),
            noindex: entry.author.address.domain() != &site.domain || words.is_none() || thread.later || author.profile.noindex,
            sort: Sort::Article {
                author: entry.author.url(),
                published: entry.published.machine.clone(),
                modified: entry.edited.as_ref().map(|edited| edited.machine.clone()),
                tags: words.map(|words| words.tags.iter().map(|tag| tag.name.clone()).collect()).unwrap_or_default(),
            },
            feeds: Some((format!("/@{}", author.address.user()), format!("Posts by {name}"))),
            graph: Graph::posting(&entry, (&name, &entry.author.url()), &view.url, &thread, &view.counts),
        };
        let proof = view.record.as_ref().and_then(|logged| Proof::new(&entry, logged, &site.domain));
        Self { site, head, entry, name, context: None, proof, thread }
    }
}

/// The part of a summary that fits a title.
fn shortened(summary: &str) -> String {
    match summary.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", summary[..end].trim_end()),
        None => summary.to_owned(),
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

/// The page of what was withdrawn.
#[derive(Template)]
#[template(path = "withdrawn.html")]
pub(super) struct WithdrawnPage {
    pub(super) site: Site,
    pub(super) head: Head,
    pub(super) entry: Entry,
    /// `by its author`.
    pub(super) by: &'static str,
    /// When its author says to have withdrawn it.
    pub(super) at: Option<Moment>,
    pub(super) json: String,
}

impl WithdrawnPage {
    pub(super) fn new(site: Site, entry: Entry, url: &str, tombstone: &Tombstone) -> Self {
        let retract = tombstone.retract.as_ref().and_then(|envelope| Record::open(envelope).ok());
        let json = json_path(&entry.id);
        let head = Head {
            title: format!("Withdrawn {}", entry.kind),
            description: format!("This {} was withdrawn {}.", entry.kind, withdrawn_by(tombstone)),
            canonical: Some(url.to_owned()),
            alternate: Some(json.clone()),
            noindex: true,
            ..Head::default()
        };
        Self { site, head, by: withdrawn_by(tombstone), at: retract.map(|record| Moment::new(record.head.at)), json, entry }
    }
}

/// `GET /@{user}/{id}`.
pub(super) async fn show(
    State(app): State<App>,
    Captured((user, id)): Captured<(String, String)>,
    seek: Result<Query<Seek>, QueryRejection>,
    (uri, headers): (Uri, HeaderMap),
) -> Response {
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    if let Some(kept) = app.pages.get(&app, path, &headers) {
        return kept;
    }
    let outcome = match seek {
        Ok(Query(seek)) => page(&app, (&user, &id), seek, (path, &headers)).await,
        Err(_) => Err(Fault::malformed()),
    };
    answer(&app, &headers, outcome)
}

async fn page(app: &App, (user, id): (&str, &str), seek: Seek, (path, headers): (&str, &HeaderMap)) -> Outcome {
    let moment = app.node.views.moment();
    let (account, author) = match find(app, user).await? {
        Found::Here(account, view) => (account, view),
        Found::Spelt(user) => return Ok(redirect(&format!("/@{user}/{}", current(app, id).await?.card.id))),
        Found::Moved(account) => {
            // What is not known here any more may be known there.
            let id: RecordId = id.split('@').next().unwrap_or(id).parse().map_err(|_| Fault::no_record())?;
            return Ok(moved(&format!("{}/{id}", page_of(&account))));
        }
    };
    let view = current(app, id).await?;
    if view.card.actor != account.id() || !matches!(view.card.kind, Kind::Post | Kind::Comment | Kind::Repost) {
        return Err(Fault::no_record());
    }
    if view.card.id.to_string() != id {
        return Ok(redirect(&format!("/@{user}/{}", view.card.id)));
    }
    let site = Site::of(app);
    if let Some(tombstone) = &view.tombstone {
        let page = WithdrawnPage::new(site, Entry::new(&view, app.node.domain(), Extent::Excerpt), &view.url, tombstone);
        return Ok(send(headers, &Page::render(StatusCode::GONE, &page)));
    }
    let later = seek.after.is_some();
    let comments = match view.card.kind {
        Kind::Post | Kind::Comment => app.node.views.comments(view.card.id, seek.after, COMMENTS_MAX).await?,
        _ => Comments { comments: Vec::new(), next: None },
    };
    let thread = Thread::new(&view, &comments, later, app.node.domain());
    // Who reads on in the thread has read the post.
    let extent = if later { Extent::Excerpt } else { Extent::Whole };
    let mut page = RecordPage::new(site, &author, &view, shown(app, &view, extent).await, thread);
    let above = above(&view);
    page.context = context(app, above.as_ref()).await;
    let rendered = Page::render(StatusCode::OK, &page);
    let shown = comments.comments.iter().map(|comment| comment.card.id).chain([view.card.id]);
    let shown = shown.chain(above.iter().flat_map(|comment| [comment.root.id, comment.parent.id])).collect();
    match seen(app, (&page, moment), shown).await {
        Some(seen) => Ok(app.pages.keep(path, headers, (rendered, seen))),
        None => Ok(send(headers, &rendered)),
    }
}

/// What the page hangs on, if that is all known here: what is missing may come at any time.
async fn seen(app: &App, (page, moment): (&RecordPage, u64), shown: Vec<RecordId>) -> Option<Seen> {
    let missing = |entry: &Entry| matches!(entry.body, Body::Away | Body::Repost(_));
    if missing(&page.entry) || page.thread.answers.iter().any(|answer| missing(&answer.entry)) {
        return None;
    }
    let node = Arc::clone(&app.node);
    let open = page.entry.words().and_then(|words| words.poll.as_ref()).filter(|poll| !poll.over);
    let until_ms = open.map_or(u64::MAX, |poll| poll.ends_ms);
    blocking(move || node.views.seen((moment, until_ms), &shown)).await.ok()
}

/// What a comment says of where it stands.
fn above(view: &RecordView) -> Option<Comment> {
    match Record::open(&view.record.as_ref()?.envelope).ok()?.content {
        Content::Comment(comment) => Some(comment),
        _ => None,
    }
}

/// The record that an id, or `id@version`, of a path means.
pub(super) async fn current(app: &App, path: &str) -> Result<RecordView, Fault> {
    let (id, version) = path.split_once('@').map_or((path, None), |(id, version)| (id, Some(version)));
    let view = known(app, id).await?;
    match version {
        Some(version) if known(app, version).await?.card.id != view.card.id => Err(Fault::no_record()),
        _ => Ok(view),
    }
}

async fn known(app: &App, id: &str) -> Result<RecordView, Fault> {
    let id: RecordId = id.parse().map_err(|_| Fault::no_record())?;
    match app.node.views.record(id).await {
        Err(NodeError::NotFound(_)) => Err(Fault::no_record()),
        answer => Ok(answer?),
    }
}

/// What a comment stands under.
async fn context(app: &App, comment: Option<&Comment>) -> Option<Context> {
    let comment = comment?;
    let root = link(app, &comment.root, "a post").await;
    let parent = if comment.parent.id == comment.root.id { None } else { Some(link(app, &comment.parent, "a comment").await) };
    Some(Context { root, parent })
}

async fn link(app: &App, object: &ObjectRef, what: &str) -> Link {
    match app.node.views.record(object.id).await {
        Ok(view) => {
            let here = app.node.domain();
            let entry = Entry::new(&view, here, Extent::Excerpt);
            let words = match entry.title() {
                Some(title) => format!("“{title}” by {}", entry.author.address),
                None => format!("{what} by {}", entry.author.address),
            };
            Link { href: Some(local(&view.url, here)), words }
        }
        Err(_) => Link { href: None, words: uri_of(object) },
    }
}

impl RecordPage {
    /// Whether the comments that are counted are shown elsewhere: a comment's answers stand in its post's thread.
    fn answers_elsewhere(&self) -> bool {
        self.entry.kind == Kind::Comment && self.thread.answers.is_empty() && !self.thread.later && self.thread.count > 0
    }

    /// Whether anyone can vote on it.
    fn has_open_poll(&self) -> bool {
        self.entry.words().and_then(|words| words.poll.as_ref()).is_some_and(|poll| !poll.over)
    }

    /// Whether anyone can comment on it.
    fn has_thread(&self) -> bool {
        self.entry.kind != Kind::Repost && !matches!(self.entry.body, Body::Unknown)
    }
}
