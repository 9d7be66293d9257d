//! A vote that is being made: options are chosen by their numbers, Enter sends.

use crossterm::event::KeyCode;
use mesh_client::reader::Shown;
use mesh_proto::record::{Choices, Choose};
use mesh_proto::uri::Target;

/// What is chosen so far.
#[derive(Debug)]
pub(in crate::tui) struct Ballot {
    pub(super) target: Target,
    options: usize,
    choose: Choose,
    chosen: Option<Choices>,
}

impl Ballot {
    /// For a post; what its reader chose before is chosen. Fails with words where there is nothing to vote on.
    pub(super) fn of(shown: &Shown) -> Result<Self, &'static str> {
        let poll = shown.poll().ok_or("there is no poll here")?;
        if shown.view.poll.as_ref().is_some_and(|view| view.over) {
            return Err("the poll is over");
        }
        Ok(Self { target: shown.target(), options: poll.options.len(), choose: poll.choose, chosen: shown.own_vote })
    }

    pub(super) fn choices(&self) -> Option<Choices> {
        self.chosen
    }

    /// A number chooses an option, or no more where several may be chosen.
    pub(super) fn key(&mut self, code: KeyCode) {
        let KeyCode::Char(digit) = code else { return };
        let number = digit.to_digit(10).map(|number| number as usize).filter(|number| (1..=self.options).contains(number));
        let Some(option) = number.and_then(|number| Choices::new([number - 1])) else { return };
        self.chosen = match (self.choose, self.chosen) {
            (Choose::Many, Some(chosen)) => Choices::from_bits(chosen.bits() ^ option.bits()),
            _ => Some(option),
        };
    }

    pub(in crate::tui) fn words(&self) -> String {
        let chosen: Vec<String> = self.chosen.iter().flat_map(|chosen| chosen.places()).map(|place| (place + 1).to_string()).collect();
        let which = if self.choose == Choose::One { "one" } else { "some" };
        format!("vote: choose {which} of 1-{}, Enter sends, Esc nothing: [{}]", self.options, chosen.join(", "))
    }
}
