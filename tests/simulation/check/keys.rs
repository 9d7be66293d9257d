//! Key logs: what a domain knows of a foreign account is a beginning of what its home knows, and holds what had to be announced. Who knows all of it has come
//! to the same end, whatever a thief showed it.

use crate::oracle::Who;
use crate::world::World;
use mesh_proto::envelope::RecordId;
use std::collections::BTreeSet;

impl World {
    /// Compares the key logs of all honest people at all honest domains.
    pub(super) fn check_keys(&mut self) {
        for who in 0..self.oracle.people.len() {
            // Who did not get away from a destroyed home has none.
            if self.oracle.is_honest(who) && !self.destroyed.contains(&self.oracle.people[who].place) {
                self.check_key_log(who);
            }
        }
    }

    fn ops(&self, place: usize, who: Who) -> Option<Vec<RecordId>> {
        let account = self.homes[place].node()?.accounts.get(&self.oracle.people[who].account.id()).ok()??;
        Some(account.log.ops().map(|op| op.envelope.id()).collect())
    }

    fn check_key_log(&mut self, who: Who) {
        let person = &self.oracle.people[who];
        let (home, id) = (person.place, person.account.id());
        let truth: Vec<RecordId> = person.account.keys.ops().map(|op| op.envelope.id()).collect();
        let announced = person.announced.clone();
        let stolen = person.stolen.clone();
        let end = (person.account.keys.view().status(), person.account.keys.head());
        // A second branch by root may come before the first one.
        let forked = truth.len() > person.account.keys.view().position(&end.1).map_or(0, |last| last + 1);
        let ops = |place| self.ops(place, who).map(|ops| ops.into_iter().filter(|op| !stolen.contains(op)).collect::<Vec<_>>());
        let known: Vec<Option<Vec<RecordId>>> = (0..self.homes.len()).map(ops).collect();
        if known[home].as_ref() != Some(&truth) {
            self.violation(home, format!("has another key log of its own p{who} than p{who}"));
        }
        for place in self.honest() {
            if let Some(known) = known[place].as_ref().filter(|_| place != home) {
                self.seen.key_logs += 1;
                let begins = if forked { known.iter().all(|op| truth.contains(op)) } else { truth.starts_with(known) };
                if !begins {
                    self.violation(place, format!("has a key log of p{who} that is no beginning of the true one"));
                }
            }
            if known[place].as_ref().is_some_and(|known| known.len() == truth.len()) {
                self.seen.forks += usize::from(place != home && (forked || !stolen.is_empty()));
                let account = self.homes[place].node().and_then(|node| node.accounts.get(&id).ok().flatten());
                let came_to = account.map(|account| (account.log.view().status(), account.log.head()));
                if came_to != Some(end) {
                    self.violation(place, format!("knows the key log of p{who}, and came to {came_to:?} instead of {end:?}"));
                }
            }
            let known: BTreeSet<RecordId> = known[place].iter().flatten().copied().collect();
            for (op, told) in &announced {
                if told.contains(&place) && place != home && !known.contains(op) {
                    self.violation(place, format!("was to be told of the key operation {op} of p{who}, and does not know it"));
                }
            }
        }
    }
}
