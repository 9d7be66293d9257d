//! The one unit of writing: conditions and operations, all or nothing.
//!
//! Keys and values lie one after the other in a single buffer, so that building a batch costs a few allocations whatever its length.

use std::ops::Range;

use crate::error::StoreError;
use crate::limits::{BATCH_BYTES_MAX, BATCH_ITEMS_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};
use crate::space::Space;

/// Conditions and operations that are applied together or not at all.
///
/// All conditions are checked against the state before the batch; then the operations are applied in the order stated. A key is 1 to
/// [`KEY_BYTES_MAX`] bytes long. Limits are checked by `commit`, which refuses the whole batch with `TooLarge` or `Invalid`.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    buffer: Vec<u8>,
    conditions: Vec<Condition>,
    operations: Vec<Operation>,
    /// The first thing wrong while building. What was wrong was not kept.
    fault: Option<Fault>,
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    TooLarge(&'static str, usize, usize),
    EmptyKey(Space),
}

/// Where a key or a value lies in the buffer.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    fn shifted(self, by: u32) -> Self {
        Self { start: self.start + by, end: self.end + by }
    }
}

#[derive(Debug, Clone, Copy)]
struct Condition {
    space: Space,
    key: Span,
    expected: Expected<Span>,
}

#[derive(Debug, Clone, Copy)]
struct Operation {
    space: Space,
    key: Span,
    change: Change<Span>,
}

/// What a condition asks of a key.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expected<V> {
    Absent,
    Present,
    Value(V),
}

/// What an operation does to a key.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change<V> {
    Put(V),
    Delete,
    Add(i64),
}

impl Batch {
    /// A batch without content.
    pub fn new() -> Self {
        Self::default()
    }

    /// Demands that the key has no value.
    pub fn expect_absent(&mut self, space: Space, key: impl AsRef<[u8]>) -> &mut Self {
        self.condition(space, key.as_ref(), Expected::Absent)
    }

    /// Demands that the key has a value, whatever it is.
    pub fn expect_present(&mut self, space: Space, key: impl AsRef<[u8]>) -> &mut Self {
        self.condition(space, key.as_ref(), Expected::Present)
    }

    /// Demands that the key has exactly this value.
    pub fn expect_value(&mut self, space: Space, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> &mut Self {
        self.condition(space, key.as_ref(), Expected::Value(value.as_ref()))
    }

    /// Sets the value of a key.
    pub fn put(&mut self, space: Space, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> &mut Self {
        self.operation(space, key.as_ref(), Change::Put(value.as_ref()))
    }

    /// Removes a key; does nothing if it is absent.
    pub fn delete(&mut self, space: Space, key: impl AsRef<[u8]>) -> &mut Self {
        self.operation(space, key.as_ref(), Change::Delete)
    }

    /// Adds to a counter: 8 bytes, big-endian `i64`; a missing counter is 0, and one that reaches 0 is removed.
    ///
    /// The whole batch fails with `Invalid` if the sum overflows or the value is not 8 bytes long.
    pub fn add(&mut self, space: Space, key: impl AsRef<[u8]>, delta: i64) -> &mut Self {
        self.operation(space, key.as_ref(), Change::Add(delta))
    }

    /// Appends the conditions and operations of another batch. The conditions of both are checked before the operations of either.
    pub fn merge(&mut self, other: Batch) -> &mut Self {
        self.fault = self.fault.or(other.fault);
        if !self.fits(other.buffer.len(), other.conditions.len() + other.operations.len()) {
            return self;
        }
        let shift = self.buffer.len() as u32;
        self.buffer.extend_from_slice(&other.buffer);
        self.conditions.extend(other.conditions.into_iter().map(|condition| Condition {
            key: condition.key.shifted(shift),
            expected: match condition.expected {
                Expected::Value(span) => Expected::Value(span.shifted(shift)),
                same => same,
            },
            ..condition
        }));
        self.operations.extend(other.operations.into_iter().map(|operation| Operation {
            key: operation.key.shifted(shift),
            change: match operation.change {
                Change::Put(span) => Change::Put(span.shifted(shift)),
                same => same,
            },
            ..operation
        }));
        self
    }

    /// Whether the batch has neither conditions nor operations.
    pub fn is_empty(&self) -> bool {
        self.conditions.is_empty() && self.operations.is_empty() && self.fault.is_none()
    }

    /// The sum of its keys and values, conditions included.
    pub fn size_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Whether every limit holds.
    ///
    /// # Errors
    /// `TooLarge`, naming the first limit passed; `Invalid` for an empty key.
    pub fn check_limits(&self) -> Result<(), StoreError> {
        match self.fault {
            None => Ok(()),
            Some(Fault::EmptyKey(space)) => Err(StoreError::Invalid { space, reason: "empty key" }),
            Some(Fault::TooLarge(what, size_bytes, limit_bytes)) => Err(StoreError::TooLarge { what, size_bytes, limit_bytes }),
        }
    }

    /// The conditions in the order stated: space, key, what is expected.
    pub(crate) fn conditions(&self) -> impl Iterator<Item = (Space, &[u8], Expected<&[u8]>)> {
        self.conditions.iter().map(|condition| {
            let expected = match condition.expected {
                Expected::Absent => Expected::Absent,
                Expected::Present => Expected::Present,
                Expected::Value(span) => Expected::Value(&self.buffer[span.range()]),
            };
            (condition.space, &self.buffer[condition.key.range()], expected)
        })
    }

    /// The operations in the order stated: space, key, change.
    pub(crate) fn operations(&self) -> impl Iterator<Item = (Space, &[u8], Change<&[u8]>)> {
        self.operations.iter().map(|operation| {
            let change = match operation.change {
                Change::Put(span) => Change::Put(&self.buffer[span.range()]),
                Change::Delete => Change::Delete,
                Change::Add(delta) => Change::Add(delta),
            };
            (operation.space, &self.buffer[operation.key.range()], change)
        })
    }

    /// Whether it writes anything.
    pub(crate) fn has_operations(&self) -> bool {
        !self.operations.is_empty()
    }

    /// What the batch costs in memory while it waits.
    pub(crate) fn queued_bytes(&self) -> usize {
        const ITEM_BYTES: usize = size_of::<Operation>();
        self.buffer.len() + (self.conditions.len() + self.operations.len()) * ITEM_BYTES + size_of::<Self>()
    }

    fn condition(&mut self, space: Space, key: &[u8], expected: Expected<&[u8]>) -> &mut Self {
        let value = if let Expected::Value(value) = expected { value } else { &[] };
        let Some(key) = self.keep(space, key, value) else { return self };
        let expected = match expected {
            Expected::Absent => Expected::Absent,
            Expected::Present => Expected::Present,
            Expected::Value(value) => Expected::Value(self.append(value)),
        };
        self.conditions.push(Condition { space, key, expected });
        self
    }

    fn operation(&mut self, space: Space, key: &[u8], change: Change<&[u8]>) -> &mut Self {
        let value = if let Change::Put(value) = change { value } else { &[] };
        let Some(key) = self.keep(space, key, value) else { return self };
        let change = match change {
            Change::Put(value) => Change::Put(self.append(value)),
            Change::Delete => Change::Delete,
            Change::Add(delta) => Change::Add(delta),
        };
        self.operations.push(Operation { space, key, change });
        self
    }

    /// Appends a key if it, its value and the grown batch keep within the limits.
    fn keep(&mut self, space: Space, key: &[u8], value: &[u8]) -> Option<Span> {
        if key.is_empty() {
            self.fault.get_or_insert(Fault::EmptyKey(space));
        } else if key.len() > KEY_BYTES_MAX {
            self.fault.get_or_insert(Fault::TooLarge("key", key.len(), KEY_BYTES_MAX));
        } else if value.len() > VALUE_BYTES_MAX {
            self.fault.get_or_insert(Fault::TooLarge("value", value.len(), VALUE_BYTES_MAX));
        }
        self.fits(key.len() + value.len(), 1).then(|| self.append(key))
    }

    /// Whether that much more may be appended. Once a limit was passed, nothing more is.
    fn fits(&mut self, bytes: usize, items: usize) -> bool {
        let bytes = self.buffer.len() + bytes;
        let items = self.conditions.len() + self.operations.len() + items;
        if bytes > BATCH_BYTES_MAX {
            self.fault.get_or_insert(Fault::TooLarge("batch", bytes, BATCH_BYTES_MAX));
        } else if items > BATCH_ITEMS_MAX {
            self.fault.get_or_insert(Fault::TooLarge("items of a batch", items, BATCH_ITEMS_MAX));
        }
        self.fault.is_none()
    }

    fn append(&mut self, bytes: &[u8]) -> Span {
        // `fits` keeps the buffer below BATCH_BYTES_MAX, which is far below u32::MAX.
        let start = self.buffer.len() as u32;
        self.buffer.extend_from_slice(bytes);
        Span { start, end: self.buffer.len() as u32 }
    }
}
