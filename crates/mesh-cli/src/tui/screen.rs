//! The terminal itself: taken, lent to an editor, and given back in order.
//!
//! It is given back when [`Screen`] is dropped, by ratatui's hook when the program panics, and after the signals that end a program.

use crate::safe;
use anyhow::{Context, Result};
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::execute;
use mesh_proto::limits::TEXT_BYTES_MAX;
use ratatui::{DefaultTerminal, Frame};
use std::io::{Read, Write};
use std::process::Command;

/// A terminal that is ours until this is dropped.
pub(super) struct Screen {
    terminal: DefaultTerminal,
}

impl Screen {
    pub(super) fn open() -> Result<Self> {
        Ok(Self { terminal: take().context("the terminal cannot be used: mesh feed --plain prints text")? })
    }

    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame)) -> Result<()> {
        self.terminal.draw(draw)?;
        Ok(())
    }

    /// Lends the terminal to the person's editor; answers what they wrote.
    pub(super) fn edit(&mut self, text: &str) -> Result<String, String> {
        give_back();
        let written = in_editor(text);
        self.terminal = take().map_err(|error| error.to_string())?;
        written
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The hook of a panic has given it back: a second time would put the cursor into the words of the panic.
        if !std::thread::panicking() {
            give_back();
        }
    }
}

/// Raw mode and a screen of our own. Pasted text comes as such, so that a line end in it is no Enter.
fn take() -> std::io::Result<DefaultTerminal> {
    let terminal = ratatui::try_init()?;
    execute!(std::io::stdout(), EnableBracketedPaste)?;
    Ok(terminal)
}

fn give_back() {
    // Nobody can be told where the terminal is gone.
    let _ = execute!(std::io::stdout(), DisableBracketedPaste);
    ratatui::restore();
}

/// Runs `$VISUAL` or `$EDITOR` on a file that only this person can read.
fn in_editor(text: &str) -> Result<String, String> {
    let named = |name: &str| std::env::var(name).ok().filter(|editor| !editor.trim().is_empty());
    let editor = named("VISUAL").or_else(|| named("EDITOR")).unwrap_or_else(|| "vi".to_owned());
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or("vi");
    let told = |error: std::io::Error| error.to_string();
    let mut file = tempfile::Builder::new().prefix("mesh-").suffix(".txt").tempfile().map_err(told)?;
    file.write_all(text.as_bytes()).and_then(|()| file.flush()).map_err(told)?;
    let status = Command::new(program).args(words).arg(file.path()).status();
    let status = status.map_err(|error| format!("{}: {error}; set EDITOR", safe::line(program)))?;
    if !status.success() {
        return Err(format!("{} failed, nothing was sent", safe::line(program)));
    }
    // Editors put a new file in the place of the old one: it is opened by its name again.
    let mut written = String::new();
    let file = std::fs::File::open(file.path()).map_err(told)?;
    file.take(TEXT_BYTES_MAX as u64 + 2).read_to_string(&mut written).map_err(told)?;
    Ok(written.replace("\r\n", "\n").trim_end().to_owned())
}

/// Shows a web link with the desktop's program. Only links of the web are passed on: others could start anything.
pub(super) fn open_link(link: &str) -> Result<(), String> {
    if !link.starts_with("https://") && !link.starts_with("http://") {
        return Err("only links of the web are opened".to_owned());
    }
    // Whatever the program says must not land on this screen.
    open::that_detached(link).map_err(|error| error.to_string())
}

/// The signals that end a program from outside.
pub(super) struct Ends {
    #[cfg(unix)]
    signals: [tokio::signal::unix::Signal; 3],
}

#[cfg(unix)]
impl Ends {
    pub(super) fn new() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [SignalKind::terminate(), SignalKind::hangup(), SignalKind::interrupt()];
        let [terminate, hangup, interrupt] = kinds.map(signal);
        Ok(Self { signals: [terminate?, hangup?, interrupt?] })
    }

    /// Waits for one of them.
    pub(super) async fn any(&mut self) {
        let [terminate, hangup, interrupt] = &mut self.signals;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
impl Ends {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {})
    }

    pub(super) async fn any(&mut self) {
        std::future::pending().await
    }
}
