//! Pages that say why there is no other page, in words.

use axum::http::StatusCode;
use mesh_node::NodeError;
use mesh_proto::api::code;

/// Why a page cannot be shown.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) status: StatusCode,
    pub(super) heading: String,
    pub(super) words: String,
    pub(super) retry_after_s: Option<u64>,
}

impl Fault {
    fn new(status: StatusCode, heading: &str, words: &str) -> Self {
        Self {
            status,
            heading: heading.to_owned(),
            words: words.to_owned(),
            retry_after_s: None,
        }
    }

    /// Nothing under this path.
    pub(super) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "There is nothing here",
            "Perhaps the address was mistyped, or what it named never was on this server.",
        )
    }

    /// Nobody of this name.
    pub(super) fn nobody() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "Nobody here has this name",
            "Perhaps it was mistyped, or the person lives on another domain: look for the part after the second @.",
        )
    }

    /// No such record of this person.
    pub(super) fn no_record() -> Self {
        let words = "This person has published nothing under this address, at least nothing that this server knows of.";
        Self::new(StatusCode::NOT_FOUND, "There is no such post here", words)
    }

    /// A query that no page of this server links to.
    pub(super) fn malformed() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "This address is not complete",
            "The part after the question mark is not one that this server wrote. The same address without it works.",
        )
    }

    fn not_now(words: &str, retry_after_s: u64) -> Self {
        Self {
            retry_after_s: Some(retry_after_s),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "Not now", words)
        }
    }
}

impl From<NodeError> for Fault {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::NotFound(_) => Self::not_found(),
            NodeError::Gone(_) => Self::new(StatusCode::GONE, "This was withdrawn", "It was here, and its text is erased."),
            NodeError::SlowDown { retry_after_s } => {
                let fault = Self::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "Too fast",
                    "Too many requests came from where you are. Please wait a moment.",
                );
                Self {
                    retry_after_s: Some(retry_after_s),
                    ..fault
                }
            }
            NodeError::Remote { domain, .. } => Self::new(
                StatusCode::BAD_GATEWAY,
                "Another domain does not answer",
                &format!("{domain} did not answer well. Please try again later."),
            ),
            NodeError::Full => Self::not_now("This server's disk is full. Please try again later, or tell its operator.", 60),
            NodeError::Stopping => {
                Self::not_now("This server is being restarted. Please try again in a moment.", 10)
            }
            NodeError::Store(store) => {
                tracing::error!(error.message = %store, error.detail = ?store, "store.failed");
                Self::not_now(
                    "This server's store does not answer as it should. Please try again later, or tell its operator.",
                    10,
                )
            }
            NodeError::Refused { code: code::MALFORMED, .. } => Self::malformed(),
            NodeError::Refused { .. } | NodeError::KeysWanted(_) => {
                Self::new(StatusCode::BAD_REQUEST, "This cannot be shown", &error.to_string())
            }
        }
    }
}
