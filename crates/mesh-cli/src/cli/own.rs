//! Arguments of what people keep to themselves.

use clap::Args;
use mesh_proto::address::Domain;
use std::path::PathBuf;

pub(super) const EXPORT_HELP: &str = "The file is enough to move to another home when yours is gone: mesh id move NEW_ADDRESS --from FILE, with your recovery \
phrase and this device. It holds no secret key and no phrase. Make a new one now and then, or name a mirror: mesh id mirror add DOMAIN.";

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The file, written whole or not at all; - for stdout
    pub(crate) file: PathBuf,
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
