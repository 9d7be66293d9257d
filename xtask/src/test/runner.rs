//! Starts the test runner, shows what it prints as it prints it, and counts from its own closing lines.

use super::tally::Tally;
use crate::{run, ui};
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

/// The tests of every crate, with cargo-nextest where it is installed.
pub(super) fn tests(rest: &[String], tally: &mut Tally) -> Result<()> {
    let mut command = run::cargo();
    if run::found("cargo-nextest").is_some() {
        command.args(["nextest", "run", "--workspace"]);
    } else {
        command.args(["test", "--workspace", "--lib", "--bins", "--tests"]);
    }
    if rest.is_empty() {
        command.arg("--no-fail-fast");
    }
    command.args(rest);
    watch(&mut command, tally)
}

/// The examples in the documentation, which nextest does not run.
pub(super) fn examples(tally: &mut Tally) -> Result<()> {
    watch(run::cargo().args(["test", "--workspace", "--doc", "--no-fail-fast"]), tally)
}

fn watch(command: &mut Command, tally: &mut Tally) -> Result<()> {
    if ui::colour() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    let shown = run::shown(command);
    ui::say(&format!("$ {shown}"));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().with_context(|| format!("cannot start `{shown}`"))?;
    let err = child.stderr.take().context("the runner's stderr is piped")?;
    let out = child.stdout.take().context("the runner's stdout is piped")?;
    // cargo test closes on stdout, nextest on stderr: both are shown and counted.
    let reader = std::thread::spawn(move || copy(err, &mut std::io::stderr()));
    let mut seen = copy(out, &mut std::io::stdout());
    seen.add(&reader.join().map_err(|_| anyhow::anyhow!("the thread that shows stderr panicked"))?);
    let status = child.wait()?;
    tally.add(&seen);
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

fn copy(from: impl Read, to: &mut impl Write) -> Tally {
    let mut tally = Tally::default();
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        match from.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return tally,
            Ok(_) => tally.read(&String::from_utf8_lossy(&line)),
        }
        // A closed terminal must not end the tests.
        let _ = to.write_all(&line).and_then(|()| to.flush());
    }
}
