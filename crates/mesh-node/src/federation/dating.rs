//! Back-dating: a leaf that says it is older than it can be.
//!
//! Rules that an honest home cannot break however late its deliveries come. Within one log `received` never decreases; nor does it from one log of a domain to
//! the next. A leaf beyond the size that the log had when we asked it was logged after we asked, and one below it before: the time of asking counts, never that
//! of a delivery, which may have waited for hours. Whoever answers a request that we signed has a clock that agrees with ours, as signatures live for a
//! minute; what is tolerated beyond that is generous. It is the same whoever delivers: what an account brought along lies in a log of which we may know more.

use crate::error::{NodeError, Result};
use crate::peers::Peers;
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
    /// The newest time in the domain's logs before this one.
    begun: Option<u64>,
    /// The oldest time in its logs after this one: by then this one had ended.
    ended: Option<u64>,
}

impl Dates {
    /// Reads what is known of a log, and of the logs that its domain had before and after it. Nothing is known of the log itself where nobody vouches for what an
    /// account brought along.
    pub(crate) fn of(read: &dyn Read, peers: &Peers, no: OriginNo) -> Result<Self> {
        let mut dates = Self::read(read, no, peers.last_leaf(no)?)?;
        let origin = peers.origin_by_number(no)?;
        if peers.origin_known(&origin) != Some(no) {
            return Ok(dates);
        }
        for (log, other) in peers.logs_of(origin.domain()).into_iter().filter(|(_, other)| *other != no) {
            if log.number() < origin.number() {
                dates.begun = dates.begun.max(end_of(read, whole(other), Order::Backward)?.map(|last| last.received));
            } else {
                let first = end_of(read, whole(other), Order::Forward)?.map(|first| first.received);
                let asked = sightings(read, other)?.first().map(|(_, at)| *at);
                dates.ended = dates.ended.into_iter().chain(first).chain(asked).min();
            }
        }
        Ok(dates)
    }

    /// Reads what is known of one log; `last_leaf` is the highest of which there is a reference.
    pub(crate) fn read(read: &dyn Read, origin: OriginNo, last_leaf: Option<u64>) -> Result<Self> {
        let highest = match last_leaf {
            Some(index) => Reference::get(read, Lid::new(origin, index))?.map(|known| Dated { index, received: known.received }),
            None => None,
        };
        Ok(Self { highest, sightings: sightings(read, origin)?, ..Self::default() })
    }

    /// Refuses a leaf that is dated before what lies before it, or before we saw the log without it. `before`: the leaf before it in the delivery.
    pub(crate) fn check(&mut self, read: &dyn Read, (origin, leaf): (OriginNo, Dated), before: Option<Dated>) -> Result<()> {
        self.check_asked(leaf)?;
        self.check_logs(leaf)?;
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

    /// By what the log had when we asked.
    fn check_asked(&self, Dated { index, received }: Dated) -> Result<()> {
        let without = self.sightings.iter().rev().find(|(size, _)| *size <= index);
        if let Some((size, at)) = without.filter(|(_, at)| is_before(received, *at)) {
            return Err(back_dated(format!("leaf {index} says {received}, but at {at} the log had {size} leaves, and not this one")));
        }
        let with = self.sightings.iter().find(|(size, _)| *size > index);
        if let Some((size, at)) = with.filter(|(_, at)| is_before(*at, received)) {
            return Err(back_dated(format!(
                "leaf {index} says {received}, but at {at} the log had {size} leaves, and this one among them"
            )));
        }
        Ok(())
    }

    /// By the domain's other logs.
    fn check_logs(&self, Dated { index, received }: Dated) -> Result<()> {
        if let Some(begun) = self.begun.filter(|begun| is_before(received, *begun)) {
            return Err(back_dated(format!("leaf {index} says {received}, but an earlier log of its domain goes on to {begun}")));
        }
        if let Some(ended) = self.ended.filter(|ended| is_before(*ended, received)) {
            return Err(back_dated(format!("leaf {index} says {received}, but by {ended} its domain had begun another log")));
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

/// Whether one time is before another, beyond what clocks may differ.
fn is_before(time: u64, other: u64) -> bool {
    time.saturating_add(CLOCK_AHEAD_MS_MAX) < other
}

fn sightings(read: &dyn Read, origin: OriginNo) -> std::result::Result<Vec<(u64, u64)>, StoreError> {
    let Some(row) = read.get(Space::Sighting, &origin.0.to_be_bytes())? else { return Ok(Vec::new()) };
    let mut reader = Reader::new(&row, "sighting");
    let mut sightings = Vec::new();
    while !reader.is_empty() {
        sightings.push((reader.varint()?, reader.time()?));
    }
    Ok(sightings)
}

/// The nearest leaves on both sides of which there are references.
fn neighbours(read: &dyn Read, origin: OriginNo, index: u64) -> Result<(Option<Dated>, Option<Dated>)> {
    let leaf = Lid::new(origin, index);
    let below = KeyRange::between(Lid::new(origin, 0).key(), leaf.key());
    let above = KeyRange::between(Lid(leaf.0 + 1).key(), Lid::new(OriginNo(origin.0 + 1), 0).key());
    Ok((end_of(read, below, Order::Backward)?, end_of(read, above, Order::Forward)?))
}

/// All leaves of a log.
fn whole(origin: OriginNo) -> KeyRange {
    KeyRange::between(Lid::new(origin, 0).key(), Lid::new(OriginNo(origin.0 + 1), 0).key())
}

/// The first leaf of a range in an order of which there is a reference.
fn end_of(read: &dyn Read, range: KeyRange, order: Order) -> Result<Option<Dated>> {
    let rows = read.scan(Space::Reference, &range, order, 1)?;
    let Some((key, row)) = rows.first() else { return Ok(None) };
    let index = Lid(crate::tables::codec::key_u64(key, 0, "reference")?).index();
    Ok(Some(Dated { index, received: Reference::decode(row)?.received }))
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
        assert_eq!(check(9, 10 * HOUR_MS + CLOCK_AHEAD_MS_MAX + 1), Some(code::BACK_DATED), "it was there before that");
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
