//! Rulings: what the operators of a domain decide about accounts, records, domains and reports, in a form that others can check. `spec/ruling.md`.

use crate::address::Domain;
use crate::envelope::{Envelope, Kind, RecordId, body};
use crate::json::{self, JsonError};
use crate::key::{AccountId, KeyError, SecretKey, Verifier};
use crate::limits::BIO_BYTES_MAX;
use crate::record::ReportReason;
use serde::{Deserialize, Serialize};

/// The body of a `ruling` envelope, signed by a domain with its `request` key. A later one about the same takes the place of an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ruling {
    /// The domain that decides.
    pub domain: Domain,
    /// What it decides about.
    #[serde(deserialize_with = "body::object")]
    pub about: About,
    /// What it decides.
    #[serde(deserialize_with = "body::word")]
    pub measure: Measure,
    /// Why.
    #[serde(deserialize_with = "body::word")]
    pub reason: ReportReason,
    /// In the operator's words; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// When, milliseconds since the epoch.
    pub at: u64,
}

/// What a ruling is about: an account; with `record`, one of its records; with `report`, a report that it made. Or a domain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    /// The account, the record's author, or who reported.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "body::present")]
    pub account: Option<AccountId>,
    /// One of its records, by its stable id.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "body::present")]
    pub record: Option<RecordId>,
    /// One of its reports.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "body::present")]
    pub report: Option<RecordId>,
    /// A domain.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "body::present")]
    pub domain: Option<Domain>,
}

/// What is decided. About a report it says what became of what was reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Measure {
    /// Nothing, or nothing any more.
    None,
    /// An account may not write, and what it said is not shown.
    Suspend,
    /// A record is not shown.
    Remove,
    /// Nothing is taken from a domain, and nothing of it is shown.
    Block,
    /// What a domain's people say is taken in, but neither shown below others' things nor counted.
    Probation,
}

/// Why a ruling is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RulingError {
    /// The envelope carries something else.
    #[error("the envelope carries a {0}, not a ruling")]
    Kind(Kind),
    /// The body is not as it should be.
    #[error("the ruling is malformed")]
    Body(#[source] JsonError),
    /// The parts do not fit together.
    #[error("the ruling {0}")]
    Rule(&'static str),
    /// The signature is not by the key.
    #[error("the ruling's signature does not hold")]
    Signature(#[source] KeyError),
}

impl Ruling {
    /// Whether its parts fit together.
    ///
    /// # Errors
    /// `Rule`, with what does not fit.
    pub fn check(&self) -> Result<(), RulingError> {
        use Measure::{Block, None as Nothing, Probation, Remove, Suspend};
        let About { account, record, report, domain } = &self.about;
        let fits = match (account, record, report, domain) {
            (Some(_), None, None, None) => matches!(self.measure, Nothing | Suspend),
            (Some(_), Some(_), None, None) => matches!(self.measure, Nothing | Remove),
            (Some(_), None, Some(_), None) => matches!(self.measure, Nothing | Suspend | Remove),
            (None, None, None, Some(domain)) if *domain != self.domain => matches!(self.measure, Nothing | Block | Probation),
            _ => return Err(RulingError::Rule("is about an account, a record, a report or another domain")),
        };
        if !fits {
            return Err(RulingError::Rule("has a measure that what it is about cannot have"));
        }
        if self.text.len() > BIO_BYTES_MAX {
            return Err(RulingError::Rule("says more than 4,096 bytes"));
        }
        Ok(())
    }

    /// Signs it by the domain's request key.
    pub fn sign(&self, key: &SecretKey) -> Envelope {
        let body = serde_json::to_vec(self).expect("a ruling has only plain fields");
        Envelope::sign(Kind::Ruling, body, key)
    }

    /// Reads one without verifying its signature: one's own, or one that was verified when it came.
    ///
    /// # Errors
    /// All but `Signature`.
    pub fn read(envelope: &Envelope) -> Result<Self, RulingError> {
        if envelope.kind() != Kind::Ruling {
            return Err(RulingError::Kind(envelope.kind()));
        }
        let ruling: Self = json::parse(envelope.body()).map_err(RulingError::Body)?;
        ruling.check()?;
        Ok(ruling)
    }

    /// Reads and verifies one under the request key of the domain that is believed to have made it.
    ///
    /// # Errors
    /// As each variant says.
    pub fn open(envelope: &Envelope, (domain, key): (&Domain, &Verifier)) -> Result<Self, RulingError> {
        let ruling = Self::read(envelope)?;
        if ruling.domain != *domain {
            return Err(RulingError::Rule("is another domain's"));
        }
        envelope.verify(key).map_err(RulingError::Signature)?;
        Ok(ruling)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ruling(about: About, measure: Measure) -> Ruling {
        let domain = "one.localhost:8001".parse().expect("a domain");
        Ruling { domain, about, measure, reason: ReportReason::Spam, text: String::new(), at: 1 }
    }

    #[test]
    fn only_what_fits_together_is_a_ruling() {
        let (account, record) = (AccountId::from_hash([1; 32]), RecordId::from_hash([2; 32]));
        let about = |record, report, domain: Option<&str>| About {
            account: domain.is_none().then_some(account),
            record,
            report,
            domain: domain.map(|domain| domain.parse().expect("a domain")),
        };
        for (about, good) in [
            (about(None, None, None), vec![Measure::None, Measure::Suspend]),
            (about(Some(record), None, None), vec![Measure::None, Measure::Remove]),
            (about(None, Some(record), None), vec![Measure::None, Measure::Suspend, Measure::Remove]),
            (about(None, None, Some("two.localhost:8002")), vec![Measure::None, Measure::Block, Measure::Probation]),
            (about(Some(record), Some(record), None), vec![]),
            (about(None, None, Some("one.localhost:8001")), vec![]),
            (About::default(), vec![]),
        ] {
            for measure in [Measure::None, Measure::Suspend, Measure::Remove, Measure::Block, Measure::Probation] {
                assert_eq!(ruling(about.clone(), measure).check().is_ok(), good.contains(&measure), "{about:?} {measure:?}");
            }
        }
    }

    #[test]
    fn ruling_of_another_domain_or_by_another_key_is_none() {
        let key = SecretKey::from_seed(&[1; 32]);
        let made = ruling(About { account: Some(AccountId::from_hash([1; 32])), ..About::default() }, Measure::Suspend);
        let envelope = made.sign(&key);
        let verifier = |key: &SecretKey| key.id().verifier().expect("a key");
        assert_eq!(Ruling::open(&envelope, (&made.domain, &verifier(&key))).expect("opens"), made);
        let other = "two.localhost:8002".parse().expect("a domain");
        assert!(matches!(Ruling::open(&envelope, (&other, &verifier(&key))), Err(RulingError::Rule(_))));
        let other = SecretKey::from_seed(&[2; 32]);
        assert!(matches!(Ruling::open(&envelope, (&made.domain, &verifier(&other))), Err(RulingError::Signature(_))));
    }
}
