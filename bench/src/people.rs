//! People whose keys follow from a number, so that a later process knows them too.

use mesh_proto::address::{Address, Domain};
use mesh_proto::bytes::Salt;
use mesh_proto::envelope::{Envelope, RecordId};
use mesh_proto::key::{AccountId, SecretKey};
use mesh_proto::keylog::{Action, LoggedOp, NewOp};
use mesh_proto::record::{AccountRef, Content, Head, ObjectRef, Record};

/// When all accounts were made: 2026-01-01T00:00:00Z, milliseconds.
const BORN_MS: u64 = 1_767_225_600_000;

/// An account with its device.
pub(crate) struct Person {
    pub(crate) id: AccountId,
    pub(crate) address: Address,
    pub(crate) device: SecretKey,
    pub(crate) genesis: LoggedOp,
    pub(crate) number: u64,
}

impl Person {
    /// The `number`-th person of a domain.
    pub(crate) fn new(domain: &Domain, number: u64) -> anyhow::Result<Self> {
        let address: Address = format!("person{number}@{domain}").parse()?;
        let root = SecretKey::from_seed(&seed(&address, b"root"));
        let device = SecretKey::from_seed(&seed(&address, b"device"));
        let action = Action::Genesis { root: root.id(), device: device.id(), address: address.clone(), name: "bench".to_owned() };
        let envelope = NewOp { follows: None, action, at: BORN_MS, salt: Salt([7; 16]) }.sign(&root);
        let id = AccountId::from_hash(*envelope.id().hash());
        Ok(Self { id, address, device, genesis: LoggedOp { envelope, received: BORN_MS }, number })
    }

    /// The first `count` people of a domain.
    pub(crate) fn many(domain: &Domain, count: u64) -> anyhow::Result<Vec<Self>> {
        (0..count).map(|number| Self::new(domain, number)).collect()
    }

    /// Signs a statement. `number` makes it different from the person's others.
    pub(crate) fn sign(&self, content: Content, number: u64, at: u64) -> Envelope {
        let mut salt = [0; 16];
        salt[..8].copy_from_slice(&mixed(number).to_be_bytes());
        salt[8..].copy_from_slice(&mixed(number ^ at).to_be_bytes());
        let keys = RecordId::from_hash(*self.id.hash());
        let head = Head { actor: self.id, device: self.device.id(), keys, at, salt: Salt(salt), crit: Default::default() };
        Record { head, content }.sign(&self.device)
    }

    /// How others name this account.
    pub(crate) fn account_ref(&self) -> AccountRef {
        AccountRef { actor: self.id, home: self.address.domain().clone() }
    }

    /// How others name a record of this account.
    pub(crate) fn object(&self, id: RecordId) -> ObjectRef {
        ObjectRef { actor: self.id, home: self.address.domain().clone(), id, version: id }
    }
}

fn seed(address: &Address, purpose: &[u8]) -> [u8; 32] {
    let text = [purpose, b" of ", address.to_string().as_bytes()].concat();
    *mesh_proto::http_signature::ContentDigest::of(&text).sha256()
}

/// Spreads a number over all 64 bits (SplitMix64).
pub(crate) fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
