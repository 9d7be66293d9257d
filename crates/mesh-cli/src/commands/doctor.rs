//! `mesh doctor`: this machine, keys, clock, home, key log, name, words that wait. Each trouble comes with the next step.

mod machine;

use crate::context::Context;
use crate::fault::Fault;
use crate::{safe, time};
use anyhow::Result;
use mesh_client::identity::{Stage, StoredIdentity};
use mesh_client::session::Session;
use mesh_client::verify::Known;
use mesh_client::{ClientError, ErrorKind};
use mesh_proto::address::Domain;
use mesh_proto::keylog::KeyLog;
use mesh_proto::limits::SIGNATURE_AHEAD_S_MAX;
use serde::Serialize;

/// How far behind the home's clock may be ahead of ours, seconds, before our signatures arrive expired.
const BEHIND_S_MAX: u64 = 20;

#[derive(Serialize)]
struct Finding {
    check: &'static str,
    ok: bool,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// What was found so far; the first trouble decides the exit code.
struct Doctor<'a> {
    context: &'a Context,
    trouble: Option<ErrorKind>,
}

impl Doctor<'_> {
    fn good(&self, check: &'static str, detail: String) {
        self.print(&Finding { check, ok: true, detail, next: None });
    }

    fn bad(&mut self, check: &'static str, kind: ErrorKind, words: (String, &str)) {
        self.trouble.get_or_insert(kind);
        self.print(&Finding { check, ok: false, detail: words.0, next: Some(words.1.to_owned()) });
    }

    fn print(&self, finding: &Finding) {
        self.context.out.either(finding, || {
            let mark = if finding.ok { "ok  " } else { "BAD " };
            let next = finding.next.as_ref().map(|next| format!("\n          next: {next}")).unwrap_or_default();
            format!("{mark} {:<10} {}{next}", finding.check, safe::line(&finding.detail))
        });
    }
}

pub(super) async fn run(context: &Context) -> Result<()> {
    let mut doctor = Doctor { context, trouble: None };
    let folder = context.keystore.folder().display().to_string();
    match context.keystore.stored() {
        Err(error) => {
            doctor.bad("identity", ErrorKind::Failed, (ClientError::from(error).words(), "mesh init --recover, or mesh init --pair"))
        }
        Ok(None) => doctor.bad("identity", ErrorKind::NotFound, (format!("none in {folder}"), "mesh init")),
        Ok(Some(stored)) => {
            doctor.good("identity", format!("{} in {folder}", stored.address));
            examine(&mut doctor, &stored).await;
        }
    }
    match doctor.trouble {
        None => Ok(()),
        Some(kind) => Err(Fault::new(kind, "not everything is well".to_owned(), "do what stands under each BAD line".to_owned()).into()),
    }
}

async fn examine(doctor: &mut Doctor<'_>, stored: &StoredIdentity) {
    machine::examine(doctor);
    check_home(doctor, stored).await;
    match doctor.context.identity() {
        Err(error) => doctor.bad("key", ErrorKind::Failed, (format!("{error:#}"), "unlock the keyring, or mesh init --recover")),
        Ok(identity) => {
            doctor.good("key", format!("{} in {}", identity.stored.device, identity.stored.store.name()));
            let session = Session::new(&doctor.context.http, identity, doctor.context.pins.clone());
            check_account(doctor, &session).await;
            check_scheduled(doctor, &session).await;
        }
    }
}

/// What other domains know of one's own address.
async fn check_elsewhere(doctor: &mut Doctor<'_>, session: &Session, (keys, witnesses): (&KeyLog, &[Domain])) {
    let domains = super::elsewhere::domains(doctor.context, witnesses);
    let answers = match session.verifying().elsewhere(keys, &domains).await {
        Ok(answers) => answers,
        Err(error) => return doctor.bad("elsewhere", error.kind(), (error.words(), super::elsewhere::NEXT)),
    };
    if answers.is_empty() {
        doctor.good("elsewhere", "no other domain is known here yet that could be asked".to_owned());
    }
    for (domain, known) in answers {
        let words = match known {
            Known::Same => format!("{domain} knows the same account, with the same key log"),
            Known::Behind => format!("{domain} knows the same account, but not yet its newest key operations"),
            Known::Nobody => format!("{domain} knows nobody under this address"),
            Known::Silent(why) => format!("{domain} was asked in vain: {why}"),
        };
        doctor.good("elsewhere", words);
    }
}

/// What the home did not publish.
async fn check_scheduled(doctor: &mut Doctor<'_>, session: &Session) {
    match session.home().scheduled(session.signer()).await {
        Ok(list) => match list.scheduled.iter().find_map(|post| Some((post, post.refused.as_ref()?))) {
            Some((post, refused)) => {
                let words = format!("the post planned for {} was not published: {}", time::minute(post.at), refused.detail);
                doctor.bad("scheduled", ErrorKind::Failed, (words, "mesh scheduled --cancel ID keeps the words as a draft"));
            }
            None => doctor.good("scheduled", format!("{} planned", list.scheduled.len())),
        },
        // Whatever keeps the home from answering was told above.
        Err(error) if error.kind() == ErrorKind::Permission || error.is_silence() => {}
        Err(error) => doctor.bad("scheduled", error.kind(), (error.words(), "mesh scheduled")),
    }
}

async fn check_home(doctor: &mut Doctor<'_>, stored: &StoredIdentity) {
    let domain = stored.address.domain();
    if !domain.is_local() {
        machine::check_name(doctor, domain.host(), domain.port().unwrap_or(443)).await;
    }
    let home = doctor.context.home(domain);
    let (discovery, date) = match home.discovery_dated().await {
        Ok(answer) => answer,
        Err(error) => {
            return doctor.bad(
                "home",
                ErrorKind::Network,
                (error.words(), "check the network; ask the operator of the domain; if it is gone for good: mesh id move NEW_ADDRESS"),
            );
        }
    };
    let way = if domain.is_local() { "over plain HTTP on this machine" } else { "over HTTPS with a good certificate" };
    doctor.good("home", format!("{} answers {way}; it runs {}, log {}", discovery.domain, discovery.software, discovery.origin));
    let versions: Vec<String> = discovery.versions.iter().map(u32::to_string).collect();
    doctor.good("protocol", format!("version 1 here, {} there", versions.join(", ")));
    let Some(theirs) = date else { return };
    let ours = doctor.context.http.now_ms();
    let (ahead, behind) = (ours.saturating_sub(theirs) / 1000, theirs.saturating_sub(ours) / 1000);
    if ahead > SIGNATURE_AHEAD_S_MAX || behind > BEHIND_S_MAX {
        let words = format!("this clock is {} s {} the home's", ahead.max(behind), if ahead > behind { "ahead of" } else { "behind" });
        doctor.bad("clock", ErrorKind::Failed, (words, "set the clock (on Linux: timedatectl set-ntp true)"));
    } else {
        doctor.good("clock", format!("within {} s of the home's", ahead.max(behind).max(1)));
    }
}

async fn check_account(doctor: &mut Doctor<'_>, session: &Session) {
    match session.keys().await {
        Ok(keys) => {
            doctor.good("key log", format!("{} operations, head {}, this device is live", keys.len(), keys.head()));
            if let Some(pending) = keys.view().pending_root() {
                let words = format!("a device asked for another recovery phrase, which holds from {}", time::minute(pending.effective));
                let next =
                    "if that was not you: mesh id rotate --phrase-file FILE with your present phrase, and mesh id revoke that device";
                doctor.bad("recovery", ErrorKind::Permission, (words, next));
            }
            doctor.good("mirrors", super::mirror::advice(keys.view().mirrors()));
            if let Stage::Moving(moving) = &session.identity().stored.stage {
                doctor.bad("moving", ErrorKind::Failed, (format!("on the way to {}", moving.to), "mesh id move"));
            }
        }
        Err(error) => {
            let next = if error.kind() == ErrorKind::Permission { "mesh init --recover, or mesh init --pair" } else { "mesh id show" };
            return doctor.bad("key log", error.kind(), (error.words(), next));
        }
    }
    match session.verifying().account(&session.account(), session.home().domain()).await {
        Ok(person) => match person.name {
            Some(name) => {
                doctor.good("name", format!("{} is leaf {} of {}", name.address, name.leaf.index, name.leaf.origin));
                check_elsewhere(doctor, session, (&person.keys, &person.witnesses)).await;
            }
            None => {
                doctor.bad("name", ErrorKind::Verification, ("the home shows no name leaf".to_owned(), "ask the operator of the domain"))
            }
        },
        Err(error) => doctor.bad("name", error.kind(), (error.words(), "ask the operator of the domain")),
    }
}
