//! Strict JSON: the subset of I-JSON (RFC 7493) that every signed body is written in. See `spec/json.md`.
//!
//! [`check`] runs once over the bytes before serde sees them, so that every implementation accepts the same bytes and reads the
//! same meaning into them. It keeps its own stack, allocates only for the names of open objects, and takes O(n log n) on the worst
//! input. Deliberately not a parser: it builds nothing.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use crate::limits::JSON_DEPTH_MAX;

#[cfg(test)]
mod tests;
mod text;

use text::Scanned;

/// Names in one object that are compared each with each; a larger object is sorted once when it closes.
const LINEAR_NAMES_MAX: usize = 16;
/// Digits of 2^53 - 1.
const INTEGER_DIGITS_MAX: usize = 16;
/// 2^53 - 1 in digits: as long text, greater text is greater value.
const INTEGER_MAX_DIGITS: &[u8] = b"9007199254740991";

/// Why bytes are not a body. Offsets are bytes from the start. Nothing of the content is repeated.
#[derive(Debug, PartialEq, Eq, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// Not UTF-8.
    #[error("byte {0}: not UTF-8")]
    Utf8(usize),
    /// The first byte is not `{`: another type, a byte order mark, white space, or nothing.
    #[error("a body is one JSON object: its first byte is '{{'")]
    NotObject,
    /// Bytes after the final `}`.
    #[error("byte {0}: nothing may follow the final '}}'")]
    Trailing(usize),
    /// Not JSON (RFC 8259), or cut short.
    #[error("byte {at}: expected {expected}")]
    Syntax {
        /// Where.
        at: usize,
        /// What could have stood there.
        expected: &'static str,
    },
    /// More than [`JSON_DEPTH_MAX`] objects and arrays inside one another, the outermost counted.
    #[error("byte {0}: more than {JSON_DEPTH_MAX} objects and arrays inside one another")]
    Depth(usize),
    /// A number that is not `0` or `-?[1-9][0-9]*`: a fraction, an exponent, `-0`, a leading zero.
    #[error("byte {0}: a number is a plain integer, without fraction, exponent, leading zero or minus zero")]
    Number(usize),
    /// An integer beyond ±(2^53 - 1).
    #[error("byte {0}: an integer lies within 2^53 - 1 of zero")]
    Range(usize),
    /// Two members of one object have the same name, escapes resolved.
    #[error("byte {0}: this name stands twice in its object")]
    Duplicate(usize),
    /// A lone surrogate as an escape, or a noncharacter.
    #[error("byte {0}: a lone surrogate or a noncharacter")]
    CodePoint(usize),
    /// Good JSON that is not what the reader expects.
    #[error("{0}")]
    Shape(String),
}

/// Checks `bytes` against the rules of `spec/json.md`; answers the text that they are.
///
/// # Errors
/// The first rule broken, except that a name repeated in an object of more than 16 members is found only when that object closes.
pub fn check(bytes: &[u8]) -> Result<&str, JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|error| JsonError::Utf8(error.valid_up_to()))?;
    Checker { text, bytes, at: 0, frames: [Frame::Array; JSON_DEPTH_MAX], depth: 0, names: Vec::new() }.run()?;
    Ok(text)
}

/// Checks `bytes`, then reads them as `T`.
///
/// # Errors
/// What [`check`] says, or [`JsonError::Shape`] if they are good JSON but no `T`.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    check(bytes)?;
    serde_json::from_slice(bytes).map_err(|error| JsonError::Shape(error.to_string()))
}

/// Reads a value from bytes that [`check`] has passed: for bodies that are read as several types.
pub fn parse_checked<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    serde_json::from_slice(bytes).map_err(|error| JsonError::Shape(error.to_string()))
}

#[derive(Clone, Copy)]
enum Frame {
    Array,
    /// An object, whose names start at this index of `Checker::names`.
    Object(usize),
}

/// A member's name, escapes resolved, and where it stands.
struct Name<'a> {
    text: Cow<'a, [u8]>,
    at: usize,
}

/// What may come next.
enum Next {
    Value,
    /// After `{`: a name or `}`.
    FirstName,
    /// After `[`: a value or `]`.
    FirstValue,
    /// After a value: a comma or the end of what it stands in.
    Separator,
}

struct Checker<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    frames: [Frame; JSON_DEPTH_MAX],
    depth: usize,
    /// Names of all open objects, innermost last.
    names: Vec<Name<'a>>,
}

impl<'a> Checker<'a> {
    fn run(mut self) -> Result<(), JsonError> {
        if self.bytes.first() != Some(&b'{') {
            return Err(JsonError::NotObject);
        }
        let mut next = self.value()?;
        while self.depth > 0 {
            next = match next {
                Next::Value => self.value()?,
                Next::FirstName => self.first_name()?,
                Next::FirstValue => self.first_value()?,
                Next::Separator => self.separator()?,
            };
        }
        if self.at < self.bytes.len() { Err(JsonError::Trailing(self.at)) } else { Ok(()) }
    }

    fn value(&mut self) -> Result<Next, JsonError> {
        match self.peek() {
            Some(b'"') => {
                self.string()?;
                Ok(Next::Separator)
            }
            Some(b'{') => {
                self.open(Frame::Object(self.names.len()))?;
                Ok(Next::FirstName)
            }
            Some(b'[') => {
                self.open(Frame::Array)?;
                Ok(Next::FirstValue)
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal(b"true"),
            Some(b'f') => self.literal(b"false"),
            Some(b'n') => self.literal(b"null"),
            _ => Err(self.expected("a value")),
        }
    }

    fn first_name(&mut self) -> Result<Next, JsonError> {
        match self.peek() {
            Some(b'}') => self.close(),
            Some(b'"') => self.name(),
            _ => Err(self.expected("a name or '}'")),
        }
    }

    fn first_value(&mut self) -> Result<Next, JsonError> {
        if self.peek() == Some(b']') { self.close() } else { Ok(Next::Value) }
    }

    fn separator(&mut self) -> Result<Next, JsonError> {
        let frame = self.depth.checked_sub(1).and_then(|top| self.frames.get(top).copied());
        match (self.peek(), frame) {
            (Some(b','), Some(Frame::Object(_))) => {
                self.at += 1;
                if self.peek() != Some(b'"') {
                    return Err(self.expected("a name"));
                }
                self.name()
            }
            (Some(b','), Some(Frame::Array)) => {
                self.at += 1;
                Ok(Next::Value)
            }
            (Some(b'}'), Some(Frame::Object(_))) | (Some(b']'), Some(Frame::Array)) => self.close(),
            (_, Some(Frame::Array)) => Err(self.expected("',' or ']'")),
            _ => Err(self.expected("',' or '}'")),
        }
    }

    fn open(&mut self, frame: Frame) -> Result<(), JsonError> {
        let slot = self.frames.get_mut(self.depth).ok_or(JsonError::Depth(self.at))?;
        *slot = frame;
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    fn close(&mut self) -> Result<Next, JsonError> {
        self.at += 1;
        self.depth -= 1;
        if let Some(&Frame::Object(start)) = self.frames.get(self.depth) {
            let names = self.names.get_mut(start..).unwrap_or_default();
            if names.len() > LINEAR_NAMES_MAX {
                find_duplicate(names)?;
            }
            self.names.truncate(start);
        }
        Ok(Next::Separator)
    }

    /// Reads `"name":` and compares it with the names before it.
    fn name(&mut self) -> Result<Next, JsonError> {
        let at = self.at;
        let scanned = self.string()?;
        let raw = self.bytes.get(at + 1..self.at - 1).unwrap_or_default();
        let text = match scanned {
            Scanned::Plain => Cow::Borrowed(raw),
            Scanned::Escaped => Cow::Owned(text::unescape(raw)),
        };
        let start = match self.depth.checked_sub(1).and_then(|top| self.frames.get(top)) {
            Some(&Frame::Object(start)) => start,
            _ => self.names.len(),
        };
        let before = self.names.get(start..).unwrap_or_default();
        if before.len() <= LINEAR_NAMES_MAX && before.iter().any(|name| name.text == text) {
            return Err(JsonError::Duplicate(at));
        }
        self.names.push(Name { text, at });
        if self.peek() != Some(b':') {
            return Err(self.expected("':'"));
        }
        self.at += 1;
        Ok(Next::Value)
    }

    fn string(&mut self) -> Result<Scanned, JsonError> {
        let (end, scanned) = text::scan(self.text, self.at + 1)?;
        self.at = end;
        Ok(scanned)
    }

    fn number(&mut self) -> Result<Next, JsonError> {
        let start = self.at;
        let rest = self.bytes.get(start..).unwrap_or_default();
        let unsigned = rest.strip_prefix(b"-").unwrap_or(rest);
        let count = unsigned.iter().take_while(|b| b.is_ascii_digit()).count();
        let digits = unsigned.get(..count).unwrap_or_default();
        let negative = unsigned.len() < rest.len();
        let bad_zero = digits.first() == Some(&b'0') && (count > 1 || negative);
        if count == 0 || bad_zero || matches!(unsigned.get(count), Some(b'.' | b'e' | b'E')) {
            return Err(JsonError::Number(start));
        }
        if count > INTEGER_DIGITS_MAX || (count == INTEGER_DIGITS_MAX && digits > INTEGER_MAX_DIGITS) {
            return Err(JsonError::Range(start));
        }
        self.at += count + usize::from(negative);
        Ok(Next::Separator)
    }

    fn literal(&mut self, word: &'static [u8]) -> Result<Next, JsonError> {
        if !self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            return Err(self.expected("a value"));
        }
        self.at += word.len();
        Ok(Next::Separator)
    }

    /// Skips insignificant white space and returns the byte after it.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    fn expected(&self, expected: &'static str) -> JsonError {
        JsonError::Syntax { at: self.at, expected }
    }
}

/// Sorting bounds the work on a hostile object with thousands of names, and needs no randomness as a hash table would.
fn find_duplicate(names: &mut [Name<'_>]) -> Result<(), JsonError> {
    names.sort_unstable_by(|a, b| a.text.cmp(&b.text).then(a.at.cmp(&b.at)));
    let again = names.iter().zip(names.iter().skip(1)).filter(|(a, b)| a.text == b.text).map(|(_, b)| b.at).min();
    again.map_or(Ok(()), |at| Err(JsonError::Duplicate(at)))
}
