//! From a rendered page to an HTTP answer: status, validators, caching, compression, and what browsers are told not to do.

pub(super) mod asset;
pub(crate) mod kept;

use super::fault::Fault;
use super::{Head, Site};
use crate::App;
use askama::Template;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use mesh_proto::bytes::base64url;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::sync::OnceLock;

/// Nothing runs, nothing comes from elsewhere, nothing is sent but a search to this server, nobody frames the page. Tools that inspect a page may ask for
/// this server's other files.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// Who has a page may show it for half a minute while it asks whether it is still so.
const CACHING: &str = "public, max-age=0, stale-while-revalidate=30";
/// Bodies below this are not worth compressing.
const COMPRESSED_BYTES_MIN: usize = 600;
/// How hard to try: beyond these, time grows faster than bytes shrink.
const ZSTD_LEVEL: i32 = 6;
const BROTLI_QUALITY: u32 = 5;

/// The media type of pages.
pub(super) const HTML: &str = "text/html; charset=utf-8";

/// A rendered page, or a file about pages for machines.
#[derive(Debug)]
pub(super) struct Page {
    status: StatusCode,
    body: Bytes,
    /// Those of the answer, but for the encoding.
    headers: HeaderMap,
    zstd: OnceLock<Option<Bytes>>,
    brotli: OnceLock<Option<Bytes>>,
}

/// In which form a body travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Identity,
    Zstd,
    Brotli,
}

impl Page {
    /// Renders a template. It fails only where writing to a string could.
    pub(super) fn render(status: StatusCode, template: &impl Template) -> Self {
        Self::of(status, HTML, template.render().expect("writing to a string does not fail"))
    }

    /// A file of any kind.
    pub(super) fn of(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let etag = format!("W/\"{}\"", base64url(&Sha256::digest(&body)[..16]));
        let etag = HeaderValue::try_from(etag).expect("base64url is fit for a header");
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(header::ETAG, etag);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(CACHING));
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        harden(&mut headers);
        Self { status, body, headers, zstd: OnceLock::new(), brotli: OnceLock::new() }
    }

    /// Everyone may read it from scripts of other sites: what it says is public and asks nobody who they are.
    pub(super) fn for_other_sites(mut self) -> Self {
        self.headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        self
    }

    /// Bytes in memory, about.
    fn size_bytes(&self) -> usize {
        // Once compressed it is about a third, in each form.
        self.body.len() * 2 + 2_048
    }

    fn encoded(&self, encoding: Encoding) -> Option<&Bytes> {
        if self.body.len() < COMPRESSED_BYTES_MIN {
            return None;
        }
        match encoding {
            Encoding::Identity => None,
            Encoding::Zstd => self.zstd.get_or_init(|| zstd::bulk::compress(&self.body, ZSTD_LEVEL).ok().map(Bytes::from)).as_ref(),
            Encoding::Brotli => self.brotli.get_or_init(|| brotli(&self.body).map(Bytes::from)).as_ref(),
        }
    }
}

fn brotli(body: &[u8]) -> Option<Vec<u8>> {
    use std::io::Write;
    let mut out = brotli::CompressorWriter::new(Vec::with_capacity(body.len() / 2), 32 * 1024, BROTLI_QUALITY, 22);
    out.write_all(body).ok()?;
    out.flush().ok()?;
    Some(out.into_inner())
}

/// The captures of a path; what is not percent-encoded UTF-8 is answered with a page that says so.
pub(super) struct Captured<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Captured<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        match Path::from_request_parts(parts, app).await {
            Ok(Path(captures)) => Ok(Self(captures)),
            Err(_) => Err(answer(app, &parts.headers, Err(Fault::not_found()))),
        }
    }
}

/// What a page handler comes to.
pub(super) type Outcome = Result<Response, Fault>;

#[derive(Template)]
#[template(path = "fault.html")]
struct FaultPage {
    site: Site,
    head: Head,
    fault: Fault,
}

/// Turns what a handler came to into an answer.
pub(super) fn answer(app: &App, headers: &HeaderMap, outcome: Outcome) -> Response {
    match outcome {
        Ok(response) => response,
        Err(fault) => {
            let retry_after_s = fault.retry_after_s;
            let head = Head { title: fault.heading.clone(), noindex: true, ..Head::default() };
            let status = fault.status;
            let page = Page::render(status, &FaultPage { site: Site::of(app), head, fault });
            let mut response = send(headers, &page);
            if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
                response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            }
            if let Some(seconds) = retry_after_s {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            response
        }
    }
}

/// Sends a page, or word that the reader's copy is still good.
pub(super) fn send(headers: &HeaderMap, page: &Page) -> Response {
    let etag = page.headers.get(header::ETAG).expect("every page has one");
    if page.status == StatusCode::OK && matches(headers, etag) {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        *response.headers_mut() = page.headers.clone();
        response.headers_mut().remove(header::CONTENT_TYPE);
        return response;
    }
    let encoding = wanted(headers);
    let mut response = Response::new(axum::body::Body::empty());
    *response.status_mut() = page.status;
    *response.headers_mut() = page.headers.clone();
    let body = match page.encoded(encoding) {
        Some(encoded) => {
            let name = if encoding == Encoding::Zstd { "zstd" } else { "br" };
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
            encoded
        }
        None => &page.body,
    };
    *response.body_mut() = axum::body::Body::from(body.clone());
    response
}

/// The encoding that the reader takes and that is best: zstd is faster to make at about the same size.
fn wanted(headers: &HeaderMap) -> Encoding {
    let takes = |name: &str| {
        let codings =
            headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        codings
            .map(|coding| coding.split_once(';').unwrap_or((coding, "")))
            .any(|(coding, weight)| coding.trim().eq_ignore_ascii_case(name) && takes_some(weight))
    };
    match () {
        () if takes("zstd") => Encoding::Zstd,
        () if takes("br") => Encoding::Brotli,
        () => Encoding::Identity,
    }
}

/// Whether what follows a coding lets it be used: nothing, or a weight above 0.
fn takes_some(parameter: &str) -> bool {
    let weight = parameter.trim();
    weight.is_empty() || weight.strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok()).is_some_and(|weight| weight > 0.0)
}

/// Whether a parameter is a weight that refuses (RFC 9110 §12.4.2).
fn is_zero(parameter: &str) -> bool {
    matches!(parameter.trim().strip_prefix("q="), Some("0" | "0." | "0.0" | "0.00" | "0.000"))
}

/// Sends the reader to another path of this server.
pub(super) fn redirect(path: &str) -> Response {
    hardened(axum::response::Redirect::temporary(path).into_response())
}

/// The person who had this page has it on another domain now, for good.
pub(super) fn moved(url: &str) -> Response {
    hardened(axum::response::Redirect::permanent(url).into_response())
}

fn hardened(mut response: Response) -> Response {
    harden(response.headers_mut());
    response
}

/// The headers that every page and asset carries.
pub(super) fn harden(headers: &mut HeaderMap) {
    const FIXED: [(HeaderName, &str); 3] = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in FIXED {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Whether `If-None-Match` names this validator, by weak comparison (RFC 9110 §13.1.2).
pub(super) fn matches(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    fn opaque(tag: &[u8]) -> &[u8] {
        tag.strip_prefix(b"W/").unwrap_or(tag)
    }
    let wanted = opaque(etag.as_bytes());
    let tags = headers.get_all(header::IF_NONE_MATCH).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    tags.map(<[u8]>::trim_ascii).any(|tag| tag == b"*" || opaque(tag) == wanted)
}

/// Whether the reader is a browser: its `Accept` names HTML, and not only to refuse it.
pub(super) fn wants_html(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    accepted.map(|range| range.split(';').map(str::trim).collect::<Vec<_>>()).any(|range| {
        let html =
            range.first().is_some_and(|kind| kind.eq_ignore_ascii_case("text/html") || kind.eq_ignore_ascii_case("application/xhtml+xml"));
        html && !range.iter().any(|parameter| is_zero(parameter))
    })
}
