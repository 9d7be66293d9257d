//! What a person keeps to themself: whom and what they do not want to see, lists of people, bookmarks.
//!
//! Lies in one file beside the identity, readable by its owner only. None of it is signed, sent or told to any server, and none of it changes
//! what others see.

use crate::error::Result;
use crate::keystore::{KeystoreError, read_capped, write_atomically};
use crate::limits::{PRIVATE_BYTES_MAX, PRIVATE_NAMES_MAX};
use crate::reader::Shown;
use mesh_proto::address::{Address, Domain};
use mesh_proto::api::Card;
use mesh_proto::key::AccountId;
use mesh_proto::record::Content;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The file's name in the folder of the identity.
const FILE: &str = "private.json";

/// People by their account, which outlives every address; the address is the one they had when they were named.
pub type People = BTreeMap<AccountId, Address>;

/// Whom and what one does not want to see.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mutes {
    /// All of these people.
    pub people: People,
    /// Everybody who lives there.
    pub domains: BTreeSet<Domain>,
    /// Posts and comments with these words, in lower case.
    pub words: BTreeSet<String>,
}

/// A record to come back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bookmark {
    /// The link.
    pub uri: String,
    /// When it was kept, milliseconds since the epoch.
    pub at: u64,
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Private {
    /// What is hidden.
    pub mutes: Mutes,
    /// Groups of people by name.
    pub lists: BTreeMap<String, People>,
    /// Links, oldest first.
    pub bookmarks: Vec<Bookmark>,
}

/// The file that it lies in.
#[derive(Debug, Clone)]
pub struct PrivateFile {
    path: PathBuf,
}

impl PrivateFile {
    /// The file in this folder.
    pub fn new(folder: &Path) -> Self {
        Self { path: folder.join(FILE) }
    }

    /// What it holds; nothing, if it is not there.
    ///
    /// # Errors
    /// A file that cannot be read or is damaged: what should be hidden must not be shown by mistake.
    pub fn load(&self) -> Result<Private> {
        let Some(bytes) = read_capped(&self.path, PRIVATE_BYTES_MAX)? else { return Ok(Private::default()) };
        let damaged = |error: serde_json::Error| KeystoreError::Damaged { path: self.path.clone(), what: error.to_string() };
        Ok(serde_json::from_slice(&bytes).map_err(damaged)?)
    }

    /// Replaces it in one step.
    ///
    /// # Errors
    /// Too much of something, or a disk that does not take it.
    pub fn save(&self, private: &Private) -> Result<()> {
        private.check()?;
        let damaged = |error: serde_json::Error| KeystoreError::Damaged { path: self.path.clone(), what: error.to_string() };
        let bytes = serde_json::to_vec_pretty(private).map_err(damaged)?;
        Ok(write_atomically(&self.path, &bytes)?)
    }
}

impl Private {
    fn check(&self) -> Result<()> {
        let Mutes { people, domains, words } = &self.mutes;
        let members = self.lists.values().map(BTreeMap::len).max().unwrap_or_default();
        let most = [people.len(), domains.len(), words.len(), self.lists.len(), self.bookmarks.len(), members].into_iter().max();
        if most.is_some_and(|most| most > PRIVATE_NAMES_MAX) {
            return Err(crate::ClientError::Input(format!("at most {PRIVATE_NAMES_MAX} of each kind are kept: remove some first")));
        }
        Ok(())
    }
}

impl Mutes {
    /// Whether nothing is muted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a record is by somebody who is muted.
    pub fn hides_card(&self, card: &Card) -> bool {
        self.people.contains_key(&card.actor) || self.domains.contains(card.address.domain())
    }

    /// Whether a record is not to be seen: for its author, their domain, or its words.
    pub fn hides(&self, shown: &Shown) -> bool {
        self.hides_card(&shown.view.card) || self.domains.contains(shown.author.domain()) || self.has_words(shown)
    }

    fn has_words(&self, shown: &Shown) -> bool {
        if self.words.is_empty() {
            return false;
        }
        let text = match shown.record().map(|record| &record.content) {
            Some(Content::Post(post)) => format!("{} {} {}", post.title.as_deref().unwrap_or_default(), post.text, post.tags.join(" ")),
            Some(Content::Comment(comment)) => comment.text.clone(),
            _ => return false,
        };
        let text = text.to_lowercase();
        self.words.iter().any(|words| has_whole(&text, words))
    }
}

/// Whether `words` stand in `text` as whole words: "art" is not in "start".
fn has_whole(text: &str, words: &str) -> bool {
    // Scripts from U+2E80 on write no spaces between words.
    let is_edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() || c >= '\u{2e80}');
    text.match_indices(words).any(|(at, found)| {
        let (before, after) = (text.get(..at), text.get(at + found.len()..));
        is_edge(before.and_then(|before| before.chars().next_back())) && is_edge(after.and_then(|after| after.chars().next()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_muted_as_whole_words() {
        for (text, words, expected) in [
            ("the start of it", "art", false),
            ("fine art.", "art", true),
            ("#art", "art", true),
            ("the big game tonight", "big game", true),
            ("über", "ber", false),
            ("日本語", "本", true),
            ("", "x", false),
        ] {
            assert_eq!(has_whole(text, words), expected, "{words} in {text}");
        }
    }

    #[test]
    fn what_is_kept_is_there_again_and_a_damaged_file_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = PrivateFile::new(folder.path());
        assert_eq!(file.load().expect("nothing"), Private::default());
        let mut private = Private::default();
        private.mutes.words.insert("spoiler".to_owned());
        private.lists.entry("garden".to_owned()).or_default();
        private.bookmarks.push(Bookmark { uri: "mesh://neo@one.localhost:8001/a".to_owned(), at: 1 });
        file.save(&private).expect("kept");
        assert_eq!(file.load().expect("there"), private);
        std::fs::write(folder.path().join(FILE), "{\"mutes\":").expect("written");
        assert!(file.load().is_err());
        private.mutes.words = (0..=PRIVATE_NAMES_MAX).map(|n| n.to_string()).collect();
        assert!(file.save(&private).is_err());
    }
}
