//! Moving: an account takes its records along. `spec/moving.md`.

use super::accounts::{blocking, find};
use crate::App;
use crate::extract::{Path, Query};
use crate::problem::{Answer, ApiError};
use crate::{auth, body};
use axum::Json;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use mesh_node::accounts::Account;
use mesh_proto::api::{
    Announced, Arrival, Delivery, ExportPage, ImportEnd, Imported, MirrorAgreement, MirrorRequest, RecordProof, Registered, code,
};
use mesh_proto::envelope::RecordId;
use mesh_proto::key::AccountId;
use serde::Deserialize;
use std::net::SocketAddr;
use std::sync::Arc;

/// Where a page of an export begins.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct From {
    /// `next` of the page before; 0 for the first.
    #[serde(default)]
    from: u64,
}

/// Takes an account in that moved here.
#[utoipa::path(post, path = "/api/v1/arrivals", request_body = Arrival, responses((status = 201, body = Registered), (status = 403), (status = 409)))]
pub(crate) async fn arrive(
    State(app): State<App>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    request: Request,
) -> Answer<(StatusCode, Json<Registered>)> {
    app.node.buckets.write(from.ip())?;
    let (parts, sent) = request.into_parts();
    let sent = body::read(&app, sent).await?;
    let arrival: Arrival = body::json(&body::decode(&parts.headers, sent)?)?;
    Ok((StatusCode::CREATED, Json(app.node.records.arrive(arrival).await?)))
}

/// Hands out a part of what an account said, to its own devices, wherever it lives now.
#[utoipa::path(get, path = "/api/v1/accounts/{who}/export", params(("who" = String, Path), From), responses((status = 200, body = ExportPage), (status = 403)))]
pub(crate) async fn export(
    State(app): State<App>,
    Path(who): Path<String>,
    Query(place): Query<From>,
    request: Request,
) -> Answer<Json<ExportPage>> {
    let (parts, _) = request.into_parts();
    let (signer, head) = auth::signer(&app, &parts)?;
    auth::check_body(&head, &[])?;
    blocking(move || {
        check_owner(&app, &signer, &who)?;
        Ok(Json(app.node.outbox.export(&signer, place.from)?))
    })
    .await
}

/// Takes in a part of an export.
#[utoipa::path(post, path = "/api/v1/accounts/{who}/import", params(("who" = String, Path)), request_body = Delivery,
    responses((status = 200, body = Imported), (status = 403)))]
pub(crate) async fn import(
    State(app): State<App>,
    Path(who): Path<String>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    request: Request,
) -> Answer<Json<Imported>> {
    app.node.buckets.write(from.ip())?;
    let (account, part) = of_owner(&app, who, request).await?;
    Ok(Json(app.node.records.import(account, part).await?))
}

/// Ends an import: others are told where the account lives.
#[utoipa::path(post, path = "/api/v1/accounts/{who}/import:end", params(("who" = String, Path)), request_body = ImportEnd,
    responses((status = 200, body = Announced), (status = 403)))]
pub(crate) async fn end_import(
    State(app): State<App>,
    Path(who): Path<String>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    request: Request,
) -> Answer<Json<Announced>> {
    app.node.buckets.write(from.ip())?;
    let (account, end) = of_owner(&app, who, request).await?;
    Ok(Json(app.node.records.end_import(account, end).await?))
}

/// Agrees to keep a copy of what an account of another domain says.
#[utoipa::path(post, path = "/api/v1/accounts/{who}/mirror", params(("who" = String, Path)), request_body = MirrorRequest,
    responses((status = 200, body = MirrorAgreement), (status = 403)))]
pub(crate) async fn mirror(
    State(app): State<App>,
    Path(who): Path<String>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    request: Request,
) -> Answer<Json<MirrorAgreement>> {
    app.node.buckets.write(from.ip())?;
    let id: AccountId = who.parse().map_err(ApiError::malformed)?;
    let (parts, sent) = request.into_parts();
    let sent = body::read(&app, sent).await?;
    let asked: MirrorRequest = body::json(&body::decode(&parts.headers, sent.clone())?)?;
    auth::check_claim(&parts, &id)?;
    // Whose device signs is known only once the home was asked; asking costs as much as a write.
    app.node.records.refresh(&id, &asked.home).await?;
    let (account, head) = auth::signer(&app, &parts)?;
    auth::check_body(&head, &sent)?;
    check_owner(&app, &account, &who)?;
    Ok(Json(app.node.records.mirror(account).await?))
}

/// A record with the proof of its leaf, by whoever answers for it.
#[utoipa::path(get, path = "/mesh/v1/records/{id}/proof", params(("id" = String, Path)), responses((status = 200, body = RecordProof), (status = 404)))]
pub(crate) async fn proof(State(app): State<App>, Path(id): Path<String>) -> Answer<Json<RecordProof>> {
    let id: RecordId = id.parse().map_err(ApiError::malformed)?;
    blocking(move || Ok(Json(app.node.outbox.prove(app.node.views.kept(&id)?)?))).await
}

/// The account that signed a request about itself, and the body.
async fn of_owner<T: serde::de::DeserializeOwned>(app: &App, who: String, request: Request) -> Answer<(Arc<Account>, T)> {
    let (parts, sent) = request.into_parts();
    let (signer, head) = auth::signer(app, &parts)?;
    let sent = body::read(app, sent).await?;
    auth::check_body(&head, &sent)?;
    check_owner(app, &signer, &who)?;
    let sent = body::json(&body::decode(&parts.headers, sent)?)?;
    Ok((signer, sent))
}

fn check_owner(app: &App, signer: &Account, who: &str) -> Answer<()> {
    if find(app, who)?.id() == signer.id() {
        return Ok(());
    }
    Err(ApiError::new(code::FORBIDDEN, "only the account's own devices may do this"))
}
