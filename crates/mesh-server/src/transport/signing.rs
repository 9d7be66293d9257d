//! What this domain signs when it asks another one for something: the headers and the body as they are sent. Sends nothing.

use mesh_proto::address::Domain;
use mesh_proto::bytes::base64url;
use mesh_proto::http_signature::{
    CONTENT_DIGEST, ContentDigest, RequestParts, SIGNATURE, SIGNATURE_INPUT, SignatureError, SignatureInput, sign,
};
use mesh_proto::key::SecretKey;
use mesh_proto::limits::SIGNATURE_LIFE_S_MAX;
use mesh_proto::port::{Clock, Rng, random};
use std::sync::Arc;

/// Bodies from this size on are compressed.
const COMPRESS_FROM: usize = 1024;

/// Signs the requests of one domain.
pub struct Signer {
    domain: Domain,
    key: SecretKey,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
}

/// A `POST` of JSON, ready to be sent.
#[derive(Debug, Clone)]
pub struct Signed {
    /// Names and values of the headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body, compressed if the headers say so.
    pub body: Vec<u8>,
}

impl Signer {
    /// Signs for `domain` with its request key.
    pub fn new(domain: Domain, key: SecretKey, clock: Arc<dyn Clock>, rng: Arc<dyn Rng>) -> Self {
        Self { domain, key, clock, rng }
    }

    /// Who signs.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Compresses a body and signs its `POST` to another domain.
    ///
    /// # Errors
    /// If the path is too long to be signed.
    pub fn sign(&self, to: &Domain, path: &str, body: Vec<u8>) -> Result<Signed, SignatureError> {
        let target = format!("{}{path}", to.base_url());
        let compressed = (body.len() >= COMPRESS_FROM).then(|| zstd::bulk::compress(&body, 1).ok()).flatten();
        let is_compressed = compressed.is_some();
        let body = compressed.unwrap_or(body);
        let now_s = self.clock.now_ms() / 1000;
        let nonce = base64url(&random::<16>(&*self.rng));
        let keyid = format!("{}/{}", self.domain, self.key.id());
        let input = SignatureInput::new(now_s, now_s + SIGNATURE_LIFE_S_MAX, &nonce, &keyid)?;
        let parts = RequestParts::new("POST", &target)?;
        let signature = sign(parts, ContentDigest::of(&body), &input, |base| self.key.sign(base).0);
        let mut headers = vec![
            ("content-type", "application/json".to_owned()),
            (CONTENT_DIGEST, signature.content_digest),
            (SIGNATURE_INPUT, signature.signature_input),
            (SIGNATURE, signature.signature),
        ];
        if is_compressed {
            headers.push(("content-encoding", "zstd".to_owned()));
        }
        Ok(Signed { headers, body })
    }
}
