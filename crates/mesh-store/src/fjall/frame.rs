//! The bytes of the journal: segment headers and frames.
//!
//! A segment is a header and then frames without gaps. All integers are big-endian.
//!
//! ```text
//! segment header  "MESHJRN1" | number u64 | salt u64 | sequence before it u64 | previous check u64 | check u64   48 bytes
//! frame           magic u32 | payload length u32 | check u64 | first u64 | last u64 | previous check u64   40 bytes, then the payload
//! payload         entries: space u8 | kind u8 | key length u16 | value length u32 | key | value
//! ```
//!
//! A check is XXH3-64 over everything after it in the frame, seeded with the segment's random salt and the length: bytes of another
//! segment, of an older life of the disk block, or a frame that someone hid in a value do not pass. `previous check` chains the frames, so that none can be missing between
//! two. It guards against accidents, not against an attacker who can write to the disk.

use lsm_tree::Slice;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::group::Group;
use crate::limits::FRAME_BYTES_MAX;
use crate::space::Space;

pub(super) const SEGMENT_HEADER_BYTES: usize = 48;
pub(super) const FRAME_HEADER_BYTES: usize = 40;
const SEGMENT_MAGIC: &[u8; 8] = b"MESHJRN1";
const FRAME_MAGIC: [u8; 4] = [0xf7, b'M', b'F', 0x1a];
const ENTRY_HEADER_BYTES: usize = 8;
const KIND_PUT: u8 = 1;
const KIND_DELETE: u8 = 2;

/// The start of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) number: u64,
    /// Seeds the checks of the segment's frames.
    pub(super) salt: u64,
    /// The sequence of the last batch before this segment.
    pub(super) sequence: u64,
    /// The check of the last frame before this segment.
    pub(super) previous: u64,
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[..8].copy_from_slice(SEGMENT_MAGIC);
        bytes[8..16].copy_from_slice(&self.number.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.salt.to_be_bytes());
        bytes[24..32].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[32..40].copy_from_slice(&self.previous.to_be_bytes());
        let check = xxh3_64_with_seed(&bytes[..40], self.number);
        bytes[40..].copy_from_slice(&check.to_be_bytes());
        bytes
    }

    /// Reads the header of segment `number`; none if it is damaged or another's.
    pub(super) fn decode(bytes: &[u8], number: u64) -> Option<Self> {
        let header = Self { number, salt: integer(bytes, 16)?, sequence: integer(bytes, 24)?, previous: integer(bytes, 32)? };
        (bytes.get(..SEGMENT_HEADER_BYTES)? == header.encode()).then_some(header)
    }
}

/// One frame, as found in a segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) check: u64,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) previous: u64,
    payload: &'a [u8],
}

/// Where a frame stands in the order of batches.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The salt of its segment.
    pub(super) salt: u64,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) previous: u64,
}

/// Writes a finished group as a frame into `buffer`, replacing its content. Answers the frame's check.
pub(super) fn encode(buffer: &mut Vec<u8>, group: &Group, place: Place) -> u64 {
    buffer.clear();
    buffer.resize(FRAME_HEADER_BYTES, 0);
    for space in group.spaces() {
        for (key, value) in group.changes(space) {
            encode_entry(buffer, space, key, value);
        }
    }
    let length = (buffer.len() - FRAME_HEADER_BYTES) as u32;
    buffer[..4].copy_from_slice(&FRAME_MAGIC);
    buffer[4..8].copy_from_slice(&length.to_be_bytes());
    buffer[16..24].copy_from_slice(&place.first.to_be_bytes());
    buffer[24..32].copy_from_slice(&place.last.to_be_bytes());
    buffer[32..40].copy_from_slice(&place.previous.to_be_bytes());
    let check = xxh3_64_with_seed(&buffer[16..], seed(place.salt, length));
    buffer[8..16].copy_from_slice(&check.to_be_bytes());
    check
}

fn encode_entry(buffer: &mut Vec<u8>, space: Space, key: &[u8], value: Option<&Slice>) {
    // Batch limits keep keys below 2^16 and values below 2^32 bytes.
    let kind = if value.is_some() { KIND_PUT } else { KIND_DELETE };
    let value = value.map_or(&[][..], |value| value);
    let mut header = [0; ENTRY_HEADER_BYTES];
    header[0] = space as u8;
    header[1] = kind;
    header[2..4].copy_from_slice(&(key.len() as u16).to_be_bytes());
    header[4..8].copy_from_slice(&(value.len() as u32).to_be_bytes());
    buffer.extend_from_slice(&header);
    buffer.extend_from_slice(key);
    buffer.extend_from_slice(value);
}

fn seed(salt: u64, length: u32) -> u64 {
    salt ^ u64::from(length)
}

impl<'a> Frame<'a> {
    /// Reads the whole, undamaged frame at `offset`, if there is one.
    pub(super) fn decode(bytes: &'a [u8], offset: usize, salt: u64) -> Option<Self> {
        let bytes = bytes.get(offset..)?;
        if bytes.get(..4)? != FRAME_MAGIC {
            return None;
        }
        let length = u32::from_be_bytes(bytes.get(4..8)?.try_into().ok()?);
        if length as usize > FRAME_BYTES_MAX {
            return None;
        }
        let checked = bytes.get(16..FRAME_HEADER_BYTES.checked_add(length as usize)?)?;
        let check = integer(bytes, 8)?;
        if xxh3_64_with_seed(checked, seed(salt, length)) != check {
            return None;
        }
        let payload = checked.get(FRAME_HEADER_BYTES - 16..)?;
        Some(Self { check, first: integer(bytes, 16)?, last: integer(bytes, 24)?, previous: integer(bytes, 32)?, payload })
    }

    /// The frame's length with its header.
    pub(super) fn size(&self) -> usize {
        FRAME_HEADER_BYTES + self.payload.len()
    }

    /// The changes in the frame; an item is none if the entry makes no sense to this program.
    pub(super) fn entries(&self) -> Entries<'a> {
        Entries { rest: self.payload, sequence: self.last }
    }
}

/// Finds the next undamaged frame that begins after `offset`, and its offset.
pub(super) fn find_frame(bytes: &[u8], offset: usize, salt: u64) -> Option<(usize, Frame<'_>)> {
    let start = offset.checked_add(1)?;
    let candidates = bytes.get(start..)?.windows(FRAME_MAGIC.len()).enumerate();
    candidates
        .filter(|(_, window)| *window == FRAME_MAGIC)
        .find_map(|(at, _)| Frame::decode(bytes, start + at, salt).map(|frame| (start + at, frame)))
}

/// See [`Frame::entries`].
#[derive(Debug)]
pub(super) struct Entries<'a> {
    rest: &'a [u8],
    sequence: u64,
}

/// A change read from the journal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Logged<'a> {
    pub(super) space: Space,
    pub(super) key: &'a [u8],
    /// None for a removal.
    pub(super) value: Option<&'a [u8]>,
    /// The last sequence of its frame.
    pub(super) sequence: u64,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Option<Logged<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let entry = self.read();
        if entry.is_none() {
            self.rest = &[];
        }
        Some(entry)
    }
}

impl<'a> Entries<'a> {
    fn read(&mut self) -> Option<Logged<'a>> {
        let header = self.rest.get(..ENTRY_HEADER_BYTES)?;
        let (number, kind) = (*header.first()?, *header.get(1)?);
        let key_length = u16::from_be_bytes(header.get(2..4)?.try_into().ok()?) as usize;
        let value_length = u32::from_be_bytes(header.get(4..8)?.try_into().ok()?) as usize;
        let space = Space::ALL.iter().copied().find(|space| *space as u8 == number)?;
        let body = self.rest.get(ENTRY_HEADER_BYTES..)?;
        let (key, body) = body.split_at_checked(key_length)?;
        let (value, rest) = body.split_at_checked(value_length)?;
        self.rest = rest;
        let value = match kind {
            KIND_PUT => Some(value),
            KIND_DELETE => None,
            _ => return None,
        };
        Some(Logged { space, key, value, sequence: self.sequence })
    }
}

fn integer(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}
