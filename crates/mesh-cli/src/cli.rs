//! What can be typed.

use clap::{Args, Parser, Subcommand, ValueEnum};
use mesh_import::Network;
use mesh_proto::address::Domain;
use mesh_proto::envelope::Kind;
use mesh_proto::limits::POLL_OPTIONS_MAX;
use mesh_proto::record::ReportReason;
use std::path::PathBuf;
use std::time::Duration;

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
    /// Show a record or a person
    Show(ShowArgs),
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
    /// Check keys, clock and home
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

const EXPORT_HELP: &str = "The file is enough to move to another home when yours is gone: mesh id move NEW_ADDRESS --from FILE, with your recovery \
phrase and this device. It holds no secret key and no phrase. Make a new one now and then, or name a mirror: mesh id mirror add DOMAIN.";

const IMPORT_HELP: &str = "Mastodon: outbox.json of the archive that the server's settings give you. Bluesky: the CAR file of your repository. Nostr: \
your events, one JSON object a line. Only what was public comes along: no answers to others, no boosts, no pictures yet. What was imported before \
is left out. The posts are signed now; their first time is shown as your claim.";

const MOVE_HELP: &str = "Your keys, devices, recovery phrase, posts and readers stay yours; what you said keeps its proof. If something stops it, run \
mesh id move again: it goes on where it was. Without an answer of the old home the records come from your mirrors, or from --from.";

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The file, written whole or not at all; - for stdout
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The export, unpacked
    pub(crate) file: PathBuf,
    /// Where it comes from; without it, the file tells
    #[arg(long, value_enum)]
    pub(crate) from: Option<NetworkChoice>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum NetworkChoice {
    Mastodon,
    Bluesky,
    Nostr,
}

impl From<NetworkChoice> for Network {
    fn from(choice: NetworkChoice) -> Self {
        match choice {
            NetworkChoice::Mastodon => Self::Mastodon,
            NetworkChoice::Bluesky => Self::Bluesky,
            NetworkChoice::Nostr => Self::Nostr,
        }
    }
}

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

#[derive(Debug, Args)]
pub(crate) struct PostArgs {
    /// The text; a path such as ./post.txt; or - for stdin
    #[arg(allow_hyphen_values = true)]
    pub(crate) text: Option<String>,
    /// A title
    #[arg(long)]
    pub(crate) title: Option<String>,
    /// A tag, without #; may be given several times
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
    /// The language, such as en or pt-BR
    #[arg(long)]
    pub(crate) lang: Option<String>,
    /// Show what this link leads to: your machine fetches the page's title and description now, and nobody has to later
    #[arg(long, value_name = "URL", conflicts_with = "edit")]
    pub(crate) preview: Option<String>,
    /// An option of a poll, two to eight in all; the text is the question
    #[arg(long = "poll", value_name = "OPTION", conflicts_with = "edit")]
    pub(crate) poll: Vec<String>,
    /// After how long the poll ends, such as 90min, 12h or 3d; a day unless told
    #[arg(long, value_name = "TIME", requires = "poll", value_parser = humantime::parse_duration)]
    pub(crate) poll_ends: Option<Duration>,
    /// Let people choose several options
    #[arg(long, requires = "poll")]
    pub(crate) poll_multiple: bool,
    /// Publish a new version of this post or comment of yours
    #[arg(long, value_name = "URI")]
    pub(crate) edit: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct VoteArgs {
    /// The post with the poll: a mesh:// link or its page
    pub(crate) target: String,
    /// What you choose: the option's number as mesh show prints it, or several such as 1,3
    #[arg(value_name = "N", required = true, value_delimiter = ',', value_parser = clap::value_parser!(u8).range(1..=POLL_OPTIONS_MAX as i64))]
    pub(crate) options: Vec<u8>,
}

#[derive(Debug, Args)]
pub(crate) struct TargetArgs {
    /// A mesh:// link, a page, or an address
    pub(crate) target: String,
}

#[derive(Debug, Args)]
pub(crate) struct CommentArgs {
    /// The post or comment to answer: a mesh:// link or its page
    pub(crate) target: String,
    /// The text; a path such as ./answer.txt; or - for stdin
    #[arg(allow_hyphen_values = true)]
    pub(crate) text: Option<String>,
    /// The language, such as en or pt-BR
    #[arg(long)]
    pub(crate) lang: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// What to report
    pub(crate) target: String,
    /// Why
    #[arg(long, value_enum)]
    pub(crate) reason: Reason,
    /// In your words
    #[arg(long, default_value = "")]
    pub(crate) text: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Reason {
    /// Unwanted advertising, floods, fraud
    Spam,
    /// Threats, harassment, hatred
    Abuse,
    /// Against the law
    Illegal,
    /// A copy of someone else's work
    Copy,
    /// Something else
    Other,
}

impl From<Reason> for ReportReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Spam => Self::Spam,
            Reason::Abuse => Self::Abuse,
            Reason::Illegal => Self::Illegal,
            Reason::Copy => Self::Copy,
            Reason::Other => Self::Other,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct UndoArgs {
    /// What to undo, or what it was about
    pub(crate) target: String,
    /// Which of your statements about it
    #[arg(long, value_enum)]
    pub(crate) kind: Option<ActKind>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ActKind {
    Like,
    Repost,
    Vote,
    Subscribe,
}

impl From<ActKind> for Kind {
    fn from(kind: ActKind) -> Self {
        match kind {
            ActKind::Like => Kind::Like,
            ActKind::Repost => Kind::Repost,
            ActKind::Vote => Kind::Vote,
            ActKind::Subscribe => Kind::Subscribe,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// A mesh:// link, a page, or an address
    pub(crate) target: String,
    /// Show each record's proof; this asks the homes of their authors
    #[arg(long)]
    pub(crate) proof: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ThreadArgs {
    /// The post, or a comment in the thread: a mesh:// link or its page
    pub(crate) target: String,
    /// Read all pages
    #[arg(long)]
    pub(crate) all: bool,
    /// Comments on a page, at most 100
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: usize,
    /// The next page, as the last one named it
    #[arg(long, value_name = "CURSOR", conflicts_with = "all")]
    pub(crate) after: Option<String>,
    /// Show each record's proof; this asks the homes of their authors
    #[arg(long)]
    pub(crate) proof: bool,
    /// Print text even on a terminal, instead of opening the interface
    #[arg(long)]
    pub(crate) plain: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Items on a page, at most 100
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: usize,
    /// The next page, as the last one named it
    #[arg(long, value_name = "CURSOR")]
    pub(crate) before: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct FeedArgs {
    #[command(flatten)]
    pub(crate) list: ListArgs,
    /// Only the people of this list, as far as you subscribe to them
    #[arg(long = "list", value_name = "NAME")]
    pub(crate) only: Option<String>,
    /// Stay, and print new posts as they come
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Show each record's proof; this asks the homes of their authors
    #[arg(long)]
    pub(crate) proof: bool,
    /// Print text even on a terminal, instead of opening the interface
    #[arg(long)]
    pub(crate) plain: bool,
}

#[derive(Debug, Args)]
pub(crate) struct MuteArgs {
    /// An address; without anything, what is muted is shown
    pub(crate) person: Option<String>,
    /// A word or words; posts and comments with it are hidden
    #[arg(long)]
    pub(crate) word: Option<String>,
    /// A domain; all its people are hidden
    #[arg(long)]
    pub(crate) domain: Option<Domain>,
    /// Hide it no more
    #[arg(long)]
    pub(crate) remove: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ListsArgs {
    /// The list; without it, all lists are shown
    pub(crate) name: Option<String>,
    /// Addresses to add; without them, the list is shown
    pub(crate) people: Vec<String>,
    /// Take them out; without addresses, forget the list
    #[arg(long, requires = "name")]
    pub(crate) remove: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BookmarkArgs {
    /// A mesh:// link, a page or an address; without it, all are shown
    pub(crate) target: Option<String>,
    /// Keep it no more
    #[arg(long, requires = "target")]
    pub(crate) remove: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ProfileArgs {
    /// The display name
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// A few words about yourself
    #[arg(long)]
    pub(crate) bio: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// A mesh:// link, a page, or a file with a signed record (JSON); - for stdin
    pub(crate) target: String,
    /// Check the counters of a post or comment: all that its home counts is fetched and verified
    #[arg(long, conflicts_with_all = ["via", "accept_new_person"])]
    pub(crate) thread: bool,
    /// The domain to ask if the link or the file does not say where its author lives
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) via: Option<Domain>,
    /// The person behind this address is another one than before, and you have made sure that this is right
    #[arg(long)]
    pub(crate) accept_new_person: bool,
}
