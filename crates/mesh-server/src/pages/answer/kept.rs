//! Pages kept after they were rendered, each for as long as nothing of what it shows has changed.
//!
//! What changed is known exactly (`mesh_node::fresh`), so that a kept page is never older than the newest answer to a write. Only memory: lost with
//! the process, and bounded.

use super::{Page, send};
use crate::App;
use axum::http::HeaderMap;
use axum::response::Response;
use mesh_node::fresh::Seen;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::sync::Arc;

/// Bytes of pages kept at most.
const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Pages kept, about.
const PAGES: usize = 2_000;
/// Longest path and query under which a page is kept: every page that is linked to has a shorter one.
const KEY_BYTES_MAX: usize = 400;

#[derive(Clone)]
struct BySize;

impl Weighter<String, Arc<Kept>> for BySize {
    fn weight(&self, path: &String, kept: &Arc<Kept>) -> u64 {
        (path.len() + kept.page.size_bytes() + kept.seen.size_bytes()) as u64
    }
}

struct Kept {
    page: Page,
    seen: Seen,
}

/// The pages.
pub(crate) struct Pages(Cache<String, Arc<Kept>, BySize>);

impl Default for Pages {
    fn default() -> Self {
        Self(Cache::with_weighter(PAGES, BYTES_MAX, BySize))
    }
}

impl Pages {
    /// The page under a path and query, if it is still so.
    pub(in crate::pages) fn get(&self, app: &App, path: &str, headers: &HeaderMap) -> Option<Response> {
        let kept = self.0.get(path)?;
        app.node.views.is_current(&kept.seen).then(|| send(headers, &kept.page))
    }

    /// Sends a page, and keeps it.
    pub(in crate::pages) fn keep(&self, path: &str, headers: &HeaderMap, (page, seen): (Page, Seen)) -> Response {
        let response = send(headers, &page);
        if path.len() <= KEY_BYTES_MAX {
            self.0.insert(path.to_owned(), Arc::new(Kept { page, seen }));
        }
        response
    }
}
