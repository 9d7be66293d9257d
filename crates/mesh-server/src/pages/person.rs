//! A person's page: who they are in their own words, and what they published, newest first; of a closed account only that it is closed.

use super::answer::{Captured, Outcome, Page, answer, moved, redirect, send};
use super::entry::{Body, Entry, Extent};
use super::fault::Fault;
use super::machine::structured::Graph;
use super::text::{Span, Text, display_name, summary};
use super::{Head, Site, Sort, blocking, plural};
use crate::App;
use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use mesh_node::accounts::Account;
use mesh_proto::address::{Domain, User};
use mesh_proto::api::{AccountView, RecordView};
use mesh_proto::envelope::Kind;
use mesh_proto::keylog::Status;
use mesh_proto::record::{Content, Record};
use mesh_proto::uri::{Person, Target};
use serde::Deserialize;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Posts on one page.
const POSTS_MAX: usize = 20;

/// Which page of the list.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Seek {
    before: Option<String>,
}

/// The page.
#[derive(Template)]
#[template(path = "person.html")]
pub(super) struct PersonPage {
    pub(super) site: Site,
    pub(super) head: Head,
    pub(super) person: PersonFacts,
    pub(super) posts: Vec<Entry>,
    /// Whether this is not the first page of the list.
    pub(super) later: bool,
    /// The next page of the list.
    pub(super) next: Option<String>,
}

/// The page of a closed account: nothing of what it said about itself.
#[derive(Template)]
#[template(path = "closed.html")]
pub(super) struct ClosedPage {
    pub(super) site: Site,
    pub(super) head: Head,
    pub(super) address: String,
    /// Where the key log is that shows the closure.
    pub(super) keys: String,
}

impl ClosedPage {
    pub(super) fn new(site: Site, view: &AccountView) -> Self {
        let address = view.address.to_string();
        let head = Head {
            title: format!("Closed account ({address})"),
            description: format!("{address} was closed by its owner."),
            canonical: home_url(view),
            alternate: Some(format!("/api/v1/accounts/{}", view.account)),
            noindex: true,
            ..Head::default()
        };
        Self { site, head, address, keys: format!("/mesh/v1/accounts/{}/keys", view.account) }
    }
}

/// What is said of a person.
#[derive(Debug, Clone)]
pub(super) struct PersonFacts {
    pub(super) user: String,
    pub(super) name: String,
    pub(super) address: String,
    /// The person's URL at home, if that is another domain by now.
    pub(super) moved: Option<String>,
    /// Where the account stands, if not in order.
    pub(super) standing: Option<&'static str>,
    pub(super) bio: Text,
    pub(super) counts: Vec<String>,
    pub(super) account: String,
    pub(super) json: String,
    /// Who vouches for the name; nobody says so of someone who moved.
    pub(super) vouched: Option<String>,
    pub(super) since: super::time::Moment,
}

impl PersonFacts {
    pub(super) fn new(view: &AccountView, site: &Site) -> Self {
        let user = view.address.user().to_string();
        let count = |kind| view.counts.get(&kind).copied().unwrap_or_default();
        let moved = (*view.address.domain() != site.domain).then(|| home_url(view));
        Self {
            name: display_name(view),
            address: view.address.to_string(),
            moved: moved.flatten(),
            standing: standing(view.status),
            bio: Text::whole(&view.profile.bio),
            counts: vec![plural(count(Kind::Subscribe), "subscriber"), plural(count(Kind::Post), "post")],
            account: view.account.to_string(),
            json: format!("/api/v1/accounts/{}", view.account),
            vouched: (*view.address.domain() == site.domain).then(|| vouched(&site.domain, &view.witnesses)),
            since: super::time::Moment::new(view.created),
            user,
        }
    }
}

fn home_url(view: &AccountView) -> Option<String> {
    Target::Person(Person::Address(view.address.clone())).permalink()
}

fn standing(status: Status) -> Option<&'static str> {
    match status {
        Status::Active => None,
        Status::Frozen => {
            Some("This account is frozen: two devices contradict each other, and nothing new is accepted until its owner settles it.")
        }
        Status::Compromised => Some("This account is compromised: two histories are signed by its root key. Do not rely on what it says."),
        Status::Closed => Some("This account was closed by its owner."),
    }
}

impl PersonPage {
    pub(super) fn new(site: Site, view: &AccountView, posts: Vec<Entry>, (later, next): (bool, Option<String>)) -> Self {
        let person = PersonFacts::new(view, &site);
        let bio = summary(&view.profile.bio);
        let mut head = Head {
            title: format!("{} ({})", person.name, person.address),
            description: if bio.is_empty() { format!("What {} publishes in the MESH network.", person.address) } else { bio },
            canonical: home_url(view),
            alternate: Some(person.json.clone()),
            noindex: person.moved.is_some() || later || view.status == Status::Compromised || view.profile.noindex,
            sort: Sort::Profile(person.user.clone()),
            feeds: Some((format!("/@{}", person.user), format!("Posts by {}", person.name))),
            graph: None,
        };
        head.graph = Some(Graph::profile(&person, &head, &view.counts));
        Self { site, head, person, posts, later, next }
    }
}

/// Witnesses that are named; of more only the number is said.
const WITNESSES_NAMED: usize = 3;

/// Who vouches for a name, in words.
fn vouched(home: &Domain, witnesses: &[Domain]) -> String {
    if witnesses.is_empty() {
        return format!("Name in the log of {home}; no other domain has confirmed this log yet (unwitnessed)");
    }
    let mut names: Vec<String> = witnesses.iter().take(WITNESSES_NAMED).map(Domain::to_string).collect();
    if let Some(more) = witnesses.len().checked_sub(WITNESSES_NAMED).filter(|more| *more > 0) {
        names.push(format!("{more} more"));
    }
    let last = names.pop().unwrap_or_default();
    let cosigned = if names.is_empty() { last } else { format!("{} and {last}", names.join(", ")) };
    format!("Name proven in the log of {home}, cosigned by {cosigned}")
}

/// `GET /@{user}`.
pub(super) async fn show(
    State(app): State<App>,
    Captured(user): Captured<String>,
    seek: Result<Query<Seek>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let outcome = match seek {
        Ok(Query(seek)) => page(&app, &user, seek, &headers).await,
        Err(_) => Err(Fault::malformed()),
    };
    answer(&app, &headers, outcome)
}

async fn page(app: &App, user: &str, seek: Seek, headers: &HeaderMap) -> Outcome {
    let (account, view) = match find(app, user).await? {
        Found::Here(account, view) => (account, view),
        Found::Spelt(user) => return Ok(redirect(&format!("/@{user}"))),
        Found::Moved(account) => return Ok(moved(&page_of(&account))),
    };
    if view.status == Status::Closed {
        return Ok(send(headers, &Page::render(StatusCode::GONE, &ClosedPage::new(Site::of(app), &view))));
    }
    let later = seek.before.is_some();
    let list = app.node.views.posts(&account, seek.before, POSTS_MAX).await?;
    let posts = entries(app, &list.items).await;
    let page = PersonPage::new(Site::of(app), &view, posts, (later, list.next));
    Ok(send(headers, &Page::render(StatusCode::OK, &page)))
}

/// Whom a name in a path means.
pub(super) enum Found {
    /// Someone of this domain.
    Here(Arc<Account>, Box<AccountView>),
    /// Someone, but the name is spelt otherwise.
    Spelt(User),
    /// Someone who bears another name now, here or elsewhere.
    Moved(Arc<Account>),
}

/// The page of a person, wherever it is.
pub(super) fn page_of(account: &Account) -> String {
    format!("{}/@{}", account.home().base_url(), account.address().user())
}

/// Finds a person of this domain.
pub(super) async fn find(app: &App, user: &str) -> Result<Found, Fault> {
    let spelt: User = user.to_ascii_lowercase().parse().map_err(|_| Fault::nobody())?;
    let as_spelt = spelt.as_str() == user;
    let node = Arc::clone(&app.node);
    let found = blocking(move || match node.accounts.by_name(spelt.as_str())? {
        Some(_) if !as_spelt => Ok(Some(Found::Spelt(spelt))),
        Some(account) => {
            let view = Box::new(node.views.account(&account)?);
            Ok(Some(Found::Here(account, view)))
        }
        None => Ok(node.accounts.formerly(&spelt)?.map(Found::Moved)),
    });
    match found.await?.ok_or_else(Fault::nobody)? {
        Found::Here(_, view) if view.suspended.is_some() => Err(Fault::suspended()),
        found => Ok(found),
    }
}

/// Excerpts for a list, with what reposts pass on, as far as this server knows it.
pub(super) async fn entries(app: &App, views: &[RecordView]) -> Vec<Entry> {
    let here = app.node.domain();
    let mut entries: Vec<Entry> = views.iter().map(|view| Entry::new(view, here, Extent::Excerpt)).collect();
    let mut passed = JoinSet::new();
    for (position, view) in views.iter().enumerate() {
        let views = Arc::clone(&app.node.views);
        if let Some(id) = passed_on(view) {
            passed.spawn(async move { (position, views.record(id).await.ok()) });
        }
    }
    while let Some(found) = passed.join_next().await {
        let Ok((position, Some(view))) = found else { continue };
        if let Some(Body::Repost(passed)) = entries.get_mut(position).map(|entry| &mut entry.body) {
            passed.post = Some(Entry::new(&view, here, Extent::Excerpt)).filter(|entry| entry.kind == Kind::Post);
        }
    }
    entries
}

/// What a repost passes on.
fn passed_on(view: &RecordView) -> Option<mesh_proto::envelope::RecordId> {
    let record = view.record.as_ref().filter(|_| view.card.kind == Kind::Repost)?;
    match Record::open(&record.envelope).ok()?.content {
        Content::Repost(repost) => Some(repost.object.id),
        _ => None,
    }
}

/// One record for its own page, with what it passes on.
pub(super) async fn shown(app: &App, view: &RecordView, extent: Extent) -> Entry {
    let here = app.node.domain();
    let mut entry = Entry::new(view, here, extent);
    if let (Body::Repost(passed), Some(id)) = (&mut entry.body, passed_on(view)) {
        let post = app.node.views.record(id).await.ok();
        passed.post = post.map(|view| Entry::new(&view, here, Extent::Excerpt)).filter(|entry| entry.kind == Kind::Post);
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_vouches_is_said_in_words() {
        let domains: Vec<Domain> =
            ["a.example", "b.example", "c.example", "d.example", "e.example"].map(|name| name.parse().expect("a domain")).into();
        let words = |count| vouched(&domains[4], &domains[..count]);
        assert!(words(0).ends_with("no other domain has confirmed this log yet (unwitnessed)"));
        assert_eq!(words(1), "Name proven in the log of e.example, cosigned by a.example");
        assert!(words(2).ends_with("cosigned by a.example and b.example"));
        assert!(words(3).ends_with("cosigned by a.example, b.example and c.example"));
        assert!(words(4).ends_with("cosigned by a.example, b.example, c.example and 1 more"));
    }
}
