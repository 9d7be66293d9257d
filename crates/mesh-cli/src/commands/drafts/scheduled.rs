//! `mesh scheduled`: posts that the home is to publish later.

use crate::cli::{Mode, ScheduledArgs};
use crate::context::Context;
use crate::fault::Fault;
use crate::{safe, time};
use anyhow::Result;
use mesh_client::ErrorKind;
use mesh_client::drafts::{Draft, Words};
use mesh_client::home::Home;
use mesh_client::http::Signer;
use mesh_client::session::Session;
use mesh_proto::api::Scheduled;
use mesh_proto::envelope::{Envelope, RecordId};
use mesh_proto::key::AccountId;
use mesh_proto::record::{Content, Record};
use serde::Serialize;

/// Where planned posts are sent.
pub(super) const PATH: &str = "/api/v1/scheduled";

/// A planned post as `--json` prints it.
#[derive(Serialize)]
struct Printed<'a> {
    id: RecordId,
    /// When the home is to publish it, milliseconds since the epoch.
    at: u64,
    text: &'a str,
    /// Why the home did not publish it.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
}

/// Hands what was signed to the home, and says when it will be public.
pub(super) async fn plan(context: &Context, session: &Session, envelope: &Envelope) -> mesh_client::Result<()> {
    let scheduled = session.schedule(envelope).await?;
    print(context, &scheduled, &words_of(&scheduled).map(|words| words.text().to_owned()).unwrap_or_default());
    if !context.out.is_json() {
        context.out.talk(&format!("{} publishes it then; mesh scheduled shows what is planned", session.home().domain()));
    }
    Ok(())
}

fn print(context: &Context, scheduled: &Scheduled, text: &str) {
    let Scheduled { id, at, refused, .. } = scheduled;
    let printed = Printed {
        id: *id,
        at: *at,
        text,
        refused: refused.as_ref().map(|refused| refused.detail.as_str()),
        code: refused.as_ref().map(|refused| refused.code.as_str()),
    };
    context.out.either(&printed, || {
        let refused = refused.as_ref();
        let refused = refused.map(|refused| format!("\n    NOT PUBLISHED: {}", safe::line(&refused.detail))).unwrap_or_default();
        format!("{}  {id}\n    {}{refused}", time::minute(*at), safe::plain(text).replace('\n', "\n    "))
    });
}

pub(in crate::commands) async fn run(context: &Context, args: ScheduledArgs) -> Result<()> {
    let session = context.session()?;
    let planned = of(session.home(), session.signer(), &session.account()).await?;
    let Some(wanted) = args.cancel else {
        let mut failed = false;
        for (scheduled, words) in &planned {
            failed |= scheduled.refused.is_some();
            print(context, scheduled, words.text());
        }
        if planned.is_empty() && !context.out.is_json() {
            context.out.talk("nothing is planned: mesh post --at TIME plans a post");
        }
        if failed && !context.out.is_json() {
            context.out.talk("what was not published stays here until: mesh scheduled --cancel ID, which keeps the words as a draft");
        }
        return Ok(());
    };
    let mut meant = planned.into_iter().filter(|(scheduled, _)| scheduled.id.to_string().starts_with(wanted.trim()));
    let (Some((scheduled, words)), None) = (meant.next(), meant.next()) else {
        let message = format!("{} is not the beginning of exactly one of the planned ids", safe::line(&wanted));
        return Err(Fault::new(ErrorKind::NotFound, message, "mesh scheduled shows them".to_owned()).into());
    };
    if context.mode == Mode::DryRun {
        context.out.talk(&format!("dry run: {} would not be published", scheduled.id));
        return Ok(());
    }
    let name = take_back(context, session.home(), session.signer(), (&scheduled, words)).await?;
    context.out.either(&serde_json::json!({"cancelled": scheduled.id, "draft": name}), || name.clone());
    if !context.out.is_json() {
        context.out.talk(&format!("it will not be published; your words are kept as draft {name}"));
    }
    Ok(())
}

/// Keeps the words as a draft, and lets the home forget them. The draft comes first: nothing is lost in between.
async fn take_back(
    context: &Context,
    home: &Home,
    signer: &Signer,
    (scheduled, words): (&Scheduled, Words),
) -> mesh_client::Result<String> {
    let name = context.drafts.keep(None, &Draft::new(words, context.http.now_ms()))?;
    if let Err(error) = home.cancel_scheduled(signer, &scheduled.id).await {
        if !(error.is_transient() || error.is_silence()) {
            context.drafts.remove(&name)?;
        }
        return Err(error);
    }
    Ok(name)
}

/// What a home says is planned, as far as it is one's own: with its words.
async fn of(home: &Home, signer: &Signer, account: &AccountId) -> mesh_client::Result<Vec<(Scheduled, Words)>> {
    let planned = home.scheduled(signer).await?.scheduled.into_iter();
    let own = planned.filter(|scheduled| Record::open(&scheduled.envelope).is_ok_and(|record| record.head.actor == *account));
    Ok(own.filter_map(|scheduled| words_of(&scheduled).map(|words| (scheduled, words))).collect())
}

fn words_of(scheduled: &Scheduled) -> Option<Words> {
    match Record::open(&scheduled.envelope).ok()?.content {
        Content::Post(post) => Some(Words::post(post)),
        _ => None,
    }
}

/// Before a home learns that its person leaves: what is planned there will not be published, so that its words are kept as drafts.
pub(in crate::commands) async fn bring_along(context: &Context, home: &Home, (signer, account): (&Signer, &AccountId)) {
    let planned = match of(home, signer, account).await {
        Ok(planned) => planned,
        Err(error) => {
            return context.out.talk(&safe::line(&format!("what was planned at {} is not known: {}", home.domain(), error.words())));
        }
    };
    for (scheduled, words) in planned {
        let at = time::minute(scheduled.at);
        match take_back(context, home, signer, (&scheduled, words)).await {
            Ok(name) => context.out.talk(&format!("planned for {at} and not published by {}: kept as draft {name}", home.domain())),
            Err(error) => context.out.talk(&safe::line(&format!("planned for {at}, and not kept as a draft: {}", error.words()))),
        }
    }
}
