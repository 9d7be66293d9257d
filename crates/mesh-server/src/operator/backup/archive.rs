//! The archive's format: frames with lengths and checksums behind a versioned beginning, so that whatever is cut off or damaged is refused with words that say
//! where. Described for others in `docs/backup-and-restore.md`; knows nothing of what the files mean.

use anyhow::{Context, bail};
use mesh_proto::address::Domain;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Read, Write};
use xxhash_rust::xxh3::Xxh3;

/// What every archive begins with; its last byte is the version.
const MAGIC: [u8; 8] = *b"MESHBAK\x01";
/// Bytes of a frame's kind and length, and of its checksum.
const FRAME_HEAD_BYTES: usize = 5;
const CHECK_BYTES: usize = 8;
/// Bytes of file content in one frame at most.
pub(crate) const DATA_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of the first frame at most, and files that it lists.
const HEAD_BYTES_MAX: usize = 256 * 1024 * 1024;
const FILES_MAX: usize = 2_000_000;
/// Bytes of a file's path, and folders in it.
const NAME_BYTES_MAX: usize = 200;
const NAME_PARTS_MAX: usize = 8;
/// Bytes of the words in which the writer says why it gave up.
const WORDS_BYTES_MAX: usize = 4096;

const HEAD: u8 = 1;
const DATA: u8 = 2;
const END: u8 = 3;
const GAVE_UP: u8 = 4;

/// What an archive says about itself before anything else.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Head {
    /// Whose data it is.
    pub(crate) domain: Domain,
    /// The format of the data folder.
    pub(crate) format: u32,
    /// What made it.
    pub(crate) software: String,
    /// When, in milliseconds since 1970.
    pub(crate) made_ms: u64,
    /// Whether the server ran meanwhile.
    pub(crate) taken: Taken,
    /// The files, in the order of their content.
    pub(crate) files: Vec<Entry>,
}

impl Head {
    /// Bytes of all files.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.size_bytes))
    }
}

/// Whether the server ran while the archive was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Taken {
    /// It ran: others may have seen more than the archive holds.
    Running,
    /// It did not run.
    Stopped,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Its path below the data folder, with `/`.
    pub(crate) name: String,
    /// Its length.
    pub(crate) size_bytes: u64,
}

impl Entry {
    /// Whether the path leads to a place below the folder, and nowhere else.
    fn is_good(&self) -> bool {
        let part = |part: &str| {
            !part.is_empty() && !part.starts_with('.') && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        self.name.len() <= NAME_BYTES_MAX && self.name.split('/').count() <= NAME_PARTS_MAX && self.name.split('/').all(part)
    }
}

/// Writes an archive.
pub(super) struct Writer<W> {
    output: W,
    hasher: Box<Xxh3>,
    frames: u64,
    frame: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Writes what an archive begins with.
    pub(super) fn begin(mut output: W, head: &Head) -> io::Result<Self> {
        output.write_all(&MAGIC)?;
        let mut hasher = Box::new(Xxh3::new());
        hasher.update(&MAGIC);
        let mut writer = Self { output, hasher, frames: 0, frame: Vec::new() };
        writer.frame(HEAD, &serde_json::to_vec(head)?)?;
        Ok(writer)
    }

    /// Writes a piece of the file whose turn it is, of at most [`DATA_BYTES_MAX`].
    pub(super) fn data(&mut self, piece: &[u8]) -> io::Result<()> {
        self.frame(DATA, piece)
    }

    /// Ends the archive after the last file.
    pub(super) fn end(mut self) -> io::Result<()> {
        let sum = self.hasher.digest128().to_be_bytes();
        self.frame(END, &sum)?;
        self.output.flush()
    }

    /// Says why there will be no end.
    pub(super) fn give_up(mut self, words: &str) -> io::Result<()> {
        let words: String = words.chars().take(WORDS_BYTES_MAX / 4).collect();
        self.frame(GAVE_UP, words.as_bytes())?;
        self.output.flush()
    }

    fn frame(&mut self, kind: u8, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).map_err(|_| io::Error::other("there are too many files for one archive"))?;
        self.frame.clear();
        self.frame.push(kind);
        self.frame.extend_from_slice(&length.to_be_bytes());
        self.frame.extend_from_slice(payload);
        let check = check(self.frames, &[&self.frame]);
        self.frame.extend_from_slice(&check.to_be_bytes());
        self.frames += 1;
        self.hasher.update(&self.frame);
        self.output.write_all(&self.frame)
    }
}

/// The checksum of a frame by its number, so that none can be left out, repeated or moved.
fn check(number: u64, parts: &[&[u8]]) -> u64 {
    let mut hasher = Xxh3::with_seed(number);
    for part in parts {
        hasher.update(part);
    }
    hasher.digest()
}

/// What becomes of the files of an archive that is read.
pub(crate) trait Sink {
    /// A file begins.
    ///
    /// # Errors
    /// Whatever stops the reading; so with the other two.
    fn begin(&mut self, file: &Entry) -> anyhow::Result<()>;

    /// A piece of it comes.
    ///
    /// # Errors
    /// See [`Sink::begin`].
    fn data(&mut self, piece: &[u8]) -> anyhow::Result<()>;

    /// It ends.
    ///
    /// # Errors
    /// See [`Sink::begin`].
    fn end(&mut self) -> anyhow::Result<()>;
}

/// Reads an archive, believing nothing.
pub(crate) struct Reader<R> {
    input: R,
    hasher: Box<Xxh3>,
    frames: u64,
    /// Bytes read so far.
    offset: u64,
    /// What is being read, for words.
    place: String,
    payload: Vec<u8>,
    head: Head,
}

impl<R: Read> Reader<R> {
    /// Reads the beginning.
    ///
    /// # Errors
    /// It is no archive, or one of another version, or damaged.
    pub(crate) fn open(input: R) -> anyhow::Result<Self> {
        let nothing =
            Head { domain: "localhost".parse()?, format: 0, software: String::new(), made_ms: 0, taken: Taken::Running, files: Vec::new() };
        let place = "its beginning".to_owned();
        let mut reader = Self { input, hasher: Box::new(Xxh3::new()), frames: 0, offset: 0, place, payload: Vec::new(), head: nothing };
        let mut magic = [0; MAGIC.len()];
        reader.exactly(&mut magic)?;
        if magic[..7] != MAGIC[..7] {
            bail!("this is no backup of a MESH domain");
        }
        if magic != MAGIC {
            bail!(
                "the archive has version {}, this program knows version {}: use the program that made it, or a newer one",
                magic[7],
                MAGIC[7]
            );
        }
        reader.hasher.update(&magic);
        if reader.frame(HEAD_BYTES_MAX)? != HEAD {
            return Err(reader.damaged(MAGIC.len() as u64));
        }
        reader.head = serde_json::from_slice(&reader.payload)
            .context("the list of files in the archive cannot be read: is it of a newer version?")?;
        let names: BTreeSet<&str> = reader.head.files.iter().map(|file| file.name.as_str()).collect();
        if names.len() != reader.head.files.len() || names.len() > FILES_MAX {
            bail!("the archive lists a file twice, or too many");
        }
        if let Some(bad) = reader.head.files.iter().find(|file| !file.is_good()) {
            bail!("the archive lists a file that no data folder has: {:?}", bad.name);
        }
        Ok(reader)
    }

    /// What it says about itself.
    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    /// Where it comes from.
    pub(super) fn input(&self) -> &R {
        &self.input
    }

    /// Reads all files and the end; what a sink was given is good only if this succeeds.
    ///
    /// # Errors
    /// It is cut off or damaged, in words that say where, or its writer gave up; or what the sink says.
    pub(crate) fn unpack(mut self, sink: &mut dyn Sink) -> anyhow::Result<Head> {
        for file in std::mem::take(&mut self.head.files) {
            self.place.clone_from(&file.name);
            sink.begin(&file)?;
            let mut left = file.size_bytes;
            while left > 0 {
                let start = self.offset;
                self.expect(DATA, start)?;
                let length = self.payload.len() as u64;
                left = left.checked_sub(length).filter(|_| length > 0).ok_or_else(|| self.damaged(start))?;
                sink.data(&self.payload)?;
            }
            sink.end()?;
            self.head.files.push(file);
        }
        "its end".clone_into(&mut self.place);
        let (start, sum) = (self.offset, self.hasher.digest128().to_be_bytes());
        self.expect(END, start)?;
        if self.payload != sum {
            bail!("the archive is damaged: the checksum over all of it does not fit. Use another backup");
        }
        match self.input.read(&mut [0])? {
            0 => Ok(self.head),
            _ => bail!("something follows the end of the archive at byte {}: it is damaged. Use another backup", self.offset),
        }
    }

    fn expect(&mut self, kind: u8, start: u64) -> anyhow::Result<()> {
        match self.frame(DATA_BYTES_MAX)? {
            GAVE_UP => bail!("the archive has no end, because making it failed: {}", String::from_utf8_lossy(&self.payload)),
            found if found == kind => Ok(()),
            _ => Err(self.damaged(start)),
        }
    }

    /// Reads the next frame into `payload`; answers its kind.
    fn frame(&mut self, bytes_max: usize) -> anyhow::Result<u8> {
        let start = self.offset;
        let mut head = [0; FRAME_HEAD_BYTES];
        self.exactly(&mut head)?;
        let [kind, length @ ..] = head;
        let length = u32::from_be_bytes(length) as usize;
        if length > bytes_max {
            return Err(self.damaged(start));
        }
        let mut payload = std::mem::take(&mut self.payload);
        payload.clear();
        // Grows with what comes, not with what a damaged length promises.
        let read = self.input.by_ref().take(length as u64).read_to_end(&mut payload);
        self.offset += payload.len() as u64;
        self.payload = payload;
        read.map_err(|error| self.unreadable(error))?;
        if self.payload.len() < length {
            return Err(self.cut_off());
        }
        let mut sum = [0; CHECK_BYTES];
        self.exactly(&mut sum)?;
        if u64::from_be_bytes(sum) != check(self.frames, &[&head, &self.payload]) {
            return Err(self.damaged(start));
        }
        self.frames += 1;
        for part in [&head[..], &self.payload, &sum] {
            self.hasher.update(part);
        }
        Ok(kind)
    }

    fn exactly(&mut self, buffer: &mut [u8]) -> anyhow::Result<()> {
        match self.input.read_exact(buffer) {
            Ok(()) => self.offset += buffer.len() as u64,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(self.cut_off()),
            Err(error) => return Err(self.unreadable(error)),
        }
        Ok(())
    }

    fn unreadable(&self, error: io::Error) -> anyhow::Error {
        anyhow::Error::new(error).context(format!("the archive cannot be read after byte {}, in {}", self.offset, self.place))
    }

    fn cut_off(&self) -> anyhow::Error {
        anyhow::anyhow!("the archive is cut off after byte {}, in {}: the rest is missing. Use another backup", self.offset, self.place)
    }

    fn damaged(&self, start: u64) -> anyhow::Error {
        anyhow::anyhow!("the archive is damaged at byte {start} or soon after, in {}. Use another backup", self.place)
    }
}

#[cfg(test)]
mod tests;
