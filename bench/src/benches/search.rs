//! The search engine inside a server, without HTTP: a million short texts, beside SQLite FTS5 with the same texts and queries.

mod corpus;
mod queries;

use crate::Options;
use crate::report::{Bound, Report, percentile_ms, progress};
use anyhow::Context;
use corpus::Corpus;
use mesh_search::{Document, Index, Match, Opened, Query, Request, Sort};
use queries::{Kind, pairs};
use rusqlite::Connection;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const HITS: usize = 20;
const WRITES_PER_S: u32 = 100;
const NOW_MS: u64 = 1_800_000_000_000;
/// Queries of a kind that are asked in turn.
const PAIRS: usize = 20_000;

pub(crate) fn run(options: &Options) -> anyhow::Result<Report> {
    let corpus = Corpus::of(usize::try_from(options.rows)?)?;
    progress(format!("{} texts, {} of them written by people", corpus.texts.len(), corpus.real));
    let folder = tempfile::TempDir::new()?;
    let started = Instant::now();
    let opened = Index::open(&folder.path().join("index"))?;
    for (no, text) in (0..).zip(&corpus.texts) {
        opened.writer.put(&document(no, text))?;
    }
    opened.writer.flush()?;
    let building = started.elapsed();
    progress(format!("our index in {:.0} s", building.as_secs_f64()));
    let sqlite = Sqlite::fill(&folder.path().join("sqlite"), &corpus)?;

    let mut report = Report::new("search");
    report.condition(format!(
        "{} texts of {} bytes in the mean, {} of them written by people, the others assembled from those",
        corpus.texts.len(),
        corpus.bytes() / corpus.texts.len() as u64,
        corpus.real
    ));
    report.condition(format!(
        "one thread, the best {HITS}, words as frequent as in the texts; queries are parsed each time; FTS5 contentless with porter stems"
    ));
    let slice = Duration::from_secs(options.seconds.div_ceil(10));
    for kind in Kind::ALL {
        measure(&mut report, kind, (&opened, &sqlite, &corpus), slice)?;
    }
    tolerant(&mut report, &opened, &corpus, slice)?;
    freshness(&mut report, &opened, &corpus, slice * 2)?;
    opened.writer.flush()?;
    let bytes = size(&folder.path().join("index"))?;
    report.figure("index_share", bytes as f64 / corpus.bytes() as f64, Bound::Most(1.2), "bytes of the index ÷ bytes of the texts");
    report.figure("sqlite_share", size(&folder.path().join("sqlite"))? as f64 / corpus.bytes() as f64, Bound::None, "the same of FTS5");
    report.figure(
        "documents_per_s",
        corpus.texts.len() as f64 / building.as_secs_f64(),
        Bound::None,
        "taken in and committed, from one thread",
    );
    Ok(report)
}

fn document(no: u64, text: &str) -> Document {
    Document {
        no,
        author: format!("author{}@mesh.example", no % 10_007),
        domain: "mesh.example".to_owned(),
        text: text.to_owned(),
        published_ms: NOW_MS - (1 << 30) + no * 1_000,
        popularity: u32::try_from(no % 97).unwrap_or_default(),
        ..Document::default()
    }
}

fn measure(report: &mut Report, kind: Kind, (opened, sqlite, corpus): (&Opened, &Sqlite, &Corpus), slice: Duration) -> anyhow::Result<()> {
    let pairs = pairs(corpus, kind, PAIRS);
    let ours: Vec<String> = pairs.iter().map(|pair| kind.ours(pair)).collect();
    let mut taken = timed(&ours, slice, |query| ask(&opened.index, query, Match::Strict))?;
    let theirs: Vec<String> = pairs.iter().map(|pair| kind.sqlite(pair)).collect();
    let theirs = timed(&theirs, slice, |query| sqlite.ask(query))?;
    let (rate, their_rate) = (per_second(&taken), per_second(&theirs));
    progress(format!("{}: {rate:.0}/s, FTS5 {their_rate:.0}/s", kind.name()));
    let (per_s, p99, ratio) = match kind {
        Kind::One => ("one_per_s", "one_p99_ms", "one_ratio"),
        Kind::And => ("and_per_s", "and_p99_ms", "and_ratio"),
        Kind::Or => ("or_per_s", "or_p99_ms", "or_ratio"),
        Kind::Phrase => ("phrase_per_s", "phrase_p99_ms", "phrase_ratio"),
    };
    let bound = |bound| if kind == Kind::And { bound } else { Bound::None };
    report.figure(per_s, rate, bound(Bound::Least(8_000.0)), format!("queries of kind {} a second on one core", kind.name()));
    report.figure(p99, percentile_ms(&mut taken, 99), bound(Bound::Most(1.0)), "99 of 100 take at most this");
    report.figure(ratio, rate / their_rate, bound(Bound::Least(15.0)), format!("÷ FTS5 ({their_rate:.0}/s)"));
    Ok(())
}

/// Two words as the search page asks for them: with a second pass where little is found.
fn tolerant(report: &mut Report, opened: &Opened, corpus: &Corpus, slice: Duration) -> anyhow::Result<()> {
    let queries: Vec<String> = pairs(corpus, Kind::And, PAIRS).iter().map(|pair| Kind::And.ours(pair)).collect();
    let mut taken = timed(&queries, slice, |query| ask(&opened.index, query, Match::All))?;
    report.figure(
        "tolerant_per_s",
        per_second(&taken),
        Bound::None,
        "two words, with the tolerant pass where fewer than ten documents have both",
    );
    report.figure("tolerant_p99_ms", percentile_ms(&mut taken, 99), Bound::None, "99 of 100 take at most this");
    Ok(())
}

/// How soon a document is found, and what writing costs those who search, in turns.
fn freshness(report: &mut Report, opened: &Opened, corpus: &Corpus, slice: Duration) -> anyhow::Result<()> {
    let queries: Vec<String> = pairs(corpus, Kind::And, PAIRS).iter().map(|pair| Kind::And.ours(pair)).collect();
    let (mut alone, mut beside, mut found) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..3 {
        alone.extend(timed(&queries, slice / 3, |query| ask(&opened.index, query, Match::Strict))?);
        let stop = AtomicBool::new(false);
        let (searched, written) = std::thread::scope(|scope| {
            let writing = scope.spawn(|| write(opened, corpus, turn, &stop));
            let searched = timed(&queries, slice / 3, |query| ask(&opened.index, query, Match::Strict));
            stop.store(true, Ordering::Relaxed);
            (searched, writing.join())
        });
        beside.extend(searched?);
        found.extend(written.map_err(|_| anyhow::anyhow!("the writer panicked"))??);
    }
    report.condition(format!("{} documents were written, {WRITES_PER_S} a second", found.len()));
    report.figure("fresh_ms", percentile_ms(&mut found, 100), Bound::Most(1_000.0), "every document is found so soon after it is put");
    report.figure(
        "slowdown",
        per_second(&alone) / per_second(&beside) - 1.0,
        Bound::Most(0.2),
        "what 100 writes a second cost two-word queries",
    );
    Ok(())
}

/// Puts documents at a steady rate and looks for each by a word of its own; how long each took to be found.
fn write(opened: &Opened, corpus: &Corpus, turn: usize, stop: &AtomicBool) -> anyhow::Result<Vec<Duration>> {
    let mut found = Vec::new();
    let started = Instant::now();
    for count in 0_u32.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        std::thread::sleep((Duration::from_secs(1) / WRITES_PER_S * count).saturating_sub(started.elapsed()));
        let mark = format!("mark{turn}x{count}");
        let no = corpus.texts.len() as u64 + turn as u64 * 1_000_000 + u64::from(count);
        let text = format!("{} {mark}", corpus.texts[count as usize % corpus.texts.len()]);
        let put = Instant::now();
        opened.writer.put(&document(no, &text))?;
        while ask(&opened.index, &mark, Match::Strict)? == 0 {}
        found.push(put.elapsed());
    }
    Ok(found)
}

fn ask(index: &Index, query: &str, matching: Match) -> anyhow::Result<usize> {
    let query = Query::parse(query)?;
    let request = Request { query: &query, matching, sort: Sort::Best, limit: HITS, after: None, now_ms: NOW_MS, statistics: None };
    Ok(index.search(&request)?.hits.len())
}

/// What each query took, asked in turn for so long.
fn timed(queries: &[String], slice: Duration, mut ask: impl FnMut(&str) -> anyhow::Result<usize>) -> anyhow::Result<Vec<Duration>> {
    let mut taken = Vec::new();
    let started = Instant::now();
    for query in queries.iter().cycle() {
        if started.elapsed() >= slice {
            break;
        }
        let begun = Instant::now();
        ask(query).with_context(|| format!("the query {query}"))?;
        taken.push(begun.elapsed());
    }
    Ok(taken)
}

fn per_second(taken: &[Duration]) -> f64 {
    taken.len() as f64 / taken.iter().sum::<Duration>().as_secs_f64()
}

/// The same texts in FTS5.
struct Sqlite(Connection);

impl Sqlite {
    fn fill(path: &Path, corpus: &Corpus) -> anyhow::Result<Self> {
        let started = Instant::now();
        let mut connection = Connection::open(path)?;
        connection.execute_batch(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA mmap_size = 4294967296; PRAGMA cache_size = -262144;
             CREATE VIRTUAL TABLE texts USING fts5(text, content='', tokenize='porter unicode61');",
        )?;
        let transaction = connection.transaction()?;
        {
            let mut insert = transaction.prepare("INSERT INTO texts(rowid, text) VALUES (?1, ?2)")?;
            for (no, text) in (0_i64..).zip(&corpus.texts) {
                insert.execute((no, text))?;
            }
        }
        transaction.commit()?;
        connection.execute_batch("INSERT INTO texts(texts) VALUES ('optimize')")?;
        progress(format!("FTS5 in {:.0} s", started.elapsed().as_secs_f64()));
        Ok(Self(connection))
    }

    fn ask(&self, query: &str) -> anyhow::Result<usize> {
        let mut select = self.0.prepare_cached("SELECT rowid FROM texts WHERE texts MATCH ?1 ORDER BY rank LIMIT ?2")?;
        let mut rows = select.query((query, HITS as i64))?;
        let mut count = 0;
        while rows.next()?.is_some() {
            count += 1;
        }
        Ok(count)
    }
}

/// Bytes of a file or a folder.
fn size(path: &Path) -> anyhow::Result<u64> {
    if path.is_file() {
        return Ok(std::fs::metadata(path)?.len());
    }
    let mut bytes = 0;
    for entry in std::fs::read_dir(path)? {
        bytes += size(&entry?.path())?;
    }
    Ok(bytes)
}
