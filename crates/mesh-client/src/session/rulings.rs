//! What operators decided about one's account, records and reports, each verified under the key of the domain that decided.

use super::Session;
use crate::error::{ClientError, Result};
use crate::home::Home;
use mesh_proto::address::Domain;
use mesh_proto::api::DomainKeyUse;
use mesh_proto::key::Verifier;
use mesh_proto::ruling::Ruling;
use std::collections::BTreeMap;

impl Session {
    /// All rulings that the home tells of, in no order. One whose signature does not hold under its domain's key is an error.
    pub async fn rulings(&self) -> Result<Vec<Ruling>> {
        let mut keys: BTreeMap<Domain, Verifier> = BTreeMap::new();
        let mut rulings = Vec::new();
        for envelope in self.home().rulings(self.signer()).await?.rulings {
            let malformed = |error: mesh_proto::ruling::RulingError| ClientError::malformed(self.home().domain(), error.to_string());
            let domain = Ruling::read(&envelope).map_err(malformed)?.domain;
            let key = match keys.get(&domain) {
                Some(key) => key,
                None => {
                    let found = self.request_key(&domain).await?;
                    keys.entry(domain.clone()).or_insert(found)
                }
            };
            rulings.push(Ruling::open(&envelope, (&domain, key)).map_err(malformed)?);
        }
        Ok(rulings)
    }

    async fn request_key(&self, domain: &Domain) -> Result<Verifier> {
        let discovery = Home::new(self.home().http().clone(), domain.clone()).discovery().await?;
        let key = discovery.key(DomainKeyUse::Request).and_then(|key| key.verifier().ok());
        key.ok_or_else(|| ClientError::malformed(domain, "it shows no key for its word"))
    }
}
