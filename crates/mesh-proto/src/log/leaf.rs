//! Leaf entries and their openings.

use crate::address::Address;
use crate::bytes::{Hash, Salt};
use crate::envelope::{Kind, RecordId};
use crate::key::AccountId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What a leaf stands for. Without it a leaf reveals nothing and cannot be guessed: the salt is random.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Opening {
    /// The home's random bytes for this leaf.
    pub salt: Salt,
    /// The record, the key operation, or for a name binding [`name_id`].
    pub record: RecordId,
    /// The actor; for a name binding the account that the name stands for.
    pub account: AccountId,
    /// What was logged.
    pub kind: Kind,
    /// When the home accepted it, milliseconds since the epoch; never less than in the leaf before.
    pub received: u64,
}

impl Opening {
    /// The 32-byte leaf entry: SHA-256 of `"mesh-leaf-v1" ‖ salt (16) ‖ 0x01 ‖ record (32) ‖ 0x01 ‖ account (32) ‖ kind (1) ‖ received (8, big-endian)`.
    pub fn entry(&self) -> Hash {
        use crate::bytes::HASH_ID_SHA256;
        let mut hash = Sha256::new();
        hash.update(b"mesh-leaf-v1");
        hash.update(self.salt.0);
        hash.update([HASH_ID_SHA256]);
        hash.update(self.record.hash());
        hash.update([HASH_ID_SHA256]);
        hash.update(self.account.hash());
        hash.update([self.kind as u8]);
        hash.update(self.received.to_be_bytes());
        Hash(hash.finalize().into())
    }
}

/// What a name leaf has in the place of a record id: SHA-256 of `"mesh-name-v1" ‖ address`.
pub fn name_id(address: &Address) -> RecordId {
    let mut hash = Sha256::new();
    hash.update(b"mesh-name-v1");
    hash.update(address.to_string().as_bytes());
    RecordId::from_hash(hash.finalize().into())
}
