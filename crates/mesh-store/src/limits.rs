//! Every limit of the store, in one place. They hold for all engines, so that a batch accepted by one is accepted by all.

/// The longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 1024;

/// The longest value, in bytes. Larger things are blobs.
pub const VALUE_BYTES_MAX: usize = 100_000;

/// The largest batch: the sum of its keys and values, conditions included, in bytes.
pub const BATCH_BYTES_MAX: usize = 8_000_000;

/// The most conditions and operations in one batch.
pub const BATCH_ITEMS_MAX: usize = 100_000;

/// The bytes of batches that may wait for the writer; beyond them `commit` answers `Busy`.
pub const QUEUE_BYTES_MAX: usize = 32_000_000;

/// The most batches that may wait for the writer; beyond them `commit` answers `Busy`.
pub const QUEUE_BATCHES_MAX: usize = 65_536;

/// The most batches written and synced as one group.
pub const GROUP_BATCHES_MAX: usize = 1_024;

/// The bytes after which a group takes no further batch. A group is at most this plus one batch.
pub const GROUP_BYTES_MAX: usize = 4_000_000;

/// The longest journal frame's payload: a whole group with its framing, with room to spare.
pub const FRAME_BYTES_MAX: usize = 2 * (GROUP_BYTES_MAX + BATCH_BYTES_MAX);

/// Counters of one space whose values the writer remembers: about 100 bytes each.
pub const COUNTERS_REMEMBERED_MAX: usize = 100_000;

/// A journal segment is closed, and a checkpoint taken, when it passes this many bytes. Bounds the replay at the next start.
pub const SEGMENT_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Writers wait for the housekeeper when this many bytes of journal have not reached a checkpoint.
pub const JOURNAL_BYTES_MAX: u64 = 4 * SEGMENT_BYTES_MAX;

/// The bytes of memory for blocks read from disk, unless configured otherwise.
pub const CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// Writes are refused with `Full` when the disk has less free space than this, so that checkpoints and clean-up still fit.
pub const DISK_RESERVE_BYTES: u64 = 64 * 1024 * 1024;

/// The largest blob the store takes whatever limit the caller names, in bytes (1 TiB).
pub const BLOB_BYTES_MAX: u64 = 1 << 40;

/// Blobs are uploaded and verified in parts of this size, which bounds the memory of one transfer.
pub const BLOB_PART_BYTES: usize = 1 << 20;
