//! Moves: people take their accounts to other homes, with the help of the old one, or from a mirror or a saved export when it is destroyed; and have copies
//! kept for that day. All with the requests that a client makes, in its order (`spec/moving.md`).

use crate::acts::is_first;
use crate::home::Home;
use crate::oracle::{Person, Who};
use crate::wire::Place;
use crate::world::World;
use mesh_proto::address::Domain;
use mesh_proto::api::{Admission, Arrival, Delivery, ExportPage, ImportEnd, Imported, ItemResult, MirrorRequest, Problem, code};
use mesh_proto::envelope::{Kind, RecordId};
use mesh_proto::keylog::Action;
use mesh_proto::port::Answer;
use std::collections::BTreeSet;
use std::time::Duration;

/// How often a domain to go to is looked for.
const TRIES: usize = 8;
/// How often a part is sent again.
const IMPORT_TRIES: usize = 100;
/// How long a client waits that is told to come again.
const RETRY: Duration = Duration::from_secs(10);
/// Mirrors that a person has at most.
const MIRRORS: usize = 2;
/// How long it takes a new home at most to tell those whom it knows.
const ANNOUNCING: Duration = Duration::from_secs(10);

/// What an account takes along.
#[derive(Debug, Default, Clone)]
pub(crate) struct Luggage {
    parts: Vec<Delivery>,
    domains: BTreeSet<Domain>,
}

impl World {
    /// Somebody moves to another home, with the help of the old one.
    pub(crate) async fn wander(&mut self, who: Who) {
        let from = self.oracle.people[who].place;
        let Some(to) = self.haven(who) else { return };
        if !self.oracle.is_honest(who) || self.is_fated(from) {
            return;
        }
        // Without that the old home could not be told, and a client would tell it later.
        if !self.meet_all(from, &BTreeSet::from([self.homes[to].domain.clone()])).await {
            return;
        }
        let Some(luggage) = self.export(who, from).await else {
            return self.violation(from, format!("hands p{who} no export"));
        };
        self.go(who, to, luggage).await;
    }

    /// Whether a domain breaks in this run: nobody goes there before, or leaves.
    fn is_fated(&self, place: Place) -> bool {
        place == self.fates.restored || place == self.fates.destroyed
    }

    /// Another honest domain that runs, to go to or to have copies kept.
    fn haven(&self, who: Who) -> Option<Place> {
        let honest = self.honest();
        (0..TRIES)
            .map(|_| honest[self.rng.below(honest.len() as u64) as usize])
            .find(|place| *place != self.oracle.people[who].place && !self.is_fated(*place) && self.homes[*place].node().is_some())
    }

    /// All that a domain hands out of an account.
    async fn export(&mut self, who: Who, at: Place) -> Option<Luggage> {
        let (person, mut luggage, mut next) = (&self.oracle.people[who], Luggage::default(), 0);
        loop {
            let path = format!("/api/v1/accounts/{}/export?from={next}", person.account.id());
            let page: ExportPage = self.homes[at].shown_to((&person.account, &person.devices[0]), &path).await?;
            luggage.parts.extend(page.part);
            luggage.domains.extend(page.domains);
            next = page.next;
            if !page.more {
                return Some(luggage);
            }
        }
    }

    /// Moves, whether the old home helps or is no more.
    async fn go(&mut self, who: Who, to: Place, luggage: Luggage) {
        let person = &mut self.oracle.people[who];
        let (from, id, root) = (person.place, person.account.id(), person.account.root.clone());
        let address = format!("{}@{}", person.account.address().user(), self.homes[to].domain).parse().expect("an address");
        let moved = person.account.key_op(Action::HomeMove { address }, &root);
        let ops = person.account.keys.ops().cloned().collect();
        let arrival = Arrival { account: id, ops, admission: Admission::default() };
        let answer = self.homes[to].take("/api/v1/arrivals", &arrival).await;
        if answer.as_ref().is_none_or(|answer| answer.status != 201) {
            return self.violation(to, format!("does not let p{who} arrive: {}", words(answer.as_ref())));
        }
        let mut along = BTreeSet::new();
        for part in &luggage.parts {
            let path = format!("/api/v1/accounts/{id}/import");
            let mut answer = self.send(who, to, (&path, part)).await;
            for _ in 0..IMPORT_TRIES {
                if answer.as_ref().is_none_or(|answer| answer.status != 429) {
                    break;
                }
                // It waits for domains that the network keeps from it; what it has met by now stays met.
                self.time.pass(RETRY).await;
                answer = self.send(who, to, (&path, part)).await;
            }
            match answer.as_ref().and_then(|answer| serde_json::from_slice::<Imported>(&answer.body).ok()) {
                Some(Imported { results }) => {
                    let taken = part.items.iter().zip(results).filter(|(_, result)| !matches!(result, ItemResult::Refused { .. }));
                    along.extend(taken.map(|(item, _)| item.envelope.id()));
                }
                None if is_about_the_part(answer.as_ref()) => {}
                None => self.violation(to, format!("does not take what p{who} brings along: {}", words(answer.as_ref()))),
            }
        }
        let helped = self.homes[from].node().is_some();
        if helped {
            let answer = self.resubmit(who, from, &moved).await;
            // The new home may have told it already.
            let heard = |answer: &Answer| answer.status == 200 || problem(answer).as_deref() == Some(code::NOT_HOME);
            if !answer.as_ref().is_some_and(heard) {
                self.violation(from, format!("does not hear that p{who} moved: {}", words(answer.as_ref())));
            }
        }
        self.check_luggage(who, (to, helped), &along);
        let correspondents = if helped { self.correspondents(from) } else { BTreeSet::new() };
        let mut told = self.announce(who, to, luggage.domains).await;
        self.note_strangers(who, to);
        let person = &mut self.oracle.people[who];
        if !helped {
            // What the old home had still to tell is told by nobody else.
            person.announced.iter_mut().for_each(|(_, before)| before.retain(|place| told.contains(place)));
        }
        person.announced.push((moved.id(), told.clone()));
        person.place = to;
        person.homes.push(to);
        // A mirror that the new home could not meet is told nothing.
        person.mirrors.retain(|mirror| told.contains(mirror));
        told.extend(correspondents);
        person.told = Some(person.told.take().map_or(told.clone(), |before| before.intersection(&told).copied().collect()));
    }

    /// Ends an import. Answers who is told: whom the new home could meet.
    async fn announce(&mut self, who: Who, to: Place, mut domains: BTreeSet<Domain>) -> BTreeSet<Place> {
        let person = &self.oracle.people[who];
        let path = format!("/api/v1/accounts/{}/import:end", person.account.id());
        domains.extend(person.homes.iter().chain(&person.mirrors).map(|place| self.homes[*place].domain.clone()));
        domains.remove(&self.homes[to].domain);
        self.meet_all(to, &domains).await;
        let end = ImportEnd { domains: domains.iter().cloned().collect() };
        let answer = self.send(who, to, (&path, &end)).await;
        if answer.as_ref().is_none_or(|answer| answer.status != 200) {
            self.violation(to, format!("does not end the import of p{who}: {}", words(answer.as_ref())));
        }
        self.time.pass(ANNOUNCING).await;
        let Some(node) = self.homes[to].node() else { return BTreeSet::new() };
        let known = |home: &&Home| domains.contains(&home.domain) && node.peers.get(&home.domain).is_some();
        self.homes.iter().filter(known).map(|home| home.place).collect()
    }

    /// What is addressed to people of a domain that the new home could not meet does not go there, if it was still under way.
    fn note_strangers(&mut self, who: Who, to: Place) {
        let Some(node) = self.homes[to].node() else { return };
        let is_stranger = |domain: &Domain| *domain != self.homes[to].domain && node.peers.get(domain).is_none();
        let home_of = |account| self.oracle.who(&account).map(|addressed| &self.homes[self.oracle.people[addressed].place].domain);
        let said = self.oracle.said.iter().filter(|said| said.who == who);
        let strangers = said.filter(|said| said.content.addressed().into_iter().any(|(to, _)| home_of(to).is_some_and(is_stranger)));
        let strangers: Vec<RecordId> = strangers.map(|said| said.id).collect();
        self.oracle.lost.extend(strangers);
    }

    /// Lets a domain meet others. Answers whether it knows them all now: who does not answer stays a stranger.
    async fn meet_all(&self, place: Place, domains: &BTreeSet<Domain>) -> bool {
        let Some(node) = self.homes[place].node() else { return false };
        let mut all = true;
        for domain in domains {
            all &= node.peers.get(domain).is_some() || node.peers.discover(domain, None).await.is_ok();
        }
        all
    }

    /// Notes what did not come along. With the help of the old home that is nothing that stands.
    fn check_luggage(&mut self, who: Who, (to, helped): (Place, bool), along: &BTreeSet<RecordId>) {
        let mut left = Vec::new();
        for said in self.oracle.said.iter().filter(|said| said.who == who && !along.contains(&said.id)) {
            let first = said.content.revises().unwrap_or(&said.id);
            let withdrawn = self.oracle.retracts.get(first).map(|at| self.oracle.said[*at].id);
            if withdrawn.is_some_and(|retract| along.contains(&retract)) {
                continue;
            }
            // What acts on something that is gone is not taken by any home.
            let certain = self.oracle.doubt_about(said).is_none() && (is_first(said) && said.content.kind() == Kind::Post);
            if helped && certain && withdrawn.is_none() {
                left.push(said.id);
            }
            self.oracle.lost.insert(said.id);
        }
        for id in left {
            self.violation(to, format!("p{who} moved here with the help of the old home, and without {id}"));
        }
    }

    /// A request by one of the person's devices.
    async fn send<T: serde::Serialize>(&mut self, who: Who, to: Place, (path, body): (&str, &T)) -> Option<Answer> {
        let Person { account, devices, .. } = &self.oracle.people[who];
        let body = serde_json::to_vec(body).expect("json");
        self.homes[to].ask((account, &devices[0]), ("POST", path), body).await
    }

    /// Somebody asks another domain to keep a copy, and names it in the key log.
    pub(crate) async fn keep_copy(&mut self, who: Who) {
        let Some(mirror) = self.haven(who) else { return };
        let (home, account) = (self.oracle.people[who].place, self.oracle.people[who].account.id());
        if !self.oracle.is_honest(who) || home == self.fates.restored {
            return;
        }
        if !self.meet_all(home, &BTreeSet::from([self.homes[mirror].domain.clone()])).await {
            return;
        }
        let request = MirrorRequest { home: self.homes[home].domain.clone() };
        let agreed = self.send(who, mirror, (&format!("/api/v1/accounts/{account}/mirror"), &request)).await;
        // It may have enough of them already, or could not ask the home whose device that is.
        if agreed.is_none_or(|answer| answer.status != 200) {
            return;
        }
        let person = &mut self.oracle.people[who];
        person.copies.insert(mirror);
        let mut mirrors = if person.mirrors.len() < MIRRORS { person.mirrors.clone() } else { BTreeSet::new() };
        mirrors.insert(mirror);
        let signer = person.devices[0].clone();
        let named = mirrors.iter().map(|place| self.homes[*place].domain.clone()).collect();
        if self.operate(who, Action::MirrorSet { mirrors: named }, &signer).await {
            self.oracle.people[who].mirrors = mirrors;
        }
    }

    fn residents(&self, place: Place) -> Vec<Who> {
        (0..self.oracle.people.len())
            .filter(|who| self.oracle.people[*who].place == place && self.oracle.people[*who].closed.is_none())
            .collect()
    }

    /// Those who live at a domain prepare for its end, in one way or the other.
    pub(crate) async fn save(&mut self, place: Place) {
        for who in self.residents(place).into_iter().filter(|_| self.homes[place].node().is_some()).collect::<Vec<_>>() {
            if self.rng.happens(500) {
                self.keep_copy(who).await;
            } else if let Some(luggage) = self.export(who, place).await {
                self.saved.insert(who, luggage);
            }
        }
    }

    /// Those who lived at a domain that was destroyed go on elsewhere, with what a mirror or a file has.
    pub(crate) async fn flee(&mut self, place: Place) {
        for who in self.residents(place) {
            let Some(to) = self.haven(who) else { continue };
            let mirror = self.oracle.people[who].mirrors.iter().copied().find(|mirror| self.homes[*mirror].node().is_some());
            let copy = match mirror {
                Some(mirror) => self.export(who, mirror).await,
                None => None,
            };
            // Who has neither goes on without what they said.
            let saved = self.saved.remove(&who).unwrap_or_default();
            self.go(who, to, copy.unwrap_or(saved)).await;
        }
    }
}

fn words(answer: Option<&Answer>) -> String {
    answer.map_or_else(|| "it does not run".to_owned(), |answer| String::from_utf8_lossy(&answer.body).into_owned())
}

fn problem(answer: &Answer) -> Option<String> {
    serde_json::from_slice::<Problem>(&answer.body).ok().map(|problem| problem.code().to_owned())
}

/// A part whose proof does not hold is left behind.
fn is_about_the_part(answer: Option<&Answer>) -> bool {
    answer.and_then(problem).is_some_and(|problem| problem == code::NOT_LOGGED)
}
