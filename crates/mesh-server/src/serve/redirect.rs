//! Sends people who come by `http://` to `https://`.

use axum::http::{StatusCode, Uri, header};
use axum::response::IntoResponse;
use mesh_proto::address::Domain;
use tokio::net::TcpListener;

/// Answers until stopped. The path is kept, whatever name the client used.
pub(super) async fn serve(listener: TcpListener, domain: Domain, stopped: impl Future<Output = ()> + Send + 'static) {
    let router = axum::Router::new().fallback(move |uri: Uri| {
        let to = format!("{}{}", domain.base_url(), uri.path_and_query().map_or("/", |path| path.as_str()));
        std::future::ready((StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, to)]).into_response())
    });
    // Accepting goes on after errors; it ends when it is told to.
    drop(axum::serve(listener, router).with_graceful_shutdown(stopped).await);
}
