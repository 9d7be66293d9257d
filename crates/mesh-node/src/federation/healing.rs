//! Healing: what two homes have in common is compared, and what differs is mended. `spec/healing.md`.
//!
//! The objects' home asks ([`Healing::heal`]), the actors' home answers (`answers`) and is right in a dispute. Parts of the set are compared one after the
//! other, the next being read while one is on its way; what differs in a part is mended before the next is looked at. What is missing comes as an ordinary
//! delivery through the ordinary intake. A crash leaves a part mended or not; the next healing finds the rest.
//!
//! Each domain is healed once a day, and when something about it is suspicious ([`Healing::suspect`]), at most every ten minutes.

mod answers;
pub(crate) mod dropping;
mod exchange;
mod mending;
mod sets;

use crate::accounts::Accounts;
use crate::bus::Bus;
use crate::error::{NodeError, Result};
use crate::intake::Intake;
use crate::peers::{Peer, Peers};
use crate::tables::{OriginNo, PeerNo};
use answers::Answers;
use dropping::Counted;
use exchange::Exchange;
use futures_util::{StreamExt, stream};
use mesh_proto::api::{Fetch, Fetched, Reconcile, Reconciled, Settle, Settled, code};
use mesh_proto::envelope::RecordId;
use mesh_proto::limits::LEAF_INDEX_MAX;
use mesh_proto::log::Origin;
use mesh_proto::port::{Clock, Rng, Transport, random};
use mesh_store::{Kv, Space};
use sets::{Judge, Span};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Records of the part that is compared at once, as they are counted here.
const PART_ITEMS: usize = 1 << 18;
/// Parts under way at once: one is read while another is compared.
const PARTS_AT_ONCE: usize = 2;
/// How often a domain is healed, milliseconds; a tenth more or less, so that not all come at once.
const PERIOD_MS: u64 = 24 * 3_600_000;
/// How long after a healing a suspicion alone brings no other, milliseconds.
const SUSPICION_PAUSE_MS: u64 = 600_000;
/// How long after the start the first domain is healed, and how often it is looked whose turn it is.
const LOOK: Duration = Duration::from_secs(600);

/// Logs of other domains that are compared with one home in one healing, because of the accounts that moved there.
const CARRIED_MAX: usize = 256;

/// What a healing is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// To know in what the sets differ.
    Look,
    /// To mend it.
    Repair,
}

/// What a healing did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Records that were compared, as they are counted here.
    pub compared: usize,
    /// Records that only the actors' home counts.
    pub missing: usize,
    /// Records that only this domain counts.
    pub extra: usize,
    /// Records that were missing here, or were not what they should be, and came.
    pub fetched: usize,
    /// References that were taken back, because the actors' home does not know them.
    pub dropped: usize,
    /// Records that the actors' home has and that are refused here.
    pub refused: usize,
    /// Differences that stay: what is withdrawn here and not there.
    pub disputed: usize,
    /// Bytes of all questions and answers, before compression.
    pub bytes: usize,
}

impl Report {
    fn add(&mut self, other: Self) {
        self.compared += other.compared;
        self.missing += other.missing;
        self.extra += other.extra;
        self.fetched += other.fetched;
        self.dropped += other.dropped;
        self.refused += other.refused;
        self.disputed += other.disputed;
        self.bytes += other.bytes;
    }
}

/// The services that healing needs.
pub(crate) type Parts = (Arc<Accounts>, Arc<Peers>, Arc<Intake>, Arc<Bus>);

/// The service that heals.
pub struct Healing {
    kv: Arc<dyn Kv>,
    accounts: Arc<Accounts>,
    peers: Arc<Peers>,
    intake: Arc<Intake>,
    bus: Arc<Bus>,
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    answers: Answers,
    /// Domains that are being healed.
    under_way: Mutex<BTreeSet<PeerNo>>,
    suspects: Mutex<BTreeSet<PeerNo>>,
    suspicion: Notify,
    /// Held while counters are corrected.
    counting: Mutex<()>,
}

/// In what a part differs.
struct Differences {
    compared: usize,
    /// Ids that only the other one has.
    missing: Vec<RecordId>,
    /// Ids that only this one has.
    extra: Vec<RecordId>,
}

/// A healing under way.
struct Course {
    peer: Arc<Peer>,
    origin: OriginNo,
    exchange: Exchange,
    report: Mutex<Report>,
    touched: Mutex<BTreeSet<Counted>>,
}

impl Course {
    fn note(&self, change: impl FnOnce(&mut Report)) {
        change(&mut self.report.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Forgets that a domain is being healed, whatever comes.
struct UnderWay<'a>(&'a Healing, PeerNo);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.lock(&self.0.under_way).remove(&self.1);
    }
}

impl Healing {
    pub(crate) fn new(
        (accounts, peers, intake, bus): Parts,
        (log, outbox): (Arc<crate::log::Log>, Arc<crate::outbox::Outbox>),
        ports: crate::Ports,
    ) -> Self {
        let crate::Ports { kv, clock, rng, transport } = ports;
        let answers = Answers::new(Arc::clone(&kv), (Arc::clone(&accounts), log, outbox), Arc::clone(&clock));
        Self {
            kv,
            accounts,
            peers,
            intake,
            bus,
            transport,
            clock,
            rng,
            answers,
            under_way: Mutex::default(),
            suspects: Mutex::default(),
            suspicion: Notify::new(),
            counting: Mutex::default(),
        }
    }

    fn lock<'a, T>(&self, mutex: &'a Mutex<T>) -> MutexGuard<'a, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a message about the set of the peer that asks. Blocks.
    pub fn reconcile(&self, peer: &Peer, asked: &Reconcile) -> Result<Reconciled> {
        self.answers.reconcile(peer, asked)
    }

    /// Hands out deliveries of records that went to the peer that asks. Blocks.
    pub fn fetch(&self, peer: &Peer, asked: &Fetch) -> Result<Fetched> {
        self.answers.fetch(peer, asked)
    }

    /// Says what is the matter with records that the peer that asks counts and this domain does not. Blocks.
    pub fn settle(&self, peer: &Peer, asked: &Settle) -> Result<Settled> {
        self.answers.settle(peer, asked)
    }

    /// Something about a domain is wrong: it is healed soon.
    pub fn suspect(&self, peer: PeerNo) {
        self.lock(&self.suspects).insert(peer);
        self.suspicion.notify_one();
    }

    /// Heals whoever's turn it is, until aborted.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = self.suspicion.notified() => {}
            }
            let suspects = std::mem::take(&mut *self.lock(&self.suspects));
            for peer in self.peers.met() {
                let suspected = suspects.contains(&peer.no());
                let pause = if suspected { SUSPICION_PAUSE_MS } else { self.jittered(PERIOD_MS) };
                let healed = match self.healed_ms(peer.no()) {
                    Ok(healed) => healed,
                    Err(error) => {
                        tracing::error!(error.message = %error, "healing.unreadable");
                        continue;
                    }
                };
                if self.clock.now_ms().saturating_sub(healed) < pause {
                    if suspected {
                        // Its turn comes at a later look.
                        self.lock(&self.suspects).insert(peer.no());
                    }
                    continue;
                }
                if let Err(error) = self.heal(&peer, Aim::Repair).await {
                    tracing::info!(peer.domain = %peer.domain(), error.message = %error, "healing.failed");
                }
            }
        }
    }

    fn jittered(&self, period_ms: u64) -> u64 {
        let tenth = period_ms / 10;
        period_ms - tenth + u64::from_be_bytes(random(&*self.rng)) % (2 * tenth)
    }

    /// When a domain was last healed, milliseconds since the epoch; 0 if never.
    fn healed_ms(&self, peer: PeerNo) -> Result<u64> {
        let row = self.kv.get(Space::Meta, healed_key(peer).as_bytes())?;
        Ok(row.map_or(Ok(0), |row| crate::tables::codec::Reader::new(&row, "meta").u64())?)
    }

    /// Compares all that came from a domain with what it has, and mends what differs if that is the aim.
    pub async fn heal(self: &Arc<Self>, peer: &Peer, aim: Aim) -> Result<Report> {
        let peer = self.peers.discover(peer.domain(), None).await?;
        if !self.lock(&self.under_way).insert(peer.no()) {
            return Err(NodeError::SlowDown { retry_after_s: 60 });
        }
        let _under_way = UnderWay(self, peer.no());
        let mut whole = Report::default();
        let (this, asked) = (Arc::clone(self), Arc::clone(&peer));
        let logs = tokio::task::spawn_blocking(move || this.logs(&asked)).await.map_err(|_| NodeError::Stopping)??;
        for (origin, no) in logs {
            let carried = origin.domain() != peer.domain();
            let exchange = Exchange::new(Arc::clone(&self.transport), peer.domain().clone(), origin);
            let course = Course { peer: Arc::clone(&peer), origin: no, exchange, report: Mutex::default(), touched: Mutex::default() };
            match self.heal_log(&Arc::new(course), aim).await {
                // Nobody brought anything along from there.
                Err(NodeError::Refused { code: code::NOT_HOME, .. }) if carried => {}
                healed => whole.add(healed?),
            }
        }
        let (domain, Report { compared, fetched, dropped, refused, disputed, bytes, .. }) = (peer.domain(), whole);
        tracing::info!(peer.domain = %domain, compared, fetched, dropped, refused, disputed, bytes, "healing.done");
        Ok(whole)
    }

    /// The logs in which records lie for which a domain answers: its present one and those before it, and those of domains from which people moved there.
    fn logs(&self, peer: &Peer) -> Result<Vec<(Origin, OriginNo)>> {
        let mut logs = self.peers.logs_of(peer.domain());
        let mut carried = Vec::new();
        for former in self.accounts.former_homes(peer.domain())? {
            // Nothing is taken in of a log that forked.
            carried.extend(self.peers.logs_of(&former).into_iter().filter(|(_, no)| !self.peers.forks().contains(*no)));
        }
        if carried.len() > CARRIED_MAX {
            // Another time others get their turn.
            let first = usize::from_be_bytes(random(&*self.rng)) % carried.len();
            carried.rotate_left(first);
            carried.truncate(CARRIED_MAX);
        }
        logs.extend(carried);
        Ok(logs)
    }

    /// Below which leaf a log is compared. What lies beyond in a domain's present log was not delivered yet; all others come in any order.
    fn end(&self, course: &Course) -> Result<u64> {
        let present = course.peer.origin().and_then(|origin| self.peers.origin_known(origin));
        if present == Some(course.origin) { self.intake.watermark_of(course.origin) } else { Ok(LEAF_INDEX_MAX + 1) }
    }

    /// Heals what came from one log.
    async fn heal_log(self: &Arc<Self>, course: &Arc<Course>, aim: Aim) -> Result<Report> {
        let end = self.blocking(course, Self::end).await?;
        let (this, reading) = (Arc::clone(self), Arc::clone(course));
        let parts = stream::unfold(0, move |from| {
            let (this, course) = (Arc::clone(&this), Arc::clone(&reading));
            async move {
                if from >= end {
                    return None;
                }
                let read = this.blocking(&course, move |this, course| this.read((course.origin, from, end), course)).await;
                let next = read.as_ref().map_or(end, |(span, _)| span.2);
                Some((read, next))
            }
        });
        let comparing = Arc::clone(course);
        let compared = parts.map(move |read| {
            let course = Arc::clone(&comparing);
            async move {
                let (span, members) = read?;
                course.exchange.compare(span, members).await
            }
        });
        let mut compared = std::pin::pin!(compared.buffered(PARTS_AT_ONCE));
        while let Some(differences) = compared.next().await {
            let differences = differences?;
            course.note(|report| {
                report.compared += differences.compared;
                report.missing += differences.missing.len();
                report.extra += differences.extra.len();
            });
            if aim == Aim::Repair {
                self.mend(course, differences).await?;
            }
        }
        if aim == Aim::Repair {
            self.finish(course).await?;
        }
        Ok(Report { bytes: course.exchange.bytes(), ..*self.lock(&course.report) })
    }

    /// Reads a part of what is here, and up to where it goes.
    fn read(&self, span: Span, course: &Course) -> Result<(Span, Vec<sets::Member>)> {
        let read = self.kv.snapshot()?;
        let mut judge = Judge::new(&*read, &self.accounts, course.peer.domain());
        let part = sets::held(&mut judge, span, PART_ITEMS)?;
        Ok(((span.0, span.1, part.end), part.members))
    }

    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        course: &Arc<Course>,
        work: impl FnOnce(&Self, &Course) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (this, course) = (Arc::clone(self), Arc::clone(course));
        tokio::task::spawn_blocking(move || work(&this, &course)).await.map_err(|_| NodeError::Stopping)?
    }
}

fn healed_key(peer: PeerNo) -> String {
    format!("healed/{}", peer.0)
}
