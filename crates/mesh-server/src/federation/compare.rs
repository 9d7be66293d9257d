//! What domains compare: the checkpoints that each keeps, the forks that were found, and the proofs that a log grew.

use super::check_log;
use crate::App;
use crate::api::blocking;
use crate::extract::{Path, Query};
use crate::problem::{Answer, ApiError};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use mesh_proto::api::{EvidencePage, PinsPage, code};
use serde::Deserialize;

pub(super) fn router() -> Router<App> {
    Router::new().route("/mesh/v1/pins", get(pins)).route("/mesh/v1/evidence", get(evidence)).route("/log/{log}/growth", get(growth))
}

/// Where to go on.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct After {
    /// `next` of the page before.
    after: Option<u32>,
}

/// The newest checkpoints that are kept here of other domains' logs.
#[utoipa::path(get, path = "/mesh/v1/pins", params(After), responses((status = 200, body = PinsPage)))]
pub(crate) async fn pins(State(app): State<App>, Query(page): Query<After>) -> Answer<Json<PinsPage>> {
    blocking(move || Ok(Json(app.node.comparing.pins(page.after)?))).await
}

/// The forks of other domains' logs that were found here, for everybody to check.
#[utoipa::path(get, path = "/mesh/v1/evidence", params(After), responses((status = 200, body = EvidencePage)))]
pub(crate) async fn evidence(State(app): State<App>, Query(page): Query<After>) -> Answer<Json<EvidencePage>> {
    blocking(move || Ok(Json(app.node.comparing.evidence(page.after)?))).await
}

/// Two sizes of the log.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sizes {
    from: u64,
    to: u64,
}

/// The proof that the log with `to` leaves begins with the `from` leaves that it had before. It never changes.
async fn growth(State(app): State<App>, Path(log): Path<String>, Query(sizes): Query<Sizes>) -> Answer<Response> {
    check_log(&app, &log)?;
    let grown = blocking(move || {
        let grown = app.node.log.prove_grown(sizes.from, sizes.to)?;
        grown.ok_or_else(|| ApiError::new(code::NOT_FOUND, "this log has fewer leaves than that, or `from` is larger than `to`"))
    });
    let headers = [(header::CACHE_CONTROL, "public, max-age=31536000, immutable")];
    Ok((headers, Json(grown.await?)).into_response())
}
