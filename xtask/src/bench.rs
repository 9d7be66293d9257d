//! `cargo xtask bench NAME`: release builds of the programs, then `mesh-bench NAME`.

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
    let mut build = run::cargo();
    build.args(["build", "--release", "--package", "mesh-bench"]);
    if args.name.is_some() {
        // A bench starts real servers and clients: the same binaries that people run.
        build.args(["--package", "mesh-server", "--package", "mesh-cli"]);
    }
    run::run(&mut build)?;
    let mut bench = run::program(&crate::workspace::load()?.target_directory.join("release/mesh-bench").to_string_lossy());
    match &args.name {
        Some(name) => bench.arg(name).args(&args.rest),
        None => bench.arg("--list"),
    };
    run::run(&mut bench)
}
