//! Errors on the wire: RFC 9457 problem details. The one place that chooses statuses and words.

use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use mesh_node::NodeError;
use mesh_proto::api::{KeysKnown, PROBLEM_PREFIX, Problem, code};

/// An error on its way to the other side.
#[derive(Debug)]
pub(crate) struct ApiError {
    code: &'static str,
    detail: String,
    keys_wanted: Vec<KeysKnown>,
    checkpoint_wanted: Option<u64>,
    retry_after_s: Option<u64>,
    /// The one status that has no code of its own.
    method_not_allowed: bool,
}

/// Longest detail, characters: what peers and parsers say may be long.
const DETAIL_CHARS_MAX: usize = 500;

/// What handlers answer.
pub(crate) type Answer<T> = Result<T, ApiError>;

impl ApiError {
    pub(crate) fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            keys_wanted: Vec::new(),
            checkpoint_wanted: None,
            retry_after_s: None,
            method_not_allowed: false,
        }
    }

    /// Our fault, and only for now.
    pub(crate) fn busy(detail: &str, retry_after_s: u64) -> Self {
        Self { retry_after_s: Some(retry_after_s), ..Self::new(code::UNAVAILABLE, detail) }
    }

    /// One of [`code`].
    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    pub(crate) fn malformed(error: impl std::fmt::Display) -> Self {
        Self::new(code::MALFORMED, error.to_string())
    }

    /// The status and the fixed title of each code.
    fn kind(&self) -> (StatusCode, &'static str) {
        match self.code {
            code::MALFORMED if self.method_not_allowed => (StatusCode::METHOD_NOT_ALLOWED, "The request is not what this endpoint takes"),
            code::MALFORMED => (StatusCode::BAD_REQUEST, "The request is not what this endpoint takes"),
            code::BACK_DATED => (StatusCode::UNPROCESSABLE_ENTITY, "The logged time cannot be"),
            code::FUTURE => (StatusCode::UNPROCESSABLE_ENTITY, "The claimed time lies in the future"),
            code::UNAUTHENTICATED => (StatusCode::UNAUTHORIZED, "The request needs a good signature"),
            code::BAD_SIGNATURE => (StatusCode::FORBIDDEN, "A signature does not fit"),
            code::FORBIDDEN => (StatusCode::FORBIDDEN, "The signer may not do this"),
            code::DEVICE => (StatusCode::FORBIDDEN, "The device may not sign this"),
            code::ACCOUNT => (StatusCode::FORBIDDEN, "The account may not act"),
            code::POLICY => (StatusCode::FORBIDDEN, "The author's policy says no"),
            code::MODERATED => (StatusCode::FORBIDDEN, "The operators decided against it"),
            code::REGISTRATION => (StatusCode::FORBIDDEN, "Registration needs something else"),
            code::NOT_FOUND => (StatusCode::NOT_FOUND, "There is nothing here"),
            code::GONE => (StatusCode::GONE, "It was withdrawn"),
            code::KEYS_WANTED => (StatusCode::CONFLICT, "Key operations are missing"),
            code::CHECKPOINT_WANTED => (StatusCode::CONFLICT, "Growth of the log is not shown"),
            code::LOG_FORKED => (StatusCode::CONFLICT, "The log forked"),
            code::HEAD_MOVED => (StatusCode::CONFLICT, "The key log has moved on"),
            code::NAME => (StatusCode::CONFLICT, "The name cannot be had"),
            code::TOO_LARGE => (StatusCode::PAYLOAD_TOO_LARGE, "Something exceeds its limit"),
            code::NOT_HOME => (StatusCode::FORBIDDEN, "This is not the right home"),
            code::NOT_LOGGED => (StatusCode::UNPROCESSABLE_ENTITY, "The proof does not hold"),
            code::OBJECT => (StatusCode::UNPROCESSABLE_ENTITY, "The object cannot be acted on"),
            code::ENDED => (StatusCode::UNPROCESSABLE_ENTITY, "It is over"),
            code::SLOW_DOWN => (StatusCode::TOO_MANY_REQUESTS, "Too many requests"),
            code::UNAVAILABLE => (StatusCode::SERVICE_UNAVAILABLE, "Not now"),
            code::REMOTE => (StatusCode::BAD_GATEWAY, "Another domain did not answer well"),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "The server failed"),
        }
    }
}

impl From<NodeError> for ApiError {
    fn from(error: NodeError) -> Self {
        if let NodeError::Store(store) = &error {
            tracing::error!(error.message = %store, error.detail = ?store, "store.failed");
        }
        let detail = match &error {
            NodeError::Store(_) => "the server's store does not answer as it should: try again later, or tell its operator".into(),
            other => other.to_string(),
        };
        let mut api = Self::new(error.code(), detail);
        match error {
            NodeError::SlowDown { retry_after_s } => api.retry_after_s = Some(retry_after_s),
            NodeError::KeysWanted(keys) => api.keys_wanted = keys,
            NodeError::CheckpointWanted(size) => api.checkpoint_wanted = Some(size),
            NodeError::Stopping | NodeError::Full | NodeError::Store(_) => api.retry_after_s = Some(10),
            _ => {}
        }
        api
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, title) = self.kind();
        let problem = Problem {
            problem_type: format!("{PROBLEM_PREFIX}{}", self.code),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: self.detail.chars().take(DETAIL_CHARS_MAX).collect(),
            keys_wanted: self.keys_wanted,
            checkpoint_wanted: self.checkpoint_wanted,
        };
        let mut response = (status, Json(problem)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Where the path is good and the method is not.
pub(crate) async fn method_not_allowed() -> ApiError {
    let words = "this path does not take this method: those that it takes are in the header Allow";
    ApiError { method_not_allowed: true, ..ApiError::malformed(words) }
}

/// Turns a panic in a handler into a problem, so that one request's bug ends one request.
pub(crate) async fn guard_panics(request: Request, next: Next) -> Response {
    use futures_util::FutureExt;
    match std::panic::AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => ApiError::new(code::INTERNAL, "the server failed on this request; its operator finds more in the log").into_response(),
    }
}
