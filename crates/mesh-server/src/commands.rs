//! What `meshd` can be told to do. Those that ask or change something about a domain do so through [`operator`], whether its server runs or not.

mod folder;
mod keeping;
mod operator;

use clap::{Args, Parser, Subcommand};
use mesh_proto::address::Domain;
use mesh_server::operator::restore::GoOn;
use std::path::PathBuf;

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
    #[arg(long, global = true, env = "MESHD_DATA", default_value = "/var/lib/mesh")]
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
    },
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
}

#[derive(Subcommand)]
enum User {
    /// List all names that the domain ever gave
    List,
}

impl Arguments {
    /// Does what was said.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let data = &self.place.data;
        match &self.command {
            Command::Setup { domain } => folder::set_up(data, domain),
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
            Command::Status => operator::Desk::new(&self.place)?.status(),
            Command::Queue => operator::Desk::new(&self.place)?.queue(),
            Command::User(User::List) => operator::Desk::new(&self.place)?.users(),
            Command::Invite => operator::Desk::new(&self.place)?.invite(),
        }
    }
}
