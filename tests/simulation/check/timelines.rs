//! Timelines and feeds: a domain where someone follows an author shows exactly what that author's home shows.
//!
//! Promised is: what was published while the subscription was known at the author's home, and of what was there before, the newest twenty. In a run an
//! author publishes fewer, so that whoever follows at the end sees everything; where an author has more, nothing is compared. What was withdrawn is shown
//! nowhere, whoever follows. Profiles are not compared: who begins to follow is not sent the profile.

use crate::acts::is_first;
use crate::oracle::{Expected, Who};
use crate::wire::Place;
use crate::world::World;
use mesh_proto::api::FeedPage;
use mesh_proto::envelope::{Kind, RecordId};
use mesh_proto::record::Content;
use std::collections::{BTreeMap, BTreeSet};

/// Newest things of an author that a domain is sent with its first subscription.
const BACKFILL: usize = 20;

impl World {
    /// Compares what each honest domain shows of each honest author.
    pub(super) async fn check_timelines(&mut self) {
        for author in 0..self.oracle.people.len() {
            if self.oracle.is_honest(author) && self.oracle.people[author].closed.is_none() {
                for place in self.honest() {
                    self.check_timeline(place, author).await;
                }
            }
        }
    }

    async fn check_timeline(&mut self, place: Place, author: Who) {
        let home = self.oracle.people[author].place;
        let Some(shown) = self.timeline(place, author).await else {
            if place == home {
                self.violation(place, format!("does not show its own p{author}"));
            }
            return;
        };
        let mut expected = self.published(author, place);
        // Whether anybody there follows is only certain if it is of everybody: a closed account goes on following at the author's home, so that what is
        // sent to its domain is refused, and the next one who follows there is not the first.
        let followers = self.oracle.followers(&self.oracle.people[author].account.id());
        let mut there = followers.iter().filter(|(who, _)| self.oracle.people[**who].place == place).map(|(_, expected)| expected);
        let followed = there.clone().any(|expected| matches!(expected, Expected::Exactly(Some(_))))
            && there.all(|expected| matches!(expected, Expected::Exactly(_)));
        let complete = place == home || (followed && expected.len() <= BACKFILL);
        if complete {
            self.seen.timelines += usize::from(place != home);
        } else {
            // What is withdrawn or superseded is gone; of the rest it may have any.
            for one in expected.values_mut().filter(|one| matches!(one, Expected::Exactly(Some(_)))) {
                *one = Expected::Any(crate::oracle::Doubt::Object);
            }
        }
        self.compare_each(place, &format!("timeline of p{author}"), (&shown, &expected));
    }

    /// What an author published, with what is to be expected of each at `place`.
    fn published(&self, author: Who, place: Place) -> BTreeMap<RecordId, Expected> {
        let mut published = BTreeMap::new();
        for said in self.oracle.said.iter().filter(|said| said.who == author) {
            match &said.content {
                Content::Post(_) if is_first(said) => {
                    published.insert(said.id, self.oracle.expected_post(said));
                }
                Content::Repost(repost) => {
                    let owner = self.oracle.who(&repost.object.actor);
                    let judged = owner.is_some_and(|owner| self.oracle.people[owner].homes.contains(&place));
                    let lasting = self.oracle.get(&repost.object.id).is_some_and(|object| self.oracle.is_lasting(object));
                    let expected = match self.oracle.statements(Kind::Repost, repost.object.id.hash()).remove(&author) {
                        // The home of what was withdrawn takes no repost of it.
                        Some(Expected::Exactly(Some(_))) if judged && !lasting => Expected::Any(crate::oracle::Doubt::Object),
                        Some(Expected::Exactly(live)) => Expected::Exactly(live.filter(|live| *live == said.id)),
                        Some(doubt) => doubt,
                        None => continue,
                    };
                    published.insert(said.id, expected);
                }
                _ => {}
            }
        }
        published
    }

    /// What a domain shows of an author; `None` if it does not know them.
    async fn timeline(&mut self, place: Place, author: Who) -> Option<BTreeSet<RecordId>> {
        let account = self.oracle.people[author].account.id();
        // Most know few: it is quicker to look than to ask.
        self.homes[place].node()?.accounts.get(&account).ok()??;
        let path = format!("/api/v1/accounts/{account}/posts?limit=100");
        let page: FeedPage = self.homes[place].shown(&path).await?;
        let mut shown = BTreeSet::new();
        for view in &page.items {
            self.verify(place, view);
            if view.tombstone.is_some() || !shown.insert(view.card.id) {
                self.violation(place, format!("timeline of p{author}: {} is withdrawn, or shown twice", view.card.id));
            }
            if self.oracle.is_honest(author) {
                self.check_version(place, view);
            }
        }
        Some(shown)
    }

    /// Compares the feed of each honest reader with the timelines of those whom they follow.
    pub(super) async fn check_feeds(&mut self) {
        for reader in 0..self.oracle.people.len() {
            let person = &self.oracle.people[reader];
            if self.oracle.is_honest(reader) && person.closed.is_none() {
                self.check_feed(reader).await;
            }
        }
    }

    async fn check_feed(&mut self, reader: Who) {
        let place = self.oracle.people[reader].place;
        let mut wanted = self.timeline(place, reader).await.unwrap_or_default();
        for author in 0..self.oracle.people.len() {
            let account = self.oracle.people[author].account.id();
            match self.oracle.followers(&account).remove(&reader) {
                Some(Expected::Exactly(Some(_))) => wanted.extend(self.timeline(place, author).await.unwrap_or_default()),
                // At home it is certain, but the oracle does not know which of the two it is.
                Some(Expected::Any(_)) => return,
                _ => {}
            }
        }
        let Some(device) = self.asker(reader) else { return };
        let account = self.oracle.people[reader].account.clone();
        let mut shown = BTreeSet::new();
        let mut path = "/api/v1/feed?limit=100".to_owned();
        loop {
            let Some(page) = self.homes[place].shown_to::<FeedPage>((&account, &device), &path).await else {
                return self.violation(place, format!("does not show p{reader} their feed"));
            };
            for view in &page.items {
                self.verify(place, view);
                if !shown.insert(view.card.id) {
                    self.violation(place, format!("feed of p{reader}: {} is shown twice", view.card.id));
                }
            }
            match page.next {
                Some(next) => path = format!("/api/v1/feed?limit=100&before={next}"),
                None => break,
            }
        }
        self.seen.feeds += 1;
        for id in wanted.symmetric_difference(&shown) {
            self.violation(place, format!("feed of p{reader} and the timelines of those followed do not agree about {id}"));
        }
    }
}
