//! A comment. `spec/comment.md`.

use super::post::check_lang;
use super::{ObjectRef, RecordError, Terms, require_text};
use crate::envelope::RecordId;
use crate::limits::TEXT_BYTES_MAX;
use serde::{Deserialize, Serialize};

/// A comment on a post or on another comment, or an edit of one. It is delivered to the root's home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    /// The post at the top of the thread: its home keeps the references and its policy decides.
    #[serde(deserialize_with = "crate::envelope::body::object")]
    pub root: ObjectRef,
    /// What is answered: the root itself, or a comment in its thread.
    #[serde(deserialize_with = "crate::envelope::body::object")]
    pub parent: ObjectRef,
    /// What it says.
    pub text: String,
    /// The language, a BCP 47 tag.
    #[serde(default, deserialize_with = "crate::envelope::body::present", skip_serializing_if = "Option::is_none")]
    pub lang: Option<String>,
    /// Under what terms people read it.
    pub terms: Terms,
    /// For an edit: the id of the comment's first version.
    #[serde(default, deserialize_with = "crate::envelope::body::present", skip_serializing_if = "Option::is_none")]
    pub revises: Option<RecordId>,
}

impl Comment {
    /// Names of the comment's own fields.
    pub const FIELDS: &'static [&'static str] = &["root", "parent", "text", "lang", "terms", "revises"];

    pub(super) fn check(&self) -> Result<(), RecordError> {
        require_text(&self.text, "text", TEXT_BYTES_MAX)?;
        check_lang(self.lang.as_deref())
    }
}
