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
    let filter = tracing_subscriber::EnvFilter::try_from_env("MESHD_LOG").unwrap_or_else(|_| "info".into());
    let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    // A closed log must not end the server: what cannot be written is lost, and nothing else.
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).log_internal_errors(false);
    match std::env::var("MESHD_LOG_FORMAT").as_deref() {
        Ok("json") => log.json().flatten_event(true).init(),
        _ => log.with_ansi(is_terminal).init(),
    }
    match arguments.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
