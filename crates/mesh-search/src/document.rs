//! What is indexed: one public record, as its server knows it.

/// A public record to be found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Document {
    /// The local id: the key by which it is replaced and removed, and the last word between equals.
    pub no: u64,
    /// Its author's address, `neo@mesh.org`.
    pub author: String,
    /// Its author's home domain.
    pub domain: String,
    /// What it is.
    pub kind: DocumentKind,
    /// A post's title, or a profile's name and user name: counts three times.
    pub title: String,
    /// What it says. Not kept: snippets are made of the text that the caller holds.
    pub text: String,
    /// Its tags, without `#`: each counts twice.
    pub tags: Vec<String>,
    /// The language that its author named, ISO 639-1; else it is guessed.
    pub language: Option<String>,
    /// When it was published, milliseconds since the epoch.
    pub published_ms: u64,
    /// Likes, comments and what else speaks for it.
    pub popularity: u32,
    /// What it carries beside text.
    pub has: Has,
}

/// What a document is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum DocumentKind {
    /// A post.
    #[default]
    Post,
    /// A comment.
    Comment,
    /// A person.
    Profile,
}

impl DocumentKind {
    pub(crate) const ALL: [Self; 3] = [Self::Post, Self::Comment, Self::Profile];

    /// Its name in `type:`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Post => "post",
            Self::Comment => "comment",
            Self::Profile => "profile",
        }
    }
}

/// What a document carries beside text: a set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Has(u8);

impl Has {
    /// A link.
    pub const LINK: Self = Self(1);
    /// A picture.
    pub const IMAGE: Self = Self(2);
    /// A poll.
    pub const POLL: Self = Self(4);
    /// A video.
    pub const VIDEO: Self = Self(8);
    /// Sound.
    pub const AUDIO: Self = Self(16);

    pub(crate) const NAMED: [(&'static str, Self); 5] =
        [("link", Self::LINK), ("image", Self::IMAGE), ("poll", Self::POLL), ("video", Self::VIDEO), ("audio", Self::AUDIO)];

    /// This and that.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is here.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}
