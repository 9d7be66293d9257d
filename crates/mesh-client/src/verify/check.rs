//! The checks behind every shown record and every proof: pure, from bytes to a verdict.

use super::Mistrust;
use mesh_proto::address::{Address, Domain};
use mesh_proto::api::{KeysView, LoggedRecord, NameLeaf};
use mesh_proto::envelope::{Envelope, Kind, RecordId};
use mesh_proto::key::{AccountId, KeyId, Verifier};
use mesh_proto::keylog::{Action, KeyLog, KeyLogError, KeyOp, LogPosition, UseError};
use mesh_proto::log::{Checkpoint, Opening, entry_hash, name_id, verify};
use mesh_proto::record::Record;
use mesh_proto::uri::{self, Target};
use std::collections::BTreeSet;

/// Whether the author stands by a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Yes.
    Good,
    /// The signature holds, but the device was revoked and the owner does not stand by this.
    Disowned(UseError),
}

/// A record whose signature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// What was signed.
    pub record: Record,
    /// The id of this version.
    pub version: RecordId,
    /// The id for ever: that of the first version.
    pub id: RecordId,
    /// Whether the author stands by it.
    pub standing: Standing,
}

/// A name whose leaf is in its domain's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameProof {
    /// The name.
    pub address: Address,
    /// Its leaf.
    pub leaf: LogPosition,
    /// The checkpoint that covers it.
    pub checkpoint: Checkpoint,
}

/// Verifies a key log and that it is the account's.
pub fn keys(view: KeysView, account: &AccountId) -> Result<KeyLog, Mistrust> {
    let failed = |source| Mistrust::KeyLog { account: *account, source };
    let keys = KeyLog::from_ops(view.ops).map_err(failed)?;
    if keys.account() == *account { Ok(keys) } else { Err(failed(KeyLogError::OtherAccount(keys.account()))) }
}

/// Verifies a signed record against its author's key log. `leaf`: where it was logged, which a revoked device's record depends on.
pub fn record(envelope: &Envelope, leaf: Option<&LogPosition>, keys: &KeyLog) -> Result<Checked, Mistrust> {
    let version = envelope.id();
    let record = Record::open(envelope).map_err(|source| Mistrust::Record { record: version, source })?;
    let misuse = |source| Mistrust::Use { record: version, source };
    if record.head.actor != keys.account() {
        return Err(Mistrust::NotAsSigned { record: version, what: "its author" });
    }
    let (verifier, standing) = match keys.check_use(&record.head.device, &record.head.keys, leaf) {
        Ok(verifier) => (*verifier, Standing::Good),
        Err(error @ UseError::Revoked(_)) => {
            let device = keys.view().devices().get(&record.head.device);
            (device.ok_or_else(|| misuse(error.clone()))?.verifier, Standing::Disowned(error))
        }
        Err(error) => return Err(misuse(error)),
    };
    envelope.verify(&verifier).map_err(|source| Mistrust::Signature { record: version, source })?;
    let id = record.content.revises().copied().unwrap_or(version);
    Ok(Checked { record, version, id, standing })
}

/// Verifies a record, and that its leaf is opened by what was signed. That the leaf is in the log is not checked here.
pub fn logged_record(logged: &LoggedRecord, keys: &KeyLog) -> Result<Checked, Mistrust> {
    let checked = record(&logged.envelope, Some(&logged.leaf), keys)?;
    let differs = |what| Mistrust::NotAsSigned { record: checked.version, what };
    let opening = &logged.opening;
    if opening.record != checked.version {
        return Err(differs("the leaf stands for another record"));
    }
    if opening.account != keys.account() {
        return Err(differs("the leaf stands for another account"));
    }
    if opening.kind != logged.envelope.kind() {
        return Err(differs("the leaf stands for another kind"));
    }
    if !homes(keys).contains(logged.leaf.origin.domain()) {
        return Err(differs("it is logged at a domain that its author's key log never named"));
    }
    Ok(checked)
}

/// Checks that a record is the one, and by the one, that a link names.
pub fn fits(target: &Target, checked: &Checked, keys: &KeyLog) -> Result<(), Mistrust> {
    let differs = |what| Mistrust::NotAsSigned { record: checked.version, what };
    if let Target::Record { record, .. } = target
        && checked.id != *record
        && checked.version != *record
    {
        return Err(differs("it is another record than the one asked for"));
    }
    let by_the_named = match target.person() {
        uri::Person::Account { id, .. } => *id == keys.account(),
        uri::Person::Address(address) => addresses(keys).contains(address),
    };
    if by_the_named { Ok(()) } else { Err(differs("the link names another author")) }
}

/// Every address that the account's key log ever named.
pub fn addresses(keys: &KeyLog) -> BTreeSet<Address> {
    let ops = keys.ops().filter_map(|op| KeyOp::open(&op.envelope).ok());
    ops.filter_map(|op| match op.action {
        Action::Genesis { address, .. } | Action::HomeMove { address } => Some(address),
        _ => None,
    })
    .collect()
}

/// Checks that a key log has, or had, the address under which it was found: a domain does not pass somebody else off as one of its people.
pub fn bears(keys: &KeyLog, address: &Address) -> Result<(), Mistrust> {
    if addresses(keys).contains(address) {
        return Ok(());
    }
    Err(Mistrust::NotTheName { address: address.clone(), bears: keys.view().address().clone() })
}

/// Every domain that the account's key log ever named as home.
fn homes(keys: &KeyLog) -> BTreeSet<Domain> {
    addresses(keys).iter().map(|address| address.domain().clone()).collect()
}

/// Verifies that the account's present name is in its domain's log.
pub fn name(keys: &KeyLog, name: &NameLeaf, log_key: &KeyId) -> Result<NameProof, Mistrust> {
    let address = keys.view().address().clone();
    let missing = |why: &str| not_logged("the name", &name.leaf, why.to_owned());
    let origin = &name.leaf.origin;
    if origin.domain() != address.domain() {
        return Err(missing("it is not the log of the name's domain"));
    }
    let opening = &name.opening;
    if opening.kind != Kind::Name || opening.record != name_id(&address) || opening.account != keys.account() {
        return Err(missing("the leaf stands for something else"));
    }
    let checkpoint = checkpoint(&name.checkpoint, origin, log_key)?;
    let leaf = (name.leaf.index, entry_hash(&opening.entry()));
    verify(checkpoint.size, &checkpoint.root, &[leaf], &name.proof).map_err(|error| missing(&error.to_string()))?;
    Ok(NameProof { address, leaf: name.leaf.clone(), checkpoint })
}

/// Verifies a checkpoint note under a domain's log key.
pub fn checkpoint(note: &str, origin: &mesh_proto::log::Origin, log_key: &KeyId) -> Result<Checkpoint, Mistrust> {
    let unusable = |source| Mistrust::Checkpoint { origin: origin.clone(), source };
    let key: Verifier = log_key.verifier().map_err(|_| unusable(mesh_proto::log::NoteError::BadSignature))?;
    Checkpoint::open(note, origin, &key).map_err(unusable)
}

/// The leaf hash of an opening.
pub fn leaf_hash(opening: &Opening) -> mesh_proto::bytes::Hash {
    entry_hash(&opening.entry())
}

pub(crate) fn not_logged(what: &'static str, leaf: &LogPosition, why: String) -> Mistrust {
    Mistrust::NotLogged { what, origin: leaf.origin.clone(), index: leaf.index, why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_proto::key::SecretKey;
    use mesh_proto::log::Origin;
    use mesh_proto::record::{Content, Post};
    use mesh_testkit::{TestAccount, TestLog};

    fn account() -> TestAccount {
        TestAccount::new("neo@one.localhost:8001", 1)
    }

    fn post(account: &TestAccount, text: &str) -> Envelope {
        account.sign(Content::Post(Post::free(text)))
    }

    fn log() -> TestLog {
        TestLog::new("one.localhost:8001/log/1", 9)
    }

    #[test]
    fn record_of_a_live_device_is_good() {
        let account = account();
        let envelope = post(&account, "hello");
        let checked = record(&envelope, None, &account.keys).expect("good");
        assert_eq!((checked.id, checked.standing), (envelope.id(), Standing::Good));
    }

    #[test]
    fn record_by_a_stranger_is_refused() {
        let account = account();
        let mut record_of_stranger = account.record(Content::Post(Post::free("hello")));
        let stranger = SecretKey::from_seed(&[99; 32]);
        record_of_stranger.head.device = stranger.id();
        let refused = record(&record_of_stranger.sign(&stranger), None, &account.keys);
        assert!(matches!(refused, Err(Mistrust::Use { source: UseError::UnknownDevice(_), .. })), "{refused:?}");
    }

    #[test]
    fn changed_body_is_a_false_signature() {
        let account = account();
        let envelope = post(&account, "hello");
        let body = String::from_utf8(envelope.body().to_vec()).expect("text").replace("hello", "jello");
        let changed = Envelope::new(envelope.kind(), body.into_bytes(), *envelope.signature()).expect("small");
        assert!(matches!(record(&changed, None, &account.keys), Err(Mistrust::Signature { .. })));
    }

    #[test]
    fn record_after_the_last_good_leaf_is_disowned_and_one_before_it_is_good() {
        let mut account = account();
        let device = account.device.clone();
        let envelope = post(&account, "hello");
        let origin: Origin = "one.localhost:8001/log/1".parse().expect("an origin");
        let at = |index| LogPosition { origin: origin.clone(), index };
        let root = account.root.clone();
        account.key_op(Action::DeviceRevoke { device: device.id(), last_good: Some(at(5)) }, &root);
        let standing = |index| record(&envelope, Some(&at(index)), &account.keys).expect("signed").standing;
        assert_eq!(standing(5), Standing::Good);
        assert_eq!(standing(6), Standing::Disowned(UseError::Revoked(device.id())));
    }

    #[test]
    fn leaf_at_a_foreign_domain_is_refused() {
        let account = account();
        let mut elsewhere = TestLog::new("evil.localhost:8009/log/1", 9);
        let logged = elsewhere.accept(&account, post(&account, "hello"));
        assert!(matches!(logged_record(&logged, &account.keys), Err(Mistrust::NotAsSigned { .. })));
    }

    #[test]
    fn leaf_of_another_record_is_refused() {
        let account = account();
        let mut log = log();
        let mut logged = log.accept(&account, post(&account, "hello"));
        assert!(logged_record(&logged, &account.keys).is_ok());
        logged.envelope = post(&account, "other");
        assert!(matches!(logged_record(&logged, &account.keys), Err(Mistrust::NotAsSigned { .. })));
    }

    #[test]
    fn name_leaf_proves_the_name_and_only_it() {
        let account = account();
        let mut log = log();
        log.accept(&account, post(&account, "before"));
        let leaf = log.name(&account);
        let proven = name(&account.keys, &leaf, &log.key()).expect("proven");
        assert_eq!(proven.address.to_string(), "neo@one.localhost:8001");
        let other = TestAccount::new("eve@one.localhost:8001", 2);
        assert!(matches!(name(&other.keys, &leaf, &log.key()), Err(Mistrust::NotLogged { .. })));
        let stranger = SecretKey::from_seed(&[50; 32]).id();
        assert!(matches!(name(&account.keys, &leaf, &stranger), Err(Mistrust::Checkpoint { .. })));
    }
}
