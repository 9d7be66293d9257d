//! Records: signed, immutable statements of an account.
//!
//! A record is parsed in three steps that never mix: the envelope (bytes), [`Record::open`] (strict JSON, the kind's own fields and limits),
//! and the check of its signature against the actor's key log, which is the caller's.

mod comment;
mod like;
mod parse;
mod post;
mod profile;
mod report;
mod repost;
mod retract;
mod subscribe;
mod vote;

pub use comment::Comment;
pub use like::Like;
pub use post::poll::{Ballot, Choose, Poll};
pub use post::preview::Preview;
pub use post::tag;
pub use post::{Audience, Imported, Interaction, Post, Terms};
pub use profile::Profile;
pub use report::{Report, ReportReason};
pub use repost::Repost;
pub use retract::{Retract, RetractReason};
pub use subscribe::Subscribe;
pub use vote::{Choices, Vote, VoteError};

use crate::address::Domain;
use crate::bytes::Salt;
use crate::envelope::body::{CritError, check_crit};
use crate::envelope::{Envelope, Kind, RecordId, pae};
use crate::json;
use crate::key::{AccountId, KeyId, SecretKey};
use crate::limits::{CLOCK_AHEAD_MS_MAX, CRIT_MAX};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The fields that every record has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Head {
    /// Who says it.
    pub actor: AccountId,
    /// The device that signs.
    pub device: KeyId,
    /// The key-log head under which it signs.
    pub keys: RecordId,
    /// Claimed time, milliseconds since the epoch.
    pub at: u64,
    /// Random bytes, so that the id cannot be guessed from the content.
    pub salt: Salt,
    /// Names of fields that a reader must understand, or refuse the record.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub crit: BTreeSet<String>,
}

const HEAD_FIELDS: [&str; 6] = ["actor", "device", "keys", "at", "salt", "crit"];

/// A record that another record acts on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRef {
    /// Its author.
    pub actor: AccountId,
    /// Its author's home when the action was signed: where the action is delivered.
    pub home: Domain,
    /// Its id for ever: the id of its first version.
    pub id: RecordId,
    /// The version that the actor saw.
    pub version: RecordId,
}

/// An account that a record acts on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRef {
    /// The account.
    pub actor: AccountId,
    /// Its home when the action was signed.
    pub home: Domain,
}

/// A kind's own fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Content {
    /// Who the actor is, in their own words.
    Profile(Profile),
    /// A post.
    Post(Post),
    /// A comment.
    Comment(Comment),
    /// A like.
    Like(Like),
    /// A subscription.
    Subscribe(Subscribe),
    /// A repost.
    Repost(Repost),
    /// A withdrawal.
    Retract(Retract),
    /// A report.
    Report(Report),
    /// A vote in a poll.
    Vote(Vote),
}

/// Why a record is refused before any key log is asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The envelope carries something that is not a record.
    #[error("a {0} is not a record")]
    NotARecord(Kind),
    /// The body is not strict I-JSON, or lacks a field.
    #[error("the body is malformed: {0}")]
    Body(#[from] json::JsonError),
    /// `crit` names a field that this version does not know.
    #[error("the record needs its field {0:?} to be understood, which this version does not: a newer version may be needed")]
    UnknownCritical(String),
    /// `crit` lists more than [`CRIT_MAX`] names.
    #[error("crit lists more than {CRIT_MAX} names")]
    CritTooLong,
    /// A field breaks its limit.
    #[error("{field}: {rule}")]
    Field {
        /// The field.
        field: &'static str,
        /// What it must be.
        rule: &'static str,
    },
    /// The claimed time lies too far ahead of the receiver's clock.
    #[error("the claimed time lies more than {} s ahead: check the device's clock", CLOCK_AHEAD_MS_MAX / 1000)]
    Future,
}

/// Shorthand for a broken field rule.
pub(crate) fn require(holds: bool, field: &'static str, rule: &'static str) -> Result<(), RecordError> {
    if holds { Ok(()) } else { Err(RecordError::Field { field, rule }) }
}

/// Human text: not empty, within its limit, without control characters other than line feed and tab.
pub(crate) fn require_text(text: &str, field: &'static str, bytes_max: usize) -> Result<(), RecordError> {
    require(text.len() <= bytes_max, field, "is longer than its limit")?;
    require(!text.trim().is_empty(), field, "must not be empty")?;
    require(!text.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), field, "must not hold control characters")
}

/// A parsed record. Its signature is not verified by parsing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The common fields.
    pub head: Head,
    /// The kind's own fields.
    pub content: Content,
}

impl Record {
    /// Parses and checks the body of an envelope: strict JSON, known `crit`, the kind's own limits.
    pub fn open(envelope: &Envelope) -> Result<Self, RecordError> {
        fn parsed<'de, C: Deserialize<'de>>(text: &'de str, content: fn(C) -> Content) -> Result<Record, RecordError> {
            let (head, own) = parse::parse(text)?;
            Ok(Record { head, content: content(own) })
        }
        let text = json::check(envelope.body())?;
        let record = match envelope.kind() {
            Kind::Profile => parsed(text, Content::Profile)?,
            Kind::Post => parsed(text, Content::Post)?,
            Kind::Comment => parsed(text, Content::Comment)?,
            Kind::Like => parsed(text, Content::Like)?,
            Kind::Subscribe => parsed(text, Content::Subscribe)?,
            Kind::Repost => parsed(text, Content::Repost)?,
            Kind::Retract => parsed(text, Content::Retract)?,
            Kind::Report => parsed(text, Content::Report)?,
            Kind::Vote => parsed(text, Content::Vote)?,
            other => return Err(RecordError::NotARecord(other)),
        };
        record.check()?;
        Ok(record)
    }

    /// Checks `crit` and the kind's own limits.
    pub fn check(&self) -> Result<(), RecordError> {
        let own = self.content.fields();
        check_crit(&self.head.crit, |name| own.contains(&name) || HEAD_FIELDS.contains(&name)).map_err(|error| match error {
            CritError::TooLong => RecordError::CritTooLong,
            CritError::Unknown(name) => RecordError::UnknownCritical(name),
        })?;
        if let Content::Post(Post { poll: Some(poll), revises: None, .. }) = &self.content {
            poll.check_life(self.head.at)?;
        }
        self.content.check()
    }

    /// Checks the claimed time against the receiver's clock.
    pub fn check_time(&self, now_ms: u64) -> Result<(), RecordError> {
        if self.head.at > now_ms.saturating_add(CLOCK_AHEAD_MS_MAX) { Err(RecordError::Future) } else { Ok(()) }
    }

    /// The record's kind.
    pub fn kind(&self) -> Kind {
        self.content.kind()
    }

    /// The exact bytes to sign.
    pub fn body(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Body<'a> {
            #[serde(flatten)]
            content: &'a Content,
            #[serde(flatten)]
            head: &'a Head,
        }
        serde_json::to_vec(&Body { content: &self.content, head: &self.head }).expect("a record has only plain fields")
    }

    /// Signs the record with the device key that its head names.
    pub fn sign(&self, device: &SecretKey) -> Envelope {
        debug_assert_eq!(device.id(), self.head.device);
        Envelope::sign(self.kind(), self.body(), device)
    }

    /// What would be signed, for a key held elsewhere.
    pub fn pae(&self) -> Vec<u8> {
        pae(self.kind(), &self.body())
    }
}

impl Content {
    /// The kind of these fields.
    pub fn kind(&self) -> Kind {
        match self {
            Content::Profile(_) => Kind::Profile,
            Content::Post(_) => Kind::Post,
            Content::Comment(_) => Kind::Comment,
            Content::Like(_) => Kind::Like,
            Content::Subscribe(_) => Kind::Subscribe,
            Content::Repost(_) => Kind::Repost,
            Content::Retract(_) => Kind::Retract,
            Content::Report(_) => Kind::Report,
            Content::Vote(_) => Kind::Vote,
        }
    }

    /// The stable id that this version revises, if it is an edit.
    pub fn revises(&self) -> Option<&RecordId> {
        match self {
            Content::Post(post) => post.revises.as_ref(),
            Content::Comment(comment) => comment.revises.as_ref(),
            _ => None,
        }
    }

    /// The hash of the record or account about which an actor says this at most once.
    pub fn once_about(&self) -> Option<&[u8; 32]> {
        match self {
            Content::Like(like) => Some(like.object.id.hash()),
            Content::Repost(repost) => Some(repost.object.id.hash()),
            Content::Subscribe(subscribe) => Some(subscribe.object.actor.hash()),
            Content::Vote(vote) => Some(vote.object.id.hash()),
            Content::Profile(_) | Content::Post(_) | Content::Comment(_) | Content::Retract(_) | Content::Report(_) => None,
        }
    }

    /// Whom the record is addressed to, each with the home that its author believed in: of a comment the root's author and, if it is another record, the
    /// parent's. That home may have changed since.
    pub fn addressed(&self) -> Vec<(AccountId, &Domain)> {
        match self {
            Content::Comment(comment) if comment.parent.id != comment.root.id => {
                vec![(comment.root.actor, &comment.root.home), (comment.parent.actor, &comment.parent.home)]
            }
            Content::Comment(comment) => vec![(comment.root.actor, &comment.root.home)],
            Content::Like(like) => vec![(like.object.actor, &like.object.home)],
            Content::Subscribe(subscribe) => vec![(subscribe.object.actor, &subscribe.object.home)],
            Content::Repost(repost) => vec![(repost.object.actor, &repost.object.home)],
            Content::Report(report) => vec![(report.object.actor, &report.object.home)],
            Content::Vote(vote) => vec![(vote.object.actor, &vote.object.home)],
            Content::Profile(_) | Content::Post(_) | Content::Retract(_) => Vec::new(),
        }
    }

    fn fields(&self) -> &'static [&'static str] {
        match self {
            Content::Profile(_) => Profile::FIELDS,
            Content::Post(_) => Post::FIELDS,
            Content::Comment(_) => Comment::FIELDS,
            Content::Like(_) => Like::FIELDS,
            Content::Subscribe(_) => Subscribe::FIELDS,
            Content::Repost(_) => Repost::FIELDS,
            Content::Retract(_) => Retract::FIELDS,
            Content::Report(_) => Report::FIELDS,
            Content::Vote(_) => Vote::FIELDS,
        }
    }

    fn check(&self) -> Result<(), RecordError> {
        match self {
            Content::Profile(profile) => profile.check(),
            Content::Post(post) => post.check(),
            Content::Comment(comment) => comment.check(),
            Content::Report(report) => report.check(),
            Content::Retract(retract) => retract.check(),
            Content::Like(_) | Content::Subscribe(_) | Content::Repost(_) | Content::Vote(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
