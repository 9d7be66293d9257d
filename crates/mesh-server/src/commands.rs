//! What `meshd` can be told to do. Those that ask or change something about a domain do so through [`operator`], whether its server runs or not.

mod folder;
mod operator;

use clap::{Args, Parser, Subcommand};
use mesh_proto::address::Domain;
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
