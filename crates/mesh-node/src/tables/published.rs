//! Posts by people of this domain: all of them, and by tag. A row is a hint; no text is kept here.

use super::codec::{Reader, join, key_u64};
use super::payload::Payload;
use super::{Lid, place_key};
use crate::error::Result;
use mesh_proto::record::{Content, Post, Record, Terms, tag};
use mesh_store::{Batch, Read, Space};
use sha2::{Digest, Sha256};

/// One list of posts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct List([u8; 8]);

impl List {
    /// Of all posts.
    pub(crate) fn all() -> Self {
        Self::tagged("")
    }

    /// Of those with a tag, which is folded.
    pub(crate) fn tagged(tag: &str) -> Self {
        let hash = Sha256::digest(tag);
        let mut first = [0; 8];
        first.copy_from_slice(&hash[..8]);
        Self(first)
    }

    fn of_post(post: &Post) -> Vec<Self> {
        tag::of_post(post).iter().map(|tag| Self::tagged(tag)).chain([Self::all()]).collect()
    }

    /// The prefix of its keys.
    pub(crate) fn prefix(self) -> [u8; 8] {
        self.0
    }

    fn key(self, (received, lid): (u64, Lid)) -> [u8; 24] {
        join(&self.0, &place_key(received, lid))
    }
}

/// A row: the place of the first version, and when the present one was received.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) place: (u64, Lid),
    pub(crate) modified: u64,
}

impl Row {
    pub(crate) fn decode(key: &[u8], value: &[u8]) -> Result<Self> {
        let place = (key_u64(key, 8, "published")?, Lid(key_u64(key, 16, "published")?));
        Ok(Self { place, modified: Reader::new(value, "published").u64()? })
    }
}

/// Lists a version of the post whose first version is at `place`. The lists of earlier versions stay: their readers find that they are out of date.
pub(crate) fn put(batch: &mut Batch, post: &Post, place: (u64, Lid), modified: u64) {
    // What is not free is read under terms; its words are not to be found for nothing.
    let lists = if post.terms == Terms::Free { List::of_post(post) } else { Vec::new() };
    for list in lists {
        batch.put(Space::Published, list.key(place), modified.to_be_bytes());
    }
}

/// Takes a post out of the lists of one of its versions, which is still kept.
pub(crate) fn remove(batch: &mut Batch, read: &dyn Read, place: (u64, Lid), version: Lid) -> Result<()> {
    let envelope = Payload::get(read, version)?.and_then(|payload| payload.envelope);
    let record = envelope.and_then(|envelope| Record::open(&envelope).ok());
    if let Some(Content::Post(post)) = record.map(|record| record.content) {
        for list in List::of_post(&post) {
            batch.delete(Space::Published, list.key(place));
        }
    }
    Ok(())
}
