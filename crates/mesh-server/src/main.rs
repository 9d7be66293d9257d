//! `meshd`: a MESH home server.
#![expect(clippy::print_stdout, reason = "what the commands answer is data for people and scripts")]

mod commands;

use clap::Parser;
use std::process::ExitCode;

/// Memory is taken by one thread and given back by another all the time: this costs a third of what the system's allocator takes for it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = commands::Arguments::parse();
    commands::log::begin();
    let logs = arguments.logs();
    match arguments.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if logs => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("meshd: {error:#}");
            ExitCode::FAILURE
        }
    }
}
