//! What others find first: `/.well-known/mesh` and WebFinger.

use super::accounts::{blocking, find};
use crate::App;
use crate::extract::Query;
use crate::problem::{Answer, ApiError};
use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use mesh_proto::api::{Discovery, DomainKey, DomainKeyUse, LimitView, PolicyView, code};
use mesh_proto::limits;
use serde::Deserialize;
use serde_json::json;

/// What this domain is and demands.
#[utoipa::path(get, path = "/.well-known/mesh", responses((status = 200, body = Discovery)))]
pub(crate) async fn discovery(State(app): State<App>) -> Json<Discovery> {
    Json(Discovery {
        versions: vec![1],
        domain: app.node.domain().clone(),
        keys: vec![
            DomainKey { id: app.node.request_key().id(), key_use: DomainKeyUse::Request },
            DomainKey { id: app.node.log.key_id(), key_use: DomainKeyUse::Log },
        ],
        origin: app.node.log.origin().clone(),
        software: crate::SOFTWARE.into(),
        limits: published_limits(&app),
        policy: PolicyView { registration: app.node.registrar.rules().mode, mirrors: app.node.records.mirrors() },
    })
}

/// The limits that a peer or client meets here.
pub(crate) fn published_limits(app: &App) -> LimitView {
    let fixed = [
        ("body_bytes_max", limits::BODY_BYTES_MAX as u64),
        ("request_bytes_max", limits::REQUEST_BYTES_MAX as u64),
        ("batch_records_max", limits::BATCH_RECORDS_MAX as u64),
        ("delivery_bytes_max", limits::DELIVERY_BYTES_MAX as u64),
        ("keys_batch_max", limits::KEYS_BATCH_MAX as u64),
        ("page_max", limits::PAGE_MAX as u64),
        ("text_bytes_max", limits::TEXT_BYTES_MAX as u64),
        ("following_max", mesh_node::feed::FOLLOWING_MAX as u64),
    ];
    let chosen = [
        ("connections_max", u64::from(app.limits.connections_max)),
        ("writes_per_second", u64::from(app.limits.writes_per_second.get())),
        ("deliveries_per_second", u64::from(app.limits.deliveries_per_second.get())),
    ];
    fixed.into_iter().chain(chosen).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The resource asked for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
pub(crate) struct Resource {
    /// `acct:neo@mesh.org`.
    resource: String,
}

/// WebFinger (RFC 7033) for `acct:` URIs of this domain.
#[utoipa::path(get, path = "/.well-known/webfinger", params(Resource), responses((status = 200, content_type = "application/jrd+json"), (status = 404)))]
pub(crate) async fn webfinger(State(app): State<App>, Query(asked): Query<Resource>) -> Answer<Response> {
    let address = asked.resource.strip_prefix("acct:").ok_or_else(|| ApiError::malformed("resource must be an acct: URI"))?.to_owned();
    if !address.contains('@') {
        return Err(ApiError::new(code::MALFORMED, "resource must be acct:user@domain"));
    }
    let (account, base) = blocking(move || Ok((find(&app, &address)?, app.node.domain().base_url()))).await?;
    let page = format!("{base}/@{}", account.address().user());
    let jrd = json!({
        "subject": format!("acct:{}", account.address()),
        "aliases": [page, format!("mesh://{}", account.id())],
        "links": [
            { "rel": "http://webfinger.net/rel/profile-page", "type": "text/html", "href": page },
            { "rel": "self", "type": "application/json", "href": format!("{base}/api/v1/accounts/{}", account.id()) },
        ],
    });
    let headers = [(header::CONTENT_TYPE, "application/jrd+json"), (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    Ok((headers, jrd.to_string()).into_response())
}
