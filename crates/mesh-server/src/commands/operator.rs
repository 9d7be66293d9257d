//! Commands that put a question to the domain, and how its answers are printed.

use super::{Place, folder};
use anyhow::Context;
use http::Method;
use mesh_proto::api::Invite;
use mesh_proto::envelope::RecordId;
use mesh_proto::rules::Rules;
use mesh_proto::ruling::{About, Measure, Ruling};
use mesh_server::config::{self, Folder};
use mesh_server::operator::{Domains, NewRules, Order, Queue, ReportAnswer, ReportView, Reports, Status, Users, ask};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;

/// One domain, asked by its operator.
pub(super) struct Desk {
    folder: Folder,
    runtime: tokio::runtime::Runtime,
    json: bool,
}

impl Desk {
    pub(super) fn new(place: &Place) -> anyhow::Result<Self> {
        Ok(Self { folder: config::read(&place.data)?, runtime: folder::runtime()?, json: place.json })
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.runtime.block_on(ask(&self.folder, (Method::GET, path), &()))
    }

    fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        self.runtime.block_on(ask(&self.folder, (Method::POST, path), body))
    }

    /// Prints an answer, for machines whole, for people in words.
    fn print<T: Serialize>(&self, answer: &T, words: impl FnOnce(&T)) -> anyhow::Result<()> {
        if self.json {
            println!("{}", serde_json::to_string(answer)?);
        } else {
            words(answer);
        }
        Ok(())
    }

    /// `meshd status`.
    pub(super) fn status(&self) -> anyhow::Result<()> {
        self.print(&self.get::<Status>("/status")?, |status| {
            println!("{} on {}", status.domain, status.software);
            println!(
                "store     {}, {} MB and {} MB of journal",
                status.store,
                megabytes(status.store_bytes),
                megabytes(status.journal_bytes)
            );
            println!("log       {}, {} leaves", status.log, status.leaves);
            println!("domains   {} met; something waits for {} (`meshd queue`)", status.domains, status.domains_waited_for);
            for forked in &status.forked {
                println!("forked    {forked}: nothing is taken from it any more");
            }
        })
    }

    /// `meshd queue`.
    pub(super) fn queue(&self) -> anyhow::Result<()> {
        self.print(&self.get::<Queue>("/queue")?, |queue| {
            if queue.destinations.is_empty() {
                println!("Nothing waits.");
            }
            for to in &queue.destinations {
                let failing = if to.failing_since.is_some() { ", does not answer" } else { "" };
                println!("{:>8}  {}{failing}", to.waiting, to.domain);
            }
        })
    }

    /// `meshd user list`.
    pub(super) fn users(&self) -> anyhow::Result<()> {
        let mut after = None;
        loop {
            let path = after.map_or_else(|| "/users".to_owned(), |after: String| format!("/users?after={after}"));
            let page: Users = self.get(&path)?;
            for user in &page.users {
                self.print(user, |user| {
                    let suspended = if user.suspended { ", suspended" } else { "" };
                    println!("{:<24} {:<32} {:?}{suspended}", user.user, user.address, user.status);
                })?;
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// `meshd user suspend` and the like.
    pub(super) fn decide(&self, order: &Order) -> anyhow::Result<()> {
        self.print(&self.post::<Ruling>("/rulings", order)?, |ruling| println!("Decided: {}.", words(ruling)))
    }

    /// `meshd domain list`.
    pub(super) fn domains(&self) -> anyhow::Result<()> {
        self.print(&self.get::<Domains>("/domains")?, |answer| {
            if answer.domains.is_empty() {
                println!("Every domain is welcome.");
            }
            for (domain, measure) in &answer.domains {
                println!("{domain:<40} {}", name(*measure));
            }
        })
    }

    /// `meshd rules show`.
    pub(super) fn rules(&self) -> anyhow::Result<()> {
        self.print(&self.get::<Rules>("/rules")?, |rules| println!("{}", rules.text))
    }

    /// `meshd rules set`.
    pub(super) fn set_rules(&self, file: &Path) -> anyhow::Result<()> {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {} as text", file.display()))?;
        let rules: Rules = self.post("/rules", &NewRules { text: text.trim().to_owned() })?;
        self.print(&rules, |rules| {
            println!("Version {} of the rules is in force, signed: {}/about", rules.version, rules.domain.base_url())
        })
    }

    /// `meshd report list`.
    pub(super) fn reports(&self) -> anyhow::Result<()> {
        let mut before = None;
        loop {
            let path = before.map_or_else(|| "/reports".to_owned(), |before: String| format!("/reports?before={before}"));
            let page: Reports = self.get(&path)?;
            if page.reports.is_empty() && path == "/reports" && !self.json {
                println!("Nobody has reported anything.");
            }
            for report in &page.reports {
                self.print(report, print_report)?;
            }
            before = page.next;
            if before.is_none() {
                return Ok(());
            }
        }
    }

    /// `meshd report answer`.
    pub(super) fn answer(&self, report: &RecordId, measure: Measure, text: &str) -> anyhow::Result<()> {
        let answer = ReportAnswer { measure, text: text.to_owned() };
        let ruling: Ruling = self.post(&format!("/reports/{report}"), &answer)?;
        self.print(&ruling, |ruling| println!("Answered, and signed: {}.", words(ruling)))
    }

    /// `meshd invite`.
    pub(super) fn invite(&self) -> anyhow::Result<()> {
        self.print(&self.post::<Invite>("/invites", &())?, |invite| println!("{}", invite.code))
    }
}

fn print_report(report: &ReportView) {
    let Ok(reason) = serde_json::to_value(report.reason) else { return };
    println!("{}", report.id);
    println!("  {} reports {} of {}: {}", report.reporter, report.object, report.author, reason.as_str().unwrap_or_default());
    if !report.text.is_empty() {
        println!("  {}", report.text.escape_debug());
    }
    match &report.ruling {
        Some(ruling) => println!("  answered: {}", name(ruling.measure)),
        None => println!("  open: `meshd report answer {} none|remove|suspend --text …`", report.id),
    }
}

/// What a ruling says.
fn words(ruling: &Ruling) -> String {
    let About { account, record, report, domain } = &ruling.about;
    let about = match (domain, record, report, account) {
        (Some(domain), ..) => domain.to_string(),
        (_, Some(record), ..) => format!("record {record}"),
        (_, _, Some(report), _) => format!("report {report}"),
        (_, _, _, Some(account)) => format!("account {account}"),
        _ => String::new(),
    };
    format!("{about}: {}", name(ruling.measure))
}

fn name(measure: Measure) -> &'static str {
    match measure {
        Measure::None => "nothing (any more)",
        Measure::Suspend => "suspended",
        Measure::Remove => "removed",
        Measure::Block => "blocked",
        Measure::Probation => "on probation",
    }
}

fn megabytes(bytes: u64) -> u64 {
    bytes.div_ceil(1024 * 1024)
}
