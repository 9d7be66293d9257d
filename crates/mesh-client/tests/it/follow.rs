//! A feed whose connection breaks.

use crate::stub::serve;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use mesh_client::ErrorKind;
use mesh_client::follow::{Follow, News};
use mesh_client::http::Signer;
use mesh_client::pins::PinBook;
use mesh_client::reader::Reader;
use mesh_proto::api::{Card, Counts, FeedPage, RecordView};
use mesh_proto::envelope::{Kind, RecordId};
use mesh_proto::key::SecretKey;
use mesh_testkit::TestAccount;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

fn view(number: u8) -> RecordView {
    let neo = TestAccount::new("neo@stub.localhost", 1);
    let leaf = mesh_proto::keylog::LogPosition { origin: "stub.localhost/log/1".parse().expect("an origin"), index: number.into() };
    let card = Card {
        id: RecordId::from_hash([number; 32]),
        kind: Kind::Post,
        actor: neo.id(),
        address: neo.address(),
        leaf,
        received: 0,
        parent: None,
        disowned: false,
    };
    RecordView { card, record: None, tombstone: None, counts: Counts::new(), poll: None, url: String::new() }
}

fn stream(body: String) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/event-stream")], body)
}

fn signer() -> Signer {
    Signer::new(&TestAccount::new("neo@stub.localhost", 1).id(), SecretKey::from_seed(&[9; 32]))
}

async fn next_item(follow: &mut Follow) -> u8 {
    loop {
        if let News::Item(shown) = follow.next().await.expect("it heals") {
            return shown.view.card.id.hash()[0];
        }
    }
}

#[tokio::test]
async fn gap_of_a_broken_stream_is_filled_and_nothing_comes_twice() {
    // Every connection is cut after one event; what was missed meanwhile stands in the feed.
    let connections = Arc::new(AtomicU8::new(0));
    let count = connections.clone();
    let home = serve(move |_| {
        let events = move || async move {
            let number = count.fetch_add(1, Ordering::SeqCst);
            let data = serde_json::to_string(&view(10 + number)).expect("plain");
            stream(format!(": hello\n\nevent: feed\ndata: {data}\n\n"))
        };
        let feed = move || async move {
            let newest = connections.load(Ordering::SeqCst);
            Json(FeedPage { items: (0..=newest).rev().map(view).collect(), next: None })
        };
        Router::new().route("/api/v1/events", get(events)).route("/api/v1/feed", get(feed))
    })
    .await;
    let reader = Reader::new(home, PinBook::default());
    let known = reader.show(vec![view(0)]).await;
    let mut follow = Follow::new(reader, signer(), &known);
    let mut got = Vec::new();
    for _ in 0..5 {
        got.push(next_item(&mut follow).await);
    }
    assert_eq!(got, [1, 10, 2, 11, 3]);
}

#[tokio::test]
async fn revoked_device_stops_following() {
    let json = r#"{"type":"urn:mesh:problem:device","title":"t","status":403,"detail":"revoked"}"#;
    let problem = (axum::http::StatusCode::FORBIDDEN, [(header::CONTENT_TYPE, "application/problem+json")], json);
    let home = serve(|_| Router::new().route("/api/v1/events", get(move || async move { problem }))).await;
    let mut follow = Follow::new(Reader::new(home, PinBook::default()), signer(), &[]);
    assert_eq!(follow.next().await.expect_err("for good").kind(), ErrorKind::Permission);
}

#[tokio::test]
async fn endless_event_breaks_the_connection() {
    let home = serve(|_| {
        let feed = || async { Json(FeedPage { items: vec![], next: None }) };
        let events = || async { stream(format!("data: {}", "x".repeat(600_000))) };
        Router::new().route("/api/v1/events", get(events)).route("/api/v1/feed", get(feed))
    })
    .await;
    let mut follow = Follow::new(Reader::new(home, PinBook::default()), signer(), &[]);
    let news = follow.next().await.expect("it will try again");
    assert!(matches!(&news, News::Broken { error, .. } if error.to_string().contains("larger")), "{news:?}");
}
