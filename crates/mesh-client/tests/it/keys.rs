//! Servers that lie about key logs and records.

use crate::stub::serve;
use axum::extract::Path;
use axum::routing::{get, post};
use axum::{Json, Router};
use mesh_client::identity::{Identity, Stage, StoreKind, StoredIdentity};
use mesh_client::pins::PinBook;
use mesh_client::session::Session;
use mesh_client::verify::Mistrust;
use mesh_client::{ClientError, ErrorKind};
use mesh_proto::address::Domain;
use mesh_proto::api::{Accepted, KeysView};
use mesh_proto::envelope::RecordId;
use mesh_proto::keylog::LogPosition;
use mesh_proto::record::Post;
use mesh_testkit::TestAccount;
use std::sync::{Arc, Mutex};

fn view(account: &TestAccount) -> KeysView {
    KeysView { account: account.id(), ops: account.keys.ops().cloned().collect(), name: None }
}

fn session(home: &mesh_client::home::Home, account: &TestAccount, pins: &PinBook) -> Session {
    let stored = StoredIdentity {
        account: account.id(),
        address: format!("neo@{}", home.domain()).parse().expect("an address"),
        device: account.device.id(),
        device_name: String::new(),
        store: StoreKind::File,
        stage: Stage::Active,
    };
    Session::new(home.http(), Identity { stored, key: account.device.clone() }, pins.clone())
}

/// A home that answers with whatever key log is put here.
fn keys_router(shown: &Arc<Mutex<KeysView>>) -> Router {
    let shown = shown.clone();
    let keys = move |Path(_): Path<String>| async move { Json(shown.lock().expect("unpoisoned").clone()) };
    Router::new().route("/mesh/v1/accounts/{id}/keys", get(keys))
}

#[tokio::test]
async fn key_log_that_lost_its_known_head_is_a_loud_error() {
    let mut account = TestAccount::new("neo@stub.localhost", 1);
    let before = view(&account);
    account.add_device(7);
    let shown = Arc::new(Mutex::new(view(&account)));
    let home = serve(|_| keys_router(&shown)).await;
    let pins = PinBook::default();
    let session = session(&home, &account, &pins);
    session.keys().await.expect("the whole log");
    *shown.lock().expect("unpoisoned") = before;
    let error = session.keys().await.expect_err("cut");
    assert!(matches!(error, ClientError::Mistrust(Mistrust::Rewritten { .. })), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Verification);
}

#[tokio::test]
async fn key_log_of_somebody_else_is_refused() {
    let (neo, eve) = (TestAccount::new("neo@stub.localhost", 1), TestAccount::new("neo@stub.localhost", 2));
    let home = serve(|_| keys_router(&Arc::new(Mutex::new(view(&eve))))).await;
    let error = session(&home, &neo, &PinBook::default()).keys().await.expect_err("another account");
    assert_eq!(error.kind(), ErrorKind::Verification);
}

#[tokio::test]
async fn receipt_for_another_record_is_malformed() {
    let account = TestAccount::new("neo@stub.localhost", 1);
    let home = serve(|domain: &Domain| {
        let origin = format!("{domain}/log/1").parse().expect("an origin");
        let accepted = Accepted { id: RecordId::from_hash([1; 32]), leaf: LogPosition { origin, index: 3 }, received: 1 };
        keys_router(&Arc::new(Mutex::new(view(&account)))).route("/api/v1/records", post(move || async move { Json(accepted) }))
    })
    .await;
    let session = session(&home, &account, &PinBook::default());
    let draft = session.draft_post(Post::free("hello")).await.expect("a draft");
    assert!(matches!(session.send(&draft).await, Err(ClientError::Malformed { .. })));
}

#[tokio::test]
async fn revoked_device_is_told_so_before_it_signs() {
    let mut account = TestAccount::new("neo@stub.localhost", 1);
    let (root, device) = (account.root.clone(), account.device.id());
    account.key_op(mesh_proto::keylog::Action::DeviceRevoke { device, last_good: None }, &root);
    let home = serve(|_| keys_router(&Arc::new(Mutex::new(view(&account))))).await;
    let error = session(&home, &account, &PinBook::default()).draft_post(Post::free("hello")).await.expect_err("revoked");
    assert_eq!(error.kind(), ErrorKind::Permission);
}
