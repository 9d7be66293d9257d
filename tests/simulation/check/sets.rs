//! Sets and counters: at the home of each post, comment and person, who acts on it is exactly who did, and the counter says how many.

use crate::acts::is_first;
use crate::oracle::{Expected, Who};
use crate::wire::Place;
use crate::world::World;
use mesh_node::AccountLid;
use mesh_proto::api::{Cards, Comments, RecordView};
use mesh_proto::envelope::{Kind, RecordId};
use mesh_proto::record::Content;
use mesh_store::{KeyRange, Order, Space};
use std::collections::{BTreeMap, BTreeSet};

impl World {
    /// Compares the sets of everything that honest people published.
    pub(super) async fn check_sets(&mut self) {
        let objects: Vec<RecordId> = self
            .oracle
            .said
            .iter()
            .filter(|said| is_first(said) && self.oracle.is_honest(said.who) && self.oracle.is_lasting(said))
            .filter(|said| self.oracle.doubt_about(said).is_none())
            .map(|said| said.id)
            .collect();
        for id in objects {
            if let Some(author) = self.oracle.get(&id).map(|said| said.who) {
                self.check_object(author, id).await;
            }
        }
        for who in 0..self.oracle.people.len() {
            if self.oracle.is_honest(who) && self.oracle.people[who].closed.is_none() {
                self.check_followers(who);
            }
        }
    }

    async fn check_object(&mut self, author: Who, id: RecordId) {
        self.seen.objects += 1;
        let place = self.oracle.people[author].place;
        let Some(view) = self.homes[place].shown::<RecordView>(&format!("/api/v1/records/{id}")).await else {
            return self.violation(place, format!("does not show its own {id}"));
        };
        self.verify(place, &view);
        self.check_version(place, &view);
        for kind in [Kind::Like, Kind::Repost] {
            let shown = self.references(place, id, kind).await;
            let expected = self.oracle.as_told(author, self.oracle.statements(kind, id.hash()));
            self.compare(place, &format!("{kind} on {id} of p{author} ({})", self.oracle.people[author].path()), (&shown, &expected));
            self.check_count(place, (id, kind), (&view, shown.len()));
        }
        let shown = self.comments(place, id).await;
        let belongs = |content: &Content| matches!(content, Content::Comment(comment) if comment.root.id == id || comment.parent.id == id);
        let expected: BTreeMap<RecordId, Expected> = self
            .oracle
            .said
            .iter()
            .filter(|said| is_first(said) && belongs(&said.content))
            .map(|said| (said.id, self.oracle.expected_comment(said)))
            .collect();
        self.seen.statements += shown.len();
        self.compare_each(place, &format!("comments on {id} of p{author} ({})", self.oracle.people[author].path()), (&shown, &expected));
        self.check_count(place, (id, Kind::Comment), (&view, shown.len()));
    }

    fn check_count(&mut self, place: Place, (id, kind): (RecordId, Kind), (view, shown): (&RecordView, usize)) {
        let counted = view.counts.get(&kind).copied().unwrap_or(0);
        if counted != shown as u64 {
            self.violation(place, format!("counts {counted} of kind {kind} on {id}, and shows {shown}"));
        }
    }

    async fn references(&mut self, place: Place, id: RecordId, kind: Kind) -> BTreeMap<Who, RecordId> {
        let path = format!("/api/v1/records/{id}/references?kind={kind}&limit=100");
        let cards: Option<Cards> = self.homes[place].shown(&path).await;
        let cards = cards.map_or_else(Vec::new, |cards| cards.cards);
        let mut shown = BTreeMap::new();
        for card in cards {
            match self.oracle.who(&card.actor) {
                Some(who) if shown.insert(who, card.id).is_none() => {}
                _ => self.violation(place, format!("{kind} on {id} by {} twice, or by nobody", card.actor)),
            }
        }
        shown
    }

    /// The live comments of a thread.
    async fn comments(&mut self, place: Place, id: RecordId) -> BTreeSet<RecordId> {
        let mut shown = BTreeSet::new();
        let mut after = String::new();
        loop {
            let page: Option<Comments> = self.homes[place].shown(&format!("/api/v1/records/{id}/comments?limit=100{after}")).await;
            let Some(page) = page else { return shown };
            for view in page.comments.iter().filter(|view| view.tombstone.is_none()) {
                self.verify(place, view);
                let certain = self.oracle.get(&view.card.id).map(|said| self.oracle.expected_comment(said));
                if matches!(certain, Some(Expected::Exactly(_))) {
                    self.check_version(place, view);
                }
                shown.insert(view.card.id);
            }
            match page.next {
                Some(next) => after = format!("&after={next}"),
                None => return shown,
            }
        }
    }

    /// The subscribers of a person, as the home's rows have them; and the counters, in all and by domain.
    fn check_followers(&mut self, author: Who) {
        let place = self.oracle.people[author].place;
        let Some(node) = self.homes[place].node().cloned() else { return };
        let id = self.oracle.people[author].account.id();
        let Ok(Some(account)) = node.accounts.get(&id) else {
            return self.violation(place, format!("does not know its own p{author}"));
        };
        let set = [&account.lid.0.to_be_bytes()[..], &[Kind::Subscribe as u8]].concat();
        let rows = node.kv().scan(Space::Object, &KeyRange::prefix(&set), Order::Forward, usize::MAX).unwrap_or_default();
        let mut shown = BTreeMap::new();
        let mut by_domain: BTreeMap<Place, i64> = BTreeMap::new();
        // For which of their homes those count who moved is not compared: docs/simulation.md.
        let moved = self.oracle.followers(&id).into_keys().filter(|who| self.oracle.people[*who].moved());
        let loose: BTreeSet<Place> = moved.flat_map(|who| self.oracle.people[who].homes.clone()).collect();
        for (key, row) in &rows {
            let actor =
                key[key.len() - 8..].try_into().map(u64::from_be_bytes).ok().and_then(|lid| node.accounts.by_lid(AccountLid(lid)).ok());
            let record = row.first_chunk::<8>().and_then(|lid| node.kv().get(Space::Reference, lid).ok().flatten());
            let (Some(actor), Some(_)) = (actor, record) else {
                self.violation(place, format!("holds a subscription to p{author} by nobody"));
                continue;
            };
            let Some(who) = self.oracle.who(&actor.id()) else {
                self.violation(place, format!("holds a subscription to p{author} by a stranger"));
                continue;
            };
            let said = self.oracle.followers(&id).remove(&who);
            *by_domain.entry(self.oracle.people[who].place).or_default() += 1;
            // The row names a place; which record that is, the home of the set need not say: the one expected will do.
            let expected = if let Some(Expected::Exactly(Some(id))) = said { Some(id) } else { self.any_subscription(who, author) };
            shown.extend(expected.map(|id| (who, id)));
        }
        self.compare(
            place,
            &format!("subscription to p{author} ({})", self.oracle.people[author].path()),
            (&shown, &self.oracle.followers(&id)),
        );
        let counted = mesh_store::counter(&**node.kv(), Space::Count, &set).unwrap_or(-1);
        if counted != rows.len() as i64 {
            self.violation(place, format!("counts {counted} subscribers of p{author}, and holds {}", rows.len()));
        }
        for other in 0..self.homes.len() {
            let peer = if other == place { Some(0) } else { node.peers.get(&self.homes[other].domain).map(|peer| peer.no().0) };
            let Some(peer) = peer else { continue };
            let key = [&set[..], &peer.to_be_bytes()].concat();
            let counted = mesh_store::counter(&**node.kv(), Space::CountByPeer, &key).unwrap_or(-1);
            let held = by_domain.get(&other).copied().unwrap_or(0);
            if counted != held && !loose.contains(&other) {
                let homes = self.oracle.people[author].path();
                self.violation(place, format!("counts {counted} subscribers of p{author} ({homes}) at d{other:02}, and holds {held}"));
            }
        }
    }

    fn any_subscription(&self, who: Who, author: Who) -> Option<RecordId> {
        let author = self.oracle.people[author].account.id();
        let fits = |content: &Content| matches!(content, Content::Subscribe(subscribe) if subscribe.object.actor == author);
        self.oracle.said.iter().find(|said| said.who == who && fits(&said.content)).map(|said| said.id)
    }
}
