//! What happens when: the plan of a run, made from its seed before it begins. Acts of people, and faults of domains and of the network.

use crate::Scale;
use crate::home::End;
use crate::wire::Place;
use crate::world::Fates;
use mesh_testkit::{Link, SeededRng};
use std::collections::BTreeSet;
use std::time::Duration;

/// An ordinary day.
pub(crate) const FAIR: Link = Link { delay_ms_min: 5, delay_ms_max: 800, loss_per_mille: 20, duplicate_per_mille: 20 };

/// How far the clocks of honest domains are wrong at most: two of them differ by less than the 10 s by which a signature may lie ahead.
const SKEW_MS_MAX: u64 = 4_000;
/// Of 1,000 domains, so many are away once.
const AWAY_PER_MILLE: u16 = 400;
/// Bounds of how long a domain is away, and the network cut, seconds.
const AWAY_S: (u64, u64) = (600, 3 * 3_600);
const CUT_S: (u64, u64) = (900, 3 * 3_600);
/// How long it storms, seconds.
const STORM_S: u64 = 1_800;

/// One thing that happens.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// Somebody does something.
    Act,
    /// A forger tries something.
    Forge,
    /// A domain ends.
    Down(Place, End),
    /// A domain starts again.
    Up(Place),
    /// A part of the network is cut off.
    Cut(u64, BTreeSet<Place>),
    /// That part is back.
    Mend(u64),
    /// The network has this quality from now on.
    Weather(Link),
    /// A clock is set.
    Clock(Place, i64),
    /// A domain keeps a copy of its disk.
    Copy(Place),
    /// A hostile domain goes back to its copy, and rewrites its log from there on.
    Rewrite(Place),
    /// An honest domain is put back from its copy, and begins a new log.
    Restore(Place),
    /// People of a domain see to it that there is a copy of what they said.
    Save(Place),
    /// A domain is lost with all that it has.
    Destroy(Place),
    /// Its people go elsewhere.
    Flee(Place),
}

/// The plan of a run.
pub(crate) fn plan(rng: &SeededRng, scale: &Scale, (liars, fates): (&BTreeSet<Place>, Fates)) -> Vec<(Duration, Event)> {
    let end_s = scale.hours * 3_600;
    let mut events = Vec::new();
    let mut at = |second: u64, event: Event| events.push((Duration::from_millis(second * 1_000 + rng.below(1_000)), event));
    for _ in 0..scale.acts {
        at(rng.below(end_s), Event::Act);
    }
    for _ in 0..scale.forgeries {
        at(rng.below(end_s), Event::Forge);
    }
    for place in 0..scale.domains {
        at(0, Event::Clock(place, skew(rng)));
        if rng.happens(AWAY_PER_MILLE) {
            let (from, end) = (rng.below(end_s), if rng.happens(500) { End::Killed } else { End::Stopped });
            at(from, Event::Down(place, end));
            at(from + between(rng, AWAY_S), Event::Up(place));
            at(from + between(rng, AWAY_S), Event::Clock(place, skew(rng)));
        }
    }
    for number in 0..scale.cuts {
        let from = rng.below(end_s);
        let share = 50 + rng.below(400) as u16;
        at(from, Event::Cut(number, (0..scale.domains).filter(|_| rng.happens(share)).collect()));
        at(from + between(rng, CUT_S), Event::Mend(number));
    }
    let storm = rng.below(end_s);
    at(storm, Event::Weather(Link::BAD));
    at(storm + STORM_S, Event::Weather(FAIR));
    for place in liars.iter().take(1) {
        at(end_s / 3, Event::Copy(*place));
        at(end_s * 2 / 3, Event::Rewrite(*place));
    }
    at(end_s / 4, Event::Copy(fates.restored));
    at(end_s * 3 / 5, Event::Restore(fates.restored));
    at(end_s / 3, Event::Save(fates.destroyed));
    at(end_s / 2, Event::Destroy(fates.destroyed));
    at(end_s * 3 / 4, Event::Flee(fates.destroyed));
    events.sort_by_key(|(at, _)| *at);
    events
}

fn skew(rng: &SeededRng) -> i64 {
    rng.below(2 * SKEW_MS_MAX + 1) as i64 - SKEW_MS_MAX as i64
}

fn between(rng: &SeededRng, (least, most): (u64, u64)) -> u64 {
    least + rng.below(most - least)
}
