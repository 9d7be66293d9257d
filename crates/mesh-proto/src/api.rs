//! What clients and servers say to each other: the JSON of every exchange. `spec/client-api.md`, `spec/federation.md`.
//!
//! Responses may gain fields; readers ignore what they do not know.

mod account;
mod compare;
mod content;
mod discovery;
mod federation;
mod found;
mod healing;
mod live;
mod moving;
mod problem;
mod ruling;
mod scheduled;

pub use account::{
    AccountView, Admission, Invite, KeysAdded, NewAccount, Pairing, PairingList, PairingRequest, ProfileView, Registered, Registration,
    RegistrationMode,
};
pub use compare::{EvidencePage, KnownUnder, LogFork, PinsPage};
pub use content::{
    Accepted, Acts, Card, Cards, Comments, Counts, FeedPage, LoggedRecord, Notification, NotificationPage, PollView, RecordView, Tally,
    Tombstone, Versions,
};
pub use discovery::{Discovery, DomainKey, DomainKeyUse, LimitView, PolicyView};
pub use federation::{
    Challenge, ChallengeRequest, Delivery, DeliveryAnswer, DeliveryItem, Found, Growth, ItemResult, KeysBatch, KeysBatchAnswer, KeysKnown,
    KeysPush, KeysView, NameLeaf, Pull, Pulled, RecordsBatch, RecordsBatchAnswer,
};
pub use found::{SearchPage, SearchResult, SnippetPiece, Suggestions};
pub use healing::{Counters, Fetch, Fetched, Reconcile, Reconciled, Settle, Settled, Verdict};
pub use live::Event;
pub use moving::{Announced, Arrival, ExportPage, ImportEnd, Imported, MirrorAgreement, MirrorRequest, RecordProof};
pub use problem::{PROBLEM_PREFIX, Problem, code};
pub use ruling::{RulingsPage, RulingsPush, RulingsTaken};
pub use scheduled::{NotPublished, Scheduled, ScheduledList};
