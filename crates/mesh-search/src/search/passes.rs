//! The passes of a search.

use super::{Answer, Cursor, Hit, Match, Pass, Request, Statistics};
use crate::analysis::Shape;
use crate::error::SearchError;
use crate::index::View;
use crate::index::source::Found;
use crate::index::tail::TailPlan;
use crate::limits::{CANDIDATES, CANDIDATES_MAX, FEW, PAGE_MAX};
use crate::query::plan::Plan;
use crate::query::{Query, Word};
use crate::score;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use tantivy::DocAddress;

/// Of a hundred words, how many the tolerant pass asks for.
const TOLERANT_PER_CENT: usize = 67;

/// Where a document lies.
#[derive(Debug, Clone, Copy)]
enum Place {
    Disk(usize, DocAddress),
    Tail(usize),
}

/// A document that may be a hit.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    no: u64,
    bm25: f32,
    score: f32,
    published_ms: u64,
    popularity: u64,
    place: Place,
}

pub(super) fn ranked(view: &View, request: &Request<'_>) -> Result<Answer, SearchError> {
    let mut at = match request.after {
        Some(cursor) => cursor.bounded(),
        None => begin(view, request)?,
    };
    let limit = request.limit.clamp(1, PAGE_MAX);
    let mut answer = Answer { corrections: at.corrections(), ..Answer::default() };
    let exact = exact_plan(request, &at.words);
    let mut exact_found: Option<HashSet<u64>> = None;
    loop {
        let plan = match at.pass {
            Pass::Exact => exact.clone(),
            Pass::Tolerant => given(Plan::any, request.query, TOLERANT_PER_CENT, &at.tolerant_words),
        };
        let mut found = candidates(view, &plan, &at.statistics, at.candidates)?;
        let is_full = found.len() == at.candidates;
        match at.pass {
            Pass::Exact if !is_full => exact_found = Some(found.iter().map(|candidate| candidate.no).collect()),
            Pass::Exact => {}
            Pass::Tolerant => {
                if exact_found.is_none() {
                    exact_found =
                        Some(candidates(view, &exact, &at.statistics, CANDIDATES)?.iter().map(|candidate| candidate.no).collect());
                }
                found.retain(|candidate| exact_found.as_ref().is_none_or(|known| !known.contains(&candidate.no)));
            }
        }
        let lowest = found.last().map(|last| (last.bm25.to_bits(), last.no));
        let room = limit - answer.hits.len();
        let page = page_of(found, &mut at, room);
        let more = page.len() > room;
        let kept = page.get(..room.min(page.len())).unwrap_or_default();
        if let Some(last) = kept.last() {
            at.after = Some((u64::from(last.score.to_bits()), last.no));
        }
        answer.hits.extend(hits(view, kept, &plan.words, &at)?);
        if more {
            answer.next = Some(at.clone());
            break;
        }
        // This lot is used up: the next one, or the next pass, or the end.
        let has_few = exact_found.as_ref().is_some_and(|known| known.len() < FEW);
        if is_full && at.candidates < CANDIDATES_MAX {
            (at.floor, at.after, at.candidates) = (lowest.or(at.floor), None, at.candidates * 4);
        } else if at.pass == Pass::Exact && request.matching == Match::All && has_few {
            (at.pass, at.floor, at.after, at.candidates) = (Pass::Tolerant, None, None, CANDIDATES);
            tolerate(view, request, &mut at, &mut answer)?;
        } else {
            break;
        }
    }
    answer.words = at.words;
    answer.tolerant_words = at.tolerant_words;
    answer.statistics = at.statistics;
    Ok(answer)
}

fn begin(view: &View, request: &Request<'_>) -> Result<Cursor, SearchError> {
    let words = view.stems(request.query)?;
    let statistics = match request.statistics {
        Some(given) => {
            let mut statistics = given.clone();
            view.complete(&mut statistics, &words)?;
            statistics
        }
        None => view.statistics(&words)?,
    };
    Ok(Cursor {
        pass: Pass::Exact,
        now_ms: request.now_ms,
        statistics,
        words,
        tolerant_words: Vec::new(),
        candidates: CANDIDATES,
        floor: None,
        after: None,
        corrections: Vec::new(),
    })
}

/// Looks for what mistyped words may mean.
fn tolerate(view: &View, request: &Request<'_>, at: &mut Cursor, answer: &mut Answer) -> Result<(), SearchError> {
    at.tolerant_words = at.words.clone();
    for (word, stems) in request.query.wanted_words().zip(&mut at.tolerant_words) {
        let frequency: u64 = stems.iter().map(|stem| at.statistics.frequency(stem)).sum();
        if word.shape != Shape::Word || frequency >= FEW as u64 {
            continue;
        }
        let meant = view.corrections(&word.word)?;
        if !meant.is_empty() {
            for stem in meant.iter().flat_map(|meant| word.stems_of(meant)) {
                if !stems.contains(&stem) {
                    stems.push(stem);
                }
            }
            at.corrections.push((word.word.clone(), meant));
        }
    }
    view.complete(&mut at.statistics, &at.tolerant_words)?;
    answer.corrections = at.corrections();
    Ok(())
}

fn exact_plan(request: &Request<'_>, words: &[Vec<String>]) -> Plan {
    match request.matching {
        Match::All | Match::Strict => given(|query, _, stems| Plan::all(query, stems), request.query, 100, words),
        Match::Any => given(Plan::any, request.query, 0, words),
    }
}

/// A plan whose words have the stems that were found out before.
fn given(
    plan: impl Fn(&Query, usize, &dyn Fn(&Word) -> Vec<String>) -> Plan,
    query: &Query,
    per_cent: usize,
    words: &[Vec<String>],
) -> Plan {
    let mut plan = plan(query, per_cent, &|_| Vec::new());
    // Plans name the words of a query in its order. A forged cursor may hold fewer: then those find nothing.
    for (at, stems) in plan.words.iter_mut().enumerate() {
        *stems = words.get(at).cloned().unwrap_or_default();
    }
    plan
}

/// The best by BM25, best first.
fn candidates(view: &View, plan: &Plan, statistics: &Statistics, count: usize) -> Result<Vec<Candidate>, SearchError> {
    let mut best = Vec::new();
    let mut seen = view.in_tail_if_rebuilding();
    let several = view.sources.len() > 1;
    for (at, source) in view.sources.iter().enumerate() {
        for found in source.best(plan, statistics, count + view.hidden.len())? {
            if !view.hides(found.no) && (!several || seen.insert(found.no)) {
                best.push(candidate(found, at));
            }
        }
    }
    let tail = TailPlan::new(plan);
    for (at, pending) in view.tail.iter().enumerate().filter(|(_, pending)| tail.matches(pending)) {
        best.push(Candidate {
            no: pending.no,
            bm25: score::bm25(statistics, &plan.words, &pending.all_times(&plan.words), pending.length),
            score: 0.0,
            published_ms: pending.published_ms,
            popularity: u64::from(pending.popularity),
            place: Place::Tail(at),
        });
    }
    best.sort_unstable_by(|one, other| other.bm25.total_cmp(&one.bm25).then(one.no.cmp(&other.no)));
    best.truncate(count);
    Ok(best)
}

fn candidate(found: Found, source: usize) -> Candidate {
    let Found { no, bm25, published_ms, popularity, address } = found;
    Candidate { no, bm25, score: 0.0, published_ms, popularity, place: Place::Disk(source, address) }
}

/// What follows the cursor, in the order of scores, one more than there is room for.
fn page_of(mut found: Vec<Candidate>, at: &mut Cursor, room: usize) -> Vec<Candidate> {
    if let Some((bm25, no)) = at.floor {
        let floor = f32::from_bits(bm25);
        found.retain(|candidate| candidate.bm25.total_cmp(&floor).then(no.cmp(&candidate.no)).is_lt());
    }
    for candidate in &mut found {
        candidate.score = candidate.bm25 * score::signals(candidate.published_ms, candidate.popularity, at.now_ms);
    }
    if let Some((bits, no)) = at.after {
        let last = f32::from_bits(u32::try_from(bits).unwrap_or_default());
        found.retain(|candidate| candidate.score.total_cmp(&last).then(no.cmp(&candidate.no)).is_lt());
    }
    found.sort_unstable_by(|one, other| other.score.total_cmp(&one.score).then(one.no.cmp(&other.no)));
    found.truncate(room + 1);
    found
}

/// The candidates as hits, with all that their scores are made of.
fn hits(view: &View, page: &[Candidate], words: &[Vec<String>], at: &Cursor) -> Result<Vec<Hit>, SearchError> {
    let mut on_disk: BTreeMap<usize, BTreeSet<DocAddress>> = BTreeMap::new();
    for candidate in page {
        if let Place::Disk(source, address) = candidate.place {
            on_disk.entry(source).or_default().insert(address);
        }
    }
    let mut times = BTreeMap::new();
    for (at, addresses) in on_disk {
        if let Some(source) = view.sources.get(at) {
            times.extend(source.all_times(&addresses, words)?.into_iter().map(|(address, times)| ((at, address), times)));
        }
    }
    let hit = |candidate: &Candidate| {
        let (length, times) = match candidate.place {
            Place::Tail(at) => view.tail.get(at).map(|pending| (pending.length, pending.all_times(words))).unwrap_or_default(),
            Place::Disk(at, address) => {
                let length = view.sources.get(at).map_or(0, |source| source.length(address));
                (length, times.remove(&(at, address)).unwrap_or_default())
            }
        };
        let bm25 = score::bm25(&at.statistics, words, &times, length);
        Hit {
            no: candidate.no,
            score: bm25 * score::signals(candidate.published_ms, candidate.popularity, at.now_ms),
            bm25,
            length,
            times,
            published_ms: candidate.published_ms,
            popularity: candidate.popularity,
            pass: at.pass,
        }
    };
    Ok(page.iter().map(hit).collect())
}

/// From new to old.
pub(super) fn newest(view: &View, request: &Request<'_>) -> Result<Answer, SearchError> {
    let mut at = match request.after {
        Some(cursor) => cursor.bounded(),
        None => begin(view, request)?,
    };
    let limit = request.limit.clamp(1, PAGE_MAX);
    let plan = exact_plan(request, &at.words);
    let mut found = Vec::new();
    let mut seen = view.in_tail_if_rebuilding();
    let several = view.sources.len() > 1;
    for (place, source) in view.sources.iter().enumerate() {
        for newest in source.newest(&plan, limit + 1, at.after, &|no| view.hides(no))? {
            if !several || seen.insert(newest.no) {
                found.push(candidate(newest, place));
            }
        }
    }
    let tail = TailPlan::new(&plan);
    for (place, pending) in view.tail.iter().enumerate().filter(|(_, pending)| tail.matches(pending)) {
        if at.after.is_none_or(|after| (pending.published_ms, pending.no) < after) {
            found.push(Candidate {
                no: pending.no,
                bm25: 0.0,
                score: 0.0,
                published_ms: pending.published_ms,
                popularity: u64::from(pending.popularity),
                place: Place::Tail(place),
            });
        }
    }
    found.sort_unstable_by_key(|candidate| std::cmp::Reverse((candidate.published_ms, candidate.no)));
    let more = found.len() > limit;
    found.truncate(limit);
    at.after = found.last().map(|last| (last.published_ms, last.no)).or(at.after);
    let hits = hits(view, &found, &plan.words, &at)?;
    Ok(Answer {
        hits,
        next: more.then(|| at.clone()),
        words: at.words,
        tolerant_words: Vec::new(),
        corrections: Vec::new(),
        statistics: at.statistics,
    })
}
