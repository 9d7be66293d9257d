//! Accounts: who they are, which keys speak for them. A byte-bounded cache of verified key logs over the tables.
//!
//! A key log in the cache is replaced, never changed, and only after the store holds what it says. Foreign operations are merged under one lock,
//! so that two deliveries of the same operations cannot take the same place; own ones come through the [`crate::writing::append`] thread.

mod known;
mod mirrored;

use crate::error::{NodeError, Result};
use crate::tables::account::{self, AccountRow};
use crate::tables::{AccountLid, MOVED, PeerNo, outbox_key};
use mesh_proto::address::{Address, Domain, User};
use mesh_proto::api::code;
use mesh_proto::key::{AccountId, KeyId};
use mesh_proto::keylog::{Action, KeyLog, KeyLogError, KeyOp, LoggedOp, Status, UseError};
use mesh_proto::limits::LEAF_INDEX_MAX;
use mesh_store::{Batch, Kv, Space, StoreError};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// One account as this server knows it.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its local id.
    pub lid: AccountLid,
    /// Its verified key log.
    pub log: KeyLog,
    /// The leaf of its name in this domain's log, if it lives or lived here.
    pub name_leaf: Option<u64>,
    /// Whether this domain answers for records of it that lie in other logs: it brought them here, or asked for a copy.
    pub keeps: bool,
}

impl Account {
    /// The identity.
    pub fn id(&self) -> AccountId {
        self.log.account()
    }

    /// The present address, as the key log claims it.
    pub fn address(&self) -> &Address {
        self.log.view().address()
    }

    /// The home that the key log names.
    pub fn home(&self) -> &Domain {
        self.address().domain()
    }

    /// The place of a device in the order of arrival of key operations: what references keep of it.
    pub(crate) fn device_place(&self, device: &KeyId) -> u16 {
        self.log.device_place(device).and_then(|place| u16::try_from(place).ok()).unwrap_or(u16::MAX)
    }
}

#[derive(Debug, Clone)]
struct ByBytes;

/// What an account costs in the cache: envelopes and, for each operation, an entry in the index and in the view.
impl Weighter<AccountId, Arc<Account>> for ByBytes {
    fn weight(&self, _: &AccountId, account: &Arc<Account>) -> u64 {
        account.log.ops().map(|op| op.envelope.body().len() as u64 + 600).sum()
    }
}

/// Who sent key operations, and when they came. The times at which operations claim to have been logged are believed only of the account's home: nobody
/// else shortens the wait of a device-signed `root.rotate` by claiming that it began long ago.
#[derive(Debug, Clone, Copy)]
pub struct Sender<'a> {
    /// The domain that sent them, with its number here; `None`: anyone.
    pub domain: Option<(&'a Domain, PeerNo)>,
    /// When they came, milliseconds since the epoch.
    pub now_ms: u64,
}

/// What a merge changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Merged {
    /// Number of operations that were new.
    pub added: usize,
    /// The domain to which the account moved, now or before: what was said here about it is queued for it.
    pub moved_to: Option<PeerNo>,
    /// Whether there is something to erase now: the account was closed, or names this domain no more as a mirror.
    pub erases: bool,
}

/// The accounts service.
pub struct Accounts {
    kv: Arc<dyn Kv>,
    domain: Domain,
    cache: Cache<AccountId, Arc<Account>, ByBytes>,
    ids: Cache<AccountLid, AccountId>,
    next_lid: AtomicU64,
    merging: Mutex<()>,
    /// Held while the cache is told of an account.
    remembering: Mutex<()>,
    /// Shared by those who store what is said elsewhere by accounts of which they have seen where they live; alone while one comes to live here, or takes its copy away.
    settling: RwLock<()>,
}

/// How many local ids of accounts are remembered: 40 bytes each.
const IDS_CACHED: usize = 100_000;
/// How many times a merge is tried again after another writer took its place.
const MERGE_TRIES: usize = 4;

impl<'a> Sender<'a> {
    fn domain(&self) -> Option<&'a Domain> {
        self.domain.map(|(domain, _)| domain)
    }
}

impl Accounts {
    pub(crate) fn open(kv: Arc<dyn Kv>, domain: Domain, cache_bytes: u64) -> Result<Self> {
        let next_lid = AtomicU64::new(account::last_lid(&*kv)? + 1);
        let cache = Cache::with_weighter((cache_bytes / 1024) as usize, cache_bytes, ByBytes);
        Ok(Self {
            kv,
            domain,
            cache,
            ids: Cache::new(IDS_CACHED),
            next_lid,
            merging: Mutex::new(()),
            remembering: Mutex::new(()),
            settling: RwLock::new(()),
        })
    }

    /// The account with this id, if its key log is known here.
    pub fn get(&self, id: &AccountId) -> Result<Option<Arc<Account>>> {
        if let Some(account) = self.cache.get(id) {
            return Ok(Some(account));
        }
        let Some(lid) = account::lid_of(&*self.kv, id)? else { return Ok(None) };
        self.stored(lid).map(Some)
    }

    /// The account with this local id.
    pub fn by_lid(&self, lid: AccountLid) -> Result<Arc<Account>> {
        match self.ids.get(&lid).and_then(|id| self.cache.get(&id)) {
            Some(account) => Ok(account),
            None => self.stored(lid),
        }
    }

    /// Whether an account lives in this domain: its key log says so, and so does the log.
    pub fn lives_here(&self, account: &Account) -> bool {
        account.name_leaf.is_some() && account.home() == &self.domain
    }

    /// The account to which a name of this domain was given, if it still bears it.
    pub fn by_name(&self, user: &str) -> Result<Option<Arc<Account>>> {
        // What is no name is not looked for: keys have a longest length.
        let Ok(user) = user.parse::<User>() else { return Ok(None) };
        let user = user.as_str();
        let Some(lid) = account::by_name(&*self.kv, user)? else { return Ok(None) };
        let account = self.by_lid(lid)?;
        let bears = account.home() == &self.domain && account.address().user().as_str() == user;
        Ok(bears.then_some(account))
    }

    /// The account that once bore a name of this domain and bears another name, here or elsewhere, now.
    pub fn formerly(&self, user: &User) -> Result<Option<Arc<Account>>> {
        let Some(lid) = account::by_name(&*self.kv, user.as_str())? else { return Ok(None) };
        let account = self.by_lid(lid)?;
        let bears = account.home() == &self.domain && account.address().user() == user;
        Ok((!bears).then_some(account))
    }

    /// Names of this domain after `after`, in alphabetical order, with who bears them.
    pub fn names(&self, after: Option<&str>, limit: usize) -> Result<Vec<(String, Arc<Account>)>> {
        let names = account::names(&*self.kv, after, limit)?;
        names.into_iter().map(|(name, lid)| Ok((name, self.by_lid(lid)?))).collect()
    }

    /// Like [`Self::get`], for those who cannot go on without.
    pub fn expect(&self, id: &AccountId) -> Result<Arc<Account>> {
        self.get(id)?.ok_or(NodeError::NotFound("account"))
    }

    /// The account as the store holds it: a moment after a commit the cache may not know of it.
    pub(crate) fn stored(&self, lid: AccountLid) -> Result<Arc<Account>> {
        let row = account::row(&*self.kv, lid)?.ok_or_else(|| crate::tables::codec::damaged("account"))?;
        let log = account::key_log(&*self.kv, lid)?;
        let account = Arc::new(Account { lid, log, name_leaf: row.name_leaf, keeps: row.keeps });
        self.remember(Arc::clone(&account));
        Ok(account)
    }

    /// Puts an account that the store holds into the cache.
    pub(crate) fn remember(&self, account: Arc<Account>) {
        let _remembering = self.remembering.lock().unwrap_or_else(PoisonError::into_inner);
        // Who read the store before the newest commit must not put back what it replaced.
        if self.cache.peek(&account.id()).is_some_and(|known| known.log.len() > account.log.len()) {
            return;
        }
        let replaces = self.cache.peek(&account.id()).is_some_and(|known| known.log.len() != account.log.len());
        let lid = account.lid;
        self.ids.insert(lid, account.id());
        self.cache.insert(account.id(), account);
        if replaces {
            // Who made something of what was remembered until now, though the store held more, must know.
            self.kv.changes().note(Space::KeyOp, &lid.0.to_be_bytes());
        }
    }

    /// Forgets an account of which the store may hold more than the cache.
    pub(crate) fn forget(&self, id: &AccountId) {
        self.cache.remove(id);
    }

    /// A local id for a new account. One that is not used after all leaves a gap.
    pub(crate) fn next_lid(&self) -> AccountLid {
        AccountLid(self.next_lid.fetch_add(1, Ordering::Relaxed))
    }

    /// Held while operations are merged and stored, foreign or own, so that no condition on what is new ever fails.
    pub(crate) fn lock(&self) -> MutexGuard<'_, ()> {
        self.merging.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// While this is held nobody comes to live here, and no copy ceases to be kept.
    pub(crate) fn staying(&self) -> RwLockReadGuard<'_, ()> {
        self.settling.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for all that is being stored of what others said where they lived before.
    pub(crate) fn settle(&self) -> RwLockWriteGuard<'_, ()> {
        self.settling.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Merges operations into what is known. Blocks until they are durable.
    pub fn merge(&self, id: &AccountId, ops: &[LoggedOp], sender: Sender<'_>) -> Result<Merged> {
        let received_min = if self.is_home(id, ops, sender.domain())? { 0 } else { sender.now_ms };
        let ops: Vec<LoggedOp> =
            ops.iter().map(|op| LoggedOp { received: op.received.max(received_min), envelope: op.envelope.clone() }).collect();
        let ops = ops.as_slice();
        let _merging = self.lock();
        for _ in 0..MERGE_TRIES {
            let known = self.get(id)?;
            self.check_merge(known.as_deref(), sender)?;
            let (mut batch, mut merged, added) = self.prepare_merge(id, known.as_deref(), ops)?;
            self.check_address(known.as_deref(), &merged, sender)?;
            if added == 0 {
                return Ok(Merged { moved_to: self.announced_again(&merged, sender)?, ..Merged::default() });
            }
            let unnamed = self.is_unnamed(known.as_deref(), &merged);
            self.note_named(&mut batch, known.as_deref(), &merged)?;
            // Who only liked something of it never needed to know it: what went to a former home of a stranger is for the new one too.
            let moved = known.map_or(merged.log.homes().len() > 1, |known| known.home() != merged.home());
            let moved_to = sender.domain.filter(|_| moved).map(|(_, peer)| peer);
            if let Some(peer) = moved_to {
                batch.put(Space::Late, outbox_key(peer, MOVED | merged.lid.0), []);
            }
            let closed = merged.log.view().status() == Status::Closed;
            if closed && (merged.name_leaf.is_some() || merged.keeps) {
                account::begin_closing(&mut batch, merged.lid, LEAF_INDEX_MAX);
            }
            known::note(&mut batch, &merged);
            // Whoever is storing more of the copy has seen that it is to be kept.
            let _settled = unnamed.then(|| self.settle());
            if unnamed {
                self.give_copy_up(&mut batch, &mut merged)?;
            }
            match self.kv.commit(batch).wait() {
                Ok(_) => {
                    self.remember(Arc::new(merged));
                    return Ok(Merged { added, moved_to, erases: closed || unnamed });
                }
                // Another writer, the home's own log, was faster: read again.
                Err(StoreError::ConditionFailed { .. }) => self.cache.remove(id),
                Err(error) => return Err(error.into()),
            };
        }
        Err(NodeError::SlowDown { retry_after_s: 1 })
    }

    /// The home to which an account moved says again that it lives there, as it does once all is there that the account brought along: what it refused until
    /// then goes to it once more.
    fn announced_again(&self, account: &Account, sender: Sender<'_>) -> Result<Option<PeerNo>> {
        let Some((domain, peer)) = sender.domain else { return Ok(None) };
        if domain != account.home() || account.log.homes().len() < 2 {
            return Ok(None);
        }
        let row = outbox_key(peer, MOVED | account.lid.0);
        let mut batch = Batch::new();
        match self.kv.get(Space::Late, &row)? {
            // It is being looked through: that begins anew.
            Some(_) => batch.put(Space::Late, row, []),
            None => batch.expect_absent(Space::Late, row).put(Space::Late, row, crate::moved::again()),
        };
        match self.kv.commit(batch).wait() {
            Ok(_) | Err(StoreError::ConditionFailed { .. }) => Ok(Some(peer)),
            Err(error) => Err(error.into()),
        }
    }

    /// The key log of someone who lives here grows through this domain's own log, until the home to which they moved says otherwise; and strangers push
    /// for accounts that are known.
    fn check_merge(&self, known: Option<&Account>, sender: Sender<'_>) -> Result<()> {
        match known {
            None if sender.domain.is_none() => Err(NodeError::NotFound("account")),
            _ => Ok(()),
        }
    }

    /// An address is believed of the home that it names, and nobody takes a name of this domain but by its own log.
    fn check_address(&self, known: Option<&Account>, merged: &Account, sender: Sender<'_>) -> Result<()> {
        let changed = known.is_none_or(|known| known.address() != merged.address());
        if !changed && known.is_some_and(|known| self.lives_here(known) && known.log.len() < merged.log.len()) {
            return Err(NodeError::refused(code::FORBIDDEN, "the account lives here: send its key operations to its own endpoint"));
        }
        if changed && (sender.domain() != Some(merged.home()) || merged.home() == &self.domain) {
            return Err(NodeError::refused(code::NOT_HOME, format!("{} must be vouched for by its own domain", merged.address())));
        }
        Ok(())
    }

    /// Whether `domain` is the home of an account, or of one that is not known yet by its genesis.
    fn is_home(&self, id: &AccountId, ops: &[LoggedOp], domain: Option<&Domain>) -> Result<bool> {
        let Some(domain) = domain else { return Ok(false) };
        if let Some(known) = self.get(id)? {
            return Ok(known.home() == domain);
        }
        let genesis = ops.first().and_then(|op| KeyOp::open(&op.envelope).ok());
        Ok(matches!(genesis.map(|op| op.action), Some(Action::Genesis { address, .. }) if address.domain() == domain))
    }

    /// What a merge of operations would store and make of an account, with the number of those that are new.
    pub(crate) fn prepare_merge(&self, id: &AccountId, known: Option<&Account>, ops: &[LoggedOp]) -> Result<(Batch, Account, usize)> {
        let mut batch = Batch::new();
        let mut account = match known {
            Some(account) => account.clone(),
            None => {
                let genesis = ops.first().ok_or_else(|| NodeError::refused(code::MALFORMED, "no key operations"))?;
                let log = KeyLog::from_genesis(genesis.clone()).map_err(refused_op)?;
                if log.account() != *id {
                    return Err(NodeError::refused(code::MALFORMED, "the genesis operation is another account's"));
                }
                let lid = self.next_lid();
                account::insert(&mut batch, lid, &AccountRow { id: *id, name_leaf: None, keeps: false });
                account::put_op(&mut batch, lid, 0, genesis);
                Account { lid, log, name_leaf: None, keeps: false }
            }
        };
        let mut added = usize::from(known.is_none());
        for op in ops {
            let sequence = account.log.len();
            if account.log.insert_known(op).map_err(refused_op)? {
                account::put_op(&mut batch, account.lid, sequence, op);
                added += 1;
            }
        }
        Ok((batch, account, added))
    }
}

/// A key operation that its log refuses.
pub(crate) fn refused_op(error: KeyLogError) -> NodeError {
    let code = match &error {
        KeyLogError::Op(mesh_proto::keylog::KeyOpError::Key(_)) => code::BAD_SIGNATURE,
        KeyLogError::NotAllowed(_) => code::FORBIDDEN,
        KeyLogError::Full | KeyLogError::Op(mesh_proto::keylog::KeyOpError::TooLarge(_)) => code::TOO_LARGE,
        KeyLogError::UnknownPrev(_) => code::HEAD_MOVED,
        _ => code::MALFORMED,
    };
    NodeError::refused(code, error.to_string())
}

/// A record whose device may not have signed it. An unknown head is for the caller to handle.
pub(crate) fn refused_use(error: &UseError) -> NodeError {
    let code = match error {
        UseError::UnknownHead(_) => code::KEYS_WANTED,
        UseError::Frozen | UseError::Compromised | UseError::Closed => code::ACCOUNT,
        UseError::LostBranch | UseError::UnknownDevice(_) | UseError::Revoked(_) => code::DEVICE,
    };
    NodeError::refused(code, error.to_string())
}
