use super::*;
use crate::identity::Stage;
use mesh_proto::key::AccountId;

fn identity(seed: u8, store: StoreKind) -> Identity {
    let key = SecretKey::from_seed(&[seed; 32]);
    let stored = StoredIdentity {
        account: AccountId::from_hash([1; 32]),
        address: "neo@one.localhost:8001".parse().expect("an address"),
        device: key.id(),
        device_name: "laptop".to_owned(),
        store,
        stage: Stage::Active,
    };
    Identity { stored, key }
}

#[test]
fn what_is_saved_is_found_and_what_is_removed_is_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let keystore = Keystore::new(folder.path().join("deep/mesh"));
    assert!(keystore.load().expect("no identity is no error").is_none());
    let saved = identity(1, StoreKind::File);
    keystore.save(&saved).expect("saved");
    let loaded = keystore.load().expect("readable").expect("there");
    assert_eq!(loaded.stored, saved.stored);
    assert_eq!(loaded.key.id(), saved.key.id());
    keystore.remove().expect("removed");
    assert!(keystore.load().expect("readable").is_none());
}

#[test]
fn identity_file_holds_no_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let keystore = Keystore::new(folder.path());
    let saved = identity(1, StoreKind::File);
    keystore.save(&saved).expect("saved");
    let text = std::fs::read_to_string(folder.path().join(IDENTITY_FILE)).expect("text");
    assert!(!text.contains(&mesh_proto::bytes::base64url(&[1; 32])), "{text}");
}

#[cfg(unix)]
#[test]
fn files_are_private_and_exposed_keys_are_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let keystore = Keystore::new(folder.path().join("mesh"));
    let saved = identity(2, StoreKind::File);
    keystore.save(&saved).expect("saved");
    let key = keystore.folder().join("keys").join(format!("{}.key", saved.key.id()));
    let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&key), 0o600);
    assert_eq!(mode(&keystore.folder().join("keys")), 0o700);
    assert_eq!(mode(&keystore.folder().join(IDENTITY_FILE)), 0o600);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).expect("ours");
    let error = keystore.load().expect_err("refused");
    assert!(matches!(error, KeystoreError::Exposed { mode: 0o640, .. }), "{error}");
    assert!(error.to_string().contains("chmod 600"), "{error}");
}

#[test]
fn key_file_of_another_key_is_damaged() {
    let folder = tempfile::tempdir().expect("a folder");
    let keystore = Keystore::new(folder.path());
    let saved = identity(3, StoreKind::File);
    keystore.save(&saved).expect("saved");
    let key = folder.path().join("keys").join(format!("{}.key", saved.key.id()));
    write_atomically(&key, b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n").expect("written");
    assert!(matches!(keystore.load(), Err(KeystoreError::Damaged { .. })));
}
