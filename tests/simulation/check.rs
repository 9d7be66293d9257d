//! What must be true when all faults have ended: compares what honest domains show and hold with what really happened.
//!
//! - `sets`: who likes, reposts, answers and follows what, and the counters of it; at the home of each post, comment and person.
//! - `timelines`: what each domain shows of the authors that its people follow, and the feeds made of it.
//! - `keys`: key logs agree with those at their homes.
//! - `moves`: who moved is answered for by the new home alone; mirrors keep what they promised; who was restored goes on in a new log.
//! - `stores`: no text of foreign people outside the cache, and nothing anywhere that was forged.
//! - here: whatever is shown is signed by who it says, under the key log, and its leaf opens.

mod keys;
mod moves;
mod sets;
mod stores;
mod timelines;

use crate::oracle::{Expected, Who};
use crate::wire::Place;
use crate::world::World;
use crate::{Sabotage, Seen};
use mesh_proto::api::{LoggedRecord, RecordView};
use mesh_proto::envelope::RecordId;
use mesh_proto::key::SecretKey;
use mesh_proto::keylog::LogPosition;
use mesh_proto::record::Record;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long everything may take to come to rest: the longest wait after a failure is 6 h, and what it lets through may wait in turn.
const REST_HOURS_MAX: u64 = 36;
/// Entries in a tile of a log.
const ENTRIES_OF_TILE: u64 = 256;
/// Everybody has asked everybody once more.
const AFTER_REST: Duration = Duration::from_secs(2 * 3_600);

impl World {
    /// Gives the domains time until nothing waits between honest ones.
    pub(crate) async fn come_to_rest(&mut self) {
        for _ in 0..REST_HOURS_MAX {
            if self.waiting().is_empty() {
                break;
            }
            self.time.pass(Duration::from_secs(3_600)).await;
        }
        self.time.pass(AFTER_REST).await;
        let waiting = self.waiting();
        self.violations.extend(waiting.iter().map(|(from, to)| format!("d{from:02} still has something for d{to:02}")));
    }

    /// Pairs of honest domains of which one has something for the other.
    fn waiting(&self) -> Vec<(Place, Place)> {
        let honest = self.honest();
        let mut waiting = Vec::new();
        for from in &honest {
            let Some(node) = self.homes[*from].node() else { continue };
            for to in &honest {
                let peer = node.peers.get(&self.homes[*to].domain);
                if peer.is_some_and(|peer| node.outbox.waiting(peer.no(), 1).is_ok_and(|count| count > 0)) {
                    waiting.push((*from, *to));
                }
            }
        }
        waiting
    }

    /// Checks everything.
    pub(crate) async fn check(&mut self, sabotage: Option<Sabotage>) {
        self.sabotage_rows(sabotage);
        self.sabotage_accounts(sabotage).await;
        self.check_sets().await;
        self.check_timelines().await;
        self.check_feeds().await;
        self.check_keys();
        self.check_moves().await;
        self.check_mirrors().await;
        self.check_new_log();
        self.check_stores();
    }

    /// Stops all domains.
    pub(crate) async fn end(&mut self) {
        for home in &mut self.homes {
            home.end(crate::home::End::Stopped).await;
        }
    }

    /// How much was looked at.
    pub(crate) fn seen(&self) -> Seen {
        Seen {
            accepted: self.oracle.said.len(),
            lost: self.oracle.lost.len(),
            exchanges: self.wire.exchanges.load(Ordering::Relaxed),
            ..self.seen
        }
    }

    pub(crate) fn violation(&mut self, place: Place, words: String) {
        self.violations.push(format!("d{place:02}: {words}"));
    }

    /// Compares who is shown to have stated something with who has.
    fn compare(&mut self, place: Place, what: &str, (shown, expected): (&BTreeMap<Who, RecordId>, &BTreeMap<Who, Expected>)) {
        self.seen.statements += shown.len();
        let mut found = Vec::new();
        for (who, id) in shown {
            match expected.get(who) {
                _ if !self.oracle.is_genuine(id) => found.push(format!("{what} of p{who}, which nobody signed: {id}")),
                None => found.push(format!("{what} of p{who}, who never said so")),
                Some(Expected::Any(_)) => {}
                Some(Expected::Exactly(Some(wanted))) if wanted == id => {}
                Some(Expected::Exactly(wanted)) => found.push(format!("{what} of p{who}: expected {wanted:?}, got {id}")),
            }
        }
        for (who, wanted) in expected {
            if let Expected::Exactly(Some(wanted)) = wanted
                && !shown.contains_key(who)
            {
                found.push(format!("{what} of p{who} ({}): expected {wanted}, got none", self.oracle.people[*who].path()));
            }
        }
        for words in found {
            self.violation(place, words);
        }
    }

    /// Compares what is shown, of many possible, with what is to be expected of each.
    fn compare_each(&mut self, place: Place, what: &str, (shown, expected): (&BTreeSet<RecordId>, &BTreeMap<RecordId, Expected>)) {
        for id in shown {
            match expected.get(id) {
                Some(Expected::Any(_)) => {}
                Some(Expected::Exactly(Some(_))) => {}
                Some(Expected::Exactly(None)) => self.violation(place, format!("{what}: {id} is withdrawn or superseded, and shown")),
                None => self.violation(place, format!("{what}: {id} does not belong there")),
            }
        }
        for (id, wanted) in expected {
            if matches!(wanted, Expected::Exactly(Some(_))) && !shown.contains(id) {
                let from = self.oracle.get(id).map(|said| self.oracle.people[said.who].path());
                self.violation(place, format!("{what}: {id} from {} is missing", from.unwrap_or_default()));
            }
        }
    }

    /// Verifies a record that is shown somewhere: nobody but its actor can have made it.
    fn verify(&mut self, place: Place, view: &RecordView) {
        if !self.oracle.is_genuine(&view.card.id) {
            self.violation(place, format!("shows {}, which nobody signed", view.card.id));
        }
        let Some(record) = &view.record else { return };
        self.seen.verified += 1;
        if let Err(words) = self.verified(record) {
            self.violation(place, format!("shows {} unverified: {words}", view.card.id));
        }
    }

    fn verified(&self, shown: &LoggedRecord) -> Result<(), String> {
        let record = Record::open(&shown.envelope).map_err(|error| error.to_string())?;
        let who = self.oracle.who(&record.head.actor).ok_or("there is no such actor")?;
        let person = &self.oracle.people[who];
        let device = person.account.keys.view().devices().get(&record.head.device).ok_or("there is no such device")?;
        shown.envelope.verify(&device.verifier).map_err(|error| error.to_string())?;
        let (id, opening) = (shown.envelope.id(), &shown.opening);
        if opening.record != id || opening.account != record.head.actor || opening.kind != shown.envelope.kind() {
            return Err("its leaf's opening is of another record".into());
        }
        let LogPosition { origin, index } = &shown.leaf;
        let home = person
            .homes
            .iter()
            .find(|home| self.homes[**home].domain == *origin.domain())
            .ok_or("its actor never lived at its log's home")?;
        if !self.oracle.is_honest(who) || self.oracle.lost.contains(&id) || self.destroyed.contains(home) {
            return Ok(());
        }
        let node = self.homes[*home].node().ok_or("its home does not run")?;
        let width = index % ENTRIES_OF_TILE + 1;
        let entries = node.log.entries(origin.number(), (index / ENTRIES_OF_TILE, width)).map_err(|error| error.to_string())?;
        if entries.ends_with(&opening.entry().0) { Ok(()) } else { Err("its leaf does not open".into()) }
    }

    /// Whether the newest version of a record is shown, if it is beyond doubt which one that is.
    fn check_version(&mut self, place: Place, view: &RecordView) {
        let Some(first) = self.oracle.get(&view.card.id) else { return };
        let versions = self.oracle.versions(&first.id);
        let doubtful = versions.iter().any(|said| self.oracle.doubt_about(said).is_some());
        let newest = versions.last().map(|said| said.id);
        let shown = view.record.as_ref().map(|record| record.envelope.id());
        if doubtful || view.tombstone.is_some() || shown == newest {
            return;
        }
        let who = first.who;
        let path = self.oracle.people[who].path();
        self.violation(place, format!("of {} by p{who} ({path}): expected version {newest:?}, got {shown:?}", view.card.id));
    }

    /// A key with which a person can ask.
    fn asker(&self, who: Who) -> Option<SecretKey> {
        self.oracle.people[who].devices.first().cloned()
    }
}
