//! `mesh whoami` and `mesh id`: the account, its keys, its devices.

use crate::cli::{IdCommand, Mode};
use crate::context::Context;
use crate::fault::Fault;
use crate::out::Out;
use crate::{phrase, safe, terminal, time};
use anyhow::Result;
use mesh_client::identity::change::{self, LastGood};
use mesh_client::identity::{Stage, StoredIdentity, create, pair, recover};
use mesh_client::session::Session;
use mesh_client::{ClientError, ErrorKind};
use mesh_proto::api::PairingRequest;
use mesh_proto::key::{KeyId, SecretKey};
use mesh_proto::keylog::{Action, Device, KeyLog};
use serde::Serialize;
use std::path::Path;

/// A device as `--json` prints it.
#[derive(Serialize)]
struct PrintedDevice<'a> {
    device: KeyId,
    name: &'a str,
    this: bool,
    live: bool,
    added_by: Option<KeyId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_good: Option<&'a mesh_proto::keylog::LogPosition>,
}

pub(super) fn whoami(context: &Context) -> Result<()> {
    let stored = context.identity()?.stored;
    context.out.either(&stored, || stored.address.to_string());
    if !context.out.is_json() {
        context.out.talk(&format!("account {}, key in {}", stored.account, stored.store.name()));
    }
    Ok(())
}

pub(super) async fn run(context: &Context, command: IdCommand) -> Result<()> {
    if let IdCommand::Move(args) = command {
        return super::moving::run(context, args).await;
    }
    let session = context.session()?;
    let changes = matches!(
        command,
        IdCommand::Pair { .. } | IdCommand::Revoke { .. } | IdCommand::Rotate { .. } | IdCommand::Mirror { command: Some(_) }
    );
    if let (true, Stage::Moving(moving)) = (changes, &session.identity().stored.stage) {
        // What is signed now would stand beside the move that is signed already, and both together could ruin the account.
        let message = format!("you are on your way to {}: keys cannot be changed until you are there", moving.to);
        return Err(Fault::new(ErrorKind::Permission, message, "mesh id move".to_owned()).into());
    }
    match command {
        IdCommand::Show => show(context, &session).await,
        IdCommand::Export => export(context, &session).await,
        IdCommand::Pair { code } => pair_device(context, &session, code).await,
        IdCommand::Devices => devices(context, &session).await,
        IdCommand::Revoke { device, last_good, phrase_file } => {
            let last_good = parse_last_good(&last_good)?;
            revoke(context, &session, (&device, last_good), phrase_file.as_deref()).await
        }
        IdCommand::Move(_) => Ok(()),
        IdCommand::Mirror { command } => super::mirror::run(context, &session, command).await,
        IdCommand::Rotate { lost: true, new_phrase_file, .. } => rotate_lost(context, &session, new_phrase_file.as_deref()).await,
        IdCommand::Rotate { phrase_file, new_phrase_file, lost: false } => {
            rotate(context, &session, phrase_file.as_deref(), new_phrase_file.as_deref()).await
        }
    }
}

async fn show(context: &Context, session: &Session) -> Result<()> {
    let person = context.verifying().account(&session.account(), session.home().domain()).await?;
    let keys = &person.keys;
    let view = keys.view();
    notice_move(context, session, keys)?;
    let live = view.devices().values().filter(|device| device.revoked.is_none()).count();
    let root = view.root_at(context.http.now_ms());
    let value = serde_json::json!({
        "account": keys.account(),
        "address": view.address(),
        "name_leaf": person.name.as_ref().map(|name| &name.leaf),
        "status": view.status(),
        "head": keys.head(),
        "operations": keys.len(),
        "root": root,
        "pending_root": view.pending_root().map(|pending| serde_json::json!({"root": pending.root, "effective": pending.effective})),
        "devices": live,
        "homes": keys.homes(),
        "mirrors": view.mirrors(),
        "silent": person.silent,
        "lied": person.lied,
        "created": view.created(),
    });
    context.out.either(&value, || {
        let name = if person.name.is_some() { "proven by its domain's log" } else { "NOT PROVEN by its domain's log" };
        let mut lines = vec![
            format!("address   {} ({name})", view.address()),
            format!("account   {}", keys.account()),
            format!("status    {}", value["status"].as_str().unwrap_or_default()),
            format!("key log   {} operations, head {}", keys.len(), keys.head()),
            format!("root key  {root}"),
            format!("devices   {live} live"),
            format!("since     {}", time::minute(view.created())),
            format!("homes     {}", crate::text::domains(&keys.homes())),
            format!("mirrors   {}", if view.mirrors().is_empty() { "none".to_owned() } else { crate::text::domains(view.mirrors()) }),
        ];
        if !person.silent.is_empty() {
            lines.push(format!("SILENT    {}: what is shown may be old", crate::text::domains(&person.silent)));
        }
        if !person.lied.is_empty() {
            lines.push(format!("LIED      {}: the key log that it shows does not hold", crate::text::domains(&person.lied)));
        }
        if let Stage::Moving(moving) = &session.identity().stored.stage {
            lines.push(format!("MOVING    to {}; to go on: mesh id move", moving.to));
        }
        if let Some(pending) = view.pending_root() {
            let when = time::minute(pending.effective);
            lines.push(format!("PENDING   device {} asked for the new root key {}, effective {when}", pending.device, pending.root));
            lines.push("          to cancel: mesh id revoke DEVICE --phrase-file FILE".to_owned());
        }
        lines.join("\n")
    });
    Ok(())
}

/// Another device may have moved the account: then this one speaks for it at the new home from now on.
fn notice_move(context: &Context, session: &Session, keys: &KeyLog) -> Result<()> {
    let (stored, address) = (&session.identity().stored, keys.view().address());
    context.pins.lock().keep_own(keys);
    if stored.stage != Stage::Active || stored.address == *address {
        return Ok(());
    }
    context.keystore.save_stored(&StoredIdentity { address: address.clone(), ..stored.clone() }).map_err(ClientError::from)?;
    context.out.talk(&format!("{} moved: you are {address} now, here too", stored.address));
    Ok(())
}

async fn export(context: &Context, session: &Session) -> Result<()> {
    let view = session.home().keys(&session.account()).await?;
    mesh_client::verify::check::keys(view.clone(), &session.account()).map_err(ClientError::from)?;
    context.out.json(&view);
    context.out.talk("this is public: it proves your keys and holds no secret");
    Ok(())
}

async fn devices(context: &Context, session: &Session) -> Result<()> {
    let keys = session.own_keys().await?;
    let mut devices: Vec<(&KeyId, &Device)> = keys.view().devices().iter().collect();
    devices.sort_by_key(|(_, device)| device.added_at);
    let own = session.identity().key.id();
    for (id, device) in devices {
        let printed = PrintedDevice {
            device: *id,
            name: &device.name,
            this: *id == own,
            live: device.revoked.is_none(),
            added_by: device.added_by,
            last_good: device.revoked.as_ref().and_then(|revoked| revoked.last_good.as_ref()),
        };
        context.out.either(&printed, || {
            let state = if printed.live { "live" } else { "revoked" };
            let this = if printed.this { "  (this device)" } else { "" };
            format!("{id}  {state:<8}{}{this}", safe::line(&device.name))
        });
    }
    Ok(())
}

async fn pair_device(context: &Context, session: &Session, code: Option<String>) -> Result<()> {
    let pending = session.home().pairings(session.signer(), &session.account()).await?.pairings;
    let code = match code {
        Some(code) => code,
        None if terminal::is_there() && !pending.is_empty() && !context.out.is_json() => {
            for pairing in &pending {
                context.out.talk(&format!("waiting: {}", safe::line(&pairing.name)));
            }
            terminal::ask(&context.out, "Type the code that the new device shows:", "mesh id pair CODE")?.to_string()
        }
        None => {
            // The codes are not printed: they are to be read from the new device, not from this one.
            for pairing in &pending {
                context.out.either(pairing, || safe::line(&pairing.name));
            }
            context.out.talk(if pending.is_empty() { "no device waits: run mesh init --pair on it" } else { "next: mesh id pair CODE" });
            return Ok(());
        }
    };
    let pairing = pair::matching(&session.account(), &pending, &code).ok_or_else(|| {
        let message = "no waiting device shows this code".to_owned();
        Fault::new(ErrorKind::NotFound, message, "compare it with the new device; its request lasts ten minutes".to_owned())
    })?;
    let action = Action::DeviceAdd { device: pairing.device, name: pairing.name.clone() };
    let keys = session.keys().await?;
    let signer = session.identity().key.clone();
    let words = format!("{} ({}) speaks for you now", safe::line(&pairing.name), PairingRequest::code(&session.account(), &pairing.device));
    apply(context, session, (keys, signer), (action, &words)).await
}

async fn revoke(context: &Context, session: &Session, what: (&str, LastGood), phrase_file: Option<&Path>) -> Result<()> {
    let keys = session.own_keys().await?;
    let device = find_device(&keys, what.0)?;
    let last_good = change::last_good(session.home(), what.1).await?;
    let signer = match phrase_file {
        Some(path) => recover::root_of(&keys, &phrase::ask(&context.out, Some(path))?, context.http.now_ms())?,
        None => session.identity().key.clone(),
    };
    let result = apply(context, session, (keys, signer), (Action::DeviceRevoke { device, last_good }, "the device is revoked")).await;
    result.map_err(|error| match error.downcast_ref::<ClientError>() {
        Some(ClientError::NotAllowed(message)) if phrase_file.is_none() => {
            let next = format!("with the recovery phrase: mesh id revoke {device} --phrase-file FILE");
            Fault::new(ErrorKind::Permission, message.clone(), next).into()
        }
        _ => error,
    })
}

async fn rotate(context: &Context, session: &Session, old: Option<&Path>, new: Option<&Path>) -> Result<()> {
    let keys = session.own_keys().await?;
    let root = recover::root_of(&keys, &phrase::ask(&context.out, old)?, context.http.now_ms())?;
    let next = new_root(context, new)?;
    let words = "the new recovery phrase is in effect; the old one is worthless now";
    apply(context, session, (keys, root), (Action::RootRotate { root: next.id() }, words)).await
}

async fn rotate_lost(context: &Context, session: &Session, new: Option<&Path>) -> Result<()> {
    let keys = session.keys().await?;
    let next = new_root(context, new)?;
    let signer = session.identity().key.clone();
    let words = "the new recovery phrase takes effect in 30 days, unless the old one cancels it";
    apply(context, session, (keys, signer), (Action::RootRotate { root: next.id() }, words)).await
}

/// A new phrase, handed to the person before it is used; its root key.
fn new_root(context: &Context, file: Option<&Path>) -> Result<SecretKey> {
    let phrase = create::new_phrase(&context.http);
    match file {
        _ if context.mode == Mode::DryRun => {}
        Some(path) => phrase::to_file(&phrase, path)?,
        None if terminal::is_there() => {
            phrase::show(&context.out, &phrase);
            phrase::confirm(&context.out, &phrase, context.http.random())?;
        }
        None => {
            let message = "there is no terminal to show the new phrase on".to_owned();
            return Err(Fault::usage(message, "add --new-phrase-file FILE".to_owned()).into());
        }
    }
    Ok(create::root_key(&phrase))
}

/// Signs and sends a key operation and says the words about it, or shows it.
pub(super) async fn apply(context: &Context, session: &Session, keys: (KeyLog, SecretKey), what: (Action, &str)) -> Result<()> {
    let (mut keys, signer) = keys;
    let (action, words) = what;
    let op = change::draft(&context.http, &keys, action);
    if context.mode == Mode::DryRun {
        let to = format!("{}/api/v1/accounts/{}/keys", session.home().domain().base_url(), keys.account());
        context.dry_run_key(&op, signer.id(), &to);
        return Ok(());
    }
    change::submit(session.home(), &mut keys, &op, &signer).await?;
    context.pins.lock().keep_own(&keys);
    print_head(&context.out, &keys);
    context.out.talk(words);
    Ok(())
}

fn print_head(out: &Out, keys: &KeyLog) {
    out.either(&serde_json::json!({"account": keys.account(), "head": keys.head(), "operations": keys.len()}), || {
        format!("key log head {}", keys.head())
    });
}

/// A device by its name or the start of its key; it must be the only one.
fn find_device(keys: &KeyLog, text: &str) -> Result<KeyId> {
    let live = keys.view().devices().iter().filter(|(_, device)| device.revoked.is_none());
    let found: Vec<KeyId> =
        live.filter(|(id, device)| device.name == text || id.to_string().starts_with(text)).map(|(id, _)| *id).collect();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => {
            let message = format!("no live device is called {}", safe::line(text));
            Err(Fault::new(ErrorKind::NotFound, message, "mesh id devices".to_owned()).into())
        }
        _ => {
            let message = format!("{} live devices are called {}", found.len(), safe::line(text));
            Err(Fault::usage(message, "give its key, as mesh id devices shows it".to_owned()).into())
        }
    }
}

fn parse_last_good(text: &str) -> Result<LastGood> {
    match text {
        "now" => Ok(LastGood::Now),
        "none" => Ok(LastGood::Nothing),
        index => index.parse().map(LastGood::Leaf).map_err(|_| {
            Fault::usage(format!("--last-good {}", safe::line(index)), "give now, none, or the index of a leaf".to_owned()).into()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_good_is_now_nothing_or_a_leaf() {
        assert_eq!(parse_last_good("now").expect("a word"), LastGood::Now);
        assert_eq!(parse_last_good("none").expect("a word"), LastGood::Nothing);
        assert_eq!(parse_last_good("12").expect("a leaf"), LastGood::Leaf(12));
        assert!(parse_last_good("-1").is_err());
    }
}
