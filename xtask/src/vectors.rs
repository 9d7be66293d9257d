//! `cargo xtask vectors`: the cases of `spec/vectors` against mesh-proto.
//!
//! The cases themselves are read by mesh-proto's own integration test `vectors`; this only starts it.

use crate::run;
use anyhow::Result;

/// Arguments of `vectors`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write the vectors anew from mesh-proto instead of checking them
    #[arg(long)]
    write: bool,
}

/// Checks the vectors, or writes them.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut command = run::cargo();
    command.args(["test", "--package", "mesh-proto", "--test", "it", "vectors"]);
    if args.write {
        command.env("MESH_WRITE_VECTORS", "1");
    }
    run::run(&mut command)
}

/// The same check as a step of `test`: built with the whole workspace, so that nothing is compiled a second time.
pub(crate) fn check_with_workspace() -> Result<()> {
    let mut command = run::cargo();
    if run::found("cargo-nextest").is_some() {
        command.args(["nextest", "run", "--workspace", "-E", "package(mesh-proto) & binary(it) & test(vectors)"]);
    } else {
        command.args(["test", "--workspace", "--test", "it", "vectors"]);
    }
    run::run(&mut command)
}
