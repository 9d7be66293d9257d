//! `cargo xtask`: the only task runner of MESH.
//!
//! One file per command. Nothing here knows the protocol: it builds, starts and checks what the other crates are.

mod bench;
mod deb;
mod deny;
mod packages;
mod pages;
mod run;
mod test;
mod tidy;
mod ui;
mod up;
mod vectors;
mod wasm;
mod workspace;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Build, start, test and check MESH")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Start two domains on this machine, with people and posts, until Ctrl-C
    Up(up::Args),
    /// Install what the tests need and run all of them
    Test(test::Args),
    /// Check the rules of the house: levels, sizes, sources, documents
    Tidy,
    /// Check spec/vectors against mesh-proto
    Vectors(vectors::Args),
    /// Build the protocol for the browser (wasm32-unknown-unknown)
    Wasm(wasm::Args),
    /// Judge the public pages: validators, a real browser, Lighthouse
    Pages(pages::Args),
    /// Build the Debian packages, and try them on a machine made for it
    Deb(deb::Args),
    /// Measure; without a name, list what can be measured
    Bench(bench::Args),
    /// Become another program that ends when its parent does
    #[command(hide = true)]
    Tether(up::tether::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Up(args) => up::run(&args),
        Task::Test(args) => test::run(&args),
        Task::Tidy => tidy::run(),
        Task::Vectors(args) => vectors::run(&args),
        Task::Wasm(args) => wasm::run(&args),
        Task::Pages(args) => pages::run(&args),
        Task::Deb(args) => deb::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::Tether(args) => up::tether::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<ui::Told>() => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
