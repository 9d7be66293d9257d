//! Strings: where one ends, and what its escapes mean.

use super::JsonError;

const ONES: u64 = u64::MAX / 255;
const HIGHS: u64 = ONES * 0x80;

/// What a scan has seen.
pub(super) enum Scanned {
    /// The raw bytes are the string.
    Plain,
    /// There are escapes to resolve.
    Escaped,
}

/// Reads a string whose opening quote is just before `start`. Returns the offset after the closing quote. `text` is UTF-8, so
/// only escapes and noncharacters are left to refuse.
pub(super) fn scan(text: &str, start: usize) -> Result<(usize, Scanned), JsonError> {
    let bytes = text.as_bytes();
    let mut scanned = Scanned::Plain;
    let mut at = start;
    loop {
        at = skip_plain(bytes, at);
        match bytes.get(at) {
            Some(b'"') => return Ok((at + 1, scanned)),
            Some(b'\\') => {
                scanned = Scanned::Escaped;
                at = escape(bytes, at)?;
            }
            Some(0..0x20) => {
                return Err(JsonError::Syntax { at, expected: "a control character to be escaped" });
            }
            Some(0x80..) => at = non_ascii(bytes, at)?,
            Some(_) => at += 1,
            None => return Err(JsonError::Syntax { at, expected: "'\"'" }),
        }
    }
}

/// Skips eight bytes at a time while all are printable ASCII other than `"` and `\`.
fn skip_plain(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*chunk);
        // Classic "has a zero byte" and "has a byte below n" tests; exact up to and including the lowest hit, which is all we use.
        let quote = word ^ (ONES * u64::from(b'"'));
        let slash = word ^ (ONES * u64::from(b'\\'));
        let below = word.wrapping_sub(ONES * 0x20);
        let hits = (quote.wrapping_sub(ONES) | slash.wrapping_sub(ONES) | below | word) & HIGHS;
        if hits != 0 {
            return at + hits.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at
}

/// Skips non-ASCII text up to the next ASCII byte, refusing noncharacters: U+FDD0–FDEF and the last two of each plane.
fn non_ascii(bytes: &[u8], mut at: usize) -> Result<usize, JsonError> {
    loop {
        match bytes.get(at) {
            Some(0xEF) => {
                let tail = (bytes.get(at + 1), bytes.get(at + 2));
                if matches!(tail, (Some(0xB7), Some(0x90..=0xAF)) | (Some(0xBF), Some(0xBE..))) {
                    return Err(JsonError::CodePoint(at));
                }
                at += 3;
            }
            Some(0xF0..) => {
                let tail = (bytes.get(at + 1), bytes.get(at + 2), bytes.get(at + 3));
                if let (Some(plane), Some(0xBF), Some(0xBE..)) = tail
                    && plane & 0x0F == 0x0F
                {
                    return Err(JsonError::CodePoint(at));
                }
                at += 4;
            }
            Some(0x80..) => at += 1,
            _ => return Ok(at),
        }
    }
}

/// Checks one escape, or a pair of surrogates, at `at`. Returns the offset after it.
fn escape(bytes: &[u8], at: usize) -> Result<usize, JsonError> {
    match bytes.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => {
            let (code, end) = code_point(bytes, at).ok_or(JsonError::Syntax { at, expected: "four hexadecimal digits after \\u" })?;
            match char::from_u32(code) {
                Some(c) if !is_noncharacter(c) => Ok(end),
                _ => Err(JsonError::CodePoint(at)),
            }
        }
        _ => Err(JsonError::Syntax { at, expected: "one of \"\\/bfnrtu after a backslash" }),
    }
}

/// The code point of `\uXXXX`, or of two that are a pair of surrogates, and the offset after it. A lone surrogate is returned as it is.
fn code_point(bytes: &[u8], at: usize) -> Option<(u32, usize)> {
    let high = hex4(bytes, at + 2)?;
    if (0xD800..0xDC00).contains(&high)
        && bytes.get(at + 6..at + 8) == Some(b"\\u")
        && let Some(low @ 0xDC00..0xE000) = hex4(bytes, at + 8)
    {
        return Some((0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00), at + 12));
    }
    Some((high, at + 6))
}

fn hex4(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + 4)?;
    digits.iter().try_fold(0, |value, digit| Some(value * 16 + char::from(*digit).to_digit(16)?))
}

fn is_noncharacter(c: char) -> bool {
    let code = u32::from(c);
    (0xFDD0..=0xFDEF).contains(&code) || code & 0xFFFE == 0xFFFE
}

/// Resolves the escapes of a string that [`scan`] has accepted.
pub(super) fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut at = 0;
    while let Some(byte) = raw.get(at) {
        if *byte != b'\\' {
            out.push(*byte);
            at += 1;
            continue;
        }
        if let Some((c, end)) = code_point_of(raw, at) {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            at = end;
            continue;
        }
        out.push(match raw.get(at + 1) {
            Some(b'b') => 0x08,
            Some(b'f') => 0x0C,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(other) => *other,
            None => b'\\',
        });
        at += 2;
    }
    out
}

fn code_point_of(raw: &[u8], at: usize) -> Option<(char, usize)> {
    if raw.get(at + 1) != Some(&b'u') {
        return None;
    }
    let (code, end) = code_point(raw, at)?;
    Some((char::from_u32(code)?, end))
}
