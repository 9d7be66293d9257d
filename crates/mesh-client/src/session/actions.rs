//! What people do, as drafts.

use super::Session;
use crate::error::{ClientError, Result};
use crate::limits::REQUESTS_AT_ONCE_MAX;
use crate::reader::{Shown, State};
use crate::verify::{Mistrust, check};
use futures_util::{StreamExt, stream};
use mesh_proto::envelope::{Kind, RecordId};
use mesh_proto::key::AccountId;
use mesh_proto::record::{
    AccountRef, Choices, Comment, Content, Like, ObjectRef, Post, Preview, Profile, Record, Report, ReportReason, Repost, Retract,
    RetractReason, Subscribe, Terms, Vote,
};
use mesh_proto::uri::{self, Target};

/// What an edit changes; what it does not name stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edit {
    /// The new text.
    pub text: String,
    /// A new title; empty: none any more.
    pub title: Option<String>,
    /// New tags, if any are given.
    pub tags: Vec<String>,
    /// A new language.
    pub lang: Option<String>,
}

impl Session {
    /// A post.
    pub async fn draft_post(&self, post: Post) -> Result<Record> {
        self.draft(Content::Post(post)).await
    }

    /// A new version of one's own post or comment.
    pub async fn draft_edit(&self, target: &Target, edit: Edit) -> Result<Record> {
        let (_, shown, mut record) = self.object(target).await?;
        if record.head.actor != self.account() {
            return Err(ClientError::NotAllowed(format!("{target} is by {}: only its author can edit it", shown.author)));
        }
        let id = shown.view.card.id;
        match &mut record.content {
            Content::Post(post) => {
                // A preview stays while its link does.
                let still = |preview: &Preview| !post.text.contains(&preview.url) || edit.text.contains(&preview.url);
                post.preview = post.preview.take().filter(still);
                post.text = edit.text;
                post.revises = Some(id);
                post.lang = edit.lang.or(post.lang.take());
                if let Some(title) = edit.title {
                    post.title = (!title.is_empty()).then_some(title);
                }
                if !edit.tags.is_empty() {
                    post.tags = edit.tags;
                }
            }
            Content::Comment(comment) => {
                comment.text = edit.text;
                comment.revises = Some(id);
                comment.lang = edit.lang.or(comment.lang.take());
            }
            _ => return Err(ClientError::Input(format!("a {} cannot be edited", record.kind()))),
        }
        self.draft(record.content).await
    }

    /// A comment on a post or on another comment.
    pub async fn draft_comment(&self, target: &Target, text: String, lang: Option<String>) -> Result<Record> {
        let (parent, _, record) = self.object(target).await?;
        let root = match record.content {
            Content::Post(_) => parent.clone(),
            Content::Comment(comment) => comment.root,
            _ => return Err(ClientError::Input(format!("a {} cannot be commented on", record.kind()))),
        };
        self.draft(Content::Comment(Comment { root, parent, text, lang, terms: Terms::Free, revises: None })).await
    }

    /// A like of a post or comment.
    pub async fn draft_like(&self, target: &Target) -> Result<Record> {
        let (object, _, record) = self.object(target).await?;
        match record.kind() {
            Kind::Post | Kind::Comment => self.draft(Content::Like(Like { object })).await,
            other => Err(ClientError::Input(format!("a {other} cannot be liked"))),
        }
    }

    /// A repost of a post.
    pub async fn draft_repost(&self, target: &Target) -> Result<Record> {
        let (object, _, record) = self.object(target).await?;
        match record.kind() {
            Kind::Post => self.draft(Content::Repost(Repost { object })).await,
            other => Err(ClientError::Input(format!("a {other} cannot be reposted"))),
        }
    }

    /// A vote in a post's poll, for the options at these places.
    pub async fn draft_vote(&self, target: &Target, choices: Choices) -> Result<Record> {
        let (object, _, record) = self.object(target).await?;
        let poll = match record.content {
            Content::Post(Post { poll: Some(poll), .. }) => poll,
            _ => return Err(ClientError::Input(format!("{target} has no poll"))),
        };
        let vote = Vote { object, poll: poll.hash(), ends: poll.ends, choices };
        let good = vote.check_received(self.home().http().now_ms()).and_then(|()| vote.check_ballot(&poll.ballot()));
        good.map_err(|error| ClientError::Input(error.to_string()))?;
        self.draft(Content::Vote(vote)).await
    }

    /// Looks up what one chose in the polls among these records. What cannot be had is left out: it is no part of what others said.
    pub async fn own_votes(&self, shown: impl IntoIterator<Item = &mut Shown>) {
        let polls = stream::iter(shown.into_iter().filter(|one| one.poll().is_some()));
        let looks = polls.map(|one| async move {
            let own = self.own_act(Kind::Vote, &one.view.card.id.to_string(), &one.target()).await;
            one.own_vote = own.ok().flatten().and_then(|(_, record)| match record.content {
                Content::Vote(vote) => Some(vote.choices),
                _ => None,
            });
        });
        looks.buffer_unordered(REQUESTS_AT_ONCE_MAX).for_each(std::future::ready).await;
    }

    /// A report of a post or comment to its home.
    pub async fn draft_report(&self, target: &Target, reason: ReportReason, text: String) -> Result<Record> {
        let (object, _, record) = self.object(target).await?;
        match record.kind() {
            Kind::Post | Kind::Comment => self.draft(Content::Report(Report { object, reason, text })).await,
            other => Err(ClientError::Input(format!("a {other} cannot be reported: report what it is about"))),
        }
    }

    /// A subscription to a person.
    pub async fn draft_subscribe(&self, target: &Target) -> Result<Record> {
        let person = self.verifying().person(target.person(), Some(self.home().domain())).await?;
        let home = person.keys.view().address().domain().clone();
        self.draft(Content::Subscribe(Subscribe { object: AccountRef { actor: person.keys.account(), home } })).await
    }

    /// A profile.
    pub async fn draft_profile(&self, profile: Profile) -> Result<Record> {
        self.draft(Content::Profile(profile)).await
    }

    /// The withdrawal of what the link means: one's own record, or one's like, repost or subscription about it. `kind` says which where
    /// there are several.
    pub async fn draft_undo(&self, target: &Target, kind: Option<Kind>) -> Result<Record> {
        let object = match target {
            Target::Person(person) => self.own_act_id(Kind::Subscribe, &self.account_of(person).await?.to_string(), target).await?,
            Target::Record { record, .. } => match kind {
                Some(kind) => self.own_act_id(kind, &self.stable_id(target, record).await?.to_string(), target).await?,
                None => self.own_or_act(target, record).await?,
            },
        };
        let object = object.ok_or_else(|| ClientError::NotFound(format!("there is nothing of yours to undo about {target}")))?;
        self.draft(Content::Retract(Retract { object, reason: RetractReason::Author })).await
    }

    /// A verified object of an action: how to name it, how it is shown, what it says.
    async fn object(&self, target: &Target) -> Result<(ObjectRef, Shown, Record)> {
        let shown = self.reader().record(target).await?;
        let (record, version) = match (&shown.state, shown.version()) {
            (State::Good(record), Some(version)) => ((**record).clone(), version),
            (State::Disowned(_, why), _) => {
                return Err(ClientError::NotAllowed(format!("{} does not stand by {target}: {why}", shown.author)));
            }
            (state, _) => return Err(crate::verify::proof::absent(&shown.view.card.id, *state == State::Withdrawn)),
        };
        let keys = self.reader().keys(&record.head.actor).await?;
        let home = keys.view().address().domain().clone();
        let object = ObjectRef { actor: record.head.actor, home, id: shown.view.card.id, version };
        Ok((object, shown, record))
    }

    async fn account_of(&self, person: &uri::Person) -> Result<AccountId> {
        match person {
            uri::Person::Account { id, .. } => Ok(*id),
            uri::Person::Address(_) => Ok(self.verifying().person(person, None).await?.keys.account()),
        }
    }

    /// The id for ever of what a link means; the link's own if it cannot be had.
    async fn stable_id(&self, target: &Target, record: &RecordId) -> Result<RecordId> {
        match self.reader().record(target).await {
            Ok(shown) => Ok(shown.view.card.id),
            Err(error @ ClientError::Mistrust(_)) => Err(error),
            Err(_) => Ok(*record),
        }
    }

    /// One's own record itself, or else one's only like or repost of it, or vote in its poll.
    async fn own_or_act(&self, target: &Target, record: &RecordId) -> Result<Option<RecordId>> {
        let id = match self.reader().record(target).await {
            Ok(shown) if shown.record().is_some_and(|record| record.head.actor == self.account()) => return Ok(Some(shown.view.card.id)),
            Ok(shown) => shown.view.card.id,
            Err(error @ ClientError::Mistrust(_)) => return Err(error),
            Err(_) => *record,
        };
        let mut acts = Vec::new();
        for kind in [Kind::Like, Kind::Repost, Kind::Vote] {
            acts.extend(self.own_act_id(kind, &id.to_string(), target).await?.map(|id| (kind, id)));
        }
        match acts.as_slice() {
            [] => Ok(None),
            [(_, id)] => Ok(Some(*id)),
            several => {
                let choice = several.iter().map(|(kind, _)| format!("--kind {kind}")).collect::<Vec<_>>().join(" or ");
                Err(ClientError::Input(format!("there are several statements of yours about {target}: say which to undo with {choice}")))
            }
        }
    }

    async fn own_act_id(&self, kind: Kind, object: &str, target: &Target) -> Result<Option<RecordId>> {
        Ok(self.own_act(kind, object, target).await?.map(|(id, _)| id))
    }

    /// One's own live statement of `kind` about `object`. The home says which record it is; that it is what the home says is verified, since a
    /// withdrawal of another record would be signed otherwise.
    async fn own_act(&self, kind: Kind, object: &str, target: &Target) -> Result<Option<(RecordId, Record)>> {
        let acts = self.home().acts(self.signer(), kind, object).await?;
        let id = match acts.records.as_slice() {
            [] => return Ok(None),
            [id] => *id,
            _ => {
                return Err(ClientError::Input(format!("there are several of yours about {target}: undo each by its own link")));
            }
        };
        let view = self.home().record(&id).await?;
        let logged = view.record.ok_or_else(|| crate::verify::proof::absent(&id, view.tombstone.is_some()))?;
        let keys = self.own_keys().await?;
        let checked = check::logged_record(&logged, &keys)?;
        let about = match &checked.record.content {
            Content::Like(like) => like.object.id.to_string(),
            Content::Repost(repost) => repost.object.id.to_string(),
            Content::Subscribe(subscribe) => subscribe.object.actor.to_string(),
            Content::Comment(comment) => comment.parent.id.to_string(),
            Content::Vote(vote) => vote.object.id.to_string(),
            _ => String::new(),
        };
        if checked.record.kind() != kind || about != object || checked.id != id {
            return Err(Mistrust::NotAsSigned { record: id, what: "the home names another record as the one to undo" }.into());
        }
        Ok(Some((id, checked.record)))
    }
}
