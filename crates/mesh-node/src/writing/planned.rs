//! Posts that wait for their time: signed by their author ahead of it, and private until then.
//!
//! A planned post claims the time at which it is to be published, so that no domain takes it before: its home cannot publish it early. When that time
//! comes it is submitted like any other record, with all the checks of that moment, and its row is removed once it is logged. A crash in between leaves the row,
//! and what is submitted twice is one record. What is refused keeps its row with the reason, until its author removes it.
//!
//! One lock, `turn`, is held while anything is planned, cancelled or published: what is cancelled is not on its way into the log.

use crate::Ports;
use crate::accounts::{Account, Accounts};
use crate::error::{NodeError, Result};
use crate::records::{Records, refused_record};
use crate::tables::planned::{self, Place, Planned};
use mesh_proto::api::{NotPublished, Scheduled, ScheduledList, code};
use mesh_proto::envelope::{Envelope, RecordId, id_of_pae};
use mesh_proto::keylog::Status;
use mesh_proto::limits::{SCHEDULED_AHEAD_MS_MAX, SCHEDULED_MAX};
use mesh_proto::port::Clock;
use mesh_proto::record::{Content, Record};
use mesh_store::{Batch, Kv};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Notify};

/// Posts that are published before the rows are read again.
const AT_ONCE: usize = 64;
/// Longest time between two looks: the clock may be set meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// How long what failed for a reason of ours waits.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// The service of planned posts.
pub struct Plans {
    kv: Arc<dyn Kv>,
    accounts: Arc<Accounts>,
    records: Arc<Records>,
    clock: Arc<dyn Clock>,
    turn: Mutex<()>,
    changed: Notify,
}

impl Plans {
    pub(crate) fn new(ports: &Ports, accounts: Arc<Accounts>, records: Arc<Records>) -> Self {
        let (kv, clock) = (Arc::clone(&ports.kv), Arc::clone(&ports.clock));
        Self { kv, accounts, records, clock, turn: Mutex::default(), changed: Notify::new() }
    }

    /// Takes a post of `account` that is to be published at the time that it claims. Answers whether that is new, once it is durable.
    pub async fn plan(&self, account: &Account, envelope: Envelope) -> Result<(bool, Scheduled)> {
        let record = Record::open(&envelope).map_err(|error| refused_record(&error))?;
        if record.head.actor != account.id() {
            return Err(NodeError::refused(code::FORBIDDEN, "only its author plans a post"));
        }
        if !matches!(&record.content, Content::Post(post) if post.revises.is_none()) {
            return Err(NodeError::refused(code::MALFORMED, "only new posts are published later"));
        }
        let pae = envelope.pae();
        self.records.check_signed(&record, account, (&envelope, &pae))?;
        let id = id_of_pae(&pae);
        let _turn = self.turn.lock().await;
        let (at, place) = (record.head.at, Place::new(account.lid, &id));
        if let Some(known) = planned::get(&*self.kv, place)? {
            return Ok((false, shown(id, known)));
        }
        self.check_time(&record)?;
        if planned::of(&*self.kv, account.lid)?.len() >= SCHEDULED_MAX {
            return Err(NodeError::refused(code::TOO_LARGE, format!("an account plans at most {SCHEDULED_MAX} posts: cancel one first")));
        }
        let post = Planned { at, envelope, refused: None };
        let mut batch = Batch::new();
        planned::put(&mut batch, place, &post);
        self.commit(batch).await?;
        // The account may have been closed, or have left, while this was on its way.
        if self.is_over(&*self.accounts.expect(&account.id())?) {
            self.remove(place, at).await?;
            return Err(NodeError::refused(code::ACCOUNT, "the account was closed or left a moment ago"));
        }
        self.changed.notify_one();
        Ok((true, shown(id, post)))
    }

    fn check_time(&self, record: &Record) -> Result<()> {
        let now_ms = self.clock.now_ms();
        if record.head.at <= now_ms {
            return Err(NodeError::refused(code::MALFORMED, "the time for which it is planned has passed: publish it now"));
        }
        if record.head.at - now_ms > SCHEDULED_AHEAD_MS_MAX {
            let days = SCHEDULED_AHEAD_MS_MAX / (24 * 3_600_000);
            return Err(NodeError::refused(code::TOO_LARGE, format!("a post is planned at most {days} days ahead")));
        }
        Ok(())
    }

    /// What an account planned and is not published, soonest first.
    pub fn list(&self, account: &Account) -> Result<ScheduledList> {
        let mut scheduled: Vec<Scheduled> =
            planned::of(&*self.kv, account.lid)?.into_iter().map(|(place, post)| shown(RecordId::from_hash(place.id), post)).collect();
        scheduled.sort_by_key(|post| post.at);
        Ok(ScheduledList { scheduled })
    }

    /// Forgets a planned post.
    pub async fn cancel(&self, account: &Account, id: &RecordId) -> Result<Scheduled> {
        let _turn = self.turn.lock().await;
        let place = Place::new(account.lid, id);
        let Some(post) = planned::get(&*self.kv, place)? else {
            return Err(match self.records.is_known(id)? {
                true => NodeError::refused(code::GONE, "it was published already: withdraw it"),
                false => NodeError::NotFound("planned post"),
            });
        };
        self.remove(place, post.at).await?;
        Ok(shown(*id, post))
    }

    /// Publishes what is due, for ever.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            let wait = self.publish_due().await.unwrap_or_else(|error| {
                tracing::warn!(error.message = %error, "planned.failed");
                RETRY_AFTER
            });
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.changed.notified() => {}
            }
        }
    }

    /// Publishes what is due now. Answers when to look again.
    pub async fn publish_due(&self) -> Result<Duration> {
        loop {
            let first = planned::first(&*self.kv, AT_ONCE)?;
            let now_ms = self.clock.now_ms();
            let due = first.iter().take_while(|(at, _)| *at <= now_ms).count();
            for (at, place) in first.iter().take(due) {
                if let Err(error) = self.publish(*at, *place).await {
                    // What stopped one may stop all: the store is full, or the server stops.
                    tracing::warn!(error.message = %error, "planned.waits");
                    return Ok(RETRY_AFTER);
                }
            }
            if due < AT_ONCE {
                let next = first.get(due).map(|(at, _)| Duration::from_millis(at.saturating_sub(now_ms)));
                return Ok(next.unwrap_or(LOOK_EVERY).min(LOOK_EVERY));
            }
        }
    }

    /// Publishes one post, or notes why it cannot be.
    async fn publish(&self, at: u64, place: Place) -> Result<()> {
        let _turn = self.turn.lock().await;
        let Some(post) = planned::get(&*self.kv, place)?.filter(|post| post.refused.is_none()) else {
            return self.remove(place, at).await;
        };
        let (code, detail) = match self.records.submit(post.envelope.clone()).await {
            Ok(_) => return self.remove(place, at).await,
            // That is for our operator to mend, not for the author.
            Err(error) if error.code() == code::UNAVAILABLE => return Err(error),
            Err(NodeError::Refused { code, detail }) => (code, detail),
            Err(error @ NodeError::NotFound(_)) => (error.code(), error.to_string()),
            Err(error) => return Err(error),
        };
        let account = self.accounts.by_lid(place.account)?;
        tracing::info!(account.id = %account.id(), error.code = code, "planned.refused");
        if self.is_over(&account) {
            return self.remove(place, at).await;
        }
        let mut batch = Batch::new();
        planned::put(&mut batch, place, &Planned { refused: Some(NotPublished { code: code.to_owned(), detail }), ..post });
        self.commit(batch).await
    }

    /// Whether nothing of an account will ever be published here again.
    fn is_over(&self, account: &Account) -> bool {
        account.log.view().status() == Status::Closed || !self.accounts.lives_here(account)
    }

    async fn remove(&self, place: Place, at: u64) -> Result<()> {
        let mut batch = Batch::new();
        planned::remove(&mut batch, place, at);
        self.commit(batch).await
    }

    async fn commit(&self, batch: Batch) -> Result<()> {
        let kv = Arc::clone(&self.kv);
        let committed = tokio::task::spawn_blocking(move || kv.commit(batch).wait().map(drop));
        Ok(committed.await.map_err(|_| NodeError::Stopping)??)
    }
}

fn shown(id: RecordId, post: Planned) -> Scheduled {
    Scheduled { id, at: post.at, envelope: post.envelope, refused: post.refused }
}

#[cfg(test)]
mod tests;
