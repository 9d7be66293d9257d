//! `mesh id mirror`: domains that keep a copy of what one says.

use super::id::apply;
use crate::cli::{MirrorCommand, Mode};
use crate::context::Context;
use crate::fault::Fault;
use crate::{safe, text};
use anyhow::Result;
use mesh_client::ClientError;
use mesh_client::home::Page;
use mesh_client::identity::mirrors;
use mesh_client::session::Session;
use mesh_proto::address::Domain;
use mesh_proto::envelope::RecordId;
use mesh_proto::keylog::{Action, KeyLog};
use serde::Serialize;

/// A mirror as it was found.
#[derive(Serialize)]
struct Found<'a> {
    mirror: &'a Domain,
    /// `current`, `behind`, `empty` or `silent`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    newest: Option<RecordId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// What a person should think of, about mirrors.
pub(super) fn advice(mirrors: &[Domain]) -> String {
    match mirrors {
        [] => "none: if your home is destroyed, only a saved export brings your posts back. mesh id mirror add DOMAIN, or mesh export FILE"
            .to_owned(),
        some => text::domains(some),
    }
}

pub(super) async fn run(context: &Context, session: &Session, command: Option<MirrorCommand>) -> Result<()> {
    match command {
        None => list(context, session).await,
        Some(MirrorCommand::Add { domain }) => {
            let keys = session.keys().await?;
            let named = mirrors::with(&keys, &domain)?;
            if context.mode == Mode::Send {
                let agreement = mirrors::ask(session, &context.home(&domain)).await.map_err(|error| {
                    let next = "mesh id mirror add ANOTHER-DOMAIN".to_owned();
                    Fault::new(error.kind(), error.words(), next)
                })?;
                context.out.talk(&format!("{domain} agrees to keep up to {} MiB of what you say", agreement.bytes_max >> 20));
            }
            if keys.view().mirrors().contains(&domain) {
                context.out.either(&serde_json::json!({"mirrors": named}), || text::domains(&named));
                context.out.talk(&format!("{domain} was one of your mirrors already"));
                return Ok(());
            }
            let words = format!("{domain} is your mirror now: it gets what you said and will say; look with mesh id mirror");
            set(context, session, (keys, named), &words).await
        }
        Some(MirrorCommand::Remove { domain }) => {
            let keys = session.keys().await?;
            let named = mirrors::without(&keys, &domain)?;
            set(context, session, (keys, named), &format!("{domain} is not your mirror any more; what it has is public and may stay there"))
                .await
        }
    }
}

async fn set(context: &Context, session: &Session, named: (KeyLog, Vec<Domain>), words: &str) -> Result<()> {
    let signer = session.identity().key.clone();
    apply(context, session, (named.0, signer), (Action::MirrorSet { mirrors: named.1 }, words)).await
}

/// The mirrors, and whether each has one's newest post.
async fn list(context: &Context, session: &Session) -> Result<()> {
    let account = session.account();
    // A home that is gone is when one wants to know what the mirrors have.
    let person = context.verifying().account(&account, session.home().domain()).await?;
    let page = session.home().posts(&account.to_string(), &Page::first(1)).await;
    let newest = page.as_ref().ok().and_then(|page| page.items.first()).map(|item| item.card.id);
    if let Err(error) = &page {
        context.out.talk(&safe::line(&format!("{}: whether the mirrors have everything cannot be compared", error.words())));
    }
    // Who moved to a mirror has it as home now.
    for mirror in person.keys.view().mirrors().iter().filter(|mirror| *mirror != person.keys.view().address().domain()) {
        let found = look(context, mirror, (&person.keys, newest)).await;
        context.out.either(&found, || {
            let words = match found.state {
                "current" => "has your newest post".to_owned(),
                "behind" => "does not have your newest post yet".to_owned(),
                "empty" => "knows you; there is no post of yours to compare".to_owned(),
                _ => format!("does not answer well: {}", found.why.as_deref().unwrap_or_default()),
            };
            format!("{mirror}  {}", safe::line(&words))
        });
    }
    if person.keys.view().mirrors().is_empty() {
        context.out.talk("no domain keeps a copy of what you say: mesh id mirror add DOMAIN");
    }
    Ok(())
}

async fn look<'a>(context: &Context, mirror: &'a Domain, own: (&KeyLog, Option<RecordId>)) -> Found<'a> {
    let (keys, newest) = own;
    let home = context.home(mirror);
    let found = |state, why: Option<&ClientError>| Found { mirror, state, newest, why: why.map(ClientError::words) };
    match newest {
        Some(newest) => match home.record_proof(&newest).await {
            Ok(_) => found("current", None),
            Err(error) if error.is_silence() => found("silent", Some(&error)),
            Err(_) => found("behind", None),
        },
        None => match home.keys(&keys.account()).await {
            Ok(_) => found("empty", None),
            Err(error) => found("silent", Some(&error)),
        },
    }
}
