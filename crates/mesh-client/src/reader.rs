//! Reading: records as a server shows them, each verified before it is shown.
//!
//! Key logs come from the server that serves the page, in batches, and are kept in memory; they are checked and pinned like any other. A
//! record that does not verify is never passed on as good: it is a [`State::Refused`] with the reason.

pub mod history;
#[cfg(not(target_arch = "wasm32"))]
pub mod private;
mod tree;

pub use tree::{Place, order};

use crate::error::{ClientError, Result};
use crate::home::{Home, Page};
use crate::http::Signer;
use crate::limits::{KEYS_ASKED_MAX, KEYS_CACHED_MAX, REQUESTS_AT_ONCE_MAX, THREAD_COMMENTS_MAX};
use crate::pins::PinBook;
use crate::verify::{Mistrust, Standing, check};
use futures_util::{StreamExt, stream};
use mesh_proto::address::{Address, Domain};
use mesh_proto::api::{NotificationPage, RecordView};
use mesh_proto::envelope::{Kind, RecordId};
use mesh_proto::key::AccountId;
use mesh_proto::keylog::{KeyLog, UseError};
use mesh_proto::record::{Choices, Content, ObjectRef, Poll, Record};
use mesh_proto::uri::{self, Target};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// What became of the check of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Signed by its author, who stands by it.
    Good(Box<Record>),
    /// Signed by a device of its author, who does not stand by it.
    Disowned(Box<Record>, UseError),
    /// Withdrawn.
    Withdrawn,
    /// Its home cannot be reached, so there is only the card.
    Absent,
    /// It does not verify: not to be shown.
    Refused(Mistrust),
}

/// A record with the verdict on it.
#[derive(Debug, Clone)]
pub struct Shown {
    /// What the server says about it.
    pub view: RecordView,
    /// The author's address: by the author's key log if that is at hand, else as the server says.
    pub author: Address,
    /// The verdict.
    pub state: State,
    /// Of a poll: what its reader chose, where somebody looked that up ([`crate::session::Session::own_votes`]).
    pub own_vote: Option<Choices>,
}

impl Shown {
    /// The verified record, disowned or not.
    pub fn record(&self) -> Option<&Record> {
        match &self.state {
            State::Good(record) | State::Disowned(record, _) => Some(record),
            State::Withdrawn | State::Absent | State::Refused(_) => None,
        }
    }

    /// The id of the verified version.
    pub fn version(&self) -> Option<RecordId> {
        self.record()?;
        self.view.record.as_ref().map(|record| record.envelope.id())
    }

    /// The poll of a verified post.
    pub fn poll(&self) -> Option<&Poll> {
        match &self.record()?.content {
            Content::Post(post) => post.poll.as_ref(),
            _ => None,
        }
    }

    /// When its author's home logged the version that is shown, or the first one if that is not at hand; milliseconds since the epoch.
    pub fn received(&self) -> u64 {
        self.view.record.as_ref().map_or(self.view.card.received, |record| record.opening.received)
    }

    /// The link to it.
    pub fn target(&self) -> Target {
        Target::Record { person: uri::Person::Address(self.author.clone()), record: self.view.card.id, version: None }
    }

    /// For a verified comment: what it answers.
    pub fn parent(&self) -> Option<RecordId> {
        match &self.record()?.content {
            Content::Comment(comment) => Some(comment.parent.id),
            _ => None,
        }
    }
}

/// One page of verified records.
#[derive(Debug, Clone)]
pub struct ShownPage {
    /// The records.
    pub items: Vec<Shown>,
    /// Where the next page starts; `None` on the last.
    pub next: Option<String>,
}

type Known = Result<Arc<KeyLog>, Mistrust>;

/// Reads through one server. Cloning is cheap and shares the key logs.
#[derive(Clone)]
pub struct Reader {
    home: Home,
    pins: PinBook,
    keys: Arc<Mutex<BTreeMap<AccountId, Known>>>,
}

impl Reader {
    /// A reader through `home`.
    pub fn new(home: Home, pins: PinBook) -> Self {
        Self { home, pins, keys: Arc::default() }
    }

    /// The server that it reads through.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// A reader through another server, with the same pins.
    pub fn through(&self, domain: &Domain) -> Self {
        if domain == self.home.domain() {
            return self.clone();
        }
        Self::new(Home::new(self.home.http().clone(), domain.clone()), self.pins.clone())
    }

    /// The record that a link points at; that it is the one is checked too.
    pub async fn record(&self, target: &Target) -> Result<Shown> {
        let Target::Record { person, record, .. } = target else {
            return Err(ClientError::Input(format!("{target} is a person, not a record")));
        };
        let home = match person {
            uri::Person::Address(address) => Some(address.domain()),
            uri::Person::Account { home, .. } => home.as_ref(),
        };
        let view =
            if home == Some(self.home.domain()) { self.home.record(record).await? } else { self.home.resolve(&target.to_string()).await? };
        let shown = self.show_one(view).await;
        let checked = match &shown.state {
            State::Refused(mistrust) => return Err(mistrust.clone().into()),
            State::Withdrawn | State::Absent => return Ok(shown),
            State::Good(_) | State::Disowned(..) => shown.view.record.as_ref(),
        };
        if let (Some(logged), Some(Ok(keys))) = (checked, self.cached(&shown.view.card.actor)) {
            check::fits(target, &check::logged_record(logged, &keys)?, &keys)?;
        }
        Ok(shown)
    }

    /// The object of another record, such as what was reposted.
    pub async fn object(&self, object: &ObjectRef) -> Result<Shown> {
        let person = uri::Person::Account { id: object.actor, home: Some(object.home.clone()) };
        self.record(&Target::Record { person, record: object.id, version: None }).await
    }

    /// The objects of the reposts among `items`, by id; those that cannot be had are left out.
    pub async fn reposted(&self, items: &[Shown]) -> BTreeMap<RecordId, Shown> {
        let objects: BTreeMap<RecordId, ObjectRef> = items
            .iter()
            .filter_map(|item| match &item.record()?.content {
                Content::Repost(repost) => Some((repost.object.id, repost.object.clone())),
                _ => None,
            })
            .collect();
        stream::iter(objects)
            .map(|(id, object)| async move { self.object(&object).await.ok().map(|shown| (id, shown)) })
            .buffer_unordered(REQUESTS_AT_ONCE_MAX)
            .filter_map(std::future::ready)
            .collect()
            .await
    }

    /// One page of a thread, oldest first.
    pub async fn comments(&self, root: &RecordId, page: &Page) -> Result<ShownPage> {
        let comments = self.home.comments(root, page).await?;
        Ok(ShownPage { items: self.show(comments.comments).await, next: comments.next })
    }

    /// A whole thread, oldest first, up to [`THREAD_COMMENTS_MAX`].
    pub async fn all_comments(&self, root: &RecordId) -> Result<ShownPage> {
        let mut page = Page::first(mesh_proto::limits::PAGE_MAX);
        let mut items = Vec::new();
        loop {
            let part = self.comments(root, &page).await?;
            items.extend(part.items);
            if part.next.is_none() || part.next == page.from || items.len() >= THREAD_COMMENTS_MAX {
                return Ok(ShownPage { items, next: part.next });
            }
            page.from = part.next;
        }
    }

    /// One page of an account's posts, newest first.
    pub async fn posts(&self, who: &str, page: &Page) -> Result<ShownPage> {
        let posts = self.home.posts(who, page).await?;
        Ok(ShownPage { items: self.show(posts.items).await, next: posts.next })
    }

    /// One page of the signer's feed, newest first.
    pub async fn feed(&self, signer: &Signer, page: &Page) -> Result<ShownPage> {
        let feed = self.home.feed(signer, page).await?;
        Ok(ShownPage { items: self.show(feed.items).await, next: feed.next })
    }

    /// One page of the signer's notifications, newest first: cards, which hold no authored text and no signature.
    pub async fn notifications(&self, signer: &Signer, page: &Page) -> Result<NotificationPage> {
        self.home.notifications(signer, page).await
    }

    /// Verifies one record as shown.
    pub async fn show_one(&self, view: RecordView) -> Shown {
        let actor = view.card.actor;
        self.show(vec![view.clone()]).await.pop().unwrap_or_else(|| {
            let state = State::Refused(Mistrust::NotAsSigned { record: view.card.id, what: "nothing was shown" });
            debug_assert!(false, "one view of {actor} gives one verdict");
            Shown { author: view.card.address.clone(), view, state, own_vote: None }
        })
    }

    /// Verifies records as shown, in their order.
    pub async fn show(&self, views: Vec<RecordView>) -> Vec<Shown> {
        let actors = |views: &mut dyn Iterator<Item = &RecordView>| -> BTreeSet<AccountId> { views.map(|view| view.card.actor).collect() };
        let missing = actors(&mut views.iter().filter(|view| view.record.is_some() && self.cached(&view.card.actor).is_none()));
        self.fetch_keys(missing).await;
        let mut shown: Vec<Shown> = views.into_iter().map(|view| self.judge(view)).collect();
        // A key log at hand may be older than the record: one more look.
        let is_behind = |one: &&Shown| {
            matches!(&one.state, State::Refused(Mistrust::Use { source: UseError::UnknownHead(_) | UseError::UnknownDevice(_), .. }))
        };
        let behind = actors(&mut shown.iter().filter(is_behind).map(|one| &one.view));
        if !behind.is_empty() {
            self.fetch_keys(behind).await;
            shown = shown.into_iter().map(|one| if is_behind(&&one) { self.judge(one.view) } else { one }).collect();
        }
        shown
    }

    /// A verified key log, from memory or from the server.
    pub async fn keys(&self, account: &AccountId) -> Result<Arc<KeyLog>> {
        if self.cached(account).is_none() {
            self.fetch_keys(BTreeSet::from([*account])).await;
        }
        match self.cached(account) {
            Some(Ok(keys)) => Ok(keys),
            Some(Err(mistrust)) => Err(mistrust.into()),
            None => Err(ClientError::NotFound(format!("{} does not know the key log of {account}", self.home.domain()))),
        }
    }

    fn cached(&self, account: &AccountId) -> Option<Known> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).get(account).cloned()
    }

    /// Fetches key logs; what cannot be had stays missing, and the records concerned are refused.
    async fn fetch_keys(&self, accounts: BTreeSet<AccountId>) {
        let accounts: Vec<AccountId> = accounts.into_iter().collect();
        for asked in accounts.chunks(KEYS_ASKED_MAX) {
            let Ok(answer) = self.home.keys_batch(asked).await else { continue };
            for view in answer.accounts.into_iter().filter(|view| asked.contains(&view.account)) {
                let account = view.account;
                let known = check::keys(view, &account).and_then(|keys| self.meet(keys));
                let mut cache = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
                if cache.len() >= KEYS_CACHED_MAX {
                    cache.clear();
                }
                cache.insert(account, known);
            }
        }
    }

    fn meet(&self, keys: KeyLog) -> Known {
        let mut pins = self.pins.lock();
        pins.check_name(keys.view().address(), &keys.account())?;
        pins.meet(&keys, self.home.http().now_ms())?;
        Ok(Arc::new(keys))
    }

    fn judge(&self, view: RecordView) -> Shown {
        let keys = self.cached(&view.card.actor);
        let author = match &keys {
            Some(Ok(keys)) => keys.view().address().clone(),
            _ => view.card.address.clone(),
        };
        let state = verdict(&view, keys).unwrap_or_else(State::Refused);
        Shown { view, author, state, own_vote: None }
    }
}

/// Checks a view against its author's key log.
fn verdict(view: &RecordView, keys: Option<Known>) -> Result<State, Mistrust> {
    if view.tombstone.is_some() {
        return Ok(State::Withdrawn);
    }
    let Some(logged) = &view.record else { return Ok(State::Absent) };
    let differs = |what| Mistrust::NotAsSigned { record: logged.envelope.id(), what };
    let keys = keys.unwrap_or_else(|| Err(differs("it gives no key log of the author")))?;
    let checked = check::logged_record(logged, &keys)?;
    let card = &view.card;
    if checked.id != card.id {
        return Err(differs("the card is of another record"));
    }
    if checked.record.kind() != card.kind {
        return Err(differs("the card says another kind"));
    }
    let parent = match &checked.record.content {
        Content::Comment(comment) => Some(comment.parent.id),
        _ => None,
    };
    if card.kind == Kind::Comment && parent != card.parent {
        return Err(differs("the card says another parent"));
    }
    let record = Box::new(checked.record);
    Ok(match checked.standing {
        Standing::Good => State::Good(record),
        Standing::Disowned(why) => State::Disowned(record, why),
    })
}

#[cfg(test)]
mod tests;
