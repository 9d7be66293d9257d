//! Which layout a data folder has, and whether it is whole: the stamp `version.toml`, and the marks that a restore and an upgrade leave while they are at work.

use super::STORE_FOLDER;
use crate::SOFTWARE;
use anyhow::{Context, bail};
use mesh_store::files::{Files, OsFiles};
use mesh_store::migrate;
use serde::{Deserialize, Serialize};
use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

/// The format of data folders that this program reads and writes. Folders without a stamp have format 1.
pub const FORMAT: u32 = 2;

pub(crate) const STAMP_FILE: &str = "version.toml";
/// There while a restore into the folder is not finished.
pub(crate) const RESTORING_FILE: &str = "restoring";
/// There while an upgrade is not finished.
pub(crate) const UPGRADING_FILE: &str = "upgrading";

/// `version.toml`.
#[derive(Serialize, Deserialize)]
struct Stamp {
    format: u32,
    written_by: String,
}

/// Says that a folder has a format, durably.
pub(crate) fn write(root: &Path, format: u32) -> anyhow::Result<()> {
    let header = "# The layout of this data folder. `meshd upgrade` changes it; do not edit it.\n";
    let stamp = toml::to_string(&Stamp { format, written_by: SOFTWARE.to_owned() })?;
    OsFiles.replace(&root.join(STAMP_FILE), format!("{header}{stamp}").as_bytes()).with_context(|| format!("cannot write {STAMP_FILE}"))
}

/// The format of a folder, and what wrote it so.
fn read(root: &Path) -> anyhow::Result<(u32, Option<String>)> {
    match std::fs::read_to_string(root.join(STAMP_FILE)) {
        Ok(text) => {
            let stamp: Stamp = toml::from_str(&text).with_context(|| format!("{STAMP_FILE} is damaged: put it back from a backup"))?;
            Ok((stamp.format, Some(stamp.written_by)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((1, None)),
        Err(error) => Err(error).with_context(|| format!("cannot read {STAMP_FILE}")),
    }
}

/// The format of a folder.
pub(crate) fn format(root: &Path) -> anyhow::Result<u32> {
    read(root).map(|(format, _)| format)
}

/// What a folder needs before it can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing.
    Current,
    /// It has an older format, this one.
    Older(u32),
}

/// Looks whether a folder is whole, and no newer than this program.
///
/// # Errors
/// A restore into it did not finish; it is of a newer format; it cannot be read.
pub fn state(root: &Path) -> anyhow::Result<State> {
    if root.join(RESTORING_FILE).exists() {
        bail!("a restore into {} did not finish: run `meshd restore` again, it begins anew", root.display());
    }
    let (format, by) = read(root)?;
    if format > FORMAT {
        let by = by.unwrap_or_default();
        bail!(
            "{} has format {format}, written by {by}; this is {SOFTWARE}, which knows formats up to {FORMAT}: use the newer program, or restore a backup that was \
             made before the upgrade",
            root.display()
        );
    }
    let store = migrate::read(&root.join(STORE_FOLDER))?.unwrap_or(migrate::FORMAT);
    // A store that is too new says so itself when it is opened.
    let older = format < FORMAT || store < migrate::FORMAT || root.join(UPGRADING_FILE).exists();
    Ok(if older { State::Older(format) } else { State::Current })
}

/// Brings the store of a folder that nobody has open to the newest format. Each step can be interrupted and run again.
pub(crate) fn upgrade_store(root: &Path) -> anyhow::Result<()> {
    let store = root.join(STORE_FOLDER);
    if store.exists() {
        migrate::run(&OsFiles, &store, migrate::STEPS)?;
    }
    Ok(())
}

/// Bytes that can be written to the file system of a path.
pub(crate) fn free_bytes(path: &Path) -> anyhow::Result<u64> {
    OsFiles.free_bytes(path).with_context(|| format!("cannot ask how much room {} has", path.display()))
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> anyhow::Result<()> {
    OsFiles.sync_folder(path).with_context(|| format!("cannot sync {}", path.display()))
}

/// A file that says what goes on, locked by whoever does it. It stays behind if that process dies.
pub(crate) struct Mark(File);

impl Mark {
    /// Makes the mark, durably, or takes over one that was left behind.
    pub(crate) fn set(root: &Path, name: &str, what: &str) -> anyhow::Result<Self> {
        let path = root.join(name);
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.with_context(|| format!("cannot write {}: do you own the folder?", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("another {what} of {} is at work: wait until it is done", root.display()),
            Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("cannot lock {}", path.display())),
        }
        file.sync_all()?;
        sync_folder(root)?;
        Ok(Self(file))
    }

    /// Takes it away, durably: what it stood for is done.
    pub(crate) fn remove(self, root: &Path, name: &str) -> anyhow::Result<()> {
        std::fs::remove_file(root.join(name)).with_context(|| format!("cannot remove {name}"))?;
        sync_folder(root)?;
        drop(self.0);
        Ok(())
    }
}
