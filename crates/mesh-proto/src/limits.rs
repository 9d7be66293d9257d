//! Every limit of the protocol, by name. What a server enforces is published in `/.well-known/mesh`; what a verifier enforces
//! is fixed here, so that two implementations refuse the same input.

/// Largest user part of an address, bytes.
pub const USER_BYTES_MAX: usize = 64;
/// Largest domain of an address, bytes, port apart (RFC 1035).
pub const DOMAIN_BYTES_MAX: usize = 253;
/// Largest record body, bytes (the signed JSON, before base64url).
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// Largest envelope as carrier JSON, bytes: a body in base64url and the fields around it.
pub const ENVELOPE_BYTES_MAX: usize = 90 * 1024;
/// Deepest nesting of objects and arrays in a body.
pub const JSON_DEPTH_MAX: usize = 16;
/// Largest magnitude of an integer in a body: 2^53 - 1 (RFC 7493).
pub const JSON_INTEGER_MAX: i64 = (1 << 53) - 1;
/// Largest key operation body, bytes.
pub const KEY_OP_BYTES_MAX: usize = 2 * 1024;
/// Most operations in one account's key log, all branches together.
pub const KEY_OPS_MAX: usize = 1024;
/// Of those, how many only the root key may use.
pub const KEY_OPS_ROOT_RESERVE: usize = 64;
/// Most live devices of one account.
pub const DEVICES_MAX: usize = 32;
/// How long a device-signed `root.rotate` waits before it takes effect, milliseconds of logged time.
pub const ROOT_ROTATE_WAIT_MS: u64 = 30 * 24 * 3600 * 1000;
/// How far in the future a claimed time may lie, milliseconds.
pub const CLOCK_AHEAD_MS_MAX: u64 = 5 * 60 * 1000;
/// Most posts that an account plans to be published later.
pub const SCHEDULED_MAX: usize = 100;
/// How far ahead a post is planned at most, milliseconds.
pub const SCHEDULED_AHEAD_MS_MAX: u64 = 366 * 24 * 3600 * 1000;
/// Longest post or comment text, bytes of UTF-8.
pub const TEXT_BYTES_MAX: usize = 32 * 1024;
/// Longest title or display name, bytes of UTF-8.
pub const TITLE_BYTES_MAX: usize = 256;
/// Longest profile biography, bytes of UTF-8.
pub const BIO_BYTES_MAX: usize = 4 * 1024;
/// Most tags on one post.
pub const TAGS_MAX: usize = 16;
/// Longest tag, bytes of UTF-8.
pub const TAG_BYTES_MAX: usize = 64;
/// Most tags that count of those that a text names.
pub const TEXT_TAGS_MAX: usize = 32;
/// Longest URL of a preview, bytes.
pub const PREVIEW_URL_BYTES_MAX: usize = 2_000;
/// Longest description in a preview, bytes of UTF-8.
pub const PREVIEW_TEXT_BYTES_MAX: usize = 1_024;
/// Longest name of a network that a post was imported from, bytes.
pub const NETWORK_BYTES_MAX: usize = 32;
/// Longest address that an imported post had there, bytes.
pub const IMPORT_URL_BYTES_MAX: usize = 1024;
/// Fewest options of a poll.
pub const POLL_OPTIONS_MIN: usize = 2;
/// Most options of a poll.
pub const POLL_OPTIONS_MAX: usize = 8;
/// Longest option of a poll, bytes of UTF-8.
pub const POLL_OPTION_BYTES_MAX: usize = 256;
/// Shortest time from a post's claimed time to the end of its poll, milliseconds.
pub const POLL_LIFE_MS_MIN: u64 = 60 * 1000;
/// Longest time from a post's claimed time to the end of its poll, milliseconds.
pub const POLL_LIFE_MS_MAX: u64 = 366 * 24 * 3600 * 1000;
/// Most unknown-but-critical field names that `crit` may list.
pub const CRIT_MAX: usize = 16;
/// Most records in one delivery or one `records:batch`.
pub const BATCH_RECORDS_MAX: usize = 100;
/// Largest delivery, bytes after decompression, as a sender fills it.
pub const DELIVERY_BYTES_MAX: usize = 256 * 1024;
/// Largest request body that a server reads, bytes after decompression: a delivery with one envelope more than its size.
pub const REQUEST_BYTES_MAX: usize = 512 * 1024;
/// Most key operations in one answer or one delivery.
pub const KEY_OPS_BATCH_MAX: usize = KEY_OPS_MAX;
/// Most accounts in one `keys:batch`.
pub const KEYS_BATCH_MAX: usize = 256;
/// Most rulings in one message.
pub const RULINGS_PUSH_MAX: usize = 100;
/// Most items in one page of any list.
pub const PAGE_MAX: usize = 100;
/// Longest life of a request signature, seconds.
pub const SIGNATURE_LIFE_S_MAX: u64 = 60;
/// Longest nonce of a request signature, characters.
pub const NONCE_CHARS_MAX: usize = 64;
/// How old a checkpoint may be that vouches for a key-log answer, milliseconds.
pub const CHECKPOINT_AGE_MS_MAX: u64 = 24 * 3600 * 1000;
/// Largest checkpoint note, bytes.
pub const CHECKPOINT_BYTES_MAX: usize = 8 * 1024;
/// Most cosignatures that are read of one note.
pub const COSIGNATURES_MAX: usize = 16;
/// Most hashes in a consistency proof: one for each of 40 levels, and one for the subtree where the old tree ends.
pub const CONSISTENCY_HASHES_MAX: usize = 41;
/// Hashes in a log tile, and leaves in an entry bundle (C2SP tlog-tiles).
pub const TILE_WIDTH: u64 = 256;
/// Largest leaf index: 40 bits, so that (origin, leaf) fits eight bytes.
pub const LEAF_INDEX_MAX: u64 = (1 << 40) - 1;
/// Highest difficulty a client will work for at registration, leading zero bits.
pub const POW_BITS_MAX: u8 = 28;
/// How far in the future `created` of a request signature may lie, seconds.
pub const SIGNATURE_AHEAD_S_MAX: u64 = 10;
/// Shortest nonce of a request signature, characters.
pub const NONCE_CHARS_MIN: usize = 16;
/// Longest `keyid` of a request signature, characters.
pub const KEYID_CHARS_MAX: usize = 300;
/// Longest target URI of a signed request, bytes.
pub const TARGET_URI_BYTES_MAX: usize = 8 * 1024;
/// Most nonces that one process remembers at a time: 4,369 signed requests a second for the life of a signature.
pub const NONCES_MAX: usize = 256 * 1024;
/// Longest `mesh://` link or permalink, bytes.
pub const LINK_BYTES_MAX: usize = 1024;
/// Most mirrors that an account names.
pub const MIRRORS_MAX: usize = 3;
/// Bytes of one account's records that a mirror keeps.
pub const MIRROR_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Most domains that an arriving account names to be told.
pub const ARRIVAL_DOMAINS_MAX: usize = 10_000;
/// Largest negentropy message of one exchange of sets, bytes.
pub const SET_MESSAGE_BYTES_MAX: usize = 60 * 1024;
/// Most records in the part of a set that one exchange is about, on the side that is asked.
pub const SET_ITEMS_MAX: usize = 1 << 19;
