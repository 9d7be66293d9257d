//! What programs read about pages: structured data, feeds, oEmbed, site maps and the files that robots and researchers look for.

mod crawl;
mod feed;
mod oembed;
pub(super) mod structured;

use crate::App;
use axum::Router;
use axum::routing::get;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/feed.atom", get(feed::domain_atom))
        .route("/feed.json", get(feed::domain_json))
        .route("/@{user}/feed.atom", get(feed::person_atom))
        .route("/@{user}/feed.json", get(feed::person_json))
        .route("/tag/{tag}/feed.atom", get(feed::tag_atom))
        .route("/tag/{tag}/feed.json", get(feed::tag_json))
        .route("/oembed", get(oembed::show))
        .route("/sitemap.xml", get(crawl::sitemap_index))
        .route("/sitemap/{part}", get(crawl::sitemap))
        .route("/robots.txt", get(crawl::robots))
        .route("/.well-known/security.txt", get(crawl::security))
}
