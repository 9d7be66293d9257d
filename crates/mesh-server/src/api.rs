//! The client API: one file per noun. `spec/client-api.md`.

mod accounts;
mod events;
mod feed;
mod health;
mod moving;
mod records;
mod resolve;
mod scheduled;
mod well_known;

pub(crate) use accounts::blocking;

use crate::App;
use axum::Router;
use axum::http::header;
use axum::routing::{delete, get, post};
use serde::Deserialize;
use utoipa::OpenApi;

/// Paging parameters.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Paging {
    /// `next` of the page before, for lists that go back in time.
    before: Option<String>,
    /// `next` of the page before, for lists that go forward.
    after: Option<String>,
    /// Items wanted, at most 100; 50 unless told.
    limit: Option<usize>,
}

impl Paging {
    pub(crate) fn limit(&self) -> usize {
        self.limit.unwrap_or(50)
    }
}

/// The API described by its own code.
#[derive(OpenApi)]
#[openapi(
    info(title = "MESH client API", description = "What a client says to a home server. Errors are RFC 9457 problem details."),
    paths(
        accounts::registration,
        accounts::register,
        accounts::show,
        accounts::posts,
        accounts::add_key,
        accounts::ask_pairing,
        accounts::list_pairings,
        moving::arrive,
        moving::export,
        moving::import,
        moving::end_import,
        moving::mirror,
        moving::proof,
        records::submit,
        records::show,
        records::comments,
        records::versions,
        records::references,
        records::counters,
        scheduled::plan,
        scheduled::list,
        scheduled::cancel,
        feed::page,
        feed::notifications,
        feed::acts,
        events::stream,
        resolve::resolve,
        well_known::discovery,
        well_known::webfinger,
        crate::federation::challenge,
        crate::federation::deliver,
        crate::federation::pull,
        crate::federation::push_keys,
        crate::federation::keys,
        crate::federation::keys_batch,
        crate::federation::records_batch,
        crate::federation::compare::pins,
        crate::federation::compare::evidence,
        crate::federation::known::known,
        crate::federation::rulings::push,
        crate::federation::rulings::list,
        crate::federation::rulings::concerning,
        crate::federation::rulings::rules,
        crate::federation::healing::fetch,
        crate::federation::healing::reconcile,
        crate::federation::healing::settle,
    )
)]
struct Description;

/// The description as JSON.
pub(crate) fn description() -> String {
    Description::openapi().to_pretty_json().unwrap_or_default()
}

pub(crate) fn router() -> Router<App> {
    Router::new()
        .route("/api/v1/registration", get(accounts::registration))
        .route("/api/v1/accounts", post(accounts::register))
        .route("/api/v1/accounts/{who}", get(accounts::show))
        .route("/api/v1/accounts/{who}/posts", get(accounts::posts))
        .route("/api/v1/accounts/{who}/keys", post(accounts::add_key))
        .route("/api/v1/accounts/{who}/pairings", get(accounts::list_pairings).post(accounts::ask_pairing))
        .route("/api/v1/arrivals", post(moving::arrive))
        .route("/api/v1/accounts/{who}/export", get(moving::export))
        .route("/api/v1/accounts/{who}/import", post(moving::import))
        .route("/api/v1/accounts/{who}/import:end", post(moving::end_import))
        .route("/api/v1/accounts/{who}/mirror", post(moving::mirror))
        .route("/mesh/v1/records/{id}/proof", get(moving::proof))
        .route("/api/v1/records", post(records::submit))
        .route("/api/v1/records/{id}", get(records::show))
        .route("/api/v1/records/{id}/comments", get(records::comments))
        .route("/api/v1/records/{id}/versions", get(records::versions))
        .route("/api/v1/records/{id}/references", get(records::references))
        .route("/api/v1/records/{id}/counters", get(records::counters))
        .route("/api/v1/scheduled", get(scheduled::list).post(scheduled::plan))
        .route("/api/v1/scheduled/{id}", delete(scheduled::cancel))
        .route("/api/v1/feed", get(feed::page))
        .route("/api/v1/notifications", get(feed::notifications))
        .route("/api/v1/acts", get(feed::acts))
        .route("/api/v1/events", get(events::stream))
        .route("/api/v1/resolve", get(resolve::resolve))
        .route("/api/openapi.json", get(|| async { ([(header::CONTENT_TYPE, "application/json")], description()) }))
        .route("/.well-known/mesh", get(well_known::discovery))
        .route("/.well-known/webfinger", get(well_known::webfinger))
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
}
