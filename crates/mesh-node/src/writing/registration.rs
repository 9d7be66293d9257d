//! Who may register, and what names may be had.

use crate::error::{NodeError, Result};
use mesh_proto::address::{Domain, User};
use mesh_proto::api::{Admission, Invite, Registration, RegistrationMode, code};
use mesh_proto::bytes::{Salt, base64url};
use mesh_proto::key::AccountId;
use mesh_proto::port::{Clock, Rng, random};
use mesh_proto::pow::Challenge;
use mesh_store::{Batch, Kv, Space};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// How long one proof-of-work salt is given out; it is accepted for twice as long.
const POW_SALT_MS: u64 = 10 * 60 * 1000;
/// Longest invite code, characters.
const INVITE_CHARS_MAX: usize = 64;

/// The operator's choice.
#[derive(Debug, Clone, Copy)]
pub struct RegistrationRules {
    /// Who may register.
    pub mode: RegistrationMode,
    /// With proof of work: leading zero bits.
    pub pow_bits: u8,
}

/// The registrar.
pub struct Registrar {
    kv: Arc<dyn Kv>,
    clock: Arc<dyn Clock>,
    domain: Domain,
    rules: RegistrationRules,
    /// Salts are made from it and the time, so that none need be remembered.
    secret: [u8; 32],
}

impl Registrar {
    pub(crate) fn new(kv: Arc<dyn Kv>, clock: Arc<dyn Clock>, rng: &dyn Rng, domain: Domain, rules: RegistrationRules) -> Self {
        Self { kv, clock, domain, rules, secret: random(rng) }
    }

    /// What registering takes now.
    pub fn rules(&self) -> Registration {
        let work = self.rules.mode == RegistrationMode::ProofOfWork;
        Registration {
            mode: self.rules.mode,
            pow_bits: work.then_some(self.rules.pow_bits),
            pow_salt: work.then(|| self.salt(self.clock.now_ms() / POW_SALT_MS).to_string()),
        }
    }

    fn salt(&self, period: u64) -> Salt {
        let hash: [u8; 32] = Sha256::new_with_prefix(self.secret).chain_update(period.to_be_bytes()).finalize().into();
        let mut salt = [0; 16];
        salt.copy_from_slice(&hash[..16]);
        Salt(salt)
    }

    /// Whether a new account may come in; answers the invite that it uses up.
    pub(crate) fn admit(&self, shown: &Admission, account: AccountId) -> Result<Option<String>> {
        let refuse = |detail: &str| NodeError::refused(code::REGISTRATION, detail);
        match self.rules.mode {
            RegistrationMode::Open => Ok(None),
            RegistrationMode::Closed => Err(refuse("this domain takes no new accounts: choose another domain")),
            RegistrationMode::Invite => {
                let invite = shown.invite.clone().filter(|code| code.len() <= INVITE_CHARS_MAX);
                let invite = invite.ok_or_else(|| refuse("registering here takes an invite code: ask the operator for one"))?;
                let unused = self.kv.get(Space::Invite, invite.as_bytes())?.is_some_and(|used_by| used_by.is_empty());
                if unused { Ok(Some(invite)) } else { Err(refuse("the invite code is unknown or was used")) }
            }
            RegistrationMode::ProofOfWork => {
                let again = || refuse("registering here takes some work first: ask for the salt and try again");
                let salt: Salt = shown.pow_salt.as_ref().and_then(|salt| salt.parse().ok()).ok_or_else(again)?;
                let period = self.clock.now_ms() / POW_SALT_MS;
                if salt != self.salt(period) && salt != self.salt(period.saturating_sub(1)) {
                    return Err(refuse("the salt is too old: ask for a new one"));
                }
                let challenge =
                    Challenge::new(self.domain.clone(), salt, self.rules.pow_bits, account).map_err(|e| refuse(&e.to_string()))?;
                challenge.verify(shown.pow_nonce.ok_or_else(again)?).map_err(|error| refuse(&error.to_string()))?;
                Ok(None)
            }
        }
    }

    /// Makes an invite code that works once. Blocks until it is durable.
    pub fn invite(&self, rng: &dyn Rng) -> Result<Invite> {
        let code = base64url(&random::<15>(rng));
        let mut batch = Batch::new();
        batch.expect_absent(Space::Invite, &code).put(Space::Invite, &code, []);
        self.kv.commit(batch).wait()?;
        Ok(Invite { code })
    }
}

/// Names that nobody may take.
pub(crate) fn check_user(user: &User) -> Result<()> {
    if user.is_reserved() {
        return Err(NodeError::refused(code::NAME, format!("{user} is a reserved name: choose another one")));
    }
    Ok(())
}
