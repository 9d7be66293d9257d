//! Whom this domain knows under an address, for everybody to compare with what the address's domain shows.

use crate::App;
use crate::api::blocking;
use crate::extract::Query;
use crate::problem::Answer;
use axum::Json;
use axum::extract::State;
use mesh_proto::address::Address;
use mesh_proto::api::{KeysKnown, KnownUnder};
use serde::Deserialize;

/// The address.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    /// `neo@mesh.org`, in its one text.
    #[param(value_type = String)]
    address: Address,
}

/// The accounts that bear an address as far as is known here, with the heads of their key logs.
#[utoipa::path(get, path = "/mesh/v1/known", params(Asked), responses((status = 200, body = KnownUnder)))]
pub(crate) async fn known(State(app): State<App>, Query(asked): Query<Asked>) -> Answer<Json<KnownUnder>> {
    blocking(move || {
        let known = app.node.accounts.known_under(&asked.address)?;
        let accounts = known.iter().map(|account| KeysKnown { account: account.id(), head: Some(account.log.head()) });
        Ok(Json(KnownUnder { accounts: accounts.collect() }))
    })
    .await
}
