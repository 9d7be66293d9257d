//! The people of the domain, and who may come.

use super::Desk;
use crate::problem::Answer;
use axum::Json;
use axum::extract::{Query, State};
use mesh_proto::address::Address;
use mesh_proto::api::Invite;
use mesh_proto::key::AccountId;
use serde::{Deserialize, Serialize};

/// People of one page of the list.
const PAGE: usize = 1_000;

/// One page of the names that this domain gave.
#[derive(Debug, Serialize, Deserialize)]
pub struct Users {
    /// In alphabetical order.
    pub users: Vec<User>,
    /// Where the next page goes on.
    pub next: Option<String>,
}

/// Who bears, or bore, a name of this domain.
#[derive(Debug, Serialize, Deserialize)]
pub struct User {
    /// The name.
    pub user: String,
    /// The identity.
    pub account: AccountId,
    /// The present address, which may be elsewhere.
    pub address: Address,
    /// Whether it is suspended here.
    pub suspended: bool,
    /// `active`, or what else the key log says.
    pub status: mesh_proto::keylog::Status,
}

/// Where a page begins.
#[derive(Deserialize)]
pub(super) struct Page {
    after: Option<String>,
}

/// `GET /users?after=`.
pub(super) async fn list(State(Desk { node, .. }): State<Desk>, Query(page): Query<Page>) -> Answer<Json<Users>> {
    let names = node.accounts.names(page.after.as_deref(), PAGE)?;
    let next = names.last().filter(|_| names.len() == PAGE).map(|(name, _)| name.clone());
    let users = names.into_iter().map(|(user, account)| User {
        user,
        account: account.id(),
        address: account.address().clone(),
        suspended: node.rulings.hides_account(&account),
        status: account.log.view().status(),
    });
    Ok(Json(Users { users: users.collect(), next }))
}

/// `POST /invites`.
pub(super) async fn invite(State(Desk { node, .. }): State<Desk>) -> Answer<Json<Invite>> {
    Ok(Json(tokio::task::spawn_blocking(move || node.registrar.invite(node.rng())).await.map_err(|_| mesh_node::NodeError::Stopping)??))
}
