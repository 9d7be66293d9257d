//! Who sent a request: RFC 9421 signatures by devices and by domains, and the window of nonces.
//!
//! The head is verified and its nonce remembered before anything of the body is read: for a stranger the server does neither.

use crate::App;
use crate::problem::{Answer, ApiError};
use axum::http::request::Parts;
use mesh_node::accounts::Account;
use mesh_node::peers::Peer;
use mesh_proto::address::Domain;
use mesh_proto::api::code;
use mesh_proto::http_signature::{ContentDigest, NonceError, ParsedSignature, RequestParts, Times, VerifiedHead};
use mesh_proto::key::{AccountId, KeyId, Verifier};
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

/// When to try again while the window of nonces is full: the life of a signature.
const BUSY_S: u64 = mesh_proto::limits::SIGNATURE_LIFE_S_MAX;

fn unauthenticated(error: impl std::fmt::Display) -> ApiError {
    ApiError::new(code::UNAUTHENTICATED, error.to_string())
}

/// Requires a signature by a live device of an account of this domain, over no body.
pub(crate) async fn device(app: &App, parts: &Parts) -> Answer<Arc<Account>> {
    let (account, head) = signer(app, parts)?;
    check_body(&head, &[])?;
    if !app.node.accounts.lives_here(&account) {
        return Err(ApiError::new(code::NOT_HOME, format!("the account's home is {}: ask there", account.home())));
    }
    Ok(account)
}

/// Requires that a request claims to be signed by a device of an account; whether it is is still to be verified.
pub(crate) fn check_claim(parts: &Parts, account: &AccountId) -> Answer<()> {
    let claimed = parse(parts)?.keyid().split_once('/').and_then(|(claimed, _)| claimed.parse::<AccountId>().ok());
    if claimed.as_ref() == Some(account) { Ok(()) } else { Err(unauthenticated("the account's own device must sign this")) }
}

/// Requires a signature by a live device of an account that is known here, wherever it lives. The body is still to be checked, with [`check_body`].
pub(crate) fn signer(app: &App, parts: &Parts) -> Answer<(Arc<Account>, VerifiedHead)> {
    let parsed = parse(parts)?;
    let (account, key) = parsed.keyid().split_once('/').ok_or_else(|| unauthenticated("keyid must be <account id>/<key id>"))?;
    let account: AccountId = account.parse().map_err(unauthenticated)?;
    let key: KeyId = key.parse().map_err(unauthenticated)?;
    let account = app.node.accounts.get(&account)?.ok_or_else(|| unauthenticated("the account is not known here"))?;
    let device = account.log.view().devices().get(&key).filter(|device| device.revoked.is_none());
    let verifier = device.ok_or_else(|| unauthenticated("the key is not a live device of the account"))?.verifier;
    let head = verify(app, parts, parsed, &verifier)?;
    Ok((account, head))
}

/// Requires a signature by a domain, whose keys are discovered if need be. The body is still to be checked, with [`check_body`].
pub(crate) async fn domain(app: &App, parts: &Parts, from: IpAddr) -> Answer<(Arc<Peer>, VerifiedHead)> {
    let parsed = parse(parts)?;
    let (name, key) = parsed.keyid().rsplit_once('/').ok_or_else(|| unauthenticated("keyid must be <domain>/<key id>"))?;
    let name: Domain = name.parse().map_err(unauthenticated)?;
    let key: KeyId = key.parse().map_err(unauthenticated)?;
    if name == *app.node.domain() {
        return Err(unauthenticated("a domain does not deliver to itself"));
    }
    parsed.check_times(times(app)).map_err(unauthenticated)?;
    if !app.node.peers.knows_key(&name, &key) {
        // This makes us ask another domain, so that it costs as much as a write.
        app.node.buckets.write(from)?;
    }
    let peer = app.node.peers.discover(&name, Some(&key)).await?;
    if peer.key(mesh_proto::api::DomainKeyUse::Request) != Some(key) {
        return Err(unauthenticated("the key is not the domain's request key"));
    }
    let verifier = key.verifier().map_err(unauthenticated)?;
    let head = verify(app, parts, parsed, &verifier)?;
    app.node.rulings.check_domain(&name)?;
    Ok((peer, head))
}

/// Compares what was received with what was signed.
pub(crate) fn check_body(head: &VerifiedHead, body: &[u8]) -> Answer<()> {
    head.check_body(ContentDigest::of(body)).map_err(unauthenticated)
}

fn parse(parts: &Parts) -> Answer<ParsedSignature> {
    let headers = parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    ParsedSignature::parse(headers).map_err(unauthenticated)
}

fn times(app: &App) -> Times {
    Times { now_s: app.node.clock().now_ms() / 1000, process_start_s: app.started_s }
}

fn verify(app: &App, parts: &Parts, parsed: ParsedSignature, key: &Verifier) -> Answer<VerifiedHead> {
    let times = times(app);
    // The target is built from our own name, never from what the client says that it is.
    let target = format!("{}{}", app.node.domain().base_url(), parts.uri.path_and_query().map_or("/", |path| path.as_str()));
    let request = RequestParts::new(parts.method.as_str(), &target).map_err(unauthenticated)?;
    let head = parsed.verify(request, key, times).map_err(unauthenticated)?;
    let mut nonces = app.nonces.lock().unwrap_or_else(PoisonError::into_inner);
    nonces.remember(&head, times.now_s).map_err(refused_nonce)?;
    Ok(head)
}

/// A replay is the sender's fault, a full window ours.
fn refused_nonce(error: NonceError) -> ApiError {
    match error {
        NonceError::Replayed => unauthenticated(error),
        NonceError::Busy => ApiError::busy(&error.to_string(), BUSY_S),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_window_of_nonces_is_our_fault_and_a_replay_is_not() {
        assert_eq!(refused_nonce(NonceError::Busy).code(), code::UNAVAILABLE);
        assert_eq!(refused_nonce(NonceError::Replayed).code(), code::UNAUTHENTICATED);
    }
}
