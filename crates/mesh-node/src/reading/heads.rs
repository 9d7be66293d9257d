//! Author heads: the newest place of each followed author's timeline, in a bounded table in memory, so that a feed seeks only where it must.

use crate::error::Result;
use crate::tables::codec::key_u64;
use crate::tables::{AccountLid, Lid, account_place_key};
use mesh_store::{KeyRange, Kv, Order, Space};
use quick_cache::sync::Cache;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A place in a timeline.
pub(crate) type Place = (u64, Lid);

/// The table of author heads.
pub struct Heads {
    kv: Arc<dyn Kv>,
    cache: Cache<AccountLid, Option<Place>>,
    /// Counts the changes to a share of the authors, so that nobody remembers what was read before one.
    changes: [AtomicU64; SHARES],
}

/// Into how many shares authors are divided for counting changes.
const SHARES: usize = 64;

/// Bytes that one remembered head costs, about.
const HEAD_BYTES: u64 = 96;

impl Heads {
    pub(crate) fn new(kv: Arc<dyn Kv>, bytes_max: u64) -> Self {
        Self { kv, cache: Cache::new((bytes_max / HEAD_BYTES) as usize), changes: [const { AtomicU64::new(0) }; SHARES] }
    }

    /// The newest place of an author's timeline.
    pub(crate) fn newest(&self, author: AccountLid) -> Result<Option<Place>> {
        if let Some(known) = self.cache.get(&author) {
            return Ok(known);
        }
        let before = self.changes(author).load(Ordering::Acquire);
        let newest = self.seek(author, None)?;
        self.cache.insert(author, newest);
        if self.changes(author).load(Ordering::Acquire) != before {
            self.cache.remove(&author);
        }
        Ok(newest)
    }

    fn changes(&self, author: AccountLid) -> &AtomicU64 {
        &self.changes[author.0 as usize % SHARES]
    }

    /// The newest place of an author's timeline before another one.
    pub(crate) fn before(&self, author: AccountLid, before: Place) -> Result<Option<Place>> {
        match self.newest(author)? {
            Some(newest) if newest >= before => self.seek(author, Some(before)),
            other => Ok(other),
        }
    }

    /// Reads the timeline.
    pub(crate) fn seek(&self, author: AccountLid, before: Option<Place>) -> Result<Option<Place>> {
        let mut range = KeyRange::prefix(author.0.to_be_bytes());
        if let Some((received, lid)) = before {
            range = range.before(account_place_key(author, received, lid));
        }
        let rows = self.kv.scan(Space::Timeline, &range, Order::Backward, 1)?;
        rows.first().map(|(key, _)| Ok((key_u64(key, 8, "timeline")?, Lid(key_u64(key, 16, "timeline")?)))).transpose()
    }

    /// Notes a new place. An author who is not remembered is read when asked for.
    pub(crate) fn advance(&self, author: AccountLid, place: Place) {
        self.changes(author).fetch_add(1, Ordering::Release);
        if let Some(known) = self.cache.get(&author)
            && known.is_none_or(|known| known < place)
        {
            self.cache.insert(author, Some(place));
        }
    }

    /// Forgets an author whose newest place may be gone.
    pub(crate) fn forget(&self, author: AccountLid) {
        self.changes(author).fetch_add(1, Ordering::Release);
        self.cache.remove(&author);
    }
}
