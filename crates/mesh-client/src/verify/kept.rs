//! Verifying when the domain that should be asked does not answer: key logs from whoever keeps them, and proofs from whoever answers for a record now.
//!
//! What cannot be known then is said, not guessed: [`Vouched`] names who vouches for a checkpoint, [`super::Person::silent`] who did not answer.

use super::Mistrust;
use super::check;
use super::proof::{Inclusion, Verifying};
use crate::error::{ClientError, Result};
use crate::limits::KEEPERS_ASKED_MAX;
use mesh_proto::address::{Address, Domain};
use mesh_proto::api::{KeysView, LoggedRecord, RecordView, code};
use mesh_proto::envelope::RecordId;
use mesh_proto::key::{AccountId, KeyId};
use mesh_proto::log::{Checkpoint, Origin, verify};
use mesh_proto::uri;
use serde::Serialize;

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

    /// An account's key log from the first who has it, with who that is.
    pub(super) async fn keys_from(&self, account: &AccountId, hint: &Domain) -> Result<(KeysView, Domain, Vec<Domain>)> {
        let mut places = vec![hint.clone()];
        let kept_at = self.pins.lock().kept_at(account);
        add(&mut places, kept_at.into_iter().chain(self.through.clone()));
        let mut silent = Vec::new();
        let mut first = None;
        for place in places {
            match self.home(&place).keys(account).await {
                Ok(view) => return Ok((view, place, silent)),
                Err(error) if may_be_elsewhere(&error) => {
                    if error.is_silence() {
                        silent.push(place);
                    }
                    first.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(first.unwrap_or_else(|| ClientError::NotFound(format!("nobody knows the key log of {account}"))))
    }

    /// A record from the first who shows it, with who that is.
    pub(super) async fn record_from(&self, person: &uri::Person, asked: &Domain, id: &RecordId) -> Result<(RecordView, Domain)> {
        let mut places = vec![asked.clone()];
        let account = match person {
            uri::Person::Account { id, .. } => Some(*id),
            uri::Person::Address(address) => self.pins.lock().named(address),
        };
        let kept_at = account.map(|account| self.pins.lock().kept_at(&account)).unwrap_or_default();
        add(&mut places, kept_at.into_iter().chain(self.through.clone()));
        let (mut first, mut bare) = (None, None);
        for place in places {
            match self.home(&place).record(id).await {
                Ok(view) if view.record.is_some() || view.tombstone.is_some() => return Ok((view, place)),
                Ok(view) => drop(bare.get_or_insert((view, place))),
                Err(error) if may_be_elsewhere(&error) => drop(first.get_or_insert(error)),
                Err(error) => return Err(error),
            }
        }
        bare.ok_or_else(|| first.unwrap_or_else(|| ClientError::NotFound(format!("nobody shows record {id}"))))
    }

    /// Proves a leaf with the proof of whoever answers for the record, because the log's own domain does not answer: `silence`.
    pub(super) async fn include_kept(&self, logged: &LoggedRecord, keepers: &[Domain], silence: ClientError) -> Result<Inclusion> {
        let own = logged.leaf.origin.domain();
        let mut places = Vec::new();
        add(&mut places, keepers.iter().filter(|keeper| *keeper != own).cloned().chain(self.through.clone()));
        for keeper in places {
            let Ok(kept) = self.home(&keeper).record_proof(&logged.envelope.id()).await else { continue };
            // It may answer another version.
            if kept.record.leaf != logged.leaf || kept.record.envelope != logged.envelope {
                continue;
            }
            let (checkpoint, log_key, vouched) = self.vouch(&kept.checkpoint, &logged.leaf.origin)?;
            let leaf = (logged.leaf.index, check::leaf_hash(&logged.opening));
            verify(checkpoint.size, &checkpoint.root, &[leaf], &kept.proof)
                .map_err(|error| check::not_logged("the record", &logged.leaf, error.to_string()))?;
            let witnesses = self.witnesses(&kept.checkpoint, own).await;
            let vouched = if vouched == Vouched::Nobody && !witnesses.is_empty() { Vouched::Witnesses } else { vouched };
            return Ok(Inclusion { checkpoint, witnesses, log_key, vouched, kept_by: Some(keeper) });
        }
        Err(silence)
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
