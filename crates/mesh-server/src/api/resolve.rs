//! Reading any domain's record through this server.

use crate::App;
use crate::extract::Query;
use crate::problem::{Answer, ApiError};
use axum::Json;
use axum::extract::{ConnectInfo, State};
use mesh_node::NodeError;
use mesh_proto::api::{RecordView, code};
use mesh_proto::uri::{Person, Target};
use serde::Deserialize;
use std::net::SocketAddr;

/// What is to be read.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// A `mesh:` URI or a permalink.
    uri: String,
}

/// Reads a record of any domain: from here if it is known, else from its home.
#[utoipa::path(get, path = "/api/v1/resolve", params(Wanted), responses((status = 200, body = RecordView), (status = 404), (status = 502)))]
pub(crate) async fn resolve(
    State(app): State<App>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    Query(wanted): Query<Wanted>,
) -> Answer<Json<RecordView>> {
    let target = Target::parse(&wanted.uri).map_err(ApiError::malformed)?;
    let Target::Record { person, record, .. } = target else {
        return Err(ApiError::new(code::MALFORMED, "the URI names a person: ask for the account"));
    };
    let home = match &person {
        Person::Address(address) => Some(address.domain().clone()),
        Person::Account { home, .. } => home.clone(),
    };
    match home {
        Some(home) if home != *app.node.domain() => {
            // This makes us ask another domain, so that it costs as much as a write.
            app.node.buckets.write(from.ip())?;
            let view = match app.node.remote.record(&home, &record).await {
                // Its home is gone, or its author moved here: it may be known all the same.
                Err(error @ (NodeError::Remote { .. } | NodeError::NotFound(_))) => match app.node.views.record(record).await {
                    Ok(view) if view.record.is_some() || view.tombstone.is_some() => view,
                    _ => return Err(error.into()),
                },
                answer => answer?,
            };
            check_actor(&person, &view)?;
            Ok(Json(view))
        }
        _ => Ok(Json(app.node.views.record(record).await?)),
    }
}

/// A link to a record of one account does not lead to another's.
fn check_actor(person: &Person, view: &RecordView) -> Answer<()> {
    match person {
        Person::Account { id, .. } if *id != view.card.actor => {
            Err(ApiError::new(code::REMOTE, "its home answered a record of another account than the link names"))
        }
        _ => Ok(()),
    }
}
