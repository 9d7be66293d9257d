//! Measures the durable engine: `cargo run --release -p mesh-store --example measure -- FOLDER [COMMITS] [WAITERS]`.
//!
//! The load is one reference record a commit: three puts of 30 to 70 bytes and two additions to hot counters, from many waiting tasks.
//! Says commits a second, CPU time a commit (all threads, waiters included), memory, time to open, and bytes on disk.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mesh_store::{Batch, Config, FjallStore, KeyRange, Kv, Order, Space};

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("name a folder")?;
    let commits: u64 = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let waiters: u64 = arguments.next().map_or(Ok(64), |text| text.parse())?;
    let folder = Path::new(&folder);

    let (store, opened) = open(folder)?;
    say(&format!("open, empty: {opened:?}; memory {} kB", memory_kb()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
    let (start, cpu) = (Instant::now(), cpu_time());
    runtime.block_on(load(&store, commits, waiters))?;
    let (elapsed, cpu) = (start.elapsed(), cpu_time() - cpu);
    say(&format!(
        "{commits} commits by {waiters} waiters: {:.0}/s, {:.1} us of CPU each; memory {} kB",
        commits as f64 / elapsed.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / commits as f64,
        memory_kb()
    ))?;
    say(&format!("{:?}", store.status()))?;
    read(&*store, commits)?;
    drop(runtime);

    let start = Instant::now();
    drop(store);
    say(&format!("close: {:?}", start.elapsed()))?;
    let (store, opened) = open(folder)?;
    say(&format!("open, full: {opened:?}; memory {} kB", memory_kb()))?;
    let start = Instant::now();
    store.compact()?;
    say(&format!("compact: {:?}; {:?}", start.elapsed(), store.status()))?;
    read(&*store, commits)
}

fn open(folder: &Path) -> Result<(Arc<FjallStore>, Duration), Failure> {
    let start = Instant::now();
    let store = FjallStore::open(folder, Config::default())?;
    Ok((Arc::new(store), start.elapsed()))
}

async fn load(store: &Arc<FjallStore>, commits: u64, waiters: u64) -> Result<(), Failure> {
    let tasks: Vec<_> = (0..waiters)
        .map(|waiter| {
            let store = Arc::clone(store);
            tokio::spawn(async move {
                for n in (waiter..commits).step_by(waiters as usize) {
                    store.commit(record(n)).await?;
                }
                Ok::<(), Failure>(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}

fn space(number: usize) -> Space {
    Space::ALL[number % Space::ALL.len()]
}

fn hash(n: u64) -> [u8; 32] {
    *blake3::hash(&n.to_be_bytes()).as_bytes()
}

/// A row under a dense id, its hash, and an entry of a timeline.
fn record(n: u64) -> Batch {
    let (id, hash, mut batch) = (n.to_be_bytes(), hash(n), Batch::new());
    batch.expect_absent(space(11), &hash[..16]);
    batch.put(space(10), id, [&hash[..], &hash[..16]].concat()).put(space(11), &hash[..16], id);
    batch.put(space(14), [&(n % 1000).to_be_bytes()[..], &id[..]].concat(), &hash[..24]);
    batch.add(space(15), (n % 50).to_be_bytes(), 1).add(space(16), (n % 7).to_be_bytes(), 1);
    batch
}

fn read(store: &dyn Kv, commits: u64) -> Result<(), Failure> {
    let (start, count) = (Instant::now(), 100_000);
    for n in 0..count {
        let n = n * 7919 % commits;
        let found = store.get(space(11), &hash(n)[..16])?;
        assert_eq!(found.as_deref(), Some(&n.to_be_bytes()[..]));
    }
    let get = start.elapsed() / count as u32;
    let (start, count) = (Instant::now(), 2_000);
    for n in 0..count {
        let author = ((n * 31) % 1000_u64).to_be_bytes();
        let page = store.scan(space(14), &KeyRange::prefix(author), Order::Backward, 50)?;
        assert!(page.len() == 50 || commits < 50_000);
    }
    say(&format!("get: {get:?}; page of 50: {:?}", start.elapsed() / count as u32))
}

fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Fields 14 and 15, in hundredths of a second; the name in field 2 may hold spaces.
    let fields = text.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

fn memory_kb() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn say(line: &str) -> Result<(), Failure> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}
