//! The stylesheet, the icon and the picture for cards elsewhere: embedded, named by their content, cached for ever under that name.

use super::{Page, send};
use axum::extract::RawQuery;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use mesh_proto::bytes::base64url;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// A file that pages need.
struct Asset {
    page: Page,
    version: String,
    url: String,
}

impl Asset {
    fn new(path: &str, bytes: &'static [u8], media_type: &'static str) -> Self {
        let version = base64url(&Sha256::digest(bytes)[..9]);
        let url = format!("{path}?v={version}");
        Self { page: Page::of(StatusCode::OK, media_type, bytes), version, url }
    }

    /// For ever if asked for by its version; otherwise it may be another one tomorrow.
    fn answer(&self, query: Option<&str>, headers: &HeaderMap) -> Response {
        let by_version = query.and_then(|query| query.strip_prefix("v=")) == Some(self.version.as_str());
        let caching = if by_version { "public, max-age=31536000, immutable" } else { "public, max-age=0, must-revalidate" };
        let mut response = send(headers, &self.page);
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
        response
    }
}

static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("/assets/mesh.css", include_bytes!("../../../assets/mesh.css"), "text/css; charset=utf-8"));
static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("/assets/mesh.svg", include_bytes!("../../../assets/mesh.svg"), "image/svg+xml"));
static PICTURE: LazyLock<Asset> = LazyLock::new(|| Asset::new("/assets/mesh.png", include_bytes!("../../../assets/mesh.png"), "image/png"));

/// Where the present stylesheet is.
pub(in crate::pages) fn style_url() -> &'static str {
    &STYLE.url
}

/// Where the present icon is.
pub(in crate::pages) fn icon_url() -> &'static str {
    &ICON.url
}

/// Where the present picture is: 512 by 512.
pub(in crate::pages) fn picture_url() -> &'static str {
    &PICTURE.url
}

/// `GET /assets/mesh.css`.
pub(in crate::pages) async fn style(RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    STYLE.answer(query.as_deref(), &headers)
}

/// `GET /assets/mesh.svg`.
pub(in crate::pages) async fn icon(RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    ICON.answer(query.as_deref(), &headers)
}

/// `GET /assets/mesh.png`.
pub(in crate::pages) async fn picture(RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    PICTURE.answer(query.as_deref(), &headers)
}
