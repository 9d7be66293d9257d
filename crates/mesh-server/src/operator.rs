//! The operator's way in: HTTP on a Unix socket in the data folder, which nobody but the server's own user can open. `meshd`'s commands speak to it; while no
//! server runs, [`ask`] opens the domain itself and puts the same question to the same routes.

pub(crate) mod backup;
mod moderation;
mod queue;
pub mod restore;
mod status;
pub mod upgrade;
mod users;

use crate::config::Folder;
use crate::{problem, serve};
use anyhow::Context;
use axum::body::{Body, Bytes};
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, Request, StatusCode};
use axum::routing::{get, post};
pub use backup::archive::Taken;
pub use backup::{About, Archive, Progress, Told, check as check_backup, make as make_backup};
use http::Response;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use mesh_node::Node;
use mesh_proto::api::Problem;
pub use moderation::{Domains, NewRules, Order, ReportAnswer, ReportView, Reports, Target};
pub use queue::{Destination, Queue};
use serde::Serialize;
use serde::de::DeserializeOwned;
pub use status::Status;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
pub use users::{User, Users};

/// The folder of the socket in the data folder, and its name there.
const RUN_FOLDER: &str = "run";
const SOCKET: &str = "meshd.sock";
/// Bytes of one request, and of one answer.
const REQUEST_BYTES_MAX: usize = 1024 * 1024;
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What every operator's handler has at hand.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) node: Arc<Node>,
    pub(crate) started_ms: u64,
    /// The data folder.
    pub(crate) root: Arc<Path>,
    pub(crate) stopping: CancellationToken,
    /// One backup at a time.
    pub(crate) backups: Arc<Semaphore>,
}

impl Desk {
    pub(crate) fn new(node: Arc<Node>, folder: &Folder, stopping: CancellationToken) -> Self {
        let started_ms = node.clock().now_ms();
        Self { node, started_ms, root: folder.root.as_path().into(), stopping, backups: Arc::new(Semaphore::new(1)) }
    }
}

/// The operator's routes.
pub(crate) fn router(desk: Desk) -> axum::Router {
    axum::Router::new()
        .route("/backup", get(backup::serve))
        .route("/status", get(status::show))
        .route("/queue", get(queue::show))
        .route("/users", get(users::list))
        .route("/invites", post(users::invite))
        .route("/rulings", post(moderation::decide))
        .route("/rules", get(moderation::rules).post(moderation::set_rules))
        .route("/domains", get(moderation::domains))
        .route("/reports", get(moderation::reports))
        .route("/reports/{id}", post(moderation::answer))
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .layer(axum::middleware::from_fn(problem::guard_panics))
        .with_state(desk)
}

/// Makes the socket anew; one that a killed server left behind is in the way of nobody, since the store is locked by whoever runs.
pub(crate) fn bind(folder: &Folder) -> anyhow::Result<UnixListener> {
    let run = folder.root.join(RUN_FOLDER);
    match DirBuilder::new().mode(0o700).create(&run) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(error).with_context(|| format!("cannot make {}", run.display()));
        }
        _ => {}
    }
    match std::fs::remove_file(run.join(SOCKET)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).context("cannot remove the old socket"),
        _ => {}
    }
    let listener = File::open(&run).and_then(|run| UnixListener::bind(short_path(&run)));
    listener.with_context(|| format!("cannot make the operator's socket in {}", run.display()))
}

/// A socket's name has at most 107 bytes, a folder's may have more: the folder is named by its open handle.
fn short_path(run: &File) -> PathBuf {
    Path::new("/proc/self/fd").join(run.as_raw_fd().to_string()).join(SOCKET)
}

/// Takes the socket away, once nobody is answered any more.
pub(crate) fn unbind(folder: &Folder) {
    if let Err(error) = std::fs::remove_file(folder.root.join(RUN_FOLDER).join(SOCKET)) {
        tracing::debug!(error.message = %error, "operator.socket_stays");
    }
}

/// Puts a question to the server of a data folder, or to the folder itself if none runs, and reads the answer.
///
/// # Errors
/// What the server refuses, in its words; a folder that is none, or whose server does not answer.
pub async fn ask<T: DeserializeOwned>(folder: &Folder, (method, path): (Method, &str), body: &impl Serialize) -> anyhow::Result<T> {
    let body = if method == Method::GET { Body::empty() } else { Body::from(serde_json::to_vec(body)?) };
    let request = Request::builder().method(method).uri(path).header("host", "meshd").header("content-type", "application/json");
    let request = request.body(body)?;
    let (status, answer) = match connect(&folder.root).await? {
        Some(stream) => over(stream, request).await.context("the running server did not answer")?,
        None => alone(folder, request).await?,
    };
    if !status.is_success() {
        return Err(refusal(status, &answer));
    }
    serde_json::from_slice(&answer).context("the server's answer cannot be read: is it of another version than this command?")
}

/// The running server of a data folder, if there is one.
async fn connect(root: &Path) -> anyhow::Result<Option<UnixStream>> {
    let run = root.join(RUN_FOLDER);
    let run = match File::open(&run) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.with_context(|| format!("cannot look into {}: are you the user that runs the server?", run.display()))?,
    };
    match UnixStream::connect(short_path(&run)).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => Ok(None),
        Err(error) => Err(error).context("cannot speak to the running server"),
    }
}

/// What a refusal says.
fn refusal(status: StatusCode, answer: &[u8]) -> anyhow::Error {
    match serde_json::from_slice::<Problem>(answer) {
        Ok(problem) => anyhow::anyhow!("{}", problem.detail),
        Err(_) => anyhow::anyhow!("the server answered {status}: {}", String::from_utf8_lossy(answer)),
    }
}

/// Puts a question to a running server; the connection ends with the answer.
async fn send(stream: UnixStream, request: Request<Body>) -> anyhow::Result<Response<Incoming>> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

/// Reads the whole of an answer.
async fn whole(answer: Response<Incoming>) -> anyhow::Result<(StatusCode, Bytes)> {
    let (head, body) = answer.into_parts();
    Ok((head.status, axum::body::to_bytes(Body::new(body), ANSWER_BYTES_MAX).await?))
}

async fn over(stream: UnixStream, request: Request<Body>) -> anyhow::Result<(StatusCode, Bytes)> {
    whole(send(stream, request).await?).await
}

/// Opens the domain, answers, and closes it again.
async fn alone(folder: &Folder, request: Request<Body>) -> anyhow::Result<(StatusCode, Bytes)> {
    let node = Arc::new(tokio::task::block_in_place(|| serve::open(folder))?);
    let response = router(Desk::new(Arc::clone(&node), folder, CancellationToken::new()))
        .oneshot(request)
        .await
        .unwrap_or_else(|never| match never {});
    let (head, body) = response.into_parts();
    let body = axum::body::to_bytes(body, ANSWER_BYTES_MAX).await?;
    tokio::task::spawn_blocking(move || node.stop()).await??;
    Ok((head.status, body))
}
