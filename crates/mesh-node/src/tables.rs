//! Typed tables over the key spaces of [`mesh_store::space`]: how keys and values are written and read, and nothing else.

pub(crate) mod account;
pub(crate) mod announcing;
pub(crate) mod carried;
pub(crate) mod codec;
pub(crate) mod payload;
pub(crate) mod peer;
pub(crate) mod planned;
pub(crate) mod published;
pub(crate) mod reference;
pub(crate) mod report;
pub(crate) mod rules;
pub(crate) mod ruling;

use mesh_proto::envelope::Kind;
use mesh_proto::limits::LEAF_INDEX_MAX;

/// An account's local id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountLid(pub u64);

/// A domain's number. 0 is this domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerNo(pub u32);

/// This domain.
pub(crate) const HERE: PeerNo = PeerNo(0);

/// A log's number, 24 bits. 0 is this domain's own log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OriginNo(pub u32);

/// This domain's own log.
pub(crate) const OWN: OriginNo = OriginNo(0);

/// Most logs of other domains that one server knows.
pub(crate) const ORIGINS_MAX: u32 = (1 << 24) - 1;

/// A record's place: its log and its leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lid(pub u64);

impl Lid {
    /// The `index`-th leaf of a log.
    pub fn new(origin: OriginNo, index: u64) -> Self {
        debug_assert!(index <= LEAF_INDEX_MAX && origin.0 <= ORIGINS_MAX);
        Self((u64::from(origin.0) << 40) | index)
    }

    /// The log.
    pub fn origin(self) -> OriginNo {
        OriginNo((self.0 >> 40) as u32)
    }

    /// The leaf's index.
    pub fn index(self) -> u64 {
        self.0 & LEAF_INDEX_MAX
    }

    /// Whether the record is this domain's own.
    pub fn is_own(self) -> bool {
        self.origin() == OWN
    }

    /// The first place of the log with the next number.
    pub(crate) fn next_log(self) -> Self {
        Self((u64::from(self.origin().0) + 1) << 40)
    }

    pub(crate) fn key(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

/// What a statement is about: a record for likes, comments and reposts; an account for subscriptions and posts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectLid(pub u64);

impl From<Lid> for ObjectLid {
    fn from(lid: Lid) -> Self {
        Self(lid.0)
    }
}

impl From<AccountLid> for ObjectLid {
    fn from(account: AccountLid) -> Self {
        Self(account.0)
    }
}

/// `object (8) ‖ kind (1)`: the prefix of a set of statements, and the key of its counter.
pub(crate) fn object_key(object: ObjectLid, kind: Kind) -> [u8; 9] {
    codec::join(&object.0.to_be_bytes(), &[kind as u8])
}

/// `object (8) ‖ kind (1): vote ‖ option (1)`: the key of what an option of a poll counts.
pub(crate) fn option_key(object: ObjectLid, place: usize) -> [u8; 10] {
    codec::join(&object_key(object, Kind::Vote), &[place as u8])
}

/// `author (8) ‖ kind (1): subscribe ‖ peer (4)`.
pub(crate) fn subscribers_key(author: ObjectLid, peer: PeerNo) -> [u8; 13] {
    codec::join(&object_key(author, Kind::Subscribe), &peer.0.to_be_bytes())
}

/// `object (8) ‖ kind (1) ‖ actor (8)`: a statement that an actor makes once.
pub(crate) fn once_key(object: ObjectLid, kind: Kind, actor: AccountLid) -> [u8; 17] {
    codec::join(&object_key(object, kind), &actor.0.to_be_bytes())
}

/// `object (8) ‖ kind (1) ‖ received (8) ‖ local id (8)`: a statement in the order of its arrival.
pub(crate) fn ordered_key(object: ObjectLid, kind: Kind, received: u64, lid: Lid) -> [u8; 25] {
    codec::join(&object_key(object, kind), &place_key(received, lid))
}

/// `received (8) ‖ local id (8)`: a place in time.
pub(crate) fn place_key(received: u64, lid: Lid) -> [u8; 16] {
    codec::join(&received.to_be_bytes(), &lid.key())
}

/// `account (8) ‖ received (8) ‖ local id (8)`: the key of timelines and notifications.
pub(crate) fn account_place_key(account: AccountLid, received: u64, lid: Lid) -> [u8; 24] {
    codec::join(&account.0.to_be_bytes(), &place_key(received, lid))
}

/// Where it is noted that what a domain's people say does not count.
pub(crate) fn uncounted_key(peer: PeerNo) -> String {
    format!("uncounted/{}", peer.0)
}

/// `first (8) ‖ second (8)`.
pub(crate) fn pair_key(first: u64, second: u64) -> [u8; 16] {
    codec::join(&first.to_be_bytes(), &second.to_be_bytes())
}

/// `actor (8) ‖ kind (1) ‖ first half of the object's hash (16)`.
pub(crate) fn act_key(actor: AccountLid, kind: Kind, object_hash: &[u8; 32]) -> [u8; 25] {
    codec::join(&object_key(actor.into(), kind), &half(object_hash))
}

/// The key of a row: a destination with a record's local id or an account.
pub(crate) fn outbox_key(peer: PeerNo, number: u64) -> [u8; 12] {
    codec::join(&peer.0.to_be_bytes(), &number.to_be_bytes())
}

/// Numbers of rows of what is late that are not records: accounts of which the destination keeps a copy, whose key operations are to be sent, authors whose newest
/// posts are, and accounts that moved to the destination, about which what was said here is.
pub(crate) const COPY: u64 = 1 << 61;
pub(crate) const KEYS: u64 = 1 << 62;
pub(crate) const AUTHOR: u64 = 1 << 63;
pub(crate) const MOVED: u64 = KEYS | AUTHOR;
/// Accounts about which, their records or their reports the operators decided something that the destination should know.
pub(crate) const RULED: u64 = KEYS | COPY;

/// The first half of a hash: enough to find a row, which holds the whole.
pub(crate) fn half(hash: &[u8; 32]) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&hash[..16]);
    out
}
