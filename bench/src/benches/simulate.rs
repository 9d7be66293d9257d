//! Many runs of the simulation, on all cores: none may end with a violation.

use crate::report::{Bound, Report, progress};
use anyhow::Context;
use mesh_tests::Scale;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Runs between two reports.
const REPORT_EVERY: u64 = 50;
/// Violations of one run that are printed.
const SHOWN_MAX: usize = 5;

/// What came of the runs of one thread.
#[derive(Default)]
struct Sum {
    violations: u64,
    failed: Vec<u64>,
    accepted: u64,
    exchanges: u64,
    simulated_s: f64,
}

pub(crate) fn run(seeds: u64, first: u64) -> anyhow::Result<Report> {
    let began = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let next = AtomicU64::new(first);
    let sums = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| work(&next, first, first.saturating_add(seeds)))).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().ok().context("a run panicked: its seed stands above"))
            .collect::<anyhow::Result<Vec<_>>>()
    })?;
    let took_s = began.elapsed().as_secs_f64();
    let mut all = Sum::default();
    for sum in sums {
        all.violations += sum.violations;
        all.failed.extend(sum.failed);
        all.accepted += sum.accepted;
        all.exchanges += sum.exchanges;
        all.simulated_s += sum.simulated_s;
    }
    let mut report = Report::new("simulate");
    let Scale { domains, hostile, .. } = Scale::default();
    report.condition(format!("{domains} domains, {hostile} of them hostile; seeds from {first} on, {threads} side by side"));
    report.figure("violations", all.violations as f64, Bound::Most(0.0), "what must not be, in all runs");
    report.figure("seeds", seeds as f64, Bound::None, "runs");
    report.figure("failed", all.failed.len() as f64, Bound::None, "runs with violations");
    report.figure("seconds", took_s, Bound::None, "for all runs");
    report.figure("simulated_days", all.simulated_s / 86_400.0, Bound::None, "in all runs");
    report.figure("records", all.accepted as f64, Bound::None, "that homes accepted");
    report.figure("exchanges", all.exchanges as f64, Bound::None, "over the simulated network");
    Ok(report)
}

fn work(next: &AtomicU64, first: u64, end: u64) -> Sum {
    let mut sum = Sum::default();
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            return sum;
        }
        let report = mesh_tests::run(seed, &Scale::default());
        sum.accepted += report.seen.accepted as u64;
        sum.exchanges += report.seen.exchanges;
        sum.simulated_s += report.simulated.as_secs_f64();
        if !report.violations.is_empty() {
            sum.violations += report.violations.len() as u64;
            sum.failed.push(seed);
            progress(format!(
                "seed {seed}: {} violations; repeat with MESH_SEED={seed} cargo xtask bench simulate -- --seeds 1",
                report.violations.len()
            ));
            report.violations.iter().take(SHOWN_MAX).for_each(progress);
        }
        if (seed - first + 1).is_multiple_of(REPORT_EVERY) {
            progress(format!("{} runs begun", seed - first + 1));
        }
    }
}
