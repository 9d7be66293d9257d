//! How much other domains are asked about homes that are gone: a link to such a home costs a reader nothing, and must not cost everybody else much.

use mesh_proto::envelope::RecordId;
use mesh_proto::port::Clock;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Records that are looked for at once.
const SEARCHES_MAX: usize = 4;
/// Questions that are asked in one minute, for all records together.
const QUESTIONS_MAX: u32 = 1_024;
const MINUTE_MS: u64 = 60_000;
/// How long nobody is asked again for a record that nobody had, and how many such records are remembered.
const NOWHERE_MS: u64 = 10 * MINUTE_MS;
const NOWHERE_MAX: usize = 10_000;

/// What is being asked, was asked, and was in vain.
pub(crate) struct Asking {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    searches: usize,
    /// When the present minute began, and the questions that were asked in it.
    minute: (u64, u32),
    /// Until when nobody is asked for these records.
    nowhere: BTreeMap<RecordId, u64>,
}

/// A search under way. Dropped, it makes room for another.
pub(crate) struct Search<'a> {
    asking: &'a Asking,
    id: RecordId,
}

impl Asking {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to look for a record, unless that was in vain a short time ago, or too many are looked for.
    pub(crate) fn begin(&self, id: &RecordId) -> Option<Search<'_>> {
        let now = self.clock.now_ms();
        let mut state = self.state();
        if state.searches >= SEARCHES_MAX || state.nowhere.get(id).is_some_and(|until| *until > now) {
            return None;
        }
        state.searches += 1;
        Some(Search { asking: self, id: *id })
    }
}

impl Search<'_> {
    /// Whether one more domain may be asked now.
    pub(crate) fn may_ask(&self) -> bool {
        let now = self.asking.clock.now_ms();
        let mut state = self.asking.state();
        if now.abs_diff(state.minute.0) >= MINUTE_MS {
            state.minute = (now, 0);
        }
        let free = state.minute.1 < QUESTIONS_MAX;
        state.minute.1 += u32::from(free);
        free
    }

    /// Everybody was asked, in vain.
    pub(crate) fn in_vain(self) {
        let now = self.asking.clock.now_ms();
        let mut state = self.asking.state();
        if state.nowhere.len() >= NOWHERE_MAX {
            state.nowhere.retain(|_, until| *until > now);
        }
        // Whoever fills it with made-up records gets nothing asked more often than the rate allows.
        if state.nowhere.len() < NOWHERE_MAX {
            state.nowhere.insert(self.id, now.saturating_add(NOWHERE_MS));
        }
    }
}

impl Drop for Search<'_> {
    fn drop(&mut self) {
        self.asking.state().searches -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_testkit::ManualClock;

    fn id(number: u32) -> RecordId {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&number.to_be_bytes());
        RecordId::from_hash(hash)
    }

    #[test]
    fn record_that_nobody_has_is_asked_for_again_only_after_a_while() {
        let clock = Arc::new(ManualClock::new(1_000));
        let asking = Asking::new(clock.clone());
        asking.begin(&id(1)).expect("the first time").in_vain();
        assert!(asking.begin(&id(1)).is_none());
        assert!(asking.begin(&id(2)).is_some(), "another one");
        clock.advance(NOWHERE_MS);
        assert!(asking.begin(&id(1)).is_some());
    }

    #[test]
    fn few_are_looked_for_at_once() {
        let asking = Asking::new(Arc::new(ManualClock::new(1_000)));
        let mut under_way: Vec<_> = (0..SEARCHES_MAX as u32).map(|number| asking.begin(&id(number)).expect("a place")).collect();
        assert!(asking.begin(&id(99)).is_none());
        under_way.pop();
        assert!(asking.begin(&id(99)).is_some());
    }

    #[test]
    fn questions_of_a_minute_are_counted_over_all_searches() {
        let clock = Arc::new(ManualClock::new(1_000_000));
        let asking = Asking::new(clock.clone());
        let asked = |number| {
            let search = asking.begin(&id(number)).expect("a place");
            (0..QUESTIONS_MAX).take_while(|_| search.may_ask()).count() as u32
        };
        assert_eq!((asked(1), asked(2)), (QUESTIONS_MAX, 0));
        clock.advance(MINUTE_MS);
        assert_eq!(asked(3), QUESTIONS_MAX);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let clock = Arc::new(ManualClock::new(1_000));
        let asking = Asking::new(clock.clone());
        for number in 0..=NOWHERE_MAX as u32 {
            asking.begin(&id(number)).expect("a place").in_vain();
        }
        assert_eq!(asking.state().nowhere.len(), NOWHERE_MAX);
        clock.advance(NOWHERE_MS);
        asking.begin(&id(0)).expect("a place").in_vain();
        assert_eq!(asking.state().nowhere.len(), 1, "old ones make room");
    }
}
