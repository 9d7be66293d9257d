//! `cargo xtask wasm`: the crates that browsers run, compiled for `wasm32-unknown-unknown`.
//!
//! It has its own target folder, so that it never invalidates the native build, and does nothing when nothing that
//! goes into it has changed since it last succeeded.

mod stamp;
mod toolchain;

use crate::{run, ui, workspace};
use anyhow::{Context, Result};
use std::time::Instant;
use toolchain::Choice;

/// Every crate that must compile for the browser.
const PACKAGES: &[&str] = &["mesh-proto"];

/// Arguments of `wasm`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Build even when nothing has changed
    #[arg(long)]
    force: bool,
    /// With which compiler
    #[arg(long, value_enum, default_value_t = Choice::Any)]
    with: Choice,
    /// The crates to build (default: all that browsers run)
    packages: Vec<String>,
}

/// Builds what the arguments name.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.packages.is_empty() { build(args, PACKAGES.iter().copied()) } else { build(args, args.packages.iter().map(String::as_str)) }
}

/// Builds all crates that browsers run, as the tests do.
pub(crate) fn build_all() -> Result<()> {
    run(&Args { force: false, with: Choice::Any, packages: Vec::new() })
}

fn build<'a>(args: &Args, packages: impl Iterator<Item = &'a str>) -> Result<()> {
    let way = toolchain::find_or_install(args.with)?;
    ui::say(&format!("compiling with {way}"));
    let workspace = workspace::load()?;
    let target = workspace.target_directory.join("wasm");
    for package in packages {
        let stamp = target.join(format!("{package}.stamp"));
        let inputs = stamp::of(&workspace, package, &way.to_string())?;
        if !args.force && std::fs::read_to_string(&stamp).is_ok_and(|known| known == inputs) {
            ui::say(&format!("{package}: unchanged since it was last built (--force builds it again)"));
            continue;
        }
        let start = Instant::now();
        let mut command = way.cargo();
        command.args(["build", "--release", "--target", toolchain::TARGET, "--package", package]).arg("--target-dir").arg(&target);
        run::run(&mut command)?;
        std::fs::write(&stamp, inputs).with_context(|| format!("cannot write {}", stamp.display()))?;
        ui::say(&format!("{package}: built for {} in {}", toolchain::TARGET, ui::time(start.elapsed())));
    }
    Ok(())
}
