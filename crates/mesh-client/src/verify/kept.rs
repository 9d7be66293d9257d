//! Verifying when the domain that should be asked does not answer: key logs from whoever keeps them, and proofs from whoever answers for a record now.
//!
//! What cannot be known then is said, not guessed: [`Vouched`] names who vouches for a checkpoint, [`super::Person::silent`] who did not answer.

use super::Mistrust;
use super::check;
use super::proof::{Inclusion, Proof, Verifying, absent, no_home, summary};
use crate::error::{ClientError, Result};
use crate::limits::KEEPERS_ASKED_MAX;
use mesh_proto::address::{Address, Domain};
use mesh_proto::api::{LoggedRecord, NameLeaf, RecordProof, RecordView, Tombstone, code};
use mesh_proto::envelope::{Kind, RecordId};
use mesh_proto::key::{AccountId, KeyId};
use mesh_proto::keylog::{KeyLog, Status};
use mesh_proto::log::{Checkpoint, Origin, verify};
use mesh_proto::record::Content;
use mesh_proto::uri::{self, Target};
use serde::Serialize;
use std::collections::VecDeque;

/// Who vouches for the checkpoint under which a leaf is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Vouched {
    /// The log's own domain, which shows it now.
    LogDomain,
    /// The log's key, which was seen here while its domain answered.
    SeenBefore,
    /// Only the witnesses, which cosigned it.
    Witnesses,
    /// Nobody: the signature is good, the leaf and its time are the word of whoever keeps the record.
    Nobody,
}

/// A key log that holds, and what came of looking for it.
pub(super) struct KeysFound {
    pub(super) keys: KeyLog,
    pub(super) name: Option<NameLeaf>,
    pub(super) from: Domain,
    pub(super) silent: Vec<Domain>,
    pub(super) lied: Vec<Domain>,
}

/// Who showed something that does not hold, and what is wrong with it.
#[derive(Default)]
struct Lies(Vec<(Domain, Mistrust)>);

impl Lies {
    fn note(&mut self, domain: Domain, mistrust: Mistrust) {
        self.0.push((domain, mistrust));
    }

    fn domains(&self) -> Vec<Domain> {
        self.0.iter().map(|(domain, _)| domain.clone()).collect()
    }

    /// What to tell if nobody showed anything good: the first lie, or else the error.
    fn or(self, error: ClientError) -> ClientError {
        match self.0.into_iter().next() {
            Some((domain, source)) => Mistrust::Keeper { domain, source: Box::new(source) }.into(),
            None => error,
        }
    }
}

/// Whether another domain may know what this one does not say.
fn may_be_elsewhere(error: &ClientError) -> bool {
    error.is_silence() || matches!(error.code(), Some(code::NOT_FOUND | code::NOT_HOME))
}

fn add(places: &mut Vec<Domain>, more: impl IntoIterator<Item = Domain>) {
    for domain in more {
        if places.len() < KEEPERS_ASKED_MAX && !places.contains(&domain) {
            places.push(domain);
        }
    }
}

impl Verifying {
    /// The same, which also asks this domain, one's own home, where another does not answer.
    pub fn through(self, domain: Option<Domain>) -> Self {
        let mut this = self;
        this.through = domain;
        this
    }

    /// The key of a log: the one that was seen first, else the one that its domain shows.
    pub async fn known_log_key(&self, origin: &Origin) -> Option<KeyId> {
        let pinned = self.pins.lock().log_key(origin);
        match pinned {
            Some(key) => Some(key),
            None => self.log_key(origin.domain()).await.ok(),
        }
    }

    /// The account behind an address whose domain does not say it, if it was seen here, or if `via`, or one's own home, knows just one.
    pub(super) async fn seen_behind(&self, address: &Address, via: Option<&Domain>, error: ClientError) -> Result<AccountId> {
        if !may_be_elsewhere(&error) {
            return Err(error);
        }
        let seen = self.pins.lock().named(address);
        let asked = via.or(self.through.as_ref()).filter(|_| seen.is_none());
        let known = match asked {
            Some(domain) => self.home(domain).known(address).await.unwrap_or_default(),
            None => Vec::new(),
        };
        match known.as_slice() {
            [one] => Ok(one.account),
            _ => seen.ok_or(error),
        }
    }

    /// An account's key log from the first who has it. Who is asked first must not show a false one; of others it is noted, and the next one is asked.
    pub(super) async fn keys_from(&self, account: &AccountId, hint: &Domain) -> Result<KeysFound> {
        let mut places = vec![hint.clone()];
        let kept_at = self.pins.lock().kept_at(account);
        add(&mut places, kept_at.into_iter().chain(self.through.clone()));
        let (mut silent, mut lies) = (Vec::new(), Lies::default());
        let (mut first, mut behind) = (None, None);
        for place in places {
            let mut view = match self.home(&place).keys(account).await {
                Ok(view) => view,
                Err(error) if may_be_elsewhere(&error) => {
                    if error.is_silence() {
                        silent.push(place);
                    }
                    first.get_or_insert(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let name = view.name.take();
            match check::keys(view, account) {
                // Who keeps a copy may be a little behind.
                Ok(keys) if place != *hint && self.pins.lock().knows_more(&keys) => drop(behind.get_or_insert((keys, place))),
                Ok(keys) => return Ok(KeysFound { keys, name, from: place, silent, lied: lies.domains() }),
                Err(mistrust) if place == *hint => return Err(mistrust.into()),
                Err(mistrust) => lies.note(place, mistrust),
            }
        }
        if let Some((keys, from)) = behind {
            return Ok(KeysFound { keys, name: None, from, silent, lied: lies.domains() });
        }
        Err(lies.or(first.unwrap_or_else(|| ClientError::NotFound(format!("nobody knows the key log of {account}")))))
    }

    /// Proves the record that a link points at. `via`: whom to ask if the link names no home.
    ///
    /// The home that the link names must not show anything false. If it does not answer, others are asked who may have a copy; of one that shows a false
    /// one it is noted in the proof, and the next one is asked.
    pub async fn record(&self, target: &Target, via: Option<&Domain>) -> Result<Proof> {
        let Target::Record { person, record, .. } = target else {
            return Err(ClientError::Input("this link names a person, not a record".to_owned()));
        };
        let asked = match person {
            uri::Person::Address(address) => address.domain(),
            uri::Person::Account { id, home } => home.as_ref().or(via).ok_or_else(|| no_home(id))?,
        };
        let (mut places, mut lies) = (self.places(person, asked), Lies::default());
        loop {
            let (view, served) = match self.record_from(&mut places, (record, asked)).await {
                Ok(found) => found,
                Err(error) => return Err(lies.or(error)),
            };
            match self.shown(target, view, &served).await {
                Err(ClientError::Mistrust(mistrust)) if served != *asked && mistrust.is_of_who_shows() => lies.note(served, mistrust),
                Ok(proof) => return Ok(Proof { lied: lies.domains().into_iter().chain(proof.lied).collect(), ..proof }),
                Err(error) => return Err(error),
            }
        }
    }

    /// Proves what a domain shows under a link.
    async fn shown(&self, target: &Target, view: RecordView, served: &Domain) -> Result<Proof> {
        let Some(logged) = view.record else {
            if let Some(tombstone) = &view.tombstone {
                self.check_withdrawal(target, tombstone, served).await?;
            }
            return Err(absent(&view.card.id, view.tombstone.is_some()));
        };
        let found = logged.envelope.id();
        if let Target::Record { version: Some(version), .. } = target
            && *version != found
        {
            return Err(ClientError::NotFound(format!("version {version} is not the current one, which is {found}")));
        }
        let ((checked, inclusion), author) = self.logged(&logged, view.card.address.domain(), Some(served)).await?;
        check::fits(target, &checked, &author.keys)?;
        Ok(summary(&checked, &author, Some((&logged, &inclusion))))
    }

    /// Whether a withdrawal, if it is shown, is signed by whose record it takes away.
    async fn check_withdrawal(&self, target: &Target, tombstone: &Tombstone, served: &Domain) -> Result<()> {
        let Some(retract) = &tombstone.retract else { return Ok(()) };
        let false_one = || Mistrust::NotAsSigned { record: tombstone.id, what: "its withdrawal" };
        let Target::Record { person, record, .. } = target else { return Err(false_one().into()) };
        if *record != tombstone.id || self.known(person).is_some_and(|author| author != tombstone.signer) {
            return Err(false_one().into());
        }
        let keys = self.account(&tombstone.signer, served).await?.keys;
        // Who closes an account withdraws all that it said.
        let is_signed = match retract.kind() {
            Kind::Key => keys.view().status() == Status::Closed,
            _ => matches!(check::record(retract, None, &keys)?.record.content, Content::Retract(retract) if retract.object == tombstone.id),
        };
        if is_signed { Ok(()) } else { Err(false_one().into()) }
    }

    /// The account of a person whose name was met before, or who is named by it.
    fn known(&self, person: &uri::Person) -> Option<AccountId> {
        match person {
            uri::Person::Account { id, .. } => Some(*id),
            uri::Person::Address(address) => self.pins.lock().named(address),
        }
    }

    /// Who may show a record: whoever is asked, then those who may keep a copy.
    fn places(&self, person: &uri::Person, asked: &Domain) -> VecDeque<Domain> {
        let mut places = vec![asked.clone()];
        let account = self.known(person);
        let kept_at = account.map(|account| self.pins.lock().kept_at(&account)).unwrap_or_default();
        add(&mut places, kept_at.into_iter().chain(self.through.clone()));
        places.into()
    }

    /// A record from the first of some who shows it, or that it was withdrawn, with who that is. Takes those who were asked out of the list. That a record was
    /// withdrawn is believed without a signature of who is asked first: of the home alone.
    async fn record_from(&self, places: &mut VecDeque<Domain>, (id, home): (&RecordId, &Domain)) -> Result<(RecordView, Domain)> {
        let (mut first, mut bare) = (None, None);
        while let Some(place) = places.pop_front() {
            let is_withdrawn = |tombstone: &Tombstone| tombstone.retract.is_some() || place == *home;
            match self.home(&place).record(id).await {
                Ok(view) if view.record.is_some() || view.tombstone.as_ref().is_some_and(is_withdrawn) => return Ok((view, place)),
                Ok(view) => drop(bare.get_or_insert((view, place))),
                Err(error) if may_be_elsewhere(&error) => drop(first.get_or_insert(error)),
                Err(error) => return Err(error),
            }
        }
        bare.ok_or_else(|| first.unwrap_or_else(|| ClientError::NotFound(format!("nobody shows record {id}"))))
    }

    /// Proves a leaf with the proof of whoever answers for the record, because the log's own domain does not answer: `silence`. Of one whose proof does not
    /// hold it is noted, and the next one is asked.
    pub(super) async fn include_kept(&self, logged: &LoggedRecord, keepers: &[Domain], silence: ClientError) -> Result<Inclusion> {
        let own = logged.leaf.origin.domain();
        let mut places = Vec::new();
        add(&mut places, keepers.iter().filter(|keeper| *keeper != own).cloned().chain(self.through.clone()));
        let mut lies = Lies::default();
        for keeper in places {
            let Ok(kept) = self.home(&keeper).record_proof(&logged.envelope.id()).await else { continue };
            // It may answer another version.
            if kept.record.leaf != logged.leaf || kept.record.envelope != logged.envelope {
                continue;
            }
            let (checkpoint, log_key, vouched) = match self.check_kept(&kept) {
                Ok(proven) => proven,
                // Both histories are signed by the log's key: not the keeper is to blame.
                Err(fork @ Mistrust::LogForked { .. }) => return Err(fork.into()),
                Err(mistrust) => {
                    lies.note(keeper, mistrust);
                    continue;
                }
            };
            if kept.record.opening != logged.opening {
                let why = "what it is said to stand for is not what was logged".to_owned();
                return Err(check::not_logged("the record", &logged.leaf, why).into());
            }
            let witnesses = self.witnesses(&kept.checkpoint, own).await;
            let vouched = if vouched == Vouched::Nobody && !witnesses.is_empty() { Vouched::Witnesses } else { vouched };
            return Ok(Inclusion { checkpoint, witnesses, log_key, vouched, kept_by: Some(keeper), lied: lies.domains() });
        }
        Err(lies.or(silence))
    }

    /// Whether the proof that somebody keeps of a record holds, and who vouches for its checkpoint.
    fn check_kept(&self, kept: &RecordProof) -> Result<(Checkpoint, Option<KeyId>, Vouched), Mistrust> {
        let position = &kept.record.leaf;
        let (checkpoint, log_key, vouched) = self.vouch(&kept.checkpoint, &position.origin)?;
        let leaf = (position.index, check::leaf_hash(&kept.record.opening));
        verify(checkpoint.size, &checkpoint.root, &[leaf], &kept.proof)
            .map_err(|error| check::not_logged("the record", position, error.to_string()))?;
        Ok((checkpoint, log_key, vouched))
    }

    /// Reads the checkpoint of a log whose domain does not answer, under the key that was seen before if there is one.
    fn vouch(&self, note: &str, origin: &Origin) -> Result<(Checkpoint, Option<KeyId>, Vouched), Mistrust> {
        let mut pins = self.pins.lock();
        if let Some(key) = pins.log_key(origin) {
            let checkpoint = check::checkpoint(note, origin, &key)?;
            pins.meet_log(&checkpoint, &key)?;
            return Ok((checkpoint, Some(key), Vouched::SeenBefore));
        }
        let checkpoint = Checkpoint::unverified(note, origin).map_err(|source| Mistrust::Checkpoint { origin: origin.clone(), source })?;
        let vouched = if pins.knows_checkpoint(&checkpoint) { Vouched::SeenBefore } else { Vouched::Nobody };
        Ok((checkpoint, None, vouched))
    }
}
