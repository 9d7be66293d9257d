//! What was seen before: key-log heads, whose name is whose, how far logs had grown.
//!
//! A later answer must extend what is pinned here; one that does not is an error that no command passes over. Pins are shared by all
//! that one program does and merged with what others wrote when they are saved; a crash loses the newest, never the file.

use crate::error::Result;
use crate::limits::PINS_MAX;
use crate::verify::Mistrust;
use mesh_proto::address::{Address, Domain};
use mesh_proto::api::KeysView;
use mesh_proto::bytes::Hash;
use mesh_proto::envelope::RecordId;
use mesh_proto::key::{AccountId, KeyId};
use mesh_proto::keylog::{KeyLog, LoggedOp};
use mesh_proto::log::{Checkpoint, Origin};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Name of the file, beside the identity.
pub const PINS_FILE: &str = "pins.json";

/// The newest known head of one key log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct HeadPin {
    head: RecordId,
    seen: u64,
    /// Who has it, should its home not answer: its home, then its mirrors, by the key log that was seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    kept_at: Vec<Domain>,
}

/// The longest known prefix of one log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct LogPin {
    size: u64,
    root: Hash,
    /// The key under which this log's checkpoints verified when it was first met; older files have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<KeyId>,
}

/// Whether an account was met before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contact {
    /// Never before: nothing vouches for it but its home.
    First,
    /// Known, and its key log contains what was known of it.
    Known,
}

/// Everything pinned.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pins {
    #[serde(default)]
    accounts: BTreeMap<AccountId, HeadPin>,
    #[serde(default)]
    names: BTreeMap<Address, AccountId>,
    #[serde(default)]
    logs: BTreeMap<Origin, LogPin>,
    /// When other domains were last asked whom they know under one's own address, milliseconds since the epoch.
    #[serde(default)]
    elsewhere: u64,
    /// One's own key log, as far as it was seen here: with it an account goes on if its home is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    own: Option<KeysView>,
}

impl Pins {
    /// Checks a key log against its pin and pins its head.
    pub fn meet(&mut self, keys: &KeyLog, now_ms: u64) -> Result<Contact, Mistrust> {
        let account = keys.account();
        let known = self.accounts.get(&account);
        if let Some(pin) = known
            && !keys.contains(&pin.head)
        {
            return Err(Mistrust::Rewritten { account, head: pin.head });
        }
        let contact = if known.is_some() { Contact::Known } else { Contact::First };
        let mut kept_at = vec![keys.view().address().domain().clone()];
        kept_at.extend(keys.view().mirrors().iter().cloned());
        self.accounts.insert(account, HeadPin { head: keys.head(), seen: now_ms, kept_at });
        while self.accounts.len() > PINS_MAX {
            let oldest = self.accounts.iter().min_by_key(|(_, pin)| pin.seen).map(|(account, _)| *account);
            let Some(oldest) = oldest else { break };
            self.accounts.remove(&oldest);
            self.names.retain(|_, account| *account != oldest);
        }
        Ok(contact)
    }

    /// Whether a key log lacks what was seen of it before.
    pub fn knows_more(&self, keys: &KeyLog) -> bool {
        self.accounts.get(&keys.account()).is_some_and(|pin| !keys.contains(&pin.head))
    }

    /// Checks that a name still means the account that it meant before. It pins nothing.
    pub fn check_name(&self, address: &Address, account: &AccountId) -> Result<(), Mistrust> {
        match self.names.get(address) {
            Some(known) if known != account => Err(Mistrust::AnotherPerson { address: address.clone(), known: *known, now: *account }),
            _ => Ok(()),
        }
    }

    /// Pins a name whose leaf was proven.
    pub fn pin_name(&mut self, address: &Address, account: &AccountId) -> Result<(), Mistrust> {
        self.check_name(address, account)?;
        self.names.insert(address.clone(), *account);
        Ok(())
    }

    /// The account that a name was last seen to mean.
    pub fn named(&self, address: &Address) -> Option<AccountId> {
        self.names.get(address).copied()
    }

    /// Where an account was last seen to live, then its mirrors.
    pub fn kept_at(&self, account: &AccountId) -> Vec<Domain> {
        self.accounts.get(account).map(|pin| pin.kept_at.clone()).unwrap_or_default()
    }

    /// Keeps one's own key log, if it is not shorter than the one that is kept.
    pub fn keep_own(&mut self, keys: &KeyLog) {
        let shorter = |own: &KeysView| own.account == keys.account() && own.ops.len() > keys.len();
        if !self.own.as_ref().is_some_and(shorter) {
            self.own = Some(KeysView { account: keys.account(), ops: keys.ops().cloned().collect(), name: None });
        }
    }

    /// The operations of one's own key log that were seen here.
    pub fn own_ops(&self, account: &AccountId) -> &[LoggedOp] {
        self.own.as_ref().filter(|own| own.account == *account).map(|own| own.ops.as_slice()).unwrap_or_default()
    }

    /// The key under which a log's checkpoints verified when it was first met.
    pub fn log_key(&self, origin: &Origin) -> Option<KeyId> {
        self.logs.get(origin).and_then(|pin| pin.key)
    }

    /// Whether just this checkpoint was verified before.
    pub fn knows_checkpoint(&self, checkpoint: &Checkpoint) -> bool {
        self.logs.get(&checkpoint.origin).is_some_and(|pin| (pin.size, pin.root) == (checkpoint.size, checkpoint.root))
    }

    /// Takes the person now behind a name as a new acquaintance. Only on a person's word.
    pub fn forget_name(&mut self, address: &Address) -> Option<AccountId> {
        self.names.remove(address)
    }

    /// Checks a verified checkpoint against the longest one known of its log, and pins it if it is longer; `key` verified it.
    pub fn meet_log(&mut self, checkpoint: &Checkpoint, key: &KeyId) -> Result<(), Mistrust> {
        let mut first_key = Some(*key);
        if let Some(pin) = self.logs.get_mut(&checkpoint.origin) {
            let same = checkpoint.size == pin.size && checkpoint.root != pin.root;
            if same {
                return Err(Mistrust::LogForked { origin: checkpoint.origin.clone(), size: pin.size });
            }
            pin.key.get_or_insert(*key);
            first_key = pin.key;
            if checkpoint.size < pin.size {
                // A cache on the way may be late; a log that stays shorter than it was is seen when its leaves are asked for.
                return Ok(());
            }
        }
        self.logs.insert(checkpoint.origin.clone(), LogPin { size: checkpoint.size, root: checkpoint.root, key: first_key });
        Ok(())
    }

    /// The domains of everybody whose name is pinned.
    pub fn domains(&self) -> BTreeSet<Domain> {
        self.names.keys().map(|address| address.domain().clone()).collect()
    }

    /// Whether it is time to ask other domains about one's own address; notes that it is done.
    pub fn is_elsewhere_due(&mut self, now_ms: u64) -> bool {
        // A clock that was set back does not put it off.
        let due = now_ms.abs_diff(self.elsewhere) >= crate::limits::ELSEWHERE_PERIOD_MS;
        if due {
            self.elsewhere = now_ms;
        }
        due
    }

    /// What was found is to be found again the next time.
    pub fn elsewhere_again(&mut self) {
        self.elsewhere = 0;
    }

    /// Adds what another process has pinned meanwhile; where both know something, the newer wins.
    #[cfg(not(target_arch = "wasm32"))]
    fn merge(&mut self, other: Pins) {
        self.elsewhere = self.elsewhere.max(other.elsewhere);
        for (account, pin) in other.accounts {
            let ours = self.accounts.entry(account).or_insert_with(|| pin.clone());
            if pin.seen > ours.seen {
                *ours = pin;
            }
        }
        for (address, account) in other.names {
            self.names.entry(address).or_insert(account);
        }
        for (origin, pin) in other.logs {
            let ours = self.logs.entry(origin).or_insert_with(|| pin.clone());
            let key = ours.key.or(pin.key);
            if pin.size > ours.size {
                *ours = pin;
            }
            ours.key = key;
        }
        if let Some(theirs) =
            other.own.filter(|theirs| self.own.as_ref().is_none_or(|own| own.account == theirs.account && own.ops.len() < theirs.ops.len()))
        {
            self.own = Some(theirs);
        }
    }
}

/// The pins of a program, shared by its parts. Cloning is cheap and shares.
#[derive(Debug, Clone, Default)]
pub struct PinBook {
    pins: Arc<Mutex<Pins>>,
    #[cfg(not(target_arch = "wasm32"))]
    file: Option<Arc<PinFile>>,
}

#[cfg(not(target_arch = "wasm32"))]
#[derive(Debug)]
struct PinFile {
    path: std::path::PathBuf,
    /// Names forgotten on purpose: a merge must not bring them back.
    forgotten: Mutex<Vec<Address>>,
}

impl PinBook {
    /// The pins, locked; no await happens while they are.
    pub fn lock(&self) -> MutexGuard<'_, Pins> {
        self.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the file in `folder`.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn open(folder: &std::path::Path) -> Result<Self> {
        let path = folder.join(PINS_FILE);
        let pins = load(&path)?;
        let file = Some(Arc::new(PinFile { path, forgotten: Mutex::default() }));
        Ok(Self { pins: Arc::new(Mutex::new(pins)), file })
    }

    /// Takes the person now behind a name as a new acquaintance. Only on a person's word.
    pub fn forget_name(&self, address: &Address) -> Option<AccountId> {
        let known = self.lock().forget_name(address);
        #[cfg(not(target_arch = "wasm32"))]
        if let Some(file) = &self.file {
            file.forgotten.lock().unwrap_or_else(PoisonError::into_inner).push(address.clone());
        }
        known
    }

    /// Whether a name was never met before, and nobody said that its new bearer is to be taken as such.
    pub fn is_new(&self, address: &Address) -> bool {
        #[cfg(not(target_arch = "wasm32"))]
        if let Some(file) = &self.file
            && file.forgotten.lock().unwrap_or_else(PoisonError::into_inner).contains(address)
        {
            return false;
        }
        !self.lock().names.contains_key(address)
    }

    /// Writes the file, with what others wrote meanwhile. Without a folder nothing is kept.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn save(&self) -> Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let mut theirs = load(&file.path)?;
        for address in file.forgotten.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            theirs.forget_name(address);
        }
        let before = theirs.clone();
        let merged = {
            let mut ours = self.lock();
            ours.merge(theirs);
            ours.clone()
        };
        if merged == before {
            return Ok(());
        }
        let bytes = serde_json::to_vec(&merged)
            .map_err(|error| crate::keystore::KeystoreError::Damaged { path: file.path.clone(), what: error.to_string() })?;
        Ok(crate::keystore::write_atomically(&file.path, &bytes)?)
    }
}

#[cfg(not(target_arch = "wasm32"))]
fn load(path: &std::path::Path) -> Result<Pins, crate::keystore::KeystoreError> {
    use crate::keystore::{KeystoreError, read_capped};
    let Some(bytes) = read_capped(path, crate::limits::PINS_BYTES_MAX)? else {
        return Ok(Pins::default());
    };
    // A damaged file is not replaced by an empty one: that would be first contact with everybody, silently.
    serde_json::from_slice(&bytes).map_err(|error| KeystoreError::Damaged { path: path.to_owned(), what: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_proto::keylog::Action;
    use mesh_testkit::TestAccount;

    #[test]
    fn extended_log_is_known_and_shortened_log_is_refused() {
        let mut account = TestAccount::new("neo@one.localhost:8001", 1);
        let before = account.keys.clone();
        let mut pins = Pins::default();
        assert_eq!(pins.meet(&before, 1), Ok(Contact::First));
        account.add_device(7);
        assert_eq!(pins.meet(&account.keys, 2), Ok(Contact::Known));
        assert!(matches!(pins.meet(&before, 3), Err(Mistrust::Rewritten { .. })));
    }

    #[test]
    fn fork_that_keeps_the_pinned_head_is_accepted() {
        let mut account = TestAccount::new("neo@one.localhost:8001", 1);
        let genesis = account.keys.head();
        account.add_device(7);
        let mut pins = Pins::default();
        assert_eq!(pins.meet(&account.keys, 1), Ok(Contact::First));
        let root = account.root.clone();
        let device = account.device.id();
        account.key_op_after(genesis, Action::DeviceRevoke { device, last_good: None }, &root);
        assert_eq!(pins.meet(&account.keys, 2), Ok(Contact::Known));
    }

    #[test]
    fn same_name_with_another_genesis_is_another_person() {
        let address: Address = "neo@one.localhost:8001".parse().expect("an address");
        let (first, second) = (TestAccount::new("neo@one.localhost:8001", 1), TestAccount::new("neo@one.localhost:8001", 2));
        let mut pins = Pins::default();
        assert_eq!(pins.pin_name(&address, &first.id()), Ok(()));
        assert!(matches!(pins.pin_name(&address, &second.id()), Err(Mistrust::AnotherPerson { .. })));
        assert_eq!(pins.forget_name(&address), Some(first.id()));
        assert_eq!(pins.pin_name(&address, &second.id()), Ok(()));
    }

    #[test]
    fn two_roots_for_one_size_are_a_fork() {
        let origin: Origin = "one.localhost:8001/log/1".parse().expect("an origin");
        let checkpoint = |size, byte| Checkpoint { origin: origin.clone(), size, root: Hash([byte; 32]) };
        let key = |byte| mesh_proto::key::SecretKey::from_seed(&[byte; 32]).id();
        let mut pins = Pins::default();
        assert_eq!(pins.meet_log(&checkpoint(5, 1), &key(1)), Ok(()));
        assert!(matches!(pins.meet_log(&checkpoint(5, 2), &key(1)), Err(Mistrust::LogForked { .. })));
        assert_eq!(pins.meet_log(&checkpoint(9, 2), &key(2)), Ok(()));
        // The key that was seen first stays: who takes over a dead domain does not speak for its old log.
        assert_eq!(pins.log_key(&origin), Some(key(1)));
        assert!(pins.knows_checkpoint(&checkpoint(9, 2)) && !pins.knows_checkpoint(&checkpoint(9, 1)));
    }

    #[test]
    fn file_of_an_earlier_version_is_read() {
        let neo = TestAccount::new("neo@one.localhost:8001", 1);
        let old = serde_json::json!({
            "accounts": { neo.id().to_string(): { "head": neo.keys.head(), "seen": 1 } },
            "names": { "neo@one.localhost:8001": neo.id() },
            "logs": { "one.localhost:8001/log/1": { "size": 3, "root": Hash([7; 32]) } },
        });
        let mut pins: Pins = serde_json::from_value(old).expect("readable");
        assert_eq!(pins.named(&"neo@one.localhost:8001".parse().expect("an address")), Some(neo.id()));
        assert_eq!(pins.kept_at(&neo.id()), []);
        assert_eq!(pins.meet(&neo.keys, 2), Ok(Contact::Known));
        assert_eq!(pins.kept_at(&neo.id()), ["one.localhost:8001".parse().expect("a domain")]);
    }

    #[test]
    fn own_key_log_is_kept_and_never_shortened() {
        let mut neo = TestAccount::new("neo@one.localhost:8001", 1);
        let before = neo.keys.clone();
        neo.add_device(7);
        let mut pins = Pins::default();
        pins.keep_own(&neo.keys);
        pins.keep_own(&before);
        assert_eq!(pins.own_ops(&neo.id()).len(), 2);
        let eve = TestAccount::new("eve@one.localhost:8001", 2);
        assert_eq!(pins.own_ops(&eve.id()), []);
    }

    #[test]
    fn saved_pins_are_merged_with_what_others_saved() {
        let folder = tempfile::tempdir().expect("a folder");
        let (ours, theirs) = (PinBook::open(folder.path()).expect("new"), PinBook::open(folder.path()).expect("new"));
        let (neo, eve) = (TestAccount::new("neo@one.localhost:8001", 1), TestAccount::new("eve@one.localhost:8001", 2));
        ours.lock().meet(&neo.keys, 1).expect("first");
        theirs.lock().meet(&eve.keys, 1).expect("first");
        ours.save().expect("saved");
        theirs.save().expect("saved");
        let again = PinBook::open(folder.path()).expect("readable");
        assert_eq!(again.lock().meet(&neo.keys, 2), Ok(Contact::Known));
        assert_eq!(again.lock().meet(&eve.keys, 2), Ok(Contact::Known));
    }
}
