//! Fifty domains in one process: some simulated days of a bad network in a second, from a seed, and what must be true in the end.
//!
//! Each domain is a real server ([`mesh_server::router`]) over a real node with a store of its own; only its ports are played. Its clock is the simulation's,
//! up to 4 s wrong; its way out leads through `wire` instead of sockets, with requests signed by the server's own code; a few have their store in a folder, the
//! others in memory. People act by a plan that is made before the run (`weather`, `acts`); messages are lost, doubled, late and overtaken; parts of the network
//! are cut off; domains stop, are killed and come back; some lie (`hostile`, `forger`). Then all faults end, the domains have time until nothing waits, and
//! `check` compares what each honest one shows with what really happened (`oracle`).
//!
//! **How far a run is repeated by its seed.** The plan, the people, their keys and the fate of the n-th message between two domains follow from the seed alone.
//! Time is tokio's paused clock: it jumps when everybody waits, and stands still while a home appends. What happens at the same simulated moment is
//! done by several threads, whose order is the operating system's; so two runs of a seed are alike, but not equal in everything. A violation that shows with
//! a seed has shown again with it so far, though nothing promises it.
//!
//! Not simulated: sockets, name resolution, TLS, rates (a neighbour's requests are not counted), and clocks that differ by more than a signature tolerates.

mod acts;
mod check;
mod clock;
mod disk;
mod forger;
mod home;
mod hostile;
mod keys;
mod moves;
mod oracle;
mod weather;
mod wire;
mod world;

use std::time::Duration;
use world::World;

/// How much happens in a run.
#[derive(Debug, Clone)]
pub struct Scale {
    /// Domains.
    pub domains: usize,
    /// People of each.
    pub people: usize,
    /// Domains that lie; the first of them has no server at all.
    pub hostile: usize,
    /// Each so-manieth domain has its store in a folder.
    pub folder_every: usize,
    /// Simulated hours in which people act and things break.
    pub hours: u64,
    /// What people do.
    pub acts: u64,
    /// What the forger tries.
    pub forgeries: u64,
    /// How often a part of the network is cut off.
    pub cuts: u64,
}

impl Default for Scale {
    fn default() -> Self {
        Self { domains: 50, people: 2, hostile: 5, folder_every: 17, hours: 10, acts: 500, forgeries: 30, cuts: 5 }
    }
}

/// A fault in the system itself, or in what is looked at: that the checker sees it shows that it can see anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// Honest domains never deliver likes, and note that they did.
    LikesAreKept,
    /// A row with a foreign person's text in a key space that must hold none.
    ForeignText,
    /// A counter that says one more than its set holds.
    CounterIsWrong,
    /// A home shows other words than its people signed.
    WordsAreChanged,
    /// Who is put back from a backup goes on in the old log.
    NewLogIsForgotten,
    /// A home does not know any more that somebody moved away.
    MoveIsForgotten,
    /// A domain does not know any more what a foreign root key did.
    KeyOperationIsForgotten,
    /// A mirror has not kept what it promised to keep.
    CopyIsLost,
    /// A domain keeps a copy that nobody asked it to keep.
    CopyIsUnwanted,
}

/// How much was looked at: a run in which nothing happened proves nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Records that homes accepted.
    pub accepted: usize,
    /// Posts and comments whose sets and counters were compared.
    pub objects: usize,
    /// Statements in those sets.
    pub statements: usize,
    /// Timelines of followed authors that were compared between two domains.
    pub timelines: usize,
    /// Feeds that were read.
    pub feeds: usize,
    /// Key logs that were compared between two domains.
    pub key_logs: usize,
    /// People who live elsewhere than they began, and records of theirs for which only the present home answers.
    pub moved: usize,
    /// See `moved`.
    pub answered: usize,
    /// Records that were found at mirrors, with a proof that holds.
    pub mirrored: usize,
    /// Records that went down with a home.
    pub lost: usize,
    /// Domains that know all of a foreign key log with a fork in it, and came to the same end.
    pub forks: usize,
    /// Leaves of new logs of restored domains.
    pub new_leaves: u64,
    /// Records with a text that were verified.
    pub verified: usize,
    /// Own texts that were found in stores.
    pub own_texts: usize,
    /// Genuine records of the forger that were taken.
    pub genuine_of_forger: usize,
    /// Exchanges over the network.
    pub exchanges: u64,
}

/// What came of a run.
#[derive(Debug)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// What must not be.
    pub violations: Vec<String>,
    /// How much was looked at.
    pub seen: Seen,
    /// How long it took the domains.
    pub simulated: Duration,
}

/// Says how to repeat a run that panics.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("simulation: repeat this run with MESH_SEED={}", self.0);
        }
    }
}

/// Simulates one seed.
pub fn run(seed: u64, scale: &Scale) -> Report {
    run_with(seed, scale, None)
}

/// Simulates one seed, with a fault that must be found.
pub fn run_with(seed: u64, scale: &Scale, sabotage: Option<Sabotage>) -> Report {
    let _seed = Seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    let report = runtime.block_on(Box::pin(async {
        let mut world = World::begin(seed, scale, sabotage).await;
        world.live().await;
        world.come_to_rest().await;
        world.check(sabotage).await;
        world.end().await;
        let simulated = world.time.elapsed();
        let seen = world.seen();
        Report { seed, violations: std::mem::take(&mut world.violations), seen, simulated }
    }));
    runtime.shutdown_timeout(Duration::from_secs(10));
    report
}
