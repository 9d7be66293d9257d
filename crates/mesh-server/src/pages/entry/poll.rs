//! Polls on pages: options with bars where their votes are known, and how the poll stands.

use crate::pages::text::name;
use crate::pages::time::Moment;
use crate::pages::{grouped, plural};
use mesh_proto::api::{PollView, Tally};
use mesh_proto::record;

/// A poll.
#[derive(Debug, Clone)]
pub(in crate::pages) struct Poll {
    pub(in crate::pages) options: Vec<Choice>,
    /// `5 people voted`, where that is known.
    pub(in crate::pages) voters: Option<String>,
    pub(in crate::pages) choose: &'static str,
    pub(in crate::pages) over: bool,
    pub(in crate::pages) ends: Moment,
    pub(in crate::pages) ends_ms: u64,
}

/// One option.
#[derive(Debug, Clone)]
pub(in crate::pages) struct Choice {
    pub(in crate::pages) words: String,
    pub(in crate::pages) votes: Option<Votes>,
}

/// What an option got.
#[derive(Debug, Clone)]
pub(in crate::pages) struct Votes {
    /// `3 votes`.
    pub(in crate::pages) count: String,
    pub(in crate::pages) percent: u8,
}

impl Votes {
    fn new(tally: &Tally, place: usize) -> Self {
        Self { count: plural(tally.votes.get(place).copied().unwrap_or_default(), "vote"), percent: tally.percent(place) }
    }
}

impl Poll {
    pub(in crate::pages) fn new(poll: &record::Poll, view: Option<&PollView>) -> Self {
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
    pub(in crate::pages) fn plain(&self) -> String {
        let options: String = self.options.iter().map(|option| format!("\n– {}", option.words)).collect();
        format!("Poll until {}:{options}", self.ends.human)
    }
}
