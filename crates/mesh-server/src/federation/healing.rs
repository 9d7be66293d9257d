//! Comparing and mending what two homes have in common. `spec/healing.md`.

use crate::api::blocking;
use crate::body::coding;
use crate::problem::Answer;
use crate::{App, auth, body};
use axum::Json;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use mesh_node::peers::Peer;
use mesh_proto::api::{Fetch, Fetched, Reconcile, Reconciled, Settle, Settled};
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::sync::Arc;

/// Who signed a request, and what it says.
async fn asked<T: DeserializeOwned>(app: &App, from: SocketAddr, request: Request) -> Answer<(Arc<Peer>, T)> {
    let (parts, sent) = request.into_parts();
    let (peer, head) = auth::domain(app, &parts, from.ip()).await?;
    let sent = body::read(app, sent).await?;
    auth::check_body(&head, &sent)?;
    Ok((peer, body::json(&body::decode(&parts.headers, sent)?)?))
}

/// Answers a message about a part of what the signing domain should have of this one's log.
#[utoipa::path(post, path = "/mesh/v1/sets:reconcile", request_body = Reconcile,
    responses((status = 200, body = Reconciled), (status = 403), (status = 413), (status = 429)))]
pub(crate) async fn reconcile(
    State(app): State<App>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    request: Request,
) -> Answer<Json<Reconciled>> {
    let (peer, question) = asked::<Reconcile>(&app, from, request).await?;
    blocking(move || Ok(Json(app.node.healing.reconcile(&peer, &question)?))).await
}

/// Hands out records that concern the signing domain, by their ids.
#[utoipa::path(post, path = "/mesh/v1/deliveries:fetch", request_body = Fetch,
    responses((status = 200, body = Fetched), (status = 403), (status = 413), (status = 429)))]
pub(crate) async fn fetch(State(app): State<App>, ConnectInfo(from): ConnectInfo<SocketAddr>, request: Request) -> Answer<Response> {
    let accepted = request.headers().clone();
    let (peer, question) = asked::<Fetch>(&app, from, request).await?;
    blocking(move || {
        app.node.buckets.delivery(peer.domain(), question.ids.len())?;
        Ok(coding::answer(&accepted, &app.node.healing.fetch(&peer, &question)?))
    })
    .await
}

/// Says what is the matter with records that the signing domain counts and this one does not, and notes what it refuses.
#[utoipa::path(post, path = "/mesh/v1/sets:settle", request_body = Settle,
    responses((status = 200, body = Settled), (status = 403), (status = 413), (status = 429)))]
pub(crate) async fn settle(State(app): State<App>, ConnectInfo(from): ConnectInfo<SocketAddr>, request: Request) -> Answer<Json<Settled>> {
    let (peer, question) = asked::<Settle>(&app, from, request).await?;
    blocking(move || {
        app.node.buckets.delivery(peer.domain(), question.held.len() + question.refused.len())?;
        Ok(Json(app.node.healing.settle(&peer, &question)?))
    })
    .await
}
