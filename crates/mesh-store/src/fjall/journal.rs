//! The segment being written: appends frames, syncs them, starts the next segment.

use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::frame::{self, Place, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::group::Group;
use super::keeper::JournalEnd;
use crate::error::StoreError;
use crate::files::{Files, WriteFile};

pub(super) const JOURNAL_FOLDER: &str = "journal";

/// Where a segment lies.
pub(super) fn segment_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(JOURNAL_FOLDER).join(format!("{number:010}.log"))
}

/// The number in a segment's file name.
pub(super) fn segment_number(name: &str) -> Option<u64> {
    name.strip_suffix(".log").filter(|digits| digits.len() >= 10)?.parse().ok()
}

/// The place after the last good frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tail {
    pub(super) header: SegmentHeader,
    pub(super) offset: u64,
    /// The sequence of the last frame.
    pub(super) sequence: u64,
    /// The check of the last frame.
    pub(super) previous: u64,
}

impl Tail {
    /// The place before the very first frame of a segment.
    pub(super) fn start_of(number: u64, sequence: u64, previous: u64) -> Self {
        // The hasher's keys are random, which is all a salt needs.
        let salt = RandomState::new().hash_one(number);
        let header = SegmentHeader { number, salt, sequence, previous };
        Self { header, offset: SEGMENT_HEADER_BYTES as u64, sequence, previous }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Journal {
    files: Arc<dyn Files>,
    folder: PathBuf,
    file: Box<dyn WriteFile>,
    tail: Tail,
    buffer: Vec<u8>,
}

/// Why a group could not be made durable.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Nothing of it is in the journal, and the journal can go on.
    Refused(std::io::Error),
    /// What the journal holds is unknown: no further write is safe before it was read again.
    Unknown(std::io::Error),
}

impl Journal {
    /// Starts a segment, durably, in place of whatever file has its name.
    pub(super) fn create(files: Arc<dyn Files>, folder: &Path, tail: Tail) -> std::io::Result<Self> {
        let mut file = files.open(&segment_path(folder, tail.header.number))?;
        file.truncate(0)?;
        file.write_at(&tail.header.encode(), 0)?;
        file.sync()?;
        files.sync_folder(&folder.join(JOURNAL_FOLDER))?;
        Ok(Self { files, folder: folder.to_path_buf(), file, tail, buffer: Vec::new() })
    }

    /// Goes on after the last good frame of an existing segment and cuts what follows.
    pub(super) fn resume(files: Arc<dyn Files>, folder: &Path, tail: Tail) -> std::io::Result<Self> {
        let mut file = files.open(&segment_path(folder, tail.header.number))?;
        file.truncate(tail.offset)?;
        // Also makes frames durable that the last process wrote but did not get to sync: they are replayed, hence visible.
        file.sync()?;
        Ok(Self { files, folder: folder.to_path_buf(), file, tail, buffer: Vec::new() })
    }

    /// Writes a finished group whose last batch is `last`, without making it durable.
    pub(super) fn append(&mut self, group: &Group, last: u64) -> Result<(), Trouble> {
        let place = Place { salt: self.tail.header.salt, first: self.tail.sequence + 1, last, previous: self.tail.previous };
        let check = frame::encode(&mut self.buffer, group, place);
        if let Err(error) = self.file.write_at(&self.buffer, self.tail.offset) {
            return Err(match self.file.truncate(self.tail.offset) {
                Ok(()) => Trouble::Refused(error),
                Err(_) => Trouble::Unknown(error),
            });
        }
        self.tail.offset += self.buffer.len() as u64;
        self.tail.sequence = last;
        self.tail.previous = check;
        // One huge group should not hold its memory for ever.
        self.buffer.shrink_to(1 << 20);
        Ok(())
    }

    /// Makes everything appended durable.
    pub(super) fn sync(&mut self) -> Result<(), Trouble> {
        self.file.sync().map_err(Trouble::Unknown)
    }

    /// Goes on in a new segment. All frames must be synced. After an error the old segment can still be used.
    pub(super) fn start_next(&mut self) -> Result<(), StoreError> {
        let tail = Tail::start_of(self.tail.header.number + 1, self.tail.sequence, self.tail.previous);
        let buffer = std::mem::take(&mut self.buffer);
        match Self::create(Arc::clone(&self.files), &self.folder, tail) {
            Ok(next) => *self = Self { buffer, ..next },
            Err(error) => {
                self.buffer = buffer;
                return Err(StoreError::io("starting a journal segment", error));
            }
        }
        Ok(())
    }

    /// The number of the segment being written.
    pub(super) fn segment(&self) -> u64 {
        self.tail.header.number
    }

    /// The length of the segment being written.
    pub(super) fn segment_bytes(&self) -> u64 {
        self.tail.offset
    }

    /// Where it ends.
    pub(super) fn end(&self) -> JournalEnd {
        JournalEnd { segment: self.segment(), size_bytes: self.segment_bytes() }
    }

    /// Whether the segment has no frame yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.tail.offset == SEGMENT_HEADER_BYTES as u64
    }
}
