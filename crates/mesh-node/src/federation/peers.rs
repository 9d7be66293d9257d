//! Other domains: their numbers, their keys, their logs. All of them fit in memory; the table is their durable form.

use crate::error::{NodeError, Result};
use crate::forks::Forks;
use crate::tables::peer::{NumberedLog, PeerRow, origins, put_origin};
use crate::tables::{Lid, OWN, OriginNo, PeerNo};
use mesh_proto::address::Domain;
use mesh_proto::api::{Discovery, DomainKeyUse, code};
use mesh_proto::key::{AccountId, KeyId};
use mesh_proto::keylog::LogPosition;
use mesh_proto::log::Origin;
use mesh_proto::port::{Clock, Transport};
use mesh_store::{Batch, KeyRange, Kv, Order, Space};
use quick_cache::sync::Cache;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::Semaphore;

/// Most other domains that one server knows, and most logs that are numbered here; half of them for what nobody vouches for.
pub const PEERS_MAX: usize = 100_000;
/// Most logs of one domain that are numbered here, and most from which one account brought something without anybody who vouches for them.
const LOGS_MAX: usize = 64;
/// How long an answer to discovery, or its lack, is believed before a request that somebody signed makes us ask again, milliseconds.
const DISCOVERY_PAUSE_MS: u64 = 60_000;
/// Domains of which it is remembered when they were last asked: about 100 bytes each.
const ASKED_KEPT: usize = 10_000;
/// Discoveries under way because of requests that somebody signed, and so perhaps of nobody's.
const ASKED_AT_ONCE_MAX: usize = 64;

/// When a domain is asked anew what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// If that was a minute ago.
    AfterPause,
    /// Now, because what it says itself does not fit what it said then.
    Now,
}

/// Another domain.
#[derive(Debug, Clone)]
pub struct Peer {
    pub(crate) row: PeerRow,
    /// When we last asked who it is.
    asked_ms: u64,
}

impl Peer {
    /// Its number here.
    pub fn no(&self) -> PeerNo {
        self.row.no()
    }

    /// Its name.
    pub fn domain(&self) -> &Domain {
        &self.row.domain
    }

    fn has_key(&self, key: &KeyId) -> bool {
        self.row.discovery.as_ref().is_some_and(|discovery| discovery.keys.iter().any(|known| known.id == *key))
    }

    /// Its present log, as it last said.
    pub fn origin(&self) -> Option<&Origin> {
        self.row.discovery.as_ref().map(|discovery| &discovery.origin)
    }

    /// Its key for one use, as it last said.
    pub fn key(&self, key_use: DomainKeyUse) -> Option<KeyId> {
        self.row.discovery.as_ref().and_then(|discovery| discovery.key(key_use))
    }
}

#[derive(Default)]
struct Known {
    by_domain: BTreeMap<Domain, Arc<Peer>>,
    by_no: BTreeMap<PeerNo, Domain>,
    origins: BTreeMap<NumberedLog, OriginNo>,
    origins_by_no: BTreeMap<OriginNo, Origin>,
    blocked: BTreeSet<Domain>,
}

/// The peers service.
pub struct Peers {
    kv: Arc<dyn Kv>,
    clock: Arc<dyn Clock>,
    transport: Arc<dyn Transport>,
    /// This domain's logs with the numbers of their first leaves, the present one last.
    own: Vec<(u64, Origin)>,
    known: RwLock<Known>,
    forks: Forks,
    /// Held while a number is given.
    numbering: Mutex<()>,
    /// When a domain was last asked in vain, held while it is asked: many requests at once make us ask once.
    asked: Cache<Domain, Arc<tokio::sync::Mutex<u64>>>,
    asking: Arc<Semaphore>,
    /// Held from the look at who subscribes until what follows from it is stored.
    publishing: RwLock<()>,
}

impl Peers {
    pub(crate) fn open(kv: Arc<dyn Kv>, clock: Arc<dyn Clock>, transport: Arc<dyn Transport>, own: Vec<(u64, Origin)>) -> Result<Self> {
        let mut known = Known::default();
        for row in PeerRow::all(&*kv, PEERS_MAX)? {
            known.by_no.insert(row.no(), row.domain.clone());
            known.by_domain.insert(row.domain.clone(), Arc::new(Peer { row, asked_ms: 0 }));
        }
        for (origin, no) in origins(&*kv, PEERS_MAX)? {
            known.origins_by_no.insert(no, origin.0.clone());
            known.origins.insert(origin, no);
        }
        let forks = Forks::open(Arc::clone(&kv))?;
        Ok(Self {
            kv,
            forks,
            clock,
            transport,
            own,
            known: RwLock::new(known),
            numbering: Mutex::new(()),
            asked: Cache::new(ASKED_KEPT),
            asking: Arc::new(Semaphore::new(ASKED_AT_ONCE_MAX)),
            publishing: RwLock::new(()),
        })
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.numbering.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held by who publishes, while nobody takes in a subscription: if both looked before the other's work was there, a post would go to nobody and
    /// be nobody's backlog.
    pub(crate) fn publishing(&self) -> RwLockWriteGuard<'_, ()> {
        self.publishing.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held by who takes in subscriptions, while nobody publishes.
    pub(crate) fn subscribing(&self) -> RwLockReadGuard<'_, ()> {
        self.publishing.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The logs that are known to have forked.
    pub(crate) fn forks(&self) -> &Forks {
        &self.forks
    }

    /// The names of the logs that are known to have forked, for the operator.
    pub fn forked(&self) -> Vec<Origin> {
        let known = self.read();
        self.forks.numbers().iter().filter_map(|no| known.origins_by_no.get(no).cloned()).collect()
    }

    /// This domain.
    pub fn own_domain(&self) -> &Domain {
        self.own[0].1.domain()
    }

    /// A domain that is known already.
    pub fn get(&self, domain: &Domain) -> Option<Arc<Peer>> {
        self.read().by_domain.get(domain).cloned()
    }

    /// The domain with this number.
    pub fn by_no(&self, no: PeerNo) -> Option<Arc<Peer>> {
        let known = self.read();
        known.by_no.get(&no).and_then(|domain| known.by_domain.get(domain)).cloned()
    }

    /// The log in which a record lies.
    pub fn origin_of(&self, lid: Lid) -> Result<Origin> {
        Ok(self.position(lid)?.origin)
    }

    /// The leaf of a record.
    pub fn position(&self, lid: Lid) -> Result<LogPosition> {
        if !lid.is_own() {
            return Ok(LogPosition { origin: self.origin_by_number(lid.origin())?, index: lid.index() });
        }
        let own = self.own.iter().rev().find(|(base, _)| *base <= lid.index());
        let (base, origin) = own.ok_or_else(|| crate::tables::codec::damaged("reference"))?;
        Ok(LogPosition { origin: origin.clone(), index: lid.index() - base })
    }

    /// The number here of the first leaf of a log: 0, but for those that this domain began after others.
    pub(crate) fn base_of(&self, origin: &Origin) -> u64 {
        self.own.iter().find(|(_, own)| own == origin).map_or(0, |(base, _)| *base)
    }

    /// The log with this number, of another domain.
    pub(crate) fn origin_by_number(&self, no: OriginNo) -> Result<Origin> {
        self.read().origins_by_no.get(&no).cloned().ok_or_else(|| crate::tables::codec::damaged("origin").into())
    }

    /// The number of a domain, which is given now if it has none. Blocks until it is durable.
    pub fn number(&self, domain: &Domain) -> Result<PeerNo> {
        if let Some(peer) = self.get(domain) {
            return Ok(peer.no());
        }
        let _numbering = self.lock();
        if let Some(peer) = self.get(domain) {
            return Ok(peer.no());
        }
        let count = self.read().by_domain.len();
        if count >= PEERS_MAX {
            return Err(NodeError::SlowDown { retry_after_s: 3_600 });
        }
        let row = PeerRow { no: count as u32 + 1, domain: domain.clone(), discovery: None, challenged: false };
        let no = row.no();
        self.store(row, 0)?;
        Ok(no)
    }

    /// The number of a log, if it has one.
    pub(crate) fn origin_known(&self, origin: &Origin) -> Option<OriginNo> {
        if self.own.iter().any(|(_, own)| own == origin) {
            return Some(OWN);
        }
        self.read().origins.get(&(origin.clone(), None)).copied()
    }

    /// All numbers of another domain's log: its own, and those of what accounts brought along from it without anybody who vouches for it.
    pub(crate) fn numbers_of(&self, origin: &Origin) -> Vec<OriginNo> {
        let known = self.read();
        known.origins.iter().filter(|((log, _), _)| log == origin).map(|(_, no)| *no).collect()
    }

    /// The logs of a domain that are known, oldest first.
    pub(crate) fn logs_of(&self, domain: &Domain) -> Vec<(Origin, OriginNo)> {
        let known = self.read();
        let mut logs: Vec<_> = known
            .origins
            .iter()
            .filter(|((log, brought_by), _)| log.domain() == domain && brought_by.is_none())
            .map(|((log, _), no)| (log.clone(), *no))
            .collect();
        logs.sort_by_key(|(log, _)| log.number());
        logs
    }

    /// The numbers of all that are known.
    pub(crate) fn numbers(&self) -> Vec<PeerNo> {
        self.read().by_no.keys().copied().collect()
    }

    /// Those who said who they are, and are not blocked.
    pub fn met(&self) -> Vec<Arc<Peer>> {
        let known = self.read();
        let welcome = |peer: &&Arc<Peer>| peer.row.discovery.is_some() && !known.blocked.contains(peer.domain());
        known.by_domain.values().filter(welcome).cloned().collect()
    }

    /// Notes which domains are blocked: nobody goes to see them.
    pub(crate) fn set_blocked(&self, blocked: BTreeSet<Domain>) {
        self.write().blocked = blocked;
    }

    /// The number of a log, which is given now if it has none. Blocks until it is durable.
    pub fn origin_number(&self, origin: &Origin) -> Result<OriginNo> {
        match self.origin_known(origin) {
            Some(no) => Ok(no),
            None => self.number_log((origin.clone(), None)),
        }
    }

    /// The number of what an account brought along from a log for which nobody is known to vouch. It is never that of the log itself.
    pub(crate) fn brought_number(&self, origin: &Origin, account: AccountId) -> Result<OriginNo> {
        self.number_log((origin.clone(), Some(account)))
    }

    fn number_log(&self, log: NumberedLog) -> Result<OriginNo> {
        let _numbering = self.lock();
        let next = {
            let known = self.read();
            if let Some(no) = known.origins.get(&log) {
                return Ok(*no);
            }
            let alike = |(other, brought_by): &NumberedLog| match log.1 {
                Some(account) => *brought_by == Some(account),
                None => brought_by.is_none() && other.domain() == log.0.domain(),
            };
            if known.origins.keys().filter(|other| alike(other)).count() >= LOGS_MAX {
                return Err(NodeError::refused(
                    code::TOO_LARGE,
                    format!("at most {LOGS_MAX} logs of one domain, or brought by one account"),
                ));
            }
            known.origins_by_no.last_key_value().map_or(1, |(no, _)| no.0 + 1)
        };
        match log.1 {
            Some(_) if next as usize > PEERS_MAX / 2 => {
                let words = "this domain numbers no more logs for which nobody vouches";
                return Err(NodeError::refused(code::TOO_LARGE, words));
            }
            _ if next as usize > PEERS_MAX => return Err(NodeError::SlowDown { retry_after_s: 3_600 }),
            _ => {}
        }
        let no = OriginNo(next);
        let mut batch = Batch::new();
        put_origin(&mut batch, &log, no);
        self.kv.commit(batch).wait()?;
        let mut known = self.write();
        known.origins_by_no.insert(no, log.0.clone());
        known.origins.insert(log, no);
        Ok(no)
    }

    fn store(&self, row: PeerRow, asked_ms: u64) -> Result<()> {
        let mut batch = Batch::new();
        row.put(&mut batch);
        self.kv.commit(batch).wait()?;
        let mut known = self.write();
        known.by_no.insert(row.no(), row.domain.clone());
        known.by_domain.insert(row.domain.clone(), Arc::new(Peer { row, asked_ms }));
        Ok(())
    }

    /// Notes that a domain answered a challenge.
    pub(crate) fn challenged(&self, domain: &Domain) -> Result<()> {
        let Some(peer) = self.get(domain) else { return Ok(()) };
        self.store(PeerRow { challenged: true, ..peer.row.clone() }, peer.asked_ms)
    }

    /// Whether a domain is known to have a key.
    pub fn knows_key(&self, domain: &Domain, key: &KeyId) -> bool {
        self.get(domain).is_some_and(|peer| peer.has_key(key))
    }

    /// A domain with what it says of itself; it is asked if it never was, or if `key`, by which somebody signed in its name, is not among its keys.
    /// Because of such a key it is asked at most once a minute, whatever it answered.
    pub async fn discover(self: &Arc<Self>, domain: &Domain, key: Option<&KeyId>) -> Result<Arc<Peer>> {
        if let Some(peer) = self.discovered(domain, key) {
            return Ok(peer);
        }
        let in_vain = self.asked.get_or_insert_with(domain, || Ok::<_, std::convert::Infallible>(Arc::default()));
        let in_vain = in_vain.unwrap_or_else(|never| match never {});
        let mut in_vain = in_vain.lock_owned().await;
        if let Some(peer) = self.discovered(domain, key) {
            return Ok(peer);
        }
        let now = self.clock.now_ms();
        if key.is_some() && now < in_vain.saturating_add(DISCOVERY_PAUSE_MS) {
            let detail = "it was asked for its keys a moment ago, in vain: try again in a minute".into();
            return Err(NodeError::Remote { domain: domain.to_string(), detail });
        }
        let asking = match key {
            Some(_) => Some(Arc::clone(&self.asking).try_acquire_owned().map_err(|_| NodeError::SlowDown { retry_after_s: 10 })?),
            None => None,
        };
        let this = Arc::clone(self);
        let domain = domain.clone();
        // A task of its own: who goes away while we ask would else have asked in vain, in another's name.
        let asked = tokio::spawn(async move {
            let _asking = asking;
            *in_vain = now;
            let discovery = this.ask(&domain).await?;
            let stored = tokio::task::spawn_blocking(move || this.learn(&domain, discovery));
            let peer = stored.await.map_err(|_| NodeError::Stopping)??;
            *in_vain = 0;
            Ok(peer)
        });
        asked.await.map_err(|_| NodeError::Stopping)?
    }

    /// A domain, which is asked anew what it is.
    pub async fn discover_again(self: &Arc<Self>, domain: &Domain, again: Again) -> Result<Arc<Peer>> {
        let known = self.discover(domain, None).await?;
        if again == Again::AfterPause && self.clock.now_ms() < known.asked_ms.saturating_add(DISCOVERY_PAUSE_MS) {
            return Ok(known);
        }
        let discovery = self.ask(domain).await?;
        let (this, domain) = (Arc::clone(self), domain.clone());
        tokio::task::spawn_blocking(move || this.learn(&domain, discovery)).await.map_err(|_| NodeError::Stopping)?
    }

    /// What is known already, if it will do.
    fn discovered(&self, domain: &Domain, key: Option<&KeyId>) -> Option<Arc<Peer>> {
        let peer = self.get(domain).filter(|peer| peer.row.discovery.is_some())?;
        let fresh = self.clock.now_ms() < peer.asked_ms.saturating_add(DISCOVERY_PAUSE_MS);
        (fresh || key.is_none_or(|key| peer.has_key(key))).then_some(peer)
    }

    async fn ask(&self, domain: &Domain) -> Result<Discovery> {
        let remote = |detail: String| NodeError::Remote { domain: domain.to_string(), detail };
        let answer = self.transport.get(domain, "/.well-known/mesh").await.map_err(|error| remote(error.to_string()))?;
        if answer.status != 200 {
            return Err(remote(format!("HTTP status {}", answer.status)));
        }
        let discovery: Discovery = serde_json::from_slice(&answer.body).map_err(|error| remote(error.to_string()))?;
        let honest = discovery.domain == *domain && discovery.origin.domain() == domain;
        if !honest || !discovery.versions.contains(&1) {
            return Err(remote("it says that it is another domain, or does not speak version 1".into()));
        }
        Ok(discovery)
    }

    /// Stores what a domain said. Keys that were once known are pinned: other ones are refused until the domain proves the change.
    fn learn(&self, domain: &Domain, discovery: Discovery) -> Result<Arc<Peer>> {
        let no = self.number(domain)?;
        let known = self.get(domain);
        let now = self.clock.now_ms();
        if let Some(peer) = known.as_ref()
            && let Some(before) = &peer.row.discovery
            && [DomainKeyUse::Request, DomainKeyUse::Log].into_iter().any(|key_use| before.key(key_use) != discovery.key(key_use))
        {
            tracing::warn!(peer.domain = %domain, "peers.keys_changed");
            return Err(NodeError::refused(
                code::BAD_SIGNATURE,
                format!("{domain} shows other keys than before: its old keys must sign the change"),
            ));
        }
        let before = known.as_ref().and_then(|peer| peer.origin()).map_or(0, Origin::number);
        if discovery.origin.number() < before {
            return Err(NodeError::refused(
                code::LOG_FORKED,
                format!("{domain} shows log {} after log {before}", discovery.origin.number()),
            ));
        }
        if before > 0 && discovery.origin.number() > before {
            tracing::warn!(peer.domain = %domain, peer.log = %discovery.origin, "peers.new_log");
        }
        let challenged = known.is_some_and(|peer| peer.row.challenged);
        self.store(PeerRow { no: no.0, domain: domain.clone(), discovery: Some(discovery), challenged }, now)?;
        self.get(domain).ok_or(NodeError::NotFound("domain"))
    }

    /// The highest leaf of a log of which there is a reference here.
    pub(crate) fn last_leaf(&self, origin: OriginNo) -> Result<Option<u64>> {
        let range = KeyRange::between(Lid::new(origin, 0).key(), Lid::new(OriginNo(origin.0 + 1), 0).key());
        let last = self.kv.scan(Space::Reference, &range, Order::Backward, 1)?;
        last.first().map(|(key, _)| Ok(Lid(crate::tables::codec::key_u64(key, 0, "reference")?).index())).transpose()
    }
}
