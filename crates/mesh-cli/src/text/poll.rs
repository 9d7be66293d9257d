//! Polls as people read them, harmless for a terminal.

use crate::{safe, time};
use mesh_client::reader::Shown;
use mesh_proto::record::{Choose, Poll};

/// Columns of a whole bar.
const BAR: usize = 10;

/// One line for each option, with its votes where they are known and a sign for what the reader chose; then how the poll stands.
pub(crate) fn lines(shown: &Shown, poll: &Poll) -> Vec<String> {
    let tally = shown.view.poll.as_ref().and_then(|view| view.tally_of(poll));
    let mut lines: Vec<String> = Vec::with_capacity(poll.options.len() + 1);
    for (place, option) in poll.options.iter().enumerate() {
        let own = if shown.own_vote.is_some_and(|own| own.has(place)) { '●' } else { '○' };
        let votes = tally.map(|tally| {
            let (percent, votes) = (tally.percent(place), tally.votes.get(place).copied().unwrap_or(0));
            let full = usize::from(percent) * BAR / 100;
            format!("{}{} {percent:>3} % ({votes}) ", "█".repeat(full), "░".repeat(BAR - full))
        });
        lines.push(format!("{own} {} {}{}", place + 1, votes.unwrap_or_default(), safe::line(option)));
    }
    let choose = if poll.choose == Choose::One { "one choice" } else { "several choices" };
    let is_over = shown.view.poll.as_ref().is_some_and(|view| view.over);
    let (verb, ends) = (if is_over { "ended" } else { "ends" }, time::minute(poll.ends));
    let voters = match tally.map(|tally| tally.voters) {
        Some(1) => "1 person voted".to_owned(),
        Some(voters) => format!("{voters} people voted"),
        None => "its home counts the votes".to_owned(),
    };
    lines.push(format!("[poll, {choose}: {voters}, {verb} {ends}]"));
    lines
}
