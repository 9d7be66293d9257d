//! What robots and researchers look for: `robots.txt`, site maps (sitemaps.org), `security.txt` (RFC 9116).

use super::super::answer::{Captured, Page, answer, send};
use super::super::blocking;
use super::super::fault::Fault;
use super::super::time::Moment;
use crate::App;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use mesh_node::published::Listed;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

const XML: &str = "application/xml; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
/// The name of the map of pages that are nobody's.
const PAGES: &str = "pages.xml";
/// For how long what `security.txt` says holds, milliseconds. It counts from the beginning of a month, so that the file is the same for as long.
const SECURITY_MS: u64 = 180 * 24 * 3600 * 1000;
const MONTH_MS: u64 = 30 * 24 * 3600 * 1000;

/// `GET /robots.txt`.
pub(super) async fn robots(State(app): State<App>, headers: HeaderMap) -> Response {
    let base = app.node.domain().base_url();
    let text = format!("User-agent: *\nDisallow: /api/\nDisallow: /search?\nDisallow: /oembed\n\nSitemap: {base}/sitemap.xml\n");
    send(&headers, &Page::of(StatusCode::OK, TEXT, text))
}

/// `GET /.well-known/security.txt`.
pub(super) async fn security(State(app): State<App>, headers: HeaderMap) -> Response {
    let base = app.node.domain().base_url();
    let contact = app.contact.as_deref().map_or_else(|| format!("{base}/about#contact"), str::to_owned);
    let expires = Moment::new(app.node.clock().now_ms() / MONTH_MS * MONTH_MS + SECURITY_MS).machine;
    let text = format!("Contact: {contact}\nExpires: {expires}\nCanonical: {base}/.well-known/security.txt\nPolicy: {base}/about\n");
    send(&headers, &Page::of(StatusCode::OK, TEXT, text))
}

/// `GET /sitemap.xml`: the index.
pub(super) async fn sitemap_index(State(app): State<App>, headers: HeaderMap) -> Response {
    let node = Arc::clone(&app.node);
    let outcome = blocking(move || {
        let base = node.domain().base_url();
        let mut xml = opening("sitemapindex");
        let parts = node.published.parts()?;
        // The front page shows the newest posts.
        let pages = std::iter::once((PAGES.to_owned(), parts.iter().copied().flatten().max()));
        for (name, modified) in pages.chain((1..).zip(&parts).map(|(number, modified)| (format!("{number}.xml"), *modified))) {
            // Writing to a string does not fail.
            let _ = writeln!(xml, "<sitemap><loc>{base}/sitemap/{name}</loc>{}</sitemap>", lastmod(modified));
        }
        Ok(xml + "</sitemapindex>\n")
    });
    let outcome = outcome.await.map(|xml| send(&headers, &Page::of(StatusCode::OK, XML, xml)));
    answer(&app, &headers, outcome.map_err(Fault::from))
}

/// `GET /sitemap/{part}`.
pub(super) async fn sitemap(State(app): State<App>, Captured(part): Captured<String>, headers: HeaderMap) -> Response {
    let outcome = match part.strip_suffix(".xml").and_then(|number| number.parse::<usize>().ok()) {
        _ if part == PAGES => {
            let node = Arc::clone(&app.node);
            blocking(move || Ok(pages(&node.domain().base_url(), node.published.parts()?.into_iter().flatten().max())))
                .await
                .map_err(Fault::from)
        }
        Some(number @ 1..) => {
            let (node, headers) = (Arc::clone(&app.node), headers.clone());
            // Megabytes are compressed here too.
            let sent = blocking(move || {
                let xml = posts(&node.domain().base_url(), &node.published.part(number - 1)?);
                Ok(send(&headers, &Page::of(StatusCode::OK, XML, xml)))
            });
            return answer(&app, &HeaderMap::new(), sent.await.map_err(Fault::from));
        }
        _ => Err(Fault::not_found()),
    };
    answer(&app, &headers, outcome.map(|xml| send(&headers, &Page::of(StatusCode::OK, XML, xml))))
}

fn opening(root: &str) -> String {
    format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<{root} xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n")
}

fn lastmod(modified: Option<u64>) -> String {
    modified.map_or_else(String::new, |modified| format!("<lastmod>{}</lastmod>", Moment::new(modified).machine))
}

/// The front page, which changes with the newest post, and what is said about the domain.
fn pages(base: &str, newest: Option<u64>) -> String {
    let front = format!("<url><loc>{base}/</loc>{}</url>\n", lastmod(newest));
    opening("urlset") + &front + &format!("<url><loc>{base}/about</loc></url>\n</urlset>\n")
}

/// The posts of a part, and their authors. Names and ids need no escapes.
fn posts(base: &str, posts: &[Listed]) -> String {
    let mut xml = opening("urlset");
    xml.reserve(posts.len() * (base.len() + 160));
    let mut authors: BTreeMap<&str, u64> = BTreeMap::new();
    for Listed { user, id, modified } in posts {
        let newest = authors.entry(user).or_default();
        *newest = (*newest).max(*modified);
        let _ = writeln!(xml, "<url><loc>{base}/@{user}/{id}</loc><lastmod>{}</lastmod></url>", Moment::new(*modified).machine);
    }
    for (user, modified) in authors {
        let _ = writeln!(xml, "<url><loc>{base}/@{user}</loc><lastmod>{}</lastmod></url>", Moment::new(modified).machine);
    }
    xml + "</urlset>\n"
}
