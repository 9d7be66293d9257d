//! Files with faults, for crash tests: lose power, tear writes, fill the disk. Feature `testing`.
//!
//! [`FaultFiles`] writes to real files and remembers, for each, how to take back what was not synced. [`FaultFiles::lose_power`] takes it
//! back, in every file at once, and fails everything from then on: what remains in the folder is what a disk without any luck would hold.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::files::{Files, OsFiles, WriteFile};

/// How much of the unsynced end of a file survives a loss of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Torn {
    /// Nothing.
    Nothing,
    /// Up to this many bytes of what was appended.
    Bytes(u64),
    /// All the length, but zeros from this many bytes on: the size reached the disk before the data.
    ZerosAfter(u64),
}

/// See the module. Clones share their state.
#[derive(Debug, Clone, Default)]
pub struct FaultFiles(Arc<Mutex<State>>);

/// Called when a file was durably replaced.
type Hook = Box<dyn FnMut(&Path) + Send>;

#[derive(Default)]
struct State {
    files: BTreeMap<PathBuf, Unsynced>,
    power: Power,
    /// Bytes that can still be written before the disk is full.
    room: Option<u64>,
    /// Syncs until one fails.
    good_syncs: Option<u64>,
    syncs: u64,
    replaces: Replaces,
    on_replace: Option<Hook>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("State").field("power", &self.power).field("syncs", &self.syncs).finish_non_exhaustive()
    }
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Power {
    #[default]
    On,
    Lost,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Replaces {
    #[default]
    Work,
    Fail,
}

/// How to take back what one file was told since its last sync.
#[derive(Debug, Default)]
struct Unsynced {
    synced_length: u64,
    /// Overwritten bytes, oldest first.
    overwritten: Vec<(u64, Vec<u8>)>,
    name: Name,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Name {
    #[default]
    Durable,
    Unsynced,
}

impl FaultFiles {
    /// Files without a fault so far.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on everything fails, and every file is as it was at its last sync, but for what `torn` lets through.
    ///
    /// # Errors
    /// If the real files cannot be changed.
    pub fn lose_power(&self, torn: Torn) -> io::Result<()> {
        let mut state = self.state();
        state.power = Power::Lost;
        for (path, unsynced) in std::mem::take(&mut state.files) {
            match unsynced.take_back(&path, torn) {
                // The store deleted the file since.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                outcome => outcome?,
            }
        }
        Ok(())
    }

    /// From now on only this many more bytes fit on the disk; none: as many as there are.
    pub fn set_room(&self, bytes: Option<u64>) {
        self.state().room = bytes;
    }

    /// Lets this many syncs of files succeed, and fails those after them.
    pub fn fail_syncs_after(&self, syncs: u64) {
        self.state().good_syncs = Some(syncs);
    }

    /// Fails all replacements of files from now on: no checkpoint can be taken.
    pub fn fail_replaces(&self) {
        self.state().replaces = Replaces::Fail;
    }

    /// How many syncs of files there were.
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// Calls this after each durable replacement of a file, before the store goes on.
    pub fn on_replace(&self, hook: impl FnMut(&Path) + Send + 'static) {
        self.state().on_replace = Some(Box::new(hook));
    }
}

impl State {
    fn check_power(&self) -> io::Result<()> {
        match self.power {
            Power::On => Ok(()),
            Power::Lost => Err(io::Error::other("power lost (injected)")),
        }
    }
}

impl Unsynced {
    fn take_back(self, path: &Path, torn: Torn) -> io::Result<()> {
        if self.name == Name::Unsynced && torn == Torn::Nothing {
            return std::fs::remove_file(path);
        }
        let file = File::options().write(true).open(path)?;
        let written = file.metadata()?.len();
        for (offset, bytes) in self.overwritten.iter().rev() {
            file.write_all_at(bytes, *offset)?;
        }
        match torn {
            Torn::Nothing => file.set_len(self.synced_length),
            Torn::Bytes(bytes) => file.set_len(written.min(self.synced_length + bytes).max(self.synced_length)),
            Torn::ZerosAfter(bytes) => {
                file.set_len(written.min(self.synced_length + bytes).max(self.synced_length))?;
                file.set_len(written.max(self.synced_length))
            }
        }
    }
}

impl Files for FaultFiles {
    fn open(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let mut state = self.state();
        state.check_power()?;
        let name = if path.exists() { Name::Durable } else { Name::Unsynced };
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        let synced_length = file.metadata()?.len();
        state.files.entry(path.to_path_buf()).or_insert(Unsynced { synced_length, overwritten: Vec::new(), name });
        Ok(Box::new(FaultFile { files: self.clone(), path: path.to_path_buf(), file }))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.check_power()?;
        for (file, unsynced) in &mut state.files {
            if file.parent() == Some(path) {
                unsynced.name = Name::Durable;
            }
        }
        OsFiles.sync_folder(path)
    }

    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        state.check_power()?;
        if state.room == Some(0) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if state.replaces == Replaces::Fail {
            return Err(io::Error::other("replacement failed (injected)"));
        }
        OsFiles.replace(path, content)?;
        if let Some(hook) = &mut state.on_replace {
            hook(path);
        }
        Ok(())
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let state = self.state();
        state.check_power()?;
        // What the disk claims to have free and what fits are different things, so room alone decides what fits.
        OsFiles.free_bytes(path)
    }
}

#[derive(Debug)]
struct FaultFile {
    files: FaultFiles,
    path: PathBuf,
    file: File,
}

impl WriteFile for FaultFile {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.files.state();
        state.check_power()?;
        let fits = state.room.map_or(bytes.len(), |room| bytes.len().min(room as usize));
        if let Some(room) = &mut state.room {
            *room -= fits as u64;
        }
        if let Some(unsynced) = state.files.get_mut(&self.path) {
            let kept = unsynced.synced_length.saturating_sub(offset).min(fits as u64) as usize;
            let mut old = vec![0; kept];
            self.file.read_exact_at(&mut old, offset)?;
            unsynced.overwritten.push((offset, old));
        }
        self.file.write_all_at(bytes.get(..fits).unwrap_or_default(), offset)?;
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.files.state();
        state.check_power()?;
        if let Some(good) = &mut state.good_syncs {
            match good.checked_sub(1) {
                Some(left) => *good = left,
                None => return Err(io::Error::other("sync failed (injected)")),
            }
        }
        state.syncs += 1;
        let length = self.file.metadata()?.len();
        if let Some(unsynced) = state.files.get_mut(&self.path) {
            unsynced.synced_length = length;
            unsynced.overwritten.clear();
        }
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut state = self.files.state();
        state.check_power()?;
        if let Some(unsynced) = state.files.get_mut(&self.path)
            && length < unsynced.synced_length
        {
            let mut cut = vec![0; (unsynced.synced_length - length) as usize];
            self.file.read_exact_at(&mut cut, length)?;
            unsynced.overwritten.push((length, cut));
        }
        self.file.set_len(length)
    }
}
