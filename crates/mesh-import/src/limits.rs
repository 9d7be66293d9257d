//! How much is taken from a file.

/// Largest export, bytes. It is read into memory.
pub const FILE_BYTES_MAX: u64 = 1 << 30;
/// Most records of one export.
pub const RECORDS_MAX: usize = 1_000_000;
/// Bytes looked at to tell the networks apart.
pub const LOOK_BYTES_MAX: usize = 64 * 1024;
/// Deepest tree of a Bluesky repository: its depth grows with the logarithm of its records.
pub const TREE_DEPTH_MAX: usize = 64;
/// Largest block of a CAR file, bytes.
pub const BLOCK_BYTES_MAX: usize = 2 * 1024 * 1024;
