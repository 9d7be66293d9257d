//! Who signs a request, and how: the client's half of `mesh_proto::http_signature`.

use super::Http;
use crate::error::{ClientError, Result};
use crate::limits::SIGNATURE_LIFE_S;
use mesh_proto::bytes::base64url;
use mesh_proto::http_signature::{CONTENT_DIGEST, ContentDigest, RequestParts, SIGNATURE, SIGNATURE_INPUT, SignatureInput, sign};
use mesh_proto::key::{AccountId, SecretKey};

/// A device of an account that signs requests, `keyid` = `<account id>/<key id>`.
#[derive(Debug, Clone)]
pub struct Signer {
    keyid: String,
    key: SecretKey,
}

impl Signer {
    /// The signer for a device of an account.
    pub fn new(account: &AccountId, key: SecretKey) -> Self {
        Self { keyid: format!("{account}/{}", key.id()), key }
    }

    /// The three headers for a request, `(method, target URI)`, with this body.
    pub(super) fn headers(&self, http: &Http, request: (&str, &str), body: &[u8]) -> Result<[(&'static str, String); 3]> {
        let unsignable =
            |error: mesh_proto::http_signature::SignatureError| ClientError::Input(format!("the request cannot be signed: {error}"));
        let created_s = http.now_ms() / 1000;
        let nonce = base64url(&http.random::<16>());
        let input = SignatureInput::new(created_s, created_s + SIGNATURE_LIFE_S, &nonce, &self.keyid).map_err(unsignable)?;
        let parts = RequestParts::new(request.0, request.1).map_err(unsignable)?;
        let signed = sign(parts, ContentDigest::of(body), &input, |base| self.key.sign(base).0);
        Ok([(CONTENT_DIGEST, signed.content_digest), (SIGNATURE_INPUT, signed.signature_input), (SIGNATURE, signed.signature)])
    }
}
