//! What is left out of feeds, threads and notifications because their reader wishes so: mutes, and all but a list.

use crate::context::Context;
use crate::fault::Fault;
use anyhow::Result;
use mesh_client::ErrorKind;
use mesh_client::reader::Shown;
use mesh_client::reader::private::{Mutes, People};
use mesh_proto::api::Card;

/// What passes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sieve {
    mutes: Mutes,
    /// Only these, if a list was asked for.
    only: Option<People>,
}

impl Sieve {
    /// One's mutes, and the list of this name.
    pub(crate) fn new(context: &Context, list: Option<&str>) -> Result<Self> {
        let private = context.private.load()?;
        let missing = |name: &str| {
            let message = format!("there is no list {}", crate::safe::line(name));
            Fault::new(ErrorKind::NotFound, message, "mesh list shows them, mesh list NAME ADDRESS makes one".to_owned())
        };
        let only = list.map(|name| private.lists.get(name).cloned().ok_or_else(|| missing(name))).transpose()?;
        Ok(Self { mutes: private.mutes, only })
    }

    /// Whether a record passes; of a repost, both it and what it passes on.
    pub(crate) fn lets(&self, shown: &Shown, reposted: Option<&Shown>) -> bool {
        let is_muted = self.mutes.hides(shown) || reposted.is_some_and(|reposted| self.mutes.hides(reposted));
        !is_muted && self.is_listed(shown)
    }

    /// Whether a list was asked for.
    pub(crate) fn is_list(&self) -> bool {
        self.only.is_some()
    }

    /// Whether its author is among those who were asked for.
    pub(crate) fn is_listed(&self, shown: &Shown) -> bool {
        self.only.as_ref().is_none_or(|people| people.contains_key(&shown.view.card.actor))
    }

    /// Whether a notification passes.
    pub(crate) fn lets_card(&self, card: &Card) -> bool {
        !self.mutes.hides_card(card)
    }
}
