//! Moderation: what the operators of this domain decide, signed, stored, put in force, and told to those whom it concerns; and what other domains decided
//! about their own people, or about reports from here. `spec/ruling.md`.
//!
//! A ruling hides; it erases nothing, so that another ruling can undo it. Only an account's home binds others by one; what this domain decides about other
//! domains' people binds here alone.

use crate::accounts::{Account, Accounts};
use crate::bus::Bus;
use crate::error::{NodeError, Result};
use crate::healing::dropping::{counted, recount};
use crate::intake::Intake;
use crate::peers::{Peer, Peers};
use crate::queue;
use crate::rulings::Rulings;
use crate::tables::reference::{Reference, Standing};
use crate::tables::ruling::{RULINGS_OF_ACCOUNT_MAX, RulingRow, Subject};
use crate::tables::{HERE, Lid, RULED, outbox_key, report, rules, uncounted_key};
use crate::views::{cut, decode_cursor, encode_cursor};
use mesh_proto::address::{Address, Domain};
use mesh_proto::api::{DomainKeyUse, code};
use mesh_proto::envelope::{Envelope, Kind, RecordId};
use mesh_proto::key::SecretKey;
use mesh_proto::limits::{CLOCK_AHEAD_MS_MAX, PAGE_MAX, RULINGS_PUSH_MAX};
use mesh_proto::port::Clock;
use mesh_proto::record::{Content, Record, ReportReason};
use mesh_proto::rules::Rules;
use mesh_proto::ruling::{About, Measure, Ruling, RulingError};
use mesh_store::{Batch, KeyRange, Kv, Order, Space};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// References that are looked at in one go when a domain's statements begin or cease to count.
const RECOUNTED_AT_ONCE: usize = 2_000;

/// What an operator decides.
#[derive(Debug, Clone)]
pub struct Decision {
    /// About what.
    pub about: About,
    /// What.
    pub measure: Measure,
    /// Why.
    pub reason: ReportReason,
    /// In words, which may be none.
    pub text: String,
}

/// A report about something of this domain.
#[derive(Debug, Clone)]
pub struct Reported {
    /// Its id.
    pub id: RecordId,
    /// When it came.
    pub received: u64,
    /// Who reports.
    pub reporter: Address,
    /// What was said.
    pub record: Record,
    /// What became of it, if somebody decided.
    pub ruling: Option<Ruling>,
}

/// The services that it needs.
pub(crate) type Parts = (Arc<Accounts>, Arc<Peers>, Arc<Rulings>, Arc<Bus>, Arc<Intake>);

/// The moderation service.
pub struct Moderation {
    kv: Arc<dyn Kv>,
    accounts: Arc<Accounts>,
    peers: Arc<Peers>,
    rulings: Arc<Rulings>,
    bus: Arc<Bus>,
    intake: Arc<Intake>,
    clock: Arc<dyn Clock>,
    key: SecretKey,
    /// Held from the look at what is in force until what follows from it is.
    deciding: Mutex<()>,
}

impl Moderation {
    pub(crate) fn new(kv: Arc<dyn Kv>, parts: Parts, clock: Arc<dyn Clock>, key: SecretKey) -> Self {
        let (accounts, peers, rulings, bus, intake) = parts;
        Self { kv, accounts, peers, rulings, bus, intake, clock, key, deciding: Mutex::new(()) }
    }

    /// Decides, signs, stores, puts in force and tells. Blocks.
    pub fn decide(&self, decision: Decision) -> Result<Envelope> {
        let _deciding = self.deciding.lock().unwrap_or_else(PoisonError::into_inner);
        let Decision { about, measure, reason, text } = decision;
        let domain = self.peers.own_domain().clone();
        let mut ruling = Ruling { domain, about, measure, reason, text, at: self.clock.now_ms() };
        ruling.check().map_err(|error| refused(&error))?;
        let (subject, account) = self.subject(&ruling.about)?;
        match RulingRow::get(&*self.kv, subject, HERE)? {
            Some(before) => ruling.at = ruling.at.max(before.ruling.at + 1),
            None => self.check_room(subject, &ruling.about)?,
        }
        let envelope = ruling.sign(&self.key);
        let row = RulingRow { subject, by: HERE, ruling, envelope };
        let mut batch = Batch::new();
        row.put(&mut batch);
        let mut news = Vec::new();
        match (&account, &row.ruling.about.report) {
            (Some(account), Some(_)) => news.extend(queue::tell(&mut batch, &self.peers, account.home(), RULED | account.lid.0)),
            (Some(account), None) if self.accounts.lives_here(account) => {
                news = queue::announce(&mut batch, (&*self.kv, &self.peers), account, RULED | account.lid.0)?;
            }
            _ => {}
        }
        self.kv.commit(batch).wait()?;
        self.rulings.note(&row);
        self.bus.publish(&news);
        if let Some(domain) = &row.ruling.about.domain {
            self.recount(domain, row.ruling.measure)?;
            self.bus.waiting_for(self.peers.get(domain).map(|peer| peer.no()));
        }
        Ok(row.envelope)
    }

    /// Gives the domain new rules, whose version is one more than that of those before. Blocks.
    pub fn set_rules(&self, text: String) -> Result<Envelope> {
        let _deciding = self.deciding.lock().unwrap_or_else(PoisonError::into_inner);
        let version = self.rulings.rules(None)?.map_or(0, |(rules, _)| rules.version) + 1;
        let new = Rules { domain: self.peers.own_domain().clone(), version, text, at: self.clock.now_ms() };
        new.check().map_err(|error| NodeError::refused(code::MALFORMED, error.to_string()))?;
        let envelope = new.sign(&self.key);
        let mut batch = Batch::new();
        rules::put(&mut batch, version, &envelope);
        self.kv.commit(batch).wait()?;
        Ok(envelope)
    }

    /// An account can always be suspended, and a report always be answered.
    fn check_room(&self, subject: Subject, about: &About) -> Result<()> {
        if about.record.is_some() && RulingRow::is_full(&*self.kv, subject.account)? {
            let words = format!("{RULINGS_OF_ACCOUNT_MAX} things of it are ruled about: suspend the account instead");
            return Err(NodeError::refused(code::TOO_LARGE, words));
        }
        Ok(())
    }

    /// Where a ruling lies, and the account that it concerns, which must be known.
    fn subject(&self, about: &About) -> Result<(Subject, Option<Arc<Account>>)> {
        let Some(id) = &about.account else {
            let domain = about.domain.as_ref().ok_or(NodeError::NotFound("domain"))?;
            return Ok((Subject::domain(domain), None));
        };
        let account = self.accounts.expect(id)?;
        let Some(record) = about.record.as_ref().or(about.report.as_ref()) else {
            return Ok((Subject::account(account.lid), Some(account)));
        };
        let (_, reference) = Reference::find(&*self.kv, record)?.ok_or(NodeError::NotFound("record"))?;
        let is_report = reference.kind == Kind::Report;
        if reference.actor != account.lid || is_report != about.report.is_some() || reference.standing == Standing::Edit {
            return Err(NodeError::refused(
                code::OBJECT,
                "the record is another's, an edit of one, or of another kind: name it by its own id",
            ));
        }
        Ok((Subject::record(account.lid, record), Some(account)))
    }

    /// Takes in what another domain decided. Answers how many of the rulings are new; what does not concern us is passed over. Blocks.
    pub fn take(&self, peer: &Peer, rulings: &[Envelope]) -> Result<usize> {
        if rulings.len() > RULINGS_PUSH_MAX {
            return Err(NodeError::refused(code::TOO_LARGE, format!("at most {RULINGS_PUSH_MAX} rulings")));
        }
        let key = peer.key(DomainKeyUse::Request).and_then(|key| key.verifier().ok()).ok_or(NodeError::NotFound("key of that domain"))?;
        let _deciding = self.deciding.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rows = Vec::new();
        for envelope in rulings {
            let ruling = Ruling::open(envelope, (peer.domain(), &key)).map_err(|error| refused(&error))?;
            if ruling.at > self.clock.now_ms().saturating_add(CLOCK_AHEAD_MS_MAX) {
                return Err(NodeError::refused(code::FUTURE, "the ruling's time lies in the future"));
            }
            rows.extend(self.judge(peer, ruling, envelope)?);
        }
        let mut batch = Batch::new();
        rows.iter().for_each(|row| row.put(&mut batch));
        self.kv.commit(batch).wait()?;
        rows.iter().for_each(|row| self.rulings.note(row));
        Ok(rows.len())
    }

    /// Whether another domain's ruling counts here, and is newer than what is known.
    fn judge(&self, peer: &Peer, ruling: Ruling, envelope: &Envelope) -> Result<Option<RulingRow>> {
        let Some(account) = ruling.about.account.map(|id| self.accounts.get(&id)).transpose()?.flatten() else { return Ok(None) };
        let subject = match (&ruling.about.record, &ruling.about.report) {
            _ if account.home() == peer.domain() && ruling.about.report.is_none() => match &ruling.about.record {
                Some(record) => Subject::record(account.lid, record),
                None => Subject::account(account.lid),
            },
            (None, Some(report)) if self.accounts.lives_here(&account) && self.is_told(&account, report, peer.domain())? => {
                Subject::record(account.lid, report)
            }
            _ => return Ok(None),
        };
        let known = RulingRow::get(&*self.kv, subject, peer.no())?;
        match known {
            Some(known) if known.ruling.at >= ruling.at => return Ok(None),
            Some(_) => {}
            None => self.check_room(subject, &ruling.about)?,
        }
        Ok(Some(RulingRow { subject, by: peer.no(), ruling, envelope: envelope.clone() }))
    }

    /// Whether a report by an account of this domain went to a domain.
    fn is_told(&self, account: &Account, report: &RecordId, domain: &Domain) -> Result<bool> {
        let Some((lid, reference)) = Reference::find(&*self.kv, report)? else { return Ok(false) };
        let Some(peer) = self.peers.get(domain) else { return Ok(false) };
        let own = reference.kind == Kind::Report && reference.actor == account.lid;
        Ok(own && self.kv.get(Space::Outbox, &outbox_key(peer.no(), lid.0))?.is_some())
    }

    /// Lets what a domain's people said about things of here count, or count no more.
    fn recount(&self, domain: &Domain, measure: Measure) -> Result<()> {
        let Some(peer) = self.peers.get(domain) else { return Ok(()) };
        self.intake.alone(peer.no(), || {
            let mut batch = Batch::new();
            match measure {
                Measure::None => batch.delete(Space::Meta, uncounted_key(peer.no())),
                _ => batch.put(Space::Meta, uncounted_key(peer.no()), []),
            };
            self.kv.commit(batch).wait()?;
            for (_, origin) in self.peers.logs_of(domain) {
                let mut range = KeyRange::between(Lid::new(origin, 0).key(), Lid::new(origin, 0).next_log().key());
                loop {
                    let rows = self.kv.scan(Space::Reference, &range, Order::Forward, RECOUNTED_AT_ONCE)?;
                    let mut touched = BTreeSet::new();
                    for (_, row) in &rows {
                        touched.extend(counted(&*self.kv, &Reference::decode(row)?)?);
                    }
                    recount(&*self.kv, &self.peers, &touched)?;
                    match rows.last().filter(|_| rows.len() == RECOUNTED_AT_ONCE) {
                        Some((last, _)) => range = range.after(last),
                        None => break,
                    }
                }
            }
            Ok(())
        })
    }

    /// One page of reports, newest first, and where the next one goes on. Blocks.
    pub fn reports(&self, before: Option<&str>) -> Result<(Vec<Reported>, Option<String>)> {
        let before = before.map(decode_cursor).transpose()?;
        let (rows, more) = cut(report::page(&*self.kv, before, PAGE_MAX + 1)?, PAGE_MAX);
        let next = rows.last().filter(|_| more).map(|(received, lid, _)| encode_cursor(*received, *lid));
        let reports = rows.into_iter().map(|(received, lid, envelope)| self.reported((received, lid), &envelope));
        Ok((reports.collect::<Result<_>>()?, next))
    }

    /// The report with an id. Blocks.
    pub fn report(&self, id: &RecordId) -> Result<Reported> {
        let found = Reference::find(&*self.kv, id)?.filter(|(_, reference)| reference.kind == Kind::Report);
        let (lid, reference) = found.ok_or(NodeError::NotFound("report"))?;
        let place = (reference.received, lid);
        let envelope = report::get(&*self.kv, place)?.ok_or(NodeError::NotFound("report"))?;
        self.reported(place, &envelope)
    }

    fn reported(&self, (received, lid): (u64, Lid), envelope: &Envelope) -> Result<Reported> {
        let reference = Reference::get(&*self.kv, lid)?.ok_or(NodeError::NotFound("report"))?;
        let actor = self.accounts.by_lid(reference.actor)?;
        let record = Record::open(envelope).map_err(|_| NodeError::Store(crate::tables::codec::damaged("report")))?;
        let ruling = RulingRow::get(&*self.kv, Subject::record(actor.lid, &reference.id), HERE)?.map(|row| row.ruling);
        Ok(Reported { id: reference.id, received, reporter: actor.address().clone(), record, ruling })
    }

    /// Answers a report, and does to what was reported what the answer says. Blocks.
    pub fn answer(&self, id: &RecordId, measure: Measure, text: String) -> Result<Envelope> {
        let reported = self.report(id)?;
        let Content::Report(report) = &reported.record.content else { return Err(NodeError::NotFound("report")) };
        let reason = report.reason;
        let object = About { account: Some(report.object.actor), ..About::default() };
        match measure {
            Measure::Suspend => drop(self.decide(Decision { about: object, measure, reason, text: String::new() })?),
            Measure::Remove => {
                let about = About { record: Some(report.object.id), ..object };
                self.decide(Decision { about, measure, reason, text: String::new() })?;
            }
            _ => {}
        }
        let about = About { account: Some(reported.record.head.actor), report: Some(*id), ..About::default() };
        self.decide(Decision { about, measure, reason, text })
    }
}

fn refused(error: &RulingError) -> NodeError {
    let code = match error {
        RulingError::Signature(_) => code::BAD_SIGNATURE,
        _ => code::MALFORMED,
    };
    NodeError::refused(code, error.to_string())
}
