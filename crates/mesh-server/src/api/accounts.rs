//! Accounts: registration, profiles, key operations, pairing.

use super::Paging;
use crate::App;
use crate::extract::{Path, Query};
use crate::problem::{Answer, ApiError};
use crate::{auth, body};
use axum::Json;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use mesh_node::NodeError;
use mesh_node::accounts::Account;
use mesh_proto::address::Address;
use mesh_proto::api::{AccountView, FeedPage, KeysAdded, NewAccount, Pairing, PairingList, PairingRequest, Registered, Registration, code};
use mesh_proto::envelope::Envelope;
use mesh_proto::key::AccountId;
use std::net::SocketAddr;
use std::sync::Arc;

/// Finds an account by user name, address or id.
pub(crate) fn find(app: &App, who: &str) -> Answer<Arc<Account>> {
    let found = if let Ok(id) = who.parse::<AccountId>() {
        app.node.accounts.get(&id)?
    } else {
        let user = match who.parse::<Address>() {
            Ok(address) if address.domain() == app.node.domain() => address.user().as_str().to_owned(),
            Ok(address) => return Err(ApiError::new(code::NOT_HOME, format!("{address} lives on {}: ask there", address.domain()))),
            Err(_) => who.to_owned(),
        };
        let found = app.node.accounts.by_name(&user)?;
        if let (None, Ok(user)) = (&found, user.parse())
            && let Some(moved) = app.node.accounts.formerly(&user)?
        {
            return Err(ApiError::new(code::NOT_HOME, format!("{user} moved and is {} now: ask there", moved.address())));
        }
        found
    };
    found.ok_or_else(|| NodeError::NotFound("account").into())
}

/// Runs what reads the store where waiting is allowed.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Answer<T> + Send + 'static) -> Answer<T> {
    tokio::task::spawn_blocking(work).await.map_err(|_| ApiError::from(NodeError::Stopping))?
}

/// What registering takes.
#[utoipa::path(get, path = "/api/v1/registration", responses((status = 200, body = Registration)))]
pub(crate) async fn registration(State(app): State<App>) -> Json<Registration> {
    Json(app.node.registrar.rules())
}

/// Claims an address.
#[utoipa::path(post, path = "/api/v1/accounts", request_body = NewAccount, responses((status = 201, body = Registered), (status = 409), (status = 403)))]
pub(crate) async fn register(
    State(app): State<App>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    request: Request,
) -> Answer<(StatusCode, Json<Registered>)> {
    app.node.buckets.write(from.ip())?;
    let body = body::read(&app, request.into_body()).await?;
    let registered = app.node.records.register(body::json::<NewAccount>(&body)?).await?;
    Ok((StatusCode::CREATED, Json(registered)))
}

/// Shows an account.
#[utoipa::path(get, path = "/api/v1/accounts/{who}", params(("who" = String, Path)), responses((status = 200, body = AccountView), (status = 404)))]
pub(crate) async fn show(State(app): State<App>, Path(who): Path<String>) -> Answer<Json<AccountView>> {
    blocking(move || Ok(Json(app.node.views.account(&*find(&app, &who)?)?))).await
}

/// What an account published, newest first.
#[utoipa::path(get, path = "/api/v1/accounts/{who}/posts", params(("who" = String, Path), Paging), responses((status = 200, body = FeedPage)))]
pub(crate) async fn posts(State(app): State<App>, Path(who): Path<String>, Query(paging): Query<Paging>) -> Answer<Json<FeedPage>> {
    let lookup = app.clone();
    let account = blocking(move || find(&lookup, &who)).await?;
    let limit = paging.limit();
    Ok(Json(app.node.views.posts(&account, paging.before, limit).await?))
}

/// Adds a key operation at the account's home.
#[utoipa::path(post, path = "/api/v1/accounts/{who}/keys", params(("who" = String, Path)), request_body = Envelope,
    responses((status = 200, body = KeysAdded), (status = 409)))]
pub(crate) async fn add_key(
    State(app): State<App>,
    Path(who): Path<String>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    request: Request,
) -> Answer<Json<KeysAdded>> {
    app.node.buckets.write(from.ip())?;
    let body = body::read(&app, request.into_body()).await?;
    let envelope = body::envelope(&body)?;
    let lookup = app.clone();
    let account = blocking(move || find(&lookup, &who)).await?;
    Ok(Json(app.node.records.add_key(account, envelope).await?))
}

/// A new device asks to be added.
#[utoipa::path(post, path = "/api/v1/accounts/{who}/pairings", params(("who" = String, Path)), request_body = PairingRequest,
    responses((status = 201, body = Pairing)))]
pub(crate) async fn ask_pairing(
    State(app): State<App>,
    Path(who): Path<String>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    request: Request,
) -> Answer<(StatusCode, Json<Pairing>)> {
    app.node.buckets.write(from.ip())?;
    let body = body::read(&app, request.into_body()).await?;
    let asked: PairingRequest = body::json(&body)?;
    blocking(move || {
        let account = find(&app, &who)?;
        let pairing = app.node.pairings.ask(account.lid, asked, app.node.clock().now_ms())?;
        Ok((StatusCode::CREATED, Json(pairing)))
    })
    .await
}

/// The pairing requests that wait, for the account's own devices.
#[utoipa::path(get, path = "/api/v1/accounts/{who}/pairings", params(("who" = String, Path)), responses((status = 200, body = PairingList)))]
pub(crate) async fn list_pairings(State(app): State<App>, Path(who): Path<String>, request: Request) -> Answer<Json<PairingList>> {
    let (parts, _) = request.into_parts();
    let signer = auth::device(&app, &parts).await?;
    let account = find(&app, &who)?;
    if signer.id() != account.id() {
        return Err(ApiError::new(code::FORBIDDEN, "only the account's own devices see its pairing requests"));
    }
    Ok(Json(app.node.pairings.list(account.lid, app.node.clock().now_ms())))
}
