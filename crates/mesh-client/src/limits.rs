//! The client's own limits: how much it takes from a server that may be hostile, and how long it waits.

use std::time::Duration;

/// Largest JSON answer, bytes: a page of 100 records of the largest size, and more.
pub const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Largest problem document, bytes.
pub const PROBLEM_BYTES_MAX: usize = 64 * 1024;
/// Largest log tile, bytes: 256 hashes.
pub const TILE_BYTES_MAX: usize = 256 * 32;
/// Longest line of an event stream, bytes: one record view.
pub const EVENT_LINE_BYTES_MAX: usize = 512 * 1024;
/// Largest event of an event stream, bytes.
pub const EVENT_BYTES_MAX: usize = 512 * 1024;
/// Longest wait for a connection.
pub const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// Longest wait for a whole answer; event streams apart.
pub const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// Longest wait for a domain that asks others before it answers, as it does for everybody whom an arriving account follows.
pub const IMPORT_TIME_MAX: Duration = Duration::from_secs(180);
/// Longest silence on an event stream, whose server sends a comment every 15 s.
pub const SILENCE_MAX: Duration = Duration::from_secs(45);
/// Life of a request signature, seconds.
pub const SIGNATURE_LIFE_S: u64 = 30;
/// Accounts in one `keys:batch` question; fewer than the protocol allows, to bound the answer.
pub const KEYS_ASKED_MAX: usize = 64;
/// Key logs kept in memory by a reader.
pub const KEYS_CACHED_MAX: usize = 4096;
/// Comments that a whole thread is read up to.
pub const THREAD_COMMENTS_MAX: usize = 20_000;
/// Versions of one record that are read: a thousand edits and the first.
pub const VERSIONS_MAX: usize = 1_001;
/// How often the counters of a record are checked anew because something came in between.
pub const THREAD_TRIES_MAX: usize = 3;
/// Accounts whose key-log head is remembered on disk; beyond it the longest unseen are forgotten.
pub const PINS_MAX: usize = 20_000;
/// Largest file of pins, bytes.
pub const PINS_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Tiles fetched for one proof: at most two for each of the levels of a 40-bit log, at its edge and at the leaf.
pub const PROOF_TILES_MAX: usize = 64;
/// Ids of feed items that a follower remembers, so that none is shown twice.
pub const SEEN_MAX: usize = 2048;
/// Tries of one request that failed on the way; a record sent twice is the same record.
pub const SEND_TRIES_MAX: u32 = 3;
/// Hashes tried between two calls of the progress function while working for a registration.
pub const WORK_STEP: u32 = 1 << 16;
/// Looks at a log whose newest checkpoint does not yet cover a leaf.
pub const CHECKPOINT_TRIES_MAX: u32 = 6;
/// Time between two of them.
pub const CHECKPOINT_PAUSE: Duration = Duration::from_millis(300);
/// Time before a failed request is sent again; doubled every time.
pub const SEND_PAUSE: Duration = Duration::from_millis(200);
/// Requests of one page that are under way at a time.
pub const REQUESTS_AT_ONCE_MAX: usize = 8;
/// Other domains asked whom they know under an address.
pub const ELSEWHERE_MAX: usize = 5;
/// How often other domains are asked whom they know under one's own address, milliseconds.
pub const ELSEWHERE_PERIOD_MS: u64 = 24 * 3_600_000;
/// Longest wait for them when nobody asked for it.
pub const ELSEWHERE_WAIT: Duration = Duration::from_secs(3);
/// Domains asked for their keys because a note says that they cosigned it.
pub const WITNESSES_MAX: usize = 4;
/// Longest line of an export file, bytes: a whole key log of operations of the largest size.
pub const EXPORT_LINE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Most pages of one export, and most parts of an export file: a hundred million records.
pub const EXPORT_PARTS_MAX: u64 = 1_000_000;
/// Most people and most domains that are read of an export file.
pub const EXPORT_NAMES_MAX: usize = 100_000;
/// Different reasons of refused records that are told one by one.
pub const REFUSALS_TOLD_MAX: usize = 20;
/// Domains that are asked for the copy of a record whose log's domain does not answer.
pub const KEEPERS_ASKED_MAX: usize = 6;
/// Largest file of what a person keeps to themself, bytes.
pub const PRIVATE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Most mutes, lists, members of a list and bookmarks, each.
pub const PRIVATE_NAMES_MAX: usize = 10_000;
/// Most drafts.
pub const DRAFTS_MAX: usize = 1_000;
/// Largest file of a draft, bytes: the words and, once signed, their envelope.
pub const DRAFT_BYTES_MAX: u64 = 512 * 1024;
/// Longest name of a draft, characters.
pub const DRAFT_NAME_CHARS_MAX: usize = 64;
