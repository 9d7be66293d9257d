//! The world of one run: domains, people, the network between them, and the truth about them; and the faults that befall it.

use crate::clock::Time;
use crate::disk::Disk;
use crate::forger::Forger;
use crate::home::{End, Home, NewLog};
use crate::hostile::Liar;
use crate::moves::Luggage;
use crate::oracle::{Honesty, Oracle, Person, Who};
use crate::weather::{Event, FAIR, plan};
use crate::wire::{Place, Wire};
use crate::{Sabotage, Scale, Seen};
use mesh_proto::address::Domain;
use mesh_proto::api::NewAccount;
use mesh_store::MemoryStore;
use mesh_testkit::{SeededRng, TestAccount};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Domains beside its own with which the people of one deal.
const FRIENDS: usize = 3;

/// See the module.
pub(crate) struct World {
    pub(crate) scale: Scale,
    pub(crate) rng: SeededRng,
    pub(crate) time: Time,
    pub(crate) wire: Arc<Wire>,
    pub(crate) homes: Vec<Home>,
    pub(crate) forgers: BTreeMap<Place, Forger>,
    pub(crate) oracle: Oracle,
    /// With whom the people of each domain deal.
    pub(crate) friends: Vec<BTreeSet<Place>>,
    /// What was seen that must not be.
    pub(crate) violations: Vec<String>,
    /// How much was looked at.
    pub(crate) seen: Seen,
    /// Domains of which nothing is left.
    pub(crate) destroyed: BTreeSet<Place>,
    /// What becomes of two honest domains.
    pub(crate) fates: Fates,
    /// What people saved of their accounts.
    pub(crate) saved: BTreeMap<Who, Luggage>,
    copies: BTreeMap<Place, (MemoryStore, usize)>,
    new_log: NewLog,
}

/// What becomes of two honest domains.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fates {
    /// It is put back from a backup, and begins a new log.
    pub(crate) restored: Place,
    /// It is lost with all that it has.
    pub(crate) destroyed: Place,
}

/// A domain's name.
pub(crate) fn domain(place: Place) -> Domain {
    format!("d{place:02}.example").parse().expect("a domain")
}

impl World {
    /// All domains, started, with their people registered.
    pub(crate) async fn begin(seed: u64, scale: &Scale, sabotage: Option<Sabotage>) -> Self {
        let (rng, time) = (SeededRng::new(seed), Time::begin());
        let domains: Vec<Domain> = (0..scale.domains).map(domain).collect();
        let wire = Wire::new(seed, &time, &domains);
        let mut homes = Vec::new();
        for (place, domain) in domains.into_iter().enumerate() {
            let disk = if place % scale.folder_every == 0 { Disk::folder() } else { Disk::memory() };
            homes.push(Home::new((&wire, &time), (place, domain), rng.next(), disk));
        }
        let friends = (0..scale.domains).map(|_| (0..FRIENDS).map(|_| rng.below(scale.domains as u64) as Place).collect()).collect();
        let oracle = Oracle::default();
        let new_log = if sabotage == Some(Sabotage::NewLogIsForgotten) { NewLog::Forgotten } else { NewLog::Begun };
        let mut world = Self {
            scale: scale.clone(),
            rng,
            time,
            wire,
            homes,
            forgers: BTreeMap::new(),
            oracle,
            friends,
            violations: Vec::new(),
            seen: Seen::default(),
            destroyed: BTreeSet::new(),
            fates: Fates { restored: 0, destroyed: 0 },
            saved: BTreeMap::new(),
            copies: BTreeMap::new(),
            new_log,
        };
        world.cast();
        if sabotage == Some(Sabotage::LikesAreKept) {
            for place in world.honest() {
                world.make_liar(place, Liar::keeps_likes());
            }
        }
        for place in 0..scale.domains {
            world.settle(place).await;
        }
        world.know_forgers();
        world
    }

    /// Makes some domains liars, and one of them a forger; and decides which honest ones break.
    fn cast(&mut self) {
        // Those in memory, as some of them go back to a copy.
        let mut places: Vec<Place> = (0..self.scale.domains).filter(|place| place % self.scale.folder_every != 0).collect();
        for number in 0..self.scale.hostile {
            let place = places.swap_remove(self.rng.below(places.len() as u64) as usize);
            if number == 0 {
                self.forgers.insert(place, Forger::new(place, &self.time, &self.wire));
            } else {
                self.make_liar(place, Liar::hostile(self.rng.next()));
            }
        }
        let mut draw = || places.swap_remove(self.rng.below(places.len() as u64) as usize);
        self.fates = Fates { restored: draw(), destroyed: draw() };
    }

    pub(crate) fn make_liar(&mut self, place: Place, liar: Liar) {
        let liar = Arc::new(liar);
        self.wire.lies(place, Arc::clone(&liar));
        self.homes[place].liar = Some(liar);
    }

    /// Domains of which nothing is promised.
    pub(crate) fn hostile(&self) -> BTreeSet<Place> {
        let forgers = self.forgers.keys().copied();
        self.homes
            .iter()
            .filter(|home| home.liar.as_ref().is_some_and(|liar| liar.is_hostile()))
            .map(|home| home.place)
            .chain(forgers)
            .collect()
    }

    /// Domains that keep to the protocol, and were not destroyed.
    pub(crate) fn honest(&self) -> Vec<Place> {
        let hostile = self.hostile();
        (0..self.homes.len()).filter(|place| !hostile.contains(place) && !self.destroyed.contains(place)).collect()
    }

    /// Starts a domain, and registers its people.
    async fn settle(&mut self, place: Place) {
        if let Some(forger) = self.forgers.get(&place) {
            return forger.open(&self.wire);
        }
        self.homes[place].start().await;
        let honesty = if self.hostile().contains(&place) { Honesty::Hostile } else { Honesty::Honest };
        for number in 0..self.scale.people {
            let who = place * self.scale.people + number;
            let account = TestAccount::new(&format!("p{who}@{}", self.homes[place].domain), who as u8);
            let genesis = account.keys.ops().next().expect("a genesis").envelope.clone();
            let body = serde_json::to_vec(&NewAccount { genesis, admission: Default::default() }).expect("json");
            let answer = self.homes[place].write("/api/v1/accounts", body).await.expect("it runs");
            assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
            self.oracle.add_person(Person::new(account, place, honesty));
        }
    }

    /// Lets happen what is planned.
    pub(crate) async fn live(&mut self) {
        self.wire.set_link(FAIR);
        let liars =
            self.homes.iter().filter(|home| home.liar.as_ref().is_some_and(|liar| liar.is_hostile())).map(|home| home.place).collect();
        for (at, event) in plan(&self.rng, &self.scale, (&liars, self.fates)) {
            self.time.reach(at).await;
            match event {
                Event::Act => self.act().await,
                Event::Forge => self.forge().await,
                other => self.befall(other).await,
            }
        }
        self.wire.calm();
        for place in 0..self.homes.len() {
            if !self.forgers.contains_key(&place) && !self.destroyed.contains(&place) {
                self.homes[place].start().await;
            }
        }
    }

    /// Puts an honest domain back from its backup: what its people said since is gone, and they hand in anew what their keys said.
    async fn restore(&mut self, place: Place, (copy, said): (MemoryStore, usize)) {
        self.homes[place].restore(copy, self.new_log).await;
        let people: Vec<Who> = (0..self.oracle.people.len()).filter(|who| self.oracle.people[*who].place == place).collect();
        for said in &self.oracle.said[said..] {
            if people.contains(&said.who) {
                self.oracle.lost.insert(said.id);
            }
        }
        // What it was told since it learns with the next record that needs it.
        for (_, told) in self.oracle.people.iter_mut().flat_map(|person| &mut person.announced) {
            told.remove(&place);
        }
        // Whom it sent something since, it does not know any more.
        let correspondents = self.correspondents(place);
        for who in people {
            for (_, told) in &mut self.oracle.people[who].announced {
                told.retain(|told| correspondents.contains(told));
            }
            for op in self.oracle.people[who].account.keys.ops().skip(1).map(|op| op.envelope.clone()).collect::<Vec<_>>() {
                self.resubmit(who, place, &op).await;
            }
            self.until_erased(place).await;
        }
    }

    async fn befall(&mut self, event: Event) {
        match event {
            Event::Act | Event::Forge => {}
            Event::Down(place, _) | Event::Up(place) | Event::Clock(place, _)
                if self.forgers.contains_key(&place) || self.destroyed.contains(&place) => {}
            Event::Down(place, end) => self.homes[place].end(end).await,
            Event::Up(place) => self.homes[place].start().await,
            Event::Clock(place, skew_ms) => self.homes[place].clock.set_skew(skew_ms),
            Event::Cut(number, island) => self.wire.cut(number, island),
            Event::Mend(number) => self.wire.mend(number),
            Event::Weather(link) => self.wire.set_link(link),
            Event::Copy(place) => {
                if let Some(copy) = self.homes[place].disk.copy() {
                    self.copies.insert(place, (copy, self.oracle.said.len()));
                }
            }
            Event::Rewrite(place) => {
                if let Some((copy, _)) = self.copies.remove(&place) {
                    self.homes[place].restore(copy, NewLog::Forgotten).await;
                }
            }
            Event::Restore(place) => {
                if let Some(copy) = self.copies.remove(&place) {
                    self.restore(place, copy).await;
                }
            }
            Event::Save(place) => self.save(place).await,
            Event::Destroy(place) => {
                self.homes[place].end(End::Killed).await;
                self.destroyed.insert(place);
            }
            Event::Flee(place) => self.flee(place).await,
        }
    }
}
