//! A post. `spec/post.md`.

pub(super) mod poll;
pub(super) mod preview;
pub mod tag;

use super::{RecordError, require, require_text};
use crate::envelope::RecordId;
use crate::limits::{IMPORT_URL_BYTES_MAX, NETWORK_BYTES_MAX, TAG_BYTES_MAX, TAGS_MAX, TEXT_BYTES_MAX, TITLE_BYTES_MAX};
use poll::Poll;
use preview::Preview;
use serde::{Deserialize, Serialize};

/// A post, or an edit of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    /// What it says: plain text, lines ended by U+000A.
    pub text: String,
    /// A title.
    #[serde(default, deserialize_with = "crate::envelope::body::present", skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Tags, without `#`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The language, a BCP 47 tag.
    #[serde(default, deserialize_with = "crate::envelope::body::present", skip_serializing_if = "Option::is_none")]
    pub lang: Option<String>,
    /// Under what terms people read it.
    pub terms: Terms,
    /// Who may act on it.
    #[serde(default, deserialize_with = "crate::envelope::body::object", skip_serializing_if = "Interaction::is_default")]
    pub interaction: Interaction,
    /// What a link leads to.
    #[serde(default, deserialize_with = "crate::envelope::body::present_object", skip_serializing_if = "Option::is_none")]
    pub preview: Option<Preview>,
    /// What readers may choose. An edit repeats it unchanged.
    #[serde(default, deserialize_with = "crate::envelope::body::present_object", skip_serializing_if = "Option::is_none")]
    pub poll: Option<Poll>,
    /// For an edit: the id of the post's first version.
    #[serde(default, deserialize_with = "crate::envelope::body::present", skip_serializing_if = "Option::is_none")]
    pub revises: Option<RecordId>,
    /// That it was said before on another network, as its author claims.
    #[serde(default, deserialize_with = "crate::envelope::body::present_object", skip_serializing_if = "Option::is_none")]
    pub imported: Option<Imported>,
}

/// Where a post was said before. A claim of its author: only the record itself is signed and logged, at the time of the import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// The network, such as `mastodon`.
    pub from: String,
    /// The post's address there. It tells imports of the same post apart from others.
    pub url: String,
    /// When it was said there, milliseconds since the epoch.
    pub at: u64,
}

impl Imported {
    fn check(&self) -> Result<(), RecordError> {
        let is_word = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        let network = !self.from.is_empty() && self.from.len() <= NETWORK_BYTES_MAX && self.from.bytes().all(is_word);
        require(network, "imported", "must name its network with 1 to 32 bytes of a-z, 0-9 or -")?;
        let graphic = !self.url.is_empty() && self.url.len() <= IMPORT_URL_BYTES_MAX && self.url.bytes().all(|b| b.is_ascii_graphic());
        require(graphic, "imported", "must have a url of 1 to 1024 visible ASCII characters")
    }
}

impl Post {
    /// Names of the post's own fields.
    pub const FIELDS: &'static [&'static str] =
        &["text", "title", "tags", "lang", "terms", "interaction", "preview", "poll", "revises", "imported"];

    /// A free post that says `text` and lets everyone act on it.
    pub fn free(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            title: None,
            tags: Vec::new(),
            lang: None,
            terms: Terms::Free,
            interaction: Interaction::default(),
            preview: None,
            poll: None,
            revises: None,
            imported: None,
        }
    }

    pub(super) fn check(&self) -> Result<(), RecordError> {
        require_text(&self.text, "text", TEXT_BYTES_MAX)?;
        if let Some(title) = &self.title {
            require_text(title, "title", TITLE_BYTES_MAX)?;
            require(!title.contains('\n'), "title", "must be one line")?;
        }
        require(self.tags.len() <= TAGS_MAX, "tags", "are too many")?;
        for tag in &self.tags {
            let plain = !tag.is_empty() && tag.chars().all(is_tag_char);
            require(plain && tag.len() <= TAG_BYTES_MAX, "tags", "must be 1 to 64 bytes of letters, digits, _ or -")?;
        }
        if let Some(preview) = &self.preview {
            preview.check()?;
        }
        if let Some(poll) = &self.poll {
            poll.check()?;
        }
        if let Some(imported) = &self.imported {
            imported.check()?;
        }
        check_lang(self.lang.as_deref())
    }
}

/// Among ASCII a letter, a digit, `_` or `-`; beyond ASCII whatever is neither white space nor control. Not "is a letter": which
/// characters are letters changes with every version of Unicode, and then two readers would disagree about a signed record.
fn is_tag_char(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_alphanumeric() || c == '_' || c == '-' } else { !c.is_whitespace() && !c.is_control() }
}

/// Checks the form of a language tag (BCP 47): subtags of 1 to 8 letters and digits.
pub(super) fn check_lang(lang: Option<&str>) -> Result<(), RecordError> {
    let well_formed = |lang: &str| {
        lang.len() <= 35
            && lang.split('-').all(|subtag| (1..=8).contains(&subtag.len()) && subtag.bytes().all(|b| b.is_ascii_alphanumeric()))
    };
    require(lang.is_none_or(well_formed), "lang", "must be a BCP 47 language tag")
}

/// Under what terms content is read. Content under unknown terms is hidden.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Terms {
    /// Free for everyone.
    Free,
    /// With advertisements, or without for subscribers.
    Sub,
    /// Bought once, for ever.
    Paid,
    /// Terms of a later version: not shown.
    Unknown(String),
}

impl From<String> for Terms {
    fn from(text: String) -> Self {
        match text.as_str() {
            "free" => Terms::Free,
            "sub" => Terms::Sub,
            "paid" => Terms::Paid,
            _ => Terms::Unknown(text),
        }
    }
}

impl From<Terms> for String {
    fn from(terms: Terms) -> Self {
        match terms {
            Terms::Free => "free".into(),
            Terms::Sub => "sub".into(),
            Terms::Paid => "paid".into(),
            Terms::Unknown(text) => text,
        }
    }
}

/// Who may act on a post, at every depth of its thread. Its author always may.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interaction {
    /// Who may comment.
    #[serde(default, deserialize_with = "crate::envelope::body::word")]
    pub comment: Audience,
    /// Who may like.
    #[serde(default, deserialize_with = "crate::envelope::body::word")]
    pub like: Audience,
    /// Who may repost.
    #[serde(default, deserialize_with = "crate::envelope::body::word")]
    pub repost: Audience,
}

impl Interaction {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A circle of people.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Audience {
    /// Everyone.
    #[default]
    Everyone,
    /// Those who subscribe to the author.
    Subscribers,
    /// Only the author.
    Nobody,
}
