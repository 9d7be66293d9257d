//! `mesh import`: posts from other networks, published as one's own and marked as imported.
//!
//! What stands already among one's posts at home, by its address there, is left out: so an import that was stopped goes on where it was, and
//! a second one does nothing, from whatever device. Nothing is kept here.

use crate::cli::{ImportArgs, Mode};
use crate::context::Context;
use crate::fault::Fault;
use crate::{safe, time};
use anyhow::{Context as _, Result};
use mesh_client::home::Page;
use mesh_client::session::{Done, Session};
use mesh_client::{ClientError, ErrorKind};
use mesh_import::limits::FILE_BYTES_MAX;
use mesh_import::{Export, Found, ImportError, Network, Why};
use mesh_proto::api::code;
use mesh_proto::limits::PAGE_MAX;
use mesh_proto::record::{Content, Imported, Post};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;
use std::time::Duration;

/// Pages of one's own posts that are looked through.
const PAGES_MAX: usize = 100_000;
/// Posts between two words of progress.
const PROGRESS_STEP: usize = 25;
/// Left-out posts that are named one by one.
const LEFT_OUT_TOLD_MAX: usize = 20;
/// Tries at a home that asks for slowness.
const SLOW_TRIES_MAX: u32 = 60;
/// Longest wait between two of them.
const SLOW_WAIT_MAX: Duration = Duration::from_secs(30);

/// A post as `--json` prints it.
#[derive(Serialize)]
struct Printed<'a> {
    #[serde(flatten)]
    done: Option<&'a Done>,
    dry_run: bool,
    imported: &'a Imported,
    text: &'a str,
}

pub(super) async fn run(context: &Context, args: ImportArgs) -> Result<()> {
    let bytes = file(&args.file)?;
    let network = match args.from {
        Some(network) => network.into(),
        None => Network::of(&bytes).map_err(|error| refused(&error))?,
    };
    let export = mesh_import::read(&bytes, network).map_err(|error| refused(&error))?;
    drop(bytes);
    tell(context, &export, network);
    let session = context.session()?;
    let known = known(&session).await?;
    let total = export.posts.len();
    let new: Vec<Found> = export.posts.into_iter().filter(|found| !known.contains(&found.url)).collect();
    if new.len() < total {
        context.out.talk(&format!("{} of {total} are among your posts already", total - new.len()));
    }
    if context.mode == Mode::DryRun {
        new.iter().for_each(|found| print(context, None, &imported(found, network), &found.text));
        context.out.talk(&format!("dry run: {} posts would be signed and published by {}", new.len(), session.address()));
        return Ok(());
    }
    let count = new.len();
    for (index, found) in new.into_iter().enumerate() {
        publish(context, &session, found, network)
            .await
            .with_context(|| format!("stopped after {index} of {count}; the same command goes on"))?;
        if (index + 1) % PROGRESS_STEP == 0 {
            context.out.talk(&format!("{} of {count}", index + 1));
        }
    }
    context.out.talk(&format!("{count} posts imported"));
    Ok(())
}

/// A file that holds no export is the person's to change, and nothing of it was published.
fn refused(error: &ImportError) -> Fault {
    Fault::usage(
        format!("{error}; nothing was published"),
        "mesh import --help, or docs/import.md, say what each network gives you".to_owned(),
    )
}

fn file(path: &Path) -> Result<Vec<u8>> {
    let words = || format!("cannot read {}", path.display());
    let file = std::fs::File::open(path).with_context(words)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).with_context(words)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Fault::usage(format!("{} is larger than {FILE_BYTES_MAX} bytes", path.display()), "split it".to_owned()).into());
    }
    Ok(bytes)
}

/// Says what the file holds, and what stays behind and why.
fn tell(context: &Context, export: &Export, network: Network) {
    context.out.talk(&format!("{network}, {}: {} posts", safe::line(&export.author), export.posts.len()));
    let mut reasons: BTreeMap<Why, usize> = BTreeMap::new();
    for left_out in &export.left_out {
        *reasons.entry(left_out.why).or_default() += 1;
    }
    for (why, count) in reasons {
        context.out.talk(&format!("left out: {count}, because {why}"));
    }
    for left_out in export.left_out.iter().filter(|left_out| !is_expected(left_out.why)).take(LEFT_OUT_TOLD_MAX) {
        context.out.talk(&format!("  {}: {}", safe::line(&left_out.place), left_out.why));
    }
    let attachments: usize = export.posts.iter().map(|found| found.attachments).sum();
    if attachments > 0 {
        context.out.talk(&format!("pictures and other files that stay behind, since posts cannot hold them yet: {attachments}"));
    }
}

/// Whether nobody would look for it: answers, boosts and the like stay behind by design.
fn is_expected(why: Why) -> bool {
    matches!(why, Why::NotPublic | Why::Answer | Why::Boost | Why::NotAPost)
}

/// The addresses of what was imported before, as one's own signed posts have them.
async fn known(session: &Session) -> Result<BTreeSet<String>> {
    let (account, mut page) = (session.account().to_string(), Page::first(PAGE_MAX));
    let mut known = BTreeSet::new();
    for _ in 0..PAGES_MAX {
        let posts = session.reader().posts(&account, &page).await?;
        for shown in &posts.items {
            if let Some(Content::Post(Post { imported: Some(imported), .. })) = shown.record().map(|record| &record.content) {
                known.insert(imported.url.clone());
            }
        }
        match posts.next {
            Some(next) if page.from.as_ref() != Some(&next) => page.from = Some(next),
            _ => break,
        }
    }
    Ok(known)
}

fn imported(found: &Found, network: Network) -> Imported {
    Imported { from: network.name().to_owned(), url: found.url.clone(), at: found.at_ms }
}

async fn publish(context: &Context, session: &Session, found: Found, network: Network) -> Result<()> {
    let imported = imported(&found, network);
    let Found { text, title, tags, lang, .. } = found;
    let post = Post { title, tags, lang, imported: Some(imported.clone()), ..Post::free(text.clone()) };
    // Signed once: a record that is sent again is the same record.
    let record = patiently(context, || session.draft_post(post.clone())).await?;
    let done = patiently(context, || session.send(&record)).await?;
    print(context, Some(&done), &imported, &text);
    Ok(())
}

/// Does something again, after longer and longer waits, while the home asks for slowness.
async fn patiently<T, F: Future<Output = mesh_client::Result<T>>>(context: &Context, act: impl Fn() -> F) -> Result<T> {
    let mut wait = Duration::from_secs(1);
    for _ in 0..SLOW_TRIES_MAX {
        match act().await {
            Err(ClientError::Remote { problem, .. }) if problem.code() == code::SLOW_DOWN => {
                context.out.talk(&format!("your home asks to go slower: waiting {} s", wait.as_secs()));
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(SLOW_WAIT_MAX);
            }
            other => return Ok(other?),
        }
    }
    Err(Fault::new(ErrorKind::Network, "your home asked to go slower for too long".to_owned(), "run the same command later".to_owned())
        .into())
}

fn print(context: &Context, done: Option<&Done>, imported: &Imported, text: &str) {
    let printed = Printed { done, dry_run: done.is_none(), imported, text };
    context.out.either(&printed, || {
        let first = safe::line(text.lines().next().unwrap_or_default());
        let uri = done.map(|done| format!("{}  ", done.uri)).unwrap_or_default();
        format!("{uri}{}  {}  {first}", time::minute(imported.at), safe::line(&imported.url))
    });
}
