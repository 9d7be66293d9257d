//! Polls on pages: options with bars where their votes are known, and how the poll stands.

use super::text::name;
use super::time::Moment;
use super::{grouped, plural};
use mesh_proto::api::{PollView, Tally};
use mesh_proto::record;

/// A poll.
#[derive(Debug, Clone)]
pub(super) struct Poll {
    pub(super) options: Vec<Choice>,
    /// `5 people voted`, where that is known.
    pub(super) voters: Option<String>,
    pub(super) choose: &'static str,
    pub(super) over: bool,
    pub(super) ends: Moment,
    pub(super) ends_ms: u64,
}

/// One option.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    pub(super) words: String,
    pub(super) votes: Option<Votes>,
}

/// What an option got.
#[derive(Debug, Clone)]
pub(super) struct Votes {
    /// `3 votes`.
    pub(super) count: String,
    pub(super) percent: u8,
}

impl Votes {
    fn new(tally: &Tally, place: usize) -> Self {
        Self { count: plural(tally.votes.get(place).copied().unwrap_or_default(), "vote"), percent: tally.percent(place) }
    }
}

impl Poll {
    pub(super) fn new(poll: &record::Poll, view: Option<&PollView>) -> Self {
        let tally = view.and_then(|view| view.tally_of(poll));
        let option = |(place, option): (usize, &String)| {
            let words = Some(name(option)).filter(|words| !words.is_empty());
            Choice { words: words.unwrap_or_else(|| format!("Option {}", place + 1)), votes: tally.map(|tally| Votes::new(tally, place)) }
        };
        Self {
            options: poll.options.iter().enumerate().map(option).collect(),
            voters: tally.map(|tally| if tally.voters == 1 { "1 person".to_owned() } else { format!("{} people", grouped(tally.voters)) }),
            choose: if poll.choose == record::Choose::One { "one choice" } else { "several choices" },
            over: view.is_some_and(|view| view.over),
            ends: Moment::new(poll.ends),
            ends_ms: poll.ends,
        }
    }

    /// The options in words alone.
    pub(super) fn plain(&self) -> String {
        let options: String = self.options.iter().map(|option| format!("\n– {}", option.words)).collect();
        format!("Poll until {}:{options}", self.ends.human)
    }
}
