//! What other domains know of an address: the same, less, nobody, or what the home hides.

use crate::stub::{http, serve};
use axum::extract::Path;
use axum::routing::get;
use axum::{Json, Router};
use mesh_client::ClientError;
use mesh_client::home::Home;
use mesh_client::pins::PinBook;
use mesh_client::verify::{Known, Mistrust, Verifying};
use mesh_proto::api::{KeysKnown, KeysView, KnownUnder};
use mesh_proto::keylog::KeyLog;
use mesh_testkit::TestAccount;

/// A domain that knows this key log.
async fn domain_that_knows(account: &TestAccount) -> Home {
    let view = KeysView { account: account.id(), ops: account.keys.ops().cloned().collect(), name: None };
    let known = KnownUnder { accounts: vec![KeysKnown { account: account.id(), head: Some(account.keys.head()) }] };
    let router = Router::new()
        .route("/mesh/v1/known", get(move || async move { Json(known) }))
        .route("/mesh/v1/accounts/{id}/keys", get(move |Path(_): Path<String>| async move { Json(view) }));
    serve(|_| router).await
}

async fn asked(keys: &KeyLog, others: &[Home]) -> Result<Vec<Known>, ClientError> {
    let domains: Vec<_> = others.iter().map(|home| home.domain().clone()).collect();
    let verifying = Verifying::new(http(), PinBook::default());
    Ok(verifying.elsewhere(keys, &domains).await?.into_iter().map(|(_, known)| known).collect())
}

#[tokio::test]
async fn other_domains_may_know_the_same_or_less_or_nobody() {
    let mut account = TestAccount::new("neo@home.localhost", 1);
    let behind = domain_that_knows(&account).await;
    account.add_device(7);
    let same = domain_that_knows(&account).await;
    let nobody = serve(|_| Router::new().route("/mesh/v1/known", get(|| async { Json(KnownUnder::default()) }))).await;
    let silent = serve(|_| Router::new()).await;
    let answers = asked(&account.keys, &[same, behind, nobody, silent]).await.expect("nothing is wrong");
    assert_eq!(answers[..3], [Known::Same, Known::Behind, Known::Nobody]);
    assert!(matches!(answers[3], Known::Silent(_)), "{answers:?}");
}

/// What a home shows, which changes.
type Shown = std::sync::Arc<std::sync::Mutex<Option<KeysView>>>;

#[tokio::test]
async fn operation_that_the_home_hides_is_a_loud_error_and_one_that_is_just_newer_is_not() {
    let shown = Shown::default();
    let handed = shown.clone();
    let keys = move |Path(_): Path<String>| async move { Json(handed.lock().expect("unpoisoned").clone()) };
    let home = serve(|_| Router::new().route("/mesh/v1/accounts/{id}/keys", get(keys))).await;
    let mut account = TestAccount::new(&format!("neo@{}", home.domain()), 1);
    let before = account.keys.clone();
    account.add_device(7);
    let others = [domain_that_knows(&account).await];
    let show = |keys: &KeyLog| {
        *shown.lock().expect("unpoisoned") = Some(KeysView { account: keys.account(), ops: keys.ops().cloned().collect(), name: None });
    };
    show(&before);
    let error = asked(&before, &others).await.expect_err("hidden");
    assert!(matches!(&error, ClientError::Mistrust(Mistrust::Hidden { head, .. }) if *head == account.keys.head()), "{error:?}");
    show(&account.keys);
    assert_eq!(asked(&before, &others).await.expect("the home shows it too"), [Known::Same]);
}
