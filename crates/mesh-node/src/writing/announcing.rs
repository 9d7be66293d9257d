//! Telling other domains where an account lives now.

use crate::accounts::Account;
use crate::error::{NodeError, Result};
use crate::places::Place;
use crate::queue;
use crate::records::Records;
use crate::tables::account::end_arriving;
use crate::tables::{COPY, KEYS, PeerNo, announcing, outbox_key};
use mesh_proto::address::Domain;
use mesh_store::{Batch, Space};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// After this no further domain is told in one go.
const TIME_MAX: Duration = Duration::from_secs(600);
/// How often those who did not answer are asked again: hourly for a day, and daily for a week. Later they learn of a move when they ask.
const AGAIN: Duration = Duration::from_secs(HOUR_MS / 1_000);
const HOUR_MS: u64 = 3_600_000;
const HOURLY_H: u64 = 24;
const GIVEN_UP_H: u64 = 7 * 24;

/// Whether a domain that is to be told since `noted_ms` has its turn now, in an hourly round.
fn is_due(noted_ms: u64, now_ms: u64) -> bool {
    let hours = now_ms.saturating_sub(noted_ms) / HOUR_MS;
    hours <= HOURLY_H || hours.is_multiple_of(24)
}

/// Whom an announcement is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To {
    /// The domains that are named.
    Named,
    /// Those too to which something goes that the account brought along.
    Concerned,
}

impl Records {
    /// Goes on with the announcements that the end of an earlier run interrupted, and with those that nobody heard.
    pub(crate) async fn go_on_announcing(self: Arc<Self>) {
        let mut to = To::Concerned;
        loop {
            if let Err(error) = self.announce_again(to).await {
                tracing::error!(error.message = %error, "moving.not_resumed");
            }
            tokio::time::sleep(AGAIN).await;
            to = To::Named;
        }
    }

    async fn announce_again(self: &Arc<Self>, to: To) -> Result<()> {
        let mut after = None;
        while let Some(lid) = announcing::next(&*self.kv, after)? {
            after = Some(lid);
            let (account, noted) = (self.accounts.by_lid(lid)?, announcing::domains(&*self.kv, lid)?);
            let Ok(place) = self.room.announcing.take(lid) else { continue };
            let now = self.clock.now_ms();
            let mut given_up = Batch::new();
            let late = noted.iter().filter(|(_, noted)| now >= **noted + GIVEN_UP_H * HOUR_MS);
            late.for_each(|(domain, _)| announcing::delete(&mut given_up, lid, domain));
            let due: BTreeSet<Domain> = noted.into_iter().filter(|(_, noted)| is_due(*noted, now)).map(|(domain, _)| domain).collect();
            if !due.is_empty() {
                Arc::clone(self).tell(account, (due, to), place).await;
            }
            self.kv.commit(given_up).await?;
        }
        Ok(())
    }

    /// Meets domains and tells them where an account lives now. Who does not answer is told later.
    pub(super) async fn tell(self: Arc<Self>, account: Arc<Account>, (domains, to): (BTreeSet<Domain>, To), place: Place) {
        let until = Instant::now() + TIME_MAX;
        // Those who were met by then are told.
        let _ = tokio::time::timeout_at(until, self.meet(domains.clone())).await;
        let announced = tokio::task::spawn_blocking(move || {
            let _place = place;
            self.announce(&account, (&domains, to), until)
        });
        if let Ok(Err(error)) = announced.await {
            tracing::warn!(error.message = %error, "moving.not_announced");
        }
    }

    /// Queues an account's key operations, and what it brought along, for domains that are known here.
    fn announce(&self, account: &Account, (domains, to): (&BTreeSet<Domain>, To), until: Instant) -> Result<()> {
        let mut ended = Batch::new();
        end_arriving(&mut ended, account.lid);
        self.kv.commit(ended).wait()?;
        for peer in self.peers.numbers() {
            if Instant::now() >= until {
                return Err(NodeError::SlowDown { retry_after_s: 60 });
            }
            let domain = self.peers.by_no(peer).map(|peer| peer.domain().clone());
            let named = domain.filter(|domain| domains.contains(domain));
            if (to == To::Concerned || named.is_some()) && self.announce_to(peer, account, named.is_some())? {
                self.bus.waiting_for(Some(peer));
            }
            if let Some(domain) = named {
                let mut told = Batch::new();
                announcing::delete(&mut told, account.lid, &domain);
                self.kv.commit(told).wait()?;
            }
        }
        Ok(())
    }

    /// The same for one domain, which is told in any case if it is named. Answers whether there was anything.
    fn announce_to(&self, peer: PeerNo, account: &Account, named: bool) -> Result<bool> {
        // What was said here before those who keep copies were met goes to them too.
        let is_mirror = account.log.view().mirrors().iter().any(|mirror| self.peers.get(mirror).is_some_and(|mirror| mirror.no() == peer));
        let mut batch = Batch::new();
        let mut next = Some(0);
        let mut told = named;
        while let Some(from) = next {
            let (more, some) = queue::redeliver(&mut batch, &*self.kv, (peer, account.lid), from)?;
            (next, told) = (more, told || some);
            if told {
                batch.put(Space::Late, outbox_key(peer, KEYS | account.lid.0), []);
                if is_mirror {
                    batch.put(Space::Late, outbox_key(peer, COPY | account.lid.0), []);
                }
                self.kv.commit(std::mem::take(&mut batch)).wait()?;
            }
        }
        Ok(told)
    }
}
