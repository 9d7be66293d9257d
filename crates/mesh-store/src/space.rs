//! The catalogue of all key spaces.
//!
//! Every key that a MESH server stores lives in exactly one of these spaces. Integers in keys are big-endian, so that byte order is
//! numeric order. A number, once used, is never used for anything else: it is part of the stored format.
//!
//! A *local id* (8 bytes) is a record's place: 24 bits for the log (0: this domain's own), 40 bits for its leaf. Accounts have local ids of
//! their own, dense from 1. The tables in mesh-node give these keys and values their types.

/// Declares the spaces once: the enum, the list and the stable names come from the same lines.
macro_rules! spaces {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $label:literal;)*) => {
        /// One ordered key space. See each variant for its key and value.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Space { $($(#[$doc])* $name = $number,)* }

        impl Space {
            /// All spaces, in the order of their numbers.
            pub const ALL: &'static [Space] = &[$(Space::$name),*];

            /// The stable name, used for files on disk and in messages.
            pub const fn name(self) -> &'static str { match self { $(Space::$name => $label),* } }
        }
    };
}

spaces! {
    /// Facts about the domain. Name → bytes.
    Meta = 0, "meta";
    /// Home log, leaf entries. Leaf (8) → entry (32).
    LogEntry = 1, "log_entry";
    /// Home log, roots of complete tiles. Height, a multiple of 8 (1), index (8) → hash (32).
    LogNode = 2, "log_node";
    /// Other domains. Domain → peer row.
    Peer = 3, "peer";
    /// Other domains' logs. Origin → log number (4).
    Origin = 4, "origin";
    /// Accounts by id. SHA-256 (32) → account (8).
    AccountId = 5, "account_id";
    /// Accounts. Account (8) → account row.
    Account = 6, "account";
    /// Key operations in the order of their arrival. Account (8), sequence (4) → received (8), envelope.
    KeyOp = 7, "key_op";
    /// Names of this domain, for ever. User → account (8).
    Name = 8, "name";
    /// Payloads that this domain answers for: of its own leaves, and of accounts that brought records from other logs. Local id (8) → payload row.
    Payload = 9, "payload";
    /// References: what is known of every record, own or foreign, without its text. Local id (8) → reference row.
    Reference = 10, "reference";
    /// Records by id. First half of the SHA-256 (16) → local id (8).
    Id = 11, "id";
    /// Edits. Local id of the first version (8), of the later one (8) → nothing.
    Version = 12, "version";
    /// Statements about an object. Object (8), kind (1), then actor (8) or received (8) and local id (8) → local id (8) or nothing; of a subscription
    /// from elsewhere also the peer (4) for which it counts.
    Object = 13, "object";
    /// What an account published. Account (8), received (8), local id (8) → kind (1).
    Timeline = 14, "timeline";
    /// Counters. Object (8), kind (1), of the votes for one option of a poll also its place (1) → count.
    Count = 15, "count";
    /// Subscribers of an account by their domain. Account (8), kind (1): subscribe, peer (4; 0: here) → count.
    CountByPeer = 16, "count_by_peer";
    /// Subscriptions of this domain's accounts. Subscriber (8), author (8) → local id (8).
    Follow = 17, "follow";
    /// Live statements of this domain's accounts, and the newest reposts by others of what is elsewhere. Actor (8), kind (1), first half of the object's
    /// SHA-256 (16) → local id (8).
    Act = 18, "act";
    /// Notifications. Account (8), received (8), local id (8) → kind (1), object (8).
    Notice = 19, "notice";
    /// Which records go where, for ever: so others catch up, and a withdrawal finds its way. Peer (4), local id (8) → nothing, or 1 (1)
    /// if it was refused for ever.
    Outbox = 20, "outbox";
    /// Withdrawn records. SHA-256 (32) → tombstone row.
    Tombstone = 21, "tombstone";
    /// Evictable cache of foreign records, oldest first. Sequence (8) → local id (8), size (4), carried envelope or nothing.
    Cache = 22, "cache";
    /// Of an earlier layout of the cache; nothing is written there any more.
    CacheOrder = 23, "cache_order";
    /// Invites. Code → account (8), or nothing if unused.
    Invite = 24, "invite";
    /// Profiles. Account (8) → local id (8) of the current profile record.
    Profile = 25, "profile";
    /// How far others are. Peer (4) → leaf (8): what is below it they have dealt with, but for what is late.
    Cursor = 27, "cursor";
    /// What is to be delivered out of order. Peer (4), then local id (8), 2^62 + an account whose key operations are, 2^63 + one whose newest posts
    /// are, or 2^63 + 2^62 + one that moved to the peer, about which what was said is → nothing, or how far that is.
    Late = 28, "late";
    /// How far we are. Log number (4) → leaf (8): what is below it and concerns us we have.
    Watermark = 29, "watermark";
    /// The newest checkpoint of another domain's log that was shown here. Log number (4) → signed note.
    Pin = 30, "pin";
    /// Proof that a log forked. Log number (4), number of leaves (8) → the signed note that was shown before, 0 (1), the one that does not extend it.
    Evidence = 31, "evidence";
    /// Where the cache holds a record. Local id (8) → sequence (8).
    CachePlace = 32, "cache_place";
    /// What proves records of other logs that this domain answers for. Sequence (8) → checkpoint, proof, leaf entries.
    Archive = 33, "archive";
    /// The records that it proves. Local id (8) → sequence (8).
    Carried = 34, "carried";
    /// Retracts that came before what they withdraw. Log number (4), SHA-256 (32), actor (8) → tombstone row.
    EarlyRetract = 26, "early_retract";
    /// Logs that are known to have forked. Log number (4) → number of leaves (8) with which the proof is found in `evidence`.
    Fork = 40, "fork";
    /// When we asked another domain's log how large it was. Log number (4) → number of leaves (varint), time (6), for each of at most 32.
    Sighting = 41, "sighting";
    /// Whom this domain knows under others' addresses. Address, 0 (1), account (8) → nothing.
    KnownName = 42, "known_name";
    /// Posts by people of this domain, all of them and by tag, as hints: readers see to it that they stand. First 8 bytes of the SHA-256 of the folded tag, or
    /// of nothing (8), received (8), local id (8) → when the present version was received (8).
    Published = 60, "published";
    /// Posts that wait for their time. 0 (1), account (8), SHA-256 (32) → the signed post with its time and why it was refused; and while it waits 1 (1),
    /// time (8), account (8), SHA-256 (32) → nothing.
    Planned = 52, "planned";
    /// Domains to which deliveries fail. Peer (4) → since when (6).
    Silent = 43, "silent";
    /// What operators decided. Account (8; 0: a domain), first half of the SHA-256 of a record, a report or a domain's name (16; zeros: the account), who
    /// decided (4; 0: this domain) → the signed ruling.
    Ruling = 45, "ruling";
    /// Reports about this domain's things. Received (8), local id (8) → the signed report.
    Report = 46, "report";
    /// The rules of this domain. Version (4) → signed rules.
    Rules = 47, "rules";
}
