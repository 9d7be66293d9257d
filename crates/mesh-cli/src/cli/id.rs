//! Arguments of identities: making them, their devices, their home.

use clap::{Args, Subcommand, ValueEnum};
use mesh_proto::address::Domain;
use std::path::PathBuf;

pub(super) const MOVE_HELP: &str = "Your keys, devices, recovery phrase, posts and readers stay yours; what you said keeps its proof. If something stops it, run \
mesh id move again: it goes on where it was. Without an answer of the old home the records come from your mirrors, or from --from.";

#[derive(Debug, Args)]
pub(crate) struct MoveArgs {
    /// The new address, such as neo@mesh.org; without it, the move that was begun goes on
    pub(crate) address: Option<String>,
    /// File with the recovery phrase; without it, it is asked for
    #[arg(long, value_name = "FILE")]
    pub(crate) phrase_file: Option<PathBuf>,
    /// Where the records come from, if not from the old home: a file that mesh export wrote, or the domain of a mirror
    #[arg(long, value_name = "FILE|DOMAIN")]
    pub(crate) from: Option<String>,
    /// Invite code, where the new home asks for one
    #[arg(long, value_name = "CODE")]
    pub(crate) invite: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MirrorCommand {
    /// Ask a domain to keep a copy of what you say, and name it in your key log
    Add {
        /// The domain
        domain: Domain,
    },
    /// Name it no more
    Remove {
        /// The domain
        domain: Domain,
    },
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The address to claim, such as neo@mesh.org
    #[arg(long)]
    pub(crate) address: Option<String>,
    /// File with the recovery phrase: read if it exists, else written (mode 0600). Move it off this machine afterwards
    #[arg(long, value_name = "FILE")]
    pub(crate) phrase_file: Option<PathBuf>,
    /// Invite code, where the home asks for one
    #[arg(long, value_name = "CODE")]
    pub(crate) invite: Option<String>,
    /// Ask nothing; without --phrase-file the phrase is printed once to stderr
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Display name for your profile
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// What this device is called in the list of devices
    #[arg(long, value_name = "NAME")]
    pub(crate) device_name: Option<String>,
    /// Bring an account back with its recovery phrase
    #[arg(long, conflicts_with_all = ["pair", "invite"])]
    pub(crate) recover: bool,
    /// With --recover, if the home is gone: the file that mesh export wrote. Afterwards: mesh id move NEW_ADDRESS --from FILE
    #[arg(long, value_name = "FILE", requires = "recover", conflicts_with = "revoke_others")]
    pub(crate) from: Option<PathBuf>,
    /// With --recover: revoke all other devices
    #[arg(long, requires = "recover")]
    pub(crate) revoke_others: bool,
    /// Join an account that another device holds
    #[arg(long, conflicts_with_all = ["phrase_file", "invite", "name"])]
    pub(crate) pair: bool,
    /// Where the device key is kept
    #[arg(long, value_enum, default_value_t = KeystoreChoice::Auto)]
    pub(crate) keystore: KeystoreChoice,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeystoreChoice {
    /// The system's keyring if one answers and no folder is given, else a file
    Auto,
    /// A file that only you can read
    File,
    /// The system's keyring
    Os,
}

#[derive(Debug, Subcommand)]
pub(crate) enum IdCommand {
    /// Show the account as its key log has it
    Show,
    /// Print the public key log, which anybody can verify
    Export,
    /// List the devices that ask to be added, or add the one whose code you type
    Pair {
        /// The code that the new device shows
        code: Option<String>,
    },
    /// List the devices
    Devices,
    /// End a device
    Revoke {
        /// Its name, or the start of its key
        device: String,
        /// Up to where you stand by what it signed: `now`, `none`, or a leaf of the home's log
        #[arg(long, default_value = "now", value_name = "now|none|INDEX")]
        last_good: String,
        /// Recovery phrase, to revoke a device that this one did not add
        #[arg(long, value_name = "FILE")]
        phrase_file: Option<PathBuf>,
    },
    /// Move to another home, with all you said; needs the recovery phrase
    #[command(after_help = MOVE_HELP)]
    Move(MoveArgs),
    /// List the domains that keep a copy of what you say, or add or remove one
    Mirror {
        #[command(subcommand)]
        command: Option<MirrorCommand>,
    },
    /// Replace the recovery phrase
    Rotate {
        /// File with the present phrase
        #[arg(long, value_name = "FILE", conflicts_with = "lost")]
        phrase_file: Option<PathBuf>,
        /// Where the new phrase is written (mode 0600); without it, it is shown on the terminal
        #[arg(long, value_name = "FILE")]
        new_phrase_file: Option<PathBuf>,
        /// The present phrase is lost: this device asks, and it takes effect after 30 days
        #[arg(long)]
        lost: bool,
    },
}
