//! `mesh init`: sign-up, recovery, pairing.
//!
//! What must not be lost is kept before anything is sent: the phrase in the person's hands, the key and the genesis on disk. So every step can
//! be run again, and is the same registration.

use crate::cli::{InitArgs, Mode};
use crate::context::Context;
use crate::fault::Fault;
use crate::{phrase, terminal};
use anyhow::Result;
use mesh_client::identity::{Identity, NewDevice, Stage, StoredIdentity, change, create, pair, recover};
use mesh_client::moving;
use mesh_client::session::Session;
use mesh_client::{ClientError, ErrorKind};
use mesh_proto::address::Address;
use mesh_proto::key::{KeyId, SecretKey};
use mesh_proto::keylog::{Action, KeyLog};
use mesh_proto::phrase::Phrase;
use mesh_proto::record::Profile;
use mesh_proto::uri::Person;
use std::path::Path;
use std::time::Duration;

/// How often a new device looks whether it was added.
const PAIR_INTERVAL: Duration = Duration::from_secs(2);
/// How long it looks: as long as the home keeps the request.
const PAIR_TIME_MAX: Duration = Duration::from_secs(600);
/// Longest device name made from the machine's name.
const DEVICE_NAME_CHARS_MAX: usize = 64;

pub(super) async fn run(context: &Context, args: InitArgs) -> Result<()> {
    let existing = context.keystore.stored().map_err(ClientError::from)?;
    let address = match (&args.address, &existing) {
        (Some(text), _) => parse_address(text)?,
        (None, Some(existing)) => existing.address.clone(),
        (None, None) => {
            let question = "Which address? (name@domain, such as neo@mesh.org)";
            parse_address(&terminal::ask(&context.out, question, "--address NAME@DOMAIN")?)?
        }
    };
    if let Some(existing) = existing
        && !gives_way(context, &args, (&existing, &address)).await?
    {
        return go_on(context, &args, existing).await;
    }
    if let Some(file) = &args.from {
        restore_account(context, &args, &address, file)
    } else if args.recover {
        recover_account(context, &args, &address).await
    } else if args.pair {
        pair_device(context, &args, &address).await
    } else {
        sign_up(context, &args, &address).await
    }
}

/// Whether what is here makes room: an identity that never came to be for another address, or a device that was revoked for its successor.
async fn gives_way(context: &Context, args: &InitArgs, places: (&StoredIdentity, &Address)) -> Result<bool> {
    let (existing, address) = places;
    let is_another = existing.address != *address;
    if existing.stage.is_ready() {
        if is_another {
            let message = format!("{} lives in {} already", existing.address, context.keystore.folder().display());
            return Err(Fault::usage(message, "use another folder for another identity: --home DIR".to_owned()).into());
        }
        if !(args.recover || args.pair) {
            return Ok(false);
        }
        let session = context.session();
        let is_live = match &session {
            Ok(session) => !matches!(session.keys().await, Err(ClientError::NotAllowed(_))),
            // The key is lost: recovery is the way back.
            Err(_) => false,
        };
        if is_live {
            return Ok(false);
        }
        context.out.talk("this device no longer speaks for the account: making a new key");
        return Ok(true);
    }
    if is_another {
        context.out.talk(&format!("giving up the unfinished {}", existing.address));
    }
    Ok(is_another)
}

/// Goes on where an earlier run stopped.
async fn go_on(context: &Context, args: &InitArgs, existing: StoredIdentity) -> Result<()> {
    match existing.stage {
        Stage::Active | Stage::Moving(_) => {
            context.out.talk(&format!("you are {} already", existing.address));
            report(context, &existing);
            Ok(())
        }
        Stage::Registering { .. } => {
            let identity = load(context)?;
            finish_sign_up(context, args, identity).await
        }
        Stage::Pairing => wait_for_pairing(context, load(context)?).await,
    }
}

async fn sign_up(context: &Context, args: &InitArgs, address: &Address) -> Result<()> {
    let given = args.phrase_file.as_deref().map(phrase::from_file).transpose()?.flatten();
    let phrase = given.clone().unwrap_or_else(|| create::new_phrase(&context.http));
    if context.mode == Mode::DryRun {
        let (root, device) = (create::root_key(&phrase), SecretKey::from_seed(&context.http.random()));
        let genesis = create::draft_genesis(&context.http, address, (&root, &device), &device_name(args));
        context.dry_run_key(&genesis, root.id(), &format!("{}/api/v1/accounts", address.domain().base_url()));
        return Ok(());
    }
    if given.is_none() {
        hand_over(context, args, &phrase)?;
    }
    let identity = create::create(&context.http, address, &phrase, new_device(context, args));
    drop(phrase);
    keep(context, &identity)?;
    finish_sign_up(context, args, identity).await
}

/// Puts a new phrase into the person's hands.
fn hand_over(context: &Context, args: &InitArgs, phrase: &Phrase) -> Result<()> {
    let out = &context.out;
    if let Some(path) = &args.phrase_file {
        phrase::to_file(phrase, path)?;
        out.talk(&format!("the recovery phrase is in {}: move it off this machine", path.display()));
        return Ok(());
    }
    if !args.yes && !terminal::is_there() {
        let message = "there is no terminal to show the recovery phrase on".to_owned();
        return Err(Fault::usage(message, "add --phrase-file FILE, or --yes to have it printed to stderr".to_owned()).into());
    }
    phrase::show(out, phrase);
    if args.yes { Ok(()) } else { phrase::confirm(out, phrase, context.http.random()) }
}

async fn finish_sign_up(context: &Context, args: &InitArgs, mut identity: Identity) -> Result<()> {
    let out = &context.out;
    let mut worked = |tried: u64| {
        if tried.is_multiple_of(1 << 22) {
            out.talk(&format!("the home asks for some work: {} million tries so far", tried >> 20));
        }
    };
    let registered = create::register(&context.http, &identity.stored, args.invite.clone(), &mut worked).await;
    if let Err(ClientError::Remote { problem, .. }) = &registered
        && problem.code() == mesh_proto::api::code::NAME
    {
        // The name is somebody else's: this identity never came to be.
        context.keystore.remove().map_err(ClientError::from)?;
    }
    registered?;
    activate(context, &mut identity)?;
    let address = identity.stored.address.clone();
    let person = context.verifying().account(&identity.stored.account, address.domain()).await?;
    if person.name.is_none() {
        out.talk(&format!("{} has not shown that it logged your name yet; look again with mesh doctor", address.domain()));
    }
    report(context, &identity.stored);
    if let Some(name) = &args.name {
        let session = Session::new(&context.http, identity, context.pins.clone());
        let record = session.draft_profile(Profile { name: name.clone(), ..Profile::default() }).await?;
        session.send(&record).await?;
    }
    out.talk("next: mesh post \"Hello\", mesh subscribe ADDRESS, mesh feed");
    Ok(())
}

async fn recover_account(context: &Context, args: &InitArgs, address: &Address) -> Result<()> {
    let phrase = phrase::ask(&context.out, args.phrase_file.as_deref())?;
    let recovery = recover::find(&context.verifying(), address, &phrase, context.http.now_ms()).await.map_err(wrong_phrase)?;
    drop(phrase);
    let mut identity = pair::create(&context.http, &recovery.person.keys, new_device(context, args));
    let mut keys = recovery.person.keys;
    let home = context.home(keys.view().address().domain());
    let add = Action::DeviceAdd { device: identity.key.id(), name: identity.stored.device_name.clone() };
    let op = change::draft(&context.http, &keys, add);
    if context.mode == Mode::DryRun {
        context.dry_run_key(&op, recovery.root.id(), &format!("{}/api/v1/accounts/{}/keys", home.domain().base_url(), keys.account()));
        return Ok(());
    }
    keep(context, &identity)?;
    change::submit(&home, &mut keys, &op, &recovery.root).await?;
    activate(context, &mut identity)?;
    report(context, &identity.stored);
    if args.revoke_others {
        let last_good = change::last_good(&home, change::LastGood::Now).await?;
        for device in other_devices(&keys, &identity.key.id()) {
            let op = change::draft(&context.http, &keys, Action::DeviceRevoke { device, last_good: last_good.clone() });
            change::submit(&home, &mut keys, &op, &recovery.root).await?;
            context.out.talk(&format!("device {device} is revoked"));
        }
    } else {
        context.out.talk("if another device is lost: mesh id devices, then mesh id revoke DEVICE --phrase-file FILE");
    }
    Ok(())
}

/// Brings an account back whose home does not answer any more, from a saved export. No home can take the new device now: the operation that adds it
/// is kept here and goes along with the move.
fn restore_account(context: &Context, args: &InitArgs, address: &Address, file: &Path) -> Result<()> {
    let mut keys = moving::keys_in(file)?;
    if keys.view().address() != address {
        let message = format!("{} is the export of {}, not of {address}", file.display(), keys.view().address());
        let next = format!("mesh init --recover --address {} --from {}", keys.view().address(), file.display());
        return Err(Fault::usage(message, next).into());
    }
    let phrase = phrase::ask(&context.out, args.phrase_file.as_deref())?;
    let root = recover::root_of(&keys, &phrase, context.http.now_ms()).map_err(wrong_phrase)?;
    drop(phrase);
    let mut identity = pair::create(&context.http, &keys, new_device(context, args));
    let add = Action::DeviceAdd { device: identity.key.id(), name: identity.stored.device_name.clone() };
    let op = change::draft(&context.http, &keys, add);
    if context.mode == Mode::DryRun {
        context.dry_run_key(&op, root.id(), "the new home, with mesh id move");
        return Ok(());
    }
    moving::sign_op(&context.http, &mut keys, &op, &root)?;
    {
        let mut pins = context.pins.lock();
        pins.meet(&keys, context.http.now_ms()).map_err(ClientError::from)?;
        pins.keep_own(&keys);
    }
    // The operation is kept before the key that it adds speaks for the account.
    context.pins.save()?;
    keep(context, &identity)?;
    activate(context, &mut identity)?;
    report(context, &identity.stored);
    context.out.talk(&format!(
        "nobody knows this device yet; now take your records to a new home: mesh id move NEW_ADDRESS --from {}",
        file.display()
    ));
    context.out.talk(&format!("if {} answers after all: mesh init --recover in an empty folder, without --from", address.domain()));
    Ok(())
}

/// Says what to do about a phrase of somebody else.
fn wrong_phrase(error: ClientError) -> anyhow::Error {
    match error {
        ClientError::NotAllowed(message) => {
            let next = "mesh init --recover --address ADDRESS, with the phrase of that address".to_owned();
            Fault::new(ErrorKind::Permission, message, next).into()
        }
        other => other.into(),
    }
}

fn other_devices(keys: &KeyLog, own: &KeyId) -> Vec<KeyId> {
    let devices = keys.view().devices().iter();
    devices.filter(|(device, entry)| *device != own && entry.revoked.is_none()).map(|(device, _)| *device).collect()
}

async fn pair_device(context: &Context, args: &InitArgs, address: &Address) -> Result<()> {
    let person = context.verifying().person(&Person::Address(address.clone()), None).await?;
    let identity = pair::create(&context.http, &person.keys, new_device(context, args));
    if context.mode == Mode::DryRun {
        let account = identity.stored.account;
        context.out.talk(&format!("dry run: this device would ask {} to be added to account {account}", address.domain()));
        return Ok(());
    }
    keep(context, &identity)?;
    wait_for_pairing(context, identity).await
}

/// Asks to be added, shows the code, and waits until another device has done it.
async fn wait_for_pairing(context: &Context, mut identity: Identity) -> Result<()> {
    let stored = &identity.stored;
    let home = context.home(stored.address.domain());
    let verifying = context.verifying();
    if !pair::is_added(&verifying, stored).await? {
        pair::request(&home, stored).await?;
        context.out.talk(&format!("account {} ({})", stored.account, stored.address));
        context.out.talk(&format!("On a device that has it, type: mesh id pair {}", pair::code(stored)));
        let ask = async {
            while !pair::is_added(&verifying, stored).await? {
                tokio::time::sleep(PAIR_INTERVAL).await;
            }
            Ok::<(), ClientError>(())
        };
        let waited = tokio::time::timeout(PAIR_TIME_MAX, ask).await;
        waited.map_err(|_| {
            let message = "nobody added this device within ten minutes".to_owned();
            Fault::new(ErrorKind::Permission, message, format!("mesh init --pair --address {}", stored.address))
        })??;
    }
    activate(context, &mut identity)?;
    report(context, &identity.stored);
    Ok(())
}

/// Keeps a new identity in the place of what made room for it.
fn keep(context: &Context, identity: &Identity) -> Result<()> {
    context.keystore.remove().map_err(ClientError::from)?;
    Ok(context.keystore.save(identity).map_err(ClientError::from)?)
}

fn activate(context: &Context, identity: &mut Identity) -> Result<()> {
    identity.stored.stage = Stage::Active;
    Ok(context.keystore.save_stored(&identity.stored).map_err(ClientError::from)?)
}

fn load(context: &Context) -> Result<Identity> {
    let gone = || Fault::new(ErrorKind::NotFound, "the identity is gone".to_owned(), "mesh init".to_owned());
    Ok(context.keystore.load().map_err(ClientError::from)?.ok_or_else(gone)?)
}

/// Says who one is now and where the key is.
fn report(context: &Context, stored: &StoredIdentity) {
    context.out.either(
        &serde_json::json!({
            "account": stored.account,
            "address": stored.address,
            "device": stored.device,
            "device_name": stored.device_name,
            "keystore": stored.store,
            "uri": format!("mesh://{}", stored.address),
        }),
        || stored.address.to_string(),
    );
    context.out.talk(&format!("the key of this device is in {}", stored.store.name()));
}

fn new_device(context: &Context, args: &InitArgs) -> NewDevice {
    NewDevice { name: device_name(args), store: context.choose_store(args.keystore) }
}

/// The name given, or the machine's.
fn device_name(args: &InitArgs) -> String {
    let machine = || std::fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| std::fs::read_to_string("/etc/hostname")).ok();
    let name = args.device_name.clone().or_else(machine).or_else(|| std::env::var("COMPUTERNAME").ok()).unwrap_or_default();
    name.trim().chars().take(DEVICE_NAME_CHARS_MAX).collect()
}

fn parse_address(text: &str) -> Result<Address> {
    Address::from_human(text).map_err(|error| {
        let message = format!("{}: {error}", crate::safe::line(text));
        Fault::usage(message, "mesh init --address NAME@DOMAIN, such as neo@mesh.org".to_owned()).into()
    })
}
