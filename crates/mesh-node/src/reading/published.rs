//! What people of this domain published, all of them together: newest first, by tag, and in parts for search engines.
//!
//! The lists in the store are hints, made when a post or an edit is accepted and taken away with it. What is read here is what stands now: a post that was
//! withdrawn, hidden or closed, or whose present version lacks the tag, is left out whatever the list says.

use crate::Ports;
use crate::accounts::{Account, Accounts};
use crate::error::{NodeError, Result};
use crate::index::current_version;
use crate::rulings::Rulings;
use crate::tables::codec::key_u64;
use crate::tables::payload::Payload;
use crate::tables::published::{List, Row, put};
use crate::tables::reference::{Reference, Standing};
use crate::tables::{AccountLid, Lid};
use crate::views::{Views, cut, decode_cursor, encode_cursor};
use mesh_proto::api::{FeedPage, RecordView};
use mesh_proto::envelope::{Kind, RecordId};
use mesh_proto::keylog::Status;
use mesh_proto::limits::PAGE_MAX;
use mesh_proto::port::Clock;
use mesh_proto::record::{Content, Post, Record, Terms, tag};
use mesh_store::{Batch, KeyRange, Kv, Order, Place, Read, Space};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

/// How often one page looks for more after it left something out.
const ROUNDS_MAX: usize = 4;
/// Posts from one mark to the next. Imports may add some between two marks.
const PART_POSTS: usize = 20_000;
/// Most posts of one part: a site map holds 50,000 addresses (sitemaps.org), and each post may have an author of its own.
pub const PART_POSTS_MAX: usize = 25_000;
/// Most parts: what one index of site maps may hold.
const PARTS_MAX: usize = 50_000;
/// How often longer than a look at all parts takes nobody takes another one.
const LOOKS_APART: u64 = 10;
/// Rows read at once where all are read.
const ROWS: usize = 1_000;
/// How the lists are made. Another number here makes them anew.
const LAYOUT: &[u8] = b"1";

/// The service.
pub struct Published {
    kv: Arc<dyn Kv>,
    accounts: Arc<Accounts>,
    views: Arc<Views>,
    rulings: Arc<Rulings>,
    clock: Arc<dyn Clock>,
    parts: Mutex<Parts>,
}

/// The parts, as far as they are known.
#[derive(Default)]
struct Parts {
    /// Where they begin.
    marks: Vec<Vec<u8>>,
    looked: Option<Looked>,
}

/// What a look at all parts told.
struct Looked {
    /// When something was last published or edited in each, if anything is in it.
    modified: Vec<Option<u64>>,
    /// The moment of the store before it was read.
    moment: u64,
    /// Until when nobody looks again, milliseconds since the epoch.
    until_ms: u64,
}

/// A post for search engines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The user part of its author's address.
    pub user: String,
    /// Its id.
    pub id: RecordId,
    /// When its present version was received, milliseconds since the epoch.
    pub modified: u64,
}

impl Published {
    pub(crate) fn new(ports: &Ports, (accounts, rulings): (Arc<Accounts>, Arc<Rulings>), views: Arc<Views>) -> Self {
        let (kv, clock) = (Arc::clone(&ports.kv), Arc::clone(&ports.clock));
        Self { kv, accounts, views, rulings, clock, parts: Mutex::default() }
    }

    /// One page of what was published here, newest first; with a tag only what bears it.
    pub async fn page(self: &Arc<Self>, tag: Option<&str>, before: Option<String>, limit: usize) -> Result<FeedPage> {
        let tag = tag.map(tag::folded);
        let list = tag.as_deref().map_or(List::all(), List::tagged);
        let limit = limit.clamp(1, PAGE_MAX);
        let mut range = KeyRange::prefix(list.prefix());
        if let Some(before) = before {
            range = range.before([&list.prefix()[..], &decode_cursor(&before)?].concat());
        }
        let mut items = Vec::new();
        for _ in 0..ROUNDS_MAX {
            let wanted = limit - items.len();
            let this = Arc::clone(self);
            let asked = range.clone();
            let rows = tokio::task::spawn_blocking(move || this.kv.scan(Space::Published, &asked, Order::Backward, wanted + 1));
            let (rows, more) = cut(rows.await.map_err(|_| NodeError::Stopping)??, wanted);
            let places = rows.iter().map(|(key, value)| Ok(Row::decode(key, value)?.place)).collect::<Result<Vec<_>>>()?;
            let views = self.views.records(places.iter().map(|(_, lid)| *lid).collect()).await?;
            items.extend(views.into_iter().filter(|view| self.stands(view, tag.as_deref())));
            let Some((last, _)) = rows.last().filter(|_| more) else { return Ok(FeedPage { items, next: None }) };
            range = range.before(last);
            if items.len() == limit {
                break;
            }
        }
        let next = match range.end() {
            std::ops::Bound::Excluded(last) => Some(encode_cursor(key_u64(last, 8, "published")?, Lid(key_u64(last, 16, "published")?))),
            _ => None,
        };
        Ok(FeedPage { items, next })
    }

    /// Whether a post is to be read here, and bears a tag.
    fn stands(&self, view: &RecordView, tag: Option<&str>) -> bool {
        let author = self.accounts.get(&view.card.actor).ok().flatten();
        if view.card.disowned || author.is_none_or(|author| !self.is_read_here(&author)) {
            return false;
        }
        let record = view.record.as_ref().and_then(|logged| Record::open(&logged.envelope).ok());
        match record.map(|record| record.content) {
            Some(Content::Post(post)) => post.terms == Terms::Free && tag.is_none_or(|tag| tag::of_post(&post).contains(tag)),
            _ => false,
        }
    }

    fn is_read_here(&self, author: &Account) -> bool {
        self.accounts.lives_here(author)
            && matches!(author.log.view().status(), Status::Active | Status::Frozen)
            && !self.rulings.hides_account(author)
    }

    /// The parts into which all posts are divided: when something was last published or edited in each, if anything is left of it. Blocks.
    ///
    /// That takes a look at every row: who asks again sooner than after [`LOOKS_APART`] times as long as it took is told the same.
    pub fn parts(&self) -> Result<Vec<Option<u64>>> {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let (started_ms, moment) = (self.clock.now_ms(), self.kv.changes().now());
        if let Some(looked) = &parts.looked
            && (started_ms < looked.until_ms || !self.kv.changes().any_since(looked.moment, &[Place::of_space(Space::Published)]))
        {
            return Ok(looked.modified.clone());
        }
        self.mark(&mut parts.marks)?;
        let newest = |number| {
            let rows = self.kv.scan(Space::Published, &range(&parts.marks, number), Order::Forward, PART_POSTS_MAX)?;
            rows.iter().try_fold(None, |newest, (key, value)| Ok(newest.max(Some(Row::decode(key, value)?.modified))))
        };
        let modified = (0..parts.marks.len()).map(newest).collect::<Result<Vec<_>>>()?;
        let ended_ms = self.clock.now_ms();
        let until_ms = ended_ms + ended_ms.saturating_sub(started_ms) * LOOKS_APART;
        parts.looked = Some(Looked { modified: modified.clone(), moment, until_ms });
        Ok(modified)
    }

    /// Finds where parts begin that are not known yet.
    fn mark(&self, marks: &mut Vec<Vec<u8>>) -> Result<()> {
        let all = KeyRange::prefix(List::all().prefix());
        while marks.len() < PARTS_MAX {
            let rows = match marks.last() {
                None => self.kv.scan(Space::Published, &all, Order::Forward, 1)?,
                Some(mark) => self.kv.scan(Space::Published, &all.clone().after(mark), Order::Forward, PART_POSTS)?,
            };
            match rows.last() {
                Some((last, _)) if marks.is_empty() || rows.len() == PART_POSTS => marks.push(last.to_vec()),
                _ => break,
            }
        }
        Ok(())
    }

    /// The posts of a part, oldest first. Blocks.
    pub fn part(&self, number: usize) -> Result<Vec<Listed>> {
        let range = {
            let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
            self.mark(&mut parts.marks)?;
            if number >= parts.marks.len() {
                return Err(NodeError::NotFound("part"));
            }
            range(&parts.marks, number)
        };
        let rows = self.kv.scan(Space::Published, &range, Order::Forward, PART_POSTS_MAX)?;
        let mut authors: HashMap<AccountLid, Option<Arc<Account>>> = HashMap::new();
        let mut posts = Vec::with_capacity(rows.len());
        for rows in rows.chunks(ROWS) {
            let rows = rows.iter().map(|(key, value)| Row::decode(key, value)).collect::<Result<Vec<_>>>()?;
            let keys: Vec<[u8; 8]> = rows.iter().map(|row| row.place.1.key()).collect();
            let keys: Vec<&[u8]> = keys.iter().map(<[u8; 8]>::as_slice).collect();
            for (row, reference) in rows.iter().zip(self.kv.multi_get(Space::Reference, &keys)?) {
                let Some(reference) = reference.map(|row| Reference::decode(&row)).transpose()? else { continue };
                if reference.standing != Standing::Live {
                    continue;
                }
                let author = match authors.entry(reference.actor) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(new) => {
                        new.insert(Some(self.accounts.by_lid(reference.actor)?).filter(|author| self.is_read_here(author)))
                    }
                };
                let shown = author.as_ref().filter(|author| !self.rulings.hides(&reference, author));
                let user = shown.map(|author| author.address().user().to_string());
                posts.extend(user.map(|user| Listed { user, id: reference.id, modified: row.modified }));
            }
        }
        Ok(posts)
    }
}

/// The rows of the part that begins at the mark with this number.
fn range(marks: &[Vec<u8>], number: usize) -> KeyRange {
    let all = KeyRange::prefix(List::all().prefix());
    match (marks.get(number), marks.get(number + 1)) {
        (Some(start), Some(end)) => KeyRange::between(start.clone(), end.clone()),
        (Some(start), None) => KeyRange::new(std::ops::Bound::Included(start.clone()), all.end().map(<[u8]>::to_vec)),
        (None, _) => all,
    }
}

/// Makes the lists of a store that another version wrote. Blocks.
pub(crate) fn prepare(kv: &dyn Kv) -> Result<()> {
    if kv.get(Space::Meta, b"published_layout")?.is_some_and(|layout| layout == LAYOUT) {
        return Ok(());
    }
    let mut range = KeyRange::all();
    let mut listed = 0u64;
    loop {
        let rows = kv.scan(Space::Payload, &range, Order::Forward, ROWS)?;
        let mut batch = Batch::new();
        for (key, row) in &rows {
            let lid = Lid(key_u64(key, 0, "payload")?);
            if Payload::owner(row)?.is_some_and(|(kind, _)| kind == Kind::Post)
                && let Some((reference, post, modified)) = present(kv, lid)?
            {
                put(&mut batch, &post, (reference.received, lid), modified);
                listed += 1;
            }
        }
        let Some((last, _)) = rows.last() else { break };
        range = range.after(last);
        kv.commit(batch).wait()?;
    }
    let mut batch = Batch::new();
    batch.put(Space::Meta, "published_layout", LAYOUT);
    kv.commit(batch).wait()?;
    if listed > 0 {
        tracing::info!(posts = listed, "published.listed");
    }
    Ok(())
}

/// The present version of the post whose first version is at a place, if it stands.
fn present(read: &dyn Read, lid: Lid) -> Result<Option<(Reference, Post, u64)>> {
    let Some(reference) = Reference::get(read, lid)?.filter(|reference| reference.standing == Standing::Live) else { return Ok(None) };
    let Some(payload) = Payload::get(read, current_version(read, lid)?)? else { return Ok(None) };
    let record = payload.envelope.and_then(|envelope| Record::open(&envelope).ok());
    match record.map(|record| record.content) {
        Some(Content::Post(post)) => Ok(Some((reference, post, payload.received))),
        _ => Ok(None),
    }
}
