//! What a link leads to, as its author's client found it when it signed. `spec/post.md`.

use crate::limits::{PREVIEW_TEXT_BYTES_MAX, PREVIEW_URL_BYTES_MAX, TITLE_BYTES_MAX};
use crate::record::{RecordError, require, require_text};
use serde::{Deserialize, Serialize};

/// The preview of a link. Nobody but the author's client fetches what it tells of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// Where the link leads: an `http` or `https` URL.
    pub url: String,
    /// What is there.
    pub title: String,
    /// What it is about.
    #[serde(default, deserialize_with = "crate::envelope::body::present", skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

impl Preview {
    pub(super) fn check(&self) -> Result<(), RecordError> {
        require(self.url.len() <= PREVIEW_URL_BYTES_MAX, "preview", "is longer than its limit")?;
        require(is_plain_url(&self.url), "preview", "must lead to an http or https URL of printable ASCII without user or password")?;
        require_text(&self.title, "preview", TITLE_BYTES_MAX)?;
        require(!self.title.contains('\n'), "preview", "must have a title of one line")?;
        if let Some(description) = &self.description {
            require_text(description, "preview", PREVIEW_TEXT_BYTES_MAX)?;
        }
        Ok(())
    }
}

/// `http://` or `https://` in lower case, then a host that is named first, in characters that nothing hides among.
fn is_plain_url(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")) else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host_first = authority.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[') && !authority.contains('@');
    host_first && url.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}'))
}
