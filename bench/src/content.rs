//! What people do, in which proportions, to what.

use crate::people::mixed;
use mesh_proto::record::{AccountRef, Comment, Content, Like, ObjectRef, Post, Subscribe, Terms};
use std::fmt;

/// Out of a hundred statements; the rest are subscriptions.
#[derive(Clone, Copy)]
pub(crate) struct Mix {
    pub(crate) posts: u64,
    pub(crate) likes: u64,
    pub(crate) comments: u64,
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subscribes = 100 - self.posts - self.likes - self.comments;
        write!(f, "{} % posts, {} % likes, {} % comments, {subscribes} % subscriptions", self.posts, self.likes, self.comments)
    }
}

/// What there is to act on.
pub(crate) struct Objects {
    pub(crate) posts: Vec<ObjectRef>,
    pub(crate) people: Vec<AccountRef>,
}

impl Mix {
    /// Nothing but posts.
    pub(crate) const POSTS: Self = Self { posts: 100, likes: 0, comments: 0 };

    /// The `turn`-th statement of a person, who starts anywhere. One person hardly ever acts twice on the same object.
    pub(crate) fn content(&self, objects: &Objects, start: u64, turn: u64) -> Content {
        let chance = mixed(start ^ turn);
        // 7 divides neither number of objects, so that a walk in steps of it sees all of them.
        let post = || objects.posts[((start % (1 << 32) + turn * 7) % objects.posts.len() as u64) as usize].clone();
        match chance % 100 {
            part if part < self.posts => Content::Post(Post::free(text(chance, 40))),
            part if part < self.posts + self.likes => Content::Like(Like { object: post() }),
            part if part < self.posts + self.likes + self.comments => comment(post(), chance),
            _ => {
                let person = ((start % (1 << 32) + turn * 7) % objects.people.len() as u64) as usize;
                Content::Subscribe(Subscribe { object: objects.people[person].clone() })
            }
        }
    }
}

/// A comment of some words.
pub(crate) fn comment(object: ObjectRef, chance: u64) -> Content {
    Content::Comment(Comment {
        root: object.clone(),
        parent: object,
        text: text(chance, 20),
        lang: None,
        terms: Terms::Free,
        revises: None,
    })
}

const WORDS: [&str; 32] = [
    "the", "river", "was", "quiet", "again", "after", "rain", "and", "nobody", "had", "seen", "a", "boat", "since", "morning", "so", "we",
    "walked", "home", "by", "road", "talking", "of", "bread", "engines", "old", "songs", "how", "far", "it", "is", "winter",
];

/// Up to `words_max` words.
fn text(chance: u64, words_max: u64) -> String {
    let count = 4 + chance % (words_max - 4);
    let words = (0..count).map(|at| WORDS[(mixed(chance ^ at) % WORDS.len() as u64) as usize]);
    words.collect::<Vec<_>>().join(" ")
}
