//! Arguments of drafts and of what the home is to publish later.

use clap::{Args, Subcommand};

/// When something is to be published.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct When {
    /// Let your home publish it then, such as "2026-12-24 18:00" (your time), or with UTC or an offset behind it
    #[arg(long, value_name = "TIME", conflicts_with = "within")]
    pub(crate) at: Option<String>,
    /// Let your home publish it after this time, such as 3h or "2 days"
    #[arg(long = "in", value_name = "TIME")]
    pub(crate) within: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DraftCommand {
    /// Keep a text as a draft; without one, your editor opens
    New(NewDraftArgs),
    /// Show a draft
    Show {
        /// Its name
        name: String,
    },
    /// Change a draft; without a text, your editor opens
    Edit {
        /// Its name
        name: String,
        /// The new text; a path such as ./post.txt; or - for stdin
        #[arg(allow_hyphen_values = true)]
        text: Option<String>,
    },
    /// Forget a draft
    Delete {
        /// Its name
        name: String,
    },
    /// Publish a draft, once
    Publish {
        /// Its name
        name: String,
        #[command(flatten)]
        when: When,
    },
}

#[derive(Debug, Args)]
pub(crate) struct NewDraftArgs {
    /// The text; a path such as ./post.txt; or - for stdin
    #[arg(allow_hyphen_values = true)]
    pub(crate) text: Option<String>,
    /// What it is called here: a-z, 0-9 and -; without it, the next number
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// A title
    #[arg(long)]
    pub(crate) title: Option<String>,
    /// A tag, without #; may be given several times
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
    /// The language, such as en or pt-BR
    #[arg(long)]
    pub(crate) lang: Option<String>,
    /// Show what this link leads to; it is fetched when the draft is published
    #[arg(long, value_name = "URL", conflicts_with_all = ["edit", "answer"])]
    pub(crate) preview: Option<String>,
    /// A comment on this post or comment
    #[arg(long, value_name = "URI", conflicts_with_all = ["edit", "title", "tags"])]
    pub(crate) answer: Option<String>,
    /// A new version of this post or comment of yours
    #[arg(long, value_name = "URI")]
    pub(crate) edit: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ScheduledArgs {
    /// Publish it not at all; the words are kept as a draft. The id, or its beginning
    #[arg(long, value_name = "ID")]
    pub(crate) cancel: Option<String>,
}
