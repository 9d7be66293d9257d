//! Opening a folder: what is there, is it whole, and what of the journal do the trees not contain yet?
//!
//! Every frame after the checkpoint is applied again, whether or not a tree has it: frames hold final values, so applying one twice is the
//! same as once. Damage is told apart like this:
//! - the last segment ends in bytes that are no whole frame, nothing valid follows, and the mark does not say that more was synced: an
//!   unfinished write that nobody was told about. It is cut off.
//! - anything else (damage with valid frames after it, a gap, a missing segment, a journal shorter than its mark): refused with words.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::frame::{Frame, Logged, SEGMENT_HEADER_BYTES, SegmentHeader, find_frame};
use super::journal::{JOURNAL_FOLDER, Journal, Tail, segment_number, segment_path};
use super::marks::{Checkpoint, Mark};
use super::trees::{TREES_FOLDER, Trees};
use crate::error::StoreError;
use crate::files::Files;

const ADVICE: &str = "Writes that were acknowledged may be lost. Nothing was changed: keep a copy of the folder, check the disk, and restore \
                      the newest backup; the other servers of the network still have what was sent to them";

/// Prepares a folder that holds no store yet. The checkpoint is written last: it says that the folder is complete.
pub(super) fn create(files: &Arc<dyn Files>, folder: &Path) -> Result<(), StoreError> {
    for name in [JOURNAL_FOLDER, TREES_FOLDER] {
        std::fs::create_dir_all(folder.join(name)).map_err(|error| StoreError::io(format!("creating the folder {name}"), error))?;
    }
    let context = |error| StoreError::io("creating the store", error);
    files.sync_folder(folder).map_err(context)?;
    Journal::create(Arc::clone(files), folder, Tail::start_of(1, 0, 0)).map_err(context)?;
    Checkpoint { sequence: 0, segment: 1, trees: Vec::new() }.write(&**files, folder)
}

/// Opens the trees that the checkpoint names, and those that were begun since.
pub(super) fn open_trees(trees: &Trees, checkpoint: &Checkpoint) -> Result<(), StoreError> {
    for space in checkpoint.spaces() {
        if !trees.exists(space) {
            return Err(corrupt(format!("the tree {} is missing or has lost its list of tables", space.name())));
        }
    }
    for space in crate::space::Space::ALL.iter().copied().filter(|space| trees.exists(*space)) {
        trees.open(space)?;
    }
    Ok(())
}

/// Reads the journal after the checkpoint and hands the changes to `apply`, one undamaged segment at a time. Answers where to go on writing.
pub(super) fn replay(
    folder: &Path,
    checkpoint: &Checkpoint,
    mut apply: impl FnMut(&[Logged<'_>]) -> Result<(), StoreError>,
) -> Result<Tail, StoreError> {
    let numbers = segments(folder)?;
    let last = numbers.last().copied().filter(|last| *last >= checkpoint.segment);
    let last = last.ok_or_else(|| corrupt(format!("journal segment {} is missing", checkpoint.segment)))?;
    let mut tail: Option<Tail> = None;
    for number in checkpoint.segment..=last {
        if !numbers.contains(&number) {
            return Err(corrupt(format!("journal segment {number} is missing")));
        }
        let bytes = std::fs::read(segment_path(folder, number))
            .map_err(|error| StoreError::io(format!("reading journal segment {number}"), error))?;
        let segment = Segment { number, bytes: &bytes, is_last: number == last };
        let start = segment.start(checkpoint, tail)?;
        let mut changes = Vec::new();
        tail = Some(segment.read(start, &mut changes)?);
        apply(&changes)?;
    }
    let tail = tail.ok_or_else(|| corrupt("the journal is empty".to_owned()))?;
    let mark = Mark::read(folder)?;
    if tail.sequence < mark {
        let found = tail.sequence;
        return Err(corrupt(format!("the journal ends at batch {found}, but batch {mark} was synced: its end is cut off or damaged")));
    }
    Ok(tail)
}

fn corrupt(what: String) -> StoreError {
    StoreError::Corrupt { what, advice: ADVICE }
}

fn segments(folder: &Path) -> Result<BTreeSet<u64>, StoreError> {
    let context = |error| StoreError::io("listing the journal", error);
    let mut numbers = BTreeSet::new();
    for entry in std::fs::read_dir(folder.join(JOURNAL_FOLDER)).map_err(context)? {
        numbers.extend(entry.map_err(context)?.file_name().to_str().and_then(segment_number));
    }
    Ok(numbers)
}

struct Segment<'a> {
    number: u64,
    bytes: &'a [u8],
    is_last: bool,
}

impl Segment<'_> {
    /// The place before the segment's first frame, which must continue `before`.
    fn start(&self, checkpoint: &Checkpoint, before: Option<Tail>) -> Result<Tail, StoreError> {
        let number = self.number;
        let Some(header) = SegmentHeader::decode(self.bytes, number) else {
            // The header is synced before the first frame is written, so without frames nothing is lost.
            return match before {
                Some(before) if self.is_last && self.bytes.len() <= SEGMENT_HEADER_BYTES => {
                    Ok(Tail { offset: 0, ..Tail::start_of(number, before.sequence, before.previous) })
                }
                _ => Err(corrupt(format!("the start of journal segment {number} is damaged"))),
            };
        };
        let continues = match before {
            Some(before) => header.sequence == before.sequence && header.previous == before.previous,
            None => header.sequence == checkpoint.sequence,
        };
        if !continues {
            let found = header.sequence;
            return Err(corrupt(format!("journal segment {number} begins after batch {found}, which does not continue what precedes it")));
        }
        Ok(Tail { header, offset: SEGMENT_HEADER_BYTES as u64, sequence: header.sequence, previous: header.previous })
    }

    /// Collects the changes of all frames.
    fn read<'a>(&'a self, start: Tail, changes: &mut Vec<Logged<'a>>) -> Result<Tail, StoreError> {
        let (number, mut tail) = (self.number, start);
        if tail.offset == 0 {
            return Ok(tail);
        }
        let mut offset = SEGMENT_HEADER_BYTES;
        while offset < self.bytes.len() {
            let Some(frame) = Frame::decode(self.bytes, offset, tail.header.salt) else {
                self.check_torn(offset, &tail)?;
                break;
            };
            if frame.first != tail.sequence + 1 || frame.last < frame.first || frame.previous != tail.previous {
                return Err(corrupt(format!("journal segment {number} has a gap after batch {}", tail.sequence)));
            }
            for entry in frame.entries() {
                let entry = entry.ok_or_else(|| corrupt(format!("batch {} in journal segment {number} makes no sense", frame.last)))?;
                changes.push(entry);
            }
            offset += frame.size();
            tail = Tail { offset: offset as u64, sequence: frame.last, previous: frame.check, ..tail };
        }
        Ok(tail)
    }

    /// Allows bytes that are no frame only where an unfinished write can have left them.
    fn check_torn(&self, offset: usize, tail: &Tail) -> Result<(), StoreError> {
        let (number, sequence) = (self.number, tail.sequence);
        if !self.is_last {
            return Err(corrupt(format!("journal segment {number} is damaged or cut after batch {sequence}, and a later segment follows")));
        }
        if let Some((at, frame)) = find_frame(self.bytes, offset, tail.header.salt) {
            let last = frame.last;
            return Err(corrupt(format!(
                "journal segment {number} is damaged at byte {offset}, after batch {sequence}; batches up to {last} follow at byte {at}"
            )));
        }
        let cut = self.bytes.len() - offset;
        tracing::warn!(store.segment = number, store.bytes = cut, "cutting an unfinished write off the journal");
        Ok(())
    }
}
