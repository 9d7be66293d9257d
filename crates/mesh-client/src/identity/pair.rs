//! Pairing: a new device asks, an old one compares a code and adds it.
//!
//! Both sides make the code from the account and the new device's key, so the server between them cannot put another key in its place.

use super::{Identity, NewDevice, Stage, StoredIdentity};
use crate::error::Result;
use crate::home::Home;
use crate::http::Http;
use crate::verify::Verifying;
use mesh_proto::api::{Pairing, PairingRequest};
use mesh_proto::key::{AccountId, SecretKey};
use mesh_proto::keylog::KeyLog;

/// Makes the identity of a device that waits to be added to the account of this key log.
pub fn create(http: &Http, keys: &KeyLog, device: NewDevice) -> Identity {
    let key = SecretKey::from_seed(&http.random());
    let stored = StoredIdentity {
        account: keys.account(),
        address: keys.view().address().clone(),
        device: key.id(),
        device_name: device.name,
        store: device.store,
        stage: Stage::Pairing,
    };
    Identity { stored, key }
}

/// The code that the person compares.
pub fn code(stored: &StoredIdentity) -> String {
    PairingRequest::code(&stored.account, &stored.device)
}

/// Asks the account's home to show the device to the others.
pub async fn request(home: &Home, stored: &StoredIdentity) -> Result<Pairing> {
    let request = PairingRequest { device: stored.device, name: stored.device_name.clone() };
    home.request_pairing(&stored.account, &request).await
}

/// Whether the device has been added.
pub async fn is_added(verifying: &Verifying, stored: &StoredIdentity) -> Result<bool> {
    let person = verifying.account(&stored.account, stored.address.domain()).await?;
    Ok(person.keys.view().is_live(&stored.device))
}

/// The request whose code was typed; case, spaces and hyphens do not matter.
pub fn matching<'a>(account: &AccountId, pairings: &'a [Pairing], typed: &str) -> Option<&'a Pairing> {
    let plain = |code: &str| code.chars().filter(|c| c.is_ascii_alphanumeric()).collect::<String>().to_ascii_lowercase();
    let typed = plain(typed);
    pairings.iter().find(|pairing| plain(&PairingRequest::code(account, &pairing.device)) == typed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_matched_as_people_type_it_and_never_by_its_start() {
        let pairing = |seed| Pairing { device: SecretKey::from_seed(&[seed; 32]).id(), name: String::new(), expires: 0 };
        let pairings = [pairing(1), pairing(2)];
        let account = AccountId::from_hash([7; 32]);
        let code = PairingRequest::code(&account, &pairings[1].device);
        let typed = format!(" {} ", code.to_uppercase().replace('-', " "));
        assert_eq!(matching(&account, &pairings, &typed), Some(&pairings[1]));
        assert_eq!(matching(&account, &pairings, &code[..9]), None);
        assert_eq!(matching(&account, &pairings, ""), None);
    }
}
