//! Restoring: an archive becomes a data folder, into an empty place only. The folder carries a mark until everything was read, synced and checked; as long as it does,
//! nothing serves it, and the next restore into it begins anew.

use super::backup::archive::{Entry, Head, Reader, Sink, Taken};
use super::backup::{self, About, Progress, Told};
use super::upgrade;
use crate::config::stamp::{self, Mark, RESTORING_FILE};
use crate::config::{self, FORMAT, Folder};
use crate::{SOFTWARE, serve};
use anyhow::{Context, bail};
use mesh_node::log::Checked;
use mesh_proto::log::Origin;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What stays free on the disk after a restore: less, and the server would refuse writes.
const RESERVE_BYTES: u64 = 128 * 1024 * 1024;
/// After so many bytes they are synced.
const SYNC_BYTES: u64 = 16 * 1024 * 1024;
/// What a folder may hold and still count as empty: the root of a file system has it.
const LOST_AND_FOUND: &str = "lost+found";

/// How the restored domain goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoOn {
    /// In a new log: others may have seen more of the old one than the archive holds.
    InNewLog,
    /// In the old log: the old server was stopped before the backup was made, and never started again.
    AsItWas,
}

/// What was restored.
#[derive(Debug, Serialize)]
pub struct Restored {
    /// What the archive says about itself.
    pub about: About,
    /// Rows that were read.
    pub rows: u64,
    /// Leaves of the domain's logs that were counted up again.
    pub leaves: u64,
    /// The log in which the domain goes on.
    pub log: Origin,
    /// Whether that log is new.
    pub log_is_new: bool,
}

/// Restores an archive into an empty or absent folder. Blocks.
///
/// # Errors
/// The folder is in use, the archive damaged, the disk full, what is in the archive contradicts itself. The folder cannot be used then, and `restore` can be run again.
pub fn run(from: &Path, root: &Path, go_on: GoOn, told: Told) -> anyhow::Result<Restored> {
    let reader = backup::open(from)?;
    let about = About::from(reader.head());
    if about.format > FORMAT {
        bail!(
            "the backup is of format {}, made by {}; this is {SOFTWARE}, which knows formats up to {FORMAT}: use the newer program",
            about.format,
            about.software
        );
    }
    if (go_on, about.taken) == (GoOn::AsItWas, Taken::Running) {
        bail!("the backup was made while the server ran, so others may have seen more than it holds: restore it without `--as-it-was`");
    }
    let mark = prepare(root)?;
    check_room(root, about.size_bytes)?;
    unpack(reader, root, told)?;
    if about.format < FORMAT {
        tracing::info!(folder.format = about.format, "restore.upgrading");
    }
    upgrade::steps(root)?;
    let folder = config::load(root).context("the backup holds no usable configuration and keys")?;
    tracing::info!("restore.checking");
    let (checked, log, log_is_new) = look_through(&folder, go_on)?;
    mark.remove(root, RESTORING_FILE)?;
    Ok(Restored { about, rows: checked.rows, leaves: checked.leaves, log, log_is_new })
}

/// Makes the folder, or takes an empty one, or one in which a restore did not finish.
fn prepare(root: &Path) -> anyhow::Result<Mark> {
    config::make_private(root)?;
    let entries = || std::fs::read_dir(root).with_context(|| format!("cannot look into {}", root.display()));
    let begun = root.join(RESTORING_FILE).exists();
    for entry in entries()? {
        if !begun && entry?.file_name() != LOST_AND_FOUND {
            bail!("{} is not empty: a backup is restored into an empty or a new folder only. Name another one", root.display());
        }
    }
    let mark = Mark::set(root, RESTORING_FILE, "restore")?;
    for entry in entries()? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_name() == RESTORING_FILE || entry.file_name() == LOST_AND_FOUND {
            continue;
        }
        let removed = if entry.file_type()?.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        removed.with_context(|| format!("cannot remove {}, which is left of a restore that did not finish", path.display()))?;
    }
    Ok(mark)
}

fn check_room(root: &Path, size_bytes: u64) -> anyhow::Result<()> {
    let (free, needed) = (stamp::free_bytes(root)?, size_bytes + RESERVE_BYTES);
    if free < needed {
        let megabytes = |bytes: u64| bytes.div_ceil(1024 * 1024);
        bail!(
            "the restored folder takes {} MB, and there are {} MB free: make room, then restore again",
            megabytes(needed),
            megabytes(free)
        );
    }
    Ok(())
}

fn unpack(reader: Reader<impl Read>, root: &Path, told: Told) -> anyhow::Result<Head> {
    let progress = Progress { done_bytes: 0, total_bytes: reader.head().size_bytes() };
    let mut sink = Unpacking { root, file: None, unsynced: 0, folders: BTreeSet::from([root.to_owned()]), progress, told };
    let head = reader.unpack(&mut sink)?;
    for folder in &sink.folders {
        stamp::sync_folder(folder)?;
    }
    Ok(head)
}

/// Puts files into the folder, each its owner's alone and synced.
struct Unpacking<'a> {
    root: &'a Path,
    file: Option<(File, String)>,
    unsynced: u64,
    folders: BTreeSet<PathBuf>,
    progress: Progress,
    told: Told,
}

impl Sink for Unpacking<'_> {
    fn begin(&mut self, file: &Entry) -> anyhow::Result<()> {
        let path = self.root.join(&file.name);
        for folder in path.ancestors().skip(1).take_while(|folder| *folder != self.root) {
            self.folders.insert(folder.to_owned());
        }
        if let Some(parent) = path.parent() {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(parent);
            made.map_err(|error| failed(error, &file.name))?;
        }
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        self.file = Some((made.map_err(|error| failed(error, &file.name))?, file.name.clone()));
        self.unsynced = 0;
        Ok(())
    }

    fn data(&mut self, piece: &[u8]) -> anyhow::Result<()> {
        let Some((file, name)) = &mut self.file else { return Ok(()) };
        self.unsynced += piece.len() as u64;
        let written = file.write_all(piece).and_then(|()| match self.unsynced >= SYNC_BYTES {
            true => file.sync_data(),
            false => Ok(()),
        });
        written.map_err(|error| failed(error, name))?;
        if self.unsynced >= SYNC_BYTES {
            self.unsynced = 0;
        }
        self.progress.done_bytes += piece.len() as u64;
        (self.told)(self.progress);
        Ok(())
    }

    fn end(&mut self) -> anyhow::Result<()> {
        let Some((file, name)) = self.file.take() else { return Ok(()) };
        file.sync_all().map_err(|error| failed(error, &name))
    }
}

fn failed(error: std::io::Error, name: &str) -> anyhow::Error {
    match error.kind() {
        ErrorKind::StorageFull => anyhow::anyhow!("the disk is full, at {name}: make room, then restore again"),
        _ => anyhow::Error::new(error).context(format!("cannot write {name}")),
    }
}

/// Opens the domain, checks all of it, and begins the new log.
fn look_through(folder: &Folder, go_on: GoOn) -> anyhow::Result<(Checked, Origin, bool)> {
    let node = Arc::new(serve::open(folder).context("the restored domain does not open")?);
    let checked = node.check(&mut |_| ()).context("the restored domain contradicts itself");
    let (origin, size) = (node.log.origin().clone(), node.log.head().size);
    node.stop()?;
    let checked = checked?;
    if go_on == GoOn::AsItWas || size < 2 {
        return Ok((checked, origin, false));
    }
    Ok((checked, serve::begin_new_log(folder)?, true))
}
