//! Arguments of what is signed and published.

use super::When;
use clap::{Args, ValueEnum};
use mesh_import::Network;
use mesh_proto::envelope::Kind;
use mesh_proto::limits::POLL_OPTIONS_MAX;
use mesh_proto::record::ReportReason;
use std::path::PathBuf;
use std::time::Duration;

pub(super) const IMPORT_HELP: &str = "Mastodon: outbox.json of the archive that the server's settings give you. Bluesky: the CAR file of your repository. Nostr: \
your events, one JSON object a line. Only what was public comes along: no answers to others, no boosts, no pictures yet. What was imported before \
is left out. The posts are signed now; their first time is shown as your claim.";

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
    #[arg(long = "poll", value_name = "OPTION", conflicts_with_all = ["edit", "at", "within"])]
    pub(crate) poll: Vec<String>,
    /// After how long the poll ends, such as 90min, 12h or 3d; a day unless told
    #[arg(long, value_name = "TIME", requires = "poll", value_parser = humantime::parse_duration)]
    pub(crate) poll_ends: Option<Duration>,
    /// Let people choose several options
    #[arg(long, requires = "poll")]
    pub(crate) poll_multiple: bool,
    /// Publish a new version of this post or comment of yours
    #[arg(long, value_name = "URI", conflicts_with_all = ["at", "within"])]
    pub(crate) edit: Option<String>,
    #[command(flatten)]
    pub(crate) when: When,
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
pub(crate) struct ProfileArgs {
    /// The display name
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// A few words about yourself
    #[arg(long)]
    pub(crate) bio: Option<String>,
    /// Whether searches, on every server and in the web's search engines, may find what you say
    #[arg(long)]
    pub(crate) search: Option<Findable>,
}

/// Whether searches may find somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Findable {
    On,
    Off,
}

#[derive(Debug, Args)]
pub(crate) struct TargetArgs {
    /// A mesh:// link, a page, or an address
    pub(crate) target: String,
}
