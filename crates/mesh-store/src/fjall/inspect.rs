//! Checks what `lsm-tree` 3.1 stores but does not check itself when it opens a tree.
//!
//! It writes a checksum of its list of tables into the file `current`, and does not compare it on opening; tables that a damaged list does
//! not name are then *deleted* as left-overs. And it believes the length in a table's table of contents before checking it, and asks for as
//! much memory. So both are checked here first, with the format as `lsm-tree` 3.1.10 and `sfa` 1.0.0 write it:
//! ```text
//! current      version u64 | xxh3-128 of the file v<version> u128 | 0 u8                                  little-endian, as all below
//! any archive  sections | "TOC!" count u32 entries | "SFA!" 1 u8, 0 u8, xxh3-128 of the contents u128, their position u64, length u64
//! entry        position u64 | length u64 | name length u16 | name
//! v<version>   an archive; section "tables": levels u8, each: runs u8, each: tables u32, each: id u64, 0 u8, checksum u128, number u64
//! ```

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_128;

const TRAILER_BYTES: u64 = 38;
/// A table of contents lists about ten sections; this is far more.
const CONTENTS_BYTES_MAX: u64 = 64 * 1024;

/// The lists of a tree, undamaged.
pub(super) struct Lists {
    /// The file `current`.
    pub(super) current: Vec<u8>,
    /// The number in the name of the list of tables.
    pub(super) version: u64,
    /// The list of tables.
    pub(super) list: Vec<u8>,
    /// The tables that it names, each with the XXH3-128 of its file.
    pub(super) tables: Vec<(u64, u128)>,
}

impl Lists {
    /// Reads them from a tree's folder; otherwise what is wrong.
    pub(super) fn read(folder: &Path) -> Result<Self, String> {
        let current = read(&folder.join("current"))?;
        let mut cursor = Cursor(&current);
        let version = cursor.u64().ok_or("the file current is cut off")?;
        let checksum = cursor.u128().ok_or("the file current is cut off")?;
        if cursor.0 != [0] {
            return Err("the file current is damaged".to_owned());
        }
        let list = read(&folder.join(format!("v{version}")))?;
        if xxh3_128(&list) != checksum {
            return Err(format!("the list of tables v{version} is damaged"));
        }
        let tables = tables(&list).ok_or_else(|| format!("the list of tables v{version} makes no sense"))?;
        Ok(Self { current, version, list, tables })
    }
}

/// Whether the lists in a tree's folder are undamaged, and the tables' tables of contents; otherwise what is wrong.
pub(super) fn check_tree(folder: &Path) -> Result<(), String> {
    for (id, _) in Lists::read(folder)?.tables {
        let path = folder.join("tables").join(id.to_string());
        contents(&path).map_err(|error| format!("table {id}: {error}"))?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// Reads an archive's table of contents, checked.
fn contents(path: &Path) -> Result<Vec<u8>, String> {
    let cut = |error: std::io::Error| format!("the file cannot be read to its end: {error}");
    let file = File::open(path).map_err(cut)?;
    let length = file.metadata().map_err(cut)?.len();
    let end = length.checked_sub(TRAILER_BYTES).ok_or("the file is cut off")?;
    let mut trailer = [0; TRAILER_BYTES as usize];
    file.read_exact_at(&mut trailer, end).map_err(cut)?;
    let (checksum, position) = parse_trailer(&trailer).ok_or("the end of the file is damaged or cut off")?;
    let size = end.checked_sub(position).filter(|size| *size <= CONTENTS_BYTES_MAX).ok_or("the end of the file is damaged")?;
    let mut contents = vec![0; size as usize];
    file.read_exact_at(&mut contents, position).map_err(cut)?;
    if xxh3_128(&contents) == checksum { Ok(contents) } else { Err("the table of contents is damaged".to_owned()) }
}

fn parse_trailer(bytes: &[u8]) -> Option<(u128, u64)> {
    let mut cursor = Cursor(bytes.strip_prefix(b"SFA!\x01\x00")?);
    Some((cursor.u128()?, cursor.u64()?))
}

/// The tables that a list names.
fn tables(list: &[u8]) -> Option<Vec<(u64, u128)>> {
    let (end, trailer) = list.split_at_checked(list.len().checked_sub(TRAILER_BYTES as usize)?)?;
    let (_, position) = parse_trailer(trailer)?;
    let mut entries = Cursor(end.get(usize::try_from(position).ok()?..)?.strip_prefix(b"TOC!")?);
    let mut section = None;
    for _ in 0..entries.u32()? {
        let (start, length) = (entries.u64()?, entries.u64()?);
        let name_length = entries.u16()?;
        if entries.take(name_length.into())? == b"tables" {
            let start = usize::try_from(start).ok()?;
            section = list.get(start..start.checked_add(usize::try_from(length).ok()?)?);
        }
    }
    let mut cursor = Cursor(section?);
    let mut tables = Vec::new();
    for _level in 0..cursor.u8()? {
        for _run in 0..cursor.u8()? {
            for _table in 0..cursor.u32()? {
                let id = cursor.u64()?;
                cursor.take(1)?;
                tables.push((id, cursor.u128()?));
                cursor.take(8)?;
            }
        }
    }
    Some(tables)
}

/// Reads little-endian integers off the front.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(front)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn u128(&mut self) -> Option<u128> {
        self.array().map(u128::from_le_bytes)
    }
}
