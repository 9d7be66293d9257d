//! A subscription. `spec/subscribe.md`.

use super::AccountRef;
use serde::{Deserialize, Serialize};

/// Following an account: its new posts come to the actor's home. At most one per actor and account; undone by retracting it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribe {
    /// Who is followed.
    #[serde(deserialize_with = "crate::envelope::body::object")]
    pub object: AccountRef,
}

impl Subscribe {
    /// Names of the subscription's own fields.
    pub const FIELDS: &'static [&'static str] = &["object"];
}
