//! The two small files outside the journal that tell whether the journal is complete.
//!
//! - `checkpoint`: everything up to `sequence` is in the trees, durably; the journal continues in segment `segment`; these spaces have a
//!   tree. Replaced atomically, always durable before anything it makes obsolete is deleted.
//! - `journal-mark`: the highest sequence known to be synced. Overwritten in place *after* each sync, and itself synced only when a segment
//!   ends or the store closes. So it never promises more than the journal holds, costs no second sync a group, and after a crash of the
//!   process (not of the machine) it is exact.

use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use crate::error::StoreError;
use crate::files::{Files, WriteFile};
use crate::space::Space;

pub(super) const CHECKPOINT_FILE: &str = "checkpoint";
pub(super) const MARK_FILE: &str = "journal-mark";
const CHECKPOINT_MAGIC: &[u8; 8] = b"MESHCHK1";
const MARK_SLOT_BYTES: usize = 16;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checkpoint {
    /// The last batch that is in the trees.
    pub(super) sequence: u64,
    /// The first segment that is still needed.
    pub(super) segment: u64,
    /// The numbers of the spaces whose tree exists.
    pub(super) trees: Vec<u8>,
}

impl Checkpoint {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = CHECKPOINT_MAGIC.to_vec();
        bytes.extend_from_slice(&self.sequence.to_be_bytes());
        bytes.extend_from_slice(&self.segment.to_be_bytes());
        bytes.extend_from_slice(&self.trees);
        let check = xxh3_64(&bytes);
        bytes.extend_from_slice(&check.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, check) = bytes.split_last_chunk::<8>()?;
        if xxh3_64(body) != u64::from_be_bytes(*check) {
            return None;
        }
        let (sequence, rest) = body.strip_prefix(CHECKPOINT_MAGIC)?.split_first_chunk::<8>()?;
        let (segment, trees) = rest.split_first_chunk::<8>()?;
        Some(Self { sequence: u64::from_be_bytes(*sequence), segment: u64::from_be_bytes(*segment), trees: trees.to_vec() })
    }

    pub(super) fn write(&self, files: &dyn Files, folder: &Path) -> Result<(), StoreError> {
        files.replace(&folder.join(CHECKPOINT_FILE), &self.encode()).map_err(|error| StoreError::io("writing the checkpoint", error))
    }

    /// Reads the checkpoint; none in a fresh folder.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, StoreError> {
        let path = folder.join(CHECKPOINT_FILE);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io(format!("reading {}", path.display()), error)),
        };
        let checkpoint = Self::decode(&bytes).ok_or_else(|| StoreError::Corrupt {
            what: format!("{} is damaged", path.display()),
            advice: "Restore the folder from a backup: without this file it is unknown how much of the journal the trees contain",
        })?;
        Ok(Some(checkpoint))
    }

    /// The spaces whose tree must exist.
    pub(super) fn spaces(&self) -> impl Iterator<Item = Space> {
        Space::ALL.iter().copied().filter(|space| self.trees.contains(&(*space as u8)))
    }
}

/// The open mark file: two slots written in turn, so that a torn write spares one.
#[derive(Debug)]
pub(super) struct Mark {
    file: Box<dyn WriteFile>,
    slot: u64,
}

impl Mark {
    pub(super) fn open(files: &dyn Files, folder: &Path) -> Result<Self, StoreError> {
        let file = files.open(&folder.join(MARK_FILE)).map_err(|error| StoreError::io("opening the journal mark", error))?;
        Ok(Self { file, slot: 0 })
    }

    /// Notes that everything up to `sequence` is synced.
    pub(super) fn set(&mut self, sequence: u64) -> Result<(), StoreError> {
        let mut bytes = [0; MARK_SLOT_BYTES];
        bytes[..8].copy_from_slice(&sequence.to_be_bytes());
        bytes[8..].copy_from_slice(&xxh3_64(&sequence.to_be_bytes()).to_be_bytes());
        self.slot ^= 1;
        let offset = self.slot * MARK_SLOT_BYTES as u64;
        self.file.write_at(&bytes, offset).map_err(|error| StoreError::io("writing the journal mark", error))
    }

    pub(super) fn sync(&mut self) -> Result<(), StoreError> {
        self.file.sync().map_err(|error| StoreError::io("syncing the journal mark", error))
    }

    /// The highest sequence known to be synced; 0 if nothing is known.
    pub(super) fn read(folder: &Path) -> Result<u64, StoreError> {
        let bytes = match std::fs::read(folder.join(MARK_FILE)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(StoreError::io("reading the journal mark", error)),
        };
        let slots = bytes.chunks_exact(MARK_SLOT_BYTES).filter_map(|slot| {
            let (sequence, check) = slot.split_first_chunk::<8>()?;
            (xxh3_64(sequence).to_be_bytes() == check).then(|| u64::from_be_bytes(*sequence))
        });
        Ok(slots.max().unwrap_or(0))
    }
}
