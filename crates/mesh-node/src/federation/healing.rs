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
mod sets;

use crate::accounts::Accounts;
use crate::bus::Bus;
use crate::error::{NodeError, Result};
use crate::intake::Intake;
use crate::peers::{Peer, Peers};
use crate::tables::reference::{Reference, Standing};
use crate::tables::{OriginNo, PeerNo};
use answers::Answers;
use dropping::Counted;
use exchange::{Exchange, Rest, take};
use futures_util::{StreamExt, stream};
use mesh_proto::api::{Fetch, Fetched, Reconcile, Reconciled, Settle, Settled, Verdict, code};
use mesh_proto::envelope::RecordId;
use mesh_proto::limits::BATCH_RECORDS_MAX;
use mesh_proto::port::{Clock, Rng, Transport, random};
use mesh_store::{Batch, Kv, Space};
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
/// How often a delivery is asked for anew, because a newer checkpoint was shown meanwhile.
const FETCHES_MAX: usize = 3;

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
        // It may have had other logs before its present one.
        for (origin, no) in self.peers.logs_of(peer.domain()) {
            let exchange = Exchange::new(Arc::clone(&self.transport), peer.domain().clone(), origin);
            let course = Course { peer: Arc::clone(&peer), origin: no, exchange, report: Mutex::default(), touched: Mutex::default() };
            whole.add(self.heal_log(&Arc::new(course), aim).await?);
        }
        let (domain, Report { compared, fetched, dropped, refused, disputed, bytes, .. }) = (peer.domain(), whole);
        tracing::info!(peer.domain = %domain, compared, fetched, dropped, refused, disputed, bytes, "healing.done");
        Ok(whole)
    }

    /// Heals what came from one log.
    async fn heal_log(self: &Arc<Self>, course: &Arc<Course>, aim: Aim) -> Result<Report> {
        // What lies beyond was not delivered yet.
        let end = self.blocking(course, |this, course| this.intake.watermark_of(course.origin)).await?;
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

    /// Mends what differs in a part: what is missing first, so that what takes the place of another one has taken it.
    async fn mend(self: &Arc<Self>, course: &Arc<Course>, differences: Differences) -> Result<()> {
        let missing = differences.missing;
        let (fetch, behind) = self.blocking(course, move |this, course| this.sort_missing(course, &missing)).await?;
        self.fetch_all(course, fetch).await?;
        for held in differences.extra.chunks(BATCH_RECORDS_MAX) {
            self.settle_extra(course, held.to_vec()).await?;
        }
        // What stands there and was overtaken here by what is gone now: it comes again.
        let behind = self.blocking(course, move |this, course| this.forget(course, &behind)).await?;
        self.fetch_all(course, behind).await
    }

    /// Which of the missing records are to be fetched, and which are here but were overtaken. What was withdrawn here stays so.
    fn sort_missing(&self, course: &Course, missing: &[RecordId]) -> Result<(Vec<RecordId>, Vec<RecordId>)> {
        let (mut fetch, mut behind) = (Vec::new(), Vec::new());
        for id in missing {
            match Reference::find(&*self.kv, id)? {
                None => fetch.push(*id),
                Some((lid, known)) if known.standing == Standing::Superseded && lid.origin() == course.origin => behind.push(*id),
                Some(_) => {
                    tracing::warn!(peer.domain = %course.peer.domain(), record.id = %id, "healing.disputed");
                    course.note(|report| report.disputed += 1);
                }
            }
        }
        Ok((fetch, behind))
    }

    /// Fetches records and takes them in. Those that are refused because of what is missing are tried once more, when all others are here.
    async fn fetch_all(self: &Arc<Self>, course: &Arc<Course>, ids: Vec<RecordId>) -> Result<()> {
        let mut early = Vec::new();
        for ids in ids.chunks(BATCH_RECORDS_MAX) {
            let refused = self.fetch_some(course, ids.to_vec()).await?;
            self.refuse(course, refused.iter().filter(|(_, code)| code != code::OBJECT).map(|(id, _)| *id).collect()).await?;
            early.extend(refused.into_iter().filter(|(_, code)| code == code::OBJECT).map(|(id, _)| id));
        }
        for ids in early.chunks(BATCH_RECORDS_MAX) {
            let refused = self.fetch_some(course, ids.to_vec()).await?;
            self.refuse(course, refused.into_iter().map(|(id, _)| id).collect()).await?;
        }
        Ok(())
    }

    /// Fetches at most a hundred records. Answers those that are refused here, with the code.
    async fn fetch_some(self: &Arc<Self>, course: &Arc<Course>, ids: Vec<RecordId>) -> Result<Vec<(RecordId, String)>> {
        let mut left: BTreeSet<RecordId> = ids.into_iter().collect();
        let mut refused = Vec::new();
        let mut stale = 0;
        while !left.is_empty() {
            let pinned = self.blocking(course, |this, course| this.intake.pinned(&course.peer)).await?;
            let Some(delivery) = course.exchange.fetch(left.iter().copied().collect(), pinned).await? else { break };
            let delivered = delivery.items.iter().map(|item| item.envelope.id()).collect::<Vec<_>>();
            let results = match take(&self.intake, course, delivery).await {
                Ok(results) => results,
                // It delivered something itself meanwhile.
                Err(NodeError::CheckpointWanted(_)) if stale < FETCHES_MAX => {
                    stale += 1;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if delivered.iter().filter(|id| left.remove(id)).count() == 0 {
                return Err(course.exchange.remote("it delivers other records than those that it was asked for"));
            }
            let rest = Rest::of(&delivered, results);
            course.note(|report| report.fetched += rest.taken.len());
            self.blocking(course, move |this, course| this.touch(course, &rest.taken)).await?;
            refused.extend(rest.refused);
        }
        Ok(refused)
    }

    /// Remembers which counters records move.
    fn touch(&self, course: &Course, ids: &[RecordId]) -> Result<()> {
        for id in ids {
            if let Some((_, reference)) = Reference::find(&*self.kv, id)? {
                let counted = dropping::counted(&*self.kv, &reference)?;
                self.lock(&course.touched).extend(counted);
            }
        }
        Ok(())
    }

    /// Tells the other one what is refused here for ever, so that it is not compared again.
    async fn refuse(&self, course: &Arc<Course>, refused: Vec<RecordId>) -> Result<()> {
        if refused.is_empty() {
            return Ok(());
        }
        course.note(|report| report.refused += refused.len());
        course.exchange.settle(Vec::new(), refused).await.map(drop)
    }

    /// Asks what is the matter with records that only this domain counts, and does as the actors' home says.
    async fn settle_extra(self: &Arc<Self>, course: &Arc<Course>, held: Vec<RecordId>) -> Result<()> {
        let held = self.blocking(course, move |this, course| this.still_held(course, held)).await?;
        if held.is_empty() {
            return Ok(());
        }
        let verdicts = course.exchange.settle(held.clone(), Vec::new()).await?;
        let retracts = verdicts.iter().filter_map(|verdict| match verdict {
            Verdict::Withdrawn { retract } => *retract,
            _ => None,
        });
        let retracts: Vec<RecordId> = retracts.collect();
        self.fetch_all(course, retracts).await?;
        let gone: Vec<RecordId> = held
            .into_iter()
            .zip(verdicts)
            .filter(|(_, verdict)| matches!(verdict, Verdict::Withdrawn { .. } | Verdict::Superseded | Verdict::Nothing))
            .map(|(id, _)| id)
            .collect();
        self.blocking(course, move |this, course| this.drop_extra(course, gone)).await
    }

    /// Those that count here still: some were overtaken or withdrawn by what was just fetched.
    fn still_held(&self, course: &Course, ids: Vec<RecordId>) -> Result<Vec<RecordId>> {
        let mut judge = Judge::new(&*self.kv, &self.accounts, course.peer.domain());
        let mut held = Vec::new();
        for id in ids {
            if let Some((lid, reference)) = Reference::find(&*self.kv, &id)?
                && lid.origin() == course.origin
                && judge.stands(&reference)?
            {
                held.push(id);
            }
        }
        Ok(held)
    }

    fn drop_extra(&self, course: &Course, gone: Vec<RecordId>) -> Result<()> {
        self.intake.alone(course.peer.no(), || {
            let gone = self.still_held(course, gone)?;
            let before = self.counted(&gone)?;
            let dropped = dropping::drop_all(&*self.kv, course.peer.no(), &gone, |news| self.bus.publish(news))?;
            for (lid, reference) in &dropped {
                let (kind, id) = (reference.kind, reference.id);
                tracing::warn!(peer.domain = %course.peer.domain(), leaf.index = lid.index(), record.id = %id, record.kind = %kind, "healing.dropped");
            }
            self.lock(&course.touched).extend(before);
            course.note(|report| {
                report.dropped += dropped.len();
                report.disputed += gone.len() - dropped.len();
            });
            Ok(())
        })
    }

    fn counted(&self, ids: &[RecordId]) -> Result<BTreeSet<Counted>> {
        let mut counted = BTreeSet::new();
        for id in ids {
            if let Some((_, reference)) = Reference::find(&*self.kv, id)? {
                counted.extend(dropping::counted(&*self.kv, &reference)?);
            }
        }
        Ok(counted)
    }

    /// Takes back what was overtaken here and stands at its home; what overtook it counts still, if it is there still.
    fn forget(&self, course: &Course, ids: &[RecordId]) -> Result<Vec<RecordId>> {
        self.intake.alone(course.peer.no(), || {
            let dropped = dropping::drop_all(&*self.kv, course.peer.no(), ids, |news| self.bus.publish(news))?;
            Ok(dropped.into_iter().map(|(_, reference)| reference.id).collect())
        })
    }

    /// Corrects the counters of what was touched, and notes when this was.
    async fn finish(self: &Arc<Self>, course: &Arc<Course>) -> Result<()> {
        self.blocking(course, |this, course| {
            let touched = std::mem::take(&mut *this.lock(&course.touched));
            let counting = this.lock(&this.counting);
            dropping::recount(&*this.kv, &this.peers, &touched)?;
            drop(counting);
            let mut batch = Batch::new();
            batch.put(Space::Meta, healed_key(course.peer.no()), this.clock.now_ms().to_be_bytes());
            this.kv.commit(batch).wait()?;
            Ok(())
        })
        .await
    }
}

fn healed_key(peer: PeerNo) -> String {
    format!("healed/{}", peer.0)
}
