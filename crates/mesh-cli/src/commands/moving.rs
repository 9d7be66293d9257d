//! `mesh export` and `mesh id move`.
//!
//! What must not be lost is kept before anything is sent: the records in a file beside the identity, the signed operation in the identity itself. So
//! the command can be stopped anywhere and run again.

use crate::cli::{Mode, MoveArgs};
use crate::context::Context;
use crate::fault::Fault;
use crate::{phrase, safe, text};
use anyhow::Result;
use mesh_client::home::Home;
use mesh_client::http::Signer;
use mesh_client::identity::{Identity, Moving, Stage, change, recover};
use mesh_client::moving::{self, Carried, Pack, Source, Summary};
use mesh_client::verify::check;
use mesh_client::{ClientError, ErrorKind};
use mesh_proto::address::{Address, Domain};
use mesh_proto::api::code;
use mesh_proto::keylog::{Action, KeyLog};
use std::path::{Path, PathBuf};

/// The records on their way, beside the identity.
const LUGGAGE_FILE: &str = "moving.jsonl";
/// Records between two lines of progress.
const TELL_EVERY: u64 = 500;

/// Whoever is about to take their records somewhere.
struct Traveller<'a> {
    context: &'a Context,
    identity: Identity,
    signer: Signer,
}

/// Where the records come from.
enum From {
    Domain(Domain),
    File(PathBuf),
}

/// What became of the old home.
enum Told {
    Yes,
    No(String),
}

pub(super) async fn export(context: &Context, file: &Path) -> Result<()> {
    let traveller = Traveller::new(context)?;
    let (from, keys) = traveller.find(None, None).await?;
    let summary = traveller.pack(&from, &keys, file).await?;
    say_left_out(context, &summary);
    let held = summary.holds;
    if file != Path::new("-") {
        let words = format!("records {}, domains to tell {}, people you follow {}", held.records, held.domains, held.follows);
        let value = serde_json::json!({"file": file, "account": keys.account(), "address": keys.view().address(), "summary": summary});
        context.out.either(&value, || format!("{}: {words}", file.display()));
    }
    context.out.talk("it is public and holds no secret key; to move with it, on a device of yours: mesh id move NEW_ADDRESS --from FILE");
    if summary.left_out + summary.unsigned == 0 {
        return Ok(());
    }
    let message = "not every record could be verified".to_owned();
    Err(Fault::new(ErrorKind::Verification, message, "ask the operator of your home about the records named above".to_owned()).into())
}

pub(super) async fn run(context: &Context, args: MoveArgs) -> Result<()> {
    let mut traveller = Traveller::new(context)?;
    let address = traveller.destination(args.address.as_deref())?;
    let to = context.home(address.domain());
    let (from, mut keys) = traveller.find(args.from.as_deref(), Some(address.domain())).await?;
    let signed = traveller.under_way().filter(|moving| moving.to == address);
    let begun = signed.is_some();
    if context.mode == Mode::DryRun {
        return rehearse(context, &keys, &address, signed);
    }
    let mut terms = None;
    let root = if begun {
        context.out.talk(&format!("going on with the move to {address}"));
        None
    } else {
        // Nothing is signed before it is sure that it can be used.
        terms = Some(moving::check(&to, &keys, &address, args.invite.clone()).await?);
        Some(recover::root_of(&keys, &phrase::ask(&context.out, args.phrase_file.as_deref())?, context.http.now_ms())?)
    };
    let luggage = context.keystore.folder().join(LUGGAGE_FILE);
    if !matches!(&from, From::File(file) if *file == luggage) {
        let summary = traveller.pack(&from, &keys, &luggage).await?;
        say_left_out(context, &summary);
    }
    if let Some(root) = root {
        traveller.sign(&mut keys, &address, &root)?;
    }
    let Some(trip) = traveller.under_way() else { return Ok(()) };
    if !trip.arrived {
        let terms = match terms {
            Some(terms) => terms,
            None => moving::check(&to, &keys, &address, args.invite).await?,
        };
        arrive(context, (&to, &keys), &terms).await?;
        traveller.arrived(&address)?;
        context.out.talk(&format!("{} has taken you in", to.domain()));
    }
    traveller.settle(&to, &luggage).await
}

/// Shows the operation that would be signed.
fn rehearse(context: &Context, keys: &KeyLog, address: &Address, signed: Option<Moving>) -> Result<()> {
    if let Some(moving) = signed {
        context.out.talk(&format!("dry run: the move to {} is signed already; it would go on", moving.to));
        return Ok(());
    }
    let op = change::draft(&context.http, keys, Action::HomeMove { address: address.clone() });
    let to = format!("{}/api/v1/arrivals", address.domain().base_url());
    context.dry_run_key(&op, keys.view().root_at(context.http.now_ms()), &to);
    Ok(())
}

async fn arrive(context: &Context, to: (&Home, &KeyLog), terms: &moving::Terms) -> Result<()> {
    let out = &context.out;
    let mut worked = |tried: u64| {
        if tried.is_multiple_of(1 << 22) {
            out.talk(&format!("the new home asks for some work: {} million tries so far", tried >> 20));
        }
    };
    let error = match moving::arrive(to.0, to.1, terms, &mut worked).await {
        Ok(_) => return Ok(()),
        Err(error) => error,
    };
    let next = match error.code() {
        Some(code::NAME) => "choose another name: mesh id move OTHER@DOMAIN, with the phrase again",
        Some(code::REGISTRATION) => "mesh id move --invite CODE; or another home: mesh id move NAME@DOMAIN, with the phrase again",
        _ => "mesh id move, which goes on from here",
    };
    Err(Fault::new(error.kind(), error.words(), next.to_owned()).into())
}

impl<'a> Traveller<'a> {
    fn new(context: &'a Context) -> Result<Self> {
        let identity = context.identity()?;
        let signer = Signer::new(&identity.stored.account, identity.key.clone());
        Ok(Self { context, identity, signer })
    }

    /// The move that was signed and is not at its end.
    fn under_way(&self) -> Option<Moving> {
        match &self.identity.stored.stage {
            Stage::Moving(moving) => Some((**moving).clone()),
            _ => None,
        }
    }

    fn destination(&self, typed: Option<&str>) -> Result<Address> {
        let address = match (typed, self.under_way()) {
            (Some(typed), _) => Address::from_human(typed).map_err(|error| {
                Fault::usage(format!("{}: {error}", safe::line(typed)), "mesh id move NAME@DOMAIN, such as neo@mesh.org".to_owned())
            })?,
            (None, Some(moving)) => moving.to,
            (None, None) => {
                let next = "mesh id move NAME@DOMAIN, such as neo@mesh.org".to_owned();
                return Err(Fault::usage("no move was begun here: say where to".to_owned(), next).into());
            }
        };
        match self.under_way() {
            Some(moving) if moving.to == address => Ok(address),
            Some(moving) if moving.arrived => {
                let message = format!("you are at {} already, and not everything is there yet", moving.to);
                Err(Fault::new(ErrorKind::Permission, message, "first end that move: mesh id move".to_owned()).into())
            }
            _ if self.homes().contains(address.domain()) => {
                let message = format!("{} is your home: a move goes to another domain", address.domain());
                Err(Fault::usage(message, "mesh id move NAME@ANOTHER-DOMAIN".to_owned()).into())
            }
            _ => Ok(address),
        }
    }

    /// The homes that are left.
    fn homes(&self) -> Vec<Domain> {
        self.under_way().map_or_else(|| vec![self.identity.stored.address.domain().clone()], |moving| moving.leaves)
    }

    /// Finds who has the records, with the account's key log as far as it is known anywhere: the home, what was fetched for this move before, the mirrors.
    async fn find(&self, given: Option<&str>, to: Option<&Domain>) -> Result<(From, KeyLog)> {
        let account = self.identity.stored.account;
        if let Some(given) = given {
            return match moving::opens(given) {
                true => self.find_in(Path::new(given)),
                false => {
                    let domain: Domain = given.parse().map_err(|_| {
                        Fault::usage(format!("--from {}: no such file, and not a domain", safe::line(given)), "check the path".to_owned())
                    })?;
                    Ok((From::Domain(domain.clone()), self.keys_at(&domain).await?))
                }
            };
        }
        let homes = self.homes();
        let mut places = homes.clone();
        places.extend(self.context.pins.lock().kept_at(&account));
        places.retain(|place| Some(place) != to);
        let mut first = None;
        let mut asked: Vec<&Domain> = Vec::new();
        for place in &places {
            if asked.contains(&place) {
                continue;
            }
            asked.push(place);
            match self.keys_at(place).await {
                Ok(keys) => {
                    if !homes.contains(place) {
                        self.context.out.talk(&format!("your mirror {place} has a copy"));
                    }
                    return Ok((From::Domain(place.clone()), keys));
                }
                Err(error) if error.is_silence() || error.code() == Some(code::NOT_FOUND) => {
                    self.context.out.talk(&safe::line(&error.words()));
                    first.get_or_insert(error);
                }
                Err(error) => return Err(error.into()),
            }
            let luggage = self.context.keystore.folder().join(LUGGAGE_FILE);
            if self.under_way().is_some() && luggage.is_file() {
                self.context.out.talk("taking what was fetched before");
                return self.find_in(&luggage);
            }
        }
        let words = first.map(|error| error.words()).unwrap_or_default();
        let message = format!("nobody hands out your records: {words}");
        let next = "mesh id move NEW_ADDRESS --from FILE that mesh export wrote, or --from DOMAIN of a mirror".to_owned();
        Err(Fault::new(ErrorKind::Network, message, next).into())
    }

    fn find_in(&self, file: &Path) -> Result<(From, KeyLog)> {
        let (_, _, keys) = moving::open(file, &self.identity.stored.account)?;
        Ok((From::File(file.to_owned()), self.complete(keys)?))
    }

    async fn keys_at(&self, domain: &Domain) -> mesh_client::Result<KeyLog> {
        let account = self.identity.stored.account;
        let keys = check::keys(self.context.home(domain).keys(&account).await?, &account)?;
        self.complete(keys)
    }

    /// A key log with all that is known of it here, and what was signed for the move.
    fn complete(&self, mut keys: KeyLog) -> mesh_client::Result<KeyLog> {
        let (account, now_ms) = (keys.account(), self.context.http.now_ms());
        let mut pins = self.context.pins.lock();
        moving::join(&mut keys, pins.own_ops(&account))?;
        let trip = self.under_way();
        // Before the arrival nobody has the move, and nobody who lacks it has cut the key log.
        if !trip.as_ref().is_some_and(|trip| trip.arrived) {
            pins.meet(&keys, now_ms)?;
        }
        if let Some(trip) = trip {
            moving::rejoin(&mut keys, &trip.ops, now_ms)?;
            if trip.arrived {
                pins.meet(&keys, now_ms)?;
            }
        }
        Ok(keys)
    }

    /// Writes the records to a file, or to stdout.
    async fn pack(&self, from: &From, keys: &KeyLog, file: &Path) -> Result<Summary> {
        let out = &self.context.out;
        let verifying = self.context.verifying();
        let pack = Pack { verifying: &verifying, keys, now_ms: self.context.http.now_ms() };
        let mut told = 0;
        let mut progress = |records: u64| {
            if !out.is_json() && records >= told + TELL_EVERY {
                told = records;
                out.talk(&format!("{records} records fetched"));
            }
        };
        let home;
        let source = match from {
            From::Domain(domain) => {
                home = self.context.home(domain);
                Source::Home(&home, &self.signer)
            }
            From::File(path) => {
                let (reader, head, _) = moving::open(path, &self.identity.stored.account)?;
                Source::File(Box::new(reader), head.from)
            }
        };
        if file == Path::new("-") {
            let mut stdout = std::io::stdout();
            return Ok(pack.write(source, (&mut stdout, file), &mut progress).await?);
        }
        Ok(pack.save(source, file, &mut progress).await?)
    }

    /// Signs the move, and keeps what was signed before anybody else has it.
    fn sign(&mut self, keys: &mut KeyLog, address: &Address, root: &mesh_proto::key::SecretKey) -> Result<()> {
        let mut ops = self.under_way().map(|moving| moving.ops).unwrap_or_default();
        let leaves = self.homes();
        ops.push(moving::sign(&self.context.http, keys, address, root)?);
        self.identity.stored.stage = Stage::Moving(Box::new(Moving { ops, to: address.clone(), leaves, arrived: false }));
        self.keep()
    }

    fn arrived(&mut self, address: &Address) -> Result<()> {
        self.identity.stored.address = address.clone();
        if let Stage::Moving(moving) = &mut self.identity.stored.stage {
            moving.arrived = true;
        }
        self.keep()
    }

    fn keep(&self) -> Result<()> {
        Ok(self.context.keystore.save_stored(&self.identity.stored).map_err(ClientError::from)?)
    }

    /// Everything after the arrival: the records, the old home, the others.
    async fn settle(&mut self, to: &Home, luggage: &Path) -> Result<()> {
        let Some(trip) = self.under_way() else { return Ok(()) };
        let (out, account) = (self.context.out, self.identity.stored.account);
        let mut told = 0;
        let mut progress = |records: u64| {
            if !out.is_json() && records >= told + TELL_EVERY {
                told = records;
                out.talk(&format!("{records} records handed over"));
            }
        };
        let place = (to, &self.signer);
        let (mut carried, domains) = moving::carry(place, (luggage, &account), &mut progress).await?;
        let mut old = Vec::new();
        for domain in &trip.leaves {
            let home = self.context.home(domain);
            super::drafts::scheduled::bring_along(self.context, &home, (&self.signer, &account)).await;
            let result = match moving::tell(&home, &account, &trip.ops).await {
                Ok(()) => match moving::carry_late(&home, place, (luggage, &account)).await {
                    Ok(late) => {
                        carried.add(late);
                        Told::Yes
                    }
                    Err(error) => {
                        Told::No(format!("it knows where you went, but may have records that did not come along: {}", error.words()))
                    }
                },
                Err(error) => Told::No(error.words()),
            };
            old.push((domain.clone(), result));
        }
        let mut named: Vec<Domain> = domains.clone();
        let announced = moving::announce(place, &account, domains).await?;
        named.retain(|domain| !trip.leaves.contains(domain) && domain != to.domain());
        self.identity.stored.stage = Stage::Active;
        self.keep()?;
        // It is of no use any more; that it stays would harm nobody.
        drop(std::fs::remove_file(luggage));
        self.report((&carried, &named, announced), &old).await
    }

    async fn report(&self, news: (&Carried, &[Domain], usize), old: &[(Domain, Told)]) -> Result<()> {
        let (carried, named, announced) = news;
        let (out, stored) = (&self.context.out, &self.identity.stored);
        let value = serde_json::json!({
            "account": stored.account,
            "address": stored.address,
            "uri": format!("mesh://{}", stored.address),
            "along": carried.along,
            "refused": carried.refused,
            "told": named,
            "domains": announced,
            "left": old.iter().map(|(domain, told)| serde_json::json!({"domain": domain, "told": matches!(told, Told::Yes)})).collect::<Vec<_>>(),
        });
        out.either(&value, || stored.address.to_string());
        out.talk(&format!("you are {} now; your keys, devices and recovery phrase stay as they are", stored.address));
        out.talk(&format!("records that came along: {}; that did not: {}", carried.along, carried.lost()));
        for refusal in &carried.refused {
            out.talk(&safe::line(&format!("  {} did not: {} ({})", refusal.records, refusal.why, refusal.code)));
        }
        match named {
            [] => out.talk(&format!("domains that are told where you live now: {announced}, your old homes and mirrors")),
            named => out.talk(&format!("told where you live now: {}", text::domains(named))),
        }
        for (domain, told) in old {
            out.talk(&safe::line(&match told {
                Told::Yes => {
                    format!("{domain} takes nothing in your name any more and sends your readers on to {}", stored.address.domain())
                }
                Told::No(why) => format!("{domain} was not told ({why}): {} tells it when it answers", stored.address.domain()),
            }));
        }
        out.talk("on your other devices, run once: mesh id show");
        if let Err(error) = self.context.verifying().account(&stored.account, stored.address.domain()).await {
            out.talk(&safe::line(&format!("your new name could not be verified yet: {}; look again with mesh doctor", error.words())));
        }
        Ok(())
    }
}

/// Says what of an export did not hold.
fn say_left_out(context: &Context, summary: &Summary) {
    let out = &context.out;
    if summary.left_out > 0 {
        out.talk(&format!("{} records were left out: their log does not have them as was said", summary.left_out));
    }
    if summary.unsigned > 0 {
        out.talk(&format!("{} records are not signed as they should be", summary.unsigned));
    }
    if summary.disowned > 0 {
        out.talk(&format!("{} records are by devices that you revoked", summary.disowned));
    }
    if summary.unvouched > 0 {
        out.talk(&format!("{} records lie in logs whose domains do not answer and whose keys are not known here", summary.unvouched));
    }
    summary.why.iter().for_each(|why| out.talk(&safe::line(&format!("  {why}"))));
}
