//! Catching up: this domain asks others for what concerns it, from where it stopped.
//!
//! Others deliver by themselves; this is for what they gave up delivering, and for the time after this domain was away: they are all asked at the start, some at
//! a time, and again every hour. A turn has a bound, so that nobody who always has more keeps the others waiting: it goes on in the next round. Pages are stored one after the other, each while the next one is on its way.

use crate::comparing::Comparing;
use crate::error::{NodeError, Result};
use crate::intake::Intake;
use crate::packing::checkpoint_size;
use crate::peers::{Again, Peer, Peers};
use crate::records::Records;
use futures_util::StreamExt;
use mesh_proto::address::Domain;
use mesh_proto::api::{Delivery, KeysBatch, KeysBatchAnswer, KeysPush, Pull, Pulled};
use mesh_proto::limits::KEYS_BATCH_MAX;
use mesh_proto::log::Origin;
use mesh_proto::port::Transport;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Domains asked at once.
const AT_ONCE: usize = 16;
/// How often a domain is asked anew at once.
const AGAIN_MAX: usize = 3;
/// How long after all were asked they are asked again.
const PERIOD: Duration = Duration::from_secs(3_600);
/// Pages that one domain is asked for in one turn.
const PAGES_MAX: usize = 250;
/// Time after which no further page is asked for in one turn.
const TURN: Duration = Duration::from_secs(300);
/// Turns that a domain gets which always has more, before it waits for the next period.
const TURNS_MAX: usize = 8;

/// The service that catches up.
pub struct CatchUp {
    peers: Arc<Peers>,
    intake: Arc<Intake>,
    records: Arc<Records>,
    comparing: Arc<Comparing>,
    transport: Arc<dyn Transport>,
    /// Where to go on in the logs of domains whose turn ended before they had told all.
    unfinished: Mutex<BTreeMap<Origin, u64>>,
}

impl CatchUp {
    pub(crate) fn new(
        peers: Arc<Peers>,
        (intake, records, comparing): (Arc<Intake>, Arc<Records>, Arc<Comparing>),
        transport: Arc<dyn Transport>,
    ) -> Arc<Self> {
        Arc::new(Self { peers, intake, records, comparing, transport, unfinished: Mutex::default() })
    }

    /// Asks everyone, again and again, until aborted.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            let met = self.peers.met();
            let mut due = met.clone();
            for _ in 0..TURNS_MAX {
                let turns = futures_util::stream::iter(due).map(|peer| self.turn(peer)).buffer_unordered(AT_ONCE);
                due = turns.filter_map(std::future::ready).collect().await;
                if due.is_empty() {
                    break;
                }
            }
            let compared = futures_util::stream::iter(met).for_each_concurrent(AT_ONCE, |peer| {
                let this = Arc::clone(&self);
                async move { this.compare(&peer).await }
            });
            compared.await;
            tokio::time::sleep(PERIOD).await;
        }
    }

    /// One turn of a domain. Answers it if it had records and has more.
    async fn turn(self: &Arc<Self>, peer: Arc<Peer>) -> Option<Arc<Peer>> {
        if peer.origin().is_some_and(|origin| self.peers.is_forked(origin)) {
            return None;
        }
        let mut outcome = self.pull(&peer).await;
        for _ in 0..AGAIN_MAX {
            // It delivered something itself meanwhile, under a newer checkpoint.
            if matches!(outcome, Err(NodeError::CheckpointWanted(_))) {
                outcome = self.pull(&peer).await;
            }
        }
        match outcome {
            Ok(records) if records > 0 && peer.origin().is_some_and(|origin| self.unfinished().contains_key(origin)) => Some(peer),
            Ok(_) => None,
            Err(error) => {
                tracing::info!(peer.domain = %peer.domain(), error.message = %error, "catchup.failed");
                self.ask_mirrors(peer.domain()).await;
                None
            }
        }
    }

    fn unfinished(&self) -> MutexGuard<'_, BTreeMap<Origin, u64>> {
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Compares what a domain keeps of others with what is kept here.
    async fn compare(&self, peer: &Arc<Peer>) {
        if let Err(error) = self.comparing.compare(peer).await {
            tracing::debug!(peer.domain = %peer.domain(), error.message = %error, "compare.failed");
        }
    }

    /// Takes in all that a domain has for this one, as far as one turn goes. Answers the number of records.
    pub async fn pull(self: &Arc<Self>, peer: &Peer) -> Result<usize> {
        let peer = self.peers.discover_again(peer.domain(), Again::AfterPause).await?;
        let origin = peer.origin().cloned().ok_or(NodeError::NotFound("log"))?;
        self.peers.check_fork(&origin)?;
        let (mut records, mut pages, began) = (0, 0, tokio::time::Instant::now());
        let (watermark, mut checkpoint) = self.place(&peer).await?;
        let from = self.unfinished().remove(&origin).map_or(watermark, |unfinished| unfinished.max(watermark));
        let (mut asked_ms, mut page) = self.page(&peer, (from, watermark), checkpoint).await?;
        loop {
            pages += 1;
            let (next, more) = (page.next, page.more && pages < PAGES_MAX && began.elapsed() < TURN);
            let taken = page.delivery.as_ref().map_or(0, |delivery| delivery.items.len());
            // The next page must grow from what this one shows, which is not stored yet.
            checkpoint = page.delivery.as_ref().and_then(|delivery| checkpoint_size(&delivery.checkpoint)).or(checkpoint);
            let watermark = self.watermark(&peer).await?;
            let following = async { if more { self.page(&peer, (next, watermark), checkpoint).await.map(Some) } else { Ok(None) } };
            let (stored, following) = tokio::join!(self.take(&peer, (page.delivery.take(), asked_ms)), following);
            stored?;
            records += taken;
            match following? {
                Some((asked, following)) if following.next > next => (asked_ms, page) = (asked, following),
                Some(_) => return Err(remote(&peer, "it says that there is more, and sends nothing".into())),
                None => {
                    if page.more {
                        self.unfinished().insert(origin, next);
                        tracing::info!(peer.domain = %peer.domain(), records, pages, "catchup.goes_on_later");
                    }
                    break;
                }
            }
        }
        if records > 0 && !page.more {
            // It need not deliver what we have now. Whoever has more is told when we go on.
            let (watermark, checkpoint) = self.place(&peer).await?;
            self.page(&peer, (watermark, watermark), checkpoint).await?;
            tracing::info!(peer.domain = %peer.domain(), records, "catchup.done");
        }
        Ok(records)
    }

    /// A domain does not answer: whoever is followed here and lived there may have moved, and those who keep copies know where to.
    pub async fn ask_mirrors(self: &Arc<Self>, home: &Domain) {
        let (this, gone) = (Arc::clone(self), home.clone());
        let followed = tokio::task::spawn_blocking(move || this.records.followed_at(&gone)).await;
        for account in followed.ok().and_then(Result::ok).unwrap_or_default() {
            for mirror in account.log.view().mirrors().iter().filter(|mirror| *mirror != home && *mirror != self.peers.own_domain()) {
                match self.records.refresh(&account.id(), mirror).await {
                    Ok(known) if known.home() != home => break,
                    outcome => {
                        tracing::debug!(peer.domain = %mirror, account.id = %account.id(), found = outcome.is_ok(), "catchup.mirror_asked")
                    }
                }
            }
        }
    }

    /// The watermark, and the size of the pinned checkpoint.
    async fn place(self: &Arc<Self>, peer: &Arc<Peer>) -> Result<(u64, Option<u64>)> {
        let (this, peer) = (Arc::clone(self), Arc::clone(peer));
        let place = tokio::task::spawn_blocking(move || Ok((this.intake.watermark(&peer)?, this.intake.pinned(&peer)?)));
        place.await.map_err(|_| NodeError::Stopping)?
    }

    /// The watermark alone: the checkpoint's signature need not be verified for each page.
    async fn watermark(self: &Arc<Self>, peer: &Arc<Peer>) -> Result<u64> {
        let (this, peer) = (Arc::clone(self), Arc::clone(peer));
        tokio::task::spawn_blocking(move || this.intake.watermark(&peer)).await.map_err(|_| NodeError::Stopping)?
    }

    /// The next page, with when it was asked for.
    async fn page(&self, peer: &Peer, (from, watermark): (u64, u64), checkpoint: Option<u64>) -> Result<(u64, Pulled)> {
        let origin = peer.origin().cloned().ok_or(NodeError::NotFound("log"))?;
        let asked_ms = self.intake.clock.now_ms();
        Ok((asked_ms, self.post(peer, "/mesh/v1/deliveries:pull", &Pull { origin, from, watermark, checkpoint }).await?))
    }

    /// Takes in a page. Key operations that it needs and lacks are asked for at its home.
    async fn take(self: &Arc<Self>, peer: &Arc<Peer>, (delivery, asked_ms): (Option<Delivery>, u64)) -> Result<()> {
        let Some(delivery) = delivery else { return Ok(()) };
        let mut delivery = Arc::new(delivery);
        for _ in 0..2 {
            let (this, sender, taken) = (Arc::clone(self), Arc::clone(peer), Arc::clone(&delivery));
            let stored = tokio::task::spawn_blocking(move || this.intake.take(&sender, &taken, Some(asked_ms)).map(drop));
            match stored.await.map_err(|_| NodeError::Stopping)? {
                Err(NodeError::KeysWanted(wanted)) => {
                    let accounts = wanted.into_iter().map(|known| known.account).collect::<Vec<_>>();
                    let mut keys = Vec::new();
                    for accounts in accounts.chunks(KEYS_BATCH_MAX) {
                        let batch = KeysBatch { accounts: accounts.to_vec() };
                        let answer: KeysBatchAnswer = self.post(peer, "/mesh/v1/keys:batch", &batch).await?;
                        keys.extend(answer.accounts.into_iter().map(|view| KeysPush { account: view.account, ops: view.ops }));
                    }
                    delivery = Arc::new(Delivery { keys, ..Delivery::clone(&delivery) });
                }
                outcome => return outcome,
            }
        }
        Err(remote(peer, "it does not show the key logs of those whose records it has".into()))
    }

    async fn post<T: serde::de::DeserializeOwned>(&self, peer: &Peer, path: &str, body: &impl serde::Serialize) -> Result<T> {
        let body = serde_json::to_vec(body).expect("API types have only plain fields");
        let answer = self.transport.post(peer.domain(), path, body).await.map_err(|error| remote(peer, error.to_string()))?;
        match answer.status {
            200 => serde_json::from_slice(&answer.body).map_err(|error| remote(peer, format!("its answer is malformed: {error}"))),
            429 | 503 => Err(NodeError::SlowDown { retry_after_s: answer.retry_after_s.unwrap_or(10) }),
            status => Err(remote(peer, format!("HTTP status {status}"))),
        }
    }
}

fn remote(peer: &Peer, detail: String) -> NodeError {
    NodeError::Remote { domain: peer.domain().to_string(), detail }
}
