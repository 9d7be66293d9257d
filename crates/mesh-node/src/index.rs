//! What a statement changes: references, sets, counters, timelines, notifications, tombstones. The same for own and for foreign records.
//!
//! Pure preparation: everything goes into one batch that the caller commits. Callers see to it that two batches in flight never hold statements by
//! the same actor (one append thread, one lane for each peer), which is what makes reading before writing safe; counters only ever add, so that different
//! actors never conflict.

pub(crate) mod group;
mod withdrawing;

use crate::accounts::Account;
use crate::error::{NodeError, Result};
use crate::objects::Resolved;
use crate::tables::codec::{Reader, key_u64};
use crate::tables::payload::Payload;
use crate::tables::published;
use crate::tables::reference::{Reference, Standing, TombstoneRow};
use crate::tables::{
    AccountLid, HERE, Lid, ObjectLid, PeerNo, account_place_key, act_key, object_key, once_key, option_key, ordered_key, pair_key,
    subscribers_key, uncounted_key,
};
use mesh_proto::api::code;
use mesh_proto::envelope::{Kind, RecordId};
use mesh_proto::record::{Choices, Content, Poll, Post, Record};
use mesh_store::{Batch, KeyRange, Order, Read, Space};

/// News for those who follow along, published once the batch is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// An account published something.
    Timeline {
        /// The account.
        author: AccountLid,
        /// When its home accepted it.
        received: u64,
        /// The record.
        lid: Lid,
    },
    /// Something left a timeline, so that what is remembered of it may be wrong.
    Withdrawn {
        /// The account.
        author: AccountLid,
        /// The record's id.
        id: RecordId,
    },
    /// Something happened to an account's own things.
    Notice {
        /// The account of this domain.
        account: AccountLid,
        /// The record that did it.
        lid: Lid,
        /// What it is about.
        object: ObjectLid,
    },
    /// Something is to be delivered; of interest to the outbox alone, and told to nobody else.
    Waiting {
        /// The destination.
        peer: PeerNo,
    },
}

/// A verified record about to be indexed.
pub(crate) struct Statement<'a> {
    pub(crate) lid: Lid,
    pub(crate) peer: PeerNo,
    pub(crate) id: RecordId,
    pub(crate) received: u64,
    pub(crate) record: &'a Record,
    pub(crate) actor: &'a Account,
    /// Whether its actor lives here, so that this domain keeps score of what the actor says about others' things.
    pub(crate) ours: bool,
    pub(crate) resolved: Resolved,
}

/// Reads the present state, gathers the changes.
pub(crate) struct Indexer<'a> {
    pub(crate) read: &'a dyn Read,
    pub(crate) batch: Batch,
    pub(crate) news: Vec<News>,
}

/// The local id of an object's current version: the highest leaf, of several logs in that which was written last.
pub(crate) fn current_version(read: &dyn Read, first: Lid) -> Result<Lid> {
    let edge = |order| -> Result<Option<Lid>> {
        let row = read.scan(Space::Version, &KeyRange::prefix(first.key()), order, 1)?;
        row.first().map(|(key, _)| Ok(Lid(key_u64(key, 8, "version")?))).transpose()
    };
    let Some(last) = edge(Order::Backward)? else { return Ok(first) };
    if edge(Order::Forward)?.is_none_or(|lowest| lowest.origin() == last.origin()) {
        return Ok(last);
    }
    let mut current = (0, last);
    for version in later_versions(read, first)? {
        let received = Reference::get(read, version)?.map_or(0, |reference| reference.received);
        current = current.max((received, version));
    }
    Ok(current.1)
}

/// Most versions of one record.
pub(crate) const VERSIONS_MAX: usize = 1_000;

/// All later versions of a record.
pub(crate) fn later_versions(read: &dyn Read, first: Lid) -> Result<Vec<Lid>> {
    let rows = read.scan(Space::Version, &KeyRange::prefix(first.key()), Order::Forward, VERSIONS_MAX)?;
    rows.iter().map(|(key, _)| Ok(Lid(key_u64(key, 8, "version")?))).collect()
}

/// Whether what a domain's people say about others' things counts here.
pub(crate) fn counts(read: &dyn Read, peer: PeerNo) -> Result<bool> {
    Ok(peer == HERE || read.get(Space::Meta, uncounted_key(peer).as_bytes())?.is_none())
}

impl<'a> Indexer<'a> {
    pub(crate) fn new(read: &'a dyn Read) -> Self {
        Self { read, batch: Batch::new(), news: Vec::new() }
    }

    /// Gathers what a statement changes.
    pub(crate) fn apply(&mut self, statement: &Statement<'_>) -> Result<()> {
        match &statement.record.content {
            Content::Retract(retract) => self.retract(statement, retract),
            Content::Profile(_) => self.profile(statement),
            content if content.revises().is_some() => self.edit(statement),
            Content::Post(post) => self.post(statement, post),
            Content::Comment(comment) => self.comment(statement, &comment.parent.id),
            Content::Vote(vote) => {
                vote.check_received(statement.received).map_err(|error| NodeError::refused(code::ENDED, error.to_string()))?;
                self.once(statement)
            }
            Content::Like(_) | Content::Repost(_) | Content::Subscribe(_) => self.once(statement),
            Content::Report(_) => {
                let key = statement.resolved.object.map(|object| ordered_key(object, Kind::Report, statement.received, statement.lid));
                if let Some(key) = key {
                    self.batch.put(Space::Object, key, []);
                }
                self.insert(statement, Standing::Live, None);
                Ok(())
            }
        }
    }

    fn insert(&mut self, statement: &Statement<'_>, standing: Standing, parent: Option<RecordId>) {
        reference(statement, standing, parent).insert(&mut self.batch, statement.lid);
    }

    /// What the people of a blocked domain, or of one on probation, say about others' things does not count.
    fn count(&mut self, object: ObjectLid, kind: Kind, peer: PeerNo, delta: i64) -> Result<()> {
        if kind == Kind::Post || counts(self.read, peer)? {
            self.batch.add(Space::Count, object_key(object, kind), delta);
        }
        if kind == Kind::Subscribe {
            self.batch.add(Space::CountByPeer, subscribers_key(object, peer), delta);
        }
        Ok(())
    }

    /// The same for each option that a vote chooses.
    pub(crate) fn count_choices(&mut self, object: ObjectLid, choices: Option<Choices>, peer: PeerNo, delta: i64) -> Result<()> {
        if let Some(choices) = choices
            && counts(self.read, peer)?
        {
            for place in choices.places() {
                self.batch.add(Space::Count, option_key(object, place), delta);
            }
        }
        Ok(())
    }

    fn timeline(&mut self, statement: &Statement<'_>) {
        let key = account_place_key(statement.actor.lid, statement.received, statement.lid);
        self.batch.put(Space::Timeline, key, [statement.record.kind() as u8]);
        self.news.push(News::Timeline { author: statement.actor.lid, received: statement.received, lid: statement.lid });
    }

    fn notify(&mut self, statement: &Statement<'_>, object: ObjectLid) {
        for account in self.put_notices(statement, object) {
            self.news.push(News::Notice { account, lid: statement.lid, object });
        }
    }

    /// Writes the notifications that a statement causes; answers whom they are for.
    fn put_notices(&mut self, statement: &Statement<'_>, object: ObjectLid) -> Vec<AccountLid> {
        let actor = statement.actor.lid;
        let accounts: Vec<AccountLid> = statement.resolved.notify.iter().copied().filter(|account| *account != actor).collect();
        for account in &accounts {
            let mut value = vec![statement.record.kind() as u8];
            value.extend_from_slice(&object.0.to_be_bytes());
            self.batch.put(Space::Notice, account_place_key(*account, statement.received, statement.lid), value);
        }
        accounts
    }

    fn profile(&mut self, statement: &Statement<'_>) -> Result<()> {
        let key = statement.actor.lid.0.to_be_bytes();
        let current = self.read.get(Space::Profile, &key)?.map(|row| Reader::new(&row, "profile").u64()).transpose()?;
        if current.is_none_or(|current| current < statement.lid.0) {
            self.batch.put(Space::Profile, key, statement.lid.key());
        }
        self.insert(statement, Standing::Live, None);
        Ok(())
    }

    fn post(&mut self, statement: &Statement<'_>, post: &Post) -> Result<()> {
        self.insert(statement, Standing::Live, None);
        if statement.ours {
            published::put(&mut self.batch, post, (statement.received, statement.lid), statement.received);
        }
        self.timeline(statement);
        self.count(statement.actor.lid.into(), Kind::Post, statement.peer, 1)?;
        Ok(())
    }

    fn comment(&mut self, statement: &Statement<'_>, parent: &RecordId) -> Result<()> {
        self.insert(statement, Standing::Live, Some(*parent));
        if let Some(object) = statement.resolved.object {
            self.join_thread(statement, object)?;
        }
        Ok(())
    }

    fn join_thread(&mut self, statement: &Statement<'_>, object: ObjectLid) -> Result<()> {
        self.batch.put(Space::Object, ordered_key(object, Kind::Comment, statement.received, statement.lid), []);
        self.count(object, Kind::Comment, statement.peer, 1)?;
        if let Some(parent) = statement.resolved.parent {
            self.batch.put(Space::Object, ordered_key(parent.into(), Kind::Comment, statement.received, statement.lid), []);
            self.count(parent.into(), Kind::Comment, statement.peer, 1)?;
        }
        self.notify(statement, object);
        Ok(())
    }

    /// An edit: the first version stands for the record, the highest leaf is current.
    fn edit(&mut self, statement: &Statement<'_>) -> Result<()> {
        let first = statement.record.content.revises().ok_or(NodeError::NotFound("record"))?;
        let (lid, reference) =
            Reference::find(self.read, first)?.ok_or_else(|| NodeError::refused(code::OBJECT, "the record to edit is not known here"))?;
        if reference.actor != statement.actor.lid || reference.kind != statement.record.kind() {
            return Err(NodeError::refused(code::FORBIDDEN, "only its author edits a record, and its kind stays the same"));
        }
        if let Content::Comment(comment) = &statement.record.content
            && (reference.parent != Some(comment.parent.id) || reference.object != statement.resolved.object)
        {
            return Err(NodeError::refused(code::FORBIDDEN, "an edit keeps what the comment answers, and its thread"));
        }
        if let Content::Post(post) = &statement.record.content
            && kept_post(self.read, lid)?.is_some_and(|first| first.poll != post.poll)
        {
            return Err(NodeError::refused(code::FORBIDDEN, "an edit keeps the poll as it is: people voted on it"));
        }
        match reference.standing {
            Standing::Live => {}
            Standing::Retracted => return Err(NodeError::refused(code::GONE, "the record was withdrawn")),
            Standing::Edit | Standing::Superseded => {
                return Err(NodeError::refused(code::OBJECT, "name the record by the id of its first version"));
            }
        }
        if later_versions(self.read, lid)?.len() >= VERSIONS_MAX {
            return Err(NodeError::refused(code::TOO_LARGE, "the record has as many versions as it may have"));
        }
        let edit = Reference { object: Some(lid.into()), ..self::reference(statement, Standing::Edit, None) };
        edit.insert(&mut self.batch, statement.lid);
        self.batch.put(Space::Version, pair_key(lid.0, statement.lid.0), []);
        if let Content::Post(post) = &statement.record.content
            && statement.ours
        {
            published::put(&mut self.batch, post, (reference.received, lid), statement.received);
        }
        self.news.push(News::Withdrawn { author: statement.actor.lid, id: *first });
        Ok(())
    }

    /// A statement that an actor makes once about an object: the highest leaf wins.
    fn once(&mut self, statement: &Statement<'_>) -> Result<()> {
        let kind = statement.record.kind();
        let actor = statement.actor.lid;
        let once = statement.resolved.object.map(|object| once_key(object, kind, actor));
        // For a foreign object only the actor's home keeps score, for an own one both rows say the same. A repost is shown to those who follow, wherever its
        // object is, and must not be shown twice.
        let kept = statement.ours || (kind == Kind::Repost && once.is_none());
        let act = statement.record.content.once_about().filter(|_| kept).map(|about| act_key(actor, kind, about));
        let before = match (&once, &act) {
            (Some(key), _) => self.read.get(Space::Object, key)?,
            (None, Some(key)) => self.read.get(Space::Act, key)?,
            (None, None) => None,
        };
        let before = before.map(|row| Reader::new(&row, "object").u64().map(Lid)).transpose()?;
        if before.is_some_and(|before| before > statement.lid && before.origin() == statement.lid.origin()) {
            self.insert(statement, Standing::Superseded, None);
            return Ok(());
        }
        let live = before.map(|before| self.is_live(before)).transpose()?.unwrap_or(false);
        // One that was withdrawn counts for nobody: its row only says what it was about.
        if let (Kind::Subscribe, Some(author), true) = (kind, statement.resolved.object, live) {
            self.count_for(author, statement)?;
        }
        if let Some(key) = once {
            self.batch.put(Space::Object, key, once_value(statement.lid, kind, statement.peer));
        }
        if let Some(key) = act {
            self.batch.put(Space::Act, key, statement.lid.key());
        }
        self.insert(statement, Standing::Live, None);
        match before {
            Some(before) if live => self.supersede(before, statement)?,
            _ => self.first_of_its_kind(statement)?,
        }
        Ok(())
    }

    /// The domain for which a live subscription counts, where its row says so.
    fn counted_for(&self, object: ObjectLid, kind: Kind, actor: AccountLid) -> Result<Option<PeerNo>> {
        if kind != Kind::Subscribe {
            return Ok(None);
        }
        let row = self.read.get(Space::Object, &once_key(object, kind, actor))?;
        Ok(row.and_then(|row| row.get(8..12)?.try_into().ok()).map(|no| PeerNo(u32::from_be_bytes(no))))
    }

    /// Lets a live subscription count for the domain that says it now: its subscriber may have moved.
    fn count_for(&mut self, author: ObjectLid, statement: &Statement<'_>) -> Result<()> {
        let before = self.counted_for(author, Kind::Subscribe, statement.actor.lid)?.unwrap_or(crate::tables::HERE);
        if before != statement.peer {
            self.batch.add(Space::CountByPeer, subscribers_key(author, before), -1);
            self.batch.add(Space::CountByPeer, subscribers_key(author, statement.peer), 1);
        }
        Ok(())
    }

    /// Takes note that a subscription which is known came from another domain than before.
    pub(crate) fn resubscribe(&mut self, statement: &Statement<'_>) -> Result<()> {
        let Some(author) = statement.resolved.object else { return Ok(()) };
        let key = once_key(author, Kind::Subscribe, statement.actor.lid);
        let live = self.read.get(Space::Object, &key)?.map(|row| Reader::new(&row, "object").u64()).transpose()?;
        if live == Some(statement.lid.0) && self.is_live(statement.lid)? {
            self.count_for(author, statement)?;
            self.batch.put(Space::Object, key, once_value(statement.lid, Kind::Subscribe, statement.peer));
        }
        Ok(())
    }

    /// Lets a statement count whose object came here after it was made.
    pub(crate) fn attach(&mut self, statement: &Statement<'_>) -> Result<()> {
        let known = Reference::get(self.read, statement.lid)?;
        let (Some(object), Some(known)) = (statement.resolved.object, known) else { return Ok(()) };
        if known.standing != Standing::Live || known.object.is_some() {
            return Ok(());
        }
        Reference { object: Some(object), ..known.clone() }.put(&mut self.batch, statement.lid);
        match statement.record.kind() {
            Kind::Comment => self.join_thread(statement, object)?,
            kind if kind.is_once_per_object() => {
                let key = once_key(object, kind, statement.actor.lid);
                self.batch.put(Space::Object, key, once_value(statement.lid, kind, statement.peer));
                self.count(object, kind, statement.peer, 1)?;
                self.count_choices(object, known.choices, statement.peer, 1)?;
                self.notify(statement, object);
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether a statement stands. Of a foreign one that was withdrawn the row stays that says what it was about: its text, which tells that row, is gone.
    fn is_live(&self, lid: Lid) -> Result<bool> {
        Ok(Reference::get(self.read, lid)?.is_some_and(|reference| reference.standing == Standing::Live))
    }

    fn first_of_its_kind(&mut self, statement: &Statement<'_>) -> Result<()> {
        let kind = statement.record.kind();
        if let Some(object) = statement.resolved.object {
            self.count(object, kind, statement.peer, 1)?;
            self.count_choices(object, choices(statement.record), statement.peer, 1)?;
            self.notify(statement, object);
        }
        match (kind, statement.resolved.object) {
            (Kind::Repost, _) => self.timeline(statement),
            (Kind::Subscribe, Some(author)) if statement.ours => {
                self.batch.put(Space::Follow, pair_key(statement.actor.lid.0, author.0), statement.lid.key());
            }
            _ => {}
        }
        Ok(())
    }

    /// Puts a statement in the place of an earlier one by the same actor about the same object.
    fn supersede(&mut self, lid: Lid, statement: &Statement<'_>) -> Result<()> {
        let Some(mut before) = Reference::get(self.read, lid)? else { return Ok(()) };
        if before.kind == Kind::Repost {
            self.batch.delete(Space::Timeline, account_place_key(before.actor, before.received, lid));
            self.timeline(statement);
        }
        if let Some(object) = before.object {
            self.count_choices(object, before.choices, statement.peer, -1)?;
            self.count_choices(object, choices(statement.record), statement.peer, 1)?;
            self.unnotify(lid, &before, object)?;
            self.put_notices(statement, object);
        }
        before.standing = Standing::Superseded;
        before.put(&mut self.batch, lid);
        Ok(())
    }
}

/// What is kept of a statement that an actor makes once: where it is and, of a subscription from elsewhere, for whom it counts.
fn once_value(lid: Lid, kind: Kind, peer: PeerNo) -> Vec<u8> {
    let mut value = lid.key().to_vec();
    if kind == Kind::Subscribe && !lid.is_own() {
        value.extend_from_slice(&peer.0.to_be_bytes());
    }
    value
}

fn reference(statement: &Statement<'_>, standing: Standing, parent: Option<RecordId>) -> Reference {
    Reference {
        standing,
        kind: statement.record.kind(),
        id: statement.id,
        actor: statement.actor.lid,
        received: statement.received,
        device: statement.actor.device_place(&statement.record.head.device),
        object: statement.resolved.object,
        parent,
        choices: choices(statement.record),
    }
}

fn choices(record: &Record) -> Option<Choices> {
    if let Content::Vote(vote) = &record.content { Some(vote.choices) } else { None }
}

/// The first version of a post that this domain answers for.
fn kept_post(read: &dyn Read, first: Lid) -> Result<Option<Post>> {
    let envelope = Payload::get(read, first)?.and_then(|payload| payload.envelope);
    let content = envelope.and_then(|envelope| Record::open(&envelope).ok()).map(|record| record.content);
    Ok(if let Some(Content::Post(post)) = content { Some(post) } else { None })
}

/// The poll of a post that this domain answers for: that of its first version, which no edit changes.
pub(crate) fn poll(read: &dyn Read, first: Lid) -> Result<Option<Poll>> {
    Ok(kept_post(read, first)?.and_then(|post| post.poll))
}

/// `log (4) ‖ SHA-256 (32) ‖ actor (8)`.
pub(crate) fn early_key(lid: Lid, id: &RecordId, actor: AccountLid) -> Vec<u8> {
    [&lid.origin().0.to_be_bytes()[..], id.hash(), &actor.0.to_be_bytes()].concat()
}

/// The counter of a log's early retracts.
pub(crate) fn early_count_key(lid: Lid) -> String {
    format!("early_retracts/{}", lid.origin().0)
}

/// Whether its actor withdrew a record before it came.
pub(crate) fn early_retract(read: &dyn Read, lid: Lid, id: &RecordId, actor: AccountLid) -> Result<Option<TombstoneRow>> {
    let row = read.get(Space::EarlyRetract, &early_key(lid, id, actor))?;
    Ok(row.and_then(|row| serde_json::from_slice(&row).ok()))
}

/// The record that an actor of this domain would withdraw to undo a statement.
pub(crate) fn act(read: &dyn Read, actor: AccountLid, kind: Kind, object_hash: &[u8; 32]) -> Result<Option<Lid>> {
    let row = read.get(Space::Act, &act_key(actor, kind, object_hash))?;
    row.map(|row| Ok(Lid(Reader::new(&row, "act").u64()?))).transpose()
}
