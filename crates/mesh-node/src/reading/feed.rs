//! Feeds, merged on read: nothing is ever written once per follower.
//!
//! The newest place of each followed author lies in memory ([`crate::heads`]); a page takes the newest of them again and again, and seeks in the
//! store only for the authors that it took.

use crate::accounts::Account;
use crate::error::{NodeError, Result};
use crate::heads::{Heads, Place};
use crate::tables::account::following;
use crate::tables::codec::key_u64;
use crate::tables::{AccountLid, Lid};
use crate::views::{Views, decode_cursor};
use mesh_proto::api::FeedPage;
use mesh_proto::limits::PAGE_MAX;
use mesh_store::Kv;
use std::collections::BinaryHeap;
use std::sync::Arc;

pub use crate::tables::account::FOLLOWING_MAX;

/// The feed service.
pub struct Feed {
    pub(crate) kv: Arc<dyn Kv>,
    pub(crate) heads: Arc<Heads>,
    pub(crate) views: Arc<Views>,
}

impl Feed {
    /// One page of what an account of this domain follows, and of its own posts, newest first.
    pub async fn page(self: &Arc<Self>, reader: &Account, before: Option<String>, limit: usize) -> Result<FeedPage> {
        let limit = limit.clamp(1, PAGE_MAX);
        let before = before.as_deref().map(decode_cursor).transpose()?;
        let this = Arc::clone(self);
        let reader = reader.lid;
        let places =
            tokio::task::spawn_blocking(move || this.places(reader, before, limit + 1)).await.map_err(|_| NodeError::Stopping)??;
        self.views.page(places, limit).await
    }

    /// Whether what `author` publishes belongs into the reader's feed.
    pub fn concerns(&self, reader: AccountLid, author: AccountLid) -> Result<bool> {
        Ok(reader == author || crate::tables::account::follow(&*self.kv, reader, author)?)
    }

    fn places(&self, reader: AccountLid, before: Option<[u8; 16]>, limit: usize) -> Result<Vec<Place>> {
        let before = before
            .map(|cursor| Ok::<Place, NodeError>((key_u64(&cursor, 0, "cursor")?, Lid(key_u64(&cursor, 8, "cursor")?))))
            .transpose()?;
        let mut authors = following(&*self.kv, reader, FOLLOWING_MAX)?;
        authors.push(reader);
        let mut newest = BinaryHeap::with_capacity(authors.len());
        for author in authors {
            let place = match before {
                Some(before) => self.heads.before(author, before)?,
                None => self.heads.newest(author)?,
            };
            newest.extend(place.map(|place| (place, author)));
        }
        let mut places = Vec::with_capacity(limit);
        while let Some((place, author)) = newest.pop() {
            places.push(place);
            if places.len() == limit {
                break;
            }
            newest.extend(self.heads.seek(author, Some(place))?.map(|next| (next, author)));
        }
        Ok(places)
    }
}
