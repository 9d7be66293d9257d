//! Reading any domain's record through this server.

use crate::App;
use crate::problem::{Answer, ApiError};
use axum::Json;
use axum::extract::{Query, State};
use mesh_proto::api::{RecordView, code};
use mesh_proto::uri::{Person, Target};
use serde::Deserialize;

/// What is to be read.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
pub(crate) struct Wanted {
    /// A `mesh:` URI or a permalink.
    uri: String,
}

/// Reads a record of any domain: from here if it is known, else from its home.
#[utoipa::path(get, path = "/api/v1/resolve", params(Wanted), responses((status = 200, body = RecordView), (status = 404), (status = 502)))]
pub(crate) async fn resolve(State(app): State<App>, Query(wanted): Query<Wanted>) -> Answer<Json<RecordView>> {
    let target = Target::parse(&wanted.uri).map_err(ApiError::malformed)?;
    let Target::Record { person, record, .. } = target else {
        return Err(ApiError::new(code::MALFORMED, "the URI names a person: ask for the account"));
    };
    let home = match &person {
        Person::Address(address) => Some(address.domain().clone()),
        Person::Account { home, .. } => home.clone(),
    };
    match home {
        Some(home) if home != *app.node.domain() => Ok(Json(app.node.remote.record(&home, &record).await?)),
        _ => Ok(Json(app.node.views.record(record).await?)),
    }
}
