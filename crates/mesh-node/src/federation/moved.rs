//! What was said here about an account that moved: its new home learns of it from here, because what others said about a person lies at their homes.
//!
//! The work is done in slices by the lane of the new home: what went to the account's earlier homes is looked through in the order in which it went, and
//! if one of them is this domain, all that its own people said. The row in the queue says how far that is.

use crate::accounts::{Account, Accounts};
use crate::error::Result;
use crate::peers::Peers;
use crate::queue;
use crate::tables::account::{FOLLOWING_MAX, following};
use crate::tables::codec::{Reader, key_u64};
use crate::tables::payload::Payload;
use crate::tables::reference::{Reference, Standing};
use crate::tables::{AccountLid, HERE, Lid, MOVED, PeerNo, outbox_key, pair_key, subscribers_key};
use mesh_proto::address::Domain;
use mesh_proto::record::Record;
use mesh_store::{Batch, KeyRange, Order, Read, Space};

/// Records looked through in one slice.
const SLICE: usize = 256;
/// Earlier homes that are looked through, the latest ones.
const HOMES_MAX: usize = 8;

/// Which of the records about an account go to its new home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    All,
    /// Those that it refused: they may have come before what they act on.
    Refused,
}

/// The row of an account of which all is looked through again that its new home refused.
pub(crate) fn again() -> Vec<u8> {
    place_of((0, 0), Which::Refused)
}

/// The value of a row: which earlier home is looked through, and from where on.
fn place_of((home, from): (u16, u64), which: Which) -> Vec<u8> {
    let flag: &[u8] = if which == Which::Refused { &[1] } else { &[] };
    [&home.to_be_bytes()[..], &from.to_be_bytes(), flag].concat()
}

/// Looks for what was said about an account.
pub(crate) struct About<'a> {
    pub(crate) read: &'a dyn Read,
    pub(crate) peers: &'a Peers,
    pub(crate) accounts: &'a Accounts,
}

impl About<'_> {
    /// Does one slice for the new home `to`. The last one removes the row.
    pub(crate) fn go_on(&self, batch: &mut Batch, to: PeerNo, account: AccountLid) -> Result<()> {
        let row = outbox_key(to, MOVED | account.0);
        let Some(place) = self.read.get(Space::Late, &row)? else { return Ok(()) };
        let (mut home, from, which) = if place.is_empty() {
            (0, 0, Which::All)
        } else {
            let mut place = Reader::new(&place, "late");
            (u16::from_be_bytes(place.array()?), place.u64()?, if place.rest().is_empty() { Which::All } else { Which::Refused })
        };
        // Whoever puts the row again meanwhile wants it to begin anew.
        batch.expect_value(Space::Late, row, place);
        let account = self.accounts.stored(account)?;
        let mut homes = account.log.homes();
        homes.pop();
        // Nobody moves that often: what is further back was told at earlier moves.
        let recent = homes.len().saturating_sub(HOMES_MAX);
        let Some(domain) = homes.get(recent + usize::from(home)) else {
            batch.delete(Space::Late, row);
            return Ok(());
        };
        if from == 0 && which == Which::All && domain == self.peers.own_domain() {
            self.leave(batch, &account)?;
        }
        // Who never lived here only says so.
        let lived = domain != self.peers.own_domain() || account.name_leaf.is_some();
        let said = if lived { self.said_to(domain, from)? } else { Vec::new() };
        let next = match said.last() {
            Some(last) if said.len() == SLICE => last + 1,
            _ => {
                home = home.saturating_add(1);
                0
            }
        };
        for number in said {
            let wanted = match which {
                Which::All => true,
                Which::Refused => self.read.get(Space::Outbox, &outbox_key(to, number))?.is_some_and(|row| queue::is_refused(&row)),
            };
            if wanted && self.is_about(Lid(number), &account)? {
                batch.put(Space::Outbox, outbox_key(to, number), []);
                batch.put(Space::Late, outbox_key(to, number), []);
            }
        }
        batch.put(Space::Late, row, place_of((home, next), which));
        Ok(())
    }

    /// Some records that went to a former home; all that is kept here if it is that home itself.
    pub(crate) fn said_to(&self, home: &Domain, from: u64) -> Result<Vec<u64>> {
        if home == self.peers.own_domain() {
            // What people brought along when they came to live here lies behind what they said here.
            let rows = self.read.scan(Space::Payload, &KeyRange::starting_at(Lid(from).key()), Order::Forward, SLICE)?;
            return rows.iter().map(|(key, _)| Ok(key_u64(key, 0, "payload")?)).collect();
        }
        match self.peers.get(home) {
            Some(peer) => queue::records(self.read, peer.no(), from, SLICE),
            None => Ok(Vec::new()),
        }
    }

    /// Whether a record stands, and is addressed to the account by someone else who lives here.
    pub(crate) fn is_about(&self, lid: Lid, account: &Account) -> Result<bool> {
        let Some(payload) = Payload::get(self.read, lid)?.filter(|payload| payload.account != account.lid) else { return Ok(false) };
        let Some(record) = payload.envelope.and_then(|envelope| Record::open(&envelope).ok()) else { return Ok(false) };
        if !record.content.addressed().iter().any(|(to, _)| *to == account.id()) {
            return Ok(false);
        }
        let stands = Reference::get(self.read, lid)?.is_some_and(|known| matches!(known.standing, Standing::Live | Standing::Edit));
        Ok(stands && self.accounts.lives_here(&*self.accounts.by_lid(payload.account)?))
    }

    /// An account that lived here does not follow anybody from here any more. Whom it follows here it follows from its new home, which says so.
    fn leave(&self, batch: &mut Batch, account: &Account) -> Result<()> {
        for author in following(self.read, account.lid, FOLLOWING_MAX)? {
            batch.delete(Space::Follow, pair_key(account.lid.0, author.0));
            if !self.accounts.lives_here(&*self.accounts.by_lid(author)?) {
                batch.add(Space::CountByPeer, subscribers_key(author.into(), HERE), -1);
            }
        }
        Ok(())
    }
}
