//! Objects: what a record acts on, whether it is here, and whether its author's policy lets the actor act.

use crate::accounts::{Account, Accounts};
use crate::error::{NodeError, Result};
use crate::tables::payload::Payload;
use crate::tables::reference::{Reference, Standing};
use crate::tables::{AccountLid, Lid, ObjectLid, once_key};
use mesh_proto::address::Domain;
use mesh_proto::api::code;
use mesh_proto::envelope::{Kind, RecordId};
use mesh_proto::key::AccountId;
use mesh_proto::keylog::Status;
use mesh_proto::record::{Audience, Ballot, Comment, Content, Interaction, ObjectRef, Record, Vote};
use mesh_store::{Kv, Space};
use quick_cache::sync::Cache;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a record acts on, as far as it is here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Resolved {
    /// The object whose sets and counters the record joins.
    pub(crate) object: Option<ObjectLid>,
    /// For an answer to a comment that is known here: that comment.
    pub(crate) parent: Option<Lid>,
    /// Accounts of this domain to be notified.
    pub(crate) notify: Vec<AccountLid>,
}

/// What is asked of a post or comment again and again.
#[derive(Debug, Clone, Copy)]
struct Known {
    lid: Lid,
    kind: Kind,
    actor: AccountLid,
    actor_id: AccountId,
    /// A post's own policy.
    interaction: Interaction,
    /// A post's poll.
    ballot: Option<Ballot>,
    /// For a comment whose thread is here: the root, whose policy governs it.
    root: Option<RecordId>,
}

/// How many objects' policies are remembered: about 200 bytes each.
const OBJECTS_CACHED: usize = 50_000;

/// The objects service.
pub struct Objects {
    kv: Arc<dyn Kv>,
    accounts: Arc<Accounts>,
    domain: Domain,
    cache: Cache<RecordId, Known>,
    /// Counts edits and withdrawals, so that nobody remembers what was read before one.
    changes: AtomicU64,
}

impl Objects {
    pub(crate) fn new(kv: Arc<dyn Kv>, accounts: Arc<Accounts>, domain: Domain) -> Self {
        Self { kv, accounts, domain, cache: Cache::new(OBJECTS_CACHED), changes: AtomicU64::new(0) }
    }

    /// Forgets what is remembered of an object, after an edit or a withdrawal.
    pub(crate) fn forget(&self, id: &RecordId) {
        self.changes.fetch_add(1, Ordering::Release);
        self.cache.remove(id);
    }

    /// Finds what a record acts on. Objects of other domains are for their homes to judge: they resolve to nothing here.
    pub(crate) fn resolve(&self, record: &Record, actor: &Account) -> Result<Resolved> {
        match &record.content {
            Content::Profile(_) | Content::Post(_) => Ok(Resolved { object: Some(actor.lid.into()), ..Resolved::default() }),
            Content::Retract(_) => Ok(Resolved::default()),
            Content::Like(like) => self.record_object(&like.object, Kind::Like, actor),
            Content::Repost(repost) => self.record_object(&repost.object, Kind::Repost, actor),
            Content::Report(report) => self.record_object(&report.object, Kind::Report, actor),
            Content::Comment(comment) => self.comment_object(comment, actor),
            Content::Vote(vote) => self.poll_object(vote, actor),
            Content::Subscribe(subscribe) => {
                let author = self.accounts.get(&subscribe.object.actor)?;
                let is_copy = actor.keeps && actor.home() != &self.domain;
                if is_copy && author.as_ref().is_none_or(|author| author.home() != &self.domain) {
                    // A mirror keeps it for the day on which the subscriber takes it elsewhere, whoever the author is.
                    return Ok(Resolved::default());
                }
                let author = author.ok_or(NodeError::NotFound("account"))?;
                if author.log.view().status() == Status::Closed {
                    return Err(NodeError::refused(code::ACCOUNT, "the account was closed by its owner"));
                }
                if subscribe.object.home == self.domain && author.home() != &self.domain {
                    return Err(NodeError::refused(code::NOT_HOME, "the account does not live here (any more)"));
                }
                if author.home() != &self.domain && actor.home() != &self.domain {
                    return Err(NodeError::refused(code::OBJECT, "neither of them lives here"));
                }
                let notify = if author.home() == &self.domain { vec![author.lid] } else { Vec::new() };
                Ok(Resolved { object: Some(author.lid.into()), parent: None, notify })
            }
        }
    }

    fn record_object(&self, object: &ObjectRef, kind: Kind, actor: &Account) -> Result<Resolved> {
        if !self.is_here(object)? {
            return Ok(Resolved::default());
        }
        let known = self.known(&object.id)?;
        check_author(&known, &object.actor)?;
        let governing = match &known.root {
            Some(root) => self.known(root)?,
            None => known,
        };
        let audience = match kind {
            Kind::Like => governing.interaction.like,
            Kind::Repost if known.kind != Kind::Post => return Err(NodeError::refused(code::OBJECT, "only posts are reposted")),
            Kind::Repost => governing.interaction.repost,
            _ => Audience::Everyone,
        };
        if known.actor != actor.lid {
            self.check_audience(audience, &governing, actor)?;
        }
        let notify = if kind == Kind::Report { Vec::new() } else { vec![known.actor] };
        Ok(Resolved { object: Some(known.lid.into()), parent: None, notify })
    }

    /// The post whose poll a vote is in. Nobody is told of each vote.
    fn poll_object(&self, vote: &Vote, actor: &Account) -> Result<Resolved> {
        if !self.is_here(&vote.object)? {
            return Ok(Resolved::default());
        }
        let known = self.known(&vote.object.id)?;
        check_author(&known, &vote.object.actor)?;
        let ballot = known.ballot.ok_or_else(|| NodeError::refused(code::OBJECT, "the object has no poll"))?;
        vote.check_ballot(&ballot).map_err(|error| NodeError::refused(code::OBJECT, error.to_string()))?;
        if known.actor == actor.lid {
            return Err(NodeError::refused(code::POLICY, "who asks does not vote: the poll is your own"));
        }
        Ok(Resolved { object: Some(known.lid.into()), ..Resolved::default() })
    }

    /// The root's home keeps the whole thread; the parent's home, if another, keeps the answers to that comment.
    fn comment_object(&self, comment: &Comment, actor: &Account) -> Result<Resolved> {
        if self.is_here(&comment.root)? {
            let root = self.known(&comment.root.id)?;
            check_author(&root, &comment.root.actor)?;
            if root.kind != Kind::Post {
                return Err(NodeError::refused(code::OBJECT, "the root of a thread is a post"));
            }
            self.check_audience(root.interaction.comment, &root, actor)?;
            let mut resolved = Resolved { object: Some(root.lid.into()), parent: None, notify: vec![root.actor] };
            if comment.parent.id != comment.root.id {
                let (lid, parent) = self.reference(&comment.parent.id)?;
                if parent.kind != Kind::Comment || parent.object != Some(root.lid.into()) {
                    return Err(NodeError::refused(code::OBJECT, "the parent is not a comment in this thread"));
                }
                resolved.parent = Some(lid);
                if self.accounts.lives_here(&*self.accounts.by_lid(parent.actor)?) {
                    resolved.notify.push(parent.actor);
                }
            }
            resolved.notify.dedup();
            return Ok(resolved);
        }
        if self.is_here(&comment.parent)? {
            let parent = self.known(&comment.parent.id)?;
            check_author(&parent, &comment.parent.actor)?;
            return Ok(Resolved { object: Some(parent.lid.into()), parent: None, notify: vec![parent.actor] });
        }
        Ok(Resolved::default())
    }

    /// Whether an object is this domain's: by what a record says of its home, or because its author brought it here since.
    fn is_here(&self, object: &ObjectRef) -> Result<bool> {
        if object.home == self.domain {
            return Ok(true);
        }
        let author = self.accounts.get(&object.actor)?.filter(|author| author.keeps && self.accounts.lives_here(author));
        Ok(author.is_some() && Reference::find(&*self.kv, &object.id)?.is_some())
    }

    /// A live reference by its record's id.
    fn reference(&self, id: &RecordId) -> Result<(Lid, Reference)> {
        let found = Reference::find(&*self.kv, id)?.ok_or_else(|| NodeError::refused(code::OBJECT, "the object is not known here"))?;
        match found.1.standing {
            Standing::Live => Ok(found),
            Standing::Retracted => Err(NodeError::refused(code::GONE, "the object was withdrawn")),
            Standing::Edit | Standing::Superseded => {
                Err(NodeError::refused(code::OBJECT, "name the object by the id of its first version"))
            }
        }
    }

    /// A post or comment of this domain.
    fn known(&self, id: &RecordId) -> Result<Known> {
        if let Some(known) = self.cache.get(id) {
            self.check_author_is_here(&*self.accounts.by_lid(known.actor)?)?;
            return Ok(known);
        }
        let changes = self.changes.load(Ordering::Acquire);
        let (lid, reference) = self.reference(id)?;
        let actor = self.accounts.by_lid(reference.actor)?;
        if !(lid.is_own() || actor.keeps) || !matches!(reference.kind, Kind::Post | Kind::Comment) {
            return Err(NodeError::refused(code::OBJECT, "the object is not a post or comment of this domain"));
        }
        self.check_author_is_here(&actor)?;
        let actor_id = actor.id();
        let (interaction, root) = match (reference.kind, reference.object) {
            (Kind::Post, _) => (self.interaction(lid)?, None),
            (_, Some(object)) => (Interaction::default(), self.root(Lid(object.0))?),
            _ => (Interaction::default(), None),
        };
        let ballot = match reference.kind {
            Kind::Post => crate::index::poll(&*self.kv, lid)?.map(|poll| poll.ballot()),
            _ => None,
        };
        let known = Known { lid, kind: reference.kind, actor: reference.actor, actor_id, interaction, ballot, root };
        if self.changes.load(Ordering::Acquire) == changes {
            self.cache.insert(*id, known);
        }
        Ok(known)
    }

    /// What was said here stays here when its author goes, but what is said about it is for the new home.
    fn check_author_is_here(&self, author: &Account) -> Result<()> {
        if self.accounts.lives_here(author) {
            return Ok(());
        }
        Err(NodeError::refused(code::NOT_HOME, format!("the object's author moved: send it to {}", author.home())))
    }

    /// The id of a thread's root, if that is a post of this domain.
    fn root(&self, lid: Lid) -> Result<Option<RecordId>> {
        let Some(root) = Reference::get(&*self.kv, lid)?.filter(|root| root.kind == Kind::Post) else { return Ok(None) };
        let here = self.accounts.lives_here(&*self.accounts.by_lid(root.actor)?);
        Ok(here.then_some(root.id))
    }

    /// The policy of a post's current version.
    fn interaction(&self, lid: Lid) -> Result<Interaction> {
        let current = crate::index::current_version(&*self.kv, lid)?;
        let payload = Payload::get(&*self.kv, current)?.and_then(|payload| payload.envelope);
        let content = payload.and_then(|envelope| Record::open(&envelope).ok()).map(|record| record.content);
        Ok(if let Some(Content::Post(post)) = content { post.interaction } else { Interaction::default() })
    }

    fn check_audience(&self, audience: Audience, object: &Known, actor: &Account) -> Result<()> {
        let allowed = match audience {
            _ if object.actor == actor.lid => true,
            Audience::Everyone => true,
            Audience::Subscribers => self.kv.get(Space::Object, &once_key(object.actor.into(), Kind::Subscribe, actor.lid))?.is_some(),
            Audience::Nobody => false,
        };
        if allowed { Ok(()) } else { Err(NodeError::refused(code::POLICY, "its author does not let you do this")) }
    }
}

fn check_author(known: &Known, named: &AccountId) -> Result<()> {
    if known.actor_id == *named { Ok(()) } else { Err(NodeError::refused(code::OBJECT, "the object has another author")) }
}
