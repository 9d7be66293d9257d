use super::*;
use crate::bytes::Salt;
use crate::key::SecretKey;
use crate::limits::ROOT_ROTATE_WAIT_MS;
use crate::log::Origin;

const T0: u64 = 1_700_000_000_000;

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

fn genesis() -> LoggedOp {
    let action = Action::Genesis {
        root: key(1).id(),
        device: key(2).id(),
        address: "neo@two.localhost:8002".parse().expect("an address"),
        name: "laptop".into(),
    };
    let envelope = NewOp { follows: None, action, at: T0, salt: Salt([0; 16]) }.sign(&key(1));
    LoggedOp { envelope, received: T0 }
}

fn op(log: &KeyLog, prev: RecordId, action: Action, signer: &SecretKey) -> LoggedOp {
    op_at(log, prev, action, signer, T0)
}

fn op_at(log: &KeyLog, prev: RecordId, action: Action, signer: &SecretKey, received: u64) -> LoggedOp {
    let envelope = NewOp { follows: Some((log.account(), prev)), action, at: received, salt: Salt([9; 16]) }.sign(signer);
    LoggedOp { envelope, received }
}

fn add(seed: u8) -> Action {
    Action::DeviceAdd { device: key(seed).id(), name: String::new() }
}

fn revoke(seed: u8, last: Option<u64>) -> Action {
    let last_good = last.map(|index| LogPosition { origin: origin(), index });
    Action::DeviceRevoke { device: key(seed).id(), last_good }
}

fn origin() -> Origin {
    "two.localhost:8002/log/1".parse().expect("an origin")
}

fn log() -> KeyLog {
    KeyLog::from_genesis(genesis()).expect("a good genesis")
}

#[test]
fn device_adds_and_revokes_only_its_descendants() {
    let mut log = log();
    let g = log.head();
    log.insert(op(&log, g, add(3), &key(2))).expect("a device adds a device");
    let head = log.head();
    let upward = log.insert(op(&log, head, revoke(2, None), &key(3)));
    assert!(matches!(upward, Err(KeyLogError::NotAllowed(_))));
    log.insert(op(&log, head, revoke(3, None), &key(2))).expect("a device revokes what it added");
    assert!(!log.view().is_live(&key(3).id()));
}

#[test]
fn two_device_branches_freeze_until_root_acts() {
    let mut log = log();
    let g = log.head();
    log.insert(op(&log, g, add(3), &key(2))).expect("first branch");
    let first = log.head();
    log.insert(op(&log, g, add(4), &key(2))).expect("the second branch is kept as evidence");
    assert_eq!(log.check_open(), Err(UseError::Frozen));
    assert_eq!(log.head(), g);
    log.insert(op(&log, first, add(5), &key(1))).expect("root settles it");
    assert_eq!(log.check_open(), Ok(()));
    assert!(log.view().is_live(&key(3).id()) && log.view().is_live(&key(5).id()) && !log.view().is_live(&key(4).id()));
}

#[test]
fn root_branch_beats_device_branch() {
    let mut log = log();
    let g = log.head();
    log.insert(op(&log, g, add(3), &key(2))).expect("a thief adds a device");
    let stolen_head = log.head();
    log.insert(op(&log, g, revoke(2, Some(7)), &key(1))).expect("root overrules from the older head");
    assert_eq!(log.check_open(), Ok(()));
    assert!(!log.view().is_live(&key(3).id()));
    assert_eq!(log.check_use(&key(3).id(), &stolen_head, None).err(), Some(UseError::LostBranch));
}

#[test]
fn two_root_branches_are_compromised() {
    let mut log = log();
    let g = log.head();
    log.insert(op(&log, g, add(3), &key(1))).expect("first");
    log.insert(op(&log, g, add(4), &key(1))).expect("second");
    assert_eq!(log.check_open(), Err(UseError::Compromised));
    assert_eq!(log.head(), g);
}

#[test]
fn revoked_device_keeps_what_came_before_last_good() {
    let mut log = log();
    let g = log.head();
    log.insert(op(&log, g, revoke(2, Some(7)), &key(1))).expect("revoked");
    let at = |index| LogPosition { origin: origin(), index };
    let device = key(2).id();
    assert!(log.check_use(&device, &g, Some(&at(7))).is_ok());
    assert_eq!(log.check_use(&device, &g, Some(&at(8))).err(), Some(UseError::Revoked(device)));
    assert_eq!(log.check_use(&device, &log.head(), Some(&at(1))).err(), Some(UseError::Revoked(device)));
    assert_eq!(log.check_use(&device, &g, None).err(), Some(UseError::Revoked(device)));
}

#[test]
fn device_signed_rotation_waits_and_can_be_cancelled() {
    let mut log = log();
    let g = log.head();
    let rotate = Action::RootRotate { root: key(8).id() };
    log.insert(op(&log, g, rotate, &key(2))).expect("a device asks");
    assert_eq!(log.view().root_at(T0 + ROOT_ROTATE_WAIT_MS - 1), key(1).id());
    assert_eq!(log.view().root_at(T0 + ROOT_ROTATE_WAIT_MS), key(8).id());
    let mut waited = log.clone();
    let head = log.head();
    waited.insert(op_at(&log, head, add(3), &key(8), T0 + ROOT_ROTATE_WAIT_MS)).expect("the new root acts after the wait");
    let early = log.insert(op_at(&log, head, add(3), &key(8), T0 + 5));
    assert!(matches!(early, Err(KeyLogError::NotAllowed(_))));
    log.insert(op(&log, head, revoke(2, None), &key(1))).expect("root cancels");
    assert_eq!(log.view().root_at(u64::MAX), key(1).id());
}

#[test]
fn known_operation_changes_nothing_and_strangers_are_refused() {
    let mut log = log();
    let g = log.head();
    let added = op(&log, g, add(3), &key(2));
    assert_eq!(log.insert(added.clone()), Ok(true));
    assert_eq!(log.insert(added), Ok(false));
    assert!(matches!(log.insert(op(&log, g, add(4), &key(7))), Err(KeyLogError::NotAllowed(_))));
    let unknown = RecordId::from_hash([5; 32]);
    assert_eq!(log.insert(op(&log, unknown, add(4), &key(2))), Err(KeyLogError::UnknownPrev(unknown)));
}

#[test]
fn operations_kept_for_root_are_kept() {
    let mut log = log();
    for round in 0..(KEY_OPS_MAX - KEY_OPS_ROOT_RESERVE - 1) / 2 {
        let device = SecretKey::from_seed(&[(round % 251) as u8 + 1, (round / 251) as u8, 7, 7].repeat(8).try_into().expect("32 bytes"));
        let head = log.head();
        log.insert(op(&log, head, Action::DeviceAdd { device: device.id(), name: String::new() }, &key(2))).expect("add");
        let head = log.head();
        log.insert(op(&log, head, Action::DeviceRevoke { device: device.id(), last_good: None }, &key(2))).expect("revoke");
    }
    let head = log.head();
    log.insert(op(&log, head, add(90), &key(2))).expect("the last that devices have");
    let head = log.head();
    assert_eq!(log.insert(op(&log, head, add(91), &key(2))), Err(KeyLogError::Full));
    log.insert(op(&log, head, add(91), &key(1))).expect("root still has room");
}
