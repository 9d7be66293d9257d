//! The domain's front page: what this is, who is here, what they published last, how to join.

use super::answer::{Outcome, Page, answer, send};
use super::entry::{Body, Entry};
use super::machine::structured::Graph;
use super::person::entries;
use super::text::{Span, display_name};
use super::{Head, Site, blocking};
use crate::App;
use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use mesh_node::NodeError;
use mesh_node::accounts::Account;
use mesh_proto::api::{AccountView, RegistrationMode};
use mesh_proto::keylog::Status;
use std::sync::Arc;

/// People listed.
const PEOPLE_MAX: usize = 50;
/// Posts shown.
const POSTS_MAX: usize = 10;

/// The page.
#[derive(Template)]
#[template(path = "home.html")]
pub(super) struct HomePage {
    pub(super) site: Site,
    pub(super) head: Head,
    pub(super) people: Vec<Person>,
    /// Whether there are more than are listed.
    pub(super) more: bool,
    /// What was published last.
    pub(super) posts: Vec<Entry>,
    pub(super) joining: Joining,
}

/// One of those who live here.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) user: String,
    pub(super) name: String,
}

impl Person {
    pub(super) fn new(view: &AccountView) -> Self {
        Self { name: display_name(view), user: view.address.user().to_string() }
    }
}

/// How one joins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Joining {
    /// Whether anyone can.
    pub(super) possible: bool,
    /// What it takes.
    pub(super) words: &'static str,
}

impl Joining {
    pub(super) fn new(mode: RegistrationMode) -> Self {
        let words = match mode {
            RegistrationMode::Open => "Everyone may join. Your key is made on your own machine and never leaves it.",
            RegistrationMode::Invite => {
                "Joining takes an invite code from the operator. Your key is made on your own machine and never leaves it."
            }
            RegistrationMode::ProofOfWork => {
                "Everyone may join; your machine does a few seconds of work first, which keeps robots away. Your key is made there and never leaves it."
            }
            RegistrationMode::Closed => {
                "This domain takes no new accounts. Any other domain of the network will do: people here can be read and answered from all of them."
            }
        };
        Self { possible: mode != RegistrationMode::Closed, words }
    }
}

impl HomePage {
    pub(super) fn new(site: Site, (people, more): (Vec<Person>, bool), posts: Vec<Entry>, joining: Joining) -> Self {
        let mut head = Head {
            title: site.domain.to_string(),
            description: format!("{} is a home in the MESH network: the people who live here, and how to join them.", site.domain),
            canonical: Some(format!("{}/", site.domain.base_url())),
            feeds: Some((String::new(), format!("Posts on {}", site.domain))),
            ..Head::default()
        };
        head.graph = Some(Graph::page("WebSite", &head, &site));
        Self { site, head, people, more, posts, joining }
    }
}

/// `GET /`.
pub(super) async fn show(State(app): State<App>, headers: HeaderMap) -> Response {
    let page = page(&app, &headers).await;
    answer(&app, &headers, page)
}

async fn page(app: &App, headers: &HeaderMap) -> Outcome {
    let node = Arc::clone(&app.node);
    let people = blocking(move || {
        let mut names = node.accounts.names(None, PEOPLE_MAX + 1)?;
        let more = names.len() > PEOPLE_MAX;
        names.truncate(PEOPLE_MAX);
        let shown = |account: &Account| account.log.view().status() != Status::Closed && !node.rulings.hides_account(account);
        let lives_here = names.iter().filter(|(_, account)| account.home() == node.domain() && shown(account));
        let people =
            lives_here.map(|(_, account)| Ok(Person::new(&node.views.account(account)?))).collect::<Result<Vec<_>, NodeError>>()?;
        Ok((people, more))
    })
    .await?;
    let joining = Joining::new(app.node.registrar.rules().mode);
    let posts = app.node.published.page(None, None, POSTS_MAX).await?;
    let posts = entries(app, &posts.items).await;
    Ok(send(headers, &Page::render(StatusCode::OK, &HomePage::new(Site::of(app), people, posts, joining))))
}
