//! The preview of a link, made by its author's machine: one page fetched within strict bounds, of which a title and a description are taken.
//!
//! The way out is guarded: names are resolved here and every address is checked, redirects are followed by hand, and nothing inside the machine's own network
//! is asked. Nothing is sent along but the request. Who posts from a domain under `localhost` reaches names under it, and only those.

use futures_util::StreamExt;
use html5gum::{Token, Tokenizer};
use mesh_proto::guard::is_public;
use mesh_proto::limits::{PREVIEW_TEXT_BYTES_MAX, PREVIEW_URL_BYTES_MAX, TITLE_BYTES_MAX};
use mesh_proto::record::Preview;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, CONTENT_TYPE, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Response, Url};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Time for all of it.
const TIME_MAX: Duration = Duration::from_secs(10);
/// Bytes that are read of a page: its head lies within.
const BYTES_MAX: usize = 512 * 1024;
/// How often the page may be elsewhere.
const REDIRECTS_MAX: usize = 3;

/// Where the author's home is decides what may be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Names under `localhost`, on loopback.
    Localhost,
    /// The public internet.
    Internet,
}

/// Why there is no preview.
#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    /// The URL is none, or one that is not followed.
    #[error("{0} cannot be previewed: it must be an http or https URL of the public internet, without user and password")]
    Url(String),
    /// The page did not come, or not in time.
    #[error("the page could not be fetched")]
    Fetch(#[from] reqwest::Error),
    /// It took too long.
    #[error("the page did not come within {} seconds", TIME_MAX.as_secs())]
    Slow,
    /// What came is not a page.
    #[error("there is no page to preview: {0}")]
    NoPage(String),
}

struct Guarded(Reach);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let (reach, name) = (self.0, name.as_str().to_owned());
        Box::pin(async move {
            if reach == Reach::Localhost {
                return Ok(Box::new(std::iter::once(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))) as Addrs);
            }
            let addresses: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            match addresses.iter().any(|address| !is_public(address.ip())) {
                true => Err(format!("{name} leads to an address that is not on the public internet").into()),
                false => Ok(Box::new(addresses.into_iter()) as Addrs),
            }
        })
    }
}

/// Fetches the preview of a URL.
pub async fn fetch(url: &str, reach: Reach) -> Result<Preview, PreviewError> {
    tokio::time::timeout(TIME_MAX, fetch_unhurried(url, reach)).await.unwrap_or(Err(PreviewError::Slow))
}

async fn fetch_unhurried(asked: &str, reach: Reach) -> Result<Preview, PreviewError> {
    let builder = reqwest::Client::builder().no_proxy().redirect(Policy::none()).dns_resolver(Arc::new(Guarded(reach)));
    let client = builder.user_agent(concat!("mesh/", env!("CARGO_PKG_VERSION"), " (link preview)")).build()?;
    let mut url = checked(asked, reach)?;
    for _ in 0..=REDIRECTS_MAX {
        let response = client.get(url.clone()).header(ACCEPT, "text/html").send().await?;
        if response.status().is_redirection() {
            let next = response.headers().get(LOCATION).and_then(|next| next.to_str().ok()).and_then(|next| url.join(next).ok());
            url = checked(next.as_ref().map_or("", Url::as_str), reach)?;
            continue;
        }
        let page = page(response.error_for_status()?).await?;
        return read(checked(asked, reach)?.into(), &page).ok_or_else(|| PreviewError::NoPage("it has no title".to_owned()));
    }
    Err(PreviewError::NoPage(format!("it is elsewhere more than {REDIRECTS_MAX} times")))
}

/// A URL that may be asked for.
fn checked(text: &str, reach: Reach) -> Result<Url, PreviewError> {
    let refused = || PreviewError::Url(text.to_owned());
    let url = Url::parse(text).map_err(|_| refused())?;
    let host = url.host_str().ok_or_else(refused)?.trim_end_matches('.').to_owned();
    let local = host == "localhost" || host.ends_with(".localhost");
    // What is written as an address is asked of no resolver.
    let reachable = match (reach, host.trim_matches(['[', ']']).parse::<IpAddr>()) {
        (Reach::Localhost, literal) => local && literal.is_err(),
        (Reach::Internet, Ok(address)) => is_public(address),
        (Reach::Internet, Err(_)) => !local,
    };
    let plain = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    if plain && reachable && url.as_str().len() <= PREVIEW_URL_BYTES_MAX { Ok(url) } else { Err(refused()) }
}

/// The beginning of a page.
async fn page(response: Response) -> Result<String, PreviewError> {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    if !kind.starts_with("text/html") && !kind.starts_with("application/xhtml+xml") {
        return Err(PreviewError::NoPage(format!("it is of the type {kind:?}")));
    }
    let mut bytes = Vec::new();
    let mut stream = response.bytes_stream();
    while let Some(part) = stream.next().await {
        bytes.extend_from_slice(&part?);
        if bytes.len() >= BYTES_MAX {
            bytes.truncate(BYTES_MAX);
            break;
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Takes title and description from a page's head.
fn read(url: String, page: &str) -> Option<Preview> {
    let (mut title, mut og_title, mut description) = (String::new(), None, None);
    let mut in_title = false;
    for token in Tokenizer::new(page) {
        let Ok(token) = token;
        match token {
            Token::StartTag(tag) => match &tag.name[..] {
                b"title" => in_title = title.is_empty(),
                b"body" => break,
                b"meta" => {
                    let attribute = |name: &[u8]| tag.attributes.get(name).map(|value| String::from_utf8_lossy(value).into_owned());
                    let content = attribute(b"content").unwrap_or_default();
                    match attribute(b"property").or_else(|| attribute(b"name")).as_deref() {
                        Some("og:title") => og_title = Some(content),
                        Some("og:description") => description = Some(content),
                        Some("description") if description.is_none() => description = Some(content),
                        _ => {}
                    }
                }
                _ => {}
            },
            Token::EndTag(_) => in_title = false,
            Token::String(text) if in_title => title.push_str(&String::from_utf8_lossy(&text)),
            _ => {}
        }
    }
    let found = title;
    let title = Some(line(&og_title.unwrap_or_default(), TITLE_BYTES_MAX)).filter(|title| !title.is_empty());
    let title = title.unwrap_or_else(|| line(&found, TITLE_BYTES_MAX));
    let description = line(&description.unwrap_or_default(), PREVIEW_TEXT_BYTES_MAX);
    (!title.is_empty()).then(|| Preview { url, title, description: Some(description).filter(|words| !words.is_empty()) })
}

/// One line of at most so many bytes, without control characters.
fn line(text: &str, bytes_max: usize) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut line = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    line.truncate(line.floor_char_boundary(bytes_max));
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_inside_is_not_asked() {
        for (url, reach) in [
            ("http://127.0.0.1/", Reach::Internet),
            ("http://[::1]/", Reach::Internet),
            ("http://169.254.169.254/latest", Reach::Internet),
            ("http://2130706433/", Reach::Internet),
            ("http://one.localhost:8001/", Reach::Internet),
            ("https://user:secret@mesh.example/", Reach::Internet),
            ("file:///etc/passwd", Reach::Internet),
            ("javascript:alert(1)", Reach::Internet),
            ("", Reach::Internet),
            ("https://mesh.example/", Reach::Localhost),
            ("http://127.0.0.1/", Reach::Localhost),
        ] {
            assert!(checked(url, reach).is_err(), "{url}");
        }
        assert!(checked("https://mesh.example/a", Reach::Internet).is_ok() && checked("http://x.localhost:1/", Reach::Localhost).is_ok());
    }

    #[test]
    fn title_and_description_are_taken_from_the_head() {
        let page = "<!doctype html><title>A &amp;\n B</title><meta name=description content='First'><meta property='og:description' content=\"Sec&#111;nd\"><body><title>x</title>";
        let preview = read("https://mesh.example/".into(), page).expect("a preview");
        assert_eq!((preview.title.as_str(), preview.description.as_deref()), ("A & B", Some("Second")));
        let named = read(String::new(), "<title>T</title><meta property=og:title content=Named>").expect("a preview");
        assert_eq!(named.title, "Named");
        assert_eq!(read(String::new(), "<body>nothing"), None);
        let long = read(String::new(), &format!("<title>{}</title>", "\u{e9}".repeat(1_000))).expect("a preview");
        assert_eq!(long.title.len(), TITLE_BYTES_MAX);
    }
}
