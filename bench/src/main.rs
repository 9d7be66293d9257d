//! `mesh-bench`: what MESH costs.
//!
//! Each bench starts the real `meshd` as a child process and loads it from this one, so that making load never counts as the server's time. It
//! prints a table for people, and as its last line `{"bench":NAME,"figures":{…}}`. Ratios and CPU time bind; wall times depend on the machine
//! and are only reported.

mod baseline;
mod benches;
mod content;
mod crowd;
mod http;
mod people;
mod prefill;
mod process;
mod proofs;
mod report;
mod sender;
mod server;
mod source;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

#[derive(Parser)]
#[command(name = "mesh-bench", about = "What MESH costs: each bench prints a table and one line of JSON")]
struct Arguments {
    /// Name the benches
    #[arg(long)]
    list: bool,
    #[command(subcommand)]
    bench: Option<Bench>,
}

/// What every bench may be told.
#[derive(Args, Clone)]
struct Options {
    /// Seconds to measure
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// References in the store, or texts in the index, before measuring
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Make the prefilled store anew
    #[arg(long)]
    fresh: bool,
}

#[derive(Subcommand)]
enum Bench {
    /// Records of other domains, through the whole receiving path
    Ingest(Options),
    /// What was missed while away, pulled at the start
    Catchup(Options),
    /// Records of own people, one at a time over HTTP
    Write(Options),
    /// Pages of a feed with 1,000 subscriptions
    Feed(Options),
    /// Pages of a thread with 10,000 comments
    Thread(Options),
    /// A post's page while it is liked, against nginx; a site map
    Page(Options),
    /// Memory and start of an idle server
    Idle(Options),
    /// Bytes on disk for each reference
    Disk(Options),
    /// Backups beside a plain copy, and what writers notice of them
    Backup(Options),
    /// Two homes with a million records in common that differ in a hundred
    Heal(Options),
    /// The search engine over short texts, beside SQLite FTS5
    Search(Options),
    /// Nothing acknowledged is lost by kill -9
    Crash {
        /// How many times the server is killed
        #[arg(long, default_value_t = 1_000)]
        cycles: u64,
    },
    /// Fifty domains in a simulated network, many times over
    Simulate {
        /// How many runs
        #[arg(long, default_value_t = 1_000)]
        seeds: u64,
        /// The seed of the first run
        #[arg(long, env = "MESH_SEED", default_value_t = 1)]
        first: u64,
    },
    /// The part of `write` that has no HTTP, in a process of its own
    #[command(hide = true)]
    Waiters {
        /// The data folder
        data: PathBuf,
    },
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(async {
        match arguments.bench {
            _ if arguments.list => report::list(),
            None => report::list(),
            Some(Bench::Ingest(options)) => benches::ingest::run(&options).await?.print(),
            Some(Bench::Catchup(options)) => benches::catchup::run(&options).await?.print(),
            Some(Bench::Write(options)) => benches::write::run(&options).await?.print(),
            Some(Bench::Feed(options)) => benches::feed::run(&options).await?.print(),
            Some(Bench::Thread(options)) => benches::thread::run(&options).await?.print(),
            Some(Bench::Page(options)) => benches::page::run(&options).await?.print(),
            Some(Bench::Idle(options)) => benches::idle::run(&options).await?.print(),
            Some(Bench::Disk(options)) => benches::disk::run(&options).await?.print(),
            Some(Bench::Backup(options)) => benches::backup::run(&options).await?.print(),
            Some(Bench::Heal(options)) => benches::heal::run(&options).await?.print(),
            Some(Bench::Search(options)) => benches::search::run(&options)?.print(),
            Some(Bench::Crash { cycles }) => benches::crash::run(cycles).await?.print(),
            Some(Bench::Simulate { seeds, first }) => benches::simulate::run(seeds, first)?.print(),
            Some(Bench::Waiters { data }) => benches::waiters::run(&data).await?,
        }
        Ok(())
    })
}
