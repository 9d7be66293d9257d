//! Reading: show, thread, feed, notifications. Every record is verified; what is not good is marked, and refused ones are an error at the end.

pub(super) mod history;

use crate::cli::{FeedArgs, ListArgs, ShowArgs, ThreadArgs};
use crate::context::{Context, target};
use crate::fault::Fault;
use crate::sieve::Sieve;
use crate::text::{Entry, notification};
use crate::{safe, time, tui};
use anyhow::Result;
use mesh_client::follow::{Follow, News};
use mesh_client::home::{Home, Page};
use mesh_client::reader::{Reader, Shown, ShownPage, State, order};
use mesh_client::session::Session;
use mesh_client::verify::Proof;
use mesh_client::{ClientError, ErrorKind};
use mesh_proto::api::AccountView;
use mesh_proto::envelope::RecordId;
use mesh_proto::limits::PAGE_MAX;
use mesh_proto::record::Content;
use mesh_proto::uri::{Person, Target};
use serde::Serialize;
use std::collections::BTreeMap;

/// Pages of the feed that are looked through for the people of a list.
const LIST_PAGES_MAX: usize = 10;
/// Posts shown below a person.
const PERSON_POSTS: usize = 10;

/// Prints records, with what was reposted and with proofs if asked for.
struct Printer<'a> {
    context: &'a Context,
    proofs: Proofs,
    refused: usize,
    sieve: Sieve,
    hidden: usize,
}

/// Whether each record's proof is fetched and printed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Proofs {
    Shown,
    Hidden,
}

impl From<bool> for Proofs {
    fn from(flag: bool) -> Self {
        if flag { Self::Shown } else { Self::Hidden }
    }
}

impl<'a> Printer<'a> {
    fn new(context: &'a Context, proofs: Proofs) -> Self {
        Self { context, proofs, refused: 0, sieve: Sieve::default(), hidden: 0 }
    }

    /// The same, leaving out what its reader does not want to see.
    fn through(self, sieve: Sieve) -> Self {
        Self { sieve, ..self }
    }

    async fn list(&mut self, reader: &Reader, items: &[Shown]) {
        let reposted = reader.reposted(items).await;
        for shown in items {
            self.one(Entry { reposted: repost_of(shown, &reposted), ..Entry::new(shown) }).await;
        }
    }

    async fn one(&mut self, entry: Entry<'_>) {
        if !self.sieve.lets(entry.shown, entry.reposted) {
            self.hidden += 1;
            return;
        }
        if matches!(entry.shown.state, State::Refused(_)) {
            self.refused += 1;
        }
        let proof = self.proof(entry.shown).await;
        let entry = Entry { proof: proof.as_ref(), ..entry };
        self.context.out.either(&entry.printed(), || entry.text(&self.context.out));
    }

    /// The full proof; that it cannot be had is said, and counts as refused if something does not hold.
    async fn proof(&mut self, shown: &Shown) -> Option<Proof> {
        if self.proofs == Proofs::Hidden || shown.record().is_none() {
            return None;
        }
        match self.context.verifying().record(&shown.target(), None).await {
            Ok(proof) => Some(proof),
            Err(error) => {
                if error.kind() == ErrorKind::Verification {
                    self.refused += 1;
                }
                self.context.out.talk(&safe::line(&format!("no proof for {}: {}", shown.target(), error.words())));
                None
            }
        }
    }

    fn end(self) -> Result<()> {
        if self.hidden > 0 {
            self.context.out.talk(&format!("hidden by your mutes: {} (mesh mute shows them)", self.hidden));
        }
        if self.refused == 0 {
            return Ok(());
        }
        let message = format!("{} could not be verified", if self.refused == 1 { "one record" } else { "several records" });
        Err(Fault::new(ErrorKind::Verification, message, "mesh verify URI shows why; do not trust the server that served them".to_owned())
            .into())
    }
}

/// What a repost passes on, among those that could be had.
pub(crate) fn repost_of<'a>(shown: &Shown, reposted: &'a BTreeMap<RecordId, Shown>) -> Option<&'a Shown> {
    match &shown.record()?.content {
        Content::Repost(repost) => reposted.get(&repost.object.id),
        _ => None,
    }
}

/// Looks up what the person here chose in the polls among these records, if there is somebody.
async fn look_up_votes(context: &Context, shown: &mut [Shown]) {
    if shown.iter().any(|one| one.poll().is_some())
        && let Ok(session) = context.session()
    {
        session.own_votes(shown).await;
    }
}

pub(super) async fn show(context: &Context, args: ShowArgs) -> Result<()> {
    let target = target(&args.target)?;
    if let Target::Person(person) = &target {
        return show_person(context, person, args.proof.into()).await;
    }
    let reader = context.reader(&target)?;
    let mut shown = reader.record(&target).await?;
    look_up_votes(context, std::slice::from_mut(&mut shown)).await;
    if shown.state == State::Withdrawn && !context.out.is_json() {
        return Err(ClientError::NotFound(format!("{target} was withdrawn")).into());
    }
    let mut printer = Printer::new(context, args.proof.into());
    printer.list(&reader, std::slice::from_ref(&shown)).await;
    printer.end()
}

#[derive(Serialize)]
struct PrintedPerson<'a> {
    #[serde(flatten)]
    view: &'a mesh_proto::api::AccountView,
    uri: String,
    name_proven: bool,
    contact: mesh_client::pins::Contact,
}

async fn show_person(context: &Context, person: &Person, proofs: Proofs) -> Result<()> {
    let own = context.stored()?.map(|stored| stored.address.domain().clone());
    let found = context.verifying().person(person, own.as_ref()).await?;
    let address = found.keys.view().address().clone();
    let (home, view) = whoever_answers(context, &found).await?;
    let printed =
        PrintedPerson { view: &view, uri: format!("mesh://{address}"), name_proven: found.name.is_some(), contact: found.contact };
    context.out.either(&printed, || {
        let count = |kind| view.counts.get(&kind).copied().unwrap_or(0);
        let name = context.out.strong(&safe::line(&view.profile.name));
        let proven = if found.name.is_some() { "" } else { " (this name is not proven by its domain's log)" };
        let bio = safe::plain(&view.profile.bio);
        let (posts, subscribers) = (count(mesh_proto::envelope::Kind::Post), count(mesh_proto::envelope::Kind::Subscribe));
        let since = time::minute(found.keys.view().created());
        let text =
            format!("{name}\n{address}{proven}\naccount {}\n{bio}\n{posts} posts, {subscribers} subscribers, since {since}", view.account);
        text.lines().filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n") + "\n"
    });
    let reader = Reader::new(home, context.pins.clone());
    let page = reader.posts(&found.keys.account().to_string(), &Page::first(PERSON_POSTS)).await?;
    let mut printer = Printer::new(context, proofs);
    printer.list(&reader, &page.items).await;
    printer.end()
}

/// A person's home with its view of them, or the first of their mirrors if it does not answer.
async fn whoever_answers(context: &Context, found: &mesh_client::verify::Person) -> Result<(Home, AccountView)> {
    let (account, view) = (found.keys.account().to_string(), found.keys.view());
    let home = context.home(view.address().domain());
    let silence = match home.account(&account).await {
        Err(error) if error.is_silence() => error,
        other => return Ok((home, other?)),
    };
    for mirror in view.mirrors() {
        let mirror = context.home(mirror);
        if let Ok(view) = mirror.account(&account).await {
            context.out.talk(&format!("{} does not answer; this is what the mirror {} has", home.domain(), mirror.domain()));
            return Ok((mirror, view));
        }
    }
    Err(silence.into())
}

/// A post or comment, and a reader through the home that keeps its thread.
pub(crate) async fn thread_top(context: &Context, target: &Target) -> Result<(Reader, Shown)> {
    let reader = context.reader(target)?;
    let top = reader.record(target).await?;
    // The home of the post at the top of the thread keeps the thread.
    let home = match top.record().map(|record| &record.content) {
        Some(Content::Comment(comment)) => comment.root.home.clone(),
        _ => top.author.domain().clone(),
    };
    let reader = reader.through(&home);
    // Complete at that home: the counters, and a withdrawal that others may not know of yet.
    let top = match reader.home().record(&top.view.card.id).await {
        Ok(view) if view.card.actor == top.view.card.actor => reader.show_one(view).await,
        _ => top,
    };
    Ok((reader, top))
}

pub(super) async fn thread(context: &Context, args: ThreadArgs) -> Result<()> {
    let target = target(&args.target)?;
    if !args.plain && !args.proof && !args.all && args.after.is_none() && tui::is_wanted(context) {
        return tui::thread(context, target).await;
    }
    let (reader, mut top) = thread_top(context, &target).await?;
    look_up_votes(context, std::slice::from_mut(&mut top)).await;
    let id = top.view.card.id;
    let comments = if args.all {
        reader.all_comments(&id).await?
    } else {
        reader.comments(&id, &Page { from: args.after, limit: Some(args.limit.clamp(1, PAGE_MAX)) }).await?
    };
    let mut printer = Printer::new(context, args.proof.into());
    // Whoever asks for a post by its link sees it.
    printer.one(Entry::new(&top)).await;
    printer = printer.through(Sieve::new(context, None)?);
    // An absent comment has no verified parent: its card says where it would stand.
    let parents: Vec<_> = comments.items.iter().map(|shown| (shown.view.card.id, shown.parent().or(shown.view.card.parent))).collect();
    for place in order(&parents) {
        printer.one(Entry { depth: Some(place.depth + 1), ..Entry::new(&comments.items[place.index]) }).await;
    }
    if let Some(next) = comments.next {
        let target = safe::line(&args.target);
        context.out.talk(&format!("more: mesh thread {target} --after {}  (or --all)", safe::line(&next)));
    }
    printer.end()
}

pub(super) async fn feed(context: &Context, args: FeedArgs) -> Result<()> {
    let session = context.session()?;
    let page = page(&args.list);
    let sieve = Sieve::new(context, args.only.as_deref())?;
    if !args.plain && !args.proof && tui::is_wanted(context) {
        return tui::feed(context, &session, page, sieve).await;
    }
    let reader = session.reader();
    let mut shown = feed_page(&session, page, &sieve).await?;
    session.own_votes(&mut shown.items).await;
    let mut printer = Printer::new(context, args.proof.into()).through(sieve.clone());
    if !args.follow {
        printer.list(reader, &shown.items).await;
        if shown.items.is_empty() {
            context.out.talk("nothing yet: mesh subscribe ADDRESS fills it");
        }
        if let Some(next) = shown.next {
            context.out.talk(&format!("more: mesh feed --before {}", safe::line(&next)));
        }
        return printer.end();
    }
    let mut items = shown.items;
    items.reverse();
    printer.list(reader, &items).await;
    context.out.talk("following; Ctrl-C ends it");
    let mut follow = Follow::new(reader.clone(), session.signer().clone(), &items);
    loop {
        let news = tokio::select! {
            news = follow.next() => news?,
            _ = tokio::signal::ctrl_c() => return printer.end(),
        };
        match news {
            News::Item(shown) if !sieve.is_listed(&shown) => {}
            News::Item(shown) => printer.list(reader, std::slice::from_ref(&*shown)).await,
            News::Notification(news) if !context.out.is_json() && sieve.lets_card(&news.card) => {
                context.out.talk(&notification(&context.out, &news))
            }
            News::Notification(_) => {}
            News::Broken { error, wait } => {
                context.out.talk(&safe::line(&format!("{}; trying again in {:.1} s", error.words(), wait.as_secs_f32())));
            }
        }
    }
}

pub(super) async fn notifications(context: &Context, args: ListArgs) -> Result<()> {
    let session = context.session()?;
    let page = session.reader().notifications(session.signer(), &page(&args)).await?;
    let sieve = Sieve::new(context, None)?;
    for news in page.notifications.iter().filter(|news| sieve.lets_card(&news.card)) {
        context.out.either(news, || notification(&context.out, news));
    }
    if page.notifications.is_empty() {
        context.out.talk("nothing yet");
    }
    if let Some(next) = page.next {
        context.out.talk(&format!("more: mesh notifications --before {}", safe::line(&next)));
    }
    Ok(())
}

/// A page of the feed. Of a list as many pages as it takes to fill one, up to [`LIST_PAGES_MAX`].
pub(crate) async fn feed_page(session: &Session, mut page: Page, sieve: &Sieve) -> mesh_client::Result<ShownPage> {
    let mut items = Vec::new();
    let mut next = None;
    for _ in 0..LIST_PAGES_MAX {
        let read = session.reader().feed(session.signer(), &page).await?;
        items.extend(read.items.into_iter().filter(|shown| sieve.is_listed(shown)));
        next = read.next.filter(|next| Some(next) != page.from.as_ref());
        let is_full = !sieve.is_list() || items.len() >= page.limit.unwrap_or(PAGE_MAX);
        if is_full || next.is_none() {
            break;
        }
        page.from.clone_from(&next);
    }
    Ok(ShownPage { items, next })
}

fn page(args: &ListArgs) -> Page {
    Page { from: args.before.clone(), limit: Some(args.limit.clamp(1, PAGE_MAX)) }
}
