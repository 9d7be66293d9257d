//! From a rendered page to an HTTP answer: status, validators, caching, and what browsers are told not to do.

use super::fault::Fault;
use super::{Head, Site};
use crate::App;
use askama::Template;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use mesh_proto::bytes::base64url;
use sha2::{Digest, Sha256};

/// Nothing runs, nothing comes from elsewhere, nothing is sent, nobody frames the page.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// A rendered page.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) status: StatusCode,
    pub(super) html: String,
}

impl Page {
    /// Renders a template. It fails only where writing to a string could.
    pub(super) fn render(status: StatusCode, template: &impl Template) -> Self {
        Self { status, html: template.render().expect("writing to a string does not fail") }
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
            let mut response = send(headers, page);
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
pub(super) fn send(headers: &HeaderMap, page: Page) -> Response {
    let etag = format!("W/\"{}\"", base64url(&Sha256::digest(&page.html)[..16]));
    let etag = HeaderValue::try_from(etag).expect("base64url is fit for a header");
    let mut response = match page.status == StatusCode::OK && matches(headers, &etag) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => (page.status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], page.html).into_response(),
    };
    response.headers_mut().insert(header::ETAG, etag);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=0, must-revalidate"));
    harden(&mut response);
    response
}

/// Sends the reader to another path of this server.
pub(super) fn redirect(path: &str) -> Response {
    let mut response = axum::response::Redirect::temporary(path).into_response();
    harden(&mut response);
    response
}

/// The person who had this page has it on another domain now, for good.
pub(super) fn moved(url: &str) -> Response {
    let mut response = axum::response::Redirect::permanent(url).into_response();
    harden(&mut response);
    response
}

/// The headers that every page and asset carries.
pub(super) fn harden(response: &mut Response) {
    const FIXED: [(HeaderName, &str); 3] = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in FIXED {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
}

/// Whether `If-None-Match` names this validator, by weak comparison (RFC 9110 §13.1.2).
pub(super) fn matches(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let opaque = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag).to_owned();
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
        html && !range.iter().any(|parameter| matches!(parameter.strip_prefix("q="), Some("0" | "0.0" | "0.00" | "0.000")))
    })
}
