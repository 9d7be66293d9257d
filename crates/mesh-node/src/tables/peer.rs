//! Other domains and their logs.

use super::codec::{Reader, damaged};
use super::{OriginNo, PeerNo};
use mesh_proto::address::Domain;
use mesh_proto::api::Discovery;
use mesh_proto::key::AccountId;
use mesh_proto::log::Origin;
use mesh_store::{Batch, KeyRange, Order, Read, Space, StoreError};
use serde::{Deserialize, Serialize};

/// What is stored of another domain.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PeerRow {
    pub(crate) no: u32,
    pub(crate) domain: Domain,
    /// What it last said of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) discovery: Option<Discovery>,
    /// Whether it answered a challenge: only then is anything delivered to it.
    #[serde(default)]
    pub(crate) challenged: bool,
}

impl PeerRow {
    pub(crate) fn no(&self) -> PeerNo {
        PeerNo(self.no)
    }

    pub(crate) fn put(&self, batch: &mut Batch) {
        let row = serde_json::to_vec(self).expect("a peer row has only plain fields");
        batch.put(Space::Peer, self.domain.as_str(), row);
    }

    pub(crate) fn all(read: &dyn Read, limit: usize) -> Result<Vec<Self>, StoreError> {
        let rows = read.scan(Space::Peer, &KeyRange::all(), Order::Forward, limit)?;
        rows.iter().map(|(_, row)| serde_json::from_slice(row).map_err(|_| damaged("peer"))).collect()
    }
}

/// A log as it is numbered: what an account brought along from a log for which nobody is known to vouch is kept apart from the log itself.
pub(crate) type NumberedLog = (Origin, Option<AccountId>);

pub(crate) fn put_origin(batch: &mut Batch, (origin, brought_by): &NumberedLog, no: OriginNo) {
    let key = brought_by.map_or_else(|| origin.to_string(), |account| format!("{origin} {account}"));
    batch.expect_absent(Space::Origin, &key);
    batch.put(Space::Origin, key, no.0.to_be_bytes());
}

pub(crate) fn origins(read: &dyn Read, limit: usize) -> Result<Vec<(NumberedLog, OriginNo)>, StoreError> {
    let rows = read.scan(Space::Origin, &KeyRange::all(), Order::Forward, limit)?;
    rows.iter()
        .map(|(key, row)| {
            let text = std::str::from_utf8(key).map_err(|_| damaged("origin"))?;
            let (origin, account) = text.split_once(' ').map_or((text, None), |(origin, account)| (origin, Some(account)));
            let origin = origin.parse().map_err(|_| damaged("origin"))?;
            let account = account.map(|account| account.parse().map_err(|_| damaged("origin"))).transpose()?;
            Ok(((origin, account), OriginNo(u32::from_be_bytes(Reader::new(row, "origin").array()?))))
        })
        .collect()
}

#[cfg(test)]
impl PeerRow {
    /// A domain that was met, one of whose keys is for everything.
    pub(crate) fn for_tests(no: u32, name: &str, key: mesh_proto::key::KeyId) -> Self {
        use mesh_proto::api::{DomainKey, DomainKeyUse, PolicyView, RegistrationMode};
        let domain: Domain = name.parse().expect("a domain");
        let discovery = Discovery {
            versions: vec![1],
            domain: domain.clone(),
            keys: [DomainKeyUse::Request, DomainKeyUse::Log].map(|key_use| DomainKey { id: key, key_use }).into(),
            origin: format!("{name}/log/1").parse().expect("an origin"),
            software: "played".into(),
            limits: Default::default(),
            policy: PolicyView { registration: RegistrationMode::Closed, mirrors: false },
        };
        Self { no, domain, discovery: Some(discovery), challenged: true }
    }
}
