//! Back-dating: a leaf that says it is older than it can be.
//!
//! Two rules, neither of which an honest home can break however late its deliveries come. Within one log `received` never decreases. And a leaf beyond the size that the
//! log had when we asked it was logged after we asked: the time of asking counts, never that of a delivery, which may have waited for hours. Whoever answers a
//! request that we signed has a clock that agrees with ours, as signatures live for a minute; what is tolerated beyond that is generous.

use crate::error::{NodeError, Result};
use crate::tables::codec::{Reader, put_time, put_varint};
use crate::tables::reference::Reference;
use crate::tables::{Lid, OriginNo};
use mesh_proto::api::code;
use mesh_proto::limits::CLOCK_AHEAD_MS_MAX;
use mesh_store::{Batch, KeyRange, Order, Read, Space, StoreError};

/// Sightings of one log that are kept: those of more than a day, one an hour.
const SIGHTINGS_MAX: usize = 32;

/// A leaf's place and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dated {
    pub(crate) index: u64,
    pub(crate) received: u64,
}

/// What is known of a log's times.
#[derive(Debug, Default)]
pub(crate) struct Dates {
    /// The highest leaf that was seen.
    highest: Option<Dated>,
    /// How many leaves the log had, and when we asked; the oldest first.
    sightings: Vec<(u64, u64)>,
}

impl Dates {
    /// Reads what is known; `last_leaf` is the highest of which there is a reference.
    pub(crate) fn read(read: &dyn Read, origin: OriginNo, last_leaf: Option<u64>) -> Result<Self> {
        let highest = match last_leaf {
            Some(index) => Reference::get(read, Lid::new(origin, index))?.map(|known| Dated { index, received: known.received }),
            None => None,
        };
        let row = read.get(Space::Sighting, &origin.0.to_be_bytes())?;
        Ok(Self { highest, sightings: row.map_or_else(|| Ok(Vec::new()), |row| decode(&row))? })
    }

    /// Refuses a leaf that is dated before what lies before it, or before we saw the log without it. `before`: the leaf before it in the delivery.
    pub(crate) fn check(&mut self, read: &dyn Read, (origin, leaf): (OriginNo, Dated), before: Option<Dated>) -> Result<()> {
        let seen = self.sightings.iter().rev().find(|(size, _)| *size <= leaf.index);
        if let Some((size, at)) = seen
            && leaf.received.saturating_add(CLOCK_AHEAD_MS_MAX) < *at
        {
            let words = format!("leaf {} says {}, but at {at} the log had {size} leaves, and not this one", leaf.index, leaf.received);
            return Err(back_dated(words));
        }
        let (below, above) = match self.highest {
            Some(highest) if highest.index > leaf.index => neighbours(read, origin, leaf.index)?,
            highest => (highest.filter(|highest| highest.index < leaf.index), None),
        };
        if let Some(below) = below.into_iter().chain(before).find(|below| below.received > leaf.received) {
            return Err(back_dated(format!(
                "leaf {} says {}, but leaf {} says {}",
                leaf.index, leaf.received, below.index, below.received
            )));
        }
        if let Some(above) = above.filter(|above| above.received < leaf.received) {
            return Err(back_dated(format!(
                "leaf {} says {}, but leaf {} says {}",
                above.index, above.received, leaf.index, leaf.received
            )));
        }
        if self.highest.is_none_or(|highest| highest.index < leaf.index) {
            self.highest = Some(leaf);
        }
        Ok(())
    }

    /// Notes how many leaves the log had when it was asked at `asked_ms`.
    pub(crate) fn note(&mut self, batch: &mut Batch, origin: OriginNo, (size, asked_ms): (u64, u64)) {
        // What a clock that went back says is not worth keeping.
        if self.sightings.last().is_some_and(|(known, at)| *known > size || *at > asked_ms) {
            return;
        }
        self.sightings.retain(|(known, _)| *known != size);
        self.sightings.push((size, asked_ms));
        let surplus = self.sightings.len().saturating_sub(SIGHTINGS_MAX);
        drop(self.sightings.drain(..surplus));
        let mut row = Vec::with_capacity(self.sightings.len() * 12);
        for (size, at) in &self.sightings {
            put_varint(&mut row, *size);
            put_time(&mut row, *at);
        }
        batch.put(Space::Sighting, origin.0.to_be_bytes(), row);
    }
}

fn decode(row: &[u8]) -> std::result::Result<Vec<(u64, u64)>, StoreError> {
    let mut reader = Reader::new(row, "sighting");
    let mut sightings = Vec::new();
    while !reader.is_empty() {
        sightings.push((reader.varint()?, reader.time()?));
    }
    Ok(sightings)
}

/// The nearest leaves on both sides of which there are references.
fn neighbours(read: &dyn Read, origin: OriginNo, index: u64) -> Result<(Option<Dated>, Option<Dated>)> {
    let at = |index| Lid::new(origin, index).key();
    let below = read.scan(Space::Reference, &KeyRange::between(at(0), at(index)), Order::Backward, 1)?;
    let beyond = Lid::new(OriginNo(origin.0 + 1), 0).key();
    let above = read.scan(Space::Reference, &KeyRange::between(Lid(Lid::new(origin, index).0 + 1).key(), beyond), Order::Forward, 1)?;
    let dated = |rows: Vec<(mesh_store::Key, mesh_store::Value)>| match rows.first() {
        Some((key, row)) => {
            let index = Lid(crate::tables::codec::key_u64(key, 0, "reference")?).index();
            Ok::<_, NodeError>(Some(Dated { index, received: Reference::decode(row)?.received }))
        }
        None => Ok(None),
    };
    Ok((dated(below)?, dated(above)?))
}

fn back_dated(detail: String) -> NodeError {
    NodeError::refused(code::BACK_DATED, format!("{detail}: it was back-dated, or its home's clock was set back"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_store::{Kv, MemoryStore};

    const ORIGIN: OriginNo = OriginNo(3);
    const HOUR_MS: u64 = 3_600_000;

    fn dated(index: u64, received: u64) -> Dated {
        Dated { index, received }
    }

    fn code_of(result: Result<()>) -> Option<&'static str> {
        result.err().map(|error| error.code())
    }

    fn noted(store: &MemoryStore, dates: &mut Dates, sighting: (u64, u64)) {
        let mut batch = Batch::new();
        dates.note(&mut batch, ORIGIN, sighting);
        store.commit(batch).wait().expect("commits");
    }

    #[test]
    fn leaf_may_be_as_late_as_it_wants_but_not_older_than_those_before_it() {
        let store = MemoryStore::new();
        let mut dates = Dates::default();
        assert_eq!(code_of(dates.check(&store, (ORIGIN, dated(5, 1_000)), None)), None);
        assert_eq!(code_of(dates.check(&store, (ORIGIN, dated(6, 1_000)), None)), None);
        assert_eq!(code_of(dates.check(&store, (ORIGIN, dated(7, 999)), None)), Some(code::BACK_DATED));
        // A refused leaf says nothing of those after it.
        assert_eq!(code_of(dates.check(&store, (ORIGIN, dated(8, 1_000)), None)), None);
        // Of one delivery, too, whatever is stored already.
        assert_eq!(code_of(dates.check(&store, (ORIGIN, dated(3, 500)), Some(dated(2, 501)))), Some(code::BACK_DATED));
    }

    #[test]
    fn leaf_that_the_log_did_not_have_when_it_was_asked_is_not_from_before() {
        let store = MemoryStore::new();
        let mut dates = Dates::default();
        noted(&store, &mut dates, (10, 10 * HOUR_MS));
        noted(&store, &mut dates, (20, 20 * HOUR_MS));
        let mut dates = Dates::read(&store, ORIGIN, None).expect("reads");
        let mut check = |index, received| code_of(dates.check(&store, (ORIGIN, dated(index, received)), None));
        // What lay below may come years later; what came after the first look and before the second is judged by the first.
        assert_eq!(check(9, 1), None);
        assert_eq!(check(10, 10 * HOUR_MS - CLOCK_AHEAD_MS_MAX - 1), Some(code::BACK_DATED));
        assert_eq!(check(19, 10 * HOUR_MS - CLOCK_AHEAD_MS_MAX), None);
        assert_eq!(check(20, 19 * HOUR_MS), Some(code::BACK_DATED));
        assert_eq!(check(20, 20 * HOUR_MS), None);
        // A store of before knows of no sighting, and judges by none.
        let mut old = Dates::read(&store, OriginNo(4), None).expect("reads");
        assert_eq!(code_of(old.check(&store, (OriginNo(4), dated(99, 1)), None)), None);
    }

    #[test]
    fn sightings_are_bounded_and_a_clock_that_went_back_adds_none() {
        let store = MemoryStore::new();
        let mut dates = Dates::default();
        for hour in 0..100 {
            noted(&store, &mut dates, (hour, hour * HOUR_MS));
        }
        noted(&store, &mut dates, (99, 100 * HOUR_MS));
        noted(&store, &mut dates, (200, 3 * HOUR_MS));
        assert_eq!((dates.sightings.len(), dates.sightings.last()), (SIGHTINGS_MAX, Some(&(99, 100 * HOUR_MS))));
    }
}
