//! Proofs: who signed, with which key, under which key log, in which log at which leaf.
//!
//! [`check`] holds the checks, which are pure; [`tiles`] computes inclusion from log tiles; [`proof`] fetches what the checks need, `kept` where
//! those who should have it do not answer; [`thread`] holds a home to its counters; [`elsewhere`] asks domains that are not concerned what they know.

pub mod check;
pub mod elsewhere;
mod kept;
mod mistrust;
pub mod proof;
pub mod thread;
pub mod tiles;

pub use check::{Checked, NameProof, Standing};
pub use elsewhere::Known;
pub use kept::Vouched;
pub use mistrust::Mistrust;
pub use proof::{Evidence, Person, Proof, Verifying};
