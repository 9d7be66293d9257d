//! Upgrading a data folder: forward only, a step at a time, after a backup. Each step can be interrupted at any moment and run again; its number is written after it. The
//! mark `upgrading` says that the backup is made and the steps have begun: whoever finds it goes on with the steps.

use super::backup::{self, Told};
use crate::config::stamp::{self, Mark, UPGRADING_FILE};
use crate::config::{self, FORMAT, State, state};
use anyhow::Context;
use serde::Serialize;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where the backup goes if nobody says otherwise, in the data folder.
const BACKUPS_FOLDER: &str = "before-upgrade";

/// From a format of the data folder to the next.
struct Step {
    from: u32,
    what: &'static str,
    run: fn(&Path) -> anyhow::Result<()>,
}

/// All steps, in order.
const STEPS: &[Step] = &[Step { from: 1, what: "closes the folder to other users of the machine", run: close_to_others }];

/// Format 1 was readable for everybody on the machine, but for the keys.
fn close_to_others(root: &Path) -> anyhow::Result<()> {
    let mode = std::fs::metadata(root)?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let closed = std::fs::set_permissions(root, std::fs::Permissions::from_mode(mode & 0o700));
    closed.with_context(|| {
        format!("cannot make {0} its owner's alone: run `chmod 700 {0}` as whoever owns it, then upgrade again", root.display())
    })
}

/// What an upgrade did.
#[derive(Debug, Serialize)]
pub struct Upgraded {
    /// The format before.
    pub from: u32,
    /// The format now.
    pub to: u32,
    /// The backup that was made before, unless there was nothing to do or an interrupted upgrade went on.
    pub backup: Option<PathBuf>,
}

/// Brings a data folder whose server does not run to the format of this program. Blocks.
///
/// # Errors
/// It is newer, in use, or half restored; there is no room for the backup; a step fails. Running it again goes on where it stopped.
pub fn run(root: &Path, backup_to: Option<&Path>, told: Told) -> anyhow::Result<Upgraded> {
    let state = state(root)?;
    config::load(root)?;
    let State::Older(from) = state else { return Ok(Upgraded { from: FORMAT, to: FORMAT, backup: None }) };
    let begun = root.join(UPGRADING_FILE).exists();
    let backup = if begun { None } else { Some(back_up(root, backup_to, told)?) };
    let mark = Mark::set(root, UPGRADING_FILE, "upgrade")?;
    steps(root)?;
    mark.remove(root, UPGRADING_FILE)?;
    tracing::info!(folder.format = FORMAT, "upgrade.done");
    Ok(Upgraded { from, to: FORMAT, backup })
}

fn back_up(root: &Path, backup_to: Option<&Path>, told: Told) -> anyhow::Result<PathBuf> {
    let inside = root.join(BACKUPS_FOLDER);
    if backup_to.is_none() {
        config::make_private(&inside)?;
    }
    let to = backup_to.unwrap_or(&inside);
    let made = backup::make_stopped(root, to, told);
    let made =
        made.context("the backup before the upgrade was not made, and nothing was changed (`--backup-to` names another place for it)")?;
    tracing::info!(backup.file = %made.file.display(), "upgrade.backed_up");
    Ok(made.file)
}

/// Takes all steps that a folder which nobody has open still needs.
pub(super) fn steps(root: &Path) -> anyhow::Result<()> {
    stamp::upgrade_store(root)?;
    for step in STEPS {
        if stamp::format(root)? == step.from {
            tracing::info!(folder.format = step.from, folder.step = step.what, "upgrade.step");
            (step.run)(root)
                .with_context(|| format!("the step from format {} failed: mend that, then run `meshd upgrade` again", step.from))?;
            stamp::write(root, step.from + 1)?;
        }
    }
    Ok(())
}
