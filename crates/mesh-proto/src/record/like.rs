//! A like. `spec/like.md`.

use super::ObjectRef;
use serde::{Deserialize, Serialize};

/// "I like this": at most one per actor and object; undone by retracting it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Like {
    /// What is liked: a post or a comment.
    #[serde(deserialize_with = "crate::envelope::body::object")]
    pub object: ObjectRef,
}

impl Like {
    /// Names of the like's own fields.
    pub const FIELDS: &'static [&'static str] = &["object"];
}
