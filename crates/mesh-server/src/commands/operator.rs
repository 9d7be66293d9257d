//! Commands that put a question to the domain, and how its answers are printed.

use super::{Place, folder};
use http::Method;
use mesh_proto::api::Invite;
use mesh_server::config::{self, Folder};
use mesh_server::operator::{Queue, Status, Users, ask};
use serde::Serialize;
use serde::de::DeserializeOwned;

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
                self.print(user, |user| println!("{:<24} {:<32} {:?}", user.user, user.address, user.status))?;
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// `meshd invite`.
    pub(super) fn invite(&self) -> anyhow::Result<()> {
        self.print(&self.post::<Invite>("/invites", &())?, |invite| println!("{}", invite.code))
    }
}

fn megabytes(bytes: u64) -> u64 {
    bytes.div_ceil(1024 * 1024)
}
