//! Once a day: do other domains know the same person under one's own address? A home that shows strangers another key is found out by its own people.

use crate::cli::Command;
use crate::context::Context;
use anyhow::Result;
use mesh_client::ClientError;
use mesh_client::limits::{ELSEWHERE_MAX, ELSEWHERE_WAIT};
use mesh_proto::address::Domain;

/// What to do about another person, or another key log, under one's own address.
pub(super) const NEXT: &str = "your home or that domain deceives somebody: warn those who know you, then mesh id show";

/// Whether a command goes out to the network for its owner: then a day's look at other domains is no surprise.
pub(super) fn is_watched(command: &Command) -> bool {
    match command {
        Command::Post(_)
        | Command::Like(_)
        | Command::Comment(_)
        | Command::Subscribe(_)
        | Command::Repost(_)
        | Command::Vote(_)
        | Command::Undo(_)
        | Command::Profile(_)
        | Command::Thread(_)
        | Command::Feed(_)
        | Command::Report(_)
        | Command::Rulings
        | Command::Draft { .. }
        | Command::Scheduled(_)
        | Command::Notifications(_) => true,
        Command::Init(_)
        | Command::Whoami
        | Command::Id(_)
        | Command::Show(_)
        | Command::History(_)
        | Command::Verify(_)
        | Command::Export(_)
        | Command::Import(_)
        | Command::Mute(_)
        | Command::List(_)
        | Command::Bookmark(_)
        | Command::Doctor
        | Command::Completions { .. }
        | Command::Man { .. } => false,
    }
}

/// The domains to ask: first those that cosigned the home's log, then those of people whose names are pinned.
pub(super) fn domains(context: &Context, witnesses: &[Domain]) -> Vec<Domain> {
    let mut domains = witnesses.to_vec();
    let pinned = context.pins.lock().domains();
    domains.extend(pinned.into_iter().filter(|domain| !witnesses.contains(domain)));
    // One's own home is among them, and not asked.
    domains.truncate(ELSEWHERE_MAX + 1);
    domains
}

/// Asks, if a day has passed. Only what is found to be wrong is said: that somebody does not answer is for `mesh doctor`.
pub(super) async fn watch(context: &Context) -> Result<()> {
    if context.stored()?.is_none() || !context.pins.lock().is_elsewhere_due(context.http.now_ms()) {
        return Ok(());
    }
    let domains = domains(context, &[]);
    let asked = async {
        let session = context.session()?;
        let keys = session.own_keys().await?;
        session.verifying().elsewhere(&keys, &domains).await?;
        anyhow::Ok(())
    };
    match tokio::time::timeout(ELSEWHERE_WAIT, asked).await {
        Ok(Err(error)) if matches!(error.downcast_ref::<ClientError>(), Some(ClientError::Mistrust(_))) => {
            // It is said again until it is mended.
            context.pins.lock().elsewhere_again();
            Err(error)
        }
        _ => Ok(()),
    }
}
