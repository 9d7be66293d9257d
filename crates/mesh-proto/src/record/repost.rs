//! A repost. `spec/repost.md`.

use super::ObjectRef;
use serde::{Deserialize, Serialize};

/// Passing a post on to one's own subscribers: at most one per actor and object; undone by retracting it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repost {
    /// What is passed on: a post.
    #[serde(deserialize_with = "crate::envelope::body::object")]
    pub object: ObjectRef,
}

impl Repost {
    /// Names of the repost's own fields.
    pub const FIELDS: &'static [&'static str] = &["object"];
}
