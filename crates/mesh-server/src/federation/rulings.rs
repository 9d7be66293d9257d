//! What operators decided. `spec/ruling.md`.

use crate::App;
use crate::api::blocking;
use crate::extract::Query;
use crate::problem::{Answer, ApiError};
use crate::{auth, body};
use axum::extract::{ConnectInfo, Request, State};
use axum::routing::get;
use axum::{Json, Router};
use mesh_node::NodeError;
use mesh_proto::api::{RulingsPage, RulingsPush, RulingsTaken};
use mesh_proto::bytes::{base64url, from_base64url};
use mesh_proto::envelope::Envelope;
use serde::Deserialize;
use std::net::SocketAddr;

pub(crate) fn router() -> Router<App> {
    Router::new()
        .route("/mesh/v1/rulings", get(list).post(push))
        .route("/mesh/v1/rules", get(rules))
        .route("/api/v1/rulings", get(concerning))
}

/// Takes in what the signing domain decided about its people, or about reports by people of here.
#[utoipa::path(post, path = "/mesh/v1/rulings", request_body = RulingsPush, responses((status = 200, body = RulingsTaken), (status = 403)))]
pub(crate) async fn push(
    State(app): State<App>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    request: Request,
) -> Answer<Json<RulingsTaken>> {
    let (parts, sent) = request.into_parts();
    let (peer, head) = auth::domain(&app, &parts, from.ip()).await?;
    let sent = body::read(&app, sent).await?;
    auth::check_body(&head, &sent)?;
    let push: RulingsPush = body::json(&body::decode(&parts.headers, sent)?)?;
    app.node.buckets.delivery(peer.domain(), push.rulings.len())?;
    blocking(move || Ok(Json(RulingsTaken { taken: app.node.moderation.take(&peer, &push.rulings)? }))).await
}

/// Where a page begins.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct After {
    /// `next` of the page before.
    after: Option<String>,
}

/// What this domain decided about accounts, records and domains.
#[utoipa::path(get, path = "/mesh/v1/rulings", params(After), responses((status = 200, body = RulingsPage)))]
pub(crate) async fn list(State(app): State<App>, Query(After { after }): Query<After>) -> Answer<Json<RulingsPage>> {
    let after = after.map(|after| from_base64url(&after, "after")).transpose().map_err(ApiError::malformed)?;
    blocking(move || {
        let (rulings, next) = app.node.rulings.public(after.as_deref())?;
        Ok(Json(RulingsPage { rulings, next: next.map(|next| base64url(&next)) }))
    })
    .await
}

/// Which version.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Version {
    /// Without it, the one in force.
    version: Option<u32>,
}

/// The rules of this domain, signed.
#[utoipa::path(get, path = "/mesh/v1/rules", params(Version), responses((status = 200, body = Envelope), (status = 404)))]
pub(crate) async fn rules(State(app): State<App>, Query(Version { version }): Query<Version>) -> Answer<Json<Envelope>> {
    blocking(move || {
        let (_, envelope) = app.node.rulings.rules(version)?.ok_or(NodeError::NotFound("such version of its rules"))?;
        Ok(Json(envelope))
    })
    .await
}

/// What operators, here and elsewhere, decided about oneself, one's records and one's reports.
#[utoipa::path(get, path = "/api/v1/rulings", responses((status = 200, body = RulingsPage), (status = 401)))]
pub(crate) async fn concerning(State(app): State<App>, request: Request) -> Answer<Json<RulingsPage>> {
    let (parts, _) = request.into_parts();
    let account = auth::device(&app, &parts).await?;
    blocking(move || Ok(Json(RulingsPage { rulings: app.node.rulings.concerning(account.lid)?, next: None }))).await
}
