//! A vote in a poll. `spec/vote.md`.

use super::ObjectRef;
use super::post::poll::{Ballot, Choose};
use crate::bytes::Hash;
use crate::limits::POLL_OPTIONS_MAX;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// "I choose these": at most one per actor and poll, the latest; undone by retracting it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// The post with the poll.
    #[serde(deserialize_with = "crate::envelope::body::object")]
    pub object: ObjectRef,
    /// The poll that the voter saw: [`super::Poll::hash`].
    pub poll: Hash,
    /// When that poll ends, milliseconds since the epoch: whoever logs the vote knows by it whether it comes too late.
    pub ends: u64,
    /// What the voter chooses.
    pub choices: Choices,
}

/// Why a vote does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VoteError {
    /// It was logged after the end.
    #[error("the poll is over: votes that are logged after its end do not count")]
    Ended,
    /// It names another poll, or another end, than the post has.
    #[error("the vote is about another poll than the post has: read the post again")]
    OtherPoll,
    /// The poll has fewer options.
    #[error("the poll has only {0} options")]
    NoSuchOption(usize),
    /// The poll takes one choice.
    #[error("the poll takes one choice only")]
    TooMany,
}

impl Vote {
    /// Names of the vote's own fields.
    pub const FIELDS: &'static [&'static str] = &["object", "poll", "ends", "choices"];

    /// Whether the vote was logged in time, as far as its own words go.
    pub fn check_received(&self, received: u64) -> Result<(), VoteError> {
        if received <= self.ends { Ok(()) } else { Err(VoteError::Ended) }
    }

    /// Whether it is a vote in this poll.
    pub fn check_ballot(&self, ballot: &Ballot) -> Result<(), VoteError> {
        if (self.poll, self.ends) != (ballot.poll, ballot.ends) {
            return Err(VoteError::OtherPoll);
        }
        if self.choices.places().any(|place| place >= ballot.options) {
            return Err(VoteError::NoSuchOption(ballot.options));
        }
        if ballot.choose == Choose::One && self.choices.count() > 1 {
            return Err(VoteError::TooMany);
        }
        Ok(())
    }
}

/// Options of a poll by their places from 0: at least one, each once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choices(u8);

impl Choices {
    /// The options at these places, in whatever order; `None` if there are none, or one that no poll has.
    pub fn new(places: impl IntoIterator<Item = usize>) -> Option<Self> {
        let bit = |place: usize| (place < POLL_OPTIONS_MAX).then(|| 1u8 << place);
        let bits = places.into_iter().try_fold(0, |bits, place| Some(bits | bit(place)?))?;
        Self::from_bits(bits)
    }

    /// From one bit for each option, the lowest for the first; `None` if none is set.
    pub fn from_bits(bits: u8) -> Option<Self> {
        (bits != 0).then_some(Self(bits))
    }

    /// One bit for each option, the lowest for the first.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// The places, ascending.
    pub fn places(self) -> impl Iterator<Item = usize> {
        (0..POLL_OPTIONS_MAX).filter(move |place| self.has(*place))
    }

    /// Whether the option at a place is chosen.
    pub fn has(self, place: usize) -> bool {
        place < POLL_OPTIONS_MAX && self.0 & (1 << place) != 0
    }

    /// How many there are.
    pub fn count(self) -> u32 {
        self.0.count_ones()
    }
}

impl Serialize for Choices {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.places())
    }
}

/// Only one text stands for each choice: strictly ascending.
impl<'de> Deserialize<'de> for Choices {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let places = Vec::<usize>::deserialize(deserializer)?;
        if places.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(D::Error::custom("choices are places of options in ascending order, none twice"));
        }
        Self::new(places).ok_or_else(|| D::Error::custom("choices are one or more places of options, from 0 to 7"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Poll;

    fn poll() -> Poll {
        Poll { options: ["tea", "coffee", "maté"].map(str::to_owned).to_vec(), choose: Choose::One, ends: 1_000 }
    }

    fn vote(poll: &Poll, places: &[usize]) -> Vote {
        let object = ObjectRef {
            actor: crate::key::AccountId::from_hash([3; 32]),
            home: "one.localhost:8001".parse().expect("a domain"),
            id: crate::envelope::RecordId::from_hash([4; 32]),
            version: crate::envelope::RecordId::from_hash([4; 32]),
        };
        Vote { object, poll: poll.hash(), ends: poll.ends, choices: Choices::new(places.iter().copied()).expect("some") }
    }

    #[test]
    fn vote_counts_for_its_own_poll_and_options_only() {
        let (one, many) = (poll(), Poll { choose: Choose::Many, ..poll() });
        assert_eq!(vote(&one, &[2]).check_ballot(&one.ballot()), Ok(()));
        assert_eq!(vote(&many, &[0, 2]).check_ballot(&many.ballot()), Ok(()));
        assert_eq!(vote(&one, &[0, 1]).check_ballot(&one.ballot()), Err(VoteError::TooMany));
        assert_eq!(vote(&one, &[3]).check_ballot(&one.ballot()), Err(VoteError::NoSuchOption(3)));
        assert_eq!(vote(&many, &[2]).check_ballot(&one.ballot()), Err(VoteError::OtherPoll));
        let later = Vote { ends: 2_000, ..vote(&one, &[2]) };
        assert_eq!(later.check_ballot(&one.ballot()), Err(VoteError::OtherPoll));
    }

    #[test]
    fn every_change_of_a_poll_changes_its_hash() {
        let mut moved = poll();
        moved.options.swap(0, 1);
        let mut joined = poll();
        let last = joined.options.pop().expect("three");
        joined.options[1].push_str(&last);
        let others = [moved, joined, Poll { ends: 1_001, ..poll() }, Poll { choose: Choose::Many, ..poll() }];
        assert!(others.iter().all(|other| other.hash() != poll().hash()));
    }

    #[test]
    fn vote_is_in_time_up_to_the_end() {
        assert_eq!(vote(&poll(), &[0]).check_received(1_000), Ok(()));
        assert_eq!(vote(&poll(), &[0]).check_received(1_001), Err(VoteError::Ended));
    }

    #[test]
    fn choices_have_one_text_each() {
        let read = |text: &str| serde_json::from_str::<Choices>(text).ok();
        assert_eq!(read("[0,7]").map(|choices| choices.places().collect::<Vec<_>>()), Some(vec![0, 7]));
        for bad in ["[]", "[8]", "[1,0]", "[1,1]", "[-1]", "[256]", "0", "{}", "null"] {
            assert_eq!(read(bad), None, "{bad}");
        }
        let bits = Choices::new([7, 0]).expect("some");
        assert_eq!((bits.bits(), serde_json::to_string(&bits).expect("json")), (0x81, "[0,7]".to_owned()));
    }
}
