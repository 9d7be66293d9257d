//! `cargo xtask test`: everything that must hold, in order, and what became of it at the end.
//!
//! A failed step does not stop the next ones: one run tells all. The last line counts the tests as their runner counted them.

mod runner;
mod tally;

use crate::{deny, packages, pages, run, tidy, ui, vectors, wasm};
use anyhow::{Result, bail};
use clap::ValueEnum;
use std::time::{Duration, Instant};
use tally::Tally;

/// Arguments of `test`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these steps
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Step>,
    /// Also what takes minutes to install (cargo-deny); CI always does
    #[arg(long)]
    all: bool,
    /// Passed on to the test runner: a filter, or its own options
    #[arg(last = true)]
    rest: Vec<String>,
}

/// The steps, in the order in which they run.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Step {
    /// cargo fmt --check
    Fmt,
    /// cargo clippy, warnings are errors
    Clippy,
    /// The tests of every crate
    Test,
    /// The examples in the documentation
    Doc,
    /// spec/vectors against mesh-proto
    Vectors,
    /// The rules of the house
    Tidy,
    /// The protocol for the browser
    Wasm,
    /// Licences, bans, sources
    Deny,
}

/// What became of a step.
enum Outcome {
    Passed,
    Skipped(&'static str),
    Failed(anyhow::Error),
}

/// Runs the steps and fails when one of them did.
pub(crate) fn run(args: &Args) -> Result<()> {
    packages::ensure(packages::BASE)?;
    packages::ensure(packages::TESTS)?;
    let steps = Step::value_variants().iter().filter(|step| args.only.is_empty() || args.only.contains(step));
    let mut tally = Tally::default();
    let mut done = Vec::new();
    for step in steps {
        ui::heading(step.name());
        let start = Instant::now();
        let outcome = step.run(args, &mut tally);
        let took = start.elapsed();
        match &outcome {
            Outcome::Passed => ui::say(&format!("{} in {}", ui::good("ok"), ui::time(took))),
            Outcome::Skipped(why) => ui::say(&format!("skipped: {why}")),
            Outcome::Failed(error) => ui::say(&format!("{} after {}: {error:#}", ui::bad("FAILED"), ui::time(took))),
        }
        done.push((*step, outcome, took));
    }
    close(&done, &tally)
}

/// The closing table, and the count of tests alone on the last line.
fn close(done: &[(Step, Outcome, Duration)], tally: &Tally) -> Result<()> {
    ui::heading("summary");
    for (step, outcome, took) in done {
        let word = match outcome {
            Outcome::Passed => ui::good("ok     "),
            Outcome::Skipped(_) => "skipped".to_owned(),
            Outcome::Failed(_) => ui::bad("FAILED "),
        };
        ui::say(&format!("{word}  {:<8} {:>12}", step.name(), ui::time(*took)));
    }
    let failed: Vec<&str> =
        done.iter().filter(|(_, outcome, _)| matches!(outcome, Outcome::Failed(_))).map(|(step, ..)| step.name()).collect();
    if let Some(first) = failed.first() {
        ui::say(&format!("failed: {} (one step alone: cargo xtask test --only {first})", failed.join(", ")));
    }
    if let Some(line) = tally.line() {
        ui::say(&line);
    }
    if failed.is_empty() { Ok(()) } else { Err(ui::Told.into()) }
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Step::Fmt => "fmt",
            Step::Clippy => "clippy",
            Step::Test => "test",
            Step::Doc => "doc",
            Step::Vectors => "vectors",
            Step::Tidy => "tidy",
            Step::Wasm => "wasm",
            Step::Deny => "deny",
        }
    }

    fn run(self, args: &Args, tally: &mut Tally) -> Outcome {
        let result = match self {
            Step::Fmt => component("rustfmt", "fmt").and_then(|()| run::run(run::cargo().args(["fmt", "--all", "--check"]))),
            Step::Clippy => component("clippy", "clippy")
                .and_then(|()| run::run(run::cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))),
            Step::Test => judges(&args.rest).and_then(|()| runner::tests(&args.rest, tally)),
            Step::Doc if !args.rest.is_empty() => return Outcome::Skipped("arguments after -- are for the tests alone"),
            Step::Doc => runner::examples(tally),
            Step::Vectors => vectors::check_with_workspace(),
            Step::Tidy => tidy::run(),
            Step::Wasm => wasm::build_all(),
            Step::Deny => {
                let install = if args.all || run::in_ci() { deny::Install::WhenMissing } else { deny::Install::Never };
                match deny::check(&install) {
                    Ok(deny::Outcome::Skipped(why)) => return Outcome::Skipped(why),
                    Ok(deny::Outcome::Checked) => Ok(()),
                    Err(error) => Err(error),
                }
            }
        };
        result.map_or_else(Outcome::Failed, |()| Outcome::Passed)
    }
}

/// Installs what judges the pages, unless only other tests are asked for.
fn judges(rest: &[String]) -> Result<()> {
    if rest.is_empty() || rest.iter().any(|word| word.contains("pages")) { pages::install() } else { Ok(()) }
}

/// Says how to get a part of the Rust toolchain that is missing.
fn component(name: &str, subcommand: &str) -> Result<()> {
    if run::output(run::cargo().args([subcommand, "--version"])).is_err() {
        bail!("`cargo {subcommand}` is missing; type: rustup component add {name}");
    }
    Ok(())
}
