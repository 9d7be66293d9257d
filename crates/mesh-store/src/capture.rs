//! What a store consists of on disk at one moment: files that can be copied at leisure while the store goes on.
//!
//! A capture copies nothing itself. It keeps small files in memory, open files by their handles, and whatever else it names from being deleted until it is
//! dropped; so it costs disk space as long as it lives. A crash leaves nothing of it behind but files that the next start removes.

use std::any::Any;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use xxhash_rust::xxh3::Xxh3Default;

/// See the module.
pub struct Capture {
    files: Vec<Captured>,
    /// Dropped last.
    _hold: Box<dyn Any + Send + Sync>,
}

impl Capture {
    pub(crate) fn new(files: Vec<Captured>, hold: impl Any + Send + Sync) -> Self {
        Self { files, _hold: Box::new(hold) }
    }

    /// The files. Put into an empty folder under their names they are the store as it was.
    pub fn files(&self) -> &[Captured] {
        &self.files
    }
}

impl std::fmt::Debug for Capture {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Capture").field("files", &self.files.len()).finish_non_exhaustive()
    }
}

/// One file of a capture.
pub struct Captured {
    name: String,
    size_bytes: u64,
    source: Source,
}

enum Source {
    Memory(Vec<u8>),
    Open(File),
    /// An immutable file, and the XXH3-128 of its content.
    Immutable(PathBuf, u128),
}

impl Captured {
    pub(crate) fn memory(name: impl Into<String>, content: Vec<u8>) -> Self {
        Self { name: name.into(), size_bytes: content.len() as u64, source: Source::Memory(content) }
    }

    /// The first bytes of an open file.
    pub(crate) fn open_file(name: impl Into<String>, file: File, size_bytes: u64) -> Self {
        Self { name: name.into(), size_bytes, source: Source::Open(file) }
    }

    pub(crate) fn immutable(name: impl Into<String>, path: PathBuf, checksum: u128) -> io::Result<Self> {
        let size_bytes = std::fs::metadata(&path)?.len();
        Ok(Self { name: name.into(), size_bytes, source: Source::Immutable(path, checksum) })
    }

    /// Its path below the store's folder, with `/`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its length.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Reads it from its beginning. Exactly [`Captured::size_bytes`] come, or an error: `InvalidData` if the content is not what was written once.
    ///
    /// # Errors
    /// As the operating system.
    pub fn read(&self) -> io::Result<impl Read + '_> {
        let (input, check): (Input<'_>, _) = match &self.source {
            Source::Memory(content) => (Input::Memory(content), None),
            Source::Open(file) => (Input::Shared(file), None),
            Source::Immutable(path, checksum) => (Input::Own(File::open(path)?), Some((Box::<Xxh3Default>::default(), *checksum))),
        };
        Ok(Reading { file: self, input, offset: 0, check })
    }
}

enum Input<'a> {
    Memory(&'a [u8]),
    Shared(&'a File),
    Own(File),
}

struct Reading<'a> {
    file: &'a Captured,
    input: Input<'a>,
    offset: u64,
    check: Option<(Box<Xxh3Default>, u128)>,
}

impl Read for Reading<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.file.size_bytes - self.offset).unwrap_or(usize::MAX);
        let most = left.min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let count = match &mut self.input {
            Input::Memory(rest) => rest.read(&mut buffer[..most])?,
            Input::Shared(file) => file.read_at(&mut buffer[..most], self.offset)?,
            Input::Own(file) => file.read(&mut buffer[..most])?,
        };
        let damaged = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("{} {what}: check the disk", self.file.name));
        if count == 0 {
            return Err(damaged("is shorter than it was"));
        }
        self.offset += count as u64;
        if let Some((hasher, expected)) = &mut self.check {
            hasher.update(&buffer[..count]);
            if self.offset == self.file.size_bytes && hasher.digest128() != *expected {
                return Err(damaged("is damaged, its checksum does not fit"));
            }
        }
        Ok(count)
    }
}
