//! `cargo xtask bench NAME`: release builds of the programs, then `mesh-bench NAME`.

use crate::packages::{self, Need};
use crate::run;
use anyhow::Result;

/// Arguments of `bench`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to measure; without it, the list
    name: Option<String>,
    /// Passed on to the bench
    #[arg(last = true)]
    rest: Vec<String>,
}

/// Builds, then measures or lists.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.name.as_deref() == Some("page") {
        packages::ensure(&[Need { program: "nginx", package: "nginx-light", why: "the bench compares with it" }])?;
    }
    run::run(run::cargo().args(["build", "--release", "--package", "mesh-bench"]))?;
    if args.name.as_deref().is_some_and(|name| !matches!(name, "simulate" | "search")) {
        // A bench starts real servers and clients: the same binaries that people run. Built by themselves, else they would have what the simulation
        // needs of tokio and the store.
        run::run(run::cargo().args(["build", "--release", "--package", "mesh-server", "--package", "mesh-cli"]))?;
    }
    let mut bench = run::program(&crate::workspace::load()?.target_directory.join("release/mesh-bench").to_string_lossy());
    match &args.name {
        Some(name) => bench.arg(name).args(&args.rest),
        None => bench.arg("--list"),
    };
    run::run(&mut bench)
}
