//! What is stored of the log of a domain: how far it is known, under which checkpoint, and when it was how large.

use crate::dating::Dates;
use crate::error::Result;
use crate::peers::Peers;
use crate::pin::Pin;
use crate::tables::OriginNo;
use crate::tables::codec::Reader;
use mesh_store::{Kv, Read, Space};
use std::collections::BTreeMap;

/// What is stored of a log.
pub(super) struct Stored {
    pub(super) origin: OriginNo,
    /// The highest leaf of which there is a reference.
    pub(super) last_leaf: Option<u64>,
    /// Everything of interest below it is here.
    pub(super) watermark: u64,
    /// The newest checkpoint.
    pub(super) pin: Pin,
    /// Of its times.
    pub(super) dates: Dates,
    /// Of what lies beyond: where parts begin and end that are here whole.
    ahead: BTreeMap<u64, u64>,
}

/// Parts of a log beyond the watermark that are remembered.
const AHEAD_MAX: usize = 64;

impl Stored {
    pub(super) fn read(kv: &dyn Kv, peers: &Peers, origin: OriginNo) -> Result<Self> {
        let pin = Pin::read(kv, peers, origin)?;
        let last_leaf = peers.last_leaf(origin)?;
        let dates = Dates::of(kv, peers, origin)?;
        Ok(Self { origin, last_leaf, watermark: watermark(kv, origin)?, pin, dates, ahead: BTreeMap::new() })
    }

    /// Notes that all of interest from `since` to `end` is here; answers whether the watermark moved.
    pub(super) fn cover(&mut self, since: Option<u64>, end: u64) -> bool {
        let Some(since) = since else { return false };
        let before = self.watermark;
        if since <= end && self.ahead.len() < AHEAD_MAX {
            let known = self.ahead.entry(since).or_insert(end);
            *known = end.max(*known);
        } else if since <= before {
            self.watermark = before.max(end);
        }
        while let Some(part) = self.ahead.first_entry().filter(|part| *part.key() <= self.watermark) {
            self.watermark = self.watermark.max(part.remove());
        }
        self.watermark > before
    }
}

pub(super) fn watermark(read: &dyn Read, origin: OriginNo) -> Result<u64> {
    let row = read.get(Space::Watermark, &origin.0.to_be_bytes())?;
    Ok(row.map_or(Ok(0), |row| Reader::new(&row, "watermark").u64())?)
}
