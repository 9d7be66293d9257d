//! Author heads: the newest place of each followed author's timeline, in a bounded table in memory, so that a feed seeks only where it must.

use crate::error::Result;
use crate::tables::codec::key_u64;
use crate::tables::{AccountLid, Lid, account_place_key};
use mesh_store::{KeyRange, Kv, Order, Space};
use quick_cache::sync::Cache;
use std::sync::Arc;

/// A place in a timeline.
pub(crate) type Place = (u64, Lid);

/// The table of author heads.
pub struct Heads {
    kv: Arc<dyn Kv>,
    cache: Cache<AccountLid, Option<Place>>,
}

/// Bytes that one remembered head costs, about.
const HEAD_BYTES: u64 = 96;

impl Heads {
    pub(crate) fn new(kv: Arc<dyn Kv>, bytes_max: u64) -> Self {
        Self { kv, cache: Cache::new((bytes_max / HEAD_BYTES) as usize) }
    }

    /// The newest place of an author's timeline.
    pub(crate) fn newest(&self, author: AccountLid) -> Result<Option<Place>> {
        self.cache.get_or_insert_with(&author, || self.seek(author, None))
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
        if let Some(known) = self.cache.get(&author)
            && known.is_none_or(|known| known < place)
        {
            self.cache.insert(author, Some(place));
        }
    }

    /// Forgets an author whose newest place may be gone.
    pub(crate) fn forget(&self, author: AccountLid) {
        self.cache.remove(&author);
    }
}
