//! What this server is and demands, and where its promises can be checked.

use super::answer::{Page, answer, send};
use super::home::Joining;
use super::machine::structured::Graph;
use super::text::{Span, Text};
use super::{Head, Site, blocking, grouped};
use crate::App;
use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use mesh_proto::key::KeyId;
use mesh_proto::limits;
use mesh_proto::log::Origin;
use std::sync::Arc;

/// The page.
#[derive(Template)]
#[template(path = "about.html")]
pub(super) struct AboutPage {
    pub(super) site: Site,
    pub(super) head: Head,
    pub(super) joining: Joining,
    /// How the operator is reached, if that is said.
    pub(super) contact: Option<String>,
    /// The operators' rules, with their version, if they gave any.
    pub(super) rules: Option<(u32, Text)>,
    pub(super) log: LogFacts,
    pub(super) request_key: String,
    /// Logs of other domains from which nothing is taken any more, because they showed two histories.
    pub(super) forked: Vec<String>,
    pub(super) limits: Vec<(&'static str, String)>,
}

/// The log's state.
#[derive(Debug, Clone)]
pub(super) struct LogFacts {
    pub(super) origin: String,
    pub(super) size: String,
    pub(super) key: String,
    pub(super) checkpoint: String,
}

impl LogFacts {
    pub(super) fn new(origin: &Origin, size: u64, key: KeyId) -> Self {
        let checkpoint = format!("/log/{}/checkpoint", origin.number());
        Self { origin: origin.to_string(), size: grouped(size), key: key.to_string(), checkpoint }
    }
}

impl AboutPage {
    pub(super) fn new(site: Site, joining: Joining, log: LogFacts, (request_key, forked): (KeyId, Vec<Origin>)) -> Self {
        let mut head = Head {
            title: format!("About {}", site.domain),
            description: format!("The rules, limits, keys and log of {}.", site.domain),
            canonical: Some(format!("{}/about", site.domain.base_url())),
            alternate: Some("/.well-known/mesh".to_owned()),
            ..Head::default()
        };
        head.graph = Some(Graph::page("AboutPage", &head, &site));
        Self {
            site,
            head,
            joining,
            contact: None,
            rules: None,
            log,
            request_key: request_key.to_string(),
            forked: forked.iter().map(Origin::to_string).collect(),
            limits: named_limits(),
        }
    }
}

/// The limits that people meet; all of them are in `/.well-known/mesh`.
fn named_limits() -> Vec<(&'static str, String)> {
    let bytes = |bytes: usize| match bytes {
        0..1024 => format!("{bytes} bytes"),
        _ => format!("{} KiB", bytes / 1024),
    };
    let number = |number: usize| grouped(number as u64);
    vec![
        ("Text of a post or comment", bytes(limits::TEXT_BYTES_MAX)),
        ("Title or display name", bytes(limits::TITLE_BYTES_MAX)),
        ("About oneself", bytes(limits::BIO_BYTES_MAX)),
        ("Tags on a post", number(limits::TAGS_MAX)),
        ("Devices of an account", number(limits::DEVICES_MAX)),
        ("Signed record", bytes(limits::BODY_BYTES_MAX)),
        ("Request", bytes(limits::REQUEST_BYTES_MAX)),
        ("Items on one page of a list", number(limits::PAGE_MAX)),
    ]
}

/// `GET /about`.
pub(super) async fn show(State(app): State<App>, headers: HeaderMap) -> Response {
    let node = Arc::clone(&app.node);
    let rules = match blocking(move || node.rulings.rules(None)).await {
        Ok(rules) => rules.map(|(rules, _)| (rules.version, Text::whole(&rules.text))),
        Err(fault) => return answer(&app, &headers, Err(fault.into())),
    };
    let node = &app.node;
    let joining = Joining::new(node.registrar.rules().mode);
    let log = LogFacts::new(node.log.origin(), node.log.size(), node.log.key_id());
    let mut page = AboutPage::new(Site::of(&app), joining, log, (node.request_key().id(), node.peers.forked()));
    page.contact = app.contact.as_deref().map(str::to_owned);
    page.rules = rules;
    send(&headers, &Page::render(StatusCode::OK, &page))
}
