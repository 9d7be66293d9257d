//! What other domains say. `spec/federation.md`.

pub(crate) mod compare;
pub(crate) mod healing;
pub(crate) mod known;
pub(crate) mod rulings;

use crate::App;
use crate::api::blocking;
use crate::body::coding;
use crate::extract::Path;
use crate::problem::{Answer, ApiError};
use crate::{auth, body};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use mesh_node::accounts::Sender;
use mesh_node::peers::{Again, Peer};
use mesh_proto::api::{
    ChallengeRequest, Delivery, DeliveryAnswer, KeysAdded, KeysBatch, KeysBatchAnswer, KeysPush, KeysView, Pull, Pulled, RecordsBatch,
    RecordsBatchAnswer, code,
};
use mesh_proto::envelope::Envelope;
use mesh_proto::http_signature::SIGNATURE;
use mesh_proto::key::AccountId;
use mesh_proto::limits::{KEY_OPS_BATCH_MAX, KEYS_BATCH_MAX, TILE_WIDTH};
use mesh_proto::log::Origin;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Largest answer to `keys:batch`, bytes: any one key log fits.
const KEYS_ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What stands around the body of a key operation, bytes.
const KEY_OP_FRAME_BYTES: usize = 256;

pub(crate) fn router() -> Router<App> {
    Router::new()
        .route("/mesh/v1/challenges", post(challenge))
        .route("/mesh/v1/deliveries", post(deliver))
        .route("/mesh/v1/deliveries:pull", post(pull))
        .route("/mesh/v1/deliveries:fetch", post(healing::fetch))
        .route("/mesh/v1/sets:reconcile", post(healing::reconcile))
        .route("/mesh/v1/sets:settle", post(healing::settle))
        .route("/mesh/v1/keys", post(push_keys))
        .route("/mesh/v1/keys:batch", post(keys_batch))
        .route("/mesh/v1/accounts/{id}/keys", get(keys))
        .route("/mesh/v1/records:batch", post(records_batch))
        .merge(compare::router())
        .merge(rulings::router())
        .route("/mesh/v1/known", get(known::known))
        .route("/log/{log}/checkpoint", get(checkpoint))
        .route("/log/{log}/witnessed", get(witnessed))
        .route("/log/{log}/tile/{*path}", get(tile))
}

/// Signs another domain's nonce: deliveries from it are welcome.
#[utoipa::path(post, path = "/mesh/v1/challenges", request_body = ChallengeRequest, responses((status = 200, body = Envelope)))]
pub(crate) async fn challenge(
    State(app): State<App>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    request: Request,
) -> Answer<Json<Envelope>> {
    app.node.buckets.write(from.ip())?;
    let (parts, sent) = request.into_parts();
    let sent = body::read(&app, sent).await?;
    let asked: ChallengeRequest = body::json(&body::decode(&parts.headers, sent)?)?;
    Ok(Json(app.node.answer_challenge(&asked)))
}

/// Takes in records of the signing domain's people.
#[utoipa::path(post, path = "/mesh/v1/deliveries", request_body = Delivery,
    responses((status = 200, body = DeliveryAnswer), (status = 409, description = "`keys_wanted`"), (status = 429)))]
pub(crate) async fn deliver(
    State(app): State<App>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    request: Request,
) -> Answer<Json<DeliveryAnswer>> {
    let (parts, sent) = request.into_parts();
    let (peer, head) = auth::domain(&app, &parts, from.ip()).await?;
    let sent = body::read(&app, sent).await?;
    auth::check_body(&head, &sent)?;
    app.node.outbox.sign_of_life(peer.no());
    let delivery: Delivery = blocking(move || body::json(&body::decode(&parts.headers, sent)?)).await?;
    let delivery = Arc::new(delivery);
    app.node.buckets.delivery(peer.domain(), delivery.items.len())?;
    let newer = |known: &Origin| delivery.origin.domain() == known.domain() && delivery.origin.number() > known.number();
    // It may have begun a new log since it was asked what it is.
    let peer = match peer.origin().is_some_and(newer) {
        true => app.node.peers.discover_again(peer.domain(), Again::Now).await?,
        false => peer,
    };
    // Someone brought it along from a domain that may be new here: only that one vouches for its log.
    app.node.records.meet_stranger(delivery.origin.domain()).await;
    match take_in(&app, &peer, &delivery).await {
        Err(error) if error.code() == code::CHECKPOINT_WANTED => {
            // Or this is what is left of the one before.
            let now = app.node.peers.discover_again(peer.domain(), Again::Now).await?;
            if now.origin() == peer.origin() { Err(error) } else { take_in(&app, &now, &delivery).await }
        }
        answer => answer,
    }
}

async fn take_in(app: &App, peer: &Arc<Peer>, delivery: &Arc<Delivery>) -> Answer<Json<DeliveryAnswer>> {
    let (app, peer, delivery) = (app.clone(), Arc::clone(peer), Arc::clone(delivery));
    Ok(Json(blocking(move || Ok(app.node.intake.deliver(&peer, &delivery)?)).await?))
}

/// Hands out the records that concern the signing domain, from a leaf on: what it asks for it need not be sent.
#[utoipa::path(post, path = "/mesh/v1/deliveries:pull", request_body = Pull,
    responses((status = 200, body = Pulled), (status = 403), (status = 429)))]
pub(crate) async fn pull(State(app): State<App>, ConnectInfo(from): ConnectInfo<SocketAddr>, request: Request) -> Answer<Response> {
    let (parts, sent) = request.into_parts();
    let (peer, head) = auth::domain(&app, &parts, from.ip()).await?;
    let sent = body::read(&app, sent).await?;
    auth::check_body(&head, &sent)?;
    let asked: Pull = body::json(&body::decode(&parts.headers, sent)?)?;
    blocking(move || {
        let page = app.node.outbox.page(&peer, &asked)?;
        if !page.more {
            app.node.outbox.sign_of_life(peer.no());
        }
        app.node.buckets.delivery(peer.domain(), page.delivery.as_ref().map_or(1, |delivery| delivery.items.len()))?;
        Ok(coding::answer(&parts.headers, &page))
    })
    .await
}

/// Takes in key operations of accounts that are known here, from anyone: forks are kept as evidence. A domain that signs the request brings its own
/// people's, known or not.
#[utoipa::path(post, path = "/mesh/v1/keys", request_body = KeysPush, responses((status = 200, body = KeysAdded), (status = 403)))]
pub(crate) async fn push_keys(
    State(app): State<App>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    request: Request,
) -> Answer<Json<KeysAdded>> {
    app.node.buckets.write(from.ip())?;
    let (parts, sent) = request.into_parts();
    let signer = match parts.headers.contains_key(SIGNATURE) {
        true => Some(auth::domain(&app, &parts, from.ip()).await?),
        false => None,
    };
    let sent = body::read(&app, sent).await?;
    if let Some((peer, head)) = &signer {
        auth::check_body(head, &sent)?;
        app.node.outbox.sign_of_life(peer.no());
    }
    let added = blocking(move || {
        let push: KeysPush = body::json(&body::decode(&parts.headers, sent)?)?;
        if push.ops.len() > KEY_OPS_BATCH_MAX {
            return Err(ApiError::new(code::TOO_LARGE, format!("at most {KEY_OPS_BATCH_MAX} key operations")));
        }
        let domain = signer.as_ref().map(|(peer, _)| (peer.domain(), peer.no()));
        let sender = Sender { domain, now_ms: app.node.clock().now_ms() };
        let merged = app.node.accounts.merge(&push.account, &push.ops, sender).inspect_err(|error| {
            if let (code::NOT_HOME, Some((peer, _))) = (error.code(), &signer) {
                follow(&app, push.account, Arc::clone(peer));
            }
        })?;
        app.node.bus.waiting_for(merged.moved_to);
        if merged.erases {
            app.node.records.look_for_closures();
        }
        let head = app.node.accounts.expect(&push.account)?.log.head();
        Ok(KeysAdded { head, added: merged.added })
    });
    Ok(Json(added.await?))
}

/// When the new home of an account is asked again if it did not answer: nobody may have another reason to tell where it lives.
const FOLLOW_WAITS_S: [u64; 4] = [60, 600, 3_600, 4 * 3_600];
/// Accounts whose new home is asked again, at once.
static FOLLOWING: Semaphore = Semaphore::const_new(64);

/// The home of an account says that it moved. Only the new home's word counts for that, and it is asked.
fn follow(app: &App, account: AccountId, home: Arc<Peer>) {
    let known = app.node.accounts.get(&account).ok().flatten();
    if known.is_none_or(|known| known.home() == home.domain()) {
        let records = Arc::clone(&app.node.records);
        tokio::spawn(async move {
            let mut waits = FOLLOW_WAITS_S.into_iter();
            while let Err(error) = records.refresh(&account, home.domain()).await {
                tracing::info!(peer.domain = %home.domain(), error.message = %error, "federation.not_followed");
                let (Some(wait), Ok(_place)) = (waits.next(), FOLLOWING.try_acquire()) else { return };
                tokio::time::sleep(Duration::from_secs(wait)).await;
            }
        });
    }
}

/// A key log as it is known here.
#[utoipa::path(get, path = "/mesh/v1/accounts/{id}/keys", params(("id" = String, Path)), responses((status = 200, body = KeysView), (status = 404)))]
pub(crate) async fn keys(State(app): State<App>, Path(id): Path<String>) -> Answer<Json<KeysView>> {
    let id: AccountId = id.parse().map_err(ApiError::malformed)?;
    blocking(move || Ok(Json(app.node.keys(&*app.node.accounts.expect(&id)?)?))).await
}

/// Key logs of several accounts.
#[utoipa::path(post, path = "/mesh/v1/keys:batch", request_body = KeysBatch, responses((status = 200, body = KeysBatchAnswer)))]
pub(crate) async fn keys_batch(State(app): State<App>, request: Request) -> Answer<Json<KeysBatchAnswer>> {
    let (parts, sent) = request.into_parts();
    let sent = body::read(&app, sent).await?;
    let asked: KeysBatch = body::json(&body::decode(&parts.headers, sent)?)?;
    if asked.accounts.len() > KEYS_BATCH_MAX {
        return Err(ApiError::new(code::TOO_LARGE, format!("at most {KEYS_BATCH_MAX} accounts")));
    }
    let known = blocking(move || {
        let mut accounts = Vec::new();
        let mut bytes = 0;
        for id in &asked.accounts {
            if let Some(account) = app.node.accounts.get(id)? {
                bytes += account.log.ops().map(|op| op.envelope.body().len() * 4 / 3 + KEY_OP_FRAME_BYTES).sum::<usize>();
                if bytes > KEYS_ANSWER_BYTES_MAX {
                    let words = format!("these key logs have more than {KEYS_ANSWER_BYTES_MAX} bytes together: ask for fewer at a time");
                    return Err(ApiError::new(code::TOO_LARGE, words));
                }
                accounts.push(app.node.keys(&account)?);
            }
        }
        Ok(KeysBatchAnswer { accounts })
    });
    Ok(Json(known.await?))
}

/// Records of this home by their ids.
#[utoipa::path(post, path = "/mesh/v1/records:batch", request_body = RecordsBatch, responses((status = 200, body = RecordsBatchAnswer)))]
pub(crate) async fn records_batch(State(app): State<App>, request: Request) -> Answer<Json<RecordsBatchAnswer>> {
    let (parts, sent) = request.into_parts();
    let sent = body::read(&app, sent).await?;
    let asked: RecordsBatch = body::json(&body::decode(&parts.headers, sent)?)?;
    blocking(move || Ok(Json(RecordsBatchAnswer { records: app.node.views.batch(&asked.ids)? }))).await
}

/// The number of a log in a path.
fn log_number(log: &str) -> Answer<u32> {
    let number = log.parse().ok().filter(|number: &u32| number.to_string() == log);
    number.ok_or_else(|| ApiError::new(code::NOT_FOUND, "there is no such log here"))
}

/// The present log alone is cosigned, and grows.
fn check_log(app: &App, log: &str) -> Answer<()> {
    if log == app.node.log.origin().number().to_string() {
        Ok(())
    } else {
        Err(ApiError::new(code::NOT_FOUND, "there is no such log here"))
    }
}

/// The present checkpoint of the log.
async fn checkpoint(State(app): State<App>, Path(log): Path<String>) -> Answer<Response> {
    let note = app.node.log.checkpoint_of(log_number(&log)?)?;
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, note.to_string()).into_response())
}

/// The newest checkpoint that other domains have cosigned.
async fn witnessed(State(app): State<App>, Path(log): Path<String>) -> Answer<Response> {
    check_log(&app, &log)?;
    let head = app.node.log.witnessed().ok_or_else(|| ApiError::new(code::NOT_FOUND, "no other domain has cosigned this log yet"))?;
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, head.note.to_string()).into_response())
}

/// A tile or an entry bundle (C2SP tlog-tiles).
async fn tile(State(app): State<App>, Path((log, path)): Path<(String, String)>) -> Answer<Response> {
    let log = log_number(&log)?;
    let (level, rest) = path.split_once('/').ok_or_else(|| ApiError::malformed("a tile's path is <level>/<index>"))?;
    let (number, width) =
        tile_index(rest).ok_or_else(|| ApiError::malformed("a tile's index is x001/x234/567 with an optional .p/<width>"))?;
    let level = match level {
        "entries" => None,
        text => Some(
            text.parse::<u8>()
                .ok()
                .filter(|n| n.to_string() == text && *n < 64)
                .ok_or_else(|| ApiError::malformed("a level is 0 to 63"))?,
        ),
    };
    let bytes = blocking(move || {
        Ok(match level {
            Some(level) => app.node.log.tile(log, level, (number, width))?,
            None => app.node.log.entries(log, (number, width))?,
        })
    });
    let cache = if width == TILE_WIDTH { "public, max-age=31536000, immutable" } else { "public, max-age=60" };
    let headers = [(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, cache)];
    Ok((headers, bytes.await?).into_response())
}

/// `x001/x234/067` is 1234067; `.p/<width>` makes it partial.
fn tile_index(path: &str) -> Option<(u64, u64)> {
    let (index, width) = match path.split_once(".p/") {
        Some((index, width)) => (index, width.parse().ok().filter(|w: &u64| w.to_string() == width && (1..TILE_WIDTH).contains(w))?),
        None => (path, TILE_WIDTH),
    };
    let mut number = 0u64;
    let groups: Vec<&str> = index.split('/').collect();
    let (last, leading) = groups.split_last()?;
    for group in leading.iter().map(|group| group.strip_prefix('x')).chain([Some(*last)]) {
        let group = group.filter(|group| group.len() == 3 && group.bytes().all(|b| b.is_ascii_digit()))?;
        number = number.checked_mul(1000)?.checked_add(group.parse().ok()?)?;
    }
    let canonical = leading.first().is_none_or(|first| *first != "x000");
    canonical.then_some((number, width))
}

#[cfg(test)]
mod tests {
    use super::tile_index;

    #[test]
    fn tile_paths_are_c2sp() {
        assert_eq!(tile_index("x001/x234/067"), Some((1_234_067, 256)));
        assert_eq!(tile_index("000.p/3"), Some((0, 3)));
        for bad in ["1", "x000/001", "000.p/256", "000.p/0", "000.p/03", "x1/000", "", "0000"] {
            assert_eq!(tile_index(bad), None, "{bad}");
        }
    }
}
