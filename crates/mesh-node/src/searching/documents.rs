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

/// What a document's number stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Record(Lid),
    Person(AccountLid),
}

/// What a document stands for: records and people have their numbers in turn.
pub(super) fn place(no: u64) -> Found {
    if no.is_multiple_of(2) { Found::Record(Lid(no / 2)) } else { Found::Person(AccountLid(no / 2)) }
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

    /// The document of the record whose first version is at a place, if it is to be found: it stands, is free to read, and its author lives here and wants
    /// to be found.
    pub(super) fn document(&self, lid: Lid) -> Result<Option<Document>> {
        let read = &*self.kv;
        let Some(reference) = Reference::get(read, lid)?.filter(|reference| reference.standing == Standing::Live) else { return Ok(None) };
        if !matches!(reference.kind, Kind::Post | Kind::Comment | Kind::Profile) {
            return Ok(None);
        }
        let author = self.accounts.by_lid(reference.actor)?;
        let stands = matches!(author.log.view().status(), Status::Active | Status::Frozen);
        if !stands || !self.accounts.lives_here(&author) || self.rulings.hides(&reference, &author) {
            return Ok(None);
        }
        let profile = self.profile_of(author.lid)?;
        if profile
            .map(|profile| self.content(profile))
            .transpose()?
            .flatten()
            .is_some_and(|content| matches!(content, Content::Profile(Profile { noindex: true, .. })))
        {
            return Ok(None);
        }
        let number = match reference.kind {
            Kind::Profile if profile == Some(lid) => person(author.lid),
            Kind::Profile => return Ok(None),
            _ => number(lid),
        };
        let Some(content) = self.content(current_version(read, lid)?)? else { return Ok(None) };
        let document = Document {
            no: number,
            author: author.address().to_string(),
            domain: author.home().to_string(),
            published_ms: reference.received,
            popularity: self.popularity(lid)?,
            ..Document::default()
        };
        Ok(match content {
            Content::Post(post) if post.terms == Terms::Free => Some(of_post(document, post)),
            Content::Comment(Comment { terms: Terms::Free, text, lang, .. }) => {
                Some(Document { kind: DocumentKind::Comment, has: links(&text), text, language: lang.as_deref().map(language), ..document })
            }
            Content::Profile(profile) => {
                let title = format!("{} {}", profile.name, author.address().user());
                Some(Document { kind: DocumentKind::Profile, title, text: profile.bio, ..document })
            }
            _ => None,
        })
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
