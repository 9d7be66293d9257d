//! Accounts and logs to test with: everything follows from small numbers.

use mesh_proto::address::Address;
use mesh_proto::api::{Growth, LoggedRecord, NameLeaf};
use mesh_proto::bytes::{Hash, Salt};
use mesh_proto::envelope::{Envelope, Kind, RecordId};
use mesh_proto::key::{AccountId, KeyId, SecretKey};
use mesh_proto::keylog::{Action, KeyLog, LogPosition, LoggedOp, NewOp};
use mesh_proto::log::{BatchProof, Checkpoint, Nodes, Opening, Origin, Tree, entry_hash, name_id, prove, prove_consistency};
use mesh_proto::record::{AccountRef, Content, Head, ObjectRef, Record, RetractReason};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::convert::Infallible;

/// When fixtures begin: 2026-01-01T00:00:00Z, milliseconds.
pub const START_MS: u64 = 1_767_225_600_000;

/// An account with its keys and its key log.
#[derive(Debug, Clone)]
pub struct TestAccount {
    /// The root key.
    pub root: SecretKey,
    /// The device that signs.
    pub device: SecretKey,
    /// The key log.
    pub keys: KeyLog,
    salt: Cell<u64>,
}

impl TestAccount {
    /// The account of this address; `number` makes its keys.
    pub fn new(address: &str, number: u8) -> Self {
        let address: Address = address.parse().expect("tests give good addresses");
        let (root, device) = (SecretKey::from_seed(&[number; 32]), SecretKey::from_seed(&[number.wrapping_add(128); 32]));
        let action = Action::Genesis { root: root.id(), device: device.id(), address, name: "first".to_owned() };
        let genesis = NewOp { follows: None, action, at: START_MS, salt: Salt([number; 16]) }.sign(&root);
        let keys = KeyLog::from_genesis(LoggedOp { envelope: genesis, received: START_MS }).expect("a good genesis");
        Self { root, device, keys, salt: Cell::new(1) }
    }

    /// Its id.
    pub fn id(&self) -> AccountId {
        self.keys.account()
    }

    /// Its present address.
    pub fn address(&self) -> Address {
        self.keys.view().address().clone()
    }

    /// Appends a key operation after the present head, signed by `signer`, and answers its envelope.
    pub fn key_op(&mut self, action: Action, signer: &SecretKey) -> Envelope {
        self.key_op_after(self.keys.head(), action, signer)
    }

    /// Appends a key operation after `prev`: a fork if that is not the head.
    pub fn key_op_after(&mut self, prev: RecordId, action: Action, signer: &SecretKey) -> Envelope {
        let at = START_MS + self.keys.len() as u64;
        let envelope = NewOp { follows: Some((self.id(), prev)), action, at, salt: self.salt() }.sign(signer);
        self.keys.insert(LoggedOp { envelope: envelope.clone(), received: at }).expect("a good operation");
        envelope
    }

    /// Adds another device, made from `number`, signed by the first one, and answers its key.
    pub fn add_device(&mut self, number: u8) -> SecretKey {
        let key = SecretKey::from_seed(&[number; 32]);
        let signer = self.device.clone();
        self.key_op(Action::DeviceAdd { device: key.id(), name: format!("device {number}") }, &signer);
        key
    }

    /// A record with this content by the account's device under its present head.
    pub fn record(&self, content: Content) -> Record {
        let salt = self.salt();
        let at = START_MS + self.salt.get();
        let head = Head { actor: self.id(), device: self.device.id(), keys: self.keys.head(), at, salt, crit: Default::default() };
        Record { head, content }
    }

    /// The same, signed.
    pub fn sign(&self, content: Content) -> Envelope {
        self.record(content).sign(&self.device)
    }

    /// How another record names `record` of this account, whose first version it is.
    pub fn object(&self, record: &Envelope) -> ObjectRef {
        ObjectRef { actor: self.id(), home: self.address().domain().clone(), id: record.id(), version: record.id() }
    }

    /// How another record names this account.
    pub fn account_ref(&self) -> AccountRef {
        AccountRef { actor: self.id(), home: self.address().domain().clone() }
    }

    /// One record of every kind, each acting on `post` of `author` where it acts on something; in the order of the kinds' numbers.
    pub fn one_of_each(&self, author: &TestAccount, post: &Envelope) -> Vec<Envelope> {
        use mesh_proto::record::{Choices, Comment, Like, Post, Profile, Report, ReportReason, Repost, Retract, Subscribe, Terms, Vote};
        let object = author.object(post);
        let comment = Comment {
            root: object.clone(),
            parent: object.clone(),
            text: "a comment".to_owned(),
            lang: None,
            terms: Terms::Free,
            revises: None,
        };
        let contents = [
            Content::Profile(Profile { name: "Test".to_owned(), ..Profile::default() }),
            Content::Post(Post::free("a post")),
            Content::Comment(comment),
            Content::Like(Like { object: object.clone() }),
            Content::Subscribe(Subscribe { object: author.account_ref() }),
            Content::Repost(Repost { object: object.clone() }),
            Content::Retract(Retract { object: object.id, reason: RetractReason::Author }),
            Content::Report(Report { object: object.clone(), reason: ReportReason::Spam, text: String::new() }),
            Content::Vote(Vote { object, poll: Hash([7; 32]), ends: START_MS, choices: Choices::new([0]).expect("one") }),
        ];
        contents.into_iter().map(|content| self.sign(content)).collect()
    }

    fn salt(&self) -> Salt {
        let number = self.salt.get();
        self.salt.set(number + 1);
        let mut salt = [0; 16];
        salt[..8].copy_from_slice(&number.to_le_bytes());
        Salt(salt)
    }
}

/// A home log in memory, with proofs.
#[derive(Debug)]
pub struct TestLog {
    origin: Origin,
    key: SecretKey,
    tree: Tree,
    nodes: Known,
}

#[derive(Debug, Default)]
struct Known(BTreeMap<(u32, u64), Hash>);

impl Nodes for &Known {
    type Error = Infallible;
    fn node(&mut self, height: u32, index: u64) -> Result<Hash, Infallible> {
        Ok(self.0[&(height, index)])
    }
}

impl TestLog {
    /// An empty log; `number` makes its key.
    pub fn new(origin: &str, number: u8) -> Self {
        let origin = origin.parse().expect("tests give good origins");
        Self { origin, key: SecretKey::from_seed(&[number; 32]), tree: Tree::default(), nodes: Known::default() }
    }

    /// The log's public key.
    pub fn key(&self) -> KeyId {
        self.key.id()
    }

    /// The signed note of its present head.
    pub fn checkpoint(&self) -> String {
        Checkpoint { origin: self.origin.clone(), size: self.tree.size(), root: self.tree.root() }.sign(&self.key)
    }

    /// The proof for leaves, by strictly ascending index.
    pub fn prove(&self, indexes: &[u64]) -> BatchProof {
        let Ok(proof) = prove(&mut &self.nodes, self.tree.size(), indexes);
        proof.expect("the leaves are in the log")
    }

    /// The proof that the log grew from `size` leaves, which it had.
    pub fn prove_growth(&self, size: u64) -> Growth {
        let Ok(proof) = prove_consistency(&mut &self.nodes, size, self.tree.size());
        Growth { size, proof: proof.expect("the log was that large") }
    }

    /// Logs a record.
    pub fn accept(&mut self, account: &TestAccount, envelope: Envelope) -> LoggedRecord {
        let (leaf, opening) = self.append(account.id(), envelope.id(), envelope.kind());
        LoggedRecord { envelope, leaf, opening }
    }

    /// Logs a record that is said to have come at `received`, whatever lies before it.
    pub fn accept_at(&mut self, account: &TestAccount, envelope: Envelope, received: u64) -> LoggedRecord {
        let (leaf, opening) = self.append_at((account.id(), envelope.id(), envelope.kind()), received);
        LoggedRecord { envelope, leaf, opening }
    }

    /// Logs the account's name and proves it.
    pub fn name(&mut self, account: &TestAccount) -> NameLeaf {
        let (leaf, opening) = self.append(account.id(), name_id(&account.address()), Kind::Name);
        let proof = self.prove(&[leaf.index]);
        NameLeaf { leaf, opening, checkpoint: self.checkpoint(), proof }
    }

    fn append(&mut self, account: AccountId, record: RecordId, kind: Kind) -> (LogPosition, Opening) {
        self.append_at((account, record, kind), START_MS + self.tree.size())
    }

    fn append_at(&mut self, (account, record, kind): (AccountId, RecordId, Kind), received: u64) -> (LogPosition, Opening) {
        let index = self.tree.size();
        let opening = Opening { salt: Salt([index as u8; 16]), record, account, kind, received };
        let nodes = &mut self.nodes.0;
        self.tree.push(entry_hash(&opening.entry()), |height, index, hash| {
            nodes.insert((height, index), *hash);
        });
        (LogPosition { origin: self.origin.clone(), index }, opening)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_record_of_each_kind_opens_as_that_kind() {
        let (neo, eve) = (TestAccount::new("neo@one.localhost:8001", 1), TestAccount::new("eve@two.localhost:8002", 2));
        let post = neo.sign(Content::Post(mesh_proto::record::Post::free("hello")));
        let kinds: Vec<Kind> = eve.one_of_each(&neo, &post).iter().map(|one| Record::open(one).expect("a good record").kind()).collect();
        // Key operations, names and what domains sign are no records.
        let records: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| *kind >= Kind::Profile).collect();
        assert_eq!(kinds, records);
    }
}
