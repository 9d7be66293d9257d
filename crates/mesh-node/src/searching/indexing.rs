//! Keeping the index: it follows the domain's log, and what others say about what is in it.

use super::documents::{Indexed, Subject, number, person as number_of, subject};
use super::{Engine, Searching, failed};
use crate::error::{NodeError, Result};
use crate::index::News;
use crate::tables::codec::key_u64;
use crate::tables::payload::Payload;
use crate::tables::reference::Reference;
use crate::tables::{AccountLid, Lid, OWN, carried};
use mesh_proto::api::code;
use mesh_proto::envelope::Kind;
use mesh_proto::limits::LEAF_INDEX_MAX;
use mesh_proto::record::{Content, Record};
use mesh_search::limits::PAGE_MAX;
use mesh_search::{Match, Query, Request, Sort, Writer};
use mesh_store::{KeyRange, Order, Space};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

/// Rows read at once.
const ROWS: usize = 1_000;
/// How long a burst of news is gathered.
const GATHER: Duration = Duration::from_millis(20);
/// How long at most after a record it is looked for, if no news told of it.
const LOOK: Duration = Duration::from_millis(500);
/// How often what people say about others' records changes how they rank.
const RANK_EVERY: Duration = Duration::from_secs(30);
/// Records whose rank is to change, at most: more wait for their next change.
const RANKS_MAX: usize = 10_000;

/// How far the index has come.
pub(super) struct Progress {
    /// The next leaf of the domain's log.
    next: u64,
    /// The next row of what people brought along.
    carried: u64,
    /// The moment of the store before it was read.
    moment: Option<u64>,
    /// Whether it is being built anew.
    rebuilding: bool,
}

impl Progress {
    /// From what the last commit names.
    pub(super) fn new(upto: u64, rebuilding: bool) -> Self {
        Self { next: upto & LEAF_INDEX_MAX, carried: upto >> CARRIED_SHIFT, moment: None, rebuilding }
    }

    /// What a commit names: `row of what was brought along (24 bits) ‖ leaf (40)`. Of more rows the last ones are taken again after each start.
    fn upto(&self) -> u64 {
        self.carried.min(CARRIED_MAX) << CARRIED_SHIFT | self.next
    }
}

const CARRIED_SHIFT: u32 = 40;
const CARRIED_MAX: u64 = (1 << 24) - 1;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    pub(super) fn write(&self, with: impl FnOnce(&Writer) -> std::result::Result<(), mesh_search::SearchError>) -> Result<()> {
        lock(&self.writer).as_ref().map_or(Err(NodeError::Stopping), |writer| with(writer).map_err(failed))
    }
}

impl Searching {
    /// Follows the log, until aborted.
    pub(crate) async fn run(self: Arc<Self>) {
        if self.engine.is_none() {
            return;
        }
        let mut news = self.bus.listen();
        let (mut changed, mut ranked) = (BTreeSet::new(), Instant::now());
        loop {
            let mut due = BTreeSet::new();
            if ranked.elapsed() >= RANK_EVERY {
                (due, ranked) = (std::mem::take(&mut changed), Instant::now());
            }
            let this = Arc::clone(&self);
            match tokio::task::spawn_blocking(move || this.follow(&due)).await {
                Ok(Err(error)) if !matches!(error, NodeError::Stopping) => tracing::error!(error.message = %error, "search.not_indexed"),
                Ok(_) => {}
                Err(_) => return,
            }
            tokio::select! {
                heard = news.recv() => match heard {
                    Err(RecvError::Closed) => return,
                    heard => {
                        note(&mut changed, heard.ok());
                        tokio::time::sleep(GATHER).await;
                        while let Ok(heard) = news.try_recv() {
                            note(&mut changed, Some(heard));
                        }
                    }
                },
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Takes in what the store has that the index lacks, and records whose rank changed. Blocks.
    fn follow(&self, changed: &BTreeSet<Lid>) -> Result<()> {
        let engine = self.engine()?;
        let mut progress = lock(&engine.progress);
        let moment = self.kv.changes().now();
        if progress.moment != Some(moment) {
            if progress.next < self.log.base() + self.log.size() {
                self.follow_log(engine, &mut progress)?;
            }
            let carried = carried::next_sequence(&*self.kv)?;
            if progress.carried < carried {
                self.take_carried(engine, |_, sequence| Ok(sequence >= progress.carried))?;
                progress.carried = carried;
                engine.write(|writer| writer.reached(progress.upto()))?;
            }
            progress.moment = Some(moment);
        }
        // A subscription's object is an account, whose number may be a record's: that one is put again in vain.
        for lid in changed {
            self.take_again(engine, *lid)?;
        }
        if progress.rebuilding {
            engine.write(Writer::rebuilt)?;
            progress.rebuilding = false;
            tracing::info!(documents = engine.index.documents(), "search.rebuilt");
        }
        Ok(())
    }

    fn follow_log(&self, engine: &Engine, progress: &mut Progress) -> Result<()> {
        loop {
            let range = KeyRange::between(Lid::new(OWN, progress.next).key(), OWN_END);
            let rows = self.kv.scan(Space::Payload, &range, Order::Forward, ROWS)?;
            for (key, row) in &rows {
                let lid = Lid(key_u64(key, 0, "payload")?);
                if let Some(payload) = Payload::decode(row)? {
                    self.take(engine, lid, &payload)?;
                }
                progress.next = lid.index() + 1;
            }
            if !rows.is_empty() {
                engine.write(|writer| writer.reached(progress.upto()))?;
            }
            if rows.len() < ROWS {
                return Ok(());
            }
        }
    }

    /// What people brought along when they came to live here, as far as it is wanted: by its place and the row that proves it.
    fn take_carried(&self, engine: &Engine, wanted: impl Fn(Lid, u64) -> Result<bool>) -> Result<()> {
        let mut range = KeyRange::all();
        loop {
            let rows = self.kv.scan(Space::Carried, &range, Order::Forward, ROWS)?;
            for (key, row) in &rows {
                let lid = Lid(key_u64(key, 0, "carried")?);
                if wanted(lid, key_u64(row, 0, "carried")?)? {
                    self.take_again(engine, lid)?;
                }
            }
            match rows.last() {
                Some((last, _)) if rows.len() == ROWS => range = range.after(last),
                _ => return Ok(()),
            }
        }
    }

    /// What was kept here for somebody who came to live here now.
    fn take_arrival(&self, engine: &Engine, account: AccountLid) -> Result<()> {
        if self.accounts.by_lid(account)?.log.homes().len() < 2 {
            return Ok(());
        }
        self.take_carried(engine, |lid, _| Ok(Reference::get(&*self.kv, lid)?.is_some_and(|reference| reference.actor == account)))
    }

    /// Takes in what a leaf says.
    fn take(&self, engine: &Engine, lid: Lid, payload: &Payload) -> Result<()> {
        if payload.kind == Kind::Name {
            return self.take_arrival(engine, payload.account);
        }
        if !matches!(payload.kind, Kind::Post | Kind::Comment | Kind::Profile | Kind::Retract) {
            return Ok(());
        }
        let Some(record) = payload.envelope.as_ref().and_then(|envelope| Record::open(envelope).ok()) else { return Ok(()) };
        let about = match &record.content {
            Content::Retract(retract) => Some(&retract.object),
            content => content.revises(),
        };
        let first = match about {
            Some(first) => Reference::find(&*self.kv, first)?.map(|(first, _)| first),
            None => Some(lid),
        };
        if payload.kind == Kind::Profile {
            self.take_author(engine, payload.account)?;
        }
        first.map_or(Ok(()), |first| self.take_again(engine, first))
    }

    /// Takes in a record as it is now.
    fn take_again(&self, engine: &Engine, first: Lid) -> Result<()> {
        match self.document(first)? {
            Indexed::Found(document) | Indexed::Withheld(document) => engine.write(|writer| writer.put(&document)),
            Indexed::Gone => self.remove(engine, first),
        }
    }

    fn remove(&self, engine: &Engine, first: Lid) -> Result<()> {
        let person = Reference::get(&*self.kv, first)?.filter(|reference| reference.kind == Kind::Profile).map(|reference| reference.actor);
        match person {
            // An earlier profile: the present one is what the person is found by.
            Some(account) if self.profile_of(account)?.is_some_and(|present| present != first) => Ok(()),
            Some(account) => engine.write(|writer| writer.remove(number_of(account))),
            None => engine.write(|writer| writer.remove(number(first))),
        }
    }

    /// Takes in all that somebody said whose mind about being found may have changed. That it has is seen in the index: what is withheld has no words.
    fn take_author(&self, engine: &Engine, account: AccountLid) -> Result<()> {
        let query = format!("from:{}", self.accounts.by_lid(account)?.address());
        let query = Query::parse(&query).map_err(|error| NodeError::refused(code::MALFORMED, error.to_string()))?;
        let withheld = self.is_withheld(account)?;
        let mut after = None;
        loop {
            let request = Request { after: after.as_ref(), ..said_by(&query, self.clock.now_ms()) };
            let answer = engine.index.search(&request).map_err(failed)?;
            for hit in &answer.hits {
                if let (Subject::Record(lid), true) = (subject(hit.no), (hit.length == 0) != withheld) {
                    self.take_again(engine, lid)?;
                }
            }
            after = answer.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Writes what is in memory, and ends. Blocks.
    pub(crate) fn close(&self) {
        let writer = self.engine.as_ref().and_then(|engine| lock(&engine.writer).take());
        if let Some(Err(error)) = writer.map(Writer::close) {
            // What it lacks is read again at the next start.
            tracing::warn!(error.message = %error, "search.not_closed");
        }
    }
}

/// All that a filter lets through, newest first.
fn said_by(query: &Query, now_ms: u64) -> Request<'_> {
    Request { query, matching: Match::Strict, sort: Sort::New, limit: PAGE_MAX, after: None, now_ms, statistics: None }
}

/// The end of the domain's own log.
const OWN_END: [u8; 8] = (1u64 << 40).to_be_bytes();

fn note(changed: &mut BTreeSet<Lid>, news: Option<News>) {
    if let Some(News::Notice { object, .. }) = news
        && changed.len() < RANKS_MAX
    {
        changed.insert(Lid(object.0));
    }
}
