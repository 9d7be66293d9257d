//! Reading and writing the compact rows.

use mesh_store::StoreError;

/// Joins two byte arrays into one of exactly their length.
pub(crate) fn join<const N: usize>(first: &[u8], second: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out[..first.len()].copy_from_slice(first);
    out[first.len()..].copy_from_slice(second);
    out
}

/// Appends an unsigned LEB128 number.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Takes a row apart. Every failure means that the row is damaged.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    table: &'static str,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(row: &'a [u8], table: &'static str) -> Self {
        Self { rest: row, table }
    }

    pub(crate) fn damaged(&self) -> StoreError {
        damaged(self.table)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| damaged(self.table))?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, StoreError> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u64(&mut self) -> Result<u64, StoreError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// Six bytes, big-endian: milliseconds since the epoch until the year 10889.
    pub(crate) fn time(&mut self) -> Result<u64, StoreError> {
        Ok(u64::from_be_bytes(join(&[0, 0], &self.array::<6>()?)))
    }

    pub(crate) fn varint(&mut self) -> Result<u64, StoreError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.damaged())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }
}

/// Appends six bytes of time; times beyond are cut to the largest.
pub(crate) fn put_time(out: &mut Vec<u8>, ms: u64) {
    out.extend_from_slice(&ms.min((1 << 48) - 1).to_be_bytes()[2..]);
}

/// A row that is not what its table holds.
pub(crate) fn damaged(table: &'static str) -> StoreError {
    StoreError::Corrupt { what: format!("a row of table {table}"), advice: "restore the data folder from a backup" }
}

/// The big-endian number at `at..at + 8` of a key.
pub(crate) fn key_u64(key: &[u8], at: usize, table: &'static str) -> Result<u64, StoreError> {
    let bytes = key.get(at..at + 8).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok()).ok_or_else(|| damaged(table))?;
    Ok(u64::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_round_trip() {
        for value in [0, 1, 127, 128, 300, u64::MAX] {
            let mut row = Vec::new();
            put_varint(&mut row, value);
            assert_eq!(Reader::new(&row, "t").varint().ok(), Some(value));
        }
        assert!(Reader::new(&[0xff; 11], "t").varint().is_err());
    }
}
