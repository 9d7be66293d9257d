//! Moves, mirrors and new logs: a moved account is answered for by its present home and by nobody else, mirrors keep what they promised and can prove it,
//! and a restored domain's new log begins with the last checkpoint of the old one.

use crate::Sabotage;
use crate::acts::is_first;
use crate::home::End;
use crate::oracle::Who;
use crate::wire::Place;
use crate::world::World;
use mesh_proto::api::{AccountView, Counters, RecordProof};
use mesh_proto::envelope::RecordId;
use mesh_proto::key::Verifier;
use mesh_proto::keylog::{Action, KeyOp};
use mesh_proto::log::{Checkpoint, entry_hash, verify};
use mesh_proto::record::{Content, Post};
use mesh_store::{Batch, KeyRange, Order, Space};
use std::collections::BTreeSet;
use std::sync::Arc;

impl World {
    /// Looks at all domains who answers for those who moved.
    pub(super) async fn check_moves(&mut self) {
        for who in 0..self.oracle.people.len() {
            let person = &self.oracle.people[who];
            if person.moved() && person.closed.is_none() {
                self.seen.moved += 1;
                self.check_moved(who).await;
            }
        }
    }

    async fn check_moved(&mut self, who: Who) {
        let person = &self.oracle.people[who];
        let (home, account, domain) = (person.place, person.account.clone(), self.homes[person.place].domain.clone());
        let former: Vec<Place> = person.homes.iter().copied().filter(|place| *place != home && !self.destroyed.contains(place)).collect();
        for place in self.honest() {
            let Some(node) = self.homes[place].node() else { continue };
            let lives = node.accounts.get(&account.id()).ok().flatten().is_some_and(|known| node.accounts.lives_here(&known));
            if lives != (place == home) {
                self.violation(place, format!("p{who} lives at {domain}, which this domain sees otherwise"));
            }
        }
        let view: Option<AccountView> = self.homes[home].shown(&format!("/api/v1/accounts/{}", account.id())).await;
        if view.is_none_or(|view| view.address != account.address()) {
            self.violation(home, format!("does not show its own p{who} under their address"));
        }
        let lasting = |said: &&crate::oracle::Said| said.who == who && is_first(said) && self.oracle.is_lasting(said);
        let ids: Vec<RecordId> =
            self.oracle.said.iter().filter(lasting).filter(|said| self.oracle.doubt_about(said).is_none()).map(|said| said.id).collect();
        for id in ids {
            self.seen.answered += 1;
            for place in former.iter().copied().chain([home]) {
                let counters: Option<Counters> = self.homes[place].shown(&format!("/api/v1/records/{id}/counters")).await;
                if counters.is_some() != (place == home) {
                    self.violation(place, format!("{id} of p{who}, who lives at {domain}: it must answer for it there, and nowhere else"));
                }
            }
        }
        let mut again = account.record(Content::Post(Post::free("at a home that was left")));
        let Some(device) = self.asker(who) else { return };
        again.head.device = device.id();
        for place in former {
            let answer = self.homes[place].write("/api/v1/records", again.sign(&device).to_json()).await;
            if answer.is_none_or(|answer| matches!(answer.status, 200 | 201)) {
                self.violation(place, format!("takes something in the name of p{who}, who lives at {domain}"));
            }
        }
    }

    /// Compares what mirrors keep with what was said.
    pub(super) async fn check_mirrors(&mut self) {
        for who in 0..self.oracle.people.len() {
            let person = &self.oracle.people[who];
            let mirrors: Vec<Place> = person.mirrors.iter().copied().filter(|mirror| !person.homes.contains(mirror)).collect();
            if self.oracle.is_honest(who) && person.closed.is_none() {
                for mirror in mirrors {
                    self.check_mirror(mirror, who).await;
                }
            }
        }
    }

    async fn check_mirror(&mut self, mirror: Place, who: Who) {
        let said: Vec<RecordId> = self.oracle.said.iter().filter(|said| said.who == who && is_first(said)).map(|said| said.id).collect();
        for id in said {
            let said = self.oracle.get(&id).and_then(|said| self.oracle.doubt_about(said));
            let retract = self.oracle.retracts.get(&id).map(|at| &self.oracle.said[*at]);
            // A mirror takes nothing from the log of a domain that it could not meet.
            let origin = self.oracle.get(&id).map(|said| said.leaf.origin.domain().clone());
            let met = origin.is_some_and(|origin| self.homes[mirror].node().is_some_and(|node| node.peers.get(&origin).is_some()));
            let doubtful = !met || said.is_some() || retract.is_some_and(|retract| self.oracle.doubt_about(retract).is_some());
            let wanted = retract.is_none();
            let kept: Option<RecordProof> = self.homes[mirror].shown(&format!("/mesh/v1/records/{id}/proof")).await;
            if !doubtful && kept.is_some() != wanted {
                let path = self.oracle.people[who].path();
                self.violation(mirror, format!("is a mirror of p{who} ({path}): {id} is to be kept: {wanted}"));
            }
            let Some(proof) = kept else { continue };
            self.seen.mirrored += 1;
            if let Err(words) = self.verified(&proof.record) {
                self.violation(mirror, format!("keeps {id} unverified: {words}"));
            }
            if !self.is_proven(&proof) {
                self.violation(mirror, format!("keeps {id} with a proof that does not hold"));
            }
        }
    }

    fn is_proven(&self, proof: &RecordProof) -> bool {
        let position = &proof.record.leaf;
        let home = self.homes.iter().find(|home| home.domain == *position.origin.domain());
        let key: Option<Verifier> = home.and_then(|home| home.log_key().verifier().ok());
        let Some(checkpoint) = key.and_then(|key| Checkpoint::open(&proof.checkpoint, &position.origin, &key).ok()) else { return false };
        let leaf = (position.index, entry_hash(&proof.record.opening.entry()));
        verify(checkpoint.size, &checkpoint.root, &[leaf], &proof.proof).is_ok()
    }

    /// The log of the domain that was put back from a backup.
    pub(super) fn check_new_log(&mut self) {
        let place = self.fates.restored;
        let Some(node) = self.homes[place].node() else { return };
        let begun = node.log.origin().number() == 2;
        let first = node.log.checkpoint_of(1).ok().map(|last| mesh_node::log::first_entry(&last).0);
        let entry = node.log.entries(2, (0, 1)).ok();
        let leads_on = first.zip(entry).is_some_and(|(first, entry)| entry.ends_with(&first));
        self.seen.new_leaves = if begun { node.log.size() } else { 0 };
        if !begun || !leads_on {
            self.violation(place, "was put back from a backup, and its new log does not begin with the old one's last checkpoint".into());
        }
    }

    /// Takes rows away, so that it can be seen whether that is seen. Who lost a row of a key log is started anew.
    pub(super) async fn sabotage_accounts(&mut self, sabotage: Option<Sabotage>) {
        match sabotage {
            Some(Sabotage::MoveIsForgotten) => {
                let moved = (0..self.oracle.people.len()).filter(|who| self.oracle.people[*who].moved()).find_map(|who| {
                    let person = &self.oracle.people[who];
                    let former = person.homes.iter().copied().find(|place| *place != person.place && !self.destroyed.contains(place))?;
                    person.closed.is_none().then_some((former, who))
                });
                let (place, who) = moved.expect("somebody moved");
                self.forget_operations(place, who, |action| matches!(action, Action::HomeMove { .. })).await;
            }
            Some(Sabotage::KeyOperationIsForgotten) => {
                let known = (0..self.oracle.people.len()).find_map(|who| {
                    let person = &self.oracle.people[who];
                    let (last, told) = person.announced.last().filter(|_| self.oracle.is_honest(who) && !person.moved())?;
                    let is_last = person.account.keys.ops().last().is_some_and(|op| op.envelope.id() == *last);
                    let place = told.iter().copied().find(|place| *place != person.place && self.honest().contains(place));
                    place.filter(|_| is_last).map(|place| (place, who))
                });
                let (place, who) = known.expect("somebody was told of a key operation");
                self.forget_operations(place, who, |action| !matches!(action, Action::Genesis { .. } | Action::DeviceAdd { .. })).await;
            }
            Some(Sabotage::CopyIsLost) => {
                for (mirror, _) in self.mirrored() {
                    let Some(node) = self.homes[mirror].node() else { continue };
                    let mut batch = Batch::new();
                    for (key, _) in super::stores::scan(node, Space::Payload) {
                        // Of other domains' logs: the own one has number 0.
                        if key[..3] != [0; 3] {
                            batch.delete(Space::Payload, key);
                        }
                    }
                    node.kv().commit(batch).wait().expect("the store takes it");
                }
            }
            Some(Sabotage::CopyIsUnwanted) => {
                let (mirror, who) = *self.mirrored().first().expect("somebody has a mirror");
                let stranger = (0..self.oracle.people.len()).find(|other| {
                    let person = &self.oracle.people[*other];
                    *other != who && !person.homes.contains(&mirror) && !person.copies.contains(&mirror)
                });
                let place = self.oracle.people[stranger.expect("a stranger")].place;
                let text = format!("{} said by p{} number 0", crate::acts::marker(place), stranger.expect("a stranger"));
                let node = self.homes[mirror].node().expect("it runs");
                let mut batch = Batch::new();
                batch.put(Space::Payload, [1; 8], text);
                node.kv().commit(batch).wait().expect("the store takes it");
            }
            _ => {}
        }
    }

    /// Mirrors with whom they keep.
    fn mirrored(&self) -> BTreeSet<(Place, Who)> {
        let honest = self.honest();
        let people = self.oracle.people.iter().enumerate().filter(|(_, person)| person.closed.is_none());
        let mirrors = people.flat_map(|(who, person)| {
            person.mirrors.iter().filter(|mirror| !person.homes.contains(mirror)).map(move |mirror| (*mirror, who))
        });
        mirrors.filter(|(mirror, _)| honest.contains(mirror)).collect()
    }

    /// Takes away what a domain knows of a key log from the first operation on that is meant.
    async fn forget_operations(&mut self, place: Place, who: Who, is_meant: impl Fn(&Action) -> bool) {
        let node = Arc::clone(self.homes[place].node().expect("it runs"));
        let account = node.accounts.get(&self.oracle.people[who].account.id()).expect("reads").expect("it knows the account");
        let rows = node.kv().scan(Space::KeyOp, &KeyRange::prefix(account.lid.0.to_be_bytes()), Order::Forward, usize::MAX).expect("reads");
        let ops: Vec<KeyOp> = account.log.ops().filter_map(|op| KeyOp::open(&op.envelope).ok()).collect();
        let first = ops.iter().position(|op| is_meant(&op.action)).expect("there is one");
        let mut batch = Batch::new();
        for (key, _) in &rows[first..] {
            batch.delete(Space::KeyOp, key.clone());
        }
        node.kv().commit(batch).wait().expect("the store takes it");
        drop((account, node));
        // It comes back when the network is asked; here nobody asks before the end.
        self.homes[place].end(End::Stopped).await;
        self.homes[place].start().await;
    }
}
