//! Asking other domains whom they know: what a home shows its own people and strangers must be what it shows everybody.

use super::proof::Verifying;
use super::{Mistrust, check};
use crate::error::{ClientError, Result};
use crate::home::Home;
use crate::limits::ELSEWHERE_MAX;
use futures_util::future::join_all;
use mesh_proto::address::{Address, Domain};
use mesh_proto::api::KeysKnown;
use mesh_proto::key::AccountId;
use mesh_proto::keylog::KeyLog;
use serde::Serialize;

/// What another domain knows of an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Known {
    /// The same account with the same key log.
    Same,
    /// The same account, but not its newest key operations.
    Behind,
    /// Nobody.
    Nobody,
    /// It did not answer, or not well; why.
    Silent(String),
}

impl Verifying {
    /// Asks other domains, at most [`ELSEWHERE_MAX`], whom they know under the address of this key log.
    ///
    /// # Errors
    /// [`Mistrust`] if one knows another account, or key operations that the home does not show.
    pub async fn elsewhere(&self, keys: &KeyLog, domains: &[Domain]) -> Result<Vec<(Domain, Known)>> {
        let home = keys.view().address().domain();
        let others = domains.iter().filter(|domain| *domain != home).take(ELSEWHERE_MAX);
        let asked = join_all(others.map(|domain| async move { (domain.clone(), self.known_at(domain, keys).await) })).await;
        let mut answers = Vec::with_capacity(asked.len());
        for (domain, known) in asked {
            match known {
                Ok(known) => answers.push((domain, known)),
                Err(error @ ClientError::Mistrust(_)) => return Err(error),
                Err(error) => answers.push((domain, Known::Silent(error.words()))),
            }
        }
        Ok(answers)
    }

    /// Checks that another domain knows nobody else under an address that was never met before.
    pub(super) async fn check_first(&self, address: &Address, account: &AccountId, via: Option<&Domain>) -> Result<()> {
        let Some(via) = via.filter(|via| *via != address.domain()) else { return Ok(()) };
        // That it does not answer is no reason to doubt the address.
        let known = self.home(via).known(address).await.unwrap_or_default();
        check_account(address, account, via, &known)
    }

    async fn known_at(&self, domain: &Domain, keys: &KeyLog) -> Result<Known> {
        let address = keys.view().address();
        let other = self.home(domain);
        let known = other.known(address).await?;
        check_account(address, &keys.account(), domain, &known)?;
        let Some(head) = known.iter().find_map(|known| known.head) else { return Ok(Known::Nobody) };
        if head == keys.head() {
            return Ok(Known::Same);
        }
        if keys.contains(&head) {
            return Ok(Known::Behind);
        }
        self.check_hidden(&other, keys).await
    }

    /// A domain knows a head that the home did not show. Perhaps it is newer than what was read a moment ago; else the home hides operations.
    async fn check_hidden(&self, other: &Home, keys: &KeyLog) -> Result<Known> {
        let account = keys.account();
        let shown = check::keys(other.keys(&account).await?, &account)?;
        let own = check::keys(self.home(keys.view().address().domain()).keys(&account).await?, &account)?;
        match shown.ops().map(|op| op.envelope.id()).find(|id| !own.contains(id)) {
            Some(head) => Err(Mistrust::Hidden { account, domain: other.domain().clone(), head }.into()),
            None => Ok(Known::Same),
        }
    }
}

fn check_account(address: &Address, account: &AccountId, domain: &Domain, known: &[KeysKnown]) -> Result<()> {
    match known.iter().find(|known| known.account != *account) {
        Some(other) => {
            let (address, domain) = (address.clone(), domain.clone());
            Err(Mistrust::KnownOtherwise { address, domain, there: other.account, here: *account }.into())
        }
        None => Ok(()),
    }
}
