//! Reading other domains on behalf of this domain's readers, so that commenters' homes never see who reads.

pub(crate) mod asking;

use self::asking::Asking;
use crate::accounts::Account;
use crate::error::{NodeError, Result};
use crate::peers::{Peer, Peers};
use crate::records::Records;
use futures_util::StreamExt;
use mesh_proto::address::Domain;
use mesh_proto::api::{Card, Counts, Found, LoggedRecord, RecordView, RecordsBatch, RecordsBatchAnswer, Tombstone};
use mesh_proto::envelope::RecordId;
use mesh_proto::keylog::Status;
use mesh_proto::port::{Clock, Transport};
use mesh_proto::record::{Content, Record};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Domains that are asked for a record whose home is gone, how many at once, and how long each may take.
const ASKED_AROUND_MAX: usize = 256;
const ASKED_AT_ONCE: usize = 16;
const ASK_WAIT: Duration = Duration::from_secs(2);

/// The remote reading service.
pub struct Remote {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) records: Arc<Records>,
    pub(crate) asking: Asking,
}

/// Who says where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Its author's home, which answers for it.
    OfItsHome,
    /// Somebody, without a proof: then only a live device is believed.
    Claimed,
}

/// What a domain answered.
enum Answered {
    Here(Box<RecordView>),
    /// Its author lives elsewhere now.
    Moved(Domain),
}

impl Remote {
    pub(crate) fn new(transport: Arc<dyn Transport>, peers: Arc<Peers>, records: Arc<Records>, clock: Arc<dyn Clock>) -> Self {
        Self { transport, peers, records, asking: Asking::new(clock) }
    }

    /// A record from its home, verified against its author's key log; if its author moved, from the new home.
    /// If the home does not answer, other domains are asked: its author may live there by now, or have a copy there.
    pub async fn record(&self, home: &Domain, id: &RecordId) -> Result<RecordView> {
        let answered = match self.record_at(home, id).await {
            Err(error @ NodeError::Remote { .. }) => return self.ask_around(home, id).await.ok_or(error),
            answered => answered?,
        };
        match answered {
            Answered::Here(view) => Ok(*view),
            Answered::Moved(now) if now != *self.peers.own_domain() => match self.record_at(&now, id).await? {
                Answered::Here(view) => Ok(*view),
                Answered::Moved(again) => {
                    Err(NodeError::Remote { domain: now.to_string(), detail: format!("the author lives on {again}") })
                }
            },
            Answered::Moved(_) => Err(NodeError::NotFound("record")),
        }
    }

    /// Asks domains that are known here for a record whose home is gone. Only its author's key log says who it is by.
    async fn ask_around(&self, gone: &Domain, id: &RecordId) -> Option<RecordView> {
        let search = self.asking.begin(id)?;
        let others = self.peers.met().into_iter().filter(|peer| peer.domain() != gone).take(ASKED_AROUND_MAX);
        let cut_short = AtomicBool::new(false);
        let (asking, cut) = (&search, &cut_short);
        let found = futures_util::stream::iter(others).map(|peer| async move {
            if !asking.may_ask() {
                cut.store(true, Ordering::Relaxed);
                return None;
            }
            self.copy_at(&peer, id).await.ok()
        });
        let found = std::pin::pin!(found.buffer_unordered(ASKED_AT_ONCE).filter_map(std::future::ready)).next().await;
        if found.is_none() && !cut_short.into_inner() {
            search.in_vain();
        }
        found
    }

    /// A record as a domain has it that answers for it now.
    async fn copy_at(&self, peer: &Peer, id: &RecordId) -> Result<RecordView> {
        let domain = peer.domain();
        let remote = |detail: String| NodeError::Remote { domain: domain.to_string(), detail };
        let asked = serde_json::to_vec(&RecordsBatch { ids: vec![*id] }).expect("API types have only plain fields");
        let answer = tokio::time::timeout(ASK_WAIT, self.transport.post(domain, "/mesh/v1/records:batch", asked)).await;
        let answer = answer.map_err(|_| remote("it takes too long".into()))?.map_err(|error| remote(error.to_string()))?;
        let answer: RecordsBatchAnswer = serde_json::from_slice(&answer.body).map_err(|error| remote(error.to_string()))?;
        let Some(Found::Record(found)) = answer.records.into_iter().next() else { return Err(NodeError::NotFound("record")) };
        let record = Record::open(&found.envelope).map_err(|error| remote(error.to_string()))?;
        let actor = self.records.refresh(&record.head.actor, domain).await?;
        check_record(&found, id, &actor, Place::Claimed).map_err(remote)?;
        let id = record.content.revises().copied().unwrap_or(found.envelope.id());
        let url = format!("{}/@{}/{id}", actor.home().base_url(), actor.address().user());
        let parent = if let Content::Comment(comment) = &record.content { Some(comment.parent.id) } else { None };
        let card = Card {
            id,
            kind: record.kind(),
            actor: actor.id(),
            address: actor.address().clone(),
            leaf: found.leaf.clone(),
            received: found.opening.received,
            parent,
            disowned: false,
        };
        Ok(RecordView { card, record: Some(*found), tombstone: None, counts: Counts::new(), poll: None, url })
    }

    async fn record_at(&self, home: &Domain, id: &RecordId) -> Result<Answered> {
        debug_assert!(home != self.peers.own_domain());
        let remote = |detail: String| NodeError::Remote { domain: home.to_string(), detail };
        let answer = self.transport.get(home, &format!("/api/v1/records/{id}")).await.map_err(|error| remote(error.to_string()))?;
        match answer.status {
            200 => {}
            404 => return Err(NodeError::NotFound("record")),
            status => return Err(remote(format!("HTTP status {status}"))),
        }
        let mut view: RecordView = serde_json::from_slice(&answer.body).map_err(|error| remote(error.to_string()))?;
        let actor = self.author(&view, home).await?;
        if actor.home() != home {
            return Ok(Answered::Moved(actor.home().clone()));
        }
        match (&view.record, &view.tombstone) {
            (Some(found), _) => check_record(found, id, &actor, Place::OfItsHome).map_err(remote)?,
            (None, Some(tombstone)) => check_tombstone(tombstone, id, &actor).map_err(remote)?,
            (None, None) => return Err(remote("it answered neither the record nor its withdrawal".into())),
        }
        // What the reader is shown of the author comes from the author's key log, not from the answer.
        view.card.address = actor.address().clone();
        view.url = format!("{}/@{}/{}", actor.home().base_url(), actor.address().user(), view.card.id);
        Ok(Answered::Here(Box::new(view)))
    }

    /// The author that an answer names, with a key log that knows the head under which the record was signed.
    async fn author(&self, view: &RecordView, home: &Domain) -> Result<Arc<Account>> {
        let known = self.records.learn(&view.card.actor, home).await?;
        let signed_under = view.record.as_ref().and_then(|found| Record::open(&found.envelope).ok()).map(|record| record.head.keys);
        match signed_under {
            Some(head) if !known.log.contains(&head) => self.records.refresh(&view.card.actor, home).await,
            _ => Ok(known),
        }
    }
}

/// Whether a record is what was asked for: that version or an edit of that record, by its author.
fn check_record(found: &LoggedRecord, id: &RecordId, actor: &Account, place: Place) -> std::result::Result<(), String> {
    let record = Record::open(&found.envelope).map_err(|error| error.to_string())?;
    let opening = &found.opening;
    if (opening.record, opening.account, opening.kind) != (found.envelope.id(), actor.id(), found.envelope.kind()) {
        return Err("it answered a leaf that stands for something else".into());
    }
    let leaf = Some(&found.leaf).filter(|_| place == Place::OfItsHome);
    let key = actor.log.check_use(&record.head.device, &record.head.keys, leaf).map_err(|error| error.to_string())?;
    let asked_for = found.envelope.id() == *id || record.content.revises() == Some(id);
    let signed = record.head.actor == actor.id() && found.envelope.verify(key).is_ok();
    if asked_for && signed { Ok(()) } else { Err("it answered a record that its author did not sign".into()) }
}

/// Whether a withdrawal is signed by the record's author, who may have withdrawn everything at once.
fn check_tombstone(tombstone: &Tombstone, id: &RecordId, actor: &Account) -> std::result::Result<(), String> {
    if actor.log.view().status() == Status::Closed {
        // Closing an account withdraws all that it said; its key log proves that.
        return if tombstone.id == *id { Ok(()) } else { Err("it answered the withdrawal of another record".into()) };
    }
    let retract = tombstone.retract.as_ref().ok_or("it answered a withdrawal without its signature")?;
    let record = Record::open(retract).map_err(|error| error.to_string())?;
    let key = actor.log.check_use(&record.head.device, &record.head.keys, None).map_err(|error| error.to_string())?;
    let withdraws = matches!(&record.content, Content::Retract(withdrawn) if withdrawn.object == *id) && tombstone.id == *id;
    if withdraws && retract.verify(key).is_ok() { Ok(()) } else { Err("it answered a withdrawal that its author did not sign".into()) }
}
