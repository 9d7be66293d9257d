//! What is in force of what operators decided: whose things are not shown, and whose statements do not count. All of it lies in memory; `tables::ruling` is its
//! durable form. Who decides is [`crate::moderation`].

use crate::accounts::{Account, Accounts};
use crate::error::{NodeError, Result};
use crate::peers::Peers;
use crate::tables::reference::Reference;
use crate::tables::rules;
use crate::tables::ruling::{RulingRow, Subject};
use crate::tables::{AccountLid, HERE, PeerNo};
use mesh_proto::address::Domain;
use mesh_proto::api::code;
use mesh_proto::envelope::{Envelope, Kind};
use mesh_proto::rules::Rules;
use mesh_proto::ruling::Measure;
use mesh_store::{Kv, Space};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

/// Rows read at once.
const ROWS: usize = 1_000;

/// Who people and domains are, and what was decided about them.
pub(crate) type Known = (Arc<Accounts>, Arc<Peers>, Arc<Rulings>);

/// The rulings service.
pub struct Rulings {
    kv: Arc<dyn Kv>,
    peers: Arc<Peers>,
    in_force: RwLock<InForce>,
}

#[derive(Default)]
struct InForce {
    /// Accounts and records that are not to be shown, with who says so.
    hidden: BTreeMap<Subject, Vec<PeerNo>>,
    /// Domains that are blocked or on probation here.
    domains: BTreeMap<Domain, Measure>,
}

impl InForce {
    fn note(&mut self, row: &RulingRow) {
        if let Some(domain) = &row.ruling.about.domain {
            match row.ruling.measure {
                Measure::None => self.domains.remove(domain),
                measure => self.domains.insert(domain.clone(), measure),
            };
            return;
        }
        if row.ruling.about.report.is_some() {
            return;
        }
        let by = self.hidden.entry(row.subject).or_default();
        by.retain(|known| *known != row.by);
        if row.ruling.measure != Measure::None {
            by.push(row.by);
        }
        if by.is_empty() {
            self.hidden.remove(&row.subject);
        }
    }

    fn blocked(&self) -> BTreeSet<Domain> {
        self.domains.iter().filter(|(_, measure)| **measure == Measure::Block).map(|(domain, _)| domain.clone()).collect()
    }
}

impl Rulings {
    pub(crate) fn open(kv: Arc<dyn Kv>, peers: Arc<Peers>) -> Result<Self> {
        let mut in_force = InForce::default();
        let mut after = None;
        loop {
            let rows = RulingRow::page(&*kv, after.as_deref(), ROWS)?;
            rows.iter().for_each(|(_, row)| in_force.note(row));
            match rows.last().filter(|_| rows.len() == ROWS) {
                Some((key, _)) => after = Some(key.clone()),
                None => break,
            }
        }
        peers.set_blocked(in_force.blocked());
        Ok(Self { kv, peers, in_force: RwLock::new(in_force) })
    }

    /// Puts a stored ruling in force.
    pub(crate) fn note(&self, row: &RulingRow) {
        let mut in_force = self.in_force.write().unwrap_or_else(PoisonError::into_inner);
        in_force.note(row);
        // Pages that were made between the commit and now are made anew.
        self.kv.changes().note(Space::Ruling, &row.subject.account.0.to_be_bytes());
        if row.ruling.about.domain.is_some() {
            self.peers.set_blocked(in_force.blocked());
        }
    }

    /// What is in force here about another domain.
    pub fn measure(&self, domain: &Domain) -> Measure {
        let in_force = self.in_force.read().unwrap_or_else(PoisonError::into_inner);
        in_force.domains.get(domain).copied().unwrap_or(Measure::None)
    }

    /// The domains that are blocked or on probation here.
    pub fn domains(&self) -> Vec<(Domain, Measure)> {
        let in_force = self.in_force.read().unwrap_or_else(PoisonError::into_inner);
        in_force.domains.iter().map(|(domain, measure)| (domain.clone(), *measure)).collect()
    }

    /// Refuses what a blocked domain says.
    pub fn check_domain(&self, domain: &Domain) -> Result<()> {
        match self.measure(domain) {
            Measure::Block => Err(NodeError::refused(
                code::MODERATED,
                format!("{} takes nothing from {domain}: its operator decided so", self.peers.own_domain()),
            )),
            _ => Ok(()),
        }
    }

    /// Who hides an account: this domain, or its own home.
    fn hidden_by(&self, subject: Subject, actor: &Account) -> Option<PeerNo> {
        let in_force = self.in_force.read().unwrap_or_else(PoisonError::into_inner);
        let by = in_force.hidden.get(&subject)?;
        let binds = |by: &PeerNo| *by == HERE || self.peers.by_no(*by).is_some_and(|peer| peer.domain() == actor.home());
        by.iter().copied().find(|by| binds(by))
    }

    /// The ruling by which an account is suspended, if it is.
    pub fn suspension(&self, actor: &Account) -> Result<Option<Envelope>> {
        let subject = Subject::account(actor.lid);
        let Some(by) = self.hidden_by(subject, actor) else { return Ok(None) };
        Ok(RulingRow::get(&*self.kv, subject, by)?.map(|row| row.envelope))
    }

    /// Whether nothing that an account says is shown.
    pub fn hides_account(&self, actor: &Account) -> bool {
        self.hidden_by(Subject::account(actor.lid), actor).is_some() || self.measure(actor.home()) == Measure::Block
    }

    /// Whether a record is not shown.
    pub(crate) fn hides(&self, reference: &Reference, actor: &Account) -> bool {
        self.hides_account(actor)
            || self.hidden_by(Subject::record(actor.lid, &reference.id), actor).is_some()
            || (reference.kind == Kind::Comment && self.measure(actor.home()) == Measure::Probation)
    }

    /// Refuses what a suspended account of this domain writes. It may still go elsewhere with all that it said.
    pub(crate) fn check_writer(&self, actor: &Account) -> Result<()> {
        match self.hidden_by(Subject::account(actor.lid), actor) {
            Some(_) => Err(NodeError::refused(
                code::MODERATED,
                "the account is suspended: `mesh rulings` says why, and `mesh id move` takes it to another home",
            )),
            None => Ok(()),
        }
    }

    /// Rulings of this domain that concern another one: about accounts of here, and about reports by its people.
    pub(crate) fn for_domain(&self, account: &Account, domain: &Domain) -> Result<Vec<Envelope>> {
        let rows = RulingRow::about(&*self.kv, account.lid)?;
        let ours = account.home() == self.peers.own_domain();
        let concerns = |row: &RulingRow| match row.ruling.about.report {
            Some(_) => account.home() == domain,
            None => ours,
        };
        Ok(rows.into_iter().filter(|row| row.by == HERE && concerns(row)).map(|row| row.envelope).collect())
    }

    /// All rulings that concern an account: about it, its records and its reports.
    pub fn concerning(&self, account: AccountLid) -> Result<Vec<Envelope>> {
        let rows = RulingRow::about(&*self.kv, account)?;
        Ok(rows.into_iter().map(|row| row.envelope).collect())
    }

    /// The rules of this domain: those in force, or a version of them.
    pub fn rules(&self, version: Option<u32>) -> Result<Option<(Rules, Envelope)>> {
        Ok(match version {
            Some(version) => rules::get(&*self.kv, version)?,
            None => rules::current(&*self.kv)?,
        })
    }

    /// One page of what this domain decided about accounts, records and domains, and where the next one goes on.
    pub fn public(&self, after: Option<&[u8]>) -> Result<(Vec<Envelope>, Option<Vec<u8>>)> {
        let rows = RulingRow::page(&*self.kv, after, ROWS)?;
        let next = rows.last().filter(|_| rows.len() == ROWS).map(|(key, _)| key.to_vec());
        Ok((rows.into_iter().filter(|(_, row)| row.is_public()).map(|(_, row)| row.envelope).collect(), next))
    }
}
