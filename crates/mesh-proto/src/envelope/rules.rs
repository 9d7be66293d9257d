//! The rules of a domain, in its operators' words: signed, numbered, and kept for ever. `spec/rules.md`.

use crate::address::Domain;
use crate::envelope::{Envelope, Kind};
use crate::json::{self, JsonError};
use crate::key::{KeyError, SecretKey, Verifier};
use crate::limits::TEXT_BYTES_MAX;
use serde::{Deserialize, Serialize};

/// The body of a `rules` envelope, signed by a domain with its `request` key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// The domain whose rules they are.
    pub domain: Domain,
    /// 1 for the first, one more for each later version.
    pub version: u32,
    /// The rules; paragraphs are parted by empty lines.
    pub text: String,
    /// Since when, milliseconds since the epoch.
    pub at: u64,
}

/// Why rules are none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// The envelope carries something else.
    #[error("the envelope carries a {0}, not rules")]
    Kind(Kind),
    /// The body is not as it should be.
    #[error("the rules are malformed")]
    Body(#[source] JsonError),
    /// The parts do not fit together.
    #[error("the rules {0}")]
    Rule(&'static str),
    /// The signature is not by the key.
    #[error("the signature of the rules does not hold")]
    Signature(#[source] KeyError),
}

impl Rules {
    /// Whether they may be signed.
    ///
    /// # Errors
    /// `Rule`, with what is wrong.
    pub fn check(&self) -> Result<(), RulesError> {
        if self.version == 0 {
            return Err(RulesError::Rule("have no version 0"));
        }
        if self.text.trim().is_empty() {
            return Err(RulesError::Rule("say nothing"));
        }
        if self.text.len() > TEXT_BYTES_MAX {
            return Err(RulesError::Rule("say more than 32,768 bytes"));
        }
        Ok(())
    }

    /// Signs them by the domain's request key.
    pub fn sign(&self, key: &SecretKey) -> Envelope {
        let body = serde_json::to_vec(self).expect("rules have only plain fields");
        Envelope::sign(Kind::Rules, body, key)
    }

    /// Reads them without verifying the signature: one's own.
    ///
    /// # Errors
    /// All but `Signature`.
    pub fn read(envelope: &Envelope) -> Result<Self, RulesError> {
        if envelope.kind() != Kind::Rules {
            return Err(RulesError::Kind(envelope.kind()));
        }
        let rules: Self = json::parse(envelope.body()).map_err(RulesError::Body)?;
        rules.check()?;
        Ok(rules)
    }

    /// Reads and verifies them under the request key of their domain.
    ///
    /// # Errors
    /// As each variant says.
    pub fn open(envelope: &Envelope, (domain, key): (&Domain, &Verifier)) -> Result<Self, RulesError> {
        let rules = Self::read(envelope)?;
        if rules.domain != *domain {
            return Err(RulesError::Rule("are another domain's"));
        }
        envelope.verify(key).map_err(RulesError::Signature)?;
        Ok(rules)
    }
}
