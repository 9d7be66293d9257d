//! A profile. `spec/profile.md`.

use super::{RecordError, require, require_text};
use crate::limits::{BIO_BYTES_MAX, TITLE_BYTES_MAX};
use serde::{Deserialize, Serialize};

/// Who an account is, in its own words. The newest one counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// The display name.
    pub name: String,
    /// A few words about oneself; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub bio: String,
    /// Whether what the account says is to be left out of every search, here and on other servers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub noindex: bool,
}

impl Profile {
    /// Names of the profile's own fields.
    pub const FIELDS: &'static [&'static str] = &["name", "bio", "noindex"];

    pub(super) fn check(&self) -> Result<(), RecordError> {
        require_text(&self.name, "name", TITLE_BYTES_MAX)?;
        require(!self.name.contains('\n'), "name", "must be one line")?;
        if self.bio.is_empty() { Ok(()) } else { require_text(&self.bio, "bio", BIO_BYTES_MAX) }
    }
}
