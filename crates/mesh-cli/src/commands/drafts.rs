//! Words on their way: published at once, kept as drafts, or handed to the home for later.
//!
//! Nobody loses words: what cannot be published is kept. A draft is signed once and kept with its signature before it is sent, so that sending it again
//! publishes nothing twice.

pub(super) mod scheduled;

use crate::cli::{DraftCommand, Mode, NewDraftArgs, When};
use crate::commands::write::{given, preview};
use crate::context::{Context, target};
use crate::fault::Fault;
use crate::{editor, safe, time};
use anyhow::{Context as _, Result};
use mesh_client::ErrorKind;
use mesh_client::drafts::{Draft, Words};
use mesh_client::session::{Edit, Session};
use mesh_proto::record::{Post, Record};
use serde::Serialize;
use std::io::IsTerminal;

/// Characters of a text that a list shows.
const EXCERPT_CHARS: usize = 60;

/// Why an error is not the end: the words are kept.
#[derive(Debug)]
pub(crate) struct Kept {
    name: String,
}

impl Kept {
    /// What to do about it.
    pub(crate) fn next(&self) -> String {
        format!("mesh draft publish {}", self.name)
    }
}

impl std::fmt::Display for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "it is not published; your words are kept as draft {}", self.name)
    }
}

/// A draft as `--json` prints it.
#[derive(Serialize)]
struct Printed<'a> {
    name: &'a str,
    #[serde(flatten)]
    draft: &'a Draft,
}

/// Publishes words, or keeps them as a draft if that fails.
pub(super) async fn say(context: &Context, words: Words, when: &When) -> Result<()> {
    let session = context.session()?;
    let mut draft = Draft::new(words, context.http.now_ms());
    let Err(error) = attempt(context, &session, (&mut draft, when)).await else { return Ok(()) };
    if context.mode == Mode::DryRun || draft.words.text().trim().is_empty() {
        return Err(error);
    }
    match context.drafts.keep(None, &draft) {
        Ok(name) => Err(error.context(Kept { name })),
        Err(full) => {
            context.out.talk(&format!("your words could not be kept as a draft ({}); here they are:", full.words()));
            context.out.talk(&safe::plain(draft.words.text()));
            Err(error)
        }
    }
}

/// Publishes words, or hands them to the home for later.
async fn attempt(context: &Context, session: &Session, (draft, when): (&mut Draft, &When)) -> Result<()> {
    draft.publish_at = time::planned(when, draft.kept)?;
    match sign(context, session, draft).await? {
        Signed::Shown => Ok(()),
        Signed::Yes => send(context, session, draft).await,
    }
}

/// What became of a draft that was to be signed.
enum Signed {
    Yes,
    /// It was a rehearsal.
    Shown,
}

/// Signs a draft, unless it is signed already.
async fn sign(context: &Context, session: &Session, draft: &mut Draft) -> Result<Signed> {
    if draft.signed.is_none() || context.mode == Mode::DryRun {
        let mut record = compose(session, &draft.words).await?;
        if let Some(at) = draft.publish_at {
            record.head.at = at;
        }
        if context.mode == Mode::DryRun {
            let path = if draft.publish_at.is_some() { scheduled::PATH } else { super::write::RECORDS };
            context.dry_run_record(&record, session.home().domain(), path);
            return Ok(Signed::Shown);
        }
        draft.signed = Some(session.sign(&record));
    }
    Ok(Signed::Yes)
}

/// Asks for what a draft does not know.
async fn compose(session: &Session, words: &Words) -> Result<Record> {
    Ok(match words.clone() {
        Words::Post { mut post, preview: url } => {
            if let Some(url) = &url {
                post.preview = Some(preview(session, url).await?);
            }
            session.draft_post(*post).await?
        }
        Words::Comment { target: to, text, lang } => session.draft_comment(&target(&to)?, text, lang).await?,
        Words::Edit { target: to, text, title, tags, lang } => session.draft_edit(&target(&to)?, Edit { text, title, tags, lang }).await?,
    })
}

/// Sends what was signed. If it is sure that it did not arrive, it is signed anew the next time.
async fn send(context: &Context, session: &Session, draft: &mut Draft) -> Result<()> {
    let Some(envelope) = &draft.signed else { return Ok(()) };
    let later = draft.publish_at.filter(|at| *at > context.http.now_ms());
    let sent = match later {
        Some(_) => scheduled::plan(context, session, envelope).await,
        None => session.send_signed(envelope).await.map(|done| super::write::print(context, &done)),
    };
    sent.map_err(|error| {
        if !(error.is_transient() || error.is_silence()) {
            draft.signed = None;
        }
        error.into()
    })
}

pub(super) async fn run(context: &Context, command: Option<DraftCommand>) -> Result<()> {
    match command {
        None => list(context),
        Some(DraftCommand::New(args)) => new(context, args),
        Some(DraftCommand::Show { name }) => {
            let draft = find(context, &name)?;
            context.out.either(&Printed { name: &name, draft: &draft }, || shown(&draft));
            Ok(())
        }
        Some(DraftCommand::Edit { name, text }) => edit(context, &name, text.as_deref()),
        Some(DraftCommand::Delete { name }) => {
            find(context, &name)?;
            if rehearses(context) {
                return Ok(());
            }
            Ok(context.drafts.remove(&name)?)
        }
        Some(DraftCommand::Publish { name, when }) => publish(context, &name, &when).await,
    }
}

fn rehearses(context: &Context) -> bool {
    if context.mode == Mode::DryRun {
        context.out.talk("dry run: nothing is kept");
    }
    context.mode == Mode::DryRun
}

fn find(context: &Context, name: &str) -> Result<Draft> {
    let missing = || {
        let message = format!("there is no draft {}", safe::line(name));
        Fault::new(ErrorKind::NotFound, message, "mesh draft shows them".to_owned())
    };
    Ok(context.drafts.load(name)?.ok_or_else(missing)?)
}

fn list(context: &Context) -> Result<()> {
    let drafts = context.drafts.list()?;
    for (name, draft) in &drafts {
        context.out.either(&Printed { name, draft }, || {
            let text = safe::line(draft.words.text());
            let excerpt: String = text.chars().take(EXCERPT_CHARS).collect();
            let more = if excerpt.len() < text.len() { "…" } else { "" };
            let sent = if draft.signed.is_some() { "  [may have arrived]" } else { "" };
            format!("{name:<8} {}  {excerpt}{more}{sent}", time::minute(draft.kept))
        });
    }
    if drafts.is_empty() && !context.out.is_json() {
        context.out.talk("no drafts: mesh draft new keeps a text");
    }
    Ok(())
}

/// A draft as people read it.
fn shown(draft: &Draft) -> String {
    let mut lines = vec![match &draft.words {
        Words::Post { .. } => "a post".to_owned(),
        Words::Comment { target, .. } => format!("a comment on {}", safe::line(target)),
        Words::Edit { target, .. } => format!("a new version of {}", safe::line(target)),
    }];
    lines.extend(draft.publish_at.map(|at| format!("to be published {}", time::minute(at))));
    if let Words::Post { post, preview } = &draft.words {
        lines.extend(post.title.as_deref().map(|title| format!("title: {}", safe::line(title))));
        lines.extend((!post.tags.is_empty()).then(|| format!("tags: {}", safe::line(&post.tags.join(", ")))));
        lines.extend(preview.as_deref().map(|url| format!("preview: {}", safe::line(url))));
    }
    if draft.signed.is_some() {
        lines.push("it was sent once without an answer, and may be published already".to_owned());
    }
    lines.push(String::new());
    lines.push(safe::plain(draft.words.text()));
    lines.join("\n")
}

fn new(context: &Context, args: NewDraftArgs) -> Result<()> {
    let text = match args.text.as_deref() {
        None if std::io::stdin().is_terminal() => in_editor("")?,
        text => given(context, text)?,
    };
    check_text(&text)?;
    let NewDraftArgs { name, title, tags, lang, preview, answer, edit, .. } = args;
    let words = match (answer, edit) {
        (Some(link), _) => Words::Comment { target: target(&link)?.to_string(), text, lang },
        (None, Some(link)) => Words::Edit { target: target(&link)?.to_string(), text, title, tags, lang },
        (None, None) => Words::Post { post: Box::new(Post { title, tags, lang, ..Post::free(text) }), preview },
    };
    if rehearses(context) {
        return Ok(());
    }
    let draft = Draft::new(words, context.http.now_ms());
    let name = context.drafts.keep(name.as_deref(), &draft)?;
    context.out.either(&Printed { name: &name, draft: &draft }, || name.clone());
    if !context.out.is_json() {
        context.out.talk(&format!("kept; mesh draft publish {name} publishes it"));
    }
    Ok(())
}

fn in_editor(text: &str) -> Result<String> {
    let next = "say which editor with EDITOR=nano, or give the text on the command line, or - for stdin".to_owned();
    Ok(editor::edit(text).map_err(|message| Fault::new(ErrorKind::Failed, message, next))?)
}

fn check_text(text: &str) -> Result<()> {
    if text.trim().is_empty() {
        return Err(
            Fault::usage("there is no text".to_owned(), "mesh draft new \"Hello\", or write something in the editor".to_owned()).into()
        );
    }
    Ok(())
}

fn edit(context: &Context, name: &str, text: Option<&str>) -> Result<()> {
    let mut draft = find(context, name)?;
    if draft.signed.is_some() {
        // With other words it would be another record, and the first may be published.
        let message = format!("draft {name} was sent once without an answer, and may be published already");
        return Err(Fault::new(
            ErrorKind::Permission,
            message,
            format!("mesh draft publish {name} (it is published once), then mesh post --edit"),
        )
        .into());
    }
    let text = match text {
        Some(text) => given(context, Some(text))?,
        None => in_editor(draft.words.text())?,
    };
    check_text(&text)?;
    draft.words.set_text(text);
    draft.kept = context.http.now_ms();
    if rehearses(context) {
        return Ok(());
    }
    Ok(context.drafts.save(name, &draft)?)
}

async fn publish(context: &Context, name: &str, when: &When) -> Result<()> {
    let session = context.session()?;
    // Whoever waited here finds that the draft is gone.
    let _publishing = context.drafts.publishing()?;
    let mut draft = find(context, name)?;
    let now_ms = context.http.now_ms();
    let planned = time::planned(when, now_ms)?;
    if planned.is_some() && draft.signed.is_some() {
        let message = format!("draft {name} was sent once without an answer, and may be published already");
        return Err(Fault::new(ErrorKind::Permission, message, format!("mesh draft publish {name}")).into());
    }
    draft.publish_at = planned.or(draft.publish_at);
    if draft.signed.is_none() && draft.publish_at.is_some_and(|at| at <= now_ms) {
        context.out.talk("the time for which it was planned has passed: it is published now");
        draft.publish_at = None;
    }
    let kept = || Kept { name: name.to_owned() };
    if matches!(sign(context, &session, &mut draft).await.with_context(kept)?, Signed::Shown) {
        return Ok(());
    }
    context.drafts.save(name, &draft)?;
    if let Err(error) = send(context, &session, &mut draft).await {
        context.drafts.save(name, &draft)?;
        return Err(error.context(kept()));
    }
    Ok(context.drafts.remove(name)?)
}
