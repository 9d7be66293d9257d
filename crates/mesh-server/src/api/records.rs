//! Records: writing them, reading them, their threads.

use super::Paging;
use super::accounts::blocking;
use crate::App;
use crate::body;
use crate::extract::{Path, Query};
use crate::problem::{Answer, ApiError};
use axum::Json;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use mesh_proto::api::{Accepted, Cards, Comments, Counters, RecordView, Versions};
use mesh_proto::envelope::{Envelope, Kind, RecordId};
use serde::Deserialize;
use std::net::SocketAddr;

pub(crate) fn id(text: &str) -> Answer<RecordId> {
    text.parse().map_err(ApiError::malformed)
}

/// Accepts a signed record of someone who lives here. Durable when answered.
#[utoipa::path(post, path = "/api/v1/records", request_body = Envelope,
    responses((status = 201, body = Accepted), (status = 200, body = Accepted, description = "it was known already")))]
pub(crate) async fn submit(
    State(app): State<App>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    request: Request,
) -> Answer<(StatusCode, Json<Accepted>)> {
    app.node.buckets.write(from.ip())?;
    let body = body::read(&app, request.into_body()).await?;
    let envelope = body::envelope(&body)?;
    let (is_new, accepted) = app.node.records.submit(envelope).await?;
    Ok((if is_new { StatusCode::CREATED } else { StatusCode::OK }, Json(accepted)))
}

/// Shows a record: any version stands for it.
#[utoipa::path(get, path = "/api/v1/records/{id}", params(("id" = String, Path)), responses((status = 200, body = RecordView), (status = 404)))]
pub(crate) async fn show(State(app): State<App>, Path(text): Path<String>) -> Answer<Json<RecordView>> {
    Ok(Json(app.node.views.record(id(&text)?).await?))
}

/// One page of a thread, oldest first.
#[utoipa::path(get, path = "/api/v1/records/{id}/comments", params(("id" = String, Path), Paging), responses((status = 200, body = Comments)))]
pub(crate) async fn comments(State(app): State<App>, Path(text): Path<String>, Query(paging): Query<Paging>) -> Answer<Json<Comments>> {
    let limit = paging.limit();
    Ok(Json(app.node.views.comments(id(&text)?, paging.after, limit).await?))
}

/// All versions of a post or comment, oldest first; at its author's home, and where copies of it are kept.
#[utoipa::path(get, path = "/api/v1/records/{id}/versions", params(("id" = String, Path), Paging),
    responses((status = 200, body = Versions), (status = 404), (status = 410), (status = 421)))]
pub(crate) async fn versions(State(app): State<App>, Path(text): Path<String>, Query(paging): Query<Paging>) -> Answer<Json<Versions>> {
    let id = id(&text)?;
    blocking(move || Ok(Json(app.node.views.versions(&id, paging.after.as_deref(), paging.limit())?))).await
}

/// Which references are wanted.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// `like`, `repost` or `vote`.
    kind: Kind,
    /// `next` of the page before.
    after: Option<String>,
    /// Items wanted, at most 100.
    limit: Option<usize>,
}

/// Who liked or reposted a record, or voted in its poll.
#[utoipa::path(get, path = "/api/v1/records/{id}/references", params(("id" = String, Path), Wanted), responses((status = 200, body = Cards)))]
pub(crate) async fn references(State(app): State<App>, Path(text): Path<String>, Query(wanted): Query<Wanted>) -> Answer<Json<Cards>> {
    let id = id(&text)?;
    blocking(move || Ok(Json(app.node.views.references(&id, wanted.kind, wanted.after.as_deref(), wanted.limit.unwrap_or(50))?))).await
}

/// What this home counts about a record of its own, signed, so that it can be held to it.
#[utoipa::path(get, path = "/api/v1/records/{id}/counters", params(("id" = String, Path)),
    responses((status = 200, body = Counters), (status = 403), (status = 404), (status = 429)))]
pub(crate) async fn counters(
    State(app): State<App>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    Path(text): Path<String>,
) -> Answer<Json<Counters>> {
    // All of them are looked at.
    app.node.buckets.write(from.ip())?;
    let id = id(&text)?;
    blocking(move || Ok(Json(app.node.counters.of(&id)?))).await
}
