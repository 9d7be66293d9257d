//! A poll in a post. `spec/post.md`.

use crate::bytes::Hash;
use crate::limits::{POLL_LIFE_MS_MAX, POLL_LIFE_MS_MIN, POLL_OPTION_BYTES_MAX, POLL_OPTIONS_MAX, POLL_OPTIONS_MIN};
use crate::record::{RecordError, require, require_text};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// What comes before a poll, so that the hash is of nothing else.
const LABEL: &[u8] = b"mesh-poll-v1";

/// Answers among which people choose until it ends. The question is the post's text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Poll {
    /// The options, none twice. Votes name them by their places, from 0.
    pub options: Vec<String>,
    /// How many of them a voter may choose.
    #[serde(default, deserialize_with = "crate::envelope::body::word", skip_serializing_if = "Choose::is_one")]
    pub choose: Choose,
    /// The last moment at which a voter's home may log a vote, milliseconds since the epoch.
    pub ends: u64,
}

/// How many options a voter may choose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choose {
    /// Exactly one.
    #[default]
    One,
    /// One or more.
    Many,
}

impl Choose {
    fn is_one(&self) -> bool {
        *self == Self::One
    }
}

/// What of a poll decides whether a vote fits it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ballot {
    pub(crate) poll: Hash,
    pub(crate) options: usize,
    pub(crate) choose: Choose,
    pub(crate) ends: u64,
}

impl Poll {
    /// SHA-256 of the label, the end (8 bytes, big-endian), 1 or 2 for one or many choices (1), and each option's length (2, big-endian) and bytes.
    /// Votes name it, so that they count for no other poll.
    pub fn hash(&self) -> Hash {
        let mut hasher = Sha256::new();
        hasher.update(LABEL);
        hasher.update(self.ends.to_be_bytes());
        hasher.update([if self.choose.is_one() { 1 } else { 2 }]);
        for option in &self.options {
            hasher.update((option.len() as u16).to_be_bytes());
            hasher.update(option);
        }
        Hash(hasher.finalize().into())
    }

    /// What votes are held against.
    pub fn ballot(&self) -> Ballot {
        Ballot { poll: self.hash(), options: self.options.len(), choose: self.choose, ends: self.ends }
    }

    /// Whether votes that are logged at this time come too late.
    pub fn is_over(&self, now_ms: u64) -> bool {
        now_ms > self.ends
    }

    pub(super) fn check(&self) -> Result<(), RecordError> {
        let count = self.options.len();
        require((POLL_OPTIONS_MIN..=POLL_OPTIONS_MAX).contains(&count), "poll", "must have 2 to 8 options")?;
        for option in &self.options {
            require_text(option, "poll", POLL_OPTION_BYTES_MAX)?;
            require(!option.contains('\n'), "poll", "must have options of one line each")?;
        }
        let different: BTreeSet<&String> = self.options.iter().collect();
        require(different.len() == count, "poll", "must not have the same option twice")
    }

    /// Checks how long the poll of a new post lasts, from its claimed time on.
    pub(in crate::record) fn check_life(&self, at: u64) -> Result<(), RecordError> {
        let lasts = self.ends.saturating_sub(at);
        require((POLL_LIFE_MS_MIN..=POLL_LIFE_MS_MAX).contains(&lasts), "poll", "must last from a minute to 366 days")
    }
}
