//! What a branch of a key log says: root, devices, address, standing.

use super::op::{Action, KeyOp};
use super::{KeyLogError, LogPosition};
use crate::address::{Address, Domain};
use crate::envelope::RecordId;
use crate::key::{KeyId, Verifier};
use crate::limits::{DEVICES_MAX, ROOT_ROTATE_WAIT_MS};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where an account stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Status {
    /// In order.
    Active,
    /// Two device-signed branches: nothing is accepted until root acts.
    Frozen,
    /// Two root-signed branches: shown as compromised.
    Compromised,
    /// Closed by its owner.
    Closed,
}

/// One device of an account.
#[derive(Debug, Clone)]
pub struct Device {
    /// Its key, ready to verify.
    pub verifier: Verifier,
    /// What the person calls it.
    pub name: String,
    /// The position on the branch at which it was added.
    pub added_at: usize,
    /// The device that added it; `None`: the root key did.
    pub added_by: Option<KeyId>,
    /// How it ended, if it did.
    pub revoked: Option<Revocation>,
}

/// The end of a device.
#[derive(Debug, Clone)]
pub struct Revocation {
    /// The position on the branch.
    pub at: usize,
    /// The last leaf that the owner stands by.
    pub last_good: Option<LogPosition>,
}

/// A root rotation that a device asked for.
#[derive(Debug, Clone)]
pub struct PendingRoot {
    /// The key that would become root.
    pub root: KeyId,
    /// The device that asked.
    pub device: KeyId,
    /// When it takes effect, milliseconds of logged time.
    pub effective: u64,
}

/// The fold of one branch.
#[derive(Debug, Clone)]
pub struct View {
    chain: Vec<RecordId>,
    positions: BTreeMap<RecordId, usize>,
    root: KeyId,
    pending_root: Option<PendingRoot>,
    devices: BTreeMap<KeyId, Device>,
    address: Address,
    mirrors: Vec<Domain>,
    created: u64,
    status: Status,
}

impl View {
    /// The view after a genesis that was logged at `received`.
    pub(super) fn from_genesis(op: &KeyOp, received: u64) -> Result<Self, KeyLogError> {
        let Action::Genesis { root, device, address, name } = &op.action else {
            return Err(KeyLogError::NotGenesis);
        };
        if root == device {
            return Err(KeyLogError::NotAllowed("the root key cannot be a device key"));
        }
        let mut view = Self {
            chain: Vec::new(),
            positions: BTreeMap::from([(op.id, 0)]),
            root: *root,
            pending_root: None,
            devices: BTreeMap::new(),
            address: address.clone(),
            mirrors: Vec::new(),
            created: received,
            status: Status::Active,
        };
        view.add_device(op, *device, name, None)?;
        view.chain.push(op.id);
        Ok(view)
    }

    /// Applies the next operation of the branch; answers whether root signed it. On error the view is to be thrown away.
    pub(super) fn apply(&mut self, op: &KeyOp, received: u64) -> Result<bool, KeyLogError> {
        if self.status == Status::Closed {
            return Err(KeyLogError::NotAllowed("the account is closed"));
        }
        let root = self.root_at(received);
        let by_root = op.head.signer == root;
        if by_root || root != self.root {
            self.pending_root = None;
        }
        self.root = root;
        if !by_root {
            self.check_device_may(&op.head.signer, &op.action)?;
        }
        self.act(op, received, by_root)?;
        self.positions.insert(op.id, self.chain.len());
        self.chain.push(op.id);
        Ok(by_root)
    }

    /// Whether a live device may sign this action.
    fn check_device_may(&self, signer: &KeyId, action: &Action) -> Result<(), KeyLogError> {
        if !self.is_live(signer) {
            return Err(KeyLogError::NotAllowed("it is neither the root key nor a live device"));
        }
        match action {
            Action::DeviceAdd { .. } | Action::RootRotate { .. } | Action::MirrorSet { .. } => Ok(()),
            Action::DeviceRevoke { device, .. } if self.descends(device, signer) => Ok(()),
            Action::DeviceRevoke { .. } => Err(KeyLogError::NotAllowed("a device may revoke only itself and devices that it added")),
            _ => Err(KeyLogError::NotAllowed("only the root key may do this: use the recovery phrase")),
        }
    }

    /// Does what the operation says, at the position after the present head.
    fn act(&mut self, op: &KeyOp, received: u64, by_root: bool) -> Result<(), KeyLogError> {
        let signer = op.head.signer;
        match &op.action {
            Action::Genesis { .. } => return Err(KeyLogError::NotGenesis),
            Action::DeviceAdd { device, name } => self.add_device(op, *device, name, (!by_root).then_some(signer))?,
            Action::DeviceRevoke { device, last_good } => {
                let at = self.chain.len();
                let entry = self.devices.get_mut(device).filter(|entry| entry.revoked.is_none());
                let entry = entry.ok_or(KeyLogError::NotAllowed("the device is unknown or already revoked"))?;
                entry.revoked = Some(Revocation { at, last_good: last_good.clone() });
                self.pending_root.take_if(|pending| pending.device == *device);
            }
            Action::RootRotate { root } => {
                if self.devices.contains_key(root) {
                    return Err(KeyLogError::NotAllowed("the root key cannot be a device key"));
                }
                if by_root {
                    self.root = *root;
                } else {
                    let effective = received.saturating_add(ROOT_ROTATE_WAIT_MS);
                    self.pending_root = Some(PendingRoot { root: *root, device: signer, effective });
                }
            }
            Action::HomeMove { address } => self.address = address.clone(),
            Action::MirrorSet { mirrors } => self.mirrors.clone_from(mirrors),
            Action::AccountClose => self.status = Status::Closed,
        }
        Ok(())
    }

    fn add_device(&mut self, op: &KeyOp, device: KeyId, name: &str, added_by: Option<KeyId>) -> Result<(), KeyLogError> {
        let is_root = device == self.root || self.pending_root.as_ref().is_some_and(|pending| pending.root == device);
        if is_root || self.devices.contains_key(&device) {
            return Err(KeyLogError::NotAllowed("the key was already used in this account"));
        }
        if self.devices.values().filter(|entry| entry.revoked.is_none()).count() >= DEVICES_MAX {
            return Err(KeyLogError::NotAllowed("the account has as many live devices as it may have: revoke one first"));
        }
        let verifier = op.brought.ok_or(KeyLogError::NotAllowed("it brings in no key"))?;
        let added_at = self.chain.len();
        self.devices.insert(device, Device { verifier, name: name.to_owned(), added_at, added_by, revoked: None });
        Ok(())
    }

    /// Whether `device` is `ancestor` or was added by it or by one of its descendants.
    fn descends(&self, device: &KeyId, ancestor: &KeyId) -> bool {
        let mut at = Some(*device);
        // A device is added by an older one, so the walk ends.
        while let Some(current) = at {
            if current == *ancestor {
                return true;
            }
            at = self.devices.get(&current).and_then(|entry| entry.added_by);
        }
        false
    }

    /// Marks the branch as contested, unless its owner has closed the account.
    pub(super) fn contest(&mut self, status: Status) {
        if self.status == Status::Active {
            self.status = status;
        }
    }

    /// The last operation of the branch.
    pub(super) fn head(&self) -> RecordId {
        *self.chain.last().expect("a branch starts with its genesis")
    }

    /// The position of an operation on this branch.
    pub fn position(&self, op: &RecordId) -> Option<usize> {
        self.positions.get(op).copied()
    }

    /// The root key at `now_ms`: a pending rotation whose time has come is in effect.
    pub fn root_at(&self, now_ms: u64) -> KeyId {
        match &self.pending_root {
            Some(pending) if now_ms >= pending.effective => pending.root,
            _ => self.root,
        }
    }

    /// A root rotation that a device asked for and that may still be cancelled.
    pub fn pending_root(&self) -> Option<&PendingRoot> {
        self.pending_root.as_ref()
    }

    /// All devices that ever were, live and revoked.
    pub fn devices(&self) -> &BTreeMap<KeyId, Device> {
        &self.devices
    }

    /// Whether the device exists and was not revoked.
    pub fn is_live(&self, device: &KeyId) -> bool {
        self.devices.get(device).is_some_and(|entry| entry.revoked.is_none())
    }

    /// The account's present name. Valid only with a name leaf in that domain's log.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The domains that keep a copy of the account's public records, if they agreed.
    pub fn mirrors(&self) -> &[Domain] {
        &self.mirrors
    }

    /// When the genesis was logged, milliseconds since the epoch.
    pub fn created(&self) -> u64 {
        self.created
    }

    /// Where the account stands.
    pub fn status(&self) -> Status {
        self.status
    }
}
