//! Fetching what the checks need, from the servers that must have it: the author's home and the log's domain.

use super::Mistrust;
use super::check::{self, Checked, NameProof, Standing};
use super::kept::{KeysFound, Vouched};
use super::tiles::{Tiles, Wanted};
use crate::error::{ClientError, Result};
use crate::home::Home;
use crate::http::Http;
use crate::limits::{CHECKPOINT_PAUSE, CHECKPOINT_TRIES_MAX, PROOF_TILES_MAX, WITNESSES_MAX};
use crate::pins::{Contact, PinBook};
use mesh_proto::address::{Address, Domain};
use mesh_proto::api::{DomainKeyUse, LoggedRecord, RecordView};
use mesh_proto::envelope::{Envelope, Kind, RecordId};
use mesh_proto::key::{AccountId, KeyId};
use mesh_proto::keylog::{KeyLog, LogPosition, Status};
use mesh_proto::log::{BatchProof, Checkpoint, Origin, cosignatures, prove, verify};
use mesh_proto::record::Record;
use mesh_proto::uri;
use serde::Serialize;

/// Whoever is behind a name or an id, verified as far as it can be.
#[derive(Debug, Clone)]
pub struct Person {
    /// The verified key log.
    pub keys: KeyLog,
    /// The proof of the present name; without it the id should be shown.
    pub name: Option<NameProof>,
    /// The other domains that vouch for the checkpoint under which the name is proven.
    pub witnesses: Vec<Domain>,
    /// Whether the account was met before.
    pub contact: Contact,
    /// Domains that should know the key log and did not answer. If the home is among them, there may be newer operations.
    pub silent: Vec<Domain>,
    /// Domains that showed a key log which does not hold, before another one showed one that does.
    pub lied: Vec<Domain>,
}

/// What is to be proven.
#[derive(Debug, Clone)]
pub enum Evidence {
    /// A record with its leaf.
    Logged(Box<LoggedRecord>),
    /// A signed record and nothing more.
    Bare(Box<Envelope>),
}

/// Everything that a proof says.
#[derive(Debug, Clone, Serialize)]
pub struct Proof {
    /// The record, for ever.
    pub id: RecordId,
    /// The version that was verified.
    pub version: RecordId,
    /// What it is.
    pub kind: Kind,
    /// Who signed.
    pub account: AccountId,
    /// The signer's address as the key log has it.
    pub address: Address,
    /// Whether the address is in its domain's log.
    pub name_leaf: Option<LogPosition>,
    /// With which device key.
    pub device: KeyId,
    /// What the person calls that device.
    pub device_name: String,
    /// Under which head of the key log.
    pub signed_under: RecordId,
    /// The present head of the key log.
    pub head: RecordId,
    /// Number of operations in the key log.
    pub operations: usize,
    /// Where the account stands.
    pub status: Status,
    /// In which log, at which leaf; `None`: no log was found that holds it.
    pub leaf: Option<LogPosition>,
    /// When its home accepted it, milliseconds since the epoch.
    pub received: Option<u64>,
    /// Number of leaves of the log's checkpoint that covers the leaf.
    pub checkpoint_size: Option<u64>,
    /// The key that signs the log's checkpoints.
    pub log_key: Option<KeyId>,
    /// The other domains that vouch for the checkpoint: each has kept it, and takes no log from this domain that does not begin with it.
    pub witnesses: Vec<Domain>,
    /// Who vouches for the checkpoint.
    pub vouched: Option<Vouched>,
    /// Who gave the proof of the leaf, if the log's own domain did not answer.
    pub kept_by: Option<Domain>,
    /// Domains that should know the author's key log and did not answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub silent: Vec<Domain>,
    /// Domains that showed something which does not hold, before another one showed what does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lied: Vec<Domain>,
    /// Whether the account was met before.
    pub contact: Contact,
    /// Whether the author stands by it: `good` or `disowned`.
    pub standing: &'static str,
    /// Why it is disowned.
    pub why: Option<String>,
}

/// A leaf that was found in its log.
pub(super) struct Inclusion {
    pub(super) checkpoint: Checkpoint,
    pub(super) witnesses: Vec<Domain>,
    pub(super) log_key: Option<KeyId>,
    pub(super) vouched: Vouched,
    pub(super) kept_by: Option<Domain>,
    /// Whose proof did not hold.
    pub(super) lied: Vec<Domain>,
}

/// Makes proofs. Cloning is cheap.
#[derive(Clone)]
pub struct Verifying {
    http: Http,
    pub(super) pins: PinBook,
    pub(super) through: Option<Domain>,
}

impl Evidence {
    /// Reads a saved record: a `RecordView`, a `LoggedRecord` or a bare envelope.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        let unreadable = |error: serde_json::Error| ClientError::Input(format!("this is not a signed record: {error}"));
        let value: serde_json::Value = serde_json::from_slice(bytes).map_err(unreadable)?;
        if value.get("card").is_some() {
            let view: RecordView = serde_json::from_value(value).map_err(unreadable)?;
            let record = view.record.ok_or_else(|| ClientError::Input("the file has a card, but not the signed record".to_owned()))?;
            return Ok(Self::Logged(Box::new(record)));
        }
        if value.get("envelope").is_some() {
            return serde_json::from_value(value).map(|record| Self::Logged(Box::new(record))).map_err(unreadable);
        }
        serde_json::from_value(value).map(|envelope| Self::Bare(Box::new(envelope))).map_err(unreadable)
    }

    /// The signed record.
    pub fn envelope(&self) -> &Envelope {
        match self {
            Self::Logged(record) => &record.envelope,
            Self::Bare(envelope) => envelope,
        }
    }
}

impl Verifying {
    /// Makes proofs over this client, with these pins.
    pub fn new(http: Http, pins: PinBook) -> Self {
        Self { http, pins, through: None }
    }

    pub(super) fn home(&self, domain: &Domain) -> Home {
        Home::new(self.http.clone(), domain.clone())
    }

    /// Finds a person and verifies who they are. `via`: whom to ask if the link names no home.
    pub async fn person(&self, person: &uri::Person, via: Option<&Domain>) -> Result<Person> {
        match person {
            uri::Person::Address(address) => {
                let account = match self.home(address.domain()).account(address.user().as_str()).await {
                    Ok(view) => view.account,
                    Err(error) => self.seen_behind(address, via, error).await?,
                };
                self.pins.lock().check_name(address, &account)?;
                if self.pins.is_new(address) {
                    self.check_first(address, &account, via).await?;
                }
                let found = self.account(&account, address.domain()).await?;
                check::bears(&found.keys, address)?;
                Ok(found)
            }
            uri::Person::Account { id, home } => {
                let home = home.as_ref().or(via).ok_or_else(|| no_home(id))?;
                self.account(id, home).await
            }
        }
    }

    /// Verifies an account: its key log as its own home has it, its pin, its name. `hint`: who knows its key log.
    pub async fn account(&self, account: &AccountId, hint: &Domain) -> Result<Person> {
        let KeysFound { mut keys, name: mut name_leaf, from, mut silent, lied } = self.keys_from(account, hint).await?;
        let home = keys.view().address().domain().clone();
        if home != from {
            name_leaf = None;
            let answer = if silent.contains(&home) { None } else { Some(self.home(&home).keys(account).await) };
            match answer {
                Some(Ok(mut view)) => {
                    name_leaf = view.name.take();
                    for op in view.ops {
                        keys.insert_known(&op).map_err(|source| Mistrust::KeyLog { account: *account, source })?;
                    }
                }
                Some(Err(error)) if error.is_silence() => silent.push(home.clone()),
                Some(Err(error)) => return Err(error),
                None => {}
            }
        }
        let contact = self.pins.lock().meet(&keys, self.http.now_ms())?;
        let witnesses = match &name_leaf {
            Some(leaf) => self.witnesses(&leaf.checkpoint, &home).await,
            None => Vec::new(),
        };
        let name = match name_leaf {
            Some(leaf) => {
                let log_key = self.log_key(&home).await?;
                let proven = check::name(&keys, &leaf, &log_key)?;
                let mut pins = self.pins.lock();
                pins.meet_log(&proven.checkpoint, &log_key)?;
                pins.pin_name(&proven.address, account)?;
                Some(proven)
            }
            None => {
                self.pins.lock().check_name(keys.view().address(), account)?;
                None
            }
        };
        Ok(Person { keys, name, witnesses, contact, silent, lied })
    }

    /// Proves a saved record. `via`: whom to ask for its author.
    pub async fn evidence(&self, evidence: &Evidence, via: Option<&Domain>) -> Result<Proof> {
        match evidence {
            Evidence::Logged(logged) => {
                let ((checked, inclusion), person) = self.logged(logged, logged.leaf.origin.domain(), None).await?;
                Ok(summary(&checked, &person, Some((logged, &inclusion))))
            }
            Evidence::Bare(envelope) => {
                let id = envelope.id();
                let record = Record::open(envelope).map_err(|source| Mistrust::Record { record: id, source })?;
                let via = via.ok_or_else(|| no_home(&record.head.actor))?;
                let person = self.account(&record.head.actor, via).await?;
                // The author's home knows whether it was logged; that it does not answer is no reason to doubt the signature.
                let home = self.home(person.keys.view().address().domain());
                let found = home.record(&id).await.ok().and_then(|view| view.record).filter(|found| found.envelope.id() == id);
                if let Some(logged) = found {
                    let (checked, inclusion) = self.prove_record(&logged, &person, None).await?;
                    return Ok(summary(&checked, &person, Some((&logged, &inclusion))));
                }
                let checked = check::record(envelope, None, &person.keys)?;
                Ok(summary(&checked, &person, None))
            }
        }
    }

    /// Proves a record with its leaf. `hint`: who knows its author's key log; `served`: who showed the record.
    pub(super) async fn logged(
        &self,
        logged: &LoggedRecord,
        hint: &Domain,
        served: Option<&Domain>,
    ) -> Result<((Checked, Inclusion), Person)> {
        let id = logged.envelope.id();
        let record = Record::open(&logged.envelope).map_err(|source| Mistrust::Record { record: id, source })?;
        let person = self.account(&record.head.actor, hint).await?;
        Ok((self.prove_record(logged, &person, served).await?, person))
    }

    /// Proves a record of a person whose key log is at hand, by the log's own domain, or by whoever keeps the record.
    async fn prove_record(&self, logged: &LoggedRecord, person: &Person, served: Option<&Domain>) -> Result<(Checked, Inclusion)> {
        let checked = check::logged_record(logged, &person.keys)?;
        let inclusion = match self.include(logged).await {
            Err(error) if error.is_silence() => {
                let view = person.keys.view();
                let keepers = served.into_iter().chain([view.address().domain()]).chain(view.mirrors());
                let keepers: Vec<Domain> = keepers.cloned().collect();
                self.include_kept(logged, &keepers, error).await?
            }
            other => other?,
        };
        if matches!(inclusion.vouched, Vouched::Nobody | Vouched::Witnesses) {
            // Then the leaf does not show that a device which was revoked since had signed before: witnesses may be made for the purpose.
            return Ok((check::record(&logged.envelope, None, &person.keys)?, inclusion));
        }
        Ok((checked, inclusion))
    }

    /// Proves by its own domain that a record's leaf is in its log.
    async fn include(&self, logged: &LoggedRecord) -> Result<Inclusion> {
        let origin = &logged.leaf.origin;
        let log_key = self.log_key(origin.domain()).await?;
        let known = self.pins.lock().log_key(origin);
        if known.is_some_and(|known| known != log_key) {
            // Somebody else may hold the name by now; what is kept of the log decides.
            return Err(ClientError::malformed(origin.domain(), "it shows another log key than the one seen before"));
        }
        let (checkpoint, witnesses) = match self.witnessed_over(&logged.leaf, &log_key).await? {
            Some(witnessed) => witnessed,
            None => (self.checkpoint_over(&logged.leaf, &log_key).await?, Vec::new()),
        };
        self.pins.lock().meet_log(&checkpoint, &log_key)?;
        let proof = self.prove(origin, checkpoint.size, logged.leaf.index).await?;
        let leaf = (logged.leaf.index, check::leaf_hash(&logged.opening));
        verify(checkpoint.size, &checkpoint.root, &[leaf], &proof)
            .map_err(|error| check::not_logged("the record", &logged.leaf, error.to_string()))?;
        Ok(Inclusion { checkpoint, witnesses, log_key: Some(log_key), vouched: Vouched::LogDomain, kept_by: None, lied: Vec::new() })
    }

    pub(super) async fn log_key(&self, domain: &Domain) -> Result<KeyId> {
        let discovery = self.home(domain).discovery().await?;
        discovery.key(DomainKeyUse::Log).ok_or_else(|| ClientError::malformed(domain, "it names no log key"))
    }

    /// The newest cosigned checkpoint with those who cosigned it, if it covers the leaf.
    async fn witnessed_over(&self, leaf: &LogPosition, log_key: &KeyId) -> Result<Option<(Checkpoint, Vec<Domain>)>> {
        let Some(note) = self.home(leaf.origin.domain()).witnessed(leaf.origin.number()).await? else { return Ok(None) };
        let checkpoint = check::checkpoint(&note, &leaf.origin, log_key)?;
        if checkpoint.size <= leaf.index {
            return Ok(None);
        }
        let witnesses = self.witnesses(&note, leaf.origin.domain()).await;
        Ok(Some((checkpoint, witnesses)))
    }

    /// The other domains whose cosignatures of a note hold, under the keys that they themselves show. Who does not answer vouches for nothing.
    pub(super) async fn witnesses(&self, note: &str, own: &Domain) -> Vec<Domain> {
        let mut witnesses = Vec::new();
        for cosignature in
            cosignatures(note).unwrap_or_default().iter().filter(|cosignature| cosignature.domain() != own).take(WITNESSES_MAX)
        {
            let key = self.log_key(cosignature.domain()).await.ok().and_then(|key| key.verifier().ok());
            if key.is_some_and(|key| cosignature.verify(note, &key).is_ok()) {
                witnesses.push(cosignature.domain().clone());
            }
        }
        witnesses
    }

    /// The newest verified checkpoint, which must cover the leaf.
    async fn checkpoint_over(&self, leaf: &LogPosition, log_key: &KeyId) -> Result<Checkpoint> {
        let home = self.home(leaf.origin.domain());
        let mut tries = 0;
        loop {
            let note = home.checkpoint(leaf.origin.number()).await?;
            let checkpoint = check::checkpoint(&note, &leaf.origin, log_key)?;
            if leaf.index < checkpoint.size {
                return Ok(checkpoint);
            }
            tries += 1;
            if tries >= CHECKPOINT_TRIES_MAX {
                let why = format!("the log has {} leaves", checkpoint.size);
                return Err(check::not_logged("the record", leaf, why).into());
            }
            // A log may be a moment behind what it has promised.
            crate::pause(CHECKPOINT_PAUSE).await;
        }
    }

    /// Computes the inclusion proof from tiles.
    async fn prove(&self, origin: &Origin, size: u64, index: u64) -> Result<BatchProof> {
        let home = self.home(origin.domain());
        let mut tiles = Tiles::new(size);
        for _ in 0..PROOF_TILES_MAX {
            let Wanted(tile) = match prove(&mut tiles, size, &[index]) {
                Ok(Some(proof)) => return Ok(proof),
                Ok(None) => break,
                Err(wanted) => wanted,
            };
            let bytes = match home.tile(origin.number(), &tile.path()).await {
                // A partial tile may have been dropped once it was full.
                Err(ClientError::Remote { problem, .. }) if problem.status == 404 => home.tile(origin.number(), &tile.full_path()).await?,
                other => other?,
            };
            tiles.add(tile, &bytes).map_err(|what| ClientError::malformed(origin.domain(), what))?;
        }
        Err(ClientError::malformed(origin.domain(), "its log's tiles do not make a proof"))
    }
}

pub(super) fn summary(checked: &Checked, person: &Person, logged: Option<(&LoggedRecord, &Inclusion)>) -> Proof {
    let head = &checked.record.head;
    let view = person.keys.view();
    Proof {
        id: checked.id,
        version: checked.version,
        kind: checked.record.kind(),
        account: person.keys.account(),
        address: view.address().clone(),
        name_leaf: person.name.as_ref().map(|name| name.leaf.clone()),
        device: head.device,
        device_name: view.devices().get(&head.device).map(|device| device.name.clone()).unwrap_or_default(),
        signed_under: head.keys,
        head: person.keys.head(),
        operations: person.keys.len(),
        status: view.status(),
        leaf: logged.map(|(record, _)| record.leaf.clone()),
        received: logged.map(|(record, _)| record.opening.received),
        checkpoint_size: logged.map(|(_, inclusion)| inclusion.checkpoint.size),
        log_key: logged.and_then(|(_, inclusion)| inclusion.log_key),
        witnesses: logged.map(|(_, inclusion)| inclusion.witnesses.clone()).unwrap_or_default(),
        vouched: logged.map(|(_, inclusion)| inclusion.vouched),
        kept_by: logged.and_then(|(_, inclusion)| inclusion.kept_by.clone()),
        silent: person.silent.clone(),
        lied: person.lied.iter().chain(logged.iter().flat_map(|(_, inclusion)| &inclusion.lied)).cloned().collect(),
        contact: person.contact,
        standing: if checked.standing == Standing::Good { "good" } else { "disowned" },
        why: match &checked.standing {
            Standing::Good => None,
            Standing::Disowned(error) => Some(error.to_string()),
        },
    }
}

pub(super) fn no_home(account: &AccountId) -> ClientError {
    ClientError::Input(format!(
        "nothing says where account {account} lives: add ?home=DOMAIN to the link, or name a domain to ask (mesh verify --via DOMAIN)"
    ))
}

/// The error for a record that cannot be had.
pub(crate) fn absent(record: &RecordId, withdrawn: bool) -> ClientError {
    if withdrawn {
        ClientError::NotFound(format!("record {record} was withdrawn"))
    } else {
        ClientError::NotFound(format!("record {record} is known, but its home does not serve it now"))
    }
}
