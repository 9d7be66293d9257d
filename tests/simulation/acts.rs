//! What people do: one act at a time, drawn from the seed, signed with their own keys and handed to their own home. What they do about their keys, and
//! how they move, have files of their own.

use crate::oracle::{Said, Who};
use crate::wire::Place;
use crate::world::World;
use mesh_node::PeerNo;
use mesh_proto::address::Domain;
use mesh_proto::api::{Accepted, RecordView};
use mesh_proto::envelope::Kind;
use mesh_proto::port::Clock;
use mesh_proto::record::{Comment, Content, Like, Post, Profile, Repost, Retract, RetractReason, Subscribe, Terms};
use mesh_store::{KeyRange, Order, Space};
use std::collections::BTreeSet;

/// How often something to act on is looked for before a person gives up.
const TRIES: usize = 24;
/// How far a person's clock is ahead at most, milliseconds.
const AHEAD_MS_MAX: u64 = 4 * 60 * 1_000;

/// A text of which it can be told in any store whose it is.
pub(crate) fn marker(place: Place) -> String {
    format!("m~d{place:02}~")
}

impl World {
    /// Somebody does something.
    pub(crate) async fn act(&mut self) {
        let who = self.rng.below(self.oracle.people.len() as u64) as Who;
        let person = &self.oracle.people[who];
        if person.closed.is_some() || self.homes[person.place].node().is_none() {
            return;
        }
        match self.rng.below(100) {
            0..20 => self.post(who).await,
            20..40 => self.act_on(who, |object| Content::Like(Like { object })).await,
            40..51 => self.comment(who).await,
            51..61 => self.subscribe(who).await,
            61..66 => self.act_on(who, |object| Content::Repost(Repost { object })).await,
            66..78 => self.withdraw(who).await,
            78..82 => self.edit(who).await,
            82..84 => self.profile(who).await,
            84..87 => self.add_device(who).await,
            87..89 => self.revoke_device(who).await,
            89..91 => self.rotate_root(who).await,
            91 => self.recover(who).await,
            92 => self.be_robbed(who).await,
            93 => self.close(who).await,
            94 => self.contradict(who).await,
            95..97 => self.keep_copy(who).await,
            _ => self.wander(who).await,
        }
    }

    fn text(&self, who: Who) -> String {
        format!("{} said by p{who} number {}", marker(self.oracle.people[who].place), self.oracle.said.len())
    }

    async fn post(&mut self, who: Who) {
        let content = Content::Post(Post::free(self.text(who)));
        self.submit(who, content).await;
    }

    async fn edit(&mut self, who: Who) {
        let own = self.find(|world, said| said.who == who && is_first(said) && !world.oracle.retracts.contains_key(&said.id));
        let Some(said) = own else { return };
        let text = self.text(who);
        let content = match &self.oracle.said[said].content {
            Content::Comment(comment) => Content::Comment(Comment { text, revises: Some(self.oracle.said[said].id), ..comment.clone() }),
            _ => Content::Post(Post { revises: Some(self.oracle.said[said].id), ..Post::free(text) }),
        };
        self.submit(who, content).await;
    }

    async fn profile(&mut self, who: Who) {
        let content = Content::Profile(Profile { name: self.text(who), ..Profile::default() });
        self.submit(who, content).await;
    }

    /// A record that fits; most of what was said is looked at seldom, as people look at what is new.
    fn find(&self, fits: impl Fn(&World, &Said) -> bool) -> Option<usize> {
        let count = self.oracle.said.len() as u64;
        (0..TRIES)
            .map(|_| self.rng.below(self.rng.below(count.max(1)) + 1))
            .map(|back| (count.saturating_sub(1 + back)) as usize)
            .find(|at| self.oracle.said.get(*at).is_some_and(|said| fits(self, said)))
    }

    /// A post or comment by someone with whom this person deals.
    fn object(&self, who: Who) -> Option<usize> {
        let here = self.oracle.people[who].place;
        self.find(|world, said| {
            let author = &world.oracle.people[said.who];
            let near = author.place == here || world.friends[here].contains(&author.place);
            near && is_first(said) && author.closed.is_none() && world.oracle.is_lasting(said)
        })
    }

    async fn act_on(&mut self, who: Who, content: impl Fn(mesh_proto::record::ObjectRef) -> Content) {
        let Some(at) = self.object(who) else { return };
        let content = content(self.oracle.object(&self.oracle.said[at]));
        if content.kind() == Kind::Repost && self.oracle.said[at].content.kind() != Kind::Post {
            return;
        }
        self.submit(who, content).await;
    }

    /// People answer what they see where they read the thread: at the home of its root.
    async fn comment(&mut self, who: Who) {
        let Some(at) = self.object(who) else { return };
        let parent = self.oracle.object(&self.oracle.said[at]);
        let root = match &self.oracle.said[at].content {
            Content::Comment(comment) => comment.root.clone(),
            _ => parent.clone(),
        };
        let Some(author) = self.oracle.who(&root.actor) else { return };
        let place = self.oracle.people[author].place;
        let view: Option<RecordView> = self.homes[place].shown(&format!("/api/v1/records/{}", parent.id)).await;
        if view.is_none_or(|view| view.tombstone.is_some()) {
            return;
        }
        let content = Content::Comment(Comment { root, parent, text: self.text(who), lang: None, terms: Terms::Free, revises: None });
        self.submit(who, content).await;
    }

    async fn subscribe(&mut self, who: Who) {
        let here = self.oracle.people[who].place;
        let near: Vec<Who> = (0..self.oracle.people.len())
            .filter(|other| *other != who && self.oracle.people[*other].closed.is_none())
            .filter(|other| self.oracle.people[*other].place == here || self.friends[here].contains(&self.oracle.people[*other].place))
            .collect();
        let Some(author) = near.get(self.rng.below(near.len().max(1) as u64) as usize) else { return };
        let object = self.oracle.people[*author].account.account_ref();
        self.submit(who, Content::Subscribe(Subscribe { object })).await;
    }

    async fn withdraw(&mut self, who: Who) {
        let texts = self.rng.happens(250);
        let own = self.find(|world, said| {
            let text = matches!(said.content.kind(), Kind::Post | Kind::Comment);
            let kind = said.content.once_about().is_some() || (texts && text && said.content.revises().is_none());
            said.who == who && kind && !world.oracle.retracts.contains_key(&said.id)
        });
        let Some(at) = own else { return };
        let object = self.oracle.said[at].id;
        self.submit(who, Content::Retract(Retract { object, reason: RetractReason::Author })).await;
    }

    /// Signs, and hands it to the person's home; notes it if it was accepted.
    async fn submit(&mut self, who: Who, content: Content) {
        if !self.meet(who, &content).await {
            return;
        }
        let person = &self.oracle.people[who];
        let home = &self.homes[person.place];
        let device = person.devices[self.rng.below(person.devices.len() as u64) as usize].clone();
        let mut record = person.account.record(content);
        record.head.device = device.id();
        record.head.at = home.clock.now_ms() + self.rng.below(AHEAD_MS_MAX);
        let envelope = record.sign(&device);
        let Some(answer) = home.write("/api/v1/records", envelope.to_json()).await else { return };
        if let (200 | 201, Ok(accepted)) = (answer.status, serde_json::from_slice::<Accepted>(&answer.body)) {
            self.oracle.accepted(who, record, &accepted);
        }
    }

    /// Sees to it that the person's home knows those whom it needs for a record: while it is written, time stands still.
    async fn meet(&self, who: Who, content: &Content) -> bool {
        let home = &self.homes[self.oracle.people[who].place];
        let Some(node) = home.node().cloned() else { return false };
        let addressed = content.addressed().into_iter().map(|(_, other)| other);
        let homes: Vec<Domain> = addressed.filter(|other| **other != home.domain).cloned().collect();
        for other in &homes {
            if node.peers.get(other).is_none() && node.peers.discover(other, None).await.is_err() {
                return false;
            }
        }
        match content {
            Content::Subscribe(subscribe) => node.records.learn(&subscribe.object.actor, &subscribe.object.home).await.is_ok(),
            _ => true,
        }
    }

    /// The domains to which a domain ever had something to send.
    pub(crate) fn correspondents(&self, place: Place) -> BTreeSet<Place> {
        let Some(node) = self.homes[place].node() else { return BTreeSet::new() };
        let has_row = |no: u32| {
            node.kv().scan(Space::Outbox, &KeyRange::prefix(no.to_be_bytes()), Order::Forward, 1).is_ok_and(|rows| !rows.is_empty())
        };
        (1..=self.homes.len() as u32)
            .filter(|no| has_row(*no))
            .filter_map(|no| node.peers.by_no(PeerNo(no)))
            .filter_map(|peer| self.homes.iter().position(|home| home.domain == *peer.domain()))
            .collect()
    }
}

/// Whether a record is the first version of a post or comment.
pub(crate) fn is_first(said: &Said) -> bool {
    matches!(said.content.kind(), Kind::Post | Kind::Comment) && said.content.revises().is_none()
}
