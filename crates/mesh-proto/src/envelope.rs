//! The envelope: opaque bytes, their type, one signature (DSSE v1).
//!
//! What is signed is the pre-authentication encoding of the exact bytes; nothing is ever re-serialised. The carrier is the DSSE JSON
//! object with base64url. The signature does not name its key: the body does, and the key log says what that key may do.

pub(crate) mod body;
pub mod counter;
pub mod rules;
pub mod ruling;

use crate::bytes::{Signature, base64url, from_base64url, hash_id};
use crate::key::{KeyError, SecretKey, Verifier};
use crate::limits::{BODY_BYTES_MAX, ENVELOPE_BYTES_MAX};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

hash_id! {
    /// The id of a signed statement: the hash of its pre-authentication encoding, not of its signature.
    RecordId, "record id"
}

/// What an envelope carries. The number is part of log leaves and of stored rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A key operation.
    Key = 1,
    /// A name binding. It appears in the log only, never in an envelope.
    Name = 2,
    /// A domain's answer to a challenge.
    Challenge = 3,
    /// A home's word on what it counts.
    Counter = 4,
    /// What a domain's operators decided.
    Ruling = 5,
    /// The rules of a domain.
    Rules = 6,
    /// Who an account is, in its own words.
    Profile = 16,
    /// A post.
    Post = 17,
    /// A comment on a post or on another comment.
    Comment = 18,
    /// A like.
    Like = 19,
    /// A subscription to an account.
    Subscribe = 20,
    /// A repost.
    Repost = 21,
    /// The withdrawal of a record.
    Retract = 22,
    /// A report to the object's home.
    Report = 23,
    /// A vote in a poll.
    Vote = 24,
}

impl Kind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Kind; 15] = [
        Kind::Key,
        Kind::Name,
        Kind::Challenge,
        Kind::Counter,
        Kind::Ruling,
        Kind::Rules,
        Kind::Profile,
        Kind::Post,
        Kind::Comment,
        Kind::Like,
        Kind::Subscribe,
        Kind::Repost,
        Kind::Retract,
        Kind::Report,
        Kind::Vote,
    ];

    /// The word for this kind, in types, paths and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Key => "key",
            Kind::Name => "name",
            Kind::Challenge => "challenge",
            Kind::Counter => "counter",
            Kind::Ruling => "ruling",
            Kind::Rules => "rules",
            Kind::Profile => "profile",
            Kind::Post => "post",
            Kind::Comment => "comment",
            Kind::Like => "like",
            Kind::Subscribe => "subscribe",
            Kind::Repost => "repost",
            Kind::Retract => "retract",
            Kind::Report => "report",
            Kind::Vote => "vote",
        }
    }

    /// The kind with this number.
    pub fn from_number(number: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| *kind as u8 == number)
    }

    /// The DSSE payload type, `application/vnd.mesh.<kind>.v1+json`.
    pub fn payload_type(self) -> String {
        format!("application/vnd.mesh.{}.v1+json", self.name())
    }

    /// The kind of a payload type.
    pub fn from_payload_type(text: &str) -> Option<Kind> {
        let name = text.strip_prefix("application/vnd.mesh.")?.strip_suffix(".v1+json")?;
        Kind::ALL.into_iter().find(|kind| kind.name() == name && *kind != Kind::Name)
    }

    /// Whether an actor has at most one live statement of this kind about one object.
    pub const fn is_once_per_object(self) -> bool {
        matches!(self, Kind::Like | Kind::Subscribe | Kind::Repost | Kind::Vote)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Kind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Kind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| serde::de::Error::custom(format!("unknown kind {name:?}")))
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Kind {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .enum_values(Some(Kind::ALL.map(Kind::name)))
            .into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Kind {}

/// Why a carrier is not an envelope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// The payload type is not one of this protocol version.
    #[error("unknown payload type {0:?}")]
    UnknownType(String),
    /// There is not exactly one signature.
    #[error("an envelope carries exactly one signature, not {0}")]
    SignatureCount(usize),
    /// A base64url field is malformed.
    #[error(transparent)]
    Text(#[from] crate::bytes::TextError),
    /// The body is larger than [`BODY_BYTES_MAX`], or a carrier that stands alone than [`ENVELOPE_BYTES_MAX`].
    #[error("{0} bytes: a body has at most {BODY_BYTES_MAX}, its carrier at most {ENVELOPE_BYTES_MAX}")]
    TooLarge(usize),
    /// The carrier is not the JSON object that an envelope is.
    #[error("the carrier is not a DSSE envelope: {0}")]
    Carrier(String),
}

/// A signed statement: its kind, the exact signed bytes, one signature. Nothing about it is verified yet.
#[derive(Clone, PartialEq, Eq)]
pub struct Envelope {
    kind: Kind,
    body: Vec<u8>,
    signature: Signature,
}

impl Envelope {
    /// Puts together what was received or stored.
    pub fn new(kind: Kind, body: Vec<u8>, signature: Signature) -> Result<Self, EnvelopeError> {
        if body.len() > BODY_BYTES_MAX {
            return Err(EnvelopeError::TooLarge(body.len()));
        }
        Ok(Self { kind, body, signature })
    }

    /// Signs `body` as a statement of `kind`.
    pub fn sign(kind: Kind, body: Vec<u8>, key: &SecretKey) -> Self {
        let signature = key.sign(&pae(kind, &body));
        Self { kind, body, signature }
    }

    /// What the envelope carries.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The exact signed bytes: strict I-JSON.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The signature over [`pae`].
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The bytes that are signed and hashed. Compute them once: [`RecordId`] and verification both need them.
    pub fn pae(&self) -> Vec<u8> {
        pae(self.kind, &self.body)
    }

    /// The statement's id.
    pub fn id(&self) -> RecordId {
        id_of_pae(&self.pae())
    }

    /// Verifies the signature under a key that the key log allows.
    pub fn verify(&self, key: &Verifier) -> Result<(), KeyError> {
        key.verify(&self.pae(), &self.signature)
    }

    /// Parses the carrier JSON.
    pub fn from_json(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        if bytes.len() > ENVELOPE_BYTES_MAX {
            return Err(EnvelopeError::TooLarge(bytes.len()));
        }
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let carrier: Result<Carrier<'_>, _> = crate::envelope::body::object(&mut json);
        let carrier = carrier.and_then(|carrier| json.end().map(|()| carrier));
        carrier.map_err(|e| EnvelopeError::Carrier(e.to_string()))?.open()
    }

    /// The carrier JSON.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an envelope has only string fields")
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Envelope({} {}, {} bytes)", self.kind, self.id(), self.body.len())
    }
}

/// DSSE v1 pre-authentication encoding: `"DSSEv1" SP len(type) SP type SP len(body) SP body`, lengths in ASCII decimal.
pub fn pae(kind: Kind, body: &[u8]) -> Vec<u8> {
    let payload_type = kind.payload_type();
    let mut out = Vec::with_capacity(payload_type.len() + body.len() + 24);
    out.extend_from_slice(format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), body.len()).as_bytes());
    out.extend_from_slice(body);
    out
}

/// The id of the statement with this pre-authentication encoding.
pub fn id_of_pae(pae: &[u8]) -> RecordId {
    RecordId::from_hash(Sha256::digest(pae).into())
}

/// The carrier JSON of DSSE, borrowed from the input where it can be.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Carrier<'a> {
    #[serde(borrow)]
    payload_type: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    payload: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    signatures: Vec<SignatureObject<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct SignatureObject<'a>(#[serde(borrow, deserialize_with = "crate::envelope::body::object")] CarrierSignature<'a>);

#[derive(Serialize, Deserialize)]
struct CarrierSignature<'a> {
    #[serde(borrow)]
    sig: std::borrow::Cow<'a, str>,
}

impl Carrier<'_> {
    fn open(self) -> Result<Envelope, EnvelopeError> {
        let kind = Kind::from_payload_type(&self.payload_type).ok_or_else(|| EnvelopeError::UnknownType(self.payload_type.to_string()))?;
        let [signature] = self.signatures.as_slice() else {
            return Err(EnvelopeError::SignatureCount(self.signatures.len()));
        };
        let signature = signature.0.sig.parse()?;
        Envelope::new(kind, from_base64url(&self.payload, "payload")?, signature)
    }
}

impl Serialize for Envelope {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Carrier {
            payload_type: self.kind.payload_type().into(),
            payload: base64url(&self.body).into(),
            signatures: vec![SignatureObject(CarrierSignature { sig: self.signature.to_string().into() })],
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Envelope {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::envelope::body::object::<_, Carrier<'de>>(deserializer)?.open().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Envelope {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::{ArrayBuilder, ObjectBuilder, schema::Type};
        let text = || ObjectBuilder::new().schema_type(Type::String);
        ObjectBuilder::new()
            .description(Some("A DSSE v1 envelope: base64url without padding, exactly one signature."))
            .property("payloadType", text())
            .property("payload", text())
            .property("signatures", ArrayBuilder::new().items(ObjectBuilder::new().property("sig", text()).required("sig")))
            .required("payloadType")
            .required("payload")
            .required("signatures")
            .into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Envelope {}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed() -> Envelope {
        Envelope::sign(Kind::Like, br#"{"a":1}"#.to_vec(), &SecretKey::from_seed(&[1; 32]))
    }

    #[test]
    fn pae_is_dsse_v1() {
        let expected = b"DSSEv1 33 application/vnd.mesh.like.v1+json 7 {\"a\":1}".to_vec();
        assert_eq!(pae(Kind::Like, br#"{"a":1}"#), expected.as_slice());
    }

    #[test]
    fn carrier_round_trips() {
        let envelope = signed();
        assert_eq!(Envelope::from_json(&envelope.to_json()), Ok(envelope));
    }

    #[test]
    fn one_kind_never_stands_for_another() {
        let like = signed();
        let repost = Envelope::new(Kind::Repost, like.body().to_vec(), *like.signature()).expect("small");
        let key = SecretKey::from_seed(&[1; 32]).id().verifier().expect("a good key");
        assert_eq!(like.verify(&key), Ok(()));
        assert_eq!(repost.verify(&key), Err(KeyError::BadSignature));
        assert_ne!(like.id(), repost.id());
    }

    #[test]
    fn two_signatures_are_refused() {
        let mut json: serde_json::Value = serde_json::from_slice(&signed().to_json()).expect("json");
        let one = json["signatures"][0].clone();
        json["signatures"].as_array_mut().expect("array").push(one);
        assert_eq!(Envelope::from_json(json.to_string().as_bytes()), Err(EnvelopeError::SignatureCount(2)));
    }
}
