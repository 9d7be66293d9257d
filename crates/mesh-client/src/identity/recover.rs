//! Recovery: the phrase on a new machine brings the account back.

use super::create::root_key;
use crate::error::{ClientError, Result};
use crate::verify::{Person, Verifying};
use mesh_proto::address::Address;
use mesh_proto::key::SecretKey;
use mesh_proto::keylog::KeyLog;
use mesh_proto::phrase::Phrase;
use mesh_proto::uri;

/// An account whose root key is at hand.
#[derive(Debug)]
pub struct Recovery {
    /// The account.
    pub person: Person,
    /// Its root key; it is dropped with this.
    pub root: SecretKey,
}

/// Finds the account of an address and checks that the phrase is its phrase.
///
/// # Errors
/// [`ClientError::NotAllowed`] if the phrase stands for another root key.
pub async fn find(verifying: &Verifying, address: &Address, phrase: &Phrase, now_ms: u64) -> Result<Recovery> {
    let person = verifying.person(&uri::Person::Address(address.clone()), None).await?;
    let root = root_of(&person.keys, phrase, now_ms)?;
    Ok(Recovery { person, root })
}

/// The root key of an account from its phrase.
///
/// # Errors
/// [`ClientError::NotAllowed`] if the phrase stands for another root key.
pub fn root_of(keys: &KeyLog, phrase: &Phrase, now_ms: u64) -> Result<SecretKey> {
    let root = root_key(phrase);
    if root.id() == keys.view().root_at(now_ms) {
        return Ok(root);
    }
    let address = keys.view().address();
    Err(ClientError::NotAllowed(format!(
        "this is not the recovery phrase of {address}: check the address, or whether the phrase was replaced since"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_proto::keylog::{Action, LoggedOp, NewOp};

    #[test]
    fn only_the_phrase_of_the_genesis_gives_the_root_key() {
        let (phrase, other) = (Phrase::from_entropy([1; 32]), Phrase::from_entropy([2; 32]));
        let (root, device) = (root_key(&phrase), SecretKey::from_seed(&[3; 32]));
        let address = "neo@one.localhost:8001".parse().expect("an address");
        let action = Action::Genesis { root: root.id(), device: device.id(), address, name: String::new() };
        let genesis = NewOp { follows: None, action, at: 1, salt: mesh_proto::bytes::Salt([0; 16]) }.sign(&root);
        let keys = KeyLog::from_genesis(LoggedOp { envelope: genesis, received: 1 }).expect("good");
        assert_eq!(root_of(&keys, &phrase, 2).expect("the phrase").id(), root.id());
        assert!(matches!(root_of(&keys, &other, 2), Err(ClientError::NotAllowed(_))));
    }
}
