//! What `meshd` can be told to do. Those that ask or change something about a domain do so through [`operator`], whether its server runs or not.

mod dns;
mod folder;
mod keeping;
pub(crate) mod log;
mod manual;
mod operator;
mod owner;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use mesh_proto::address::Domain;
use mesh_proto::envelope::RecordId;
use mesh_proto::record::ReportReason;
use mesh_proto::ruling::Measure;
use mesh_server::operator::restore::GoOn;
use mesh_server::operator::{Order, Target};
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The data folder if nobody names one.
const DATA: &str = "/var/lib/mesh";

/// The command line.
#[derive(Parser)]
#[command(name = "meshd", version, about = "A MESH home server", propagate_version = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

/// Which domain, and how to answer.
#[derive(Args)]
struct Place {
    /// The data folder of the domain
    #[arg(long, global = true, env = "MESHD_DATA", default_value = DATA)]
    data: PathBuf,
    /// Answer in JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Make a data folder for a domain: keys and configuration
    Setup {
        /// The domain, for example example.org or one.localhost:8001
        #[arg(long)]
        domain: String,
        /// An e-mail address: the certificate authority may write there, and people find it on /about
        #[arg(long)]
        contact: Option<String>,
        /// A TLS proxy stands in front: listen on 127.0.0.1:8080 without TLS
        #[arg(long, conflicts_with = "contact")]
        behind_proxy: bool,
    },
    /// The domain's name in the DNS
    #[command(subcommand)]
    Dns(Dns),
    /// Serve a domain from its data folder
    Serve {
        /// Refuse to start unless the folder is this domain's
        #[arg(long)]
        domain: Option<Domain>,
    },
    /// How the domain is
    Status,
    /// What waits for other domains
    Queue,
    /// The people of the domain
    #[command(subcommand)]
    User(User),
    /// Take down what somebody said, or put it back
    #[command(subcommand)]
    Object(Object),
    /// Other domains: block them, put them on probation, or let them in again
    #[command(subcommand)]
    Domain(OtherDomain),
    /// The rules of the domain
    #[command(subcommand)]
    Rules(RulesCommand),
    /// What people report, and what is answered
    #[command(subcommand)]
    Report(Report),
    /// Make an invite code that works once
    Invite,
    /// Compare what is here of other domains with what they have (the server must not be running)
    Verify {
        /// Mend what differs: fetch what is missing, drop what its home does not know
        #[arg(long)]
        repair: bool,
    },
    /// Back the domain up into one file, whether its server runs or not
    #[command(group = clap::ArgGroup::new("aim").required(true))]
    Backup {
        /// A new file, or a folder for a file named after domain and time
        #[arg(long, value_name = "FILE|FOLDER", group = "aim")]
        to: Option<PathBuf>,
        /// Look through a backup instead, without restoring it
        #[arg(long, value_name = "FILE", group = "aim")]
        check: Option<PathBuf>,
    },
    /// Make a data folder of a backup; it goes on in a new log
    Restore {
        /// The backup
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
        /// Go on in the old log: only if the old server was stopped before the backup was made, and never started again
        #[arg(long)]
        as_it_was: bool,
    },
    /// Bring the data folder of an older version up to date, after a backup (the server must not be running)
    Upgrade {
        /// Where the backup goes, instead of into the data folder
        #[arg(long, value_name = "FILE|FOLDER")]
        backup_to: Option<PathBuf>,
    },
    /// Begin a new log, after the data folder was put back from a backup (the server must not be running)
    NewLog,
    /// Print the API description (OpenAPI, JSON)
    Openapi,
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write all pages to a folder
    Man {
        /// Write one page for each command into this folder
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

impl Command {
    /// Whether it is about a data folder.
    fn has_folder(&self) -> bool {
        !matches!(self, Command::Backup { check: Some(_), .. } | Command::Openapi | Command::Completions { .. } | Command::Man { .. })
    }
}

#[derive(Subcommand)]
enum Dns {
    /// Print the records that the name needs
    Show,
    /// Look whether the name leads here, and whether what answers there is this domain
    Check {
        /// The name server to ask, instead of this machine's own: a public one says what the world sees
        #[arg(long, value_name = "ADDRESS", value_parser = dns::name_server)]
        server: Option<SocketAddr>,
    },
}

#[derive(Subcommand)]
enum User {
    /// List all names that the domain ever gave
    List,
    /// Show nothing that an account says, and let it write nothing; it may still move to another home
    Suspend {
        /// A name of this domain, an address or an account id
        user: String,
        #[command(flatten)]
        why: Why,
    },
    /// Undo a suspension
    Restore {
        /// A name of this domain, an address or an account id
        user: String,
        #[command(flatten)]
        why: Why,
    },
}

/// Why something is decided. It is signed and public.
#[derive(Args)]
struct Why {
    /// spam, abuse, illegal, copy or other
    #[arg(long, value_parser = word::<ReportReason>, default_value = "other")]
    reason: ReportReason,
    /// In words
    #[arg(long, default_value = "")]
    text: String,
}

#[derive(Subcommand)]
enum Object {
    /// Show a post or a comment no more
    Remove {
        /// Its id or a link to it
        object: String,
        #[command(flatten)]
        why: Why,
    },
    /// Show it again
    Restore {
        /// Its id or a link to it
        object: String,
        #[command(flatten)]
        why: Why,
    },
}

#[derive(Subcommand)]
enum OtherDomain {
    /// List the domains that are blocked or on probation
    List,
    /// Take nothing from a domain, send it nothing, and show nothing of it
    Block {
        /// The domain
        domain: Domain,
        #[command(flatten)]
        why: Why,
    },
    /// Take in what a domain's people say, but neither show it below others' things nor count it
    Probation {
        /// The domain
        domain: Domain,
        #[command(flatten)]
        why: Why,
    },
    /// Undo both
    Allow {
        /// The domain
        domain: Domain,
        #[command(flatten)]
        why: Why,
    },
}

#[derive(Subcommand)]
enum RulesCommand {
    /// Print the rules in force
    Show,
    /// Put the text of a file in force, as a new signed version
    Set {
        /// Plain text; paragraphs are parted by empty lines
        file: PathBuf,
    },
}

#[derive(Subcommand)]
enum Report {
    /// List the reports, newest first
    List,
    /// Answer a report, and do to what was reported what the answer says
    Answer {
        /// The report's id
        report: RecordId,
        /// none (it stays), remove (it) or suspend (its author)
        #[arg(value_parser = word::<Measure>)]
        measure: Measure,
        /// In words, for who reported
        #[arg(long, default_value = "")]
        text: String,
    },
}

/// One word of a closed list, as it is on the wire.
fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

impl Arguments {
    /// Whether the answer is the log of a server, rather than words for whoever typed the command.
    pub(crate) fn logs(&self) -> bool {
        matches!(self.command, Command::Serve { .. })
    }

    /// Does what was said.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let data = &self.place.data;
        if self.command.has_folder() {
            owner::become_owner(data)?;
        }
        self.obey().map_err(|error| match owner::advice(data, &error) {
            Some(advice) => anyhow::anyhow!("{error:#}: {advice}"),
            None => error,
        })
    }

    fn obey(&self) -> anyhow::Result<()> {
        let data = &self.place.data;
        match &self.command {
            Command::Setup { domain, contact, behind_proxy: false } => folder::set_up(data, domain, folder::Front::Own(contact.clone())),
            Command::Setup { domain, behind_proxy: true, .. } => folder::set_up(data, domain, folder::Front::Proxy),
            Command::Dns(Dns::Show) => dns::show(data),
            Command::Dns(Dns::Check { server }) => dns::check(data, *server),
            Command::Serve { domain } => folder::serve(data, domain.as_ref()),
            Command::Verify { repair: true } => folder::verify(data, mesh_node::healing::Aim::Repair),
            Command::Verify { repair: false } => folder::verify(data, mesh_node::healing::Aim::Look),
            Command::Backup { to: Some(to), .. } => keeping::back_up(&self.place, to),
            Command::Backup { check: Some(file), .. } => keeping::check(&self.place, file),
            Command::Backup { .. } => anyhow::bail!("say where to: `meshd backup --to FILE`"),
            Command::Restore { from, as_it_was: true } => keeping::restore(&self.place, from, GoOn::AsItWas),
            Command::Restore { from, as_it_was: false } => keeping::restore(&self.place, from, GoOn::InNewLog),
            Command::Upgrade { backup_to } => keeping::upgrade(&self.place, backup_to.as_deref()),
            Command::NewLog => folder::begin_new_log(data),
            Command::Openapi => {
                println!("{}", mesh_server::openapi_json());
                Ok(())
            }
            Command::Completions { shell } => manual::completions(*shell),
            Command::Man { dir } => manual::man(dir.as_deref()),
            Command::Status => operator::Desk::new(&self.place)?.status(),
            Command::Queue => operator::Desk::new(&self.place)?.queue(),
            Command::User(User::List) => operator::Desk::new(&self.place)?.users(),
            Command::User(User::Suspend { user, why }) => self.decide(Target::Account(user.clone()), Measure::Suspend, why),
            Command::User(User::Restore { user, why }) => self.decide(Target::Account(user.clone()), Measure::None, why),
            Command::Object(Object::Remove { object, why }) => self.decide(record(object)?, Measure::Remove, why),
            Command::Object(Object::Restore { object, why }) => self.decide(record(object)?, Measure::None, why),
            Command::Domain(OtherDomain::List) => operator::Desk::new(&self.place)?.domains(),
            Command::Domain(OtherDomain::Block { domain, why }) => self.decide(Target::Domain(domain.clone()), Measure::Block, why),
            Command::Domain(OtherDomain::Probation { domain, why }) => self.decide(Target::Domain(domain.clone()), Measure::Probation, why),
            Command::Domain(OtherDomain::Allow { domain, why }) => self.decide(Target::Domain(domain.clone()), Measure::None, why),
            Command::Rules(RulesCommand::Show) => operator::Desk::new(&self.place)?.rules(),
            Command::Rules(RulesCommand::Set { file }) => operator::Desk::new(&self.place)?.set_rules(file),
            Command::Report(Report::List) => operator::Desk::new(&self.place)?.reports(),
            Command::Report(Report::Answer { report, measure, text }) => operator::Desk::new(&self.place)?.answer(report, *measure, text),
            Command::Invite => operator::Desk::new(&self.place)?.invite(),
        }
    }

    fn decide(&self, target: Target, measure: Measure, why: &Why) -> anyhow::Result<()> {
        operator::Desk::new(&self.place)?.decide(&Order { target, measure, reason: why.reason, text: why.text.clone() })
    }
}

/// The record that an id or a link names: a link ends with the id.
fn record(text: &str) -> anyhow::Result<Target> {
    let last = text.trim_end_matches('/').rsplit('/').next().unwrap_or(text);
    Ok(Target::Record(last.parse().with_context(|| format!("{text} is neither a record's id nor a link to one"))?))
}
