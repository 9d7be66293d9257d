//! What people do about their keys: devices come and go, root keys change, thieves and slips make a key log fork, accounts are closed.

use crate::oracle::{Closed, Who};
use crate::wire::Place;
use crate::world::World;
use mesh_proto::api::KeysPush;
use mesh_proto::envelope::Envelope;
use mesh_proto::key::SecretKey;
use mesh_proto::keylog::{Action, LogPosition};
use mesh_proto::port::Answer;
use mesh_store::{KeyRange, Order, Space};
use std::collections::BTreeSet;

/// Devices that a person has at most.
const DEVICES: usize = 4;

impl World {
    fn new_key(&self) -> SecretKey {
        SecretKey::from_seed(&mesh_proto::port::random(&self.rng))
    }

    fn new_device(&self, who: Who, device: &SecretKey) -> Action {
        Action::DeviceAdd { device: device.id(), name: format!("device {}", self.oracle.people[who].account.keys.len()) }
    }

    pub(crate) async fn add_device(&mut self, who: Who) {
        let person = &self.oracle.people[who];
        if person.devices.len() >= DEVICES {
            return;
        }
        let (device, signer) = (self.new_key(), person.devices[0].clone());
        if self.operate(who, self.new_device(who, &device), &signer).await {
            self.oracle.people[who].devices.push(device);
        }
    }

    pub(crate) async fn revoke_device(&mut self, who: Who) {
        let person = &self.oracle.people[who];
        if person.devices.len() < 2 {
            return;
        }
        let at = self.rng.below(person.devices.len() as u64) as usize;
        let signer = if self.rng.happens(500) { person.account.root.clone() } else { person.devices[at].clone() };
        // Some stand by nothing that the device said, some by a part, most by everything.
        let leaves = self.leaves(who, &person.devices[at]);
        let last = match self.rng.below(4) {
            0 => leaves.get(self.rng.below(leaves.len().max(1) as u64) as usize).cloned(),
            _ => leaves.last().cloned(),
        };
        self.revoke(who, at, (last, &signer)).await;
    }

    /// What a device said, in the order in which it said it.
    fn leaves(&self, who: Who, device: &SecretKey) -> Vec<LogPosition> {
        let device = device.id();
        self.oracle.said.iter().filter(|said| said.who == who && said.device == device).map(|said| said.leaf.clone()).collect()
    }

    async fn revoke(&mut self, who: Who, at: usize, (last_good, signer): (Option<LogPosition>, &SecretKey)) -> bool {
        let device = self.oracle.people[who].devices[at].id();
        let done = self.operate(who, Action::DeviceRevoke { device, last_good: last_good.clone() }, signer).await;
        if done {
            let person = &mut self.oracle.people[who];
            person.devices.remove(at);
            person.revoked.insert(device, last_good);
        }
        done
    }

    /// Another recovery phrase. Now and then a device asks for it, as if the phrase was lost: that waits for longer than a run.
    pub(crate) async fn rotate_root(&mut self, who: Who) {
        let root = self.new_key();
        let person = &self.oracle.people[who];
        let by_device = self.rng.happens(300);
        let signer = if by_device { person.devices[0].clone() } else { person.account.root.clone() };
        if self.operate(who, Action::RootRotate { root: root.id() }, &signer).await && !by_device {
            self.oracle.people[who].account.root = root;
        }
    }

    /// All devices are lost: the phrase makes a new one and ends the others.
    pub(crate) async fn recover(&mut self, who: Who) {
        let (root, device) = (self.oracle.people[who].account.root.clone(), self.new_key());
        if !self.operate(who, self.new_device(who, &device), &root).await {
            return;
        }
        self.oracle.people[who].devices.push(device);
        while self.oracle.people[who].devices.len() > 1 {
            let last = self.leaves(who, &self.oracle.people[who].devices[0]).last().cloned();
            if !self.revoke(who, 0, (last, &root)).await {
                return;
            }
        }
    }

    /// A thief with a device's key shows another domain a branch that the home never saw: the account is frozen there, until root acts.
    pub(crate) async fn be_robbed(&mut self, who: Who) {
        let places = self.honest();
        let place = places[self.rng.below(places.len() as u64) as usize];
        let account = self.oracle.people[who].account.id();
        let Some(node) = self.homes[place].node().cloned().filter(|_| place != self.oracle.people[who].place) else { return };
        if !node.accounts.get(&account).is_ok_and(|known| known.is_some()) || !self.oracle.is_honest(who) {
            return;
        }
        let (device, mut thief) = (self.oracle.people[who].devices[0].clone(), self.oracle.people[who].account.clone());
        let stolen = thief.key_op(self.new_device(who, &self.new_key()), &device);
        let (own, root, next) = (self.new_key(), self.oracle.people[who].account.root.clone(), self.new_key());
        if !self.operate(who, self.new_device(who, &own), &device).await {
            return;
        }
        self.oracle.people[who].devices.push(own);
        self.oracle.people[who].stolen.insert(stolen.id());
        self.push(place, &thief.keys).await;
        self.push(place, &self.oracle.people[who].account.keys).await;
        if self.operate(who, Action::RootRotate { root: next.id() }, &root).await {
            self.oracle.people[who].account.root = next;
            self.push(place, &self.oracle.people[who].account.keys).await;
        }
    }

    /// Shows a domain a key log, as anybody can.
    async fn push(&self, place: Place, keys: &mesh_proto::keylog::KeyLog) {
        let push = KeysPush { account: keys.account(), ops: keys.ops().cloned().collect() };
        self.homes[place].take("/mesh/v1/keys", &push).await;
    }

    /// The root key signs twice after the same operation: that nobody can settle, and the account is compromised for ever.
    pub(crate) async fn contradict(&mut self, who: Who) {
        let person = &self.oracle.people[who];
        let (head, root, place) = (person.account.keys.head(), person.account.root.clone(), person.place);
        let action = Action::RootRotate { root: self.new_key().id() };
        if !self.operate(who, action, &root).await {
            return;
        }
        let told = self.correspondents(place);
        let action = Action::RootRotate { root: self.new_key().id() };
        let envelope = self.oracle.people[who].account.key_op_after(head, action, &root);
        self.operated(who, &envelope, told).await;
        self.oracle.people[who].closed = Some(Closed);
    }

    pub(crate) async fn close(&mut self, who: Who) {
        let (root, place) = (self.oracle.people[who].account.root.clone(), self.oracle.people[who].place);
        if self.operate(who, Action::AccountClose, &root).await {
            self.oracle.people[who].closed = Some(Closed);
            self.until_erased(place).await;
        }
    }

    /// What a closure leaves to be done is done by a thread that has no simulated time.
    pub(crate) async fn until_erased(&self, place: Place) {
        let Some(node) = self.homes[place].node().cloned() else { return };
        let erased = move || {
            while !node.kv().scan(Space::Meta, &KeyRange::prefix("closing/"), Order::Forward, 1).is_ok_and(|rows| rows.is_empty()) {
                std::thread::yield_now();
            }
        };
        tokio::task::spawn_blocking(erased).await.expect("looking does not panic");
    }

    /// Signs a key operation, and hands it to the person's home.
    pub(crate) async fn operate(&mut self, who: Who, action: Action, signer: &SecretKey) -> bool {
        let announce = !matches!(action, Action::DeviceAdd { .. });
        let told = if announce { self.correspondents(self.oracle.people[who].place) } else { BTreeSet::new() };
        let envelope = self.oracle.people[who].account.key_op(action, signer);
        self.operated(who, &envelope, told).await
    }

    async fn operated(&mut self, who: Who, envelope: &Envelope, told: BTreeSet<Place>) -> bool {
        let place = self.oracle.people[who].place;
        let answer = self.hand_in(who, place, envelope).await;
        let taken = answer.as_ref().is_some_and(|answer| answer.status == 200);
        if !taken && !self.oracle.is_honest(who) {
            // A home that rewrote its log knows less than its people, who do nothing more.
            self.oracle.people[who].closed = Some(Closed);
            return false;
        }
        if !taken {
            let words = answer.map_or_else(String::new, |answer| String::from_utf8_lossy(&answer.body).into_owned());
            self.violations.push(format!("{} refuses a key operation of its own p{who}: {words}", self.homes[place].domain));
            return false;
        }
        self.oracle.people[who].announced.push((envelope.id(), told));
        true
    }

    /// Hands a key operation to a home that need not ask anybody.
    async fn hand_in(&self, who: Who, place: Place, op: &Envelope) -> Option<Answer> {
        self.homes[place].write(&self.keys_path(who), op.to_json()).await
    }

    /// Hands a key operation to a home that may ask others.
    pub(crate) async fn resubmit(&self, who: Who, place: Place, op: &Envelope) -> Option<Answer> {
        self.homes[place].take(&self.keys_path(who), op).await
    }

    fn keys_path(&self, who: Who) -> String {
        format!("/api/v1/accounts/{}/keys", self.oracle.people[who].account.id())
    }
}
