//! The versions of a post or comment, each verified like any other record.
//!
//! That a home shows all of them cannot be known: the log proves what is shown, and names nobody's edits. The version that it serves as the present
//! one must be among them.

use super::{Reader, State};
use crate::error::{ClientError, Result};
use crate::home::Page;
use crate::limits::VERSIONS_MAX;
use crate::verify::check::{self, Standing};
use crate::verify::{Mistrust, proof};
use mesh_proto::address::Address;
use mesh_proto::api::LoggedRecord;
use mesh_proto::envelope::{Kind, RecordId};
use mesh_proto::keylog::KeyLog;
use mesh_proto::uri::Target;

/// One version.
#[derive(Debug, Clone)]
pub struct Version {
    /// As its home shows it.
    pub logged: LoggedRecord,
    /// The verdict on it.
    pub state: State,
}

/// A record with all its versions.
#[derive(Debug, Clone)]
pub struct History {
    /// The record, for ever.
    pub id: RecordId,
    /// What it is.
    pub kind: Kind,
    /// Its author.
    pub author: Address,
    /// The versions, oldest first.
    pub versions: Vec<Version>,
}

impl Reader {
    /// The versions of the post or comment that a link means, as its author's home has them.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if it was withdrawn or its home cannot be reached; [`ClientError::Malformed`] if the home leaves out the version that it
    /// serves.
    pub async fn history(&self, target: &Target) -> Result<History> {
        let shown = self.record(target).await?;
        let (id, kind) = (shown.view.card.id, shown.view.card.kind);
        let Some(present) = shown.version() else {
            return Err(proof::absent(&id, shown.state == State::Withdrawn));
        };
        if !matches!(kind, Kind::Post | Kind::Comment) {
            return Err(ClientError::Input(format!("a {kind} has no versions")));
        }
        let keys = self.keys(&shown.view.card.actor).await?;
        let home = self.through(keys.view().address().domain()).home;
        let mut page = Page::first(mesh_proto::limits::PAGE_MAX);
        let mut versions = Vec::new();
        loop {
            let part = home.versions(&id, &page).await?;
            versions.extend(part.versions.into_iter().map(|logged| judge(logged, (&id, kind), &keys)));
            if part.next.is_none() || part.next == page.from || versions.len() >= VERSIONS_MAX {
                break;
            }
            page.from = part.next;
        }
        if !versions.iter().any(|version| version.logged.envelope.id() == present) {
            return Err(ClientError::malformed(home.domain(), "it leaves out the version that it serves as the present one"));
        }
        Ok(History { id, kind, author: shown.author, versions })
    }
}

/// Checks one version.
fn judge(logged: LoggedRecord, (id, kind): (&RecordId, Kind), keys: &KeyLog) -> Version {
    let state = match check::logged_record(&logged, keys) {
        Ok(checked) if checked.id != *id || checked.record.kind() != kind => {
            State::Refused(Mistrust::NotAsSigned { record: checked.version, what: "it is a version of another record" })
        }
        Ok(checked) => match checked.standing {
            Standing::Good => State::Good(Box::new(checked.record)),
            Standing::Disowned(why) => State::Disowned(Box::new(checked.record), why),
        },
        Err(mistrust) => State::Refused(mistrust),
    };
    Version { logged, state }
}
