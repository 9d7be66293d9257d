//! `mesh verify`: who signed, with which key, under which key log, in which log.

use crate::cli::VerifyArgs;
use crate::context::{Context, target};
use crate::fault::Fault;
use crate::terminal;
use crate::text::proof_lines;
use anyhow::{Context as _, Result};
use mesh_client::ErrorKind;
use mesh_client::verify::{Evidence, Proof};
use mesh_proto::address::Domain;
use mesh_proto::keylog::Status;
use mesh_proto::uri::{Person, Target};
use std::io::Read;
use std::path::Path;

/// Largest file, bytes: a record view with its envelope.
const FILE_BYTES_MAX: u64 = 512 * 1024;

pub(super) async fn run(context: &Context, args: VerifyArgs) -> Result<()> {
    let own = context.stored()?.map(|stored| stored.address.domain().clone());
    let via = args.via.clone().or(own);
    let verifying = context.verifying();
    if let Some(evidence) = saved(&args.target)? {
        return conclude(context, &verifying.evidence(&evidence, via.as_ref()).await?);
    }
    let target = target(&args.target)?;
    if args.accept_new_person {
        accept(context, &target)?;
    }
    match &target {
        Target::Person(person) => verify_person(context, person, via.as_ref()).await,
        Target::Record { .. } => {
            let verifying = if args.via.is_some() { verifying.through(args.via.clone()) } else { verifying };
            conclude(context, &verifying.record(&target, via.as_ref()).await.map_err(|error| ask_another(error, &args))?)
        }
    }
}

/// Names the way on if the domain that should know does not answer.
fn ask_another(error: mesh_client::ClientError, args: &VerifyArgs) -> anyhow::Error {
    if !error.is_silence() || args.via.is_some() {
        return error.into();
    }
    let next = "mesh verify URI --via DOMAIN, where DOMAIN may have it: its author's new home, or a mirror".to_owned();
    Fault::new(error.kind(), error.words(), next).into()
}

/// The record in a file or on stdin, if the argument means one.
fn saved(argument: &str) -> Result<Option<Evidence>> {
    let mut bytes = Vec::new();
    if argument == "-" {
        bytes = terminal::stdin_text()?.into_bytes();
    } else if !argument.contains("://") && Path::new(argument).is_file() {
        let file = std::fs::File::open(argument).with_context(|| format!("cannot read {argument}"))?;
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).with_context(|| format!("cannot read {argument}"))?;
    } else {
        return Ok(None);
    }
    Ok(Some(Evidence::from_json(&bytes)?))
}

/// Forgets who was behind an address, on the person's word.
fn accept(context: &Context, target: &Target) -> Result<()> {
    let Person::Address(address) = target.person() else {
        return Err(
            Fault::usage("an account id always means the same person".to_owned(), "leave --accept-new-person out".to_owned()).into()
        );
    };
    if let Some(known) = context.pins.forget_name(address) {
        context.out.talk(&format!("{address} was account {known}; whoever holds the name now is taken as new"));
    }
    Ok(())
}

async fn verify_person(context: &Context, person: &Person, via: Option<&Domain>) -> Result<()> {
    let found = context.verifying().person(person, via).await?;
    let view = found.keys.view();
    let leaf = found.name.as_ref().map(|name| name.leaf.clone());
    let value = serde_json::json!({
        "account": found.keys.account(),
        "address": view.address(),
        "name_leaf": leaf,
        "head": found.keys.head(),
        "operations": found.keys.len(),
        "status": view.status(),
        "contact": found.contact,
        "witnesses": found.witnesses,
    });
    context.out.either(&value, || {
        let name = match &leaf {
            Some(leaf) => format!("proven: leaf {} of {}", leaf.index, leaf.origin),
            None => "NOT PROVEN: its domain shows no name leaf".to_owned(),
        };
        let account = found.keys.account();
        let keys = format!("{} operations, head {}", found.keys.len(), found.keys.head());
        let witness = crate::text::witness_line(&found.witnesses);
        format!("account   {account}\naddress   {}\nname      {name}\nkey log   {keys}\nwitness   {witness}", view.address())
    });
    check_status(view.status())
}

fn conclude(context: &Context, proof: &Proof) -> Result<()> {
    context.out.either(proof, || proof_lines(proof));
    if let Some(why) = &proof.why {
        let message = format!("the signature holds, but its author does not stand by this record: {why}");
        return Err(Fault::new(ErrorKind::Verification, message, "ask its author".to_owned()).into());
    }
    check_status(proof.status)
}

fn check_status(status: Status) -> Result<()> {
    match status {
        Status::Compromised => {
            let message = "this account is COMPROMISED: its root key signed two different histories".to_owned();
            Err(Fault::new(ErrorKind::Verification, message, "ask the person some other way".to_owned()).into())
        }
        Status::Active | Status::Frozen | Status::Closed => Ok(()),
    }
}
