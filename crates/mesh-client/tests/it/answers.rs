//! Malformed, oversized and misdirected answers.

use crate::stub::{NOW_MS, serve};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use mesh_client::http::Signer;
use mesh_client::{ClientError, ErrorKind};
use mesh_proto::http_signature::{ContentDigest, ParsedSignature, RequestParts, Times};
use mesh_proto::key::{AccountId, SecretKey};

const REGISTRATION: &str = "/api/v1/registration";

/// What the client makes of this answer to one request.
async fn refused<R: IntoResponse + Clone + Send + Sync + 'static>(answer: R) -> ClientError {
    let home = serve(|_| Router::new().route(REGISTRATION, get(move || async move { answer.clone() }))).await;
    home.registration().await.expect_err("refused")
}

fn check_malformed(error: &ClientError, expected: &str) {
    let ClientError::Malformed { what, .. } = error else { panic!("{error:?}") };
    assert!(what.contains(expected), "{what}");
}

#[tokio::test]
async fn redirect_is_never_followed() {
    check_malformed(&refused(Redirect::to("http://elsewhere.localhost:1/")).await, "redirect");
}

#[tokio::test]
async fn answer_that_is_no_json_or_another_shape_is_malformed() {
    check_malformed(&refused("<html>").await, "expected value");
    check_malformed(&refused(r#"{"mode":"by-fax"}"#).await, "by-fax");
}

#[tokio::test]
async fn answer_larger_than_its_limit_is_refused_by_its_head_and_by_its_body() {
    let large = " ".repeat(mesh_client::limits::ANSWER_BYTES_MAX + 1);
    check_malformed(&refused(large).await, "larger");
    let home = serve(|_| {
        let endless = || async { Body::from_stream(futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 65_536]))) };
        Router::new().route(REGISTRATION, get(endless))
    })
    .await;
    check_malformed(&home.registration().await.expect_err("refused"), "larger");
}

#[tokio::test]
async fn problem_is_typed_and_its_status_is_that_of_the_answer() {
    let json = r#"{"type":"urn:mesh:problem:slow_down","title":"t","status":200,"detail":"wait"}"#;
    let problem = (StatusCode::TOO_MANY_REQUESTS, [(header::CONTENT_TYPE, "application/problem+json")], json);
    let error = refused(problem).await;
    assert_eq!((error.code(), error.kind(), error.is_transient()), (Some("slow_down"), ErrorKind::Network, true));
    assert!(matches!(&error, ClientError::Remote { problem, .. } if problem.status == 429), "{error:?}");
}

#[tokio::test]
async fn error_without_a_problem_document_is_an_error_all_the_same() {
    assert_eq!(refused((StatusCode::BAD_GATEWAY, "<html>proxy</html>")).await.kind(), ErrorKind::Network);
    assert_eq!(refused((StatusCode::INTERNAL_SERVER_ERROR, "")).await.kind(), ErrorKind::Failed);
}

#[tokio::test]
async fn server_that_says_it_is_another_domain_is_refused() {
    let json = r#"{"versions":[1],"domain":"other.localhost","keys":[],"origin":"other.localhost/log/1","software":"x","limits":{},"policy":{"registration":"open"}}"#;
    let home = serve(|_| Router::new().route("/.well-known/mesh", get(move || async move { json }))).await;
    check_malformed(&home.discovery().await.expect_err("refused"), "other.localhost");
}

#[tokio::test]
async fn nobody_listening_is_a_network_error() {
    let home = serve(|_| Router::new()).await;
    let gone = mesh_client::home::Home::new(home.http().clone(), "stub.localhost:1".parse().expect("a domain"));
    assert_eq!(gone.registration().await.expect_err("nobody").kind(), ErrorKind::Network);
}

#[tokio::test]
async fn signed_request_verifies_under_the_device_key_and_the_target_with_its_query() {
    let key = SecretKey::from_seed(&[1; 32]);
    let verifier = key.id().verifier().expect("good");
    let signer = Signer::new(&AccountId::from_hash([2; 32]), key);
    let home = serve(|domain| {
        let base = domain.base_url();
        let feed = move |request: Request| async move {
            let target = format!("{base}{}", request.uri().path_and_query().expect("a path"));
            let headers = request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
            let parsed = ParsedSignature::parse(headers).expect("the profile");
            let parts = RequestParts::new("GET", &target).expect("signable");
            let times = Times { now_s: NOW_MS / 1000, process_start_s: 0 };
            let head = parsed.verify(parts, &verifier, times).expect("genuine");
            head.check_body(ContentDigest::of(b"")).expect("an empty body");
            r#"{"items":[]}"#
        };
        Router::new().route("/api/v1/feed", get(feed))
    })
    .await;
    let page = mesh_client::home::Page { from: Some("a b/ü".to_owned()), limit: Some(5) };
    assert!(home.feed(&signer, &page).await.expect("accepted").items.is_empty());
}
