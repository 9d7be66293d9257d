//! `mesh history`: all versions of a post or comment, each verified, and what changed from one to the next.

use crate::changes::{Change, changes, marked};
use crate::cli::HistoryArgs;
use crate::context::{Context, target};
use crate::fault::Fault;
use crate::text::{body_of, proof_lines, verdict};
use crate::{safe, time};
use anyhow::Result;
use mesh_client::ErrorKind;
use mesh_client::reader::State;
use mesh_client::reader::history::{History, Version};
use mesh_client::verify::{Evidence, Proof};
use mesh_proto::api::LoggedRecord;
use mesh_proto::envelope::RecordId;
use mesh_proto::uri::{Person, Target};
use serde::Serialize;

/// A version as `--json` prints it.
#[derive(Serialize)]
struct Printed<'a> {
    uri: Target,
    id: RecordId,
    version: RecordId,
    /// From 1, the oldest, on.
    number: usize,
    received: u64,
    /// `good`, `disowned` or `refused`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    text: String,
    /// What became of the version before; left out of the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<Vec<Change<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<&'a LoggedRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<&'a Proof>,
}

pub(in crate::commands) async fn run(context: &Context, args: HistoryArgs) -> Result<()> {
    let target = target(&args.target)?;
    let history = context.reader(&target)?.history(&target).await?;
    let (mut unproven, mut before): (usize, Option<String>) = (0, None);
    for (at, version) in history.versions.iter().enumerate() {
        let text = body_of(&version.state);
        let proof = match args.proof {
            true => Some(proof_of(context, version).await),
            false => None,
        };
        let is_refused = matches!(version.state, State::Refused(_)) || matches!(&proof, Some(Err(_)));
        unproven += usize::from(is_refused);
        let proof = proof.transpose();
        if let Err(words) = &proof {
            context.out.talk(&safe::line(&format!("no proof for version {}: {words}", at + 1)));
        }
        let shown = Shown { history: &history, number: at + 1, version, proof: proof.ok().flatten() };
        shown.print(context, &text, before.as_deref());
        before = Some(text);
    }
    if unproven == 0 {
        return Ok(());
    }
    let message = format!("{unproven} of {} versions could not be verified", history.versions.len());
    Err(Fault::new(ErrorKind::Verification, message, "mesh verify URI shows why; do not trust the server that served them".to_owned())
        .into())
}

/// The full proof of a version, or why there is none.
async fn proof_of(context: &Context, version: &Version) -> std::result::Result<Proof, String> {
    let via = version.logged.leaf.origin.domain().clone();
    let evidence = Evidence::Logged(Box::new(version.logged.clone()));
    context.verifying().evidence(&evidence, Some(&via)).await.map_err(|error| error.words())
}

/// A version about to be printed.
struct Shown<'a> {
    history: &'a History,
    number: usize,
    version: &'a Version,
    proof: Option<Proof>,
}

impl Shown<'_> {
    /// The link to this version.
    fn uri(&self) -> Target {
        let version = (self.number > 1).then(|| self.version.logged.envelope.id());
        Target::Record { person: Person::Address(self.history.author.clone()), record: self.history.id, version }
    }

    fn print(&self, context: &Context, text: &str, before: Option<&str>) {
        let changes = before.map(|before| changes(before, text));
        let (state, why) = verdict(&self.version.state);
        let received = self.version.logged.opening.received;
        let printed = Printed {
            uri: self.uri(),
            id: self.history.id,
            version: self.version.logged.envelope.id(),
            number: self.number,
            received,
            state,
            why,
            text: text.to_owned(),
            changes: changes.clone(),
            record: self.proof.as_ref().map(|_| &self.version.logged),
            proof: self.proof.as_ref(),
        };
        context.out.either(&printed, || {
            let who = context.out.strong(&self.history.author.to_string());
            let mark = match &self.version.state {
                State::Disowned(..) => " [DISOWNED: its author does not stand by this]",
                State::Refused(_) => " [unverified]",
                _ => "",
            };
            let place = format!("version {} of {}", self.number, self.history.versions.len());
            let mut lines = vec![format!("{who} · {place} · {}{mark}", time::minute(received))];
            lines.push(changes.as_deref().map_or_else(|| text.to_owned(), marked));
            lines.push(context.out.faint(&self.uri().to_string()));
            lines
                .extend(self.proof.iter().flat_map(|proof| proof_lines(proof).lines().map(|line| format!("| {line}")).collect::<Vec<_>>()));
            lines.join("\n") + "\n"
        });
    }
}
