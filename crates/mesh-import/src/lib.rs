//! Posts from the exports of other networks, as their authors said them there.
//!
//! Owns: reading an export of Mastodon ([`mastodon`]), Bluesky ([`bluesky`]) or Nostr ([`nostr`]) and finding in it what its owner said in
//! public; plain text out of HTML. Pure: bytes in, posts out. A file that cannot be read is refused as a whole, with the position; single
//! posts that cannot or must not be imported are named with the reason ([`LeftOut`]).
//!
//! Deliberately not here: publishing, and whether the file's author is the one who imports it – nobody can check that, and the signed record
//! says only what its author claims.

mod bluesky;
mod clean;
mod html;
pub mod limits;
mod mastodon;
mod nostr;

use std::fmt;

/// A network whose exports are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// ActivityPub servers that write `outbox.json`.
    Mastodon,
    /// A repository as a CAR file.
    Bluesky,
    /// Events, one JSON object a line.
    Nostr,
}

impl Network {
    /// Its name in a signed record.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mastodon => "mastodon",
            Self::Bluesky => "bluesky",
            Self::Nostr => "nostr",
        }
    }

    /// The network by the look of its export.
    ///
    /// # Errors
    /// [`ImportError::Unknown`] with what the file seems to be.
    pub fn of(bytes: &[u8]) -> Result<Self, ImportError> {
        if bytes.starts_with(&[0x1f, 0x8b]) || bytes.starts_with(b"PK\x03\x04") {
            return Err(ImportError::Unknown("it is packed: unpack it, and give outbox.json of a Mastodon archive"));
        }
        if bluesky::is_car(bytes) {
            return Ok(Self::Bluesky);
        }
        let head = String::from_utf8_lossy(bytes.get(..limits::LOOK_BYTES_MAX.min(bytes.len())).unwrap_or_default()).into_owned();
        let first_line = head.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        if first_line.contains("\"pubkey\"") && first_line.contains("\"sig\"") {
            return Ok(Self::Nostr);
        }
        if head.contains("activitystreams") || head.contains("\"OrderedCollection\"") || head.contains("\"orderedItems\"") {
            return Ok(Self::Mastodon);
        }
        Err(ImportError::Unknown(
            "give outbox.json of a Mastodon archive, a Bluesky CAR file, or Nostr events, one a line; --from says which",
        ))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A post as it was said elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Plain text, lines ended by U+000A, within the limits of a post.
    pub text: String,
    /// A title, one line: a content warning.
    pub title: Option<String>,
    /// Tags, without `#`.
    pub tags: Vec<String>,
    /// A language tag.
    pub lang: Option<String>,
    /// Its address there; the same for the same post in every export.
    pub url: String,
    /// When it was said, as the file says, milliseconds since the epoch.
    pub at_ms: u64,
    /// Pictures and the like that cannot come along.
    pub attachments: usize,
}

/// Something that stays behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Where it stands in the file, such as `line 3` or `item 7`.
    pub place: String,
    /// Why.
    pub why: Why,
}

/// Why something stays behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Why {
    /// It was for some only.
    #[error("it was not public")]
    NotPublic,
    /// It answers somebody who is not here.
    #[error("it answers somebody else's post")]
    Answer,
    /// It passes on what somebody else said.
    #[error("it passes on somebody else's post")]
    Boost,
    /// It is a poll, a like, a profile or the like.
    #[error("it is not a post")]
    NotAPost,
    /// Nothing is left of it without its pictures.
    #[error("it has no text")]
    NoText,
    /// Longer than a post may be.
    #[error("it is longer than a post may be")]
    TooLong,
    /// Its time is missing, before 1970 or cannot be read.
    #[error("its time cannot be read")]
    Time,
    /// Its address is missing or cannot stand in a record.
    #[error("its address cannot be used")]
    Url,
    /// It is not what its author signed.
    #[error("it is NOT what its author signed")]
    Forged,
}

/// What an export holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Whose it is, as the file says.
    pub author: String,
    /// The posts, oldest first, none twice.
    pub posts: Vec<Found>,
    /// What stays behind, in the file's order.
    pub left_out: Vec<LeftOut>,
}

/// Why a file is refused as a whole.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// No network writes such a file.
    #[error("this is no export that is understood: {0}")]
    Unknown(&'static str),
    /// It breaks off or is damaged.
    #[error("the {network} export is broken at {place}: {what}")]
    Broken {
        /// Whose form it has.
        network: Network,
        /// Where: line and column, item, or byte.
        place: String,
        /// What is wrong there.
        what: String,
    },
    /// It has more of something than any honest export.
    #[error("the {0} export holds more than {max} records", max = limits::RECORDS_MAX)]
    TooMany(Network),
    /// There are several authors in it, and only one can be oneself.
    #[error("the file holds events of {0} people; keep only your own lines")]
    SeveralAuthors(usize),
}

/// Reads an export.
///
/// # Errors
/// [`ImportError`] if the file as a whole cannot be read; nothing of it should be published then.
pub fn read(bytes: &[u8], network: Network) -> Result<Export, ImportError> {
    let mut export = match network {
        Network::Mastodon => mastodon::read(bytes),
        Network::Bluesky => bluesky::read(bytes),
        Network::Nostr => nostr::read(bytes),
    }?;
    export.posts.sort_by(|a, b| (a.at_ms, &a.url).cmp(&(b.at_ms, &b.url)));
    export.posts.dedup_by(|a, b| a.url == b.url);
    Ok(export)
}
