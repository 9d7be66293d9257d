//! Those who moved away: a domain that still sends here what concerns them is told where they went.

use super::Intake;
use crate::error::Result;
use crate::index::News;
use crate::index::group::Group;
use crate::peers::Peer;
use crate::tables::{KEYS, outbox_key};
use mesh_proto::record::Record;
use mesh_store::Space;

impl Intake {
    /// Notes that the key operations of those to whom a record is addressed go to the domain that sent it, if they lived here and left: nobody else may
    /// have a reason to tell it, as what it said was still under way when they left.
    pub(super) fn tell_where(&self, peer: &Peer, record: &Record, group: &mut Group) -> Result<()> {
        for (account, _) in record.content.addressed() {
            let Some(account) = self.accounts.get(&account)? else { continue };
            if account.name_leaf.is_some() && !self.accounts.lives_here(&account) && account.home() != peer.domain() {
                group.batch.put(Space::Late, outbox_key(peer.no(), KEYS | account.lid.0), []);
                group.news.push(News::Waiting { peer: peer.no() });
            }
        }
        Ok(())
    }
}
