//! One's own feed, notifications and live statements.

use super::Paging;
use super::accounts::blocking;
use crate::App;
use crate::auth;
use crate::extract::Query;
use crate::problem::{Answer, ApiError};
use axum::Json;
use axum::extract::{Request, State};
use mesh_proto::api::{Acts, FeedPage, NotificationPage};
use mesh_proto::envelope::{Kind, RecordId};
use mesh_proto::key::AccountId;
use serde::Deserialize;

/// One page of one's feed, newest first.
#[utoipa::path(get, path = "/api/v1/feed", params(Paging), responses((status = 200, body = FeedPage), (status = 401)))]
pub(crate) async fn page(State(app): State<App>, Query(paging): Query<Paging>, request: Request) -> Answer<Json<FeedPage>> {
    let (parts, _) = request.into_parts();
    let account = auth::device(&app, &parts).await?;
    let limit = paging.limit();
    Ok(Json(app.node.feed.page(&account, paging.before, limit).await?))
}

/// One page of one's notifications, newest first.
#[utoipa::path(get, path = "/api/v1/notifications", params(Paging), responses((status = 200, body = NotificationPage), (status = 401)))]
pub(crate) async fn notifications(
    State(app): State<App>,
    Query(paging): Query<Paging>,
    request: Request,
) -> Answer<Json<NotificationPage>> {
    let (parts, _) = request.into_parts();
    let account = auth::device(&app, &parts).await?;
    blocking(move || Ok(Json(app.node.notices.page(&account, paging.before.as_deref(), paging.limit())?))).await
}

/// Which statement is asked for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// `like`, `repost`, `vote` or `subscribe`.
    kind: Kind,
    /// A record id, or for subscriptions an account id.
    object: String,
}

/// One's own live statement about an object.
#[utoipa::path(get, path = "/api/v1/acts", params(Wanted), responses((status = 200, body = Acts), (status = 401)))]
pub(crate) async fn acts(State(app): State<App>, Query(wanted): Query<Wanted>, request: Request) -> Answer<Json<Acts>> {
    let (parts, _) = request.into_parts();
    let account = auth::device(&app, &parts).await?;
    let hash = match wanted.kind {
        Kind::Subscribe => *wanted.object.parse::<AccountId>().map_err(ApiError::malformed)?.hash(),
        _ => *wanted.object.parse::<RecordId>().map_err(ApiError::malformed)?.hash(),
    };
    blocking(move || Ok(Json(app.node.records.acts(&account, wanted.kind, &hash)?))).await
}
