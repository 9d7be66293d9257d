//! A report. `spec/report.md`.

use super::{ObjectRef, RecordError, require_text};
use crate::limits::BIO_BYTES_MAX;
use serde::{Deserialize, Serialize};

/// A report to the object's home. Addressed: its leaf is logged, its opening is not published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What is reported.
    #[serde(deserialize_with = "crate::envelope::body::object")]
    pub object: ObjectRef,
    /// Why.
    #[serde(deserialize_with = "crate::envelope::body::word")]
    pub reason: ReportReason,
    /// In the reporter's words; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

impl Report {
    /// Names of the report's own fields.
    pub const FIELDS: &'static [&'static str] = &["object", "reason", "text"];

    pub(super) fn check(&self) -> Result<(), RecordError> {
        if self.text.is_empty() { Ok(()) } else { require_text(&self.text, "text", BIO_BYTES_MAX) }
    }
}

/// Why something is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReportReason {
    /// Unwanted advertising, floods, fraud.
    Spam,
    /// Threats, harassment, hatred.
    Abuse,
    /// Against the law.
    Illegal,
    /// A copy of someone else's work.
    Copy,
    /// Anything else; the text says what.
    Other,
}
