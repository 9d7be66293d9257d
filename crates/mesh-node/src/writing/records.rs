//! Records, key operations and registrations of this domain's people: verified here, then given a leaf by [`crate::writing::append`].

use crate::Ports;
use crate::accounts::{Account, Accounts, Sender, refused_op, refused_use};
use crate::bus::Bus;
use crate::error::{NodeError, Result};
use crate::index::act;
use crate::log::Log;
use crate::objects::Objects;
use crate::peers::Peers;
use crate::registration::Registrar;
use crate::rulings::{Known, Rulings};
use crate::tables::account::{FOLLOWING_MAX, following};
use crate::tables::reference::Reference;
use crate::writing::append::{Entry, NewRecord};
use crate::writing::moving::Room;
use mesh_proto::address::Domain;
use mesh_proto::api::{Accepted, Acts, KeysAdded, KeysView, NewAccount, Registered, code};
use mesh_proto::envelope::{Envelope, Kind, RecordId, id_of_pae};
use mesh_proto::key::AccountId;
use mesh_proto::keylog::{Action, KeyLog, KeyOp, LoggedOp};
use mesh_proto::port::{Clock, Transport};
use mesh_proto::record::{Content, Record, RecordError};
use mesh_store::{Kv, Read};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How often a domain may say that an account moved on before nobody is asked any more, and how long each may take.
const MOVES_FOLLOWED_MAX: usize = 4;
const KEYS_WAIT: Duration = Duration::from_secs(10);

/// The records service.
pub struct Records {
    pub(crate) kv: Arc<dyn Kv>,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) objects: Arc<Objects>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) rulings: Arc<Rulings>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) registrar: Arc<Registrar>,
    pub(crate) bus: Arc<Bus>,
    pub(crate) log: Arc<Log>,
    pub(crate) room: Room,
    pub(crate) queue: mpsc::Sender<Entry>,
}

/// Where a record of this domain is that was accepted before.
pub(crate) fn known(read: &dyn Read, peers: &Peers, id: &RecordId) -> Result<Option<Accepted>> {
    let Some((lid, reference)) = Reference::find(read, id)?.filter(|(lid, _)| lid.is_own()) else { return Ok(None) };
    Ok(Some(Accepted { id: *id, leaf: peers.position(lid)?, received: reference.received }))
}

/// The services that it needs.
pub(crate) type Parts = (Known, Arc<Objects>, Arc<Registrar>, Arc<Bus>, Arc<Log>);

impl Records {
    pub(crate) fn new(ports: &Ports, parts: Parts, (room, queue): (Room, mpsc::Sender<Entry>)) -> Self {
        let Ports { kv, clock, transport, .. } = ports.clone();
        let ((accounts, peers, rulings), objects, registrar, bus, log) = parts;
        Self { kv, accounts, objects, peers, rulings, transport, clock, registrar, bus, log, room, queue }
    }

    pub(super) fn domain(&self) -> &Domain {
        self.peers.own_domain()
    }

    /// Accepts a record by someone of this domain. Answers whether it was new, once it is durable.
    pub async fn submit(&self, envelope: Envelope) -> Result<(bool, Accepted)> {
        let record = Record::open(&envelope).map_err(|error| refused_record(&error))?;
        record.check_time(self.clock.now_ms()).map_err(|error| refused_record(&error))?;
        let actor = self.accounts.expect(&record.head.actor)?;
        self.check_home(&actor)?;
        let pae = envelope.pae();
        let id = id_of_pae(&pae);
        if let Some(accepted) = known(&*self.kv, &self.peers, &id)? {
            return Ok((false, accepted));
        }
        self.check_signed(&record, &actor, (&envelope, &pae))?;
        if let Content::Subscribe(subscribe) = &record.content {
            if following(&*self.kv, actor.lid, FOLLOWING_MAX)?.len() >= FOLLOWING_MAX {
                return Err(NodeError::refused(
                    code::TOO_LARGE,
                    format!("an account subscribes to at most {FOLLOWING_MAX} others: undo one first"),
                ));
            }
            self.learn(&subscribe.object.actor, &subscribe.object.home).await?;
        }
        self.meet_homes(&record.content).await?;
        // Said here too, so that most refusals never reach the append thread.
        self.objects.resolve(&record, &actor)?;
        let (answer, answered) = oneshot::channel();
        self.enter(Entry::Record(Box::new(NewRecord { envelope, id, record, actor }), answer))?;
        answered.await.map_err(|_| NodeError::Stopping)?
    }

    /// Requires that somebody of this domain who may write now signed a record, with a live device. `pae`: the envelope's signed bytes.
    pub(super) fn check_signed(&self, record: &Record, actor: &Account, (envelope, pae): (&Envelope, &[u8])) -> Result<()> {
        self.check_home(actor)?;
        self.rulings.check_writer(actor)?;
        let allowed = actor.log.check_open().and_then(|()| actor.log.check_use(&record.head.device, &record.head.keys, None));
        let key = *allowed.map_err(|error| refused_use(&error))?;
        key.verify(pae, envelope.signature()).map_err(|error| NodeError::refused(code::BAD_SIGNATURE, error.to_string()))
    }

    /// Whether a record of this domain was accepted before.
    pub(super) fn is_known(&self, id: &RecordId) -> Result<bool> {
        Ok(known(&*self.kv, &self.peers, id)?.is_some())
    }

    /// Meets the domains to which a record will be delivered, if they are new: a domain gets a number here only once it has shown that it exists.
    async fn meet_homes(&self, content: &Content) -> Result<()> {
        for (account, home) in content.addressed() {
            let known = self.accounts.get(&account)?.map(|account| account.home().clone());
            let home = known.as_ref().unwrap_or(home);
            if home != self.domain() && self.peers.get(home).is_none() {
                self.peers.discover(home, None).await?;
            }
        }
        Ok(())
    }

    fn check_home(&self, actor: &Account) -> Result<()> {
        if self.accounts.lives_here(actor) {
            return Ok(());
        }
        Err(NodeError::refused(code::NOT_HOME, format!("the account's home is {}: send its records there", actor.home())))
    }

    pub(super) fn enter(&self, entry: Entry) -> Result<()> {
        self.queue.try_send(entry).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NodeError::SlowDown { retry_after_s: 1 },
            mpsc::error::TrySendError::Closed(_) => NodeError::Stopping,
        })
    }

    /// Erases what is to be erased of an account that was closed elsewhere. That it is noted is enough if there is no room now.
    pub fn look_for_closures(&self) {
        drop(self.enter(Entry::Look));
    }

    /// Takes nothing more. Blocks while the queue is full.
    pub(crate) fn close(&self) {
        // The thread may be gone already.
        let _ = self.queue.blocking_send(Entry::Stop);
    }

    /// Fetches the key log of an account of another domain, if it is not known here.
    pub async fn learn(&self, id: &AccountId, home: &Domain) -> Result<Arc<Account>> {
        if let Some(known) = self.accounts.get(id)? {
            return Ok(known);
        }
        self.refresh(id, home).await
    }

    /// Fetches the key log of an account of another domain, and merges it with what is known. If that domain says that the account moved on, the one that it
    /// names is asked: the new home says so, not the old one.
    pub async fn refresh(&self, id: &AccountId, home: &Domain) -> Result<Arc<Account>> {
        let mut asked = home.clone();
        for _ in 0..MOVES_FOLLOWED_MAX {
            let ops = self.ask_for_keys(id, &asked).await?;
            let log = KeyLog::from_ops(ops.iter().cloned()).map_err(refused_op)?;
            if log.account() != *id {
                return Err(NodeError::Remote { domain: asked.to_string(), detail: "it answered another account's key log".into() });
            }
            let lives_at = log.view().address().domain().clone();
            if lives_at == asked {
                return self.believe(id, &asked, ops).await;
            }
            asked = lives_at;
        }
        Err(NodeError::Remote { domain: home.to_string(), detail: "the account seems to have moved again and again".into() })
    }

    /// Asks a domain for a key log.
    async fn ask_for_keys(&self, id: &AccountId, home: &Domain) -> Result<Vec<LoggedOp>> {
        if home == self.domain() {
            return Err(NodeError::NotFound("account"));
        }
        let remote = |detail: String| NodeError::Remote { domain: home.to_string(), detail };
        let path = format!("/mesh/v1/accounts/{id}/keys");
        let answer = tokio::time::timeout(KEYS_WAIT, self.transport.get(home, &path)).await;
        let answer = answer.map_err(|_| remote("it takes too long".into()))?.map_err(|error| remote(error.to_string()))?;
        if answer.status != 200 {
            return Err(remote(format!("HTTP status {} for the account's keys", answer.status)));
        }
        let keys: KeysView = serde_json::from_slice(&answer.body).map_err(|error| remote(error.to_string()))?;
        Ok(keys.ops)
    }

    /// Merges what an account's own home says of it.
    async fn believe(&self, id: &AccountId, home: &Domain, ops: Vec<LoggedOp>) -> Result<Arc<Account>> {
        let peer = self.peers.discover(home, None).await?;
        let (accounts, bus, queue) = (Arc::clone(&self.accounts), Arc::clone(&self.bus), self.queue.clone());
        let (wanted, now_ms) = (*id, self.clock.now_ms());
        tokio::task::spawn_blocking(move || {
            let merged = accounts.merge(&wanted, &ops, Sender { domain: Some((peer.domain(), peer.no())), now_ms })?;
            bus.waiting_for(merged.moved_to);
            if merged.erases {
                // That it is noted is enough if there is no room now.
                drop(queue.try_send(Entry::Look));
            }
            accounts.expect(&wanted)
        })
        .await
        .map_err(|_| NodeError::Stopping)?
    }

    /// Whether copies are kept here of what people of other domains say.
    pub fn mirrors(&self) -> bool {
        self.room.mirrors_max > 0
    }

    /// Adds a key operation of an account of this domain.
    pub async fn add_key(&self, account: Arc<Account>, envelope: Envelope) -> Result<KeysAdded> {
        self.check_home(&account)?;
        let op = KeyOp::open(&envelope).map_err(|error| refused_op(error.into()))?;
        if op.head.account != Some(account.id()) {
            return Err(NodeError::refused(code::MALFORMED, "the operation is of another account"));
        }
        if matches!(op.action, Action::HomeMove { .. } | Action::MirrorSet { .. }) {
            // Nobody else is asked for what is refused anyway.
            let logged = LoggedOp { envelope: envelope.clone(), received: self.clock.now_ms() };
            account.log.clone().insert(logged).map_err(refused_op)?;
        }
        match &op.action {
            Action::HomeMove { address } if address.domain() == self.domain() => crate::registration::check_user(address.user())?,
            // Who leaves is followed to where there is somebody.
            Action::HomeMove { address } => drop(self.peers.discover(address.domain(), None).await?),
            Action::MirrorSet { mirrors } => self.meet(mirrors.iter().cloned().collect()).await,
            _ => {}
        }
        let (answer, answered) = oneshot::channel();
        self.enter(Entry::Key(account, Box::new(envelope), answer))?;
        answered.await.map_err(|_| NodeError::Stopping)?
    }

    /// Registers a new account.
    pub async fn register(&self, new: NewAccount) -> Result<Registered> {
        let op = KeyOp::open(&new.genesis).map_err(|error| refused_op(error.into()))?;
        op.verify(&new.genesis).map_err(|error| refused_op(error.into()))?;
        let Action::Genesis { address, .. } = &op.action else {
            return Err(NodeError::refused(code::MALFORMED, "an account starts with a genesis operation"));
        };
        if address.domain() != self.domain() {
            return Err(NodeError::refused(code::NOT_HOME, format!("this is {}: register {address} at its own domain", self.domain())));
        }
        crate::registration::check_user(address.user())?;
        let id = AccountId::from_hash(*op.id.hash());
        let invite = match self.accounts.get(&id)? {
            Some(_) => None,
            None => self.registrar.admit(&new.admission, id)?,
        };
        let (answer, answered) = oneshot::channel();
        self.enter(Entry::Register(Box::new(new.genesis), invite, answer))?;
        let registered = answered.await.map_err(|_| NodeError::Stopping)?;
        match registered {
            Err(NodeError::Store(mesh_store::StoreError::ConditionFailed { .. })) => {
                Err(NodeError::refused(code::REGISTRATION, "the name or the invite was used a moment ago"))
            }
            other => other,
        }
    }

    /// What an account of this domain would withdraw to undo its statement of `kind` about an object.
    pub fn acts(&self, actor: &Account, kind: Kind, object: &[u8; 32]) -> Result<Acts> {
        let lid = act(&*self.kv, actor.lid, kind, object)?;
        let record: Option<RecordId> = match lid {
            Some(lid) => Reference::get(&*self.kv, lid)?.map(|reference| reference.id),
            None => None,
        };
        Ok(Acts { records: record.into_iter().collect() })
    }
}

pub(super) fn refused_record(error: &RecordError) -> NodeError {
    let code = match error {
        RecordError::Future => code::FUTURE,
        RecordError::Field { rule: "is longer than its limit", .. } => code::TOO_LARGE,
        _ => code::MALFORMED,
    };
    NodeError::refused(code, error.to_string())
}
