//! Whether what was made of records is still what would be made of them now, so that pages can be kept.
//!
//! What a page shows of a record hangs on a few keys of the store, each of which notes its changes (`mesh_store::changes`). Key spaces that are not
//! known here may decide what is shown: a change in one of them makes everything stale.

use crate::error::Result;
use crate::tables::codec::Reader;
use crate::tables::reference::Reference;
use crate::views::Views;
use mesh_proto::envelope::RecordId;
use mesh_store::{Place, Space};
use std::collections::BTreeSet;

/// What a record's own row, its versions, its body, its counters and the statements about it hang on: by its local id.
const OF_RECORD: [Space; 6] = [Space::Reference, Space::Version, Space::Payload, Space::CachePlace, Space::Count, Space::Object];
/// What is shown of its author: by the account's local id.
const OF_AUTHOR: [Space; 3] = [Space::Account, Space::KeyOp, Space::Profile];
/// What changes no record's page, or not without one of the above.
const OF_NOTHING: [Space; 34] = [
    Space::Meta,
    Space::LogEntry,
    Space::LogNode,
    Space::Peer,
    Space::Origin,
    Space::AccountId,
    Space::Name,
    Space::Id,
    Space::Timeline,
    Space::CountByPeer,
    Space::Follow,
    Space::Act,
    Space::Notice,
    Space::Outbox,
    Space::Tombstone,
    Space::Cache,
    Space::CacheOrder,
    Space::Invite,
    Space::Cursor,
    Space::Late,
    Space::Watermark,
    Space::Pin,
    Space::Evidence,
    Space::Archive,
    Space::Carried,
    Space::EarlyRetract,
    Space::Fork,
    Space::Sighting,
    Space::KnownName,
    Space::Silent,
    Space::Published,
    Space::Planned,
    Space::Report,
    Space::Rules,
];

/// What was read, and when.
#[derive(Debug, Clone)]
pub struct Seen {
    moment: u64,
    /// When time alone changes what was seen, milliseconds since the epoch: a poll ends.
    until_ms: u64,
    places: Box<[Place]>,
}

impl Seen {
    /// Bytes in memory, about.
    pub fn size_bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.places)
    }
}

impl Views {
    /// The present moment, to be taken before anything is read.
    pub fn moment(&self) -> u64 {
        self.kv.changes().now()
    }

    /// What was read since a moment of these records, their authors and what was said about them, good up to `until_ms`. Fails if one is not known here.
    /// Blocks.
    pub fn seen(&self, (moment, until_ms): (u64, u64), ids: &[RecordId]) -> Result<Seen> {
        let mut places = BTreeSet::new();
        for id in ids {
            let lid = self.first_version(id)?;
            let reference = Reference::get(&*self.kv, lid)?.ok_or(crate::NodeError::NotFound("record"))?;
            places.extend(OF_RECORD.map(|space| Place::of_key(space, &lid.key())));
            places.insert(Place::of_key(Space::Tombstone, id.hash()));
            let author = reference.actor.0.to_be_bytes();
            places.extend(OF_AUTHOR.map(|space| Place::of_key(space, &author)));
            if let Some(profile) = self.kv.get(Space::Profile, &author)? {
                let lid = Reader::new(&profile, "profile").u64()?;
                places.extend([Space::Reference, Space::Payload].map(|space| Place::of_key(space, &lid.to_be_bytes())));
            }
        }
        places.extend(unknown().map(Place::of_space));
        Ok(Seen { moment, until_ms, places: places.into_iter().collect() })
    }

    /// Whether nothing of what was seen has changed.
    pub fn is_current(&self, seen: &Seen) -> bool {
        self.clock.now_ms() <= seen.until_ms && !self.kv.changes().any_since(seen.moment, &seen.places)
    }
}

fn unknown() -> impl Iterator<Item = Space> {
    let known = |space: &Space| OF_RECORD.contains(space) || OF_AUTHOR.contains(space) || OF_NOTHING.contains(space);
    Space::ALL.iter().copied().filter(move |space| !known(space))
}
