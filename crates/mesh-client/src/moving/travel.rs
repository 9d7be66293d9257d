//! The single steps of a move. Each may be repeated: a second time it changes nothing.

use super::export::Summary;
use super::file::{Head, Item, Reader};
use super::persist;
use crate::error::{ClientError, Result};
use crate::home::Home;
use crate::http::{Http, Signer};
use crate::identity::{change, create};
use crate::limits::REFUSALS_TOLD_MAX;
use crate::verify::{Mistrust, check as checks};
use mesh_proto::address::{Address, Domain};
use mesh_proto::api::{Arrival, Delivery, ImportEnd, ItemResult, KeysView, Registered, Registration, RegistrationMode, code};
use mesh_proto::envelope::Envelope;
use mesh_proto::key::{AccountId, SecretKey};
use mesh_proto::keylog::{Action, KeyLog, KeyLogError, LoggedOp, NewOp, Status};
use mesh_proto::limits::ARRIVAL_DOMAINS_MAX;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// What an account has with it when it sets out.
#[derive(Debug, Clone)]
pub struct Luggage {
    /// Its key log, with all that is known of it here.
    pub keys: KeyLog,
    /// What the export holds.
    pub summary: Summary,
    /// Who handed it out; the file's own word if it is a saved one.
    pub from: Domain,
}

/// What the new home asks of those who come.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Its rules.
    pub registration: Registration,
    /// The code, where it wants one.
    pub invite: Option<String>,
}

/// What became of the records.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Carried {
    /// Records that the new home answers for now.
    pub along: u64,
    /// Records that it did not take, by reason.
    pub refused: Vec<Refusal>,
}

/// Records that the new home did not take, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// One of [`mesh_proto::api::code`].
    pub code: String,
    /// What is wrong, for people.
    pub why: String,
    /// How many.
    pub records: u64,
}

impl Carried {
    /// Records that were not taken.
    pub fn lost(&self) -> u64 {
        self.refused.iter().map(|refusal| refusal.records).sum()
    }

    /// Adds what became of others.
    pub fn add(&mut self, other: Self) {
        self.along += other.along;
        other.refused.iter().for_each(|refusal| self.refuse(&refusal.code, &refusal.why, refusal.records));
    }

    fn refuse(&mut self, code: &str, why: &str, records: u64) {
        let full = self.refused.len() >= REFUSALS_TOLD_MAX;
        let same = |refusal: &&mut Refusal| refusal.code == code && refusal.why == why;
        if let Some(known) = self.refused.iter_mut().find(same) {
            known.records += records;
        } else if !full {
            self.refused.push(Refusal { code: code.to_owned(), why: why.to_owned(), records });
        } else if let Some(rest) = self.refused.last_mut() {
            *rest = Refusal { code: String::new(), why: "several other reasons".to_owned(), records: rest.records + records };
        }
    }
}

/// Opens a saved export of an account and verifies its key log.
///
/// # Errors
/// [`ClientError::Input`] if it is not an export, or another account's.
pub fn open(path: &Path, account: &AccountId) -> Result<(Reader, Head, KeyLog)> {
    let (reader, head) = Reader::open(path)?;
    if head.account != *account {
        let words = format!("{} is the export of account {} ({}), not of account {account}", path.display(), head.account, head.address);
        return Err(ClientError::Input(words));
    }
    let view = KeysView { account: head.account, ops: head.keys.clone(), name: None };
    let keys = checks::keys(view, account)?;
    Ok((reader, head, keys))
}

/// The verified key log of a saved export, whoever's it is.
///
/// # Errors
/// [`ClientError::Input`] if it is not an export.
pub fn keys_in(path: &Path) -> Result<KeyLog> {
    let (_, head) = Reader::open(path)?;
    let account = head.account;
    checks::keys(KeysView { account, ops: head.keys, name: None }, &account).map_err(Into::into)
}

/// Adds to a key log what is known of it from elsewhere.
pub fn join(keys: &mut KeyLog, ops: &[LoggedOp]) -> Result<(), Mistrust> {
    for op in ops {
        match keys.insert_known(op) {
            Ok(_) | Err(KeyLogError::UnknownPrev(_)) => {}
            Err(source) => return Err(Mistrust::KeyLog { account: keys.account(), source }),
        }
    }
    Ok(())
}

/// Asks a domain whether an account can come to live there under an address, before anything is signed.
///
/// # Errors
/// [`ClientError::NotAllowed`] if the name is somebody's, or if it takes nobody, or wants an invite that was not given.
pub async fn check(to: &Home, keys: &KeyLog, address: &Address, invite: Option<String>) -> Result<Terms> {
    to.discovery().await?;
    let taken = || ClientError::NotAllowed(format!("{address} is or was somebody else's: choose another name"));
    if address.user().is_reserved() {
        return Err(ClientError::NotAllowed(format!("{} is a reserved name: choose another one", address.user())));
    }
    match to.account(address.user().as_str()).await {
        Ok(view) if view.account == keys.account() && view.address == *address => {
            // It moved in already, and the answer was lost: nothing is asked of it again.
            let registration = Registration { mode: RegistrationMode::Open, pow_bits: None, pow_salt: None };
            return Ok(Terms { registration, invite: None });
        }
        Ok(view) if view.account == keys.account() => {}
        Ok(_) => return Err(taken()),
        Err(error) if error.code() == Some(code::NOT_FOUND) => {}
        Err(ClientError::Remote { .. }) if !checks::addresses(keys).contains(address) => return Err(taken()),
        Err(ClientError::Remote { .. }) => {}
        Err(error) => return Err(error),
    }
    let registration = to.registration().await?;
    create::check_rules(to.domain(), &registration, invite.as_deref())?;
    Ok(Terms { registration, invite })
}

/// Drafts and signs the operation that names the new address, and adds it to the log at hand. Keep it before it is sent anywhere.
pub fn sign(http: &Http, keys: &mut KeyLog, address: &Address, root: &SecretKey) -> Result<Envelope> {
    let op = change::draft(http, keys, Action::HomeMove { address: address.clone() });
    sign_op(http, keys, &op, root)
}

/// Signs an operation that no home can take now, and adds it to the log at hand. Keep it before it is sent anywhere.
pub fn sign_op(http: &Http, keys: &mut KeyLog, op: &NewOp, root: &SecretKey) -> Result<Envelope> {
    let envelope = op.sign(root);
    take(keys, &envelope, http.now_ms())?;
    Ok(envelope)
}

/// Adds the operations that were signed for a move to a key log that may not have them yet.
///
/// # Errors
/// [`ClientError::NotAllowed`] if they would make the account compromised.
pub fn rejoin(keys: &mut KeyLog, ops: &[Envelope], now_ms: u64) -> Result<()> {
    for op in ops {
        if !keys.contains(&op.id()) {
            take(keys, op, now_ms)?;
        }
    }
    Ok(())
}

/// Adds an operation to the log at hand, which must stay in order by it.
fn take(keys: &mut KeyLog, op: &Envelope, now_ms: u64) -> Result<()> {
    keys.insert(LoggedOp { envelope: op.clone(), received: now_ms }).map_err(|error| ClientError::NotAllowed(error.to_string()))?;
    match keys.view().status() {
        Status::Active => Ok(()),
        Status::Compromised => Err(ClientError::NotAllowed(
            "the recovery phrase signed something else since this move was signed: both together would make the account compromised"
                .to_owned(),
        )),
        _ => Err(ClientError::NotAllowed("the account is frozen or closed".to_owned())),
    }
}

/// Moves in at the new home, whose address the key log names.
pub async fn arrive(to: &Home, keys: &KeyLog, terms: &Terms, worked: &mut dyn FnMut(u64)) -> Result<Registered> {
    let account = keys.account();
    let admission = create::admission((to.domain(), account), (&terms.registration, terms.invite.clone()), worked)?;
    let ops = keys.ops().cloned().collect();
    let arrival = Arrival { account, ops, invite: admission.invite, pow_salt: admission.pow_salt, pow_nonce: admission.pow_nonce };
    let registered = persist(async || to.arrive(&arrival).await).await?;
    if registered.account != account || registered.address != *keys.view().address() {
        return Err(ClientError::malformed(to.domain(), "it took in another account than was asked for"));
    }
    Ok(registered)
}

/// Hands the parts of an export over to the new home; `progress` is told how many records were handed over. Answers what became of them, and which
/// domains are to be told.
pub async fn carry(to: (&Home, &Signer), luggage: (&Path, &AccountId), progress: &mut dyn FnMut(u64)) -> Result<(Carried, Vec<Domain>)> {
    let (path, account) = luggage;
    let (mut reader, _, _) = open(path, account)?;
    let mut carried = Carried::default();
    let (mut domains, mut handed) = (Vec::new(), 0);
    while let Some(item) = reader.next()? {
        match item {
            Item::Domain(domain) if domains.len() < ARRIVAL_DOMAINS_MAX => domains.push(domain),
            Item::Domain(_) => {}
            Item::Part(part) => {
                hand_over(to, account, &part, &mut carried).await?;
                handed += part.items.len() as u64;
                progress(handed);
            }
        }
    }
    Ok((carried, domains))
}

/// A part that is refused as a whole is not a reason to leave the others behind.
async fn hand_over(to: (&Home, &Signer), account: &AccountId, part: &Delivery, carried: &mut Carried) -> Result<()> {
    let (home, signer) = to;
    let records = part.items.len() as u64;
    match persist(async || home.import(signer, account, part).await).await {
        Ok(imported) if imported.results.len() == part.items.len() => {
            for result in imported.results {
                match result {
                    ItemResult::Accepted | ItemResult::Known => carried.along += 1,
                    ItemResult::Refused { code, detail } => carried.refuse(&code, &detail, 1),
                }
            }
            Ok(())
        }
        Ok(_) => Err(ClientError::malformed(home.domain(), "it does not say what became of each record")),
        Err(ClientError::Remote { problem, .. }) if is_about_the_part(problem.code()) => {
            carried.refuse(problem.code(), &problem.detail, records);
            Ok(())
        }
        Err(error) => Err(error),
    }
}

fn is_about_the_part(problem: &str) -> bool {
    matches!(problem, code::MALFORMED | code::TOO_LARGE | code::NOT_LOGGED | code::NOT_HOME | code::BAD_SIGNATURE)
}

/// What was logged at the old home after the export was made, until it learned of the move.
pub async fn carry_late(old: &Home, to: (&Home, &Signer), luggage: (&Path, &AccountId)) -> Result<Carried> {
    let (path, account) = luggage;
    let (mut reader, _, _) = open(path, account)?;
    let mut ends: BTreeMap<_, u64> = BTreeMap::new();
    while let Some(item) = reader.next()? {
        if let Item::Part(part) = item {
            let end = part.items.last().map_or(0, |last| last.index + 1);
            let known = ends.entry(part.origin).or_default();
            *known = (*known).max(end);
        }
    }
    let origin = old.discovery().await?.origin;
    let mut carried = Carried::default();
    // At its own log's home a record's place in the export is its leaf.
    let mut from = ends.get(&origin).copied().unwrap_or(0);
    loop {
        let page = persist(async || old.export(to.1, account, from).await).await?;
        match page.part {
            Some(part) if part.origin == origin => hand_over(to, account, &part, &mut carried).await?,
            Some(_) => return Ok(carried),
            None => {}
        }
        if !page.more || page.next <= from {
            return Ok(carried);
        }
        from = page.next;
    }
}

/// Tells the old home where the account went. That it knows already is no error.
pub async fn tell(old: &Home, account: &AccountId, ops: &[Envelope]) -> Result<()> {
    for op in ops {
        match old.add_key(account, op).await {
            Ok(_) => {}
            Err(error) if error.code() == Some(code::NOT_HOME) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Ends the import: the new home tells the domains where the account lives. Answers how many.
pub async fn announce(to: (&Home, &Signer), account: &AccountId, domains: Vec<Domain>) -> Result<usize> {
    let end = ImportEnd { domains };
    Ok(persist(async || to.0.end_import(to.1, account, &end).await).await?.domains)
}
