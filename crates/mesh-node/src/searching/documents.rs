//! From records to documents: what is found by which words.

use super::Searching;
use crate::error::Result;
use crate::index::current_version;
use crate::tables::codec::Reader;
use crate::tables::payload::Payload;
use crate::tables::reference::{Reference, Standing};
use crate::tables::{AccountLid, Lid, ObjectLid, object_key};
use mesh_proto::envelope::Kind;
use mesh_proto::keylog::Status;
use mesh_proto::record::{Comment, Content, Post, Profile, Record, Terms, tag};
use mesh_search::{Document, DocumentKind, Has};
use mesh_store::Space;

/// What becomes of a record in the index.
#[derive(Debug)]
pub(super) enum Indexed {
    /// It is found by its words.
    Found(Document),
    /// Its author does not want to be found: it is known without its words, so that it is there again should the author want to.
    Withheld(Document),
    /// It is not there.
    Gone,
}

/// What a document's number stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    Record(Lid),
    Person(AccountLid),
}

/// What a document stands for: records and people have their numbers in turn.
pub(super) fn subject(no: u64) -> Subject {
    if no.is_multiple_of(2) { Subject::Record(Lid(no / 2)) } else { Subject::Person(AccountLid(no / 2)) }
}

/// The number of a record's document.
pub(super) fn number(lid: Lid) -> u64 {
    lid.0 << 1
}

/// The number of a person's document.
pub(super) fn person(account: AccountLid) -> u64 {
    account.0 << 1 | 1
}

/// What weighs most is to be found worth ranking by: an answer is worth more than a nod.
const WEIGHTS: [(Kind, u64); 4] = [(Kind::Like, 1), (Kind::Vote, 1), (Kind::Comment, 2), (Kind::Repost, 2)];

impl Searching {
    /// Where a person's profile lies.
    pub(super) fn profile_of(&self, account: AccountLid) -> Result<Option<Lid>> {
        let row = self.kv.get(Space::Profile, &account.0.to_be_bytes())?;
        Ok(row.map(|row| Reader::new(&row, "profile").u64()).transpose()?.map(Lid))
    }

    /// The document of the record whose first version is at a place: it stands, is free to read, and its author lives here. What operators hide stays
    /// in the index, and is left out where results are shown: they may change their minds.
    pub(super) fn document(&self, lid: Lid) -> Result<Indexed> {
        let read = &*self.kv;
        let Some(reference) = Reference::get(read, lid)?.filter(|reference| reference.standing == Standing::Live) else {
            return Ok(Indexed::Gone);
        };
        if !matches!(reference.kind, Kind::Post | Kind::Comment | Kind::Profile) {
            return Ok(Indexed::Gone);
        }
        let author = self.accounts.by_lid(reference.actor)?;
        if !self.accounts.lives_here(&author) || !matches!(author.log.view().status(), Status::Active | Status::Frozen) {
            return Ok(Indexed::Gone);
        }
        let no = match reference.kind {
            Kind::Profile if self.profile_of(author.lid)? == Some(lid) => person(author.lid),
            Kind::Profile => return Ok(Indexed::Gone),
            _ => number(lid),
        };
        let Some(content) = self.content(current_version(read, lid)?)? else { return Ok(Indexed::Gone) };
        let document = Document {
            no,
            author: author.address().to_string(),
            domain: author.home().to_string(),
            published_ms: reference.received,
            popularity: self.popularity(lid)?,
            ..Document::default()
        };
        if self.is_withheld(author.lid)? {
            return Ok(Indexed::Withheld(document));
        }
        Ok(match content {
            Content::Post(post) if post.terms == Terms::Free => Indexed::Found(of_post(document, post)),
            Content::Comment(Comment { terms: Terms::Free, text, lang, .. }) => {
                let (has, language) = (links(&text), lang.as_deref().map(language));
                Indexed::Found(Document { kind: DocumentKind::Comment, text, has, language, ..document })
            }
            Content::Profile(profile) => {
                let title = format!("{} {}", profile.name, author.address().user());
                Indexed::Found(Document { kind: DocumentKind::Profile, title, text: profile.bio, ..document })
            }
            _ => Indexed::Gone,
        })
    }

    /// Whether somebody does not want to be found.
    pub(super) fn is_withheld(&self, account: AccountLid) -> Result<bool> {
        let profile = self.profile_of(account)?.map(|lid| self.content(lid)).transpose()?.flatten();
        Ok(matches!(profile, Some(Content::Profile(Profile { noindex: true, .. }))))
    }

    fn content(&self, version: Lid) -> Result<Option<Content>> {
        let envelope = Payload::get(&*self.kv, version)?.and_then(|payload| payload.envelope);
        Ok(envelope.and_then(|envelope| Record::open(&envelope).ok()).map(|record| record.content))
    }

    fn popularity(&self, lid: Lid) -> Result<u32> {
        let mut sum = 0u64;
        for (kind, weight) in WEIGHTS {
            let count = mesh_store::counter(&*self.kv, Space::Count, &object_key(ObjectLid::from(lid), kind))?;
            sum = sum.saturating_add(count.max(0) as u64 * weight);
        }
        Ok(u32::try_from(sum).unwrap_or(u32::MAX))
    }
}

fn of_post(document: Document, post: Post) -> Document {
    let tags = tag::of_post(&post).into_iter().collect();
    let mut has = links(&post.text);
    let mut text = post.text;
    if let Some(preview) = &post.preview {
        has = has.with(Has::LINK);
        text.push('\n');
        text.push_str(&preview.title);
    }
    for option in post.poll.iter().flat_map(|poll| &poll.options) {
        has = has.with(Has::POLL);
        text.push('\n');
        text.push_str(option);
    }
    let language = post.lang.as_deref().map(language);
    Document { kind: DocumentKind::Post, title: post.title.unwrap_or_default(), text, tags, language, has, ..document }
}

fn links(text: &str) -> Has {
    if text.contains("https://") || text.contains("http://") { Has::LINK } else { Has::default() }
}

/// The language of a language tag (BCP 47).
fn language(tag: &str) -> String {
    tag.split('-').next().unwrap_or_default().to_ascii_lowercase()
}
