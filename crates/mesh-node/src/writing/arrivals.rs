//! Arrivals: accounts that come to live here, and the records that they bring along.
//!
//! A record keeps its leaf for ever: what was said at an earlier home lies in that home's log, and this domain answers for it from now on, with the proof
//! that came along. All of it goes through the append thread, which alone decides what an account of this domain has said.

use crate::accounts::{Account, refused_use};
use crate::dating::{Dated, Dates};
use crate::error::{NodeError, Result};
use crate::frame::{Frame, Opened};
use crate::index::group::Group;
use crate::index::{Indexer, News, Statement};
use crate::objects::Resolved;
use crate::queue::{self, Routes};
use crate::tables::account::put_arriving;
use crate::tables::carried::{self, Archive};
use crate::tables::payload::Payload;
use crate::tables::reference::{Reference, Standing, TombstoneRow};
use crate::tables::{HERE, Lid, OWN, OriginNo, act_key, pair_key};
use crate::writing::append::{Appender, Round};
use mesh_proto::api::{Delivery, DeliveryItem, ItemResult, Registered, code};
use mesh_proto::envelope::{Envelope, Kind, RecordId};
use mesh_proto::key::{AccountId, Verifier};
use mesh_proto::keylog::{Action, KeyOp, LogPosition, LoggedOp};
use mesh_proto::log::Origin;
use mesh_proto::record::{Content, Record};
use mesh_store::Space;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A part of an export whose proof and whose signatures were verified.
pub(crate) struct Part {
    delivery: Delivery,
    origin: OriginNo,
    /// Whether the key is known that signs its log's checkpoints. Where nobody vouches for the log, only a live device is believed.
    is_signed: bool,
    archive: Archive,
    /// For each record of the delivery what it is, or why it is refused.
    records: Vec<(RecordId, Result<Box<Record>>)>,
}

impl Part {
    /// Verifies a part of what an account brings along: its proof, and each record's signature. Not for the append thread, on which everybody waits.
    /// `numbered` numbers the log once the proof holds: none is numbered for what proves nothing.
    pub(crate) fn open(
        delivery: Delivery,
        key: Option<&Verifier>,
        account: &Account,
        numbered: impl FnOnce(&Origin) -> Result<OriginNo>,
    ) -> Result<Self> {
        let frame = Frame::open(&delivery, key)?;
        let archive = frame.archive(&delivery);
        let (is_signed, opened) = (frame.is_signed, frame.opened);
        let origin = numbered(&delivery.origin)?;
        let records = opened.into_iter().map(|item| (item.id, check(item, account, (&delivery.origin, is_signed)))).collect();
        Ok(Self { origin, is_signed, archive, records, delivery })
    }

    /// Whether the device of a record may have signed it, as far as the key log says.
    fn check_use<'a>(&self, account: &'a Account, item: &DeliveryItem, record: &Record) -> Result<&'a Verifier> {
        check_use(account, (&self.delivery.origin, self.is_signed), (item, record))
    }
}

fn check_use<'a>(
    account: &'a Account,
    (origin, is_signed): (&Origin, bool),
    (item, record): (&DeliveryItem, &Record),
) -> Result<&'a Verifier> {
    let leaf = is_signed.then(|| LogPosition { origin: origin.clone(), index: item.index });
    account.log.check_use(&record.head.device, &record.head.keys, leaf.as_ref()).map_err(|error| refused_use(&error))
}

/// Form, actor and signature of a record.
fn check(opened: Opened<'_>, account: &Account, log: (&Origin, bool)) -> Result<Box<Record>> {
    let record = opened.record.map_err(|error| NodeError::refused(code::MALFORMED, error.to_string()))?;
    if record.head.actor != account.id() {
        return Err(NodeError::refused(code::FORBIDDEN, "the record is another account's"));
    }
    let key = check_use(account, log, (opened.item, &record))?;
    let verified = key.verify(&opened.pae, opened.item.envelope.signature());
    verified.map_err(|error| NodeError::refused(code::BAD_SIGNATURE, error.to_string()))?;
    Ok(record)
}

/// A key log that names this domain as home.
pub(crate) struct Arriving {
    pub(crate) account: AccountId,
    pub(crate) ops: Vec<LoggedOp>,
    pub(crate) invite: Option<String>,
}

impl Appender {
    /// Takes an account in: its key operations, the leaf of the one that names this domain, and the leaf of its name.
    pub(super) fn arrive(&self, round: &mut Round, arriving: Arriving) -> Result<(bool, Registered)> {
        let Arriving { account, mut ops, invite } = arriving;
        let known = self.accounts.get(&account)?;
        let here = known.as_deref().filter(|known| self.accounts.lives_here(known));
        if let Some(known) = here.filter(|known| ops.iter().all(|op| known.log.contains(&op.envelope.id()))) {
            return Ok((false, self.registered(known)?));
        }
        // When an operation was logged is believed of the home that logged it, not of who brings it here.
        ops.iter_mut().for_each(|op| op.received = op.received.max(round.received));
        let (batch, mut account, _) = self.accounts.prepare_merge(&account, known.as_deref(), &ops)?;
        account.log.check_open().map_err(|error| refused_use(&error))?;
        if account.home() != self.log.origin().domain() {
            let words = format!("its key log names {} as home: move there, or sign a home.move to an address here", account.home());
            return Err(NodeError::refused(code::NOT_HOME, words));
        }
        let moved = last_move(&account)?;
        self.check_name(round, &account)?;
        if let Some(code) = &invite {
            self.check_invite(code)?;
            round.batch.expect_value(Space::Invite, code, []);
            round.batch.put(Space::Invite, code, account.lid.0.to_be_bytes());
        }
        round.batch.merge(batch);
        self.accounts.leave_place(&mut round.batch, &account)?;
        account.keeps = true;
        put_arriving(&mut round.batch, account.lid, round.received);
        let leaf = self.leaf(round, &account, (Kind::Key, moved.id(), Some(moved)))?;
        self.name(round, &mut account)?;
        let registered = Registered { account: account.id(), address: account.address().clone(), leaf };
        round.accounts.push(Arc::new(account));
        Ok((true, registered))
    }

    /// Takes in a part of what an account of this domain said at earlier homes. Answers what became of each record, once it is durable.
    pub(super) fn import(&self, account: &AccountId, part: &Part) -> Result<Vec<ItemResult>> {
        let account = self.accounts.expect(account)?;
        if !self.accounts.lives_here(&account) {
            return Err(NodeError::refused(code::NOT_HOME, format!("the account's home is {}: import there", account.home())));
        }
        let dates = (part.origin != OWN).then(|| Dates::of(&*self.kv, &self.peers, part.origin)).transpose()?;
        let mut import = Import { appender: self, account: &account, part, dates, before: None, group: Group::default(), archive: None };
        let mut results = Vec::with_capacity(part.records.len());
        for (item, (id, record)) in part.delivery.items.iter().zip(&part.records) {
            let record = match import.check(item, record) {
                Ok(record) => record,
                Err(error) => {
                    results.push(error.item()?);
                    continue;
                }
            };
            // What is about its own post must find that here: else it would count nowhere.
            let about_itself = record.content.addressed().iter().any(|(to, _)| *to == account.id());
            if about_itself || import.group.matters_to(account.lid, id, record) {
                import.flush()?;
            }
            let mut result = import.take((item, *id, record));
            if matches!(result, Err(NodeError::Refused { .. } | NodeError::NotFound(_))) && !import.group.batch.is_empty() {
                import.flush()?;
                result = import.take((item, *id, record));
            }
            results.push(result.or_else(|error| error.item())?);
            import.group.note(account.lid, id, record);
        }
        import.flush()?;
        Ok(results)
    }

    /// Lets what people of this domain said about an account count here, which came to live here since. Blocks until it is durable.
    pub(super) fn attach(&self, lids: &[Lid]) -> Result<()> {
        let mut indexer = Indexer::new(&*self.kv);
        for lid in lids {
            let Some(payload) = Payload::get(&*self.kv, *lid)? else { continue };
            let Some(record) = payload.envelope.and_then(|envelope| Record::open(&envelope).ok()) else { continue };
            let actor = self.accounts.by_lid(payload.account)?;
            let Ok(resolved) = self.objects.resolve(&record, &actor) else { continue };
            let (id, received) = (payload.record, payload.received);
            indexer.attach(&Statement { lid: *lid, peer: HERE, id, received, record: &record, actor: &actor, ours: true, resolved })?;
        }
        self.kv.commit(indexer.batch).wait()?;
        self.bus.publish(&indexer.news);
        Ok(())
    }
}

/// The operation by which an account came here.
fn last_move(account: &Account) -> Result<Envelope> {
    let to_here = |op: &&LoggedOp| {
        let opened = KeyOp::open(&op.envelope).ok().filter(|opened| account.log.view().position(&opened.id).is_some());
        opened.is_some_and(|opened| matches!(opened.action, Action::HomeMove { address } if address == *account.address()))
    };
    let ops: Vec<&LoggedOp> = account.log.ops().collect();
    let found = ops.into_iter().rev().find(to_here);
    let missing = || NodeError::refused(code::NOT_HOME, "an account that was made here does not arrive: register it");
    Ok(found.ok_or_else(missing)?.envelope.clone())
}

/// An import under way.
struct Import<'a> {
    appender: &'a Appender,
    account: &'a Account,
    part: &'a Part,
    /// What is known of the log's times; `None` of this domain's own.
    dates: Option<Dates>,
    /// The leaf before.
    before: Option<Dated>,
    group: Group,
    /// The row that proves the leaves, once there is one.
    archive: Option<u64>,
}

impl Import<'_> {
    /// Time and device of a record whose signature was verified. The key log may have moved on while the part waited: a signature that was good stays so,
    /// but its device may be revoked.
    fn check<'o>(&mut self, item: &DeliveryItem, record: &'o Result<Box<Record>>) -> Result<&'o Record> {
        if let Some(dates) = &mut self.dates {
            let leaf = Dated { index: item.index, received: item.received };
            dates.check(&*self.appender.kv, (self.part.origin, leaf), self.before)?;
            self.before = Some(leaf);
        }
        let record = record.as_ref().map_err(NodeError::clone)?;
        self.part.check_use(self.account, item, record)?;
        Ok(record)
    }

    /// Takes a record in, if it is not here already.
    fn take(&mut self, (item, id, record): (&DeliveryItem, RecordId, &Record)) -> Result<ItemResult> {
        let appender = self.appender;
        let kv = &*appender.kv;
        let lid = Lid::new(self.part.origin, item.index + appender.peers.base_of(&self.part.delivery.origin));
        let known = Reference::find(kv, &id)?;
        let withdrawn = TombstoneRow::get(kv, &id)?.is_some_and(|tombstone| tombstone.signer == self.account.id());
        if withdrawn || known.as_ref().is_some_and(|(known, _)| *known != lid) {
            return Ok(ItemResult::Known);
        }
        let copied = Payload::get(kv, lid)?.is_some_and(|payload| payload.record == id);
        if copied && (lid.is_own() || known.is_none()) {
            return Ok(ItemResult::Known);
        }
        if lid.is_own() || (known.is_none() && Reference::get(kv, lid)?.is_some()) {
            return Err(NodeError::refused(code::NOT_LOGGED, "another record is known to be at that leaf, or was and is withdrawn"));
        }
        let resolved = match &known {
            Some((_, reference)) if reference.object.is_some() => Resolved { object: reference.object, ..Resolved::default() },
            // What it is about may have come here since: its author's own post, or whom a mirror did not know when it got its copy.
            Some(_) if record.kind() != Kind::Subscribe => match appender.objects.resolve(record, self.account) {
                Err(NodeError::Refused { .. } | NodeError::NotFound(_)) => Resolved::default(),
                resolved => resolved?,
            },
            _ => appender.objects.resolve(record, self.account)?,
        };
        let statement = Statement { lid, peer: HERE, id, received: item.received, record, actor: self.account, ours: true, resolved };
        let mut indexer = Indexer::new(kv);
        match known {
            Some((_, reference)) => take_over(&mut indexer, &statement, &reference)?,
            None => indexer.apply(&statement)?,
        }
        let routes = Routes { read: kv, peers: &appender.peers, accounts: &appender.accounts };
        queue::enqueue(&mut indexer, routes, &statement)?;
        carried::put_brought(&mut indexer.batch, lid.origin());
        self.group.add(indexer);
        if copied {
            // It came before, or this was the account's mirror: then the copy is what it answers for, and what follows from it was still to do.
            return Ok(ItemResult::Known);
        }
        let archive = &self.part.archive;
        let batch = &mut self.group.batch;
        let sequence = *self.archive.get_or_insert_with(|| {
            let sequence = appender.archives.fetch_add(1, Ordering::Relaxed);
            archive.put(batch, sequence);
            sequence
        });
        let (envelope, account) = (item.envelope.clone(), self.account.lid);
        let payload =
            Payload { kind: record.kind(), salt: item.salt, received: item.received, account, record: id, envelope: Some(envelope) };
        payload.put(batch, lid);
        carried::put(batch, lid, sequence);
        Ok(ItemResult::Accepted)
    }

    /// Stores what was gathered. Nobody is shown old posts as if they were new.
    fn flush(&mut self) -> Result<()> {
        let group = std::mem::take(&mut self.group);
        if group.batch.is_empty() {
            return Ok(());
        }
        self.appender.kv.commit(group.batch).wait()?;
        let author = self.account.lid;
        let news = group.news.into_iter().filter_map(|news| match news {
            News::Timeline { .. } => Some(News::Withdrawn { author, id: RecordId::from_hash(*self.account.id().hash()) }),
            News::Notice { .. } => None,
            other => Some(other),
        });
        self.appender.bus.publish(&news.collect::<Vec<_>>());
        Ok(())
    }
}

/// A record that this domain knew from elsewhere is its own to answer for now.
fn take_over(indexer: &mut Indexer<'_>, statement: &Statement<'_>, reference: &Reference) -> Result<()> {
    crate::bodies::erase(&mut indexer.batch, indexer.read, statement.lid)?;
    if reference.object.is_none() {
        indexer.attach(statement)?;
    }
    let about = statement.record.content.once_about().filter(|_| reference.standing == Standing::Live);
    let Some(about) = about else { return Ok(()) };
    let (actor, kind) = (statement.actor.lid, statement.record.kind());
    indexer.batch.put(Space::Act, act_key(actor, kind, about), statement.lid.key());
    if let (Content::Subscribe(_), Some(author)) = (&statement.record.content, statement.resolved.object) {
        indexer.batch.put(Space::Follow, pair_key(actor.0, author.0), statement.lid.key());
        indexer.resubscribe(statement)?;
    }
    Ok(())
}
