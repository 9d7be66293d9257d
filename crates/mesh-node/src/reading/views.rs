//! Views: records as readers see them, put together from references, payloads, bodies and counters.

use crate::accounts::{Account, Accounts};
use crate::bodies::{Bodies, Wanted};
use crate::error::{NodeError, Result};
use crate::index::current_version;
use crate::log::Log;
use crate::peers::Peers;
use crate::rulings::{Known, Rulings};
use crate::tables::codec::{Reader, key_u64};
use crate::tables::payload::Payload;
use crate::tables::reference::{Reference, Standing, TombstoneRow};
use crate::tables::{Lid, ObjectLid, object_key, once_key, option_key, place_key};
use mesh_proto::address::Domain;
use mesh_proto::api::{
    AccountView, Card, Cards, Comments, Counts, FeedPage, Found, LoggedRecord, PollView, ProfileView, RecordView, Tally, Tombstone, code,
};
use mesh_proto::envelope::{Kind, RecordId};
use mesh_proto::key::AccountId;
use mesh_proto::limits::{BATCH_RECORDS_MAX, PAGE_MAX, POLL_OPTIONS_MAX};
use mesh_proto::log::{Opening, cosignatures};
use mesh_proto::port::Clock;
use mesh_proto::record::{Content, Poll, Post, Record, RetractReason};
use mesh_store::{KeyRange, Kv, Order, Space, counter};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The views service.
pub struct Views {
    pub(super) kv: Arc<dyn Kv>,
    pub(super) accounts: Arc<Accounts>,
    peers: Arc<Peers>,
    log: Arc<Log>,
    bodies: Arc<Bodies>,
    pub(super) rulings: Arc<Rulings>,
    pub(super) clock: Arc<dyn Clock>,
}

/// Counters of one object at most: one for each kind, and one for each option of a poll.
const COUNTERS_MAX: usize = Kind::ALL.len() + POLL_OPTIONS_MAX;

/// A view with the body that it still lacks.
type Partial = (RecordView, Option<Wanted>);

impl Views {
    pub(crate) fn new(
        kv: Arc<dyn Kv>,
        (accounts, peers, rulings): Known,
        (log, bodies): (Arc<Log>, Arc<Bodies>),
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        Arc::new(Self { kv, accounts, peers, log, bodies, rulings, clock })
    }

    /// A record by its id; any version stands for its record.
    pub async fn record(self: &Arc<Self>, id: RecordId) -> Result<RecordView> {
        let partial = self.blocking(move |this| {
            let lid = this.first_version(&id)?;
            this.partial(lid)
        });
        let mut views = self.complete(vec![partial.await?]).await;
        views.pop().ok_or(NodeError::NotFound("record"))
    }

    /// The record at a place.
    pub async fn at(self: &Arc<Self>, lid: Lid) -> Result<RecordView> {
        self.records(vec![lid]).await?.pop().ok_or(NodeError::NotFound("record"))
    }

    /// Records by their places, in that order; places without a record are left out.
    pub(crate) async fn records(self: &Arc<Self>, lids: Vec<Lid>) -> Result<Vec<RecordView>> {
        let partials =
            self.blocking(move |this| lids.into_iter().filter_map(|lid| there(lid, this.partial(lid))).collect::<Result<Vec<_>>>()).await?;
        Ok(self.complete(partials).await)
    }

    pub(super) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Views) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let this = Arc::clone(self);
        tokio::task::spawn_blocking(move || work(&this)).await.map_err(|_| NodeError::Stopping)?
    }

    /// Fetches what is missing, once per home.
    async fn complete(self: &Arc<Self>, partials: Vec<Partial>) -> Vec<RecordView> {
        let wanted: Vec<Wanted> = partials.iter().filter_map(|(_, wanted)| wanted.clone()).collect();
        if wanted.is_empty() {
            return partials.into_iter().map(|(view, _)| view).collect();
        }
        let mut fetched = self.bodies.fetch(wanted).await;
        let filled = partials.into_iter().map(|(mut view, wanted)| {
            if let Some(record) = wanted.and_then(|wanted| fetched.remove(&wanted.lid)) {
                view.poll = poll_of(&record).map(|poll| PollView { over: poll.is_over(self.clock.now_ms()), tally: None });
                view.record = Some(record);
            }
            view
        });
        filled.collect()
    }

    /// The author of a record.
    pub fn author(&self, id: &RecordId) -> Result<AccountId> {
        let (_, reference) = Reference::find(&*self.kv, id)?.ok_or(NodeError::NotFound("record"))?;
        Ok(self.accounts.by_lid(reference.actor)?.id())
    }

    /// The place of the first version of the record with this id.
    pub(crate) fn first_version(&self, id: &RecordId) -> Result<Lid> {
        let (lid, reference) = Reference::find(&*self.kv, id)?.ok_or(NodeError::NotFound("record"))?;
        match (reference.standing, reference.object) {
            (Standing::Edit, Some(first)) => Ok(Lid(first.0)),
            _ => Ok(lid),
        }
    }

    fn partial(&self, lid: Lid) -> Result<Partial> {
        let reference = Reference::get(&*self.kv, lid)?.ok_or(NodeError::NotFound("record"))?;
        if reference.kind == Kind::Report {
            // Nobody outside learns that a report exists.
            return Err(NodeError::NotFound("record"));
        }
        let actor = self.accounts.by_lid(reference.actor)?;
        let card = self.card(lid, &reference, &actor)?;
        let url = format!("{}/@{}/{}", actor.home().base_url(), actor.address().user(), reference.id);
        let counts = self.counts(lid.into(), &[Kind::Comment, Kind::Like, Kind::Repost, Kind::Vote])?;
        let mut view = RecordView { card, record: None, tombstone: None, counts, poll: None, url };
        if reference.standing == Standing::Retracted {
            view.tombstone = self.tombstone(&reference.id)?;
            return Ok((view, None));
        }
        if self.rulings.hides(&reference, &actor) {
            view.tombstone = Some(removed(reference.id, &actor));
            return Ok((view, None));
        }
        view.record = self.body(lid, &actor)?;
        if let Some(poll) = view.record.as_ref().and_then(poll_of) {
            let tally = if self.accounts.lives_here(&actor) { Some(self.tally(lid, &poll, &view.counts)?) } else { None };
            view.poll = Some(PollView { over: poll.is_over(self.clock.now_ms()), tally });
        }
        // Who moved away may have edited there what was said here.
        let elsewhere = !lid.is_own() || actor.home() != self.peers.own_domain();
        let wanted = (view.record.is_none() && elsewhere).then(|| Wanted {
            lid,
            id: reference.id,
            home: actor.home().clone(),
            mirrors: actor.log.view().mirrors().to_vec(),
        });
        Ok((view, wanted))
    }

    /// The current version of a record, as far as it is here.
    fn body(&self, lid: Lid, actor: &Account) -> Result<Option<LoggedRecord>> {
        let kept = if lid.is_own() || actor.keeps { self.kept_record(lid, actor)? } else { None };
        Ok(if kept.is_some() { kept } else { self.bodies.cached(lid)? })
    }

    fn card(&self, lid: Lid, reference: &Reference, actor: &Account) -> Result<Card> {
        let leaf = self.peers.position(lid)?;
        let disowned = actor.log.is_disowned(usize::from(reference.device), &leaf);
        Ok(Card {
            id: reference.id,
            kind: reference.kind,
            actor: actor.id(),
            address: actor.address().clone(),
            leaf,
            received: reference.received,
            parent: reference.parent,
            disowned,
        })
    }

    /// The card of a place.
    pub(crate) fn card_at(&self, lid: Lid) -> Result<Card> {
        let reference = Reference::get(&*self.kv, lid)?.ok_or(NodeError::NotFound("record"))?;
        let actor = self.accounts.by_lid(reference.actor)?;
        self.card(lid, &reference, &actor)
    }

    /// The current version of a record that this domain answers for.
    fn kept_record(&self, first: Lid, actor: &Account) -> Result<Option<LoggedRecord>> {
        self.kept_version(current_version(&*self.kv, first)?, actor)
    }

    /// The version at a place that this domain answers for.
    pub(super) fn kept_version(&self, lid: Lid, actor: &Account) -> Result<Option<LoggedRecord>> {
        let Some(payload) = Payload::get(&*self.kv, lid)? else { return Ok(None) };
        let Some(envelope) = payload.envelope else { return Ok(None) };
        let opening =
            Opening { salt: payload.salt, record: payload.record, account: actor.id(), kind: payload.kind, received: payload.received };
        let leaf = self.peers.position(lid)?;
        Ok(Some(LoggedRecord { envelope, leaf, opening }))
    }

    fn tombstone(&self, id: &RecordId) -> Result<Option<Tombstone>> {
        let Some(row) = TombstoneRow::get(&*self.kv, id)? else { return Ok(None) };
        let lid = Lid(row.retract);
        let retract = Payload::get(&*self.kv, lid)?.and_then(|payload| payload.envelope);
        Ok(Some(Tombstone { id: *id, reason: row.reason, signer: row.signer, retract: retract.map(Box::new) }))
    }

    /// What is counted of the votes in a poll of this domain.
    fn tally(&self, lid: Lid, poll: &Poll, counts: &Counts) -> Result<Tally> {
        let votes = (0..poll.options.len()).map(|place| counter(&*self.kv, Space::Count, &option_key(lid.into(), place)));
        let votes = votes.map(|votes| Ok(votes?.max(0) as u64)).collect::<Result<_>>()?;
        Ok(Tally { voters: counts.get(&Kind::Vote).copied().unwrap_or(0), votes })
    }

    fn counts(&self, object: ObjectLid, kinds: &[Kind]) -> Result<Counts> {
        let rows = self.kv.scan(Space::Count, &KeyRange::prefix(object.0.to_be_bytes()), Order::Forward, COUNTERS_MAX)?;
        let mut counts = Counts::new();
        for (key, row) in rows {
            // Those of a poll's options have longer keys.
            let number = key.get(8).filter(|_| key.len() == object_key(object, Kind::Vote).len());
            let kind = number.and_then(|number| Kind::from_number(*number)).filter(|kind| kinds.contains(kind));
            if let Some(kind) = kind {
                counts.insert(kind, Reader::new(&row, "count").u64()?);
            }
        }
        Ok(counts)
    }

    /// An account as this server shows it.
    pub fn account(&self, account: &Account) -> Result<AccountView> {
        let hidden = self.rulings.hides_account(account);
        let profile = if hidden { ProfileView::default() } else { self.profile(account)?.unwrap_or_default() };
        Ok(AccountView {
            account: account.id(),
            address: account.address().clone(),
            head: account.log.head(),
            status: account.log.view().status(),
            created: account.log.view().created(),
            profile,
            counts: self.counts(account.lid.into(), &[Kind::Subscribe, Kind::Post])?,
            witnesses: self.witnesses(account),
            suspended: self.rulings.suspension(account)?,
        })
    }

    /// The domains that cosigned a checkpoint of this log that covers the account's name. They were verified when they came.
    fn witnesses(&self, account: &Account) -> Vec<Domain> {
        let here = account.home() == self.peers.own_domain();
        let covering =
            account.name_leaf.filter(|_| here).and_then(|leaf| self.log.witnessed().filter(|head| head.size + self.log.base() > leaf));
        let lines = covering.and_then(|head| cosignatures(&head.note).ok()).unwrap_or_default();
        let domains: BTreeSet<Domain> = lines.iter().map(|line| line.domain().clone()).collect();
        domains.into_iter().collect()
    }

    fn profile(&self, account: &Account) -> Result<Option<ProfileView>> {
        let Some(row) = self.kv.get(Space::Profile, &account.lid.0.to_be_bytes())? else { return Ok(None) };
        let lid = Lid(Reader::new(&row, "profile").u64()?);
        let record = self.body(lid, account)?;
        let content = record.and_then(|record| Record::open(&record.envelope).ok()).map(|record| record.content);
        let Some(Content::Profile(profile)) = content else { return Ok(None) };
        Ok(Some(ProfileView { name: profile.name, bio: profile.bio, noindex: profile.noindex }))
    }

    /// One page of what an account published, newest first.
    pub async fn posts(self: &Arc<Self>, account: &Account, before: Option<String>, limit: usize) -> Result<FeedPage> {
        let author = account.lid;
        let limit = limit.clamp(1, PAGE_MAX);
        let lids = self.blocking(move |this| {
            let mut range = KeyRange::prefix(author.0.to_be_bytes());
            if let Some(before) = before {
                let place = decode_cursor(&before)?;
                range = range.before([&author.0.to_be_bytes()[..], &place].concat());
            }
            let rows = this.kv.scan(Space::Timeline, &range, Order::Backward, limit + 1)?;
            rows.iter().map(|(key, _)| Ok((key_u64(key, 8, "timeline")?, Lid(key_u64(key, 16, "timeline")?)))).collect::<Result<Vec<_>>>()
        });
        self.page(lids.await?, limit).await
    }

    /// The first `limit` of these places, one more of which says that there is a next page.
    pub(crate) async fn page(self: &Arc<Self>, places: Vec<(u64, Lid)>, limit: usize) -> Result<FeedPage> {
        let (places, more) = cut(places, limit);
        let next = places.last().filter(|_| more).map(|(received, lid)| encode_cursor(*received, *lid));
        let mut items = self.records(places.into_iter().map(|(_, lid)| lid).collect()).await?;
        // What operators removed leaves no trace in lists; in a thread a tombstone holds its place.
        items.retain(|view| view.tombstone.is_none());
        Ok(FeedPage { items, next })
    }

    /// One page of a thread, oldest first.
    pub async fn comments(self: &Arc<Self>, id: RecordId, after: Option<String>, limit: usize) -> Result<Comments> {
        let limit = limit.clamp(1, PAGE_MAX);
        let places = self.blocking(move |this| {
            let object = ObjectLid::from(this.first_version(&id)?);
            let prefix = object_key(object, Kind::Comment);
            let mut range = KeyRange::prefix(prefix);
            if let Some(after) = after {
                range = range.after([&prefix[..], &decode_cursor(&after)?].concat());
            }
            let rows = this.kv.scan(Space::Object, &range, Order::Forward, limit + 1)?;
            rows.iter().map(|(key, _)| Ok((key_u64(key, 9, "object")?, Lid(key_u64(key, 17, "object")?)))).collect::<Result<Vec<_>>>()
        });
        let (places, more) = cut(places.await?, limit);
        let next = places.last().filter(|_| more).map(|(received, lid)| encode_cursor(*received, *lid));
        let comments = self.records(places.into_iter().map(|(_, lid)| lid).collect()).await?;
        Ok(Comments { comments, next })
    }

    /// Who liked or reposted a record, or voted in its poll.
    pub fn references(&self, id: &RecordId, kind: Kind, after: Option<&str>, limit: usize) -> Result<Cards> {
        if !matches!(kind, Kind::Like | Kind::Repost | Kind::Vote) {
            return Err(NodeError::refused(code::MALFORMED, "kind must be like, repost or vote"));
        }
        let limit = limit.clamp(1, PAGE_MAX);
        let object = ObjectLid::from(self.first_version(id)?);
        let mut range = KeyRange::prefix(object_key(object, kind));
        if let Some(after) = after {
            let actor = mesh_proto::bytes::array_from_base64url::<8>(after, "cursor")
                .map_err(|e| NodeError::refused(code::MALFORMED, e.to_string()))?;
            range = range.after(once_key(object, kind, crate::tables::AccountLid(u64::from_be_bytes(actor))));
        }
        let (rows, more) = cut(self.kv.scan(Space::Object, &range, Order::Forward, limit + 1)?, limit);
        let mut cards = Vec::with_capacity(rows.len());
        for (_, row) in &rows {
            let lid = Lid(Reader::new(row, "object").u64()?);
            cards.extend(there(lid, self.card_at(lid)).transpose()?);
        }
        let next = rows.last().filter(|_| more).map(|(key, _)| mesh_proto::bytes::base64url(&key[9..]));
        Ok(Cards { cards, next })
    }

    /// What this home has under ids, for other domains.
    pub fn batch(&self, ids: &[RecordId]) -> Result<Vec<Found>> {
        if ids.len() > BATCH_RECORDS_MAX {
            return Err(NodeError::refused(code::TOO_LARGE, format!("at most {BATCH_RECORDS_MAX} ids")));
        }
        ids.iter().map(|id| self.found(id)).collect()
    }

    /// A record that this domain answers for, in its current version.
    pub fn kept(&self, id: &RecordId) -> Result<LoggedRecord> {
        match self.found(id)? {
            Found::Record(record) => Ok(*record),
            Found::Tombstone(_) => Err(NodeError::refused(code::GONE, "the record was withdrawn")),
            Found::Nothing => Err(NodeError::NotFound("record")),
        }
    }

    fn found(&self, id: &RecordId) -> Result<Found> {
        let Ok(lid) = self.first_version(id) else { return Ok(Found::Nothing) };
        let Some(reference) = Reference::get(&*self.kv, lid)? else { return Ok(Found::Nothing) };
        let actor = self.accounts.by_lid(reference.actor)?;
        if reference.kind == Kind::Report || !(lid.is_own() || actor.keeps) {
            return Ok(Found::Nothing);
        }
        if reference.standing == Standing::Retracted {
            return Ok(self.tombstone(&reference.id)?.map_or(Found::Nothing, Found::Tombstone));
        }
        if self.rulings.hides(&reference, &actor) {
            return Ok(Found::Tombstone(removed(reference.id, &actor)));
        }
        Ok(self.kept_record(lid, &actor)?.map_or(Found::Nothing, |record| Found::Record(Box::new(record))))
    }
}

/// The poll of a post.
pub(super) fn poll_of(record: &LoggedRecord) -> Option<Poll> {
    let is_post = record.envelope.kind() == Kind::Post;
    match is_post.then(|| Record::open(&record.envelope).ok())??.content {
        Content::Post(Post { poll, .. }) => poll,
        _ => None,
    }
}

/// What is left of a record that operators do not let be shown.
fn removed(id: RecordId, actor: &Account) -> Tombstone {
    Tombstone { id, reason: RetractReason::Home, signer: actor.id(), retract: None }
}

/// What is listed and is not there is left out: one lost reference keeps nobody from the rest of a page.
fn there<T>(lid: Lid, found: Result<T>) -> Option<Result<T>> {
    if matches!(found, Err(NodeError::NotFound(_))) {
        tracing::warn!(record.lid = lid.0, "views.missing");
        return None;
    }
    Some(found)
}

/// One page of what was read with one more than a page holds, and whether there are more: nobody is led to an empty page.
pub(crate) fn cut<T>(mut rows: Vec<T>, limit: usize) -> (Vec<T>, bool) {
    let more = rows.len() > limit;
    rows.truncate(limit);
    (rows, more)
}

/// A cursor: base64url of `received (8) ‖ local id (8)`.
pub(crate) fn encode_cursor(received: u64, lid: Lid) -> String {
    mesh_proto::bytes::base64url(&place_key(received, lid))
}

pub(crate) fn decode_cursor(text: &str) -> Result<[u8; 16]> {
    mesh_proto::bytes::array_from_base64url(text, "cursor")
        .map_err(|_| NodeError::refused(code::MALFORMED, "not a cursor of an earlier page"))
}

#[cfg(test)]
mod tests {
    use crate::tables::reference::Reference;
    use crate::{Config, MemoryStore, Node, Ports};
    use mesh_proto::api::{Admission, NewAccount};
    use mesh_proto::record::{Content, Post};
    use mesh_store::{Batch, Kv, Space};
    use mesh_testkit::TestAccount;
    use std::sync::Arc;

    #[tokio::test(flavor = "multi_thread")]
    async fn page_with_a_lost_reference_shows_the_rest() {
        let kv: Arc<dyn Kv> = Arc::new(MemoryStore::new());
        let node = Node::open(Config::for_tests(), Ports::for_tests(&kv)).expect("opens");
        let ada = TestAccount::new("ada@one.example", 1);
        let genesis = ada.keys.ops().next().expect("a genesis").envelope.clone();
        node.records.register(NewAccount { genesis, admission: Admission::default() }).await.expect("registered");
        let mut lids = Vec::new();
        for words in ["first", "second", "third"] {
            let post = ada.sign(Content::Post(Post::free(words)));
            node.records.submit(post.clone()).await.expect("accepted");
            lids.push(Reference::find(&*kv, &post.id()).expect("reads").expect("there").0);
        }
        let mut batch = Batch::new();
        batch.delete(Space::Reference, lids[1].key());
        kv.commit(batch).wait().expect("commits");
        let shown = node.views.records(lids).await.expect("a page");
        assert_eq!(shown.len(), 2);
    }
}
