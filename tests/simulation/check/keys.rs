//! Key logs: what a domain knows of a foreign account is a beginning of what its home knows, and holds what had to be announced.

use crate::oracle::Who;
use crate::world::World;
use mesh_proto::envelope::RecordId;
use std::collections::BTreeSet;

impl World {
    /// Compares the key logs of all honest people at all honest domains.
    pub(super) fn check_keys(&mut self) {
        for who in 0..self.oracle.people.len() {
            if self.oracle.is_honest(who) {
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
        let home = person.place;
        let truth: Vec<RecordId> = person.account.keys.ops().map(|op| op.envelope.id()).collect();
        let announced = person.announced.clone();
        if self.ops(home, who).as_ref() != Some(&truth) {
            self.violation(home, format!("has another key log of its own p{who} than p{who}"));
        }
        for place in self.honest() {
            let known = self.ops(place, who);
            if let Some(known) = known.as_ref().filter(|_| place != home) {
                self.seen.key_logs += 1;
                if !truth.starts_with(known) {
                    self.violation(place, format!("has a key log of p{who} that is no beginning of the true one"));
                }
            }
            let known: BTreeSet<RecordId> = known.into_iter().flatten().collect();
            for (op, told) in &announced {
                if told.contains(&place) && place != home && !known.contains(op) {
                    self.violation(place, format!("was to be told of the key operation {op} of p{who}, and does not know it"));
                }
            }
        }
    }
}
