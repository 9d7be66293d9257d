//! Reading other domains on behalf of this domain's readers, so that commenters' homes never see who reads.

use crate::error::{NodeError, Result};
use crate::peers::Peers;
use crate::records::Records;
use mesh_proto::address::Domain;
use mesh_proto::api::RecordView;
use mesh_proto::envelope::RecordId;
use mesh_proto::port::Transport;
use mesh_proto::record::Record;
use std::sync::Arc;

/// The remote reading service.
pub struct Remote {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) records: Arc<Records>,
}

impl Remote {
    /// A record from its home, verified against its author's key log.
    pub async fn record(&self, home: &Domain, id: &RecordId) -> Result<RecordView> {
        debug_assert!(home != self.peers.own_domain());
        let remote = |detail: String| NodeError::Remote { domain: home.to_string(), detail };
        let answer = self.transport.get(home, &format!("/api/v1/records/{id}")).await.map_err(|error| remote(error.to_string()))?;
        match answer.status {
            200 => {}
            404 => return Err(NodeError::NotFound("record")),
            status => return Err(remote(format!("HTTP status {status}"))),
        }
        let view: RecordView = serde_json::from_slice(&answer.body).map_err(|error| remote(error.to_string()))?;
        if let Some(found) = &view.record {
            let record = Record::open(&found.envelope).map_err(|error| remote(error.to_string()))?;
            let asked_for = found.envelope.id() == *id || record.content.revises() == Some(&view.card.id);
            let actor = self.records.learn(&record.head.actor, home).await?;
            let key = actor
                .log
                .check_use(&record.head.device, &record.head.keys, Some(&found.leaf))
                .map_err(|error| remote(error.to_string()))?;
            if !asked_for || found.envelope.verify(key).is_err() || view.card.actor != actor.id() {
                return Err(remote("it answered a record that its author did not sign".into()));
            }
        }
        Ok(view)
    }
}
