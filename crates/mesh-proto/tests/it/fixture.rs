//! The people and things that all tests here share. Seeds are one byte repeated, so that the vectors can name them.

use mesh_proto::bytes::Salt;
use mesh_proto::envelope::{Envelope, Kind, RecordId};
use mesh_proto::key::{AccountId, KeyId, SecretKey};
use mesh_proto::keylog::{Action, KeyLog, LogPosition, LoggedOp, NewOp};
use mesh_proto::log::Origin;
use mesh_proto::record::{Content, Head, ObjectRef, Record};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::PathBuf;

/// When everything begins, milliseconds since the epoch.
pub(crate) const T0: u64 = 1_700_000_000_000;
pub(crate) const ROOT: u8 = 1;
pub(crate) const DEVICE: u8 = 2;

/// The key whose seed is `seed` 32 times.
pub(crate) fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

pub(crate) fn key_id(seed: u8) -> KeyId {
    key(seed).id()
}

pub(crate) fn origin() -> Origin {
    "one.localhost:8001/log/1".parse().expect("an origin")
}

pub(crate) fn leaf(index: u64) -> LogPosition {
    LogPosition { origin: origin(), index }
}

pub(crate) fn genesis_action() -> Action {
    Action::Genesis {
        root: key_id(ROOT),
        device: key_id(DEVICE),
        address: "neo@one.localhost:8001".parse().expect("an address"),
        name: "laptop".into(),
    }
}

pub(crate) fn genesis() -> LoggedOp {
    let op = NewOp { follows: None, action: genesis_action(), at: T0, salt: Salt([0; 16]) };
    LoggedOp { envelope: op.sign(&key(ROOT)), received: T0 }
}

/// The account that the genesis makes.
pub(crate) fn account() -> AccountId {
    AccountId::from_hash(*genesis().envelope.id().hash())
}

pub(crate) fn log() -> KeyLog {
    KeyLog::from_genesis(genesis()).expect("a good genesis")
}

/// An operation of [`account`] after `prev`, signed by the key of `seed` and logged at `received`.
pub(crate) fn op(prev: RecordId, action: Action, seed: u8, received: u64) -> LoggedOp {
    let op = NewOp { follows: Some((account(), prev)), action, at: received, salt: Salt([9; 16]) };
    LoggedOp { envelope: op.sign(&key(seed)), received }
}

pub(crate) fn add(seed: u8) -> Action {
    Action::DeviceAdd { device: key_id(seed), name: String::new() }
}

pub(crate) fn revoke(seed: u8, last: Option<u64>) -> Action {
    Action::DeviceRevoke { device: key_id(seed), last_good: last.map(leaf) }
}

pub(crate) fn rotate(seed: u8) -> Action {
    Action::RootRotate { root: key_id(seed) }
}

pub(crate) fn mirror(domains: &[&str]) -> Action {
    Action::MirrorSet { mirrors: domains.iter().map(|domain| domain.parse().expect("a domain")).collect() }
}

pub(crate) fn head() -> Head {
    Head {
        actor: account(),
        device: key_id(DEVICE),
        keys: genesis().envelope.id(),
        at: T0 + 1000,
        salt: Salt([5; 16]),
        crit: BTreeSet::new(),
    }
}

/// A post by somebody else, to act on.
pub(crate) fn object() -> ObjectRef {
    ObjectRef {
        actor: AccountId::from_hash([3; 32]),
        home: "two.localhost:8002".parse().expect("a domain"),
        id: RecordId::from_hash([4; 32]),
        version: RecordId::from_hash([6; 32]),
    }
}

pub(crate) fn signed(content: Content) -> Envelope {
    Record { head: head(), content }.sign(&key(DEVICE))
}

pub(crate) fn signed_body(kind: Kind, body: impl Into<Vec<u8>>) -> Envelope {
    Envelope::sign(kind, body.into(), &key(DEVICE))
}

/// The name of an error: its innermost variant, as the tables of `spec/` name it.
pub(crate) fn error_name(error: &impl Debug) -> String {
    const CARRY_NO_ERROR: [&str; 8] =
        ["NotARecord", "OtherKind", "UnknownDevice", "Revoked", "UnknownHead", "UnknownPrev", "OtherAccount", "OtherOrigin"];
    let text = format!("{error:?}");
    let mut rest = text.as_str();
    loop {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        match after.strip_prefix('(') {
            Some(inner) if inner.starts_with(|c: char| c.is_ascii_uppercase()) && !CARRY_NO_ERROR.contains(&name) => rest = inner,
            _ => return name.to_owned(),
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).expect("hex")
}

/// A path in the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

#[test]
fn error_names_are_those_of_the_innermost_variant() {
    use mesh_proto::json::JsonError;
    use mesh_proto::keylog::{KeyLogError, KeyOpError};
    assert_eq!(error_name(&KeyLogError::Op(KeyOpError::Body(JsonError::Duplicate(3)))), "Duplicate");
    assert_eq!(error_name(&KeyLogError::NotAllowed("x")), "NotAllowed");
    assert_eq!(error_name(&KeyLogError::UnknownPrev(RecordId::from_hash([0; 32]))), "UnknownPrev");
}
