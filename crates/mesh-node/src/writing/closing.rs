//! Closures: what `account.close` erases at the account's home, in slices between the rounds of [`crate::writing::append`].
//!
//! The batch of the key operation also holds a row that says from which leaf on the work is still to be done. Each slice erases what some leaves stood for
//! and moves the row on, in one batch; the last one removes the row. A crash leaves a row at which the next start goes on. A closed account writes nothing
//! more: no other batch holds statements by it.
//!
//! Its leaves are found by reading every payload of this log from the first leaf to the closure. No table lists an account's leaves, and for so rare an act
//! none is kept. Slices without such leaves write nothing, so that a crash repeats them.
//!
//! A copy that a domain kept of an account is erased the same way once the account names it no more as a mirror; but nothing is withdrawn by that.
//!
//! What the account brought along from other logs, or asked this domain to keep, goes too. What others said about it is left alone. A domain where the account
//! once lived, or that keeps a copy, does the same when it learns of the closure.

mod copies;

use self::copies::Proofs;
use crate::accounts::{Account, Accounts};
use crate::bus::Bus;
use crate::error::Result;
use crate::index::{Indexer, News, Statement};
use crate::objects::Resolved;
use crate::tables::account;
use crate::tables::codec::{Reader, damaged, key_u64};
use crate::tables::payload::Payload;
use crate::tables::reference::{Reference, Standing, TombstoneRow};
use crate::tables::{AccountLid, COPY, HERE, Lid, OWN, ordered_key};
use mesh_proto::envelope::Kind;
use mesh_proto::limits::LEAF_INDEX_MAX;
use mesh_proto::port::Clock;
use mesh_proto::record::{Content, Record, RetractReason};
use mesh_store::{Batch, KeyRange, Kv, Order, Read, Space};
use std::sync::Arc;

/// Leaves looked at in one slice: at most about 17 MB of payloads.
const LEAVES_MAX: usize = 256;
/// Bytes after which a slice takes no further leaf. One leaf adds at most about 10 kB: one row for each of its versions.
const SLICE_BYTES_MAX: usize = 250_000;
/// How long a slice that failed waits.
const RETRY_AFTER_MS: u64 = 10_000;

/// What is erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// All that a closed account said.
    Account,
    /// The copy that was kept of an account: nothing was withdrawn.
    Copy,
}

/// A closure under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Closing {
    what: What,
    account: AccountLid,
    /// The first local id that was not looked at.
    next: u64,
    /// The leaf of the `account.close`; the largest there can be if it lies elsewhere.
    close: u64,
}

/// What comes after all local ids of records.
const DONE: u64 = COPY;

impl Closing {
    fn put(self, batch: &mut Batch) {
        match self.what {
            What::Account => account::put_closing(batch, self.account, self.next, self.close),
            What::Copy => account::put_dropping(batch, self.account, self.next),
        }
    }

    /// The row that notes it.
    fn key(self) -> String {
        match self.what {
            What::Account => account::closing_key(self.account),
            What::Copy => account::dropping_key(self.account),
        }
    }

    /// One that the store notes, if any.
    fn first(read: &dyn Read) -> Result<Option<Self>> {
        for (what, prefix) in [(What::Account, account::CLOSING), (What::Copy, account::DROPPING)] {
            let rows = read.scan(Space::Meta, &KeyRange::prefix(prefix), Order::Forward, 1)?;
            let Some((_, row)) = rows.first() else { continue };
            let mut row = Reader::new(row, "meta");
            let (account, next) = (AccountLid(row.u64()?), row.u64()?);
            let close = if what == What::Account { row.u64()? } else { LEAF_INDEX_MAX };
            return Ok(Some(Self { what, account, next, close }));
        }
        Ok(None)
    }
}

/// The closures that are under way, one after the other.
pub(crate) struct Closings {
    kv: Arc<dyn Kv>,
    accounts: Arc<Accounts>,
    bus: Arc<Bus>,
    clock: Arc<dyn Clock>,
    under_way: Option<Closing>,
    /// Whether the store may note others.
    more: bool,
    /// After a failure: when to try again, milliseconds since the epoch.
    retry_at_ms: Option<u64>,
}

impl Closings {
    /// Begins with what an earlier run left unfinished.
    pub(crate) fn new(kv: Arc<dyn Kv>, (accounts, bus, clock): (Arc<Accounts>, Arc<Bus>, Arc<dyn Clock>)) -> Self {
        Self { kv, accounts, bus, clock, under_way: None, more: true, retry_at_ms: None }
    }

    /// Notes that the store may hold a new closure.
    pub(crate) fn look(&mut self) {
        self.more = true;
    }

    /// Whether there is something to do now.
    pub(crate) fn is_due(&self) -> bool {
        (self.under_way.is_some() || self.more) && self.retry_at_ms.is_none_or(|at| self.clock.now_ms() >= at)
    }

    /// Does one slice. Blocks until it is durable.
    pub(crate) fn go_on(&mut self) {
        match self.step() {
            Ok(()) => self.retry_at_ms = None,
            Err(error) => {
                tracing::warn!(error.message = %error, "closing.slice_failed");
                // What the store notes is what was done.
                self.under_way = None;
                self.more = true;
                self.retry_at_ms = Some(self.clock.now_ms().saturating_add(RETRY_AFTER_MS));
            }
        }
    }

    fn step(&mut self) -> Result<()> {
        let Some(closing) = self.under_way.or(Closing::first(&*self.kv)?) else {
            self.more = false;
            return Ok(());
        };
        let account = self.accounts.by_lid(closing.account)?;
        if closing.next == DONE {
            return self.end(closing, &account);
        }
        let slice = Slice { read: &*self.kv, account: &account, what: closing.what, close: closing.close };
        let (mut indexer, next) = slice.gather(closing.next)?;
        let closing = Closing { next, ..closing };
        if next == DONE && indexer.batch.is_empty() {
            return self.end(closing, &account);
        }
        if !indexer.batch.is_empty() {
            closing.put(&mut indexer.batch);
            self.kv.commit(indexer.batch).wait()?;
            self.bus.publish(&indexer.news);
        }
        self.under_way = Some(closing);
        Ok(())
    }

    /// Removes the account's notifications, which nobody reads any more, and at last the row that says that it is being closed.
    fn end(&mut self, closing: Closing, account: &Account) -> Result<()> {
        let mut batch = Batch::new();
        if closing.what == What::Copy {
            copies::forget(&mut batch, &*self.kv, closing.account)?;
            batch.delete(Space::Meta, closing.key());
            self.kv.commit(batch).wait()?;
            self.under_way = None;
            tracing::info!(account.id = %account.id(), "closing.copy_erased");
            return Ok(());
        }
        let notices = self.kv.scan(Space::Notice, &KeyRange::prefix(closing.account.0.to_be_bytes()), Order::Forward, LEAVES_MAX)?;
        for (key, _) in &notices {
            batch.delete(Space::Notice, key);
        }
        let done = notices.len() < LEAVES_MAX;
        if done {
            copies::forget(&mut batch, &*self.kv, closing.account)?;
            batch.delete(Space::Meta, closing.key());
        }
        self.kv.commit(batch).wait()?;
        self.under_way = (!done).then_some(closing);
        if done {
            tracing::info!(account.id = %account.id(), "closing.done");
        }
        Ok(())
    }
}

/// Some leaves of a closure.
struct Slice<'a> {
    read: &'a dyn Read,
    account: &'a Account,
    what: What,
    close: u64,
}

impl<'a> Slice<'a> {
    /// Gathers what goes from leaf `from` on; answers the first leaf that was not looked at.
    fn gather(&self, from: u64) -> Result<(Indexer<'a>, u64)> {
        let mut indexer = Indexer::new(self.read);
        let own = Lid(from).is_own();
        let end = if own { Lid::new(OWN, self.close) } else { Lid(DONE) };
        let range = KeyRange::between(Lid(from).key(), end.key());
        let rows = self.read.scan(Space::Payload, &range, Order::Forward, LEAVES_MAX)?;
        let mut proofs = Proofs::default();
        for (key, row) in &rows {
            let lid = Lid(key_u64(key, 0, "payload")?);
            // Key operations stay: they say whose account it was, and that it is closed.
            if Payload::owner(row)?.is_some_and(|(kind, owner)| owner == self.account.lid && kind != Kind::Key) {
                proofs.note(self.read, lid)?;
                match self.what {
                    What::Account => self.erase(&mut indexer, lid, row)?,
                    What::Copy => Payload::erase(&mut indexer.batch, self.read, lid)?,
                }
            }
            if indexer.batch.size_bytes() > SLICE_BYTES_MAX {
                proofs.erase(&mut indexer.batch, self.read)?;
                return Ok((indexer, lid.0 + 1));
            }
        }
        proofs.erase(&mut indexer.batch, self.read)?;
        let next = match rows.last() {
            Some((key, _)) if rows.len() == LEAVES_MAX => key_u64(key, 0, "payload")? + 1,
            // What lies in this log comes first.
            _ if own => LEAF_INDEX_MAX + 1,
            _ => DONE,
        };
        Ok((indexer, next))
    }

    /// Erases what a leaf stood for. A name leaf has no reference, and an edit goes with its first version, which lies before it.
    fn erase(&self, indexer: &mut Indexer<'_>, lid: Lid, row: &[u8]) -> Result<()> {
        Payload::erase(&mut indexer.batch, self.read, lid)?;
        crate::bodies::erase(&mut indexer.batch, self.read, lid)?;
        let Some(target) = Reference::get(self.read, lid)?.filter(|target| target.standing != Standing::Edit) else { return Ok(()) };
        let envelope = Payload::decode(row)?.and_then(|payload| payload.envelope).ok_or_else(|| damaged("payload"))?;
        let record = Record::open(&envelope).map_err(|_| damaged("payload"))?;
        match &record.content {
            Content::Retract(retract) => {
                // Of what was withdrawn before, only the closure tells now.
                if let Some((lid, withdrawn)) = Reference::find(self.read, &retract.object)? {
                    self.bury(&mut indexer.batch, lid, &withdrawn)?;
                }
            }
            _ => {
                let (id, received, actor) = (target.id, target.received, self.account);
                let resolved = Resolved::default();
                let statement = Statement { lid, peer: HERE, id, received, record: &record, actor, ours: true, resolved };
                indexer.withdraw(lid, &target, &statement)?;
            }
        }
        self.bury(&mut indexer.batch, lid, &target)?;
        indexer.news.push(News::Withdrawn { author: self.account.lid, id: target.id });
        Ok(())
    }

    /// Leaves of a record its tombstone, and of a comment its place in the thread; not what else was liked, followed, passed on or reported.
    fn bury(&self, batch: &mut Batch, lid: Lid, target: &Reference) -> Result<()> {
        let known = TombstoneRow::get(self.read, &target.id)?;
        if known.is_none_or(|known| known.reason == RetractReason::Author) {
            TombstoneRow { reason: RetractReason::Author, signer: self.account.id(), retract: Lid::new(OWN, self.close).0 }
                .put(batch, &target.id);
        }
        if let (Kind::Report, Some(object)) = (target.kind, target.object) {
            batch.delete(Space::Object, ordered_key(object, Kind::Report, target.received, lid));
        }
        let object = target.object.filter(|_| target.kind == Kind::Comment);
        Reference { standing: Standing::Retracted, object, ..target.clone() }.put(batch, lid);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heads::Heads;
    use crate::objects::Objects;
    use crate::tables::account::AccountRow;
    use crate::tables::object_key;
    use mesh_proto::bytes::Salt;
    use mesh_proto::envelope::RecordId;
    use mesh_proto::record::Post;
    use mesh_store::MemoryStore;
    use mesh_testkit::TestAccount;

    struct Stopped;

    impl Clock for Stopped {
        fn now_ms(&self) -> u64 {
            0
        }
    }

    /// A store with people's posts, one leaf each.
    struct World {
        kv: Arc<dyn Kv>,
        accounts: Arc<Accounts>,
        leaves: u64,
    }

    impl World {
        fn new() -> Self {
            let kv: Arc<dyn Kv> = Arc::new(MemoryStore::new());
            let accounts = Accounts::open(Arc::clone(&kv), "one.localhost:1".parse().expect("a domain"), 1 << 20).expect("opens");
            Self { kv, accounts: Arc::new(accounts), leaves: 0 }
        }

        fn commit(&self, batch: Batch) {
            self.kv.commit(batch).wait().expect("commits");
        }

        fn person(&self, user: &str, number: u8) -> (TestAccount, Arc<Account>) {
            let person = TestAccount::new(&format!("{user}@one.localhost:1"), number);
            let mut batch = Batch::new();
            let lid = self.accounts.next_lid();
            account::insert(&mut batch, lid, &AccountRow { id: person.id(), name_leaf: None, keeps: false });
            account::put_op(&mut batch, lid, 0, person.keys.ops().next().expect("a genesis"));
            self.commit(batch);
            (person, self.accounts.by_lid(lid).expect("just stored"))
        }

        fn post(&mut self, (person, actor): &(TestAccount, Arc<Account>)) -> RecordId {
            let record = person.record(Content::Post(Post::free("words")));
            let envelope = record.sign(&person.device);
            let (id, received, lid) = (envelope.id(), self.leaves, Lid::new(OWN, self.leaves));
            let resolved = Resolved { object: Some(actor.lid.into()), ..Resolved::default() };
            let mut indexer = Indexer::new(&*self.kv);
            indexer.apply(&Statement { lid, peer: HERE, id, received, record: &record, actor, ours: true, resolved }).expect("applies");
            let mut batch = indexer.batch;
            let payload =
                Payload { kind: Kind::Post, salt: Salt([1; 16]), received, account: actor.lid, record: id, envelope: Some(envelope) };
            payload.put(&mut batch, lid);
            self.commit(batch);
            self.leaves += 1;
            id
        }

        /// The closures as a start of the server finds them.
        fn start(&self) -> Closings {
            let heads = Arc::new(Heads::new(Arc::clone(&self.kv), 1 << 10));
            let objects = Objects::new(Arc::clone(&self.kv), Arc::clone(&self.accounts), "one.localhost:1".parse().expect("a domain"));
            let bus = Arc::new(Bus::new(heads, Arc::new(objects)));
            Closings::new(Arc::clone(&self.kv), (Arc::clone(&self.accounts), bus, Arc::new(Stopped)))
        }

        fn erased(&self) -> Vec<u64> {
            (0..self.leaves).filter(|leaf| Payload::get(&*self.kv, Lid::new(OWN, *leaf)).expect("reads").is_none()).collect()
        }

        fn posts(&self, account: &Account) -> i64 {
            mesh_store::counter(&*self.kv, Space::Count, &object_key(account.lid.into(), Kind::Post)).expect("reads")
        }
    }

    #[test]
    fn every_start_goes_on_where_the_one_before_was_killed() {
        let mut world = World::new();
        let (ada, eve) = (world.person("ada", 1), world.person("eve", 2));
        let leaves = 2 * LEAVES_MAX as u64 + 10;
        let ids: Vec<RecordId> = (0..leaves).map(|leaf| world.post(if leaf % 2 == 0 { &ada } else { &eve })).collect();
        let mut batch = Batch::new();
        account::begin_closing(&mut batch, ada.1.lid, leaves);
        world.commit(batch);
        let mut erased = vec![0];
        for _ in 0..8 {
            // Each run is killed after one slice.
            let mut closings = world.start();
            closings.go_on();
            erased.push(world.erased().len());
        }
        let slice = LEAVES_MAX / 2;
        assert_eq!(erased, [0, slice, 2 * slice, 2 * slice + 5, 2 * slice + 5, 2 * slice + 5, 2 * slice + 5, 2 * slice + 5, 2 * slice + 5]);
        assert_eq!(world.erased(), (0..leaves).step_by(2).collect::<Vec<_>>());
        assert_eq!((world.posts(&ada.1), world.posts(&eve.1)), (0, leaves as i64 / 2));
        let tombstone = |leaf: usize| TombstoneRow::get(&*world.kv, &ids[leaf]).expect("reads");
        assert!(tombstone(0).is_some_and(|row| row.signer == ada.0.id() && row.retract == leaves) && tombstone(1).is_none());
        assert_eq!(Closing::first(&*world.kv).expect("reads"), None, "nothing is left to do");
    }

    #[test]
    fn one_run_closes_all_that_wait_and_then_has_nothing_to_do() {
        let mut world = World::new();
        let people = [world.person("ada", 1), world.person("eve", 2), world.person("neo", 3)];
        for person in &people {
            world.post(person);
        }
        let mut batch = Batch::new();
        for (_, account) in &people[..2] {
            account::begin_closing(&mut batch, account.lid, world.leaves);
        }
        world.commit(batch);
        let mut closings = world.start();
        for _ in 0..10 {
            if closings.is_due() {
                closings.go_on();
            }
        }
        assert_eq!(world.erased(), [0, 1]);
        assert!(!closings.is_due());
    }

    #[test]
    fn slice_that_fails_waits_instead_of_spinning() {
        let mut world = World::new();
        let ada = world.person("ada", 1);
        world.post(&ada);
        let mut batch = Batch::new();
        account::begin_closing(&mut batch, ada.1.lid, world.leaves);
        world.commit(batch);
        let mut closings = world.start();
        world.kv.close().expect("closes");
        closings.go_on();
        assert!(!closings.is_due());
        closings.retry_at_ms = None;
        assert!(closings.is_due(), "it is not forgotten");
    }
}
