//! Records, threads, feeds and notifications as they are read.

use crate::address::Address;
use crate::envelope::{Envelope, Kind, RecordId};
use crate::key::AccountId;
use crate::keylog::LogPosition;
use crate::log::Opening;
use crate::record::{Poll, RetractReason};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Live statements about an object, by kind. Kinds without any are left out.
pub type Counts = BTreeMap<Kind, u64>;

/// The answer to `POST /api/v1/records`: the record is durable and logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Accepted {
    /// The record's id.
    pub id: RecordId,
    /// Its leaf in the home log.
    pub leaf: LogPosition,
    /// When the home accepted it, milliseconds since the epoch.
    pub received: u64,
}

/// A record with what proves it: the signed envelope and its leaf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LoggedRecord {
    /// The signed record.
    pub envelope: Envelope,
    /// Its leaf in its actor's home log.
    pub leaf: LogPosition,
    /// What the leaf commits to.
    pub opening: Opening,
}

/// What a server keeps of a record whose payload lies elsewhere: no authored text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Card {
    /// The record's id: for ever, whatever its version.
    pub id: RecordId,
    /// What it is.
    pub kind: Kind,
    /// Who made it.
    pub actor: AccountId,
    /// The actor's present address, as far as this server knows.
    pub address: Address,
    /// Its leaf in its actor's home log.
    pub leaf: LogPosition,
    /// When its home accepted it, milliseconds since the epoch.
    pub received: u64,
    /// For a comment: what it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<RecordId>,
    /// Whether its device was later revoked and the owner does not stand by it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disowned: bool,
}

/// What is left of a withdrawn record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Tombstone {
    /// The withdrawn record.
    pub id: RecordId,
    /// On whose wish.
    pub reason: RetractReason,
    /// Who signed the withdrawal.
    pub signer: AccountId,
    /// The signed withdrawal, where this server has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retract: Option<Box<Envelope>>,
}

/// How a poll stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PollView {
    /// Whether it has ended: votes that are logged from now on do not count.
    pub over: bool,
    /// What is counted; absent where that is not complete: anywhere but at the post's home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tally: Option<Tally>,
}

/// What was voted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Tally {
    /// People whose vote stands.
    pub voters: u64,
    /// How many of them chose each option, in the order of the options.
    pub votes: Vec<u64>,
}

impl PollView {
    /// What is counted, if it fits the poll.
    pub fn tally_of(&self, poll: &Poll) -> Option<&Tally> {
        self.tally.as_ref().filter(|tally| tally.votes.len() == poll.options.len())
    }
}

impl Tally {
    /// Of a hundred people who voted, how many chose the option at a place.
    pub fn percent(&self, place: usize) -> u8 {
        let votes = u128::from(self.votes.get(place).copied().unwrap_or(0));
        let voters = u128::from(self.voters.max(1));
        ((votes * 100 + voters / 2) / voters).min(100) as u8
    }
}

/// A record as shown: its card, its current version if it could be had, its counters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecordView {
    /// Who, what, when.
    pub card: Card,
    /// The current version with its proof; absent while its home cannot be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<LoggedRecord>,
    /// Set if the record was withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tombstone: Option<Tombstone>,
    /// What others did with it, as far as this server is told: complete at its author's home.
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, u64>))]
    pub counts: Counts,
    /// Of a post with a poll: how that stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll: Option<PollView>,
    /// The person-readable page.
    pub url: String,
}

/// `GET /api/v1/records/{id}/comments`: one page of a thread, oldest first, flat; `parent` makes it a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Comments {
    /// The comments.
    pub comments: Vec<RecordView>,
    /// Pass as `after` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `GET /api/v1/records/{id}/versions`: all versions of a post or comment that its home keeps, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Versions {
    /// The versions, each with its proof.
    pub versions: Vec<LoggedRecord>,
    /// Pass as `after` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `GET /api/v1/feed` and `GET /api/v1/accounts/{who}/posts`: newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FeedPage {
    /// Posts and reposts.
    pub items: Vec<RecordView>,
    /// Pass as `before` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Something that happened to one's own things.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Notification {
    /// Who did what, when.
    pub card: Card,
    /// To which record; absent for a subscription.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<RecordId>,
}

/// `GET /api/v1/notifications`: newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NotificationPage {
    /// The notifications.
    pub notifications: Vec<Notification>,
    /// Pass as `before` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `GET /api/v1/records/{id}/references`: who acted on a record, without bodies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Cards {
    /// The references.
    pub cards: Vec<Card>,
    /// Pass as `after` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `GET /api/v1/acts`: one's own live statement about an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Acts {
    /// The record that a retract would name; empty if there is none.
    pub records: Vec<RecordId>,
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn parts_of_a_hundred_are_rounded_and_never_more() {
        let tally = Tally { voters: 3, votes: vec![2, 1, 0, u64::MAX] };
        assert_eq!([0, 1, 2, 3, 4].map(|place| tally.percent(place)), [67, 33, 0, 100, 0]);
        assert_eq!(Tally { voters: 0, votes: vec![0] }.percent(0), 0);
    }
}
