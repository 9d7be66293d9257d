//! How a bench tells what it found.
#![expect(clippy::print_stdout, reason = "the report is what a bench is run for")]

use crate::Arguments;
use clap::CommandFactory;
use std::time::Duration;

/// What a figure must keep.
#[derive(Clone, Copy)]
pub(crate) enum Bound {
    /// At least this.
    Least(f64),
    /// At most this.
    Most(f64),
    /// Reported only.
    None,
}

struct Figure {
    name: &'static str,
    value: f64,
    bound: Bound,
    meaning: String,
}

/// The figures of one bench.
pub(crate) struct Report {
    bench: &'static str,
    conditions: Vec<String>,
    figures: Vec<Figure>,
}

impl Report {
    pub(crate) fn new(bench: &'static str) -> Self {
        Self { bench, conditions: Vec::new(), figures: Vec::new() }
    }

    /// Says under what conditions the figures were found.
    pub(crate) fn condition(&mut self, text: impl Into<String>) {
        self.conditions.push(text.into());
    }

    /// Adds a figure.
    pub(crate) fn figure(&mut self, name: &'static str, value: f64, bound: Bound, meaning: impl Into<String>) {
        self.figures.push(Figure { name, value, bound, meaning: meaning.into() });
    }

    /// Adds the middle and the slow end of what single exchanges took.
    pub(crate) fn latencies(&mut self, taken: &mut [Duration], what: &str) {
        for (name, per_cent) in [("p50_ms", 50), ("p99_ms", 99)] {
            let value = percentile_ms(taken, per_cent);
            self.figure(name, value, Bound::None, format!("{per_cent} of 100 {what} take at most this"));
        }
    }

    /// Prints the table, then the line for machines.
    pub(crate) fn print(&self) {
        println!("{}", self.bench);
        for condition in &self.conditions {
            println!("  {condition}");
        }
        for figure in &self.figures {
            let (bound, kept) = match figure.bound {
                Bound::Least(least) => (format!(">= {least}"), Some(figure.value >= least)),
                Bound::Most(most) => (format!("<= {most}"), Some(figure.value <= most)),
                Bound::None => (String::new(), None),
            };
            let verdict = kept.map_or("", |kept| if kept { "ok" } else { "MISSED" });
            println!("  {:<24} {:>12} {:<8} {:<7} {}", figure.name, rounded(figure.value), bound, verdict, figure.meaning);
        }
        let figures: serde_json::Map<String, serde_json::Value> = self
            .figures
            .iter()
            .map(|figure| (figure.name.to_owned(), rounded(figure.value).parse::<f64>().unwrap_or_default().into()))
            .collect();
        println!("{}", serde_json::json!({ "bench": self.bench, "figures": figures }));
    }
}

/// What so many of a hundred take at most, milliseconds.
pub(crate) fn percentile_ms(taken: &mut [Duration], per_cent: usize) -> f64 {
    taken.sort_unstable();
    taken.get(taken.len().saturating_sub(1) * per_cent / 100).map_or(0.0, |taken| taken.as_secs_f64() * 1000.0)
}

fn rounded(value: f64) -> String {
    match value.abs() {
        large if large >= 1_000.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

/// Names the benches.
pub(crate) fn list() {
    for bench in Arguments::command().get_subcommands().filter(|bench| !bench.is_hide_set()) {
        println!("{:<8} {}", bench.get_name(), bench.get_about().map(ToString::to_string).unwrap_or_default());
    }
}

/// Says what goes on while it takes long.
pub(crate) fn progress(text: impl AsRef<str>) {
    use std::io::Write;
    // Nobody may be watching.
    let _ = writeln!(std::io::stderr(), "  … {}", text.as_ref());
}
