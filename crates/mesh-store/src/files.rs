//! The few file operations on which durability rests, behind a trait, so that tests can lose power, tear writes and fill disks.
//!
//! Only the journal, the marks and the format file go through it; the trees write their own files (see `docs/adr/0002-store-durability.md`).

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A file system, as far as the journal needs one.
pub trait Files: Debug + Send + Sync {
    /// Opens a file for writing, creating it if it is missing. Its name is durable only after [`Files::sync_folder`].
    ///
    /// # Errors
    /// As the operating system.
    fn open(&self, path: &Path) -> io::Result<Box<dyn WriteFile>>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// As the operating system.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// Gives a file a new content, durably: after a crash it has the old or the new one, whole.
    ///
    /// # Errors
    /// As the operating system.
    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()>;

    /// The bytes a normal user can still write to the file system of this path.
    ///
    /// # Errors
    /// As the operating system.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
}

/// An open file.
pub trait WriteFile: Debug + Send {
    /// Writes all bytes at an offset. After an error some of them may have been written.
    ///
    /// # Errors
    /// As the operating system; `StorageFull` if there is no room.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes all that was written durable, the length included.
    ///
    /// # Errors
    /// As the operating system. What is durable afterwards is unknown.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts the file.
    ///
    /// # Errors
    /// As the operating system.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
}

/// The operating system's files.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsFiles;

impl Files for OsFiles {
    fn open(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        Ok(Box::new(OsFile(file)))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let fresh = path.with_extension("new");
        let file = File::create(&fresh)?;
        file.write_all_at(content, 0)?;
        file.sync_all()?;
        std::fs::rename(&fresh, path)?;
        match path.parent() {
            Some(folder) => self.sync_folder(folder),
            None => Ok(()),
        }
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let found = rustix::fs::statvfs(path)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }
}

#[derive(Debug)]
struct OsFile(File);

impl WriteFile for OsFile {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }
}
