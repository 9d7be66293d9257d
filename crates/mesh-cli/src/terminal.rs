//! Asking a person, on a terminal only.

use crate::fault::Fault;
use crate::out::Out;
use anyhow::{Context, Result};
use std::io::{self, BufRead, IsTerminal, Read};
use zeroize::Zeroizing;

/// Longest answer or text read, bytes.
const INPUT_BYTES_MAX: u64 = 64 * 1024;

/// Whether somebody is there to ask.
pub(crate) fn is_there() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks for one line. `instead`: the option that answers it off a terminal.
pub(crate) fn ask(out: &Out, question: &str, instead: &str) -> Result<Zeroizing<String>> {
    if !is_there() {
        return Err(Fault::usage(format!("{question} – there is no terminal to ask on"), format!("say it with {instead}")).into());
    }
    out.talk(question);
    let mut answer = Zeroizing::new(String::new());
    io::stdin().lock().take(INPUT_BYTES_MAX).read_line(&mut answer).context("cannot read the answer")?;
    Ok(Zeroizing::new(answer.trim().to_owned()))
}

/// All of stdin, as text.
pub(crate) fn stdin_text() -> Result<String> {
    let mut text = String::new();
    io::stdin().lock().take(INPUT_BYTES_MAX + 1).read_to_string(&mut text).context("cannot read stdin")?;
    if text.len() as u64 > INPUT_BYTES_MAX {
        return Err(Fault::usage("the text on stdin is too long".to_owned(), "give at most 64 KiB".to_owned()).into());
    }
    Ok(text)
}
