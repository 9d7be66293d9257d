//! Pages that say why there is no other page, in words.

use axum::http::StatusCode;
use mesh_node::NodeError;
use mesh_proto::api::code;

/// When to try again, seconds.
const RETRY_AFTER_S: u64 = 10;

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
        Self { status, heading: heading.to_owned(), words: words.to_owned(), retry_after_s: None }
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

    /// A person of whom operators let nothing be shown.
    pub(super) fn suspended() -> Self {
        let words = "The operators of a domain decided that nothing of this account is shown. The person can still read why, and take the account elsewhere.";
        Self::new(StatusCode::GONE, "This account is suspended", words)
    }

    /// A query that no page of this server links to.
    pub(super) fn malformed() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "This address is not complete",
            "The part after the question mark is not one that this server wrote. The same address without it works.",
        )
    }

    /// Not a tag.
    pub(super) fn no_tag() -> Self {
        let words = "A tag is made of letters, digits, _ and -, and is not longer than 64 bytes.";
        Self::new(StatusCode::NOT_FOUND, "There is no such tag", words)
    }

    /// A form in which a post is not to be had (oEmbed §2.3.5).
    pub(super) fn no_such_format() -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, "Not in this form", "How a post is embedded is told as format=json and as format=xml.")
    }

    fn not_now(words: &str, retry_after_s: u64) -> Self {
        Self { retry_after_s: Some(retry_after_s), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "Not now", words) }
    }
}

impl From<NodeError> for Fault {
    fn from(error: NodeError) -> Self {
        match &error {
            NodeError::NotFound(_) => return Self::not_found(),
            NodeError::SlowDown { retry_after_s } => {
                let fault = Self::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "Too fast",
                    "Too many requests came from where you are. Please wait a moment.",
                );
                return Self { retry_after_s: Some(*retry_after_s), ..fault };
            }
            NodeError::Remote { domain, .. } => {
                let words = format!("{domain} did not answer well. Please try again later.");
                return Self::new(StatusCode::BAD_GATEWAY, "Another domain does not answer", &words);
            }
            NodeError::Stopping => {
                return Self::not_now("This server is being restarted. Please try again in a moment.", RETRY_AFTER_S);
            }
            NodeError::Search(search) => tracing::error!(error.message = %search, error.detail = ?search, "search.failed"),
            NodeError::Store(store) => tracing::error!(error.message = %store, error.detail = ?store, "store.failed"),
            _ => {}
        }
        match error.code() {
            code::MALFORMED => Self::malformed(),
            code::UNAVAILABLE | code::INTERNAL => {
                Self::not_now("This server cannot read what it needs. Please try again later, or tell its operator.", RETRY_AFTER_S)
            }
            _ => Self::new(StatusCode::BAD_REQUEST, "This cannot be shown", &error.to_string()),
        }
    }
}
