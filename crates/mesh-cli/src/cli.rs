//! What can be typed.

mod drafts;
mod id;
mod own;
mod read;
mod write;

pub(crate) use drafts::{DraftCommand, NewDraftArgs, ScheduledArgs, When};
pub(crate) use id::{IdCommand, InitArgs, KeystoreChoice, MirrorCommand, MoveArgs};
pub(crate) use own::{BookmarkArgs, ExportArgs, ListsArgs, MuteArgs};
pub(crate) use read::{FeedArgs, HistoryArgs, ListArgs, ShowArgs, ThreadArgs, VerifyArgs};
pub(crate) use write::{CommentArgs, Findable, ImportArgs, PostArgs, ProfileArgs, ReportArgs, TargetArgs, UndoArgs, VoteArgs};

use clap::{Args, Parser, Subcommand};
use own::EXPORT_HELP;
use std::path::PathBuf;
use write::IMPORT_HELP;

/// The MESH network on the command line.
#[derive(Debug, Parser)]
#[command(
    name = "mesh",
    version,
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 signature or verification failed, 5 network, 6 permission."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Print JSON; lists and streams one object a line
    #[arg(long, global = true)]
    json: bool,
    /// Print exactly what would be signed and where it would be sent; sign, send and keep nothing
    #[arg(long, global = true)]
    dry_run: bool,
    /// Folder with the identity, instead of the desktop's data folder
    #[arg(long, global = true, env = "MESH_HOME", value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
}

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Json,
}

/// Whether drafts are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Send,
    DryRun,
}

impl Global {
    pub(crate) fn format(&self) -> Format {
        if self.json { Format::Json } else { Format::Text }
    }

    pub(crate) fn mode(&self) -> Mode {
        if self.dry_run { Mode::DryRun } else { Mode::Send }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a key and claim an address, recover an account, or join with another device
    Init(InitArgs),
    /// Say who you are here
    Whoami,
    /// Your account: its keys and devices
    #[command(subcommand)]
    Id(IdCommand),
    /// Publish a post, or a new version of one
    Post(PostArgs),
    /// Keep texts to publish later; only here, and nobody is told. What could not be published is kept too
    Draft {
        #[command(subcommand)]
        command: Option<DraftCommand>,
    },
    /// Show what your home is to publish later (mesh post --at, --in), and what it could not
    Scheduled(ScheduledArgs),
    /// Show a record or a person
    Show(ShowArgs),
    /// Show all versions of a post or comment, and what changed from one to the next
    History(HistoryArgs),
    /// Show a post with its comments as a tree; on a terminal an interface, ? shows its keys
    Thread(ThreadArgs),
    /// Show the newest posts of those you subscribe to; on a terminal an interface, ? shows its keys
    Feed(FeedArgs),
    /// Like a post or a comment
    Like(TargetArgs),
    /// Comment on a post or on a comment
    Comment(CommentArgs),
    /// Subscribe to a person
    Subscribe(TargetArgs),
    /// Pass a post on to your own subscribers
    Repost(TargetArgs),
    /// Vote in a post's poll; again to change your mind while it lasts. Votes are public, as all that is signed
    Vote(VoteArgs),
    /// Report a post or a comment to the operators of its home
    Report(ReportArgs),
    /// Show what operators decided about you, what you said, and your reports
    Rulings,
    /// Withdraw your own record, or your like, repost, vote or subscription
    Undo(UndoArgs),
    /// Show what happened to your own things
    Notifications(ListArgs),
    /// Show or change your profile
    Profile(ProfileArgs),
    /// Hide people, domains or words from your feed, threads and notifications; only here, and nobody is told
    Mute(MuteArgs),
    /// Group people for mesh feed --list NAME; only here, and nobody is told
    List(ListsArgs),
    /// Keep links to come back to; only here, and nobody is told
    Bookmark(BookmarkArgs),
    /// Save all that is yours and public to a file: key log, records with their proof, whom you follow. It holds no secret key
    #[command(after_help = EXPORT_HELP)]
    Export(ExportArgs),
    /// Publish your posts from another network as your own, marked as imported; run it again to go on or to add what is new
    #[command(after_help = IMPORT_HELP)]
    Import(ImportArgs),
    /// Check who signed a record, with which key, in which log; needs no account
    Verify(VerifyArgs),
    /// Check this machine, your keys, clock and home, and say what to do about what is wrong
    Doctor,
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
