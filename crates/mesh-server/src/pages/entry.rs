//! Records as people read them: posts, comments and reposts, with what stands in for those that cannot be shown.

mod poll;

use self::poll::Poll;
use super::text::{Text, followable, name, summary};
use super::time::Moment;
use super::{grouped, plural};
use mesh_proto::address::{Address, Domain};
use mesh_proto::api::{Counts, LoggedRecord, RecordView, Tombstone};
use mesh_proto::envelope::{Kind, RecordId};
use mesh_proto::record::{Content, ObjectRef, Record, RetractReason, Terms};
use mesh_proto::uri::{Person, Target};
use std::collections::BTreeSet;

/// How much of a text is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// All of it.
    Whole,
    /// Its beginning.
    Excerpt,
}

/// A record on a page.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) id: RecordId,
    pub(super) kind: Kind,
    /// Its own page: a path here, or its home's URL.
    pub(super) href: String,
    pub(super) author: Author,
    pub(super) published: Moment,
    /// When the present version was published, if it is not the first.
    pub(super) edited: Option<Moment>,
    pub(super) body: Body,
    /// `2 comments`, `1 like`: those that are not zero.
    pub(super) counts: Vec<String>,
    /// Whether its device was later revoked and the owner does not stand by it.
    pub(super) disowned: bool,
}

/// Who wrote it.
#[derive(Debug, Clone)]
pub(super) struct Author {
    pub(super) address: Address,
    /// The person's page: a path here, or a URL of their home.
    pub(super) href: String,
}

/// What is shown of it.
#[derive(Debug, Clone)]
pub(super) enum Body {
    /// The words.
    Words(Box<Words>),
    /// Something else that is passed on.
    Repost(Box<Passed>),
    /// It is read under terms that this page cannot meet.
    Terms(String),
    /// Its home does not answer right now.
    Away,
    /// It was withdrawn.
    Withdrawn(&'static str),
    /// This version of the software does not understand it.
    Unknown,
}

/// A post's or a comment's words.
#[derive(Debug, Clone)]
pub(super) struct Words {
    pub(super) title: Option<String>,
    pub(super) text: Text,
    pub(super) lang: Option<String>,
    pub(super) tags: Vec<Tag>,
    pub(super) preview: Option<Preview>,
    pub(super) poll: Option<Poll>,
    pub(super) imported: Option<Imported>,
    pub(super) summary: String,
}

/// A tag that a post lists.
#[derive(Debug, Clone)]
pub(super) struct Tag {
    pub(super) name: String,
    /// The path of its page.
    pub(super) href: String,
}

/// What a link leads to, as its author's client found it.
#[derive(Debug, Clone)]
pub(super) struct Preview {
    pub(super) url: String,
    pub(super) host: String,
    pub(super) title: String,
    pub(super) description: Option<String>,
}

/// Where a post was said before, as its author claims.
#[derive(Debug, Clone)]
pub(super) struct Imported {
    pub(super) from: String,
    pub(super) at: Moment,
    /// Its address there, if readers can follow it.
    pub(super) url: Option<String>,
}

/// What a repost passes on.
#[derive(Debug, Clone)]
pub(super) struct Passed {
    /// The post, if this server knows it.
    pub(super) post: Option<Entry>,
    /// Its name in the network.
    pub(super) uri: String,
}

impl Author {
    pub(super) fn new(address: &Address, here: &Domain) -> Self {
        let path = format!("/@{}", address.user());
        let href = if address.domain() == here { path } else { format!("{}{path}", address.domain().base_url()) };
        Self { address: address.clone(), href }
    }

    /// The URL of the person's page at home.
    pub(super) fn url(&self) -> String {
        format!("{}/@{}", self.address.domain().base_url(), self.address.user())
    }
}

impl Entry {
    /// Reads a record for a page of the domain `here`. What a repost passes on is not looked up.
    pub(super) fn new(view: &RecordView, here: &Domain, extent: Extent) -> Self {
        let (body, edited) = read(view, extent);
        Self {
            id: view.card.id,
            kind: view.card.kind,
            href: local(&view.url, here),
            author: Author::new(&view.card.address, here),
            published: Moment::new(view.card.received),
            edited: edited.map(Moment::new),
            body,
            counts: counts(&view.counts, comments_word(view.card.kind)),
            disowned: view.card.disowned,
        }
    }

    /// The record's name in the network.
    pub(super) fn uri(&self) -> String {
        let person = Person::Address(self.author.address.clone());
        Target::Record { person, record: self.id, version: None }.to_string()
    }

    /// Its words, if there are any to show.
    pub(super) fn words(&self) -> Option<&Words> {
        if let Body::Words(words) = &self.body { Some(words) } else { None }
    }

    /// The title, if it has one.
    pub(super) fn title(&self) -> Option<&str> {
        self.words().and_then(|words| words.title.as_deref())
    }

    /// The language of its words, if it is said.
    pub(super) fn lang(&self) -> &str {
        self.words().and_then(|words| words.lang.as_deref()).unwrap_or("")
    }
}

/// A URL of this domain as a path, so that pages work under every name by which the server is reached.
pub(super) fn local(url: &str, here: &Domain) -> String {
    let path = url.strip_prefix(&here.base_url()).filter(|path| path.starts_with('/'));
    path.unwrap_or(url).to_owned()
}

/// The body, and when its version was published if that is not the first.
fn read(view: &RecordView, extent: Extent) -> (Body, Option<u64>) {
    if let Some(tombstone) = &view.tombstone {
        return (Body::Withdrawn(withdrawn_by(tombstone)), None);
    }
    let Some(logged) = &view.record else { return (Body::Away, None) };
    let Ok(record) = Record::open(&logged.envelope) else {
        return (Body::Unknown, None);
    };
    let edited = record.content.revises().map(|_| logged.opening.received);
    let body = match record.content {
        Content::Post(post) => match refused(&post.terms) {
            Some(terms) => Body::Terms(terms),
            None => Body::Words(Box::new(Words {
                title: post.title.map(|title| name(&title)).filter(|title| !title.is_empty()),
                summary: summary(&post.text),
                text: text(&post.text, extent),
                lang: post.lang,
                tags: tags(&post.tags),
                preview: post.preview.and_then(Preview::new),
                poll: post.poll.map(|poll| Poll::new(&poll, view.poll.as_ref())),
                imported: post.imported.map(Imported::new),
            })),
        },
        Content::Comment(comment) => match refused(&comment.terms) {
            Some(terms) => Body::Terms(terms),
            None => Body::Words(Box::new(Words {
                title: None,
                summary: summary(&comment.text),
                text: text(&comment.text, extent),
                lang: comment.lang,
                tags: Vec::new(),
                preview: None,
                poll: None,
                imported: None,
            })),
        },
        Content::Repost(repost) => Body::Repost(Box::new(Passed { post: None, uri: uri_of(&repost.object) })),
        _ => Body::Unknown,
    };
    (body, edited)
}

/// Tags that can be read, none twice.
fn tags(raw: &[String]) -> Vec<Tag> {
    let mut seen = BTreeSet::new();
    let folded = raw.iter().filter_map(|raw| Some((name(raw), super::tag::parse(raw).ok()?)));
    let once = folded.filter(|(_, folded)| seen.insert(folded.clone()));
    once.map(|(name, folded)| Tag { name, href: super::tag::tag_path(&folded) }).collect()
}

impl Preview {
    fn new(preview: mesh_proto::record::Preview) -> Option<Self> {
        let host = preview.url.split("://").nth(1)?.split(['/', '?', '#']).next()?.to_owned();
        let title = Some(name(&preview.title)).filter(|title| !title.is_empty())?;
        Some(Self {
            host,
            title,
            description: preview.description.map(|words| summary(&words)).filter(|words| !words.is_empty()),
            url: preview.url,
        })
    }
}

impl Imported {
    fn new(imported: mesh_proto::record::Imported) -> Self {
        Self { from: imported.from, at: Moment::new(imported.at), url: Some(imported.url).filter(|url| followable(url)) }
    }
}

fn text(text: &str, extent: Extent) -> Text {
    match extent {
        Extent::Whole => Text::whole(text),
        Extent::Excerpt => Text::excerpt(text),
    }
}

/// Terms that an open page cannot meet; content under unknown ones is hidden.
fn refused(terms: &Terms) -> Option<String> {
    match terms {
        Terms::Free => None,
        Terms::Sub => Some("for subscribers".to_owned()),
        Terms::Paid => Some("for sale".to_owned()),
        Terms::Unknown(terms) => Some(format!("“{}”, which this version does not know", summary(terms))),
    }
}

/// On whose wish it was withdrawn.
pub(super) fn withdrawn_by(tombstone: &Tombstone) -> &'static str {
    match tombstone.reason {
        RetractReason::Author => "by its author",
        RetractReason::Home => "by its home server",
        RetractReason::Law => "because the law demanded it",
    }
}

/// The name in the network of a record of which only a reference is known.
pub(super) fn uri_of(object: &ObjectRef) -> String {
    let person = Person::Account { id: object.actor, home: Some(object.home.clone()) };
    Target::Record { person, record: object.id, version: None }.to_string()
}

/// What comments on a record of this kind are called: those on a comment are answers.
pub(super) fn comments_word(kind: Kind) -> &'static str {
    if kind == Kind::Comment { "answer" } else { "comment" }
}

fn counts(counts: &Counts, comments: &str) -> Vec<String> {
    let words = [(Kind::Comment, comments), (Kind::Like, "like"), (Kind::Repost, "repost")];
    let live = words.into_iter().filter_map(|(kind, word)| counts.get(&kind).filter(|count| **count > 0).map(|count| plural(*count, word)));
    live.collect()
}

/// What a reader can check without trusting this server.
#[derive(Debug, Clone)]
pub(super) struct Proof {
    pub(super) device: String,
    pub(super) leaf: String,
    pub(super) origin: String,
    /// Where this server publishes the log, if it is its own.
    pub(super) checkpoint: Option<String>,
    /// The command that checks.
    pub(super) command: String,
    /// The signed record.
    pub(super) json: String,
}

impl Proof {
    /// Of a record that this server has.
    pub(super) fn new(entry: &Entry, logged: &LoggedRecord, here: &Domain) -> Option<Self> {
        let record = Record::open(&logged.envelope).ok()?;
        let origin = &logged.leaf.origin;
        Some(Self {
            device: record.head.device.to_string(),
            leaf: grouped(logged.leaf.index),
            origin: origin.to_string(),
            checkpoint: (origin.domain() == here).then(|| format!("/log/{}/checkpoint", origin.number())),
            command: format!("mesh verify {}", entry.uri()),
            json: json_path(&entry.id),
        })
    }
}

/// Where the signed record is.
pub(super) fn json_path(id: &RecordId) -> String {
    format!("/api/v1/records/{id}")
}
