//! The key log: every key operation of one account, its fork rule, and what it says about keys now.
//!
//! Operations form a tree by `prev`. The winning branch is found from the genesis downward: at a fork the one branch that contains a
//! root-signed operation wins; with several such branches the account is *compromised*, with none it is *frozen* until root acts. Nothing
//! that was once known is ever dropped, so a later answer can only extend what a verifier has: that is the pin.

mod check;
mod op;
mod view;

pub use check::{LogPosition, UseError};
pub use op::{Action, Head, KeyOp, KeyOpError, NewOp};
pub use view::{Device, PendingRoot, Revocation, Status, View};

use crate::address::Domain;
use crate::envelope::{Envelope, RecordId};
use crate::key::{AccountId, KeyId};
use crate::limits::{KEY_OPS_MAX, KEY_OPS_ROOT_RESERVE};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A key operation with the time at which the account's home logged it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LoggedOp {
    /// The signed operation.
    pub envelope: Envelope,
    /// When the home logged it, milliseconds since the epoch.
    pub received: u64,
}

/// Why an operation cannot join a key log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyLogError {
    /// The operation itself is malformed or badly signed.
    #[error(transparent)]
    Op(#[from] KeyOpError),
    /// The first operation is not a genesis, or a genesis came later.
    #[error("a key log starts with its one genesis operation")]
    NotGenesis,
    /// The operation belongs to another account.
    #[error("the operation belongs to account {0}")]
    OtherAccount(AccountId),
    /// The operation follows one that is not known here.
    #[error("the operation follows {0}, which is not known here: send the operations before it")]
    UnknownPrev(RecordId),
    /// The signer may not do this at that point of the log.
    #[error("the signer may not do this: {0}")]
    NotAllowed(&'static str),
    /// The log is full.
    #[error("the log holds {KEY_OPS_MAX} operations, of which {KEY_OPS_ROOT_RESERVE} are kept for the root key")]
    Full,
}

/// One operation in the tree.
#[derive(Debug, Clone)]
struct Node {
    op: KeyOp,
    logged: LoggedOp,
    parent: Option<usize>,
    by_root: bool,
}

/// All known operations of one account, verified, with the view that follows from them.
#[derive(Debug, Clone)]
pub struct KeyLog {
    account: AccountId,
    nodes: Vec<Node>,
    index: BTreeMap<RecordId, usize>,
    view: View,
}

impl KeyLog {
    /// Starts a log from its genesis operation.
    pub fn from_genesis(genesis: LoggedOp) -> Result<Self, KeyLogError> {
        let op = KeyOp::open(&genesis.envelope)?;
        let Action::Genesis { .. } = op.action else {
            return Err(KeyLogError::NotGenesis);
        };
        op.verify(&genesis.envelope)?;
        let account = AccountId::from_hash(*op.id.hash());
        let view = View::from_genesis(&op, genesis.received)?;
        let index = BTreeMap::from([(op.id, 0)]);
        let nodes = vec![Node { op, logged: genesis, parent: None, by_root: true }];
        Ok(Self { account, nodes, index, view })
    }

    /// Verifies a whole log, genesis first, every operation after the one it names as `prev`.
    pub fn from_ops(ops: impl IntoIterator<Item = LoggedOp>) -> Result<Self, KeyLogError> {
        let mut ops = ops.into_iter();
        let mut log = Self::from_genesis(ops.next().ok_or(KeyLogError::NotGenesis)?)?;
        for op in ops {
            log.insert(op)?;
        }
        Ok(log)
    }

    /// Adds one operation. Adding a known one changes nothing and answers `false`. Forks are kept: they are evidence.
    pub fn insert(&mut self, logged: LoggedOp) -> Result<bool, KeyLogError> {
        let op = KeyOp::open(&logged.envelope)?;
        if self.index.contains_key(&op.id) {
            return Ok(false);
        }
        let (Some(account), Some(prev)) = (op.head.account, op.head.prev) else {
            return Err(KeyLogError::NotGenesis);
        };
        if account != self.account {
            return Err(KeyLogError::OtherAccount(account));
        }
        let parent = *self.index.get(&prev).ok_or(KeyLogError::UnknownPrev(prev))?;
        op.verify(&logged.envelope)?;
        if self.nodes.len() >= KEY_OPS_MAX {
            return Err(KeyLogError::Full);
        }
        let extends = self.view.status() == Status::Active && prev == self.head();
        let mut state = if extends { self.view.clone() } else { self.replay(&self.path(parent))? };
        let by_root = state.apply(&op, logged.received)?;
        if !by_root && self.nodes.len() >= KEY_OPS_MAX - KEY_OPS_ROOT_RESERVE {
            return Err(KeyLogError::Full);
        }
        self.index.insert(op.id, self.nodes.len());
        self.nodes.push(Node { op, logged, parent: Some(parent), by_root });
        if extends {
            self.view = state;
        } else {
            self.resolve()?;
        }
        Ok(true)
    }

    /// Like [`Self::insert`], but a genesis that this log starts with counts as known.
    pub fn insert_known(&mut self, logged: &LoggedOp) -> Result<bool, KeyLogError> {
        if self.nodes[0].op.id == logged.envelope.id() { Ok(false) } else { self.insert(logged.clone()) }
    }

    /// Which operation, in the order in which they became known, first named the device: a short name for it that never changes here.
    pub fn device_place(&self, device: &KeyId) -> Option<usize> {
        self.nodes.iter().position(|node| node.op.action.adds() == Some(device))
    }

    /// The device of a [`Self::device_place`].
    pub fn device_at(&self, place: usize) -> Option<&KeyId> {
        self.nodes.get(place).and_then(|node| node.op.action.adds())
    }

    /// The account that this log is of.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// Every domain that was the account's home by the branch that counts, oldest first; the last is its home now.
    pub fn homes(&self) -> Vec<Domain> {
        let branch = self.nodes.iter().filter(|node| self.view.position(&node.op.id).is_some());
        let mut homes: Vec<Domain> = Vec::new();
        for node in branch {
            if let Action::Genesis { address, .. } | Action::HomeMove { address } = &node.op.action {
                homes.retain(|home| home != address.domain());
                homes.push(address.domain().clone());
            }
        }
        homes
    }

    /// What the log says now.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The last operation of the winning branch: what a new record names as `keys` and a new operation as `prev`.
    pub fn head(&self) -> RecordId {
        self.view.head()
    }

    /// Whether the operation is known, on any branch.
    pub fn contains(&self, op: &RecordId) -> bool {
        self.index.contains_key(op)
    }

    /// Whether the operation is known, and was signed by the root key of its own path.
    pub fn is_by_root(&self, op: &RecordId) -> bool {
        self.index.get(op).is_some_and(|at| self.nodes[*at].by_root)
    }

    /// Number of known operations, all branches together.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// A log is never empty: it starts with its genesis.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// All operations in the order in which they became known: parents before children.
    pub fn ops(&self) -> impl Iterator<Item = &LoggedOp> {
        self.nodes.iter().map(|node| &node.logged)
    }

    /// The operations that a verifier with `head` may lack, parents first; all of them if it knows none or another head. It knows for sure
    /// only what `head` follows: an older fork may have reached us alone, and it is evidence that must travel.
    pub fn ops_after(&self, head: Option<&RecordId>) -> Vec<LoggedOp> {
        let known = head.and_then(|head| self.index.get(head)).map_or_else(Vec::new, |head| self.path(*head));
        // A path ascends, as parents stand before their children.
        let lacking = self.nodes.iter().enumerate().filter(|(position, _)| known.binary_search(position).is_err());
        lacking.map(|(_, node)| node.logged.clone()).collect()
    }

    /// Positions of the operations from the genesis to `node`.
    fn path(&self, node: usize) -> Vec<usize> {
        let mut path = Vec::new();
        let mut at = Some(node);
        while let Some(position) = at {
            path.push(position);
            at = self.nodes[position].parent;
        }
        path.reverse();
        path
    }

    /// Folds the operations of a path into a view.
    fn replay(&self, path: &[usize]) -> Result<View, KeyLogError> {
        let genesis = &self.nodes[0];
        let mut view = View::from_genesis(&genesis.op, genesis.logged.received)?;
        for position in path.iter().skip(1) {
            let node = &self.nodes[*position];
            view.apply(&node.op, node.logged.received)?;
        }
        Ok(view)
    }

    /// Finds the winning branch by the fork rule and replays it.
    fn resolve(&mut self) -> Result<(), KeyLogError> {
        let mut children = vec![Vec::new(); self.nodes.len()];
        let mut rooted: Vec<bool> = self.nodes.iter().map(|node| node.by_root).collect();
        // A parent always stands before its children, so one backward pass carries the mark up.
        for position in (1..self.nodes.len()).rev() {
            if let Some(parent) = self.nodes[position].parent {
                children[parent].push(position);
                rooted[parent] |= rooted[position];
            }
        }
        let mut path = vec![0];
        let mut at = 0;
        let status = loop {
            let next = match children[at].as_slice() {
                [] => break Status::Active,
                [only] => *only,
                several => {
                    let mut with_root = several.iter().filter(|child| rooted[**child]);
                    match (with_root.next(), with_root.next()) {
                        (Some(winner), None) => *winner,
                        (Some(_), Some(_)) => break Status::Compromised,
                        (None, _) => break Status::Frozen,
                    }
                }
            };
            path.push(next);
            at = next;
        };
        self.view = self.replay(&path)?;
        self.view.contest(status);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
