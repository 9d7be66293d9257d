//! Capturing a folder: of a running store by its housekeeper between two steps, of a stopped one under its lock.
//!
//! The tables are taken first, the journal after them. What a table holds was synced in the journal before, so the journal up to its present end, beginning at the
//! checkpoint, completes whatever the tables hold: opening the copy applies it again, as after a crash.

use std::fs::File;
use std::path::Path;

use super::journal::{JOURNAL_FOLDER, segment_path};
use super::keeper::JournalEnd;
use super::marks::{CHECKPOINT_FILE, Checkpoint, MARK_FILE};
use super::trees::{TREES_FOLDER, damaged};
use super::{inspect, lock};
use crate::capture::{Capture, Captured};
use crate::error::StoreError;
use crate::migrate::{self, FORMAT_FILE};
use crate::space::Space;

/// Captures the store of a folder that no process has open, and keeps it from being opened as long as the capture lives. Of a folder that never held a store nothing is
/// captured.
///
/// # Errors
/// `InUse`, `Corrupt` if it is damaged, `Io`.
pub fn capture_stopped(folder: &Path) -> Result<Capture, StoreError> {
    if !folder.exists() {
        return Ok(Capture::new(Vec::new(), ()));
    }
    let lock = lock(folder)?;
    let Some(checkpoint) = Checkpoint::read(folder)? else {
        migrate::check_unused(folder)?;
        return Ok(Capture::new(Vec::new(), lock));
    };
    let mut files = head(folder)?;
    let spaces = Space::ALL.iter().copied();
    for space in spaces.filter(|space| folder.join(TREES_FOLDER).join(space.name()).join("current").is_file()) {
        tree(folder, space, &mut files)?;
    }
    journal(folder, checkpoint.segment, None, &mut files)?;
    files.extend(small(folder, MARK_FILE)?);
    Ok(Capture::new(files, lock))
}

/// What tells how to read the rest.
pub(super) fn head(folder: &Path) -> Result<Vec<Captured>, StoreError> {
    Ok([small(folder, FORMAT_FILE)?, small(folder, CHECKPOINT_FILE)?].into_iter().flatten().collect())
}

/// A small file, if it is there.
fn small(folder: &Path, name: &str) -> Result<Option<Captured>, StoreError> {
    match std::fs::read(folder.join(name)) {
        Ok(content) => Ok(Some(Captured::memory(name, content))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io(format!("reading {name}"), error)),
    }
}

/// The present lists of a tree, and the tables that they name. Nobody may change the tree meanwhile.
pub(super) fn tree(folder: &Path, space: Space, files: &mut Vec<Captured>) -> Result<(), StoreError> {
    let name = format!("{TREES_FOLDER}/{}", space.name());
    let lists = inspect::Lists::read(&folder.join(&name)).map_err(|what| damaged(format!("in the tree {}, {what}", space.name())))?;
    for (id, checksum) in &lists.tables {
        let table = format!("{name}/tables/{id}");
        let captured = Captured::immutable(&table, folder.join(&table), *checksum);
        files.push(captured.map_err(|error| StoreError::io(format!("looking at {table}"), error))?);
    }
    files.push(Captured::memory(format!("{name}/v{}", lists.version), lists.list));
    files.push(Captured::memory(format!("{name}/current"), lists.current));
    Ok(())
}

/// The segments from `first` on, up to `end`; of a stopped store all of them, whole.
pub(super) fn journal(folder: &Path, first: u64, end: Option<JournalEnd>, files: &mut Vec<Captured>) -> Result<(), StoreError> {
    let mut number = first;
    while end.map_or_else(|| segment_path(folder, number).exists(), |end| number <= end.segment) {
        let path = segment_path(folder, number);
        let opened = File::open(&path).and_then(|file| file.metadata().map(|data| (file, data.len())));
        let (file, length) = opened.map_err(|error| StoreError::io(format!("opening journal segment {number}"), error))?;
        let length = end.filter(|end| end.segment == number).map_or(length, |end| end.size_bytes);
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        files.push(Captured::open_file(format!("{JOURNAL_FOLDER}/{name}"), file, length));
        number += 1;
    }
    Ok(())
}
