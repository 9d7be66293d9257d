//! Signed actions: post, comment, like, repost, subscribe, undo, profile.

use crate::cli::{CommentArgs, Findable, Mode, PostArgs, ProfileArgs, UndoArgs, VoteArgs, When};
use crate::commands::drafts;
use crate::context::{Context, target};
use crate::fault::Fault;
use crate::{safe, terminal};
use anyhow::{Context as _, Result};
use mesh_client::drafts::Words;
use mesh_client::preview::Reach;
use mesh_client::session::{Done, Session};
use mesh_proto::limits::TEXT_BYTES_MAX;
use mesh_proto::record::{Choices, Choose, Poll, Post, Preview, Profile, Record};
use std::io::{IsTerminal, Read};
use std::time::Duration;

/// How long a poll lasts unless told.
const POLL_LASTS: Duration = Duration::from_secs(24 * 3600);

/// Where records are sent.
pub(super) const RECORDS: &str = "/api/v1/records";

/// Signs and sends a draft, or shows it.
pub(super) async fn act(context: &Context, session: &Session, record: Record) -> Result<()> {
    if context.mode == Mode::DryRun {
        context.dry_run_record(&record, session.home().domain(), RECORDS);
        return Ok(());
    }
    print(context, &session.send(&record).await?);
    Ok(())
}

/// Says what was done.
pub(super) fn print(context: &Context, done: &Done) {
    context.out.either(done, || done.uri.to_string());
    if !context.out.is_json() {
        context.out.talk(&format!("{} is leaf {} of {}", done.kind, done.leaf.index, done.leaf.origin));
    }
}

pub(super) async fn post(context: &Context, args: PostArgs) -> Result<()> {
    let text = given(context, args.text.as_deref())?;
    let poll = poll(context, &args);
    let PostArgs { title, tags, lang, preview, edit, when, .. } = args;
    let words = match edit {
        Some(link) => Words::Edit { target: target(&link)?.to_string(), text, title, tags, lang },
        None => Words::Post { post: Box::new(Post { title, tags, lang, poll, ..Post::free(text) }), preview },
    };
    drafts::say(context, words, &when).await
}

/// The poll that the options make.
fn poll(context: &Context, args: &PostArgs) -> Option<Poll> {
    let lasts = args.poll_ends.unwrap_or(POLL_LASTS).as_millis();
    let ends = context.http.now_ms().saturating_add(u64::try_from(lasts).unwrap_or(u64::MAX));
    let choose = if args.poll_multiple { Choose::Many } else { Choose::One };
    (!args.poll.is_empty()).then(|| Poll { options: args.poll.clone(), choose, ends })
}

/// What a link leads to. What cannot be had is said, so that nobody publishes without it by accident.
pub(super) async fn preview(session: &Session, url: &str) -> Result<Preview> {
    let reach = if session.home().domain().is_local() { Reach::Localhost } else { Reach::Internet };
    let fetched = mesh_client::preview::fetch(url, reach).await;
    fetched.with_context(|| format!("there is no preview of {url}; leave --preview out to publish without one"))
}

pub(super) async fn comment(context: &Context, args: CommentArgs) -> Result<()> {
    let text = given(context, args.text.as_deref())?;
    let words = Words::Comment { target: target(&args.target)?.to_string(), text, lang: args.lang };
    drafts::say(context, words, &When::default()).await
}

pub(super) async fn like(context: &Context, uri: &str) -> Result<()> {
    let session = context.session()?;
    let record = session.draft_like(&target(uri)?).await?;
    act(context, &session, record).await
}

pub(super) async fn repost(context: &Context, uri: &str) -> Result<()> {
    let session = context.session()?;
    let record = session.draft_repost(&target(uri)?).await?;
    act(context, &session, record).await
}

pub(super) async fn vote(context: &Context, args: VoteArgs) -> Result<()> {
    let session = context.session()?;
    let choices = Choices::new(args.options.iter().map(|number| usize::from(*number) - 1));
    let choices = choices.context("options are numbered from 1, as mesh show prints them")?;
    let record = session.draft_vote(&target(&args.target)?, choices).await?;
    act(context, &session, record).await
}

pub(super) async fn subscribe(context: &Context, who: &str) -> Result<()> {
    let session = context.session()?;
    let record = session.draft_subscribe(&target(who)?).await?;
    act(context, &session, record).await
}

pub(super) async fn undo(context: &Context, args: UndoArgs) -> Result<()> {
    let session = context.session()?;
    let record = session.draft_undo(&target(&args.target)?, args.kind.map(Into::into)).await?;
    act(context, &session, record).await
}

pub(super) async fn profile(context: &Context, args: ProfileArgs) -> Result<()> {
    let session = context.session()?;
    let present = session.home().account(&session.account().to_string()).await?.profile;
    if args.name.is_none() && args.bio.is_none() && args.search.is_none() {
        context.out.either(&present, || {
            let said = if present.noindex { "\n(left out of searches)" } else { "" };
            format!("{}\n{}{said}", safe::line(&present.name), safe::plain(&present.bio)).trim_end().to_owned()
        });
        return Ok(());
    }
    // What is not given is kept as the home shows it; it is about to be signed, so it is said.
    let keep = |what: &str, value: String| {
        if !value.is_empty() {
            context.out.talk(&format!("keeping the {what} that your home shows: {}", safe::line(&value)));
        }
        value
    };
    let name = args.name.unwrap_or_else(|| keep("name", present.name));
    let bio = args.bio.unwrap_or_else(|| keep("bio", present.bio));
    let noindex = args.search.map_or(present.noindex, |search| search == Findable::Off);
    let record = session.draft_profile(Profile { name, bio, noindex }).await?;
    act(context, &session, record).await
}

/// The text of a post or comment: as given, from a file whose path starts with `./`, `../` or `/`, or from stdin.
pub(super) fn given(context: &Context, given: Option<&str>) -> Result<String> {
    let text = match given {
        Some("-") => terminal::stdin_text()?,
        None if !std::io::stdin().is_terminal() => terminal::stdin_text()?,
        None => {
            let next = "mesh post \"Hello\", mesh post ./file.txt, or mesh post - to read stdin";
            return Err(Fault::usage("there is no text".to_owned(), next.to_owned()).into());
        }
        Some(text) if is_path(text) => {
            context.out.talk(&format!("taking the text from the file {text}"));
            file_text(text)?
        }
        Some(text) => text.to_owned(),
    };
    // Editors end files with a line feed, and other systems write line ends in other ways.
    Ok(text.replace("\r\n", "\n").trim_end().to_owned())
}

/// Whether an argument means a file. A bare word never does, so that no file is published by accident.
fn is_path(text: &str) -> bool {
    let path_like = text.starts_with("./") || text.starts_with("../") || text.starts_with('/');
    path_like && !text.contains('\n') && std::path::Path::new(text).is_file()
}

fn file_text(path: &str) -> Result<String> {
    let file = std::fs::File::open(path).with_context(|| format!("cannot read {path}"))?;
    let mut text = String::new();
    file.take(TEXT_BYTES_MAX as u64 + 2).read_to_string(&mut text).with_context(|| format!("cannot read {path} as text"))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_looks_like_a_path_and_is_a_file_is_read() {
        assert!(!is_path("Cargo.toml"));
        assert!(is_path("./Cargo.toml"));
        assert!(!is_path("./no such file"));
        assert!(!is_path("/"));
    }
}
