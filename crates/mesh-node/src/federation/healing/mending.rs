//! Mending what differs: what is missing is fetched, what only this domain counts is asked about, and what was touched is counted anew.

use super::dropping::{self, Counted};
use super::exchange::{Rest, take};
use super::sets::Judge;
use super::{Course, Differences, Healing, healed_key};
use crate::error::{NodeError, Result};
use crate::tables::reference::{Reference, Standing};
use mesh_proto::api::{Verdict, code};
use mesh_proto::envelope::RecordId;
use mesh_proto::limits::BATCH_RECORDS_MAX;
use mesh_store::{Batch, Space};
use std::collections::BTreeSet;
use std::sync::Arc;

/// How often a delivery is asked for anew, because a newer checkpoint was shown meanwhile.
const FETCHES_MAX: usize = 3;

impl Healing {
    /// Mends what differs in a part: what is missing first, so that what takes the place of another one has taken it.
    pub(super) async fn mend(self: &Arc<Self>, course: &Arc<Course>, differences: Differences) -> Result<()> {
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
    pub(super) async fn finish(self: &Arc<Self>, course: &Arc<Course>) -> Result<()> {
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
