//! A flat list of comments as a tree: who answers whom.

use mesh_proto::envelope::RecordId;
use std::collections::{BTreeMap, BTreeSet};

/// Where a comment stands in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its index in the flat list.
    pub index: usize,
    /// How deep it stands; answers to the root have depth 0.
    pub depth: usize,
}

/// Orders comments, given as (id, parent), so that every answer follows what it answers; siblings keep their order. Answers to what is not in
/// the list stand at the top. Nothing is lost, whatever the parents say: members of a circle stand at the top too.
pub fn order(comments: &[(RecordId, Option<RecordId>)]) -> Vec<Place> {
    let known: BTreeSet<RecordId> = comments.iter().map(|(id, _)| *id).collect();
    let mut children: BTreeMap<RecordId, Vec<usize>> = BTreeMap::new();
    let mut tops = Vec::new();
    for (index, (id, parent)) in comments.iter().enumerate() {
        match parent.filter(|parent| parent != id && known.contains(parent)) {
            Some(parent) => children.entry(parent).or_default().push(index),
            None => tops.push(index),
        }
    }
    let mut placed = vec![false; comments.len()];
    let mut places = Vec::with_capacity(comments.len());
    for top in tops.into_iter().chain(0..comments.len()) {
        let mut open = vec![Place { index: top, depth: 0 }];
        while let Some(place) = open.pop() {
            if std::mem::replace(&mut placed[place.index], true) {
                continue;
            }
            places.push(place);
            let below = children.get(&comments[place.index].0).map_or(&[][..], Vec::as_slice);
            open.extend(below.iter().rev().map(|index| Place { index: *index, depth: place.depth + 1 }));
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(comments: &[(u8, u8)], expected: &[(u8, usize)]) {
        let id = |byte| RecordId::from_hash([byte; 32]);
        let comments: Vec<_> = comments.iter().map(|(own, parent)| (id(*own), Some(id(*parent)))).collect();
        let got: Vec<_> = order(&comments).iter().map(|place| (comments[place.index].0.hash()[0], place.depth)).collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn answers_follow_what_they_answer() {
        check(&[(1, 0), (2, 0), (3, 1), (4, 2), (5, 1), (6, 3)], &[(1, 0), (3, 1), (6, 2), (5, 1), (2, 0), (4, 1)]);
    }

    #[test]
    fn nothing_is_lost_in_circles_or_without_a_parent() {
        check(&[(1, 2), (2, 1), (3, 9), (4, 4)], &[(3, 0), (4, 0), (1, 0), (2, 1)]);
    }
}
