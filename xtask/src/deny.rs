//! cargo-deny: licences, bans and sources of everything we link (`deny.toml`).
//!
//! Advisories need a database from outside: they are checked only where one has been fetched (`cargo deny fetch`).

use crate::{packages, run, ui, workspace};
use anyhow::{Result, bail};
use std::path::PathBuf;
use std::process::Command;

/// What can be done about cargo-deny on this machine.
pub(crate) enum Install {
    /// Build it when it is not there (about three minutes on two cores).
    WhenMissing,
    /// Only use what is there.
    Never,
}

/// Whether the check ran, or why it did not.
pub(crate) enum Outcome {
    Checked,
    Skipped(&'static str),
}

/// Runs the checks with cargo-deny from the PATH, from our own folder of tools, or newly built into it.
pub(crate) fn check(install: &Install) -> Result<Outcome> {
    let program = match run::found("cargo-deny") {
        Some(program) => program,
        None => {
            let tool = packages::Tool { name: "cargo-deny", version: None };
            match tool.built()? {
                Some(program) => program,
                None if matches!(install, Install::WhenMissing) => tool.build()?,
                None => {
                    return Ok(Outcome::Skipped("cargo-deny is not installed; `cargo xtask test --all` builds it, about three minutes"));
                }
            }
        }
    };
    let mut kinds = vec!["bans", "licenses", "sources"];
    if has_advisories() {
        kinds.push("advisories");
    } else {
        ui::say("advisories: no database here, not checked (`cargo deny fetch` gets one)");
    }
    let status = Command::new(&program)
        .current_dir(workspace::root())
        .args(["--workspace", "--all-features", "check", "--hide-inclusion-graph"])
        .args(kinds)
        .status()?;
    if !status.success() {
        bail!("cargo-deny found something ({status}); deny.toml says what is allowed");
    }
    Ok(Outcome::Checked)
}

fn has_advisories() -> bool {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    home.and_then(|home| std::fs::read_dir(home.join("advisory-dbs")).ok()).is_some_and(|mut entries| entries.next().is_some())
}
