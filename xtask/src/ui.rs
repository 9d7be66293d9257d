//! What people read: headings, times and colours. Colour only on a terminal and without NO_COLOR.

use std::io::{IsTerminal, Write};
use std::time::Duration;

/// Prints the title of a part of the work.
pub(crate) fn heading(title: &str) {
    say(&format!("\n{}", paint("1;36", &format!("=== {title} ==="))));
}

/// Prints one line. A reader who has gone away (`| head`) ends nothing.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A failure that people have been told of already, so that what they read last stays last.
#[derive(Debug)]
pub(crate) struct Told;

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("failed, as told above")
    }
}

impl std::error::Error for Told {}

/// Green text.
pub(crate) fn good(text: &str) -> String {
    paint("32", text)
}

/// Red text.
pub(crate) fn bad(text: &str) -> String {
    paint("1;31", text)
}

/// Whether colours are wanted on stdout.
pub(crate) fn colour() -> bool {
    std::env::var_os("NO_COLOR").is_none() && std::io::stdout().is_terminal()
}

/// A duration as people say it: `0.4 s`, `2 min 05 s`.
pub(crate) fn time(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 60 {
        return format!("{:.1} s", duration.as_secs_f64());
    }
    format!("{} min {:02} s", seconds / 60, seconds % 60)
}

fn paint(code: &str, text: &str) -> String {
    if colour() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_written_for_people() {
        assert_eq!(time(Duration::from_millis(430)), "0.4 s");
        assert_eq!(time(Duration::from_secs(125)), "2 min 05 s");
    }
}
