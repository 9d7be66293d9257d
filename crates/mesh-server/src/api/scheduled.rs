//! Posts that are to be published later. `spec/scheduled.md`.

use super::accounts::blocking;
use super::records::id;
use crate::App;
use crate::extract::Path;
use crate::problem::Answer;
use crate::{auth, body};
use axum::Json;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use mesh_proto::api::{Scheduled, ScheduledList};
use mesh_proto::envelope::Envelope;
use std::net::SocketAddr;

/// Takes a signed post of the signer that is to be published at the time that it claims. Durable when answered.
#[utoipa::path(post, path = "/api/v1/scheduled", request_body = Envelope,
    responses((status = 201, body = Scheduled), (status = 200, body = Scheduled, description = "it was planned already"),
        (status = 400), (status = 401), (status = 403), (status = 413)))]
pub(crate) async fn plan(
    State(app): State<App>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    request: Request,
) -> Answer<(StatusCode, Json<Scheduled>)> {
    app.node.buckets.write(from.ip())?;
    let (parts, sent) = request.into_parts();
    let (account, head) = auth::signer(&app, &parts)?;
    let sent = body::read(&app, sent).await?;
    auth::check_body(&head, &sent)?;
    let (is_new, scheduled) = app.node.plans.plan(&account, body::envelope(&sent)?).await?;
    Ok((if is_new { StatusCode::CREATED } else { StatusCode::OK }, Json(scheduled)))
}

/// What the signer planned and is not published, soonest first; nobody else sees it.
#[utoipa::path(get, path = "/api/v1/scheduled", responses((status = 200, body = ScheduledList), (status = 401)))]
pub(crate) async fn list(State(app): State<App>, request: Request) -> Answer<Json<ScheduledList>> {
    let (parts, _) = request.into_parts();
    let account = auth::device(&app, &parts).await?;
    blocking(move || Ok(Json(app.node.plans.list(&account)?))).await
}

/// Forgets a planned post of the signer.
#[utoipa::path(delete, path = "/api/v1/scheduled/{id}", params(("id" = String, Path)),
    responses((status = 200, body = Scheduled), (status = 401), (status = 404), (status = 410, description = "it was published already")))]
pub(crate) async fn cancel(State(app): State<App>, Path(text): Path<String>, request: Request) -> Answer<Json<Scheduled>> {
    let (parts, _) = request.into_parts();
    let account = auth::device(&app, &parts).await?;
    Ok(Json(app.node.plans.cancel(&account, &id(&text)?).await?))
}
