//! The stub: a router on a port of its own, and a client with a seeded clock and random source.

use axum::Router;
use mesh_client::home::Home;
use mesh_client::http::Http;
use mesh_proto::address::Domain;
use mesh_testkit::{ManualClock, SeededRng};
use std::sync::Arc;

/// What the stub's clock shows: 2026-01-01T00:00:00Z, milliseconds.
pub(crate) const NOW_MS: u64 = 1_767_225_600_000;

/// Serves `router(domain)` until the test ends, and answers a client's view of it.
pub(crate) async fn serve(router: impl FnOnce(&Domain) -> Router) -> Home {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let domain: Domain = format!("stub.localhost:{port}").parse().expect("a domain");
    let router = router(&domain);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Home::new(http(), domain)
}

/// A client with a clock that stands still.
pub(crate) fn http() -> Http {
    Http::new(Arc::new(ManualClock::new(NOW_MS)), Arc::new(SeededRng::new(mesh_testkit::seed(1)))).expect("a client")
}
