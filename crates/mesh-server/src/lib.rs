//! A MESH home server: the HTTP face of [`mesh_node`].
//!
//! `api` speaks with clients, `federation` with other domains, `pages` with people, `operator` with whoever runs the server. Handlers translate
//! and call one service each; how an error looks on the wire is decided in [`problem`] alone. `serve` owns the sockets and the order of stopping.

mod api;
mod auth;
mod body;
pub mod config;
mod extract;
mod federation;
pub mod operator;
mod pages;
mod ports;
mod problem;
pub mod serve;
mod transport;

pub use mesh_node::Node;
use mesh_proto::http_signature::NonceWindow;
pub use serve::verify;
use std::sync::{Arc, Mutex};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
pub use transport::signing;

/// What every handler has at hand.
#[derive(Clone)]
pub struct App {
    /// The domain's services.
    pub node: Arc<Node>,
    nonces: Arc<Mutex<NonceWindow>>,
    started_s: u64,
    stopping: CancellationToken,
    limits: Arc<config::Limits>,
    /// Memory for bodies on their way in.
    room: Arc<Semaphore>,
    metrics: Arc<serve::metrics::Metrics>,
    pages: Arc<pages::answer::kept::Pages>,
    /// How people reach the operator.
    contact: Option<Arc<str>>,
}

impl App {
    /// Puts handlers over a node that was opened at `started_s`.
    pub fn new(node: Arc<Node>, limits: config::Limits) -> Self {
        let started_s = node.clock().now_ms() / 1000;
        let nonces = Arc::new(Mutex::new(NonceWindow::new()));
        let room = Arc::new(Semaphore::new(body::ROOM_UNITS));
        Self {
            node,
            nonces,
            started_s,
            stopping: CancellationToken::new(),
            limits: Arc::new(limits),
            room,
            pages: Arc::default(),
            contact: None,
            metrics: Arc::new(serve::metrics::Metrics::new()),
        }
    }

    /// Says how people reach the operator.
    #[must_use]
    pub fn with_contact(self, contact: Option<&str>) -> Self {
        Self { contact: contact.map(Arc::from), ..self }
    }
}

/// The software's name and version, for people.
pub const SOFTWARE: &str = concat!("meshd ", env!("CARGO_PKG_VERSION"));

/// All routes.
pub fn router(app: App) -> axum::Router {
    axum::Router::new()
        .merge(api::router())
        .merge(federation::router())
        .merge(pages::router())
        .fallback(pages::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(axum::middleware::from_fn(problem::guard_panics))
        .layer(axum::middleware::from_fn_with_state(app.clone(), serve::metrics::observe))
        .with_state(app)
}

/// The API description (OpenAPI, JSON), generated from the handlers.
pub fn openapi_json() -> String {
    api::description()
}

/// The operating system's random source.
pub fn system_rng() -> impl mesh_proto::port::Rng {
    ports::SystemRng
}
