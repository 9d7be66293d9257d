//! Records, proofs and cards as people read them, and as `--json` prints them.

mod poll;

use crate::out::Out;
use crate::{safe, time};
use mesh_client::error;
use mesh_client::reader::{Shown, State};
use mesh_client::verify::{Proof, Vouched};
use mesh_proto::address::Address;
use mesh_proto::address::Domain;
use mesh_proto::api::{Counts, LoggedRecord, Notification, PollView};
use mesh_proto::envelope::{Kind, RecordId};
use mesh_proto::key::AccountId;
use mesh_proto::record::{Choices, Content, Imported, Poll, Post, Record, Terms};
use mesh_proto::uri::Target;
use serde::Serialize;
use std::fmt::Write;

/// Deepest indentation; below it the depth is written as a number.
const INDENT_DEPTH_MAX: usize = 12;

/// A record as `--json` prints it.
#[derive(Serialize)]
pub(crate) struct Printed<'a> {
    uri: Target,
    id: RecordId,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<RecordId>,
    kind: Kind,
    author: &'a Address,
    account: AccountId,
    received: u64,
    /// `good`, `disowned`, `withdrawn`, `absent` or `refused`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    tags: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    poll: Option<&'a Poll>,
    /// How the poll stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    poll_view: Option<&'a PollView>,
    /// What the reader chose: places of options, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    own_vote: Option<Choices>,
    #[serde(skip_serializing_if = "Option::is_none")]
    imported: Option<&'a Imported>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<RecordId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    depth: Option<usize>,
    counts: &'a Counts,
    url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reposted: Option<Box<Printed<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<&'a LoggedRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<&'a Proof>,
}

/// A record with all that is printed about it.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) shown: &'a Shown,
    pub(crate) reposted: Option<&'a Shown>,
    pub(crate) depth: Option<usize>,
    pub(crate) proof: Option<&'a Proof>,
}

impl<'a> Entry<'a> {
    pub(crate) fn new(shown: &'a Shown) -> Self {
        Self { shown, reposted: None, depth: None, proof: None }
    }

    /// The entry as `--json` prints it.
    pub(crate) fn printed(&self) -> Printed<'a> {
        let Shown { view, author, state, own_vote } = self.shown;
        let (state, why) = verdict(state);
        let record = self.shown.record();
        let words = record.map(words).unwrap_or_default();
        Printed {
            uri: self.shown.target(),
            id: view.card.id,
            version: self.shown.version(),
            kind: view.card.kind,
            author,
            account: view.card.actor,
            received: view.card.received,
            state,
            why,
            title: words.title,
            text: words.text,
            tags: words.tags,
            poll: self.shown.poll(),
            poll_view: view.poll.as_ref(),
            own_vote: *own_vote,
            imported: record.and_then(|record| match &record.content {
                Content::Post(post) => post.imported.as_ref(),
                _ => None,
            }),
            parent: self.shown.parent(),
            depth: self.depth,
            counts: &view.counts,
            url: &view.url,
            reposted: self.reposted.map(|shown| Box::new(Entry::new(shown).printed())),
            record: self.proof.and(view.record.as_ref()),
            proof: self.proof,
        }
    }

    /// The entry as people read it.
    pub(crate) fn text(&self, out: &Out) -> String {
        let mut lines = vec![self.heading(out)];
        lines.extend(body(self.shown).lines().map(str::to_owned));
        if let Some(reposted) = self.reposted {
            lines.push(Entry::new(reposted).heading(out));
            lines.extend(body(reposted).lines().map(|line| format!("  {line}")));
        }
        lines.push(out.faint(&self.footer()));
        if let Some(proof) = self.proof {
            lines.extend(proof_lines(proof).lines().map(|line| format!("| {line}")));
        }
        let depth = self.depth.unwrap_or(0);
        let indent = "  ".repeat(depth.min(INDENT_DEPTH_MAX));
        let lines: Vec<String> = lines.iter().map(|line| format!("{indent}{line}")).collect();
        lines.join("\n") + "\n"
    }

    fn heading(&self, out: &Out) -> String {
        let card = &self.shown.view.card;
        let verb = match card.kind {
            Kind::Repost => " reposted",
            _ => "",
        };
        let mark = match &self.shown.state {
            State::Disowned(..) => " [DISOWNED: its author does not stand by this]",
            State::Absent | State::Refused(_) => " [unverified]",
            _ => "",
        };
        let deep = self.depth.filter(|depth| *depth > INDENT_DEPTH_MAX).map(|depth| format!(" [depth {depth}]")).unwrap_or_default();
        let who = out.strong(&self.shown.author.to_string());
        format!("{who}{verb} · {}{mark}{deep}", time::minute(card.received))
    }

    fn footer(&self) -> String {
        let mut footer = self.shown.target().to_string();
        let counts: Vec<String> = self.shown.view.counts.iter().filter_map(|(kind, count)| counted(*kind, *count)).collect();
        if !counts.is_empty() {
            let _ = write!(footer, "  {}", counts.join(", "));
        }
        footer
    }
}

/// A verdict as `--json` prints it, with its reason.
pub(crate) fn verdict(state: &State) -> (&'static str, Option<String>) {
    match state {
        State::Good(_) => ("good", None),
        State::Disowned(_, why) => ("disowned", Some(why.to_string())),
        State::Withdrawn => ("withdrawn", None),
        State::Absent => ("absent", None),
        State::Refused(why) => ("refused", Some(error::words(why))),
    }
}

pub(crate) fn counted(kind: Kind, count: u64) -> Option<String> {
    let word = match kind {
        Kind::Like => "like",
        Kind::Comment => "comment",
        Kind::Repost => "repost",
        _ => return None,
    };
    let plural = if count == 1 { "" } else { "s" };
    Some(format!("{count} {word}{plural}"))
}

/// What a record says in words.
#[derive(Default)]
struct Words<'a> {
    title: Option<&'a str>,
    text: Option<&'a str>,
    tags: &'a [String],
}

/// Words that may be shown: content under terms that this version does not know stays hidden.
fn words(record: &Record) -> Words<'_> {
    match &record.content {
        Content::Post(post) if !is_hidden(record) => Words { title: post.title.as_deref(), text: Some(&post.text), tags: &post.tags },
        Content::Comment(comment) if !is_hidden(record) => Words { text: Some(&comment.text), ..Words::default() },
        Content::Profile(profile) => Words { title: Some(&profile.name), text: Some(&profile.bio), ..Words::default() },
        _ => Words::default(),
    }
}

fn is_hidden(record: &Record) -> bool {
    let terms = match &record.content {
        Content::Post(post) => &post.terms,
        Content::Comment(comment) => &comment.terms,
        _ => return false,
    };
    matches!(terms, Terms::Unknown(_))
}

/// What a record says, harmless for a terminal; for one that may not be shown the reason in brackets.
pub(crate) fn body(shown: &Shown) -> String {
    let mut lines = vec![body_of(&shown.state)];
    let poll = shown.poll().filter(|_| shown.record().is_some_and(|record| !is_hidden(record)));
    lines.extend(poll.into_iter().flat_map(|poll| poll::lines(shown, poll)));
    lines.join("\n")
}

/// The same of a record by its verdict alone.
pub(crate) fn body_of(state: &State) -> String {
    let record = match state {
        State::Good(record) | State::Disowned(record, _) => record,
        State::Withdrawn => return "[withdrawn]".to_owned(),
        State::Absent => return "[its home cannot be reached now]".to_owned(),
        State::Refused(why) => return format!("[NOT SHOWN, it could not be verified: {}]", safe::line(&error::words(why))),
    };
    if is_hidden(record) {
        return "[under terms of a later version: not shown]".to_owned();
    }
    let words = words(record);
    let mut lines = Vec::new();
    lines.extend(words.title.map(safe::line));
    lines.extend(words.text.map(safe::plain));
    if !words.tags.is_empty() {
        let tags: Vec<String> = words.tags.iter().map(|tag| format!("#{}", safe::line(tag))).collect();
        lines.push(tags.join(" "));
    }
    match &record.content {
        Content::Post(Post { imported: Some(imported), .. }) => lines.push(import(imported)),
        Content::Like(like) => lines.push(format!("likes {}", like.object.id)),
        Content::Subscribe(subscribe) => lines.push(format!("subscribes to {}", subscribe.object.actor)),
        Content::Vote(vote) => {
            let numbers: Vec<String> = vote.choices.places().map(|place| (place + 1).to_string()).collect();
            lines.push(format!("votes for {} of {}", numbers.join(", "), vote.object.id));
        }
        _ => {}
    }
    lines.join("\n")
}

/// Where a post was said before. Nobody can check it, so that the words say whose claim it is.
fn import(imported: &Imported) -> String {
    let Imported { from, url, at } = imported;
    format!("[imported; its author says: from {}, {}, {}]", safe::line(from), time::minute(*at), safe::line(url))
}

/// Domains in a row.
pub(crate) fn domains(domains: &[Domain]) -> String {
    domains.iter().map(Domain::to_string).collect::<Vec<_>>().join(", ")
}

/// Who vouches for the checkpoint of a log whose domain did not answer.
fn kept_lines(proof: &Proof) -> Option<String> {
    let (leaf, keeper) = (proof.leaf.as_ref()?, proof.kept_by.as_ref()?);
    let gone = leaf.origin.domain();
    let word = match proof.vouched? {
        Vouched::LogDomain => return None,
        Vouched::SeenBefore => format!("{gone} does not answer; its log key was seen here before, and the checkpoint is signed by it"),
        Vouched::Witnesses => format!("{gone} does not answer; the witnesses vouch for the checkpoint"),
        Vouched::Nobody => {
            format!("NOBODY vouches for the checkpoint: {gone} does not answer. The signature is good, the time is the word of {keeper}")
        }
    };
    Some(format!("kept by   {keeper}\nvouched   {word}"))
}

/// Who vouches for a log besides its own domain.
pub(crate) fn witness_line(witnesses: &[Domain]) -> String {
    match witnesses {
        [] => "none: unwitnessed, only the log's own domain vouches for it".to_owned(),
        some => some.iter().map(Domain::to_string).collect::<Vec<_>>().join(", "),
    }
}

/// A proof as people read it, one fact a line.
pub(crate) fn proof_lines(proof: &Proof) -> String {
    let mut lines = Vec::new();
    let mut fact = |name: &str, value: String| lines.push(format!("{name:<10}{value}"));
    fact("record", format!("{} ({})", proof.id, proof.kind));
    if proof.version != proof.id {
        fact("version", proof.version.to_string());
    }
    match &proof.name_leaf {
        Some(leaf) => fact("signed by", format!("{} (the name is leaf {} of {})", proof.address, leaf.index, leaf.origin)),
        None => fact("signed by", format!("{} (it calls itself {}, which no log proves)", proof.account, proof.address)),
    }
    fact("account", proof.account.to_string());
    fact("device", format!("{} \"{}\"", proof.device, safe::line(&proof.device_name)));
    fact("key log", format!("{} operations, head {}, signed under {}", proof.operations, proof.head, proof.signed_under));
    match (&proof.leaf, proof.checkpoint_size) {
        (Some(leaf), Some(size)) if proof.kept_by.is_some() => {
            fact("log", format!("{} (gone), leaf {} of {size}", leaf.origin, leaf.index));
        }
        (Some(leaf), Some(size)) => fact("log", format!("{}, leaf {} of {size}", leaf.origin, leaf.index)),
        _ => fact("log", "none: no log was found that holds this record".to_owned()),
    }
    if let Some(key) = proof.log_key {
        fact("log key", key.to_string());
    }
    if let Some(received) = proof.received {
        fact("received", time::minute(received));
    }
    match proof.witnesses.as_slice() {
        [] if proof.kept_by.is_some() => fact("witness", "none".to_owned()),
        witnesses => fact("witness", witness_line(witnesses)),
    }
    if let Some(kept) = kept_lines(proof) {
        kept.lines().for_each(|line| lines.push(line.to_owned()));
    }
    if !proof.silent.is_empty() {
        lines.push(format!("silent    {}: the author's key log may have grown since", domains(&proof.silent)));
    }
    if !proof.lied.is_empty() {
        lines.push(format!("LIED      {}: what it showed does not hold", domains(&proof.lied)));
    }
    let mut fact = |name: &str, value: String| lines.push(format!("{name:<10}{value}"));
    let contact = match proof.contact {
        mesh_client::pins::Contact::First => "first: this account was not known here before",
        mesh_client::pins::Contact::Known => "known: its key log extends what was known here",
    };
    fact("contact", contact.to_owned());
    let status = serde_json::to_value(proof.status).ok().and_then(|status| status.as_str().map(str::to_uppercase)).unwrap_or_default();
    if proof.status != mesh_proto::keylog::Status::Active {
        fact("account is", status);
    }
    match &proof.why {
        None => fact("standing", proof.standing.to_owned()),
        Some(why) => fact("standing", format!("DISOWNED: {why}")),
    }
    lines.join("\n")
}

/// What somebody did to one's own things.
pub(crate) fn happened(notification: &Notification) -> String {
    match (notification.card.kind, &notification.object) {
        (Kind::Like, Some(object)) => format!("likes {object}"),
        (Kind::Comment, Some(object)) => format!("comments on {object}"),
        (Kind::Repost, Some(object)) => format!("reposts {object}"),
        (Kind::Subscribe, _) => "subscribes to you".to_owned(),
        (kind, Some(object)) => format!("{kind} about {object}"),
        (kind, None) => kind.to_string(),
    }
}

/// A notification as people read it.
pub(crate) fn notification(out: &Out, notification: &Notification) -> String {
    let card = &notification.card;
    let who = out.strong(&card.address.to_string());
    let link = out.faint(&format!("mesh://{}/{}", card.address, card.id));
    format!("{} {who} {}  {link}", time::minute(card.received), happened(notification))
}
