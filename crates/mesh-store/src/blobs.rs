//! The seam for large immutable bytes, each under the BLAKE3 hash of its content.
//!
//! Order of work for callers: put the blob, wait, and only then commit the batch that refers to it. A crash between the two leaves a blob
//! that nothing refers to; [`Blobs::list`] lets a sweeper find those by age. Deleting is the caller's decision alone: the store does not
//! count references.

pub mod local;

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

pub use local::LocalBlobs;

/// The BLAKE3 hash of a blob, which is its name. Shown and parsed as 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobHash(pub [u8; 32]);

impl BlobHash {
    /// The hash of some bytes.
    pub fn of(content: &[u8]) -> Self {
        Self(*blake3::hash(content).as_bytes())
    }
}

impl fmt::Display for BlobHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl FromStr for BlobHash {
    type Err = BlobError;

    fn from_str(text: &str) -> Result<Self, BlobError> {
        let canonical = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        let hash = blake3::Hash::from_hex(text).ok().filter(|_| canonical);
        hash.map(|hash| Self(*hash.as_bytes())).ok_or(BlobError::NotAHash)
    }
}

/// A stored blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobInfo {
    /// Its name.
    pub hash: BlobHash,
    /// Its length.
    pub size_bytes: u64,
    /// When it was last put.
    pub modified: SystemTime,
}

/// What can go wrong with a blob.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BlobError {
    /// There is no such blob.
    #[error("there is no blob {0}")]
    NotFound(BlobHash),
    /// More bytes than the caller allowed. Nothing was stored.
    #[error("the blob passes the limit of {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// The range is empty, reversed or begins after the end of the blob.
    #[error("the range {start}..{end} does not lie in the blob")]
    BadRange {
        /// First byte asked for.
        start: u64,
        /// One past the last byte asked for.
        end: u64,
    },
    /// The text is not 64 lower-case hexadecimal digits.
    #[error("not a blob hash: 64 lower-case hexadecimal digits are expected")]
    NotAHash,
    /// The stored bytes do not have the hash they are stored under.
    #[error("the stored bytes of blob {0} are damaged: fetch it again from another server, or delete it")]
    Corrupt(BlobHash),
    /// The stream that was to be stored failed. Nothing was stored.
    #[error("reading the content to store")]
    Source(#[source] Arc<std::io::Error>),
    /// The disk has no room. Nothing was stored.
    #[error("the disk is full")]
    Full,
    /// The storage failed.
    #[error("{doing}")]
    Storage {
        /// What was being done.
        doing: &'static str,
        /// The cause.
        #[source]
        source: Arc<object_store::Error>,
    },
}

/// Content on its way into or out of a store of blobs.
pub type BlobStream<'a, E> = BoxStream<'a, Result<Bytes, E>>;

/// A store of blobs. Every method is safe to repeat.
pub trait Blobs: Send + Sync {
    /// Stores a stream of at most `limit_bytes` and resolves once it is durable. Holds a few parts of [`crate::limits::BLOB_PART_BYTES`]
    /// in memory. Putting what is there already succeeds, and replaces a damaged copy.
    fn put<'a>(&'a self, content: BlobStream<'a, std::io::Error>, limit_bytes: u64) -> BoxFuture<'a, Result<BlobInfo, BlobError>>;

    /// The whole blob, checked against its hash: `Corrupt` rather than wrong bytes, `TooLarge` if it is longer than `limit_bytes`.
    fn get(&self, hash: BlobHash, limit_bytes: u64) -> BoxFuture<'_, Result<Bytes, BlobError>>;

    /// A part of a blob as a stream, cut at its end. Not checked against the hash.
    fn get_range(&self, hash: BlobHash, range: Range<u64>) -> BoxFuture<'_, Result<BlobStream<'static, BlobError>, BlobError>>;

    /// Reads the whole blob and compares it with its hash, in bounded memory.
    fn verify(&self, hash: BlobHash) -> BoxFuture<'_, Result<BlobInfo, BlobError>>;

    /// Length and time of a blob; none if it is not there.
    fn head(&self, hash: BlobHash) -> BoxFuture<'_, Result<Option<BlobInfo>, BlobError>>;

    /// Removes a blob; succeeds if it is not there.
    fn delete(&self, hash: BlobHash) -> BoxFuture<'_, Result<(), BlobError>>;

    /// All blobs whose hash begins with this byte, in order: a 256th of the store at a time.
    fn list(&self, first_byte: u8) -> BoxFuture<'_, Result<Vec<BlobInfo>, BlobError>>;

    /// The file that holds a blob, for engines that keep files; it is not checked to exist. For `sendfile`, never for writing.
    fn local_file(&self, hash: BlobHash) -> Option<PathBuf>;

    /// Removes unfinished uploads older than this; answers how many. Uploads end in this state when the process dies.
    fn sweep_uploads(&self, older_than: Duration) -> BoxFuture<'_, Result<usize, BlobError>>;
}
