//! The terminal itself: taken, lent to an editor, and given back in order.
//!
//! It is given back when [`Screen`] is dropped, by ratatui's hook when the program panics, and after the signals that end a program.

use crate::editor;
use anyhow::{Context, Result};
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::execute;
use ratatui::{DefaultTerminal, Frame};

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
        let written = editor::edit(text);
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
