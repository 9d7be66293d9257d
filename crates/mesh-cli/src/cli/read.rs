//! Arguments of reading and verifying.

use clap::Args;
use mesh_proto::address::Domain;

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// A mesh:// link, a page, or an address
    pub(crate) target: String,
    /// Show each record's proof; this asks the homes of their authors
    #[arg(long)]
    pub(crate) proof: bool,
}

#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// A post or a comment: a mesh:// link or its page
    pub(crate) target: String,
    /// Show each version's proof
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
