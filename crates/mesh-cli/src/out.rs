//! The one place that prints: data to stdout, talk to stderr.
//!
//! Text of others must have passed [`crate::safe::plain`] before it comes here; JSON escapes control characters by itself.

use crate::cli::Format;
use serde::Serialize;
use std::io::{self, IsTerminal, Write};

/// Where and how things are printed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Out {
    format: Format,
    bold: bool,
}

impl Out {
    pub(crate) fn new(format: Format) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let able = io::stdout().is_terminal() && std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        Self { format, bold: wanted && able && format == Format::Text }
    }

    /// Whether data is JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// One line of data.
    pub(crate) fn data(&self, line: &str) {
        write_stdout(line);
    }

    /// One object, on one line.
    pub(crate) fn json(&self, value: &impl Serialize) {
        match serde_json::to_string(value) {
            Ok(line) => write_stdout(&line),
            Err(error) => self.talk(&format!("cannot be printed as JSON: {error}")),
        }
    }

    /// Data in the form that was asked for.
    pub(crate) fn either(&self, value: &impl Serialize, text: impl FnOnce() -> String) {
        if self.is_json() { self.json(value) } else { self.data(&text()) }
    }

    /// One line for the person.
    pub(crate) fn talk(&self, line: &str) {
        // Whether anybody reads stderr does not change what is done.
        let _ = writeln!(io::stderr().lock(), "{line}");
    }

    /// Text that stands out on a terminal.
    pub(crate) fn strong(&self, text: &str) -> String {
        if self.bold { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// Text that steps back on a terminal.
    pub(crate) fn faint(&self, text: &str) -> String {
        if self.bold { format!("\u{1b}[2m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Writes a line of data. A reader that has gone, such as `head`, ends the program without complaint.
fn write_stdout(line: &str) {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(line.as_bytes()).and_then(|()| stdout.write_all(b"\n")).and_then(|()| stdout.flush());
    if let Err(error) = written {
        let gone = error.kind() == io::ErrorKind::BrokenPipe;
        std::process::exit(if gone { 0 } else { 1 });
    }
}
