//! `/healthz` and `/readyz`, for machines that watch.

use crate::App;
use crate::api::blocking;
use crate::problem::ApiError;
use axum::extract::{ConnectInfo, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use mesh_node::Health;
use mesh_proto::api::code;
use std::net::SocketAddr;

/// What Prometheus reads, for this machine only: a proxy on it names its clients.
pub(crate) async fn metrics(State(app): State<App>, ConnectInfo(from): ConnectInfo<SocketAddr>) -> Result<impl IntoResponse, ApiError> {
    if !from.ip().is_loopback() {
        return Err(ApiError::new(code::NOT_FOUND, "there is nothing here"));
    }
    let text =
        blocking(move || app.metrics.text(&app.node).map_err(|_| ApiError::new(code::INTERNAL, "the numbers cannot be written"))).await?;
    Ok(([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text))
}

/// The process lives.
pub(crate) async fn live() -> &'static str {
    "ok\n"
}

/// The store takes writes and the server is not stopping.
pub(crate) async fn ready(State(app): State<App>) -> (StatusCode, &'static str) {
    match app.node.health() {
        _ if app.stopping.is_cancelled() => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
        Health::Ok => (StatusCode::OK, "ready\n"),
        Health::Full => (StatusCode::SERVICE_UNAVAILABLE, "disk full: reading works\n"),
        Health::Failed => (StatusCode::SERVICE_UNAVAILABLE, "store failed\n"),
    }
}
