//! What goes wrong for a client, and whose fault it is.

use crate::verify::Mistrust;
use mesh_proto::address::Domain;
use mesh_proto::api::{Problem, code};

/// Shorthand.
pub type Result<T, E = ClientError> = std::result::Result<T, E>;

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server understood and said no.
    #[error("{domain} says: {}", problem.detail)]
    Remote {
        /// Who said it.
        domain: Domain,
        /// What it said.
        problem: Box<Problem>,
    },
    /// The server could not be reached, or the connection broke.
    #[error("{domain} could not be reached")]
    Network {
        /// Which server.
        domain: Domain,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The server's answer is not what the protocol says.
    #[error("the answer of {domain} is not what the protocol says: {what}")]
    Malformed {
        /// Which server.
        domain: Domain,
        /// What is wrong with it.
        what: String,
    },
    /// Something is not signed, logged or named as it should be. Never shown as if it were good.
    #[error(transparent)]
    Mistrust(#[from] Mistrust),
    /// What the caller gave cannot be used.
    #[error("{0}")]
    Input(String),
    /// There is nothing under this name or id, or it was withdrawn.
    #[error("{0}")]
    NotFound(String),
    /// The account or the device may not do this.
    #[error("{0}")]
    NotAllowed(String),
    /// The key could not be read or written.
    #[cfg(not(target_arch = "wasm32"))]
    #[error(transparent)]
    Keystore(#[from] crate::keystore::KeystoreError),
}

/// What a caller can do about an error. The command line's exit codes follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Nothing in particular.
    Failed,
    /// The input must be changed.
    Usage,
    /// There is nothing there.
    NotFound,
    /// A signature or a proof does not hold.
    Verification,
    /// Trying again later may help.
    Network,
    /// Somebody with the right may do it.
    Permission,
}

impl ClientError {
    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Remote { problem, .. } => kind_of_problem(problem),
            Self::Network { .. } => ErrorKind::Network,
            Self::Malformed { .. } => ErrorKind::Failed,
            Self::Mistrust(_) => ErrorKind::Verification,
            Self::Input(_) => ErrorKind::Usage,
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::NotAllowed(_) => ErrorKind::Permission,
            #[cfg(not(target_arch = "wasm32"))]
            Self::Keystore(_) => ErrorKind::Failed,
        }
    }

    /// The problem code, if a server gave one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Remote { problem, .. } => Some(problem.code()),
            _ => None,
        }
    }

    /// The words of the error and of everything behind it, once each.
    pub fn words(&self) -> String {
        words(self)
    }

    /// Whether the same request may succeed if it is simply sent again.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Network { .. } => true,
            Self::Remote { problem, .. } => matches!(problem.code(), code::SLOW_DOWN | code::UNAVAILABLE),
            _ => false,
        }
    }

    /// Whether nobody is there who speaks the protocol: no answer, the answer of something else, or of a server that cannot do its work.
    pub fn is_silence(&self) -> bool {
        match self {
            Self::Network { .. } | Self::Malformed { .. } => true,
            Self::Remote { problem, .. } => problem.status >= 500 || matches!(problem.code(), "no_endpoint" | "http"),
            _ => false,
        }
    }

    pub(crate) fn malformed(domain: &Domain, what: impl std::fmt::Display) -> Self {
        Self::Malformed { domain: domain.clone(), what: what.to_string() }
    }
}

/// The words of an error and of everything behind it.
pub fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut behind = error.source();
    while let Some(error) = behind {
        words = format!("{words}: {error}");
        behind = error.source();
    }
    words
}

fn kind_of_problem(problem: &Problem) -> ErrorKind {
    match problem.code() {
        code::NOT_FOUND | code::GONE => ErrorKind::NotFound,
        code::BAD_SIGNATURE | code::NOT_LOGGED => ErrorKind::Verification,
        code::UNAUTHENTICATED | code::FORBIDDEN | code::DEVICE | code::ACCOUNT | code::NOT_HOME | code::POLICY | code::REGISTRATION => {
            ErrorKind::Permission
        }
        code::SLOW_DOWN | code::UNAVAILABLE | code::REMOTE => ErrorKind::Network,
        _ => match problem.status {
            404 | 410 => ErrorKind::NotFound,
            401..=403 => ErrorKind::Permission,
            429 | 502..=504 => ErrorKind::Network,
            _ => ErrorKind::Failed,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(code: &str, status: u16, expected: ErrorKind) {
        let problem = Problem {
            problem_type: format!("urn:mesh:problem:{code}"),
            title: String::new(),
            status,
            detail: String::new(),
            keys_wanted: vec![],
            checkpoint_wanted: None,
        };
        assert_eq!(kind_of_problem(&problem), expected, "{code} {status}");
    }

    #[test]
    fn problems_fall_into_the_kinds_that_callers_act_on() {
        check(code::NOT_FOUND, 404, ErrorKind::NotFound);
        check(code::REMOTE, 502, ErrorKind::Network);
        check(code::POLICY, 403, ErrorKind::Permission);
        check(code::BAD_SIGNATURE, 400, ErrorKind::Verification);
        check(code::OBJECT, 404, ErrorKind::NotFound);
        check(code::NAME, 409, ErrorKind::Failed);
        check("of_a_later_version", 503, ErrorKind::Network);
    }
}
