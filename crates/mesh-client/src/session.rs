//! A person at work: signed actions through their own home.
//!
//! An action is drafted first, so that it can be shown (`--dry-run`), and sent second. What a draft names – authors, versions, homes – comes
//! from verified records and key logs, never from a server's word: a signature must not say what its owner does not know.

mod actions;
#[cfg(not(target_arch = "wasm32"))]
pub mod drafts;
#[cfg(not(target_arch = "wasm32"))]
pub mod preview;
mod rulings;

pub use actions::Edit;

use crate::error::{ClientError, Result};
use crate::home::Home;
use crate::http::{Http, Signer};
use crate::identity::Identity;
use crate::limits::{SEND_PAUSE, SEND_TRIES_MAX};
use crate::pins::PinBook;
use crate::reader::Reader;
use crate::verify::{Verifying, check};
use mesh_proto::address::Address;
use mesh_proto::api::Scheduled;
use mesh_proto::bytes::Salt;
use mesh_proto::envelope::{Envelope, Kind, RecordId};
use mesh_proto::key::AccountId;
use mesh_proto::keylog::{KeyLog, LogPosition};
use mesh_proto::record::{Content, Head, Record};
use mesh_proto::uri::{Person, Target};
use serde::Serialize;

/// A person with their device's key, their home and what they have seen.
pub struct Session {
    identity: Identity,
    signer: Signer,
    home: Home,
    reader: Reader,
    verifying: Verifying,
    pins: PinBook,
}

/// A record that is logged.
#[derive(Debug, Clone, Serialize)]
pub struct Done {
    /// What was done.
    pub kind: Kind,
    /// The record's id for ever.
    pub id: RecordId,
    /// The id of this version.
    pub version: RecordId,
    /// The link to it.
    pub uri: Target,
    /// Its page.
    pub url: Option<String>,
    /// Its leaf in the home log.
    pub leaf: LogPosition,
    /// When the home accepted it, milliseconds since the epoch.
    pub received: u64,
}

impl Session {
    /// The session of an identity.
    pub fn new(http: &Http, identity: Identity, pins: PinBook) -> Self {
        let home = Home::new(http.clone(), identity.stored.address.domain().clone());
        Self {
            signer: Signer::new(&identity.stored.account, identity.key.clone()),
            reader: Reader::new(home.clone(), pins.clone()),
            verifying: Verifying::new(http.clone(), pins.clone()),
            home,
            pins,
            identity,
        }
    }

    /// The account.
    pub fn account(&self) -> AccountId {
        self.identity.stored.account
    }

    /// Its address.
    pub fn address(&self) -> &Address {
        &self.identity.stored.address
    }

    /// Who one is, with the key.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Signs requests.
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// The home server.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Reads through the home server.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Makes proofs.
    pub fn verifying(&self) -> &Verifying {
        &self.verifying
    }

    /// One's own key log as the home has it: verified, pinned, and with this device live.
    ///
    /// # Errors
    /// [`ClientError::NotAllowed`] if the device was revoked or the account cannot act.
    pub async fn keys(&self) -> Result<KeyLog> {
        let keys = self.own_keys().await?;
        keys.check_open().map_err(|error| ClientError::NotAllowed(error.to_string()))?;
        if !keys.view().is_live(&self.identity.key.id()) {
            return Err(ClientError::NotAllowed(format!("this device is not, or no longer, a device of {}", self.address())));
        }
        Ok(keys)
    }

    /// One's own key log, verified and pinned, whatever it says.
    pub async fn own_keys(&self) -> Result<KeyLog> {
        let account = self.account();
        let keys = check::keys(self.home.keys(&account).await?, &account)?;
        let mut pins = self.pins.lock();
        pins.meet(&keys, self.home.http().now_ms())?;
        pins.keep_own(&keys);
        Ok(keys)
    }

    /// A record with this content, about to be signed by this device under the present head of the key log.
    pub async fn draft(&self, content: Content) -> Result<Record> {
        let keys = self.keys().await?;
        let http = self.home.http();
        let head = Head {
            actor: keys.account(),
            device: self.identity.key.id(),
            keys: keys.head(),
            at: http.now_ms(),
            salt: Salt(http.random()),
            crit: Default::default(),
        };
        let record = Record { head, content };
        record.check().map_err(|error| ClientError::Input(error.to_string()))?;
        Ok(record)
    }

    /// Signs a draft.
    pub fn sign(&self, record: &Record) -> Envelope {
        record.sign(&self.identity.key)
    }

    /// Signs a draft and sends it home.
    pub async fn send(&self, record: &Record) -> Result<Done> {
        self.send_signed(&self.sign(record)).await
    }

    /// Sends what was signed. What fails on the way is sent again: a record sent twice is the same record.
    pub async fn send_signed(&self, envelope: &Envelope) -> Result<Done> {
        let record = Record::open(envelope).map_err(|error| ClientError::Input(error.to_string()))?;
        let accepted = again(|| self.home.accept(envelope)).await?;
        let version = envelope.id();
        if accepted.id != version {
            return Err(ClientError::malformed(self.home.domain(), "it accepted another record than was sent"));
        }
        let id = record.content.revises().copied().unwrap_or(version);
        let uri = self.link(id);
        Ok(Done { kind: record.kind(), id, version, url: uri.permalink(), uri, leaf: accepted.leaf, received: accepted.received })
    }

    /// Hands a signed post to the home, which publishes it at the time that it claims.
    pub async fn schedule(&self, envelope: &Envelope) -> Result<Scheduled> {
        let scheduled = again(|| self.home.schedule(&self.signer, envelope)).await?;
        if scheduled.envelope != *envelope {
            return Err(ClientError::malformed(self.home.domain(), "it plans another record than was sent"));
        }
        Ok(scheduled)
    }

    /// The link to one's own record.
    pub fn link(&self, record: RecordId) -> Target {
        Target::Record { person: Person::Address(self.address().clone()), record, version: None }
    }
}

/// Does what can be done twice again, if it failed on the way.
async fn again<T, F: Future<Output = Result<T>>>(request: impl Fn() -> F) -> Result<T> {
    let mut tries = 1;
    loop {
        match request().await {
            Err(error) if error.is_transient() && tries < SEND_TRIES_MAX => {
                crate::pause(SEND_PAUSE * 2_u32.pow(tries)).await;
                tries += 1;
            }
            other => return other,
        }
    }
}
