//! Deciding about accounts, records, domains and reports.

use super::Desk;
use crate::api::blocking;
use crate::problem::{Answer, ApiError};
use axum::Json;
use axum::extract::{Path, Query, State};
use mesh_node::NodeError;
use mesh_node::moderation::{Decision, Reported};
use mesh_proto::address::{Address, Domain};
use mesh_proto::envelope::RecordId;
use mesh_proto::key::AccountId;
use mesh_proto::record::{Content, ReportReason};
use mesh_proto::rules::Rules;
use mesh_proto::ruling::{About, Measure, Ruling};
use serde::{Deserialize, Serialize};

/// What is to be decided.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// About what.
    pub target: Target,
    /// What.
    pub measure: Measure,
    /// Why.
    pub reason: ReportReason,
    /// In words.
    #[serde(default)]
    pub text: String,
}

/// Whom or what an operator names.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// A name of this domain, an address or an account id.
    Account(String),
    /// A record's id; a link ends with it.
    Record(RecordId),
    /// Another domain.
    Domain(Domain),
}

/// The domains that are blocked or on probation.
#[derive(Debug, Serialize, Deserialize)]
pub struct Domains {
    /// With what is in force about each.
    pub domains: Vec<(Domain, Measure)>,
}

/// One page of reports, newest first.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reports {
    /// The reports.
    pub reports: Vec<ReportView>,
    /// Where the next page goes on.
    pub next: Option<String>,
}

/// A report, as operators see it.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReportView {
    /// Its id.
    pub id: RecordId,
    /// When it came, milliseconds since the epoch.
    pub received: u64,
    /// Who reports.
    pub reporter: Address,
    /// Whose thing it is.
    pub author: String,
    /// The thing's id.
    pub object: RecordId,
    /// Why.
    pub reason: ReportReason,
    /// In the reporter's words.
    pub text: String,
    /// What was decided, if it was.
    pub ruling: Option<Ruling>,
}

/// What is answered to a report.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportAnswer {
    /// What is done to what was reported; `none`: nothing.
    pub measure: Measure,
    /// In words, for who reported.
    #[serde(default)]
    pub text: String,
}

/// `POST /rulings`.
pub(super) async fn decide(State(desk): State<Desk>, Json(order): Json<Order>) -> Answer<Json<Ruling>> {
    blocking(move || {
        let Order { target, measure, reason, text } = order;
        let decision = Decision { about: desk.about(target)?, measure, reason, text };
        let envelope = desk.node.moderation.decide(decision)?;
        Ok(Json(Ruling::read(&envelope).map_err(ApiError::malformed)?))
    })
    .await
}

/// `GET /domains`.
pub(super) async fn domains(State(desk): State<Desk>) -> Answer<Json<Domains>> {
    Ok(Json(Domains { domains: desk.node.rulings.domains() }))
}

/// New rules.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRules {
    /// The rules; paragraphs are parted by empty lines.
    pub text: String,
}

/// `GET /rules`.
pub(super) async fn rules(State(desk): State<Desk>) -> Answer<Json<Rules>> {
    let (rules, _) = desk.node.rulings.rules(None)?.ok_or(NodeError::NotFound("rule yet: give some with `meshd rules set FILE`"))?;
    Ok(Json(rules))
}

/// `POST /rules`.
pub(super) async fn set_rules(State(desk): State<Desk>, Json(new): Json<NewRules>) -> Answer<Json<Rules>> {
    blocking(move || Ok(Json(Rules::read(&desk.node.moderation.set_rules(new.text)?).map_err(ApiError::malformed)?))).await
}

/// Where a page begins.
#[derive(Deserialize)]
pub(super) struct Before {
    before: Option<String>,
}

/// `GET /reports?before=`.
pub(super) async fn reports(State(desk): State<Desk>, Query(Before { before }): Query<Before>) -> Answer<Json<Reports>> {
    blocking(move || {
        let (reports, next) = desk.node.moderation.reports(before.as_deref())?;
        Ok(Json(Reports { reports: reports.into_iter().filter_map(|reported| desk.report(reported)).collect(), next }))
    })
    .await
}

/// `POST /reports/{id}`.
pub(super) async fn answer(State(desk): State<Desk>, Path(id): Path<RecordId>, Json(answer): Json<ReportAnswer>) -> Answer<Json<Ruling>> {
    blocking(move || {
        let envelope = desk.node.moderation.answer(&id, answer.measure, answer.text)?;
        Ok(Json(Ruling::read(&envelope).map_err(ApiError::malformed)?))
    })
    .await
}

impl Desk {
    fn about(&self, target: Target) -> Answer<About> {
        match target {
            Target::Domain(domain) => Ok(About { domain: Some(domain), ..About::default() }),
            Target::Account(name) => Ok(About { account: Some(self.account(&name)?), ..About::default() }),
            Target::Record(id) => Ok(About { account: Some(self.node.views.author(&id)?), record: Some(id), ..About::default() }),
        }
    }

    /// The account that an operator names by a name of this domain, an address or its id.
    fn account(&self, name: &str) -> Answer<AccountId> {
        if let Ok(id) = name.parse() {
            return Ok(id);
        }
        let name = name.trim_start_matches('@');
        if let Ok(address) = name.parse::<Address>() {
            let known = self.node.accounts.known_under(&address)?;
            return match &known[..] {
                [] => Err(NodeError::NotFound("account of that address").into()),
                [one] => Ok(one.id()),
                _ => Err(ApiError::malformed(format!("{address} is known of {} accounts: name one by its id", known.len()))),
            };
        }
        let found = self.node.accounts.by_name(name)?;
        Ok(found.ok_or(NodeError::NotFound("account of that name"))?.id())
    }

    fn report(&self, reported: Reported) -> Option<ReportView> {
        let Reported { id, received, reporter, record, ruling } = reported;
        let Content::Report(report) = record.content else { return None };
        let author = self.node.accounts.get(&report.object.actor).ok().flatten();
        let author = author.map_or_else(|| report.object.actor.to_string(), |author| author.address().to_string());
        Some(ReportView { id, received, reporter, author, object: report.object.id, reason: report.reason, text: report.text, ruling })
    }
}
