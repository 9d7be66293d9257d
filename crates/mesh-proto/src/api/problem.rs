//! Errors on the wire: RFC 9457 problem details.

use super::federation::KeysKnown;
use serde::{Deserialize, Serialize};

/// `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// `urn:mesh:problem:<code>`.
    #[serde(rename = "type")]
    pub problem_type: String,
    /// The same for every problem of this type.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened here and what to do next.
    pub detail: String,
    /// With `keys_wanted`: whose key operations to send along.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys_wanted: Vec<KeysKnown>,
    /// With `checkpoint_wanted`: the number of leaves of the checkpoint from which growth is to be proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_wanted: Option<u64>,
}

/// The prefix of every problem type.
pub const PROBLEM_PREFIX: &str = "urn:mesh:problem:";

impl Problem {
    /// The code: one of [`code`], or one of a later version.
    pub fn code(&self) -> &str {
        self.problem_type.strip_prefix(PROBLEM_PREFIX).unwrap_or(&self.problem_type)
    }
}

/// The codes of problems and of refused items.
pub mod code {
    /// The input is not what the endpoint takes.
    pub const MALFORMED: &str = "malformed";
    /// Something exceeds a published limit.
    pub const TOO_LARGE: &str = "too_large";
    /// A signature does not fit.
    pub const BAD_SIGNATURE: &str = "bad_signature";
    /// The request needs a signature (RFC 9421) and has none, an old one, or a repeated one.
    pub const UNAUTHENTICATED: &str = "unauthenticated";
    /// The signer may not do this.
    pub const FORBIDDEN: &str = "forbidden";
    /// There is nothing under this name or id.
    pub const NOT_FOUND: &str = "not_found";
    /// There was something, and it was withdrawn.
    pub const GONE: &str = "gone";
    /// The device is unknown or revoked.
    pub const DEVICE: &str = "device";
    /// The account is frozen, compromised or closed.
    pub const ACCOUNT: &str = "account";
    /// The key log does not name this home.
    pub const NOT_HOME: &str = "not_home";
    /// The leaf is not in the log, or the checkpoint is not good.
    pub const NOT_LOGGED: &str = "not_logged";
    /// Key operations are missing: send them along.
    pub const KEYS_WANTED: &str = "keys_wanted";
    /// The log must be shown to have grown from the checkpoint that is known: send the proof along.
    pub const CHECKPOINT_WANTED: &str = "checkpoint_wanted";
    /// The log does not begin with what the same domain showed before: one of them was made for somebody else.
    pub const LOG_FORKED: &str = "log_forked";
    /// The leaf's time is before that of what lies before it in its log, or before the log was seen without it.
    pub const BACK_DATED: &str = "back_dated";
    /// The operation does not follow the present head: read the key log again.
    pub const HEAD_MOVED: &str = "head_moved";
    /// The claimed time lies in the future.
    pub const FUTURE: &str = "future";
    /// The record acts on something that is not here, or that its actor may not act on.
    pub const OBJECT: &str = "object";
    /// The author's interaction policy says no.
    pub const POLICY: &str = "policy";
    /// What the record acts on has ended.
    pub const ENDED: &str = "ended";
    /// A domain's operators decided against it.
    pub const MODERATED: &str = "moderated";
    /// The name is taken, reserved, or was someone's.
    pub const NAME: &str = "name";
    /// Registration is closed, or needs an invite or work.
    pub const REGISTRATION: &str = "registration";
    /// Too many requests: wait as `Retry-After` says.
    pub const SLOW_DOWN: &str = "slow_down";
    /// The server has no room or is stopping; reading still works.
    pub const UNAVAILABLE: &str = "unavailable";
    /// Another domain did not answer well.
    pub const REMOTE: &str = "remote";
    /// The server's fault.
    pub const INTERNAL: &str = "internal";
}
