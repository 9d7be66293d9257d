//! Moving here: checks and company for what [`crate::writing::arrivals`] stores.

use crate::accounts::Account;
use crate::error::{NodeError, Result};
use crate::moved::About;
use crate::places::Places;
use crate::records::Records;
use crate::tables::announcing;
use crate::tables::codec::key_u64;
use crate::tables::{AccountLid, Lid};
use crate::writing::announcing::To;
use crate::writing::append::Entry;
use crate::writing::arrivals::{Arriving, Part};
use futures_util::StreamExt;
use mesh_proto::address::Domain;
use mesh_proto::api::{Announced, Arrival, Delivery, DomainKeyUse, ImportEnd, Imported, MirrorAgreement, Registered, code};
use mesh_proto::keylog::KeyLog;
use mesh_proto::limits::{ARRIVAL_DOMAINS_MAX, KEY_OPS_MAX, MIRROR_BYTES_MAX};
use mesh_proto::record::{Content, Record};
use mesh_store::{Batch, KeyRange, Order, Space};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Other domains asked at once for one account.
const ASKED_AT_ONCE: usize = 16;
/// Domains that are new here and that one account's request makes us meet.
const STRANGERS_MAX: usize = 256;
/// How often a single one is asked: it may be a message that was lost.
const STRANGER_TRIES: usize = 2;
/// How long an arrival waits for the former home, and an import for each domain that it would know.
const ASK_WAIT: Duration = Duration::from_secs(5);
/// Accounts that are looked at for those who lived at a domain that is gone, and subscriptions read in one go.
const FOLLOWED_MAX: usize = 100_000;
const FOLLOWED_AT_ONCE: usize = 10_000;

/// Parts of exports that are taken in at once, one of each account: their memory is bounded by that of as many requests.
const IMPORTS_MAX: usize = 16;
/// After this a part that still waits for other domains is given up: its account sends it again.
const IMPORT_TIME_MAX: Duration = Duration::from_secs(150);
/// Accounts whose new home is told to other domains at once.
const ANNOUNCEMENTS_MAX: usize = 8;

/// How much is done for those who come, and for those who live elsewhere.
pub(crate) struct Room {
    /// Accounts of other domains of which copies are kept at most.
    pub(crate) mirrors_max: u32,
    importing: Arc<Places>,
    pub(super) announcing: Arc<Places>,
}

impl Room {
    pub(crate) fn new(mirrors_max: u32) -> Self {
        Self { mirrors_max, importing: Places::new(IMPORTS_MAX), announcing: Places::new(ANNOUNCEMENTS_MAX) }
    }
}

impl Records {
    /// Takes an account in whose key log names an address of this domain.
    pub async fn arrive(&self, arrival: Arrival) -> Result<Registered> {
        let Arrival { account, ops, admission } = arrival;
        if ops.len() > KEY_OPS_MAX {
            return Err(NodeError::refused(code::TOO_LARGE, "an account has more key operations than it may have"));
        }
        let log = KeyLog::from_ops(ops.iter().cloned()).map_err(crate::accounts::refused_op)?;
        if log.account() != account {
            return Err(NodeError::refused(code::MALFORMED, "the key log is another account's"));
        }
        let address = log.view().address();
        if address.domain() != self.domain() {
            return Err(NodeError::refused(code::NOT_HOME, format!("the key log names {address}: this is {}", self.domain())));
        }
        crate::registration::check_user(address.user())?;
        let lives_here = self.accounts.get(&account)?.is_some_and(|known| self.accounts.lives_here(&known));
        let invite = if lives_here { None } else { self.registrar.admit(&admission, account)? };
        // The former home knows when it logged what; without it, all of that counts from now.
        if let Some(former) = log.homes().iter().rev().nth(1).filter(|former| *former != self.domain()) {
            let asked = tokio::time::timeout(ASK_WAIT, self.refresh(&account, former)).await;
            if !matches!(asked, Ok(Ok(_))) {
                tracing::info!(peer.domain = %former, "moving.former_home_silent");
            }
        }
        let (answer, answered) = oneshot::channel();
        self.enter(Entry::Arrive(Box::new(Arriving { account, ops, invite }), answer))?;
        answered.await.map_err(|_| NodeError::Stopping)?
    }

    /// Takes in a part of an export. Answers what became of each record.
    pub async fn import(&self, account: Arc<Account>, delivery: Delivery) -> Result<Imported> {
        let domain = delivery.origin.domain();
        if !self.accounts.lives_here(&account) {
            return Err(NodeError::refused(code::NOT_HOME, format!("the account's home is {}: import there", account.home())));
        }
        if !account.log.homes().contains(domain) {
            return Err(NodeError::refused(code::NOT_HOME, format!("the account never lived at {domain}")));
        }
        let _place = self.room.importing.take(account.lid)?;
        // Those who are met by then stay met, so that the same part comes further the next time.
        let met = tokio::time::timeout(IMPORT_TIME_MAX, self.meet_company(&delivery)).await;
        met.map_err(|_| NodeError::SlowDown { retry_after_s: 10 })?;
        self.take_part(account, delivery).await
    }

    /// Meets the domains that a part of an export is about, and learns whom it follows.
    async fn meet_company(&self, delivery: &Delivery) {
        let mut company = BTreeSet::from([delivery.origin.domain().clone()]);
        let records: Vec<Record> = delivery.items.iter().filter_map(|item| Record::open(&item.envelope).ok()).collect();
        for record in &records {
            company.extend(record.content.addressed().into_iter().map(|(_, home)| home.clone()));
        }
        self.meet(company).await;
        let followed = records.iter().filter_map(|record| match &record.content {
            Content::Subscribe(subscribe) => Some(&subscribe.object),
            _ => None,
        });
        let learned = futures_util::stream::iter(followed).for_each_concurrent(ASKED_AT_ONCE, |author| async {
            // Whom nobody vouches for is not followed; the answer to that record says so.
            drop(tokio::time::timeout(ASK_WAIT, self.learn(&author.actor, &author.home)).await);
        });
        learned.await;
    }

    async fn take_part(&self, account: Arc<Account>, delivery: Delivery) -> Result<Imported> {
        let domain = delivery.origin.domain().clone();
        let peer = self.peers.get(&domain);
        let key = match domain == *self.domain() {
            true => Some(self.log.key_id()),
            false => peer.and_then(|peer| peer.key(DomainKeyUse::Log)),
        };
        let key = key.and_then(|key| key.verifier().ok());
        let (peers, arrived) = (Arc::clone(&self.peers), Arc::clone(&account));
        let part = tokio::task::spawn_blocking(move || {
            Part::open(delivery, key.as_ref(), &arrived, |origin| match key {
                Some(_) => peers.origin_number(origin),
                None => peers.brought_number(origin, arrived.id()),
            })
        });
        let part = part.await.map_err(|_| NodeError::Stopping)??;
        let (answer, answered) = oneshot::channel();
        self.enter(Entry::Import(account, Box::new(part), answer))?;
        Ok(Imported { results: answered.await.map_err(|_| NodeError::Stopping)?? })
    }

    /// Agrees to keep a copy of what an account of another domain says to everybody, if there is room for one more.
    pub async fn mirror(&self, account: Arc<Account>) -> Result<MirrorAgreement> {
        let agreed = MirrorAgreement { account: account.id(), bytes_max: MIRROR_BYTES_MAX };
        if self.accounts.lives_here(&account) {
            return Ok(agreed);
        }
        // What it said at earlier homes is taken only if the keys of their logs are known.
        self.meet(account.log.homes().into_iter().collect()).await;
        let (accounts, most, now_ms) = (Arc::clone(&self.accounts), self.room.mirrors_max, self.clock.now_ms());
        let kept = tokio::task::spawn_blocking(move || accounts.keep(&account, most, now_ms));
        if kept.await.map_err(|_| NodeError::Stopping)?? {
            return Ok(agreed);
        }
        Err(NodeError::refused(code::POLICY, "this domain keeps no copies, or none more: ask its operator, or another domain"))
    }

    /// Accounts of another domain that someone here follows.
    pub(crate) fn followed_at(&self, home: &Domain) -> Result<Vec<Arc<Account>>> {
        let mut authors = BTreeSet::new();
        let mut range = KeyRange::all();
        while authors.len() < FOLLOWED_MAX {
            let rows = self.kv.scan(Space::Follow, &range, Order::Forward, FOLLOWED_AT_ONCE)?;
            for (key, _) in &rows {
                authors.insert(AccountLid(key_u64(key, 8, "follow")?));
            }
            match rows.last().filter(|_| rows.len() == FOLLOWED_AT_ONCE) {
                Some((key, _)) => range = KeyRange::all().after(key),
                None => break,
            }
        }
        let accounts = authors.into_iter().map(|author| self.accounts.by_lid(author)).collect::<Result<Vec<_>>>()?;
        Ok(accounts.into_iter().filter(|account| account.home() == home).collect())
    }

    /// Meets domains that are new here. Those that do not answer stay strangers.
    pub(super) async fn meet(&self, domains: BTreeSet<Domain>) {
        let strangers =
            domains.into_iter().filter(|domain| domain != self.domain() && self.peers.get(domain).is_none()).take(STRANGERS_MAX);
        let met = futures_util::stream::iter(strangers).for_each_concurrent(ASKED_AT_ONCE, |domain| async move {
            drop(tokio::time::timeout(ASK_WAIT, self.peers.discover(&domain, None)).await);
        });
        met.await;
    }

    /// Meets a domain that is new here, if it answers.
    pub async fn meet_stranger(&self, domain: &Domain) {
        for _ in 0..STRANGER_TRIES {
            if domain == self.domain() || self.peers.get(domain).is_some() {
                return;
            }
            self.meet(BTreeSet::from([domain.clone()])).await;
        }
    }

    /// Ends an import: what this domain's people said about the account counts here now, and other domains are told where it lives.
    pub async fn end_import(self: &Arc<Self>, account: Arc<Account>, end: ImportEnd) -> Result<Announced> {
        if end.domains.len() > ARRIVAL_DOMAINS_MAX {
            return Err(NodeError::refused(code::TOO_LARGE, format!("at most {ARRIVAL_DOMAINS_MAX} domains")));
        }
        if !self.accounts.lives_here(&account) {
            return Err(NodeError::refused(code::NOT_HOME, format!("the account's home is {}", account.home())));
        }
        let place = self.room.announcing.take(account.lid)?;
        self.attach_own(&account).await?;
        let mirrors = account.log.view().mirrors().to_vec();
        let mut domains: BTreeSet<Domain> = end.domains.into_iter().chain(account.log.homes()).chain(mirrors).collect();
        domains.remove(self.domain());
        let mut noted = Batch::new();
        let now_ms = self.clock.now_ms();
        domains.iter().for_each(|domain| announcing::put(&mut noted, (account.lid, domain), now_ms));
        self.kv.commit(noted).await?;
        let answer = Announced { domains: domains.len() };
        // Nobody waits for domains that may be slow or gone.
        tokio::spawn(Arc::clone(self).tell(account, (domains, To::Concerned), place));
        Ok(answer)
    }

    /// Lets what this domain's people said about an account, when it lived elsewhere, count here.
    async fn attach_own(self: &Arc<Self>, account: &Arc<Account>) -> Result<()> {
        let mut homes = account.log.homes();
        homes.pop();
        for home in homes {
            let mut from = 0;
            loop {
                let (this, account, former) = (Arc::clone(self), Arc::clone(account), home.clone());
                let found = tokio::task::spawn_blocking(move || this.said_about(&account, (&former, from)));
                let (lids, next) = found.await.map_err(|_| NodeError::Stopping)??;
                if !lids.is_empty() {
                    let (answer, answered) = oneshot::channel();
                    self.enter(Entry::Attach(lids, answer))?;
                    answered.await.map_err(|_| NodeError::Stopping)??;
                }
                let Some(next) = next else { break };
                from = next;
            }
        }
        Ok(())
    }

    /// Some of what went to a former home of an account and is about it; where to go on, if there is more.
    fn said_about(&self, account: &Account, (home, from): (&Domain, u64)) -> Result<(Vec<Lid>, Option<u64>)> {
        let about = About { read: &*self.kv, peers: &self.peers, accounts: &self.accounts };
        let said = about.said_to(home, from)?;
        let mut lids = Vec::new();
        for lid in said.iter().copied().map(Lid) {
            if about.is_about(lid, account)? {
                lids.push(lid);
            }
        }
        Ok((lids, said.last().map(|last| last + 1)))
    }
}
