//! A flat page of comments as a tree: each below what it answers.
//!
//! Comments are nested at most [`DEPTH_MAX`] deep in markup, so that a long quarrel stays readable on a narrow screen; what lies deeper, and what
//! answers a comment of another page, is marked instead of nested.

use mesh_proto::envelope::RecordId;
use std::collections::BTreeMap;

/// Deepest nesting, the outermost comments being at 0.
pub(super) const DEPTH_MAX: usize = 5;

/// Where a comment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Which comment of the page.
    pub(super) position: usize,
    /// How deep it is nested.
    pub(super) depth: usize,
    /// What its nesting does not tell.
    pub(super) answers: Answers,
}

/// What a comment answers, as far as its nesting does not say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answers {
    /// What it is nested in.
    Outer,
    /// Another comment of this page.
    Comment(usize),
    /// A comment that is not on this page.
    Elsewhere,
}

/// Orders comments, given as id and parent, so that each follows what it answers; otherwise their order stays. Every comment appears once,
/// whatever the parents say.
pub(super) fn arrange(root: &RecordId, comments: &[(RecordId, Option<RecordId>)]) -> Vec<Place> {
    let positions: BTreeMap<&RecordId, usize> = comments.iter().enumerate().map(|(position, (id, _))| (id, position)).collect();
    let parent_of = |position: usize| comments[position].1.as_ref().and_then(|parent| positions.get(parent)).copied();
    let mut answers = vec![Vec::new(); comments.len()];
    let mut outermost = Vec::new();
    for position in 0..comments.len() {
        match parent_of(position).filter(|parent| *parent != position) {
            Some(parent) => answers[parent].push(position),
            None => outermost.push(position),
        }
    }
    let mut places = Vec::with_capacity(comments.len());
    let mut placed = vec![false; comments.len()];
    // Ids are hashes of what they name, so parents cannot go in circles; were it otherwise, the second pass would place what the first left out.
    for start in outermost.into_iter().chain(0..comments.len()) {
        let mut open = vec![(start, 0)];
        while let Some((position, level)) = open.pop() {
            if std::mem::replace(&mut placed[position], true) {
                continue;
            }
            let answers_to = match (&comments[position].1, parent_of(position)) {
                (None, _) => Answers::Outer,
                (Some(parent), None) if parent == root => Answers::Outer,
                (Some(_), None) => Answers::Elsewhere,
                (Some(_), Some(_)) if (1..=DEPTH_MAX).contains(&level) => Answers::Outer,
                (Some(_), Some(parent)) => Answers::Comment(parent),
            };
            places.push(Place { position, depth: level.min(DEPTH_MAX), answers: answers_to });
            open.extend(answers[position].iter().rev().map(|answer| (*answer, level + 1)));
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> RecordId {
        RecordId::from_hash([n; 32])
    }

    fn arranged(comments: &[(u8, u8)]) -> Vec<(u8, usize, Answers)> {
        let comments: Vec<_> = comments.iter().map(|(comment, parent)| (id(*comment), Some(id(*parent)))).collect();
        let places = arrange(&id(0), &comments);
        places.into_iter().map(|place| (comments[place.position].0.hash()[0], place.depth, place.answers)).collect()
    }

    #[test]
    fn answers_follow_what_they_answer() {
        let expected =
            [(1, 0, Answers::Outer), (3, 1, Answers::Outer), (4, 2, Answers::Outer), (5, 1, Answers::Outer), (2, 0, Answers::Outer)];
        assert_eq!(arranged(&[(1, 0), (2, 0), (3, 1), (4, 3), (5, 1)]), expected);
    }

    #[test]
    fn an_answer_to_a_comment_of_another_page_stands_outermost_and_is_marked() {
        assert_eq!(arranged(&[(1, 99), (2, 1)]), [(1, 0, Answers::Elsewhere), (2, 1, Answers::Outer)]);
    }

    #[test]
    fn deep_answers_are_flattened_and_marked() {
        let chain: Vec<_> = (1..=20).map(|n| (n, n - 1)).collect();
        let places = arranged(&chain);
        assert_eq!(places.len(), 20);
        assert_eq!(places[DEPTH_MAX], (DEPTH_MAX as u8 + 1, DEPTH_MAX, Answers::Outer));
        assert_eq!(places[DEPTH_MAX + 1], (DEPTH_MAX as u8 + 2, DEPTH_MAX, Answers::Comment(DEPTH_MAX)));
        assert!(places.iter().all(|(_, depth, _)| *depth <= DEPTH_MAX));
    }

    #[test]
    fn circles_lose_no_comment() {
        let mut ids: Vec<_> = arranged(&[(1, 2), (2, 1), (3, 3), (4, 0)]).into_iter().map(|(id, ..)| id).collect();
        ids.sort_unstable();
        assert_eq!(ids, [1, 2, 3, 4]);
    }
}
