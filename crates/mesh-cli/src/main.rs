//! `mesh`: the MESH network on the command line.
//!
//! stdout is data, stderr is talk. Nothing is asked off a terminal. Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 signature or
//! verification failed, 5 network, 6 permission. All printing goes through [`out`].

mod changes;
mod cli;
mod commands;
mod context;
mod editor;
mod fault;
mod out;
mod phrase;
mod safe;
mod sieve;
mod terminal;
mod text;
mod time;
mod tui;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let out = out::Out::new(cli.global.format());
    let result = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(commands::run(cli, &out)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fault::report(&error, &out),
    }
}
