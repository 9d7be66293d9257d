//! The file that a backup becomes: chosen before anything is read, written under another name as its owner's alone, synced as it grows, and renamed in the end.

use crate::config::{Folder, stamp};
use anyhow::{Context, bail};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

/// How backups are called that were given no name.
const EXTENSION: &str = "meshbackup";
/// What is added to a name until the backup is whole.
const UNFINISHED: &str = "unfinished";
/// After so many bytes they are synced, while the next ones are written: were it left to the end, everyone else's syncs would wait for all of them.
const SYNC_BYTES: u64 = 8 * 1024 * 1024;
/// What stays free on the disk of the data folder: the server refuses writes when it has less.
const RESERVE_BYTES: u64 = 128 * 1024 * 1024;

/// A place that was looked at, with the file that was begun there: it goes unless it is finished.
pub(super) struct Target {
    file: File,
    unfinished: PathBuf,
    finished: PathBuf,
    /// What must stay free.
    reserve_bytes: u64,
}

impl Target {
    /// A place outside the data folder.
    pub(super) fn choose(to: &Path, folder: &Folder, now_ms: u64) -> anyhow::Result<Self> {
        let target = Self::path(to, folder, now_ms)?;
        let (parent, root) = (parent(&target)?, folder.root.canonicalize()?);
        if parent.starts_with(&root) {
            bail!(
                "{} lies in the data folder, and would be lost with it: choose a place outside, on another disk if you have one",
                to.display()
            );
        }
        Self::open(target, folder)
    }

    /// A place wherever it is.
    pub(super) fn inside(to: &Path, folder: &Folder, now_ms: u64) -> anyhow::Result<Self> {
        Self::open(Self::path(to, folder, now_ms)?, folder)
    }

    fn path(to: &Path, folder: &Folder, now_ms: u64) -> anyhow::Result<PathBuf> {
        if to.is_dir() {
            let time = crate::pages::time::compact(now_ms);
            let domain = folder.config.domain.as_str().replace(':', "_");
            return Ok(to.join(format!("{domain}-{time}.{EXTENSION}")));
        }
        if to.exists() {
            bail!("{} is there already, and is not overwritten: name another file, or a folder", to.display());
        }
        Ok(to.to_owned())
    }

    fn open(finished: PathBuf, folder: &Folder) -> anyhow::Result<Self> {
        let parent = parent(&finished)?;
        remove_left_over(&parent);
        let mut name = finished.file_name().with_context(|| format!("{} names no file", finished.display()))?.to_owned();
        name.push(".");
        name.push(UNFINISHED);
        let unfinished = parent.join(name);
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&unfinished);
        let file = file.with_context(|| format!("cannot write in {}: may you, and is there room?", parent.display()))?;
        if file.try_lock().is_err() {
            bail!("another backup is being written to {}: wait until it is done", finished.display());
        }
        // Left by one that was killed: it may have belonged to other eyes.
        file.set_len(0)?;
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        let same_disk = file.metadata()?.dev() == std::fs::metadata(&folder.root)?.dev();
        Ok(Self { file, unfinished, finished, reserve_bytes: if same_disk { RESERVE_BYTES } else { 0 } })
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // Once it has its name there is nothing left to remove.
        let _ = std::fs::remove_file(&self.unfinished);
    }
}

fn parent(path: &Path) -> anyhow::Result<PathBuf> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    parent.canonicalize().with_context(|| format!("there is no folder {}: make it first", parent.display()))
}

/// Removes backups that were begun and never finished, because they were killed.
fn remove_left_over(folder: &Path) {
    let end = format!(".{EXTENSION}.{UNFINISHED}");
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let left = entry.file_name().to_string_lossy().ends_with(&end);
        if left && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok()) {
            // What cannot be removed is in nobody's way.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// An input that is written to the target as it is read.
pub(super) struct Along {
    input: Box<dyn Read + Send>,
    target: Target,
    syncer: Syncer,
    unsynced: u64,
}

impl Along {
    pub(super) fn new(input: Box<dyn Read + Send>, target: Target) -> io::Result<Self> {
        let syncer = Syncer::start(target.file.try_clone()?)?;
        Ok(Self { input, target, syncer, unsynced: 0 })
    }

    /// Whether there is room for so many bytes, and for what comes along with them.
    pub(super) fn check_room(&self, size_bytes: u64) -> anyhow::Result<()> {
        let free = stamp::free_bytes(&self.target.unfinished)?;
        let needed = size_bytes + size_bytes / 1000 + self.target.reserve_bytes;
        if free < needed {
            let megabytes = |bytes: u64| bytes.div_ceil(1024 * 1024);
            bail!(
                "the backup takes {} MB, and there are {} MB free: make room, or choose another disk",
                megabytes(needed),
                megabytes(free)
            );
        }
        Ok(())
    }

    /// Makes the file durable under its name.
    pub(super) fn finish(mut self) -> anyhow::Result<PathBuf> {
        let Target { file, unfinished, finished, .. } = &self.target;
        self.syncer.end().and_then(|()| file.sync_all()).context("cannot sync the backup")?;
        if finished.exists() {
            bail!("{} has appeared meanwhile, and is not overwritten", finished.display());
        }
        std::fs::rename(unfinished, finished).context("cannot give the backup its name")?;
        stamp::sync_folder(&parent(finished)?)?;
        Ok(finished.clone())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.target.file.write_all(bytes)?;
        self.unsynced += bytes.len() as u64;
        if self.unsynced >= SYNC_BYTES {
            self.unsynced = 0;
            self.syncer.sync()?;
        }
        Ok(())
    }
}

/// A thread that syncs a file while it is written. It ends when it is dropped.
struct Syncer(Option<(SyncSender<()>, JoinHandle<io::Result<()>>)>);

impl Syncer {
    fn start(file: File) -> io::Result<Self> {
        // One sync may wait while another is under way: whoever writes is never more than two of them ahead.
        let (orders, ordered) = sync_channel(1);
        let syncing = move || ordered.iter().try_for_each(|()| file.sync_data());
        let thread = std::thread::Builder::new().name("backup-sync".to_owned()).spawn(syncing)?;
        Ok(Self(Some((orders, thread))))
    }

    fn sync(&mut self) -> io::Result<()> {
        match &self.0 {
            Some((orders, _)) if orders.send(()).is_ok() => Ok(()),
            // A sync failed, and said why.
            _ => self.end(),
        }
    }

    /// Waits for the syncs that were asked for; a failure is told here or nowhere.
    fn end(&mut self) -> io::Result<()> {
        let Some((orders, thread)) = self.0.take() else { return Ok(()) };
        drop(orders);
        thread.join().map_err(|_| io::Error::other("syncing the backup failed"))?
    }
}

impl Read for Along {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.write(&buffer[..count]).map_err(|error| match error.kind() {
            ErrorKind::StorageFull => {
                io::Error::other("the disk is full: what was written is removed again. Make room, or choose another disk")
            }
            _ => io::Error::new(error.kind(), format!("cannot write the backup: {error}")),
        })?;
        Ok(count)
    }
}
