//! Statements that are stored in one batch because none changes what a later one reads.

use crate::index::{Indexer, News};
use crate::tables::AccountLid;
use mesh_proto::envelope::{Kind, RecordId};
use mesh_proto::record::{Content, Record};
use mesh_store::Batch;
use std::collections::BTreeSet;

/// Who said what kind of thing, and about what: two of one actor that are alike in all three read what the other writes.
type Said = (AccountLid, Kind, [u8; 32]);

/// Some statements.
#[derive(Default)]
pub(crate) struct Group {
    said: BTreeSet<Said>,
    pub(crate) batch: Batch,
    pub(crate) news: Vec<News>,
}

impl Group {
    /// Whether a statement is to be judged only after the group is stored. Of what it would only be refused for without the group, nothing is said here.
    pub(crate) fn matters_to(&self, actor: AccountLid, id: &RecordId, record: &Record) -> bool {
        let mut before = self.said.range((actor, Kind::Key, [0; 32])..(AccountLid(actor.0 + 1), Kind::Key, [0; 32]));
        match record.kind() {
            Kind::Retract => before.next().is_some(),
            _ => self.said.contains(&said(actor, id, record)) || before.any(|(_, kind, _)| *kind == Kind::Retract),
        }
    }

    /// Notes that a statement was judged.
    pub(crate) fn note(&mut self, actor: AccountLid, id: &RecordId, record: &Record) {
        self.said.insert(said(actor, id, record));
    }

    /// Adds what a statement changes.
    pub(crate) fn add(&mut self, indexer: Indexer<'_>) {
        self.batch.merge(indexer.batch);
        self.news.extend(indexer.news);
    }
}

fn said(actor: AccountLid, id: &RecordId, record: &Record) -> Said {
    let content = &record.content;
    let about = match content {
        Content::Profile(_) => [0; 32],
        _ => *content.once_about().or(content.revises().map(RecordId::hash)).unwrap_or(id.hash()),
    };
    (actor, content.kind(), about)
}
