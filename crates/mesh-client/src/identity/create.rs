//! Sign-up: a phrase, a genesis, a registration.

use super::{Identity, NewDevice, Stage, StoredIdentity};
use crate::error::{ClientError, Result};
use crate::home::Home;
use crate::http::Http;
use crate::limits::{SEND_PAUSE, SEND_TRIES_MAX, WORK_STEP};
use mesh_proto::address::{Address, Domain};
use mesh_proto::api::{Admission, NewAccount, Registered, Registration, RegistrationMode};
use mesh_proto::bytes::Salt;
use mesh_proto::key::{AccountId, SecretKey};
use mesh_proto::keylog::{Action, NewOp};
use mesh_proto::phrase::Phrase;
use mesh_proto::pow::{Challenge, solve_step};

/// A new recovery phrase.
pub fn new_phrase(http: &Http) -> Phrase {
    Phrase::from_entropy(http.random())
}

/// The root key that a phrase stands for.
pub fn root_key(phrase: &Phrase) -> SecretKey {
    SecretKey::from_seed(&phrase.root_seed())
}

/// The genesis of an account, not yet signed.
pub fn draft_genesis(http: &Http, address: &Address, keys: (&SecretKey, &SecretKey), device_name: &str) -> NewOp {
    let (root, device) = keys;
    let action = Action::Genesis { root: root.id(), device: device.id(), address: address.clone(), name: device_name.to_owned() };
    NewOp { follows: None, action, at: http.now_ms(), salt: Salt(http.random()) }
}

/// Makes a new identity: a device key and the genesis that the phrase's root key signs. Keep it before it is registered: sending the same
/// genesis again is the same registration, another one is another account.
pub fn create(http: &Http, address: &Address, phrase: &Phrase, device: NewDevice) -> Identity {
    let root = root_key(phrase);
    let key = SecretKey::from_seed(&http.random());
    let genesis = draft_genesis(http, address, (&root, &key), &device.name).sign(&root);
    let stored = StoredIdentity {
        account: AccountId::from_hash(*genesis.id().hash()),
        address: address.clone(),
        device: key.id(),
        device_name: device.name,
        store: device.store,
        stage: Stage::Registering { genesis: Box::new(genesis) },
    };
    Identity { stored, key }
}

/// Registers a created identity at its home. `worked` is told how many hashes were tried, if the home asks for work.
///
/// # Errors
/// [`ClientError::NotAllowed`] if the home takes nobody, or wants an invite that was not given; else what the home says.
pub async fn register(http: &Http, stored: &StoredIdentity, invite: Option<String>, worked: &mut dyn FnMut(u64)) -> Result<Registered> {
    let Stage::Registering { genesis } = &stored.stage else {
        return Err(ClientError::Input("this identity is registered already".to_owned()));
    };
    let home = Home::new(http.clone(), stored.address.domain().clone());
    let registration = home.registration().await?;
    let admission = admission((home.domain(), stored.account), (&registration, invite), worked)?;
    let request = NewAccount { genesis: (**genesis).clone(), admission };
    let mut tries = 1;
    let registered = loop {
        match home.register(&request).await {
            Err(error) if error.is_transient() && tries < SEND_TRIES_MAX => {
                crate::pause(SEND_PAUSE * 2_u32.pow(tries)).await;
                tries += 1;
            }
            other => break other?,
        }
    };
    if registered.account != stored.account || registered.address != stored.address {
        return Err(ClientError::malformed(home.domain(), "it registered another account than was asked for"));
    }
    Ok(registered)
}

/// Whether the rules of a home let somebody in at all.
pub(crate) fn check_rules(domain: &Domain, registration: &Registration, invite: Option<&str>) -> Result<()> {
    let refused = match registration.mode {
        RegistrationMode::Invite if invite.is_none() => {
            format!("{domain} takes people with an invite only: ask for a code and give it with --invite")
        }
        RegistrationMode::Closed => format!("{domain} takes nobody now: choose another home"),
        RegistrationMode::Open | RegistrationMode::Invite | RegistrationMode::ProofOfWork => return Ok(()),
    };
    Err(ClientError::NotAllowed(refused))
}

/// Does what the rules of a home ask for.
pub(crate) fn admission(
    who: (&Domain, AccountId),
    terms: (&Registration, Option<String>),
    worked: &mut dyn FnMut(u64),
) -> Result<Admission> {
    let ((domain, account), (registration, invite)) = (who, terms);
    check_rules(domain, registration, invite.as_deref())?;
    let mut admission = Admission { invite, ..Admission::default() };
    if registration.mode == RegistrationMode::ProofOfWork {
        let missing = || ClientError::malformed(domain, "it asks for work without saying how much");
        let salt = registration.pow_salt.clone().ok_or_else(missing)?;
        let bits = registration.pow_bits.ok_or_else(missing)?;
        let parsed: Salt = salt.parse().map_err(|error| ClientError::malformed(domain, error))?;
        let challenge = Challenge::new(domain.clone(), parsed, bits, account).map_err(|error| ClientError::malformed(domain, error))?;
        admission.pow_nonce = Some(work(&challenge, worked));
        admission.pow_salt = Some(salt);
    }
    Ok(admission)
}

fn work(challenge: &Challenge, worked: &mut dyn FnMut(u64)) -> u64 {
    let mut start = 0;
    loop {
        if let Some(nonce) = solve_step(challenge, start, WORK_STEP) {
            return nonce;
        }
        start += u64::from(WORK_STEP);
        worked(start);
    }
}
