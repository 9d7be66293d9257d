//! Stores: every text says whose it is, so that a look into all rows shows whether a foreign one lies where none may.

use crate::Sabotage;
use crate::acts::marker;
use crate::hostile::FORGED;
use crate::wire::Place;
use crate::world::World;
use memchr::memmem;
use mesh_proto::bytes::base64url;
use mesh_store::{Batch, KeyRange, Order, Space};

/// Where foreign text may lie: it can go at any time, and is authority for nothing.
const CACHE: &[Space] = &[Space::Cache];

impl World {
    /// Looks into the stores of all honest domains.
    pub(super) fn check_stores(&mut self) {
        for place in self.honest() {
            for space in Space::ALL {
                self.check_space(place, *space);
            }
        }
    }

    fn check_space(&mut self, place: Place, space: Space) {
        let Some(node) = self.homes[place].node() else { return };
        let rows = node.kv().scan(space, &KeyRange::all(), Order::Forward, usize::MAX).unwrap_or_default();
        let mut all = Vec::new();
        for (key, value) in rows {
            all.extend_from_slice(&key);
            all.push(0);
            all.extend_from_slice(&value);
            all.push(0);
        }
        if contains(&all, FORGED) {
            self.violation(place, format!("holds in {} what was forged", space.name()));
        }
        let own = marker(place);
        let begin = &own.as_bytes()[..3];
        for at in memmem::find_iter(&all, begin) {
            // Three bytes of a hash may be alike; a whole marker is not chance.
            if !matches!(all.get(at + 3..at + 6), Some([tens, ones, b'~']) if tens.is_ascii_digit() && ones.is_ascii_digit()) {
                continue;
            }
            if all[at..].starts_with(own.as_bytes()) {
                self.seen.own_texts += 1;
            } else if !CACHE.contains(&space) {
                let text = String::from_utf8_lossy(&all[at..all.len().min(at + 40)]).into_owned();
                self.violation(place, format!("holds in {} a text of foreign people: {text}", space.name()));
            }
        }
        // As JSON carries an envelope: what lies in it can begin at any of three places.
        let carried = (0..3).any(|shift| {
            let text = base64url(&[&b"   "[..shift], b"said by p"].concat());
            memmem::find(&all, &text.as_bytes()[4..text.len() - 1]).is_some()
        });
        if carried {
            self.violation(place, format!("holds in {} a carried text", space.name()));
        }
    }

    /// Breaks a row, so that it can be seen whether it is seen.
    pub(super) fn sabotage_rows(&mut self, sabotage: Option<Sabotage>) {
        let honest = self.honest();
        let Some(place) = honest.first().copied() else { return };
        let Some(node) = self.homes[place].node() else { return };
        let mut batch = Batch::new();
        match sabotage {
            Some(Sabotage::ForeignText) => drop(batch.put(Space::Meta, "sabotage", format!("{} said by nobody", marker(place + 1)))),
            Some(Sabotage::CounterIsWrong) => {
                for (key, _) in scan(node, Space::Count) {
                    batch.add(Space::Count, key, 1);
                }
            }
            Some(Sabotage::WordsAreChanged) => {
                for (key, mut row) in scan(node, Space::Payload) {
                    if let Some(at) = memmem::find(&row, b"said by") {
                        row[at..at + 4].copy_from_slice(b"lied");
                        batch.put(Space::Payload, key, row);
                    }
                }
            }
            Some(Sabotage::LikesAreKept) | None => {}
        }
        node.kv().commit(batch).wait().expect("the store takes it");
    }
}

/// All rows of a space, to be changed.
fn scan(node: &mesh_node::Node, space: Space) -> Vec<(Vec<u8>, Vec<u8>)> {
    let rows = node.kv().scan(space, &KeyRange::all(), Order::Forward, usize::MAX).unwrap_or_default();
    rows.into_iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}

/// Whether a text lies there as it is.
fn contains(all: &[u8], text: &str) -> bool {
    memmem::find(all, text.as_bytes()).is_some()
}
