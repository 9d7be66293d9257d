//! `/healthz` and `/readyz`, for machines that watch.

use crate::App;
use axum::extract::State;
use axum::http::StatusCode;
use mesh_node::Health;

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
