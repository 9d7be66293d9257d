//! Stores: every text says whose it is, so that a look into all rows shows whether a foreign one lies where none may. A domain may have the texts of those who
//! live or lived there, and of those of whom it agreed to keep a copy.

use crate::Sabotage;
use crate::acts::marker;
use crate::hostile::FORGED;
use crate::oracle::Who;
use crate::wire::Place;
use crate::world::World;
use memchr::memmem;
use mesh_proto::bytes::base64url;
use mesh_store::{Batch, KeyRange, Order, Space};
use std::collections::BTreeSet;

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
        let kept = self.kept_at(place);
        for at in memmem::find_iter(&all, begin) {
            // Three bytes of a hash may be alike; a whole marker is not chance.
            if !matches!(all.get(at + 3..at + 6), Some([tens, ones, b'~']) if tens.is_ascii_digit() && ones.is_ascii_digit()) {
                continue;
            }
            let theirs = speaker(&all[at + own.len()..]).is_some_and(|who| kept.contains(&who));
            if theirs {
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

    /// Whose texts a domain may have.
    fn kept_at(&self, place: Place) -> BTreeSet<Who> {
        let people = self.oracle.people.iter().enumerate();
        people.filter(|(_, person)| person.homes.contains(&place) || person.copies.contains(&place)).map(|(who, _)| who).collect()
    }

    /// Breaks a row, so that it can be seen whether it is seen.
    pub(super) fn sabotage_rows(&mut self, sabotage: Option<Sabotage>) {
        let honest = self.honest();
        // Where most is counted.
        let counted = |place: &Place| self.homes[*place].node().map_or(0, |node| scan(node, Space::Count).len());
        let Some(place) = honest.iter().copied().max_by_key(counted) else { return };
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
            _ => return,
        }
        node.kv().commit(batch).wait().expect("the store takes it");
    }
}

/// Who says what follows a marker.
fn speaker(text: &[u8]) -> Option<Who> {
    let number: Vec<u8> = text.strip_prefix(b" said by p")?.iter().copied().take_while(u8::is_ascii_digit).collect();
    String::from_utf8(number).ok()?.parse().ok()
}

/// All rows of a space, to be changed.
pub(super) fn scan(node: &mesh_node::Node, space: Space) -> Vec<(Vec<u8>, Vec<u8>)> {
    let rows = node.kv().scan(space, &KeyRange::all(), Order::Forward, usize::MAX).unwrap_or_default();
    rows.into_iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}

/// Whether a text lies there as it is.
fn contains(all: &[u8], text: &str) -> bool {
    memmem::find(all, text.as_bytes()).is_some()
}
