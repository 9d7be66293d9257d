//! Signed counters: what this domain counts about its own objects, in a form that it can be held to. `spec/healing.md`.

use crate::accounts::Accounts;
use crate::error::{NodeError, Result};
use crate::index;
use crate::peers::Peers;
use crate::rulings::Rulings;
use crate::tables::codec::{Reader, key_u64};
use crate::tables::reference::{Reference, Standing};
use crate::tables::{Lid, ObjectLid, object_key};
use crate::views::Views;
use mesh_proto::api::{Counters as Answer, code};
use mesh_proto::counter::{Counter, SetSum};
use mesh_proto::envelope::{Kind, RecordId};
use mesh_proto::key::SecretKey;
use mesh_proto::limits::POLL_OPTIONS_MAX;
use mesh_proto::port::Clock;
use mesh_proto::ruling::Measure;
use mesh_store::{KeyRange, Kv, Order, Read, Space};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Rows read at once.
const ROWS: usize = 4_096;
/// Most statements of one kind about one object that are counted for a signature.
const COUNTED_MAX: usize = 1_000_000;
/// Objects that are counted at once.
const COUNTING_MAX: usize = 2;
/// What is counted.
const KINDS: [Kind; 4] = [Kind::Comment, Kind::Like, Kind::Repost, Kind::Vote];

/// The services that it needs, over the store.
pub(crate) type Parts = (Arc<dyn Kv>, Arc<Accounts>, Arc<Peers>, Arc<Views>, Arc<Rulings>);

/// The service that signs counters.
pub struct Counters {
    kv: Arc<dyn Kv>,
    accounts: Arc<Accounts>,
    peers: Arc<Peers>,
    views: Arc<Views>,
    rulings: Arc<Rulings>,
    clock: Arc<dyn Clock>,
    key: SecretKey,
    counting: Semaphore,
}

impl Counters {
    pub(crate) fn new((kv, accounts, peers, views, rulings): Parts, clock: Arc<dyn Clock>, key: SecretKey) -> Self {
        Self { kv, accounts, peers, views, rulings, clock, key, counting: Semaphore::new(COUNTING_MAX) }
    }

    /// The counters of a record of this domain, one for each kind that there is. Blocks.
    pub fn of(&self, id: &RecordId) -> Result<Answer> {
        let _counting = self.counting.try_acquire().map_err(|_| NodeError::SlowDown { retry_after_s: 1 })?;
        let lid = self.views.first_version(id)?;
        let read = self.kv.snapshot()?;
        let object = Reference::get(&*read, lid)?.filter(|object| object.kind != Kind::Report).ok_or(NodeError::NotFound("record"))?;
        if !self.accounts.lives_here(&*self.accounts.by_lid(object.actor)?) {
            return Err(NodeError::refused(code::NOT_HOME, "only the record's home counts all: ask there"));
        }
        let options = index::poll(&*read, lid)?.map_or(0, |poll| poll.options.len());
        let mut statements = Vec::new();
        for kind in KINDS {
            let (sum, mut votes) = self.count(&*read, lid.into(), kind)?;
            votes.truncate(if kind == Kind::Vote { options } else { 0 });
            let counter = Counter {
                domain: self.peers.own_domain().clone(),
                object: object.id,
                kind,
                count: sum.count(),
                fingerprint: sum.fingerprint(),
                votes,
                at: self.clock.now_ms(),
            };
            statements.push(counter.sign(&self.key));
        }
        Ok(Answer { counters: statements })
    }

    /// The statements that count and, of votes, how many chose each option that any poll can have.
    fn count(&self, read: &dyn Read, object: ObjectLid, kind: Kind) -> Result<(SetSum, Vec<u64>)> {
        let mut sum = SetSum::default();
        let mut votes = vec![0; POLL_OPTIONS_MAX];
        let mut range = KeyRange::prefix(object_key(object, kind));
        loop {
            let rows = read.scan(Space::Object, &range, Order::Forward, ROWS)?;
            let mut lids = Vec::with_capacity(rows.len());
            for (key, row) in &rows {
                lids.push(Lid(if kind.is_once_per_object() { Reader::new(row, "object").u64()? } else { key_u64(key, 17, "object")? }));
            }
            let keys: Vec<[u8; 8]> = lids.iter().map(|lid| lid.key()).collect();
            let keys: Vec<&[u8]> = keys.iter().map(<[u8; 8]>::as_slice).collect();
            for (lid, row) in lids.iter().zip(read.multi_get(Space::Reference, &keys)?) {
                let Some(reference) = row.map(|row| Reference::decode(&row)).transpose()? else { continue };
                if reference.standing == Standing::Live && self.counts(*lid, &reference)? {
                    sum.add(&reference.id);
                    reference.choices.iter().flat_map(|choices| choices.places()).for_each(|place| votes[place] += 1);
                }
            }
            match rows.last() {
                Some(_) if sum.count() as usize > COUNTED_MAX => {
                    return Err(NodeError::refused(code::TOO_LARGE, format!("more than {COUNTED_MAX} statements are not counted at once")));
                }
                Some((last, _)) if rows.len() == ROWS => range = range.after(last),
                _ => return Ok((sum, votes)),
            }
        }
    }

    /// Statements by revoked devices do not count, nor those of people whose domain is blocked or on probation here.
    fn counts(&self, lid: Lid, reference: &Reference) -> Result<bool> {
        let actor = self.accounts.by_lid(reference.actor)?;
        let leaf = self.peers.position(lid)?;
        let welcome = self.rulings.measure(leaf.origin.domain()) == Measure::None;
        Ok(welcome && !actor.log.is_disowned(usize::from(reference.device), &leaf))
    }
}
