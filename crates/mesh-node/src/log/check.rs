//! Whether a store is whole and agrees with itself: every row is read, and the logs are counted up again from their first leaves. What other domains have is compared by
//! [`crate::healing`].

use super::{Part, TILE_HEIGHT};
use crate::error::Result;
use crate::tables::codec::key_u64;
use crate::tables::payload::Payload;
use crate::tables::{Lid, OWN};
use crate::{Node, NodeError};
use mesh_proto::bytes::Hash;
use mesh_proto::log::{Checkpoint, Opening, Tree, entry_hash};
use mesh_store::{KeyRange, Order, Space, StoreError};

/// Rows looked at in one go.
const ROWS_AT_ONCE: usize = 1_000;

/// What was looked at and found good.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checked {
    /// Rows of all spaces.
    pub rows: u64,
    /// Leaves of all logs of this domain.
    pub leaves: u64,
    /// Leaves whose openings are kept.
    pub openings: u64,
}

impl Node {
    /// Looks at everything that is stored; the domain must not be at work. `told` hears how many rows were looked at. Blocks, long on a large store.
    ///
    /// # Errors
    /// `Store`, with a [`StoreError::Corrupt`] that says what does not fit.
    pub fn check(&self, told: &mut dyn FnMut(u64)) -> Result<Checked> {
        let mut checked = Checked::default();
        for space in Space::ALL {
            let mut range = KeyRange::all();
            loop {
                let rows = self.kv().scan(*space, &range, Order::Forward, ROWS_AT_ONCE)?;
                checked.rows += rows.len() as u64;
                told(checked.rows);
                match rows.last() {
                    Some((last, _)) if rows.len() == ROWS_AT_ONCE => range = range.after(last),
                    _ => break,
                }
            }
        }
        for (base, _) in self.log.origins() {
            self.check_log(&self.log.part(base), &mut checked)?;
        }
        Ok(checked)
    }

    /// Counts a log up and compares it with its tiles, its openings, and the notes that were shown of it.
    fn check_log(&self, part: &Part, checked: &mut Checked) -> Result<()> {
        let witnessed = self.log.witnessed().filter(|_| part.base == self.log.base());
        let mut tree = Tree::default();
        while tree.size() < part.head.size {
            let from = part.base + tree.size();
            let to = (from + ROWS_AT_ONCE as u64).min(part.base + part.head.size);
            self.check_openings(from, to, checked)?;
            for (number, entry) in self.entries_between(from, to)?.into_iter().enumerate() {
                let mut tiles = Vec::new();
                tree.push(entry_hash(&entry), |height, index, hash| {
                    if height > 0 && height % TILE_HEIGHT == 0 {
                        tiles.push((height, index, *hash));
                    }
                });
                for (height, index, hash) in tiles {
                    let key = [&[height as u8][..], &(part.base + index).to_be_bytes()].concat();
                    if self.kv().get(Space::LogNode, &key)?.as_deref() != Some(&hash.0[..]) {
                        return Err(wrong(format!(
                            "the hash at height {height} over leaf {} of {} does not fit",
                            from + number as u64,
                            part.origin
                        )));
                    }
                }
                if let Some(witnessed) = &witnessed
                    && witnessed.size == tree.size()
                {
                    self.check_note(part, &witnessed.note, &tree)?;
                }
            }
            checked.leaves += to - from;
        }
        if part.head.size > 0 { self.check_note(part, &part.head.note, &tree) } else { Ok(()) }
    }

    /// Whether a note that was shown of a log is of this tree.
    fn check_note(&self, part: &Part, note: &str, tree: &Tree) -> Result<()> {
        let shown = Checkpoint::unverified(note, &part.origin).ok().filter(|shown| shown.size == tree.size() && shown.root == tree.root());
        shown
            .map(drop)
            .ok_or_else(|| wrong(format!("the checkpoint of {} leaves of {} is not that of its leaves", tree.size(), part.origin)))
    }

    fn entries_between(&self, from: u64, to: u64) -> Result<Vec<Hash>> {
        let rows =
            self.kv().scan(Space::LogEntry, &KeyRange::between(from.to_be_bytes(), to.to_be_bytes()), Order::Forward, ROWS_AT_ONCE)?;
        let entries: Vec<Hash> = rows.iter().filter_map(|(_, row)| row.as_ref().try_into().ok().map(Hash)).collect();
        if entries.len() as u64 == to - from { Ok(entries) } else { Err(wrong(format!("of the leaves {from} to {to} some are missing"))) }
    }

    /// Whether what is kept of leaves is what they stand for.
    fn check_openings(&self, from: u64, to: u64, checked: &mut Checked) -> Result<()> {
        let range = KeyRange::between(Lid::new(OWN, from).key(), Lid::new(OWN, to).key());
        for (key, row) in self.kv().scan(Space::Payload, &range, Order::Forward, ROWS_AT_ONCE)? {
            let Some(payload) = Payload::decode(&row)? else { continue };
            let account = self.accounts.by_lid(payload.account)?.id();
            let opening = Opening { salt: payload.salt, record: payload.record, account, kind: payload.kind, received: payload.received };
            let leaf = key_u64(&key, 0, "payload")?;
            if self.kv().get(Space::LogEntry, &leaf.to_be_bytes())?.as_deref() != Some(&opening.entry().0[..]) {
                return Err(wrong(format!("what is kept of leaf {leaf} is not what it stands for")));
            }
            if payload.envelope.is_some_and(|envelope| envelope.id() != payload.record) {
                return Err(wrong(format!("the record of leaf {leaf} was changed")));
            }
            checked.openings += 1;
        }
        Ok(())
    }
}

fn wrong(what: String) -> NodeError {
    NodeError::Store(StoreError::Corrupt { what, advice: "Use another backup" })
}
