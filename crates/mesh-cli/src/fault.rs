//! Errors at the edge: the exit code, the words, and the next command.

use crate::commands::drafts::Kept;
use crate::out::Out;
use crate::safe;
use mesh_client::verify::Mistrust;
use mesh_client::{ClientError, ErrorKind};
use mesh_proto::api::code;
use serde::Serialize;
use std::process::ExitCode;

/// An error of the command line itself.
#[derive(Debug)]
pub(crate) struct Fault {
    kind: ErrorKind,
    message: String,
    next: String,
}

impl Fault {
    pub(crate) fn new(kind: ErrorKind, message: String, next: String) -> Self {
        Self { kind, message, next }
    }

    /// Something typed cannot be used.
    pub(crate) fn usage(message: String, next: String) -> Self {
        Self::new(ErrorKind::Usage, message, next)
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

#[derive(Serialize)]
struct Report<'a> {
    error: &'a str,
    exit: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    next: &'a str,
}

/// Says what went wrong and what to do next, and gives the exit code.
pub(crate) fn report(error: &anyhow::Error, out: &Out) -> ExitCode {
    let exit = exit_code(kind(error));
    let next = next(error);
    let words: Vec<String> = error.chain().map(ToString::to_string).collect();
    // What a server said may be in it.
    let words = safe::line(&words.join(": "));
    if out.is_json() {
        let code = error.downcast_ref::<ClientError>().and_then(ClientError::code);
        out.talk(&serde_json::to_string(&Report { error: &words, exit, code, next: &next }).unwrap_or(words));
    } else {
        out.talk(&format!("mesh: {words}"));
        out.talk(&format!("next: {next}"));
    }
    ExitCode::from(exit)
}

fn kind(error: &anyhow::Error) -> ErrorKind {
    if let Some(fault) = error.downcast_ref::<Fault>() {
        return fault.kind;
    }
    error.downcast_ref::<ClientError>().map_or(ErrorKind::Failed, ClientError::kind)
}

fn exit_code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Failed => 1,
        ErrorKind::Usage => 2,
        ErrorKind::NotFound => 3,
        ErrorKind::Verification => 4,
        ErrorKind::Network => 5,
        ErrorKind::Permission => 6,
    }
}

fn next(error: &anyhow::Error) -> String {
    let first = next_after(error);
    match error.downcast_ref::<Kept>() {
        Some(kept) => format!("{first}; then {}", kept.next()),
        None => first,
    }
}

fn next_after(error: &anyhow::Error) -> String {
    if let Some(fault) = error.downcast_ref::<Fault>() {
        return fault.next.clone();
    }
    let Some(error) = error.downcast_ref::<ClientError>() else {
        return "mesh doctor".to_owned();
    };
    match error {
        ClientError::Remote { problem, .. } => next_after_problem(problem.code(), error.kind()),
        ClientError::Mistrust(Mistrust::AnotherPerson { address, .. }) => {
            format!("ask them some other way; if it is right: mesh verify {address} --accept-new-person")
        }
        ClientError::Mistrust(Mistrust::KnownOtherwise { .. } | Mistrust::Hidden { .. }) => {
            "ask them some other way; if it is your own address, warn those who know you: mesh doctor".to_owned()
        }
        ClientError::Mistrust(_) => "do not act on it; mesh verify URI --json shows what can be shown".to_owned(),
        ClientError::Keystore(_) | ClientError::Malformed { .. } => "mesh doctor".to_owned(),
        other => next_after_kind(other.kind()),
    }
}

fn next_after_problem(problem: &str, kind: ErrorKind) -> String {
    match problem {
        code::NAME => "choose another name: mesh init --address OTHER@DOMAIN",
        code::REGISTRATION => "mesh init --invite CODE, or another home",
        code::DEVICE => "mesh init --recover, or pair this device again: mesh init --pair",
        code::ACCOUNT => "mesh id show",
        code::NOT_HOME => "mesh id show (it finds out where your account lives now)",
        code::UNAUTHENTICATED | code::FUTURE => "mesh doctor (it compares the clocks)",
        code::HEAD_MOVED => "run the same command again",
        code::SLOW_DOWN | code::UNAVAILABLE => "wait a little and run the same command again",
        _ => return next_after_kind(kind),
    }
    .to_owned()
}

fn next_after_kind(kind: ErrorKind) -> String {
    match kind {
        ErrorKind::Usage => "mesh help COMMAND",
        ErrorKind::NotFound => "check the link with mesh show PERSON",
        ErrorKind::Network => "mesh doctor",
        ErrorKind::Permission => "mesh doctor",
        ErrorKind::Failed | ErrorKind::Verification => "mesh doctor",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(error: impl Into<anyhow::Error>, expected: u8) {
        let error = error.into();
        assert_eq!(exit_code(kind(&error)), expected, "{error}");
        assert!(!next(&error).is_empty());
    }

    #[test]
    fn exit_codes_are_those_of_the_manual() {
        check(anyhow::anyhow!("anything"), 1);
        check(Fault::usage("x".to_owned(), "y".to_owned()), 2);
        check(ClientError::NotFound("x".to_owned()), 3);
        let address: mesh_proto::address::Address = "neo@mesh.org".parse().expect("an address");
        let account = mesh_proto::key::AccountId::from_hash([1; 32]);
        check(ClientError::Mistrust(Mistrust::AnotherPerson { address, known: account, now: account }), 4);
        check(ClientError::NotAllowed("x".to_owned()), 6);
    }
}
