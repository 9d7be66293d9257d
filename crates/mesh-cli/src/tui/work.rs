//! What takes time: reading pages and threads, and signed actions. Each job ends in an [`Outcome`] that the loop hands to the app.

use super::item::Item;
use crate::commands::read::{feed_page, repost_of, thread_top};
use crate::context::Context;
use crate::sieve::Sieve;
use crate::text;
use anyhow::Result;
use mesh_client::home::Page;
use mesh_client::reader::{Shown, order};
use mesh_client::session::Session;
use mesh_client::{ClientError, ErrorKind};
use mesh_proto::envelope::{Kind, RecordId};
use mesh_proto::limits::PAGE_MAX;
use mesh_proto::record::Choices;
use mesh_proto::uri::Target;

/// Something to be done. `usize`: the screen that it is for.
#[derive(Debug, Clone)]
pub(super) enum Job {
    /// Opens a thread.
    Thread(Target),
    /// Reads a thread again.
    Again(usize, Target),
    /// The next page of a thread.
    MoreOfThread(usize, Target, String),
    /// A page of the feed: the first, or the one from a place on.
    Feed(usize, Option<String>),
    /// Likes or reposts.
    Act(Kind, Target),
    /// Votes.
    Vote(Target, Choices),
    /// Comments.
    Comment(Target, String),
    /// Withdraws one's own record, or one's statement of this kind about it.
    Undo(Target, Option<Kind>),
    /// Makes the full proof.
    Verify(Target),
    /// Completes a record that the event stream brought.
    Arrived(Box<Shown>),
}

/// A thread as far as it was read.
#[derive(Debug)]
pub(super) struct Thread {
    pub(super) target: Target,
    /// The top, then the comments, oldest first.
    pub(super) records: Vec<Shown>,
    pub(super) next: Option<String>,
}

/// How a job ended.
#[derive(Debug)]
pub(super) enum Outcome {
    Thread(Thread),
    Again(usize, Thread),
    MoreOfThread(usize, Vec<Shown>, Option<String>),
    /// A page of the feed that begins at the given place.
    Feed(usize, Option<String>, Vec<Item>, Option<String>),
    Acted(Kind, Target),
    Voted,
    Commented(Box<Shown>),
    Undone,
    /// There are several statements: which one?
    UndoWhich(Target),
    Proof(String),
    Arrived(Vec<Item>),
    Failed(String),
}

/// Does the jobs.
pub(super) struct Worker<'a> {
    context: &'a Context,
    session: Option<&'a Session>,
    pub(super) sieve: Sieve,
}

impl<'a> Worker<'a> {
    pub(super) fn new(context: &'a Context, session: Option<&'a Session>, sieve: Sieve) -> Self {
        Self { context, session, sieve }
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.context.http.now_ms()
    }

    pub(super) async fn run(&self, job: Job) -> Outcome {
        let undone = if let Job::Undo(target, None) = &job { Some(target.clone()) } else { None };
        match (Box::pin(self.attempt(job)).await, undone) {
            (Ok(outcome), _) => outcome,
            (Err(error), Some(target)) if is_ambiguous(&error) => Outcome::UndoWhich(target),
            (Err(error), _) => Outcome::Failed(error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ")),
        }
    }

    async fn attempt(&self, job: Job) -> Result<Outcome> {
        Ok(match job {
            Job::Thread(target) => Outcome::Thread(self.thread(&target).await?),
            Job::Again(screen, target) => Outcome::Again(screen, self.thread(&target).await?),
            Job::MoreOfThread(screen, target, from) => {
                let (reader, top) = thread_top(self.context, &target).await?;
                let page = Page { from: Some(from), limit: Some(PAGE_MAX) };
                let comments = reader.comments(&top.view.card.id, &page).await?;
                Outcome::MoreOfThread(screen, self.wanted(comments.items), comments.next)
            }
            Job::Feed(screen, from) => {
                let session = self.somebody()?;
                let page = Page { from: from.clone(), limit: Some(PAGE_MAX) };
                let feed = feed_page(session, page, &self.sieve).await?;
                Outcome::Feed(screen, from, self.items(feed.items).await, feed.next)
            }
            Job::Act(kind, target) => {
                let session = self.somebody()?;
                let draft = if kind == Kind::Like { session.draft_like(&target).await? } else { session.draft_repost(&target).await? };
                session.send(&draft).await?;
                Outcome::Acted(kind, target)
            }
            Job::Vote(target, choices) => {
                let session = self.somebody()?;
                session.send(&session.draft_vote(&target, choices).await?).await?;
                Outcome::Voted
            }
            Job::Comment(target, text) => {
                let session = self.somebody()?;
                let done = session.send(&session.draft_comment(&target, text, None).await?).await?;
                Outcome::Commented(Box::new(session.reader().record(&done.uri).await?))
            }
            Job::Undo(target, kind) => {
                let session = self.somebody()?;
                session.send(&session.draft_undo(&target, kind).await?).await?;
                Outcome::Undone
            }
            Job::Verify(target) => Outcome::Proof(text::proof_lines(&self.context.verifying().record(&target, None).await?)),
            Job::Arrived(shown) => Outcome::Arrived(self.items(vec![*shown]).await),
        })
    }

    fn somebody(&self) -> Result<&'a Session> {
        self.session.ok_or_else(|| ClientError::NotAllowed("there is no identity here to sign with: mesh init".to_owned()).into())
    }

    /// The post at the top and the first page of its comments.
    pub(super) async fn thread(&self, target: &Target) -> Result<Thread> {
        let (reader, mut top) = thread_top(self.context, target).await?;
        if let Some(session) = self.session {
            session.own_votes([&mut top]).await;
        }
        let comments = reader.comments(&top.view.card.id, &Page::first(PAGE_MAX)).await?;
        let mut records = vec![top];
        records.extend(self.wanted(comments.items));
        Ok(Thread { target: target.clone(), records, next: comments.next })
    }

    /// Comments without those that are muted; answers to them stand at the top.
    fn wanted(&self, comments: Vec<Shown>) -> Vec<Shown> {
        comments.into_iter().filter(|shown| self.sieve.lets(shown, None)).collect()
    }

    /// Feed items with what they pass on.
    pub(super) async fn items(&self, mut shown: Vec<Shown>) -> Vec<Item> {
        let mut reposted = Default::default();
        if let Some(session) = self.session {
            reposted = session.reader().reposted(&shown).await;
            session.own_votes(shown.iter_mut().chain(reposted.values_mut())).await;
        }
        let items = shown.into_iter().map(|shown| Item { reposted: repost_of(&shown, &reposted).cloned(), ..Item::new(shown) });
        items.filter(|item| self.sieve.lets(&item.shown, item.reposted.as_ref())).collect()
    }
}

/// The records of a thread as a tree: its top, then every answer below what it answers.
pub(super) fn tree(records: &[Shown]) -> Vec<Item> {
    let Some((top, comments)) = records.split_first() else { return Vec::new() };
    // An absent comment has no verified parent: its card says where it would stand.
    let parents: Vec<(RecordId, Option<RecordId>)> =
        comments.iter().map(|shown| (shown.view.card.id, shown.parent().or(shown.view.card.parent))).collect();
    let placed = order(&parents).into_iter().filter_map(|place| {
        let shown = comments.get(place.index)?.clone();
        Some(Item { depth: place.depth + 1, ..Item::new(shown) })
    });
    std::iter::once(Item::new(top.clone())).chain(placed).collect()
}

/// Whether the person must say what is to be undone.
fn is_ambiguous(error: &anyhow::Error) -> bool {
    error.downcast_ref::<ClientError>().is_some_and(|error| error.kind() == ErrorKind::Usage)
}
