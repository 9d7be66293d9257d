//! What processes and threads cost.

use anyhow::Context;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// The CPU time that a process took so far, in user and in kernel mode, all threads together. Its unit is a tick of 10 ms.
pub(crate) fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("the process is gone")?;
    // The name stands in parentheses and may hold anything.
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let mut ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u64>);
    let (Some(Ok(user)), Some(Ok(system))) = (ticks.next(), ticks.next()) else { anyhow::bail!("/proc/{pid}/stat is not understood") };
    Ok(Duration::from_millis((user + system) * 1000 / rustix::param::clock_ticks_per_second()))
}

/// The CPU time that this thread took so far.
pub(crate) fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// The memory of a process that is in RAM, megabytes.
pub(crate) fn rss_mb(pid: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("the process is gone")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse().context("VmRSS is not a number")?;
    Ok(kilobytes / 1024.0)
}
