//! Why something is not believed.

use mesh_proto::address::{Address, Domain};
use mesh_proto::envelope::RecordId;
use mesh_proto::key::{AccountId, KeyError};
use mesh_proto::keylog::{KeyLogError, UseError};
use mesh_proto::log::{NoteError, Origin};
use mesh_proto::record::RecordError;

/// Why something is not believed. None of these is ever passed over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mistrust {
    /// The key log does not verify.
    #[error("the key log of {account} does not verify")]
    KeyLog {
        /// Whose.
        account: AccountId,
        /// Why.
        source: KeyLogError,
    },
    /// The record cannot be read.
    #[error("record {record} cannot be read")]
    Record {
        /// Which.
        record: RecordId,
        /// Why.
        source: RecordError,
    },
    /// The device may not have signed the record.
    #[error("record {record} is not signed by a device of its author")]
    Use {
        /// Which.
        record: RecordId,
        /// Why.
        source: UseError,
    },
    /// The signature is wrong.
    #[error("the signature of record {record} is false")]
    Signature {
        /// Which.
        record: RecordId,
        /// Why.
        source: KeyError,
    },
    /// A server says something else about a record than its author signed.
    #[error("what the server says about record {record} is not what its author signed: {what}")]
    NotAsSigned {
        /// Which.
        record: RecordId,
        /// What differs.
        what: &'static str,
    },
    /// A checkpoint is not good.
    #[error("the checkpoint of {origin} does not verify")]
    Checkpoint {
        /// Of which log.
        origin: Origin,
        /// Why.
        source: NoteError,
    },
    /// A leaf is not in its log.
    #[error("{what} is not in log {origin} at leaf {index}: {why}")]
    NotLogged {
        /// What should be there.
        what: &'static str,
        /// In which log.
        origin: Origin,
        /// At which leaf.
        index: u64,
        /// What is wrong.
        why: String,
    },
    /// The key log no longer holds what was known of it.
    #[error("the key log of {account} no longer contains operation {head}, which was known here: it was cut or replaced")]
    Rewritten {
        /// Whose.
        account: AccountId,
        /// What is missing.
        head: RecordId,
    },
    /// The name means another account than before.
    #[error("{address} IS ANOTHER PERSON NOW: it was account {known}, and is account {now}")]
    AnotherPerson {
        /// The name.
        address: Address,
        /// Who it was.
        known: AccountId,
        /// Who it is.
        now: AccountId,
    },
    /// A domain answers with an account that never had the name that was asked for.
    #[error("{address} is not the name of the account that its domain shows, which is {bears}: the domain passes somebody else off as it")]
    NotTheName {
        /// The name that was asked for.
        address: Address,
        /// The name of the account that was shown.
        bears: Address,
    },
    /// Another domain knows another account under a name.
    #[error(
        "{domain} KNOWS ANOTHER PERSON AS {address}: there it is account {there}, its own domain shows {here}; one of them is deceived"
    )]
    KnownOtherwise {
        /// The name.
        address: Address,
        /// Who knows another.
        domain: Domain,
        /// Whom it knows.
        there: AccountId,
        /// Whom the name's own domain shows.
        here: AccountId,
    },
    /// Another domain knows key operations that the home does not show.
    #[error(
        "{domain} knows operation {head} in the key log of {account}, which its home does not show: a key was added or revoked in secret"
    )]
    Hidden {
        /// Whose.
        account: AccountId,
        /// Who knows it.
        domain: Domain,
        /// What the home hides.
        head: RecordId,
    },
    /// Somebody who keeps a copy shows a false one, and nobody else shows a good one.
    #[error("what {domain} shows of it does not hold, and nobody else shows more")]
    Keeper {
        /// Who.
        domain: Domain,
        /// What is wrong with it.
        source: Box<Mistrust>,
    },
    /// Two checkpoints of one size have different roots.
    #[error("log {origin} was shown with two different histories of {size} leaves: its domain is not to be trusted")]
    LogForked {
        /// Which log.
        origin: Origin,
        /// At which size.
        size: u64,
    },
}

impl Mistrust {
    /// Whether whoever showed a record may be to blame, so that somebody else may show it as it is.
    pub(super) fn is_of_who_shows(&self) -> bool {
        match self {
            // The key log at hand may be older than the record.
            Self::Use { source, .. } => !matches!(source, UseError::UnknownHead(_)),
            Self::KeyLog { .. }
            | Self::Record { .. }
            | Self::Signature { .. }
            | Self::NotAsSigned { .. }
            | Self::Checkpoint { .. }
            | Self::NotLogged { .. }
            | Self::Keeper { .. } => true,
            _ => false,
        }
    }
}
