//! `cargo xtask pages`: what judges the public pages, installed; then the judges, and Lighthouse, which needs a machine that is not busy.

use crate::packages::{self, Need};
use crate::{run, ui, workspace};
use anyhow::{Context, Result};
use std::path::PathBuf;

/// What the judges run on.
const NEEDS: &[Need] = &[
    Need { program: "node", package: "nodejs", why: "html-validate and axe-core judge the pages" },
    Need { program: "npm", package: "npm", why: "brings them, in the versions of tests/pages/package-lock.json" },
    Need { program: "java", package: "openjdk-17-jre-headless", why: "the Nu Html Checker judges the pages" },
    Need { program: "chromium", package: "chromium", why: "the pages are looked at in a real browser" },
    Need { program: "w3m", package: "w3m", why: "the pages are read in a browser without graphics" },
];

/// Arguments of `pages`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Put pictures of all pages into this folder
    #[arg(long)]
    shots: Option<PathBuf>,
}

/// Runs the judges, Lighthouse included.
pub(crate) fn run(args: &Args) -> Result<()> {
    install()?;
    let mut command = run::cargo();
    match run::found("cargo-nextest") {
        Some(_) => {
            command.args([
                "nextest",
                "run",
                "--package",
                "mesh-tests",
                "--run-ignored",
                "all",
                "--no-capture",
                "-E",
                "test(people::pages::)",
            ]);
        }
        None => {
            command.args(["test", "--package", "mesh-tests", "--test", "it", "people::pages::", "--", "--include-ignored", "--nocapture"]);
        }
    }
    if let Some(shots) = &args.shots {
        std::fs::create_dir_all(shots).with_context(|| format!("cannot make {}", shots.display()))?;
        command.env("MESH_SHOTS", std::fs::canonicalize(shots)?);
    }
    run::run(&mut command)
}

/// Installs what judges the pages; does nothing when all is there.
pub(crate) fn install() -> Result<()> {
    packages::ensure(NEEDS)?;
    let folder = workspace::root().join("tests/pages");
    let lock = std::fs::read(folder.join("package-lock.json")).context("tests/pages has no package-lock.json")?;
    let stamp = folder.join("node_modules/.installed-lock.json");
    if std::fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    ui::say("installing the validators of tests/pages");
    // They are programs that are run, not built: no package's own scripts are needed, and none runs.
    run::run(run::program("npm").args(["ci", "--ignore-scripts", "--no-fund", "--no-audit"]).current_dir(&folder))?;
    std::fs::write(&stamp, lock).with_context(|| format!("cannot write {}", stamp.display()))
}
