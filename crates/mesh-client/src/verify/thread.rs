//! Holding a home to its counters: everything that it counts about a record is enumerated and verified, and compared with what it signed.
//!
//! The counters are asked for before and after, so that what came in between accuses nobody.

use crate::error::{ClientError, Result};
use crate::home::{Home, Page};
use crate::limits::{REQUESTS_AT_ONCE_MAX, THREAD_COMMENTS_MAX, THREAD_TRIES_MAX};
use crate::reader::{Reader, Shown, State};
use futures_util::{StreamExt, stream};
use mesh_proto::address::Domain;
use mesh_proto::api::{Card, DomainKeyUse, RecordView};
use mesh_proto::counter::{Counter, SetSum};
use mesh_proto::envelope::{Kind, RecordId};
use mesh_proto::key::AccountId;
use mesh_proto::limits::PAGE_MAX;
use mesh_proto::record::{Choices, Content, Poll};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What is counted about a record; votes only if it has a poll.
const KINDS: [Kind; 4] = [Kind::Comment, Kind::Like, Kind::Repost, Kind::Vote];

/// A record that does not count, or cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Doubt {
    /// Which.
    pub record: RecordId,
    /// Where it should be.
    pub home: Domain,
    /// Why.
    pub why: String,
}

/// Whether a counter is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// All that is counted was seen and verifies.
    Holds,
    /// It would be right, if what could not be had is as its card says.
    Unproven,
    /// It is not what the home can show.
    Wrong,
}

/// One counter with what stands behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// What is counted.
    pub kind: Kind,
    /// How many the home signed.
    pub signed: u64,
    /// How many it shows beside the record.
    pub shown: u64,
    /// How many were seen and verify.
    pub verified: u64,
    /// Of votes: how many of those that were seen and verify chose each option of the poll.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub votes: Vec<u64>,
    /// Statements that their authors do not stand by any more, which do not count.
    pub disowned: u64,
    /// Those that could not be had.
    pub absent: Vec<Doubt>,
    /// Those that are listed and do not verify.
    pub refused: Vec<Doubt>,
    /// Whether what is shown or signed for the options is not what those votes say.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub votes_differ: bool,
    /// Whether it is right.
    pub verdict: Verdict,
}

impl Counted {
    /// What is wrong, in words that say who says what; `None` if nothing is.
    pub fn accusation(&self, home: &Domain) -> Option<String> {
        let kinds = if self.signed == 1 { self.kind.to_string() } else { format!("{}s", self.kind) };
        let counts = format!("{home} counts {} {kinds}", self.signed);
        match self.verdict {
            Verdict::Holds => None,
            Verdict::Unproven => Some(format!("{counts}, of which {} cannot be had now", self.absent.len())),
            Verdict::Wrong if self.shown > self.signed + self.disowned => {
                Some(format!("{home} shows {} {}s but signs {}", self.shown, self.kind, self.signed))
            }
            Verdict::Wrong if self.votes_differ => {
                Some(format!("{counts}, but by their options the votes that verify are {}", joined(&self.votes)))
            }
            Verdict::Wrong if self.verified < self.signed => Some(format!("{counts} but can show only {} that verify", self.verified)),
            Verdict::Wrong if self.verified > self.signed => Some(format!("{counts} but shows {} that verify", self.verified)),
            Verdict::Wrong if !self.refused.is_empty() => Some(format!("{counts} and lists {} that do not verify", self.refused.len())),
            Verdict::Wrong => Some(format!("{counts} but shows others than those that it counted")),
        }
    }
}

/// What came of holding a home to its counters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ThreadProof {
    /// The record.
    pub record: RecordId,
    /// Its home, which counts.
    pub home: Domain,
    /// One for each kind.
    pub counters: Vec<Counted>,
}

/// What was enumerated of one kind.
#[derive(Default)]
struct Seen {
    good: BTreeSet<RecordId>,
    votes: Vec<Choices>,
    actors: BTreeSet<AccountId>,
    disowned: u64,
    absent: Vec<Doubt>,
    refused: Vec<Doubt>,
}

/// Holds the home of a record that was verified to its counters. `reader` reads through that home.
pub async fn prove(reader: &Reader, top: &Shown) -> Result<ThreadProof> {
    let (home, id) = (reader.home().domain().clone(), top.view.card.id);
    let poll = top.poll();
    let kinds: Vec<Kind> = KINDS.into_iter().filter(|kind| *kind != Kind::Vote || poll.is_some()).collect();
    for _ in 0..THREAD_TRIES_MAX {
        let view = reader.home().record(&id).await?;
        let before = signed(reader.home(), &id, &kinds).await?;
        let mut seen = Vec::new();
        for kind in &kinds {
            seen.push(match kind {
                Kind::Comment => comments(reader, &id).await?,
                _ => once(reader, (&id, poll), *kind).await?,
            });
        }
        let after = signed(reader.home(), &id, &kinds).await?;
        if before.iter().zip(&after).any(|(before, after)| before.fingerprint != after.fingerprint) {
            continue;
        }
        let counters = after.iter().zip(seen).map(|(signed, seen)| judge(signed, (&view, poll), seen)).collect();
        return Ok(ThreadProof { record: id, home, counters });
    }
    Err(ClientError::malformed(&home, "its counters changed every time while they were checked: try again when less happens"))
}

/// The signed counters of a record, verified, in the order of `kinds`.
async fn signed(home: &Home, id: &RecordId, kinds: &[Kind]) -> Result<Vec<Counter>> {
    let unusable = |what: String| ClientError::malformed(home.domain(), what);
    let discovery = home.discovery().await?;
    let key = discovery.key(DomainKeyUse::Request).and_then(|key| key.verifier().ok());
    let key = key.ok_or_else(|| unusable("it shows no usable request key".to_owned()))?;
    let answer = home.counters(id).await?;
    let mut counters = BTreeMap::new();
    for envelope in answer.counters.iter().take(Kind::ALL.len()) {
        let counter = Counter::open(envelope, &key).map_err(|error| unusable(error.to_string()))?;
        if counter.domain == *home.domain() && counter.object == *id {
            counters.insert(counter.kind, counter);
        }
    }
    let missing = |kind: Kind| unusable(format!("it signs no counter of {kind}s of this record"));
    kinds.iter().map(|kind| counters.remove(kind).ok_or_else(|| missing(*kind))).collect()
}

fn judge(signed: &Counter, (view, poll): (&RecordView, Option<&Poll>), seen: Seen) -> Counted {
    let shown = view.counts.get(&signed.kind).copied().unwrap_or(0);
    let votes = tally(poll.filter(|_| signed.kind == Kind::Vote), &seen.votes);
    let Seen { good, disowned, absent, refused, .. } = seen;
    let of = |ids: &mut dyn Iterator<Item = &RecordId>| ids.collect::<SetSum>().fingerprint() == signed.fingerprint;
    let verified = good.len() as u64;
    let all = verified + absent.len() as u64;
    let shown_votes = view.poll.as_ref().and_then(|poll| poll.tally.as_ref()).map(|tally| &tally.votes);
    // Beyond what was seen there may be disowned votes in what is shown, and absent ones in both.
    let (unseen, beyond) = (absent.len() as u64, absent.len() as u64 + disowned);
    let shown_differ = signed.kind == Kind::Vote && shown_votes.is_none_or(|shown| !fits(shown, &votes, beyond));
    let votes_differ = shown_differ || !fits(&signed.votes, &votes, unseen);
    let verdict = if !refused.is_empty() || votes_differ || shown > signed.count + disowned {
        Verdict::Wrong
    } else if verified == signed.count && of(&mut good.iter()) {
        Verdict::Holds
    } else if !absent.is_empty() && all == signed.count && of(&mut good.iter().chain(absent.iter().map(|doubt| &doubt.record))) {
        Verdict::Unproven
    } else {
        Verdict::Wrong
    };
    Counted { kind: signed.kind, signed: signed.count, shown, verified, votes, disowned, absent, refused, votes_differ, verdict }
}

/// How many chose each option.
fn tally(poll: Option<&Poll>, votes: &[Choices]) -> Vec<u64> {
    let options = poll.map_or(0, |poll| poll.options.len());
    (0..options).map(|place| votes.iter().filter(|choices| choices.has(place)).count() as u64).collect()
}

/// Whether numbers of votes are those that were seen, with at most `unseen` more for each option.
fn fits(said: &[u64], seen: &[u64], unseen: u64) -> bool {
    said.len() == seen.len() && said.iter().zip(seen).all(|(said, seen)| said >= seen && *said <= seen + unseen)
}

fn joined(votes: &[u64]) -> String {
    votes.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

impl Seen {
    fn doubt(card: &Card, why: impl Into<String>) -> Doubt {
        Doubt { record: card.id, home: card.address.domain().clone(), why: why.into() }
    }

    /// Sorts a record as it was shown. `about` says whether what was said, and logged at that time, is about the right one.
    fn add(&mut self, shown: &Shown, about: impl Fn(&Content, u64) -> bool) {
        let card = &shown.view.card;
        match &shown.state {
            State::Good(record) if !about(&record.content, shown.received()) => {
                self.refused.push(Self::doubt(card, "it is about something else"))
            }
            State::Good(record) => {
                let again = record.kind().is_once_per_object() && !self.actors.insert(record.head.actor);
                if again || !self.good.insert(card.id) {
                    self.refused.push(Self::doubt(card, "it is counted twice"));
                } else if let Content::Vote(vote) = &record.content {
                    self.votes.push(vote.choices);
                }
            }
            State::Disowned(..) => self.disowned += 1,
            State::Withdrawn => {}
            State::Absent => self.absent.push(Self::doubt(card, "its home does not give it")),
            State::Refused(mistrust) => self.refused.push(Self::doubt(card, mistrust.to_string())),
        }
    }
}

async fn comments(reader: &Reader, id: &RecordId) -> Result<Seen> {
    let thread = reader.all_comments(id).await?;
    check_end(reader.home().domain(), thread.next.is_some())?;
    let mut seen = Seen::default();
    for shown in &thread.items {
        seen.add(shown, |content, _| matches!(content, Content::Comment(comment) if comment.root.id == *id || comment.parent.id == *id));
    }
    Ok(seen)
}

/// Statements that an actor makes once. The home lists cards; the records come through it from their homes.
async fn once(reader: &Reader, (id, poll): (&RecordId, Option<&Poll>), kind: Kind) -> Result<Seen> {
    let ballot = poll.map(Poll::ballot);
    let mut seen = Seen::default();
    let mut page = Page::first(PAGE_MAX);
    let mut count = 0;
    loop {
        let listed = reader.home().references(id, kind, &page).await?;
        count += listed.cards.len();
        let fetches = stream::iter(listed.cards).map(|card| async move { (reader.home().record(&card.id).await, card) });
        let fetched: Vec<_> = fetches.buffered(REQUESTS_AT_ONCE_MAX).collect().await;
        let mut views = Vec::new();
        for (view, card) in fetched {
            match view {
                Ok(view) if view.card.id == card.id && view.tombstone.is_none() => views.push(view),
                Ok(_) => seen.refused.push(Seen::doubt(&card, "it is listed, and is another record or withdrawn")),
                Err(ClientError::Remote { problem, .. }) if problem.status == 404 => {
                    seen.refused.push(Seen::doubt(&card, "it is listed, and is not there"));
                }
                Err(error) => return Err(error),
            }
        }
        for shown in reader.show(views).await {
            seen.add(&shown, |content, received| match content {
                Content::Like(like) => kind == Kind::Like && like.object.id == *id,
                Content::Repost(repost) => kind == Kind::Repost && repost.object.id == *id,
                Content::Vote(vote) => {
                    let counts = vote.check_received(received).is_ok() && ballot.is_some_and(|ballot| vote.check_ballot(&ballot).is_ok());
                    kind == Kind::Vote && vote.object.id == *id && counts
                }
                _ => false,
            });
        }
        check_end(reader.home().domain(), count > THREAD_COMMENTS_MAX)?;
        if listed.next.is_none() || listed.next == page.from {
            return Ok(seen);
        }
        page.from = listed.next;
    }
}

fn check_end(home: &Domain, goes_on: bool) -> Result<()> {
    if !goes_on {
        return Ok(());
    }
    Err(ClientError::malformed(home, format!("it lists more than {THREAD_COMMENTS_MAX} statements, which is more than are checked")))
}
