//! Connections: heads that never end, shapes that two servers could read differently, places that are bounded.

use super::{Wire, exchange, leaves};
use crate::network::Home;
use std::num::NonZeroU32;

const GET: &str = "GET /healthz HTTP/1.1\r\nHost: one.localhost\r\n\r\n";

async fn impatient() -> Home {
    Home::start_with("one", |config| config.limits.head_seconds_max = NonZeroU32::MIN).await
}

#[tokio::test]
async fn silent_connections_are_ended() {
    let one = impatient().await;
    for (case, said) in [
        ("nothing", ""),
        ("half of HTTP/2's first words", "PRI * HTTP/2.0\r\n\r\n"),
        ("HTTP/2's first words", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("half a request line", "GET /heal"),
        ("half a header", "GET /healthz HTTP/1.1\r\nHost: one.loc"),
    ] {
        let answer = Wire::open(&one).await.write(said).await.rest().await;
        assert!(!answer.contains("200 OK"), "{case}: {answer}");
    }
    let kept_alive = Wire::open(&one).await.write(GET).await.rest().await;
    assert!(kept_alive.starts_with("HTTP/1.1 200 OK"), "{kept_alive}");
}

#[tokio::test]
async fn head_that_comes_drop_by_drop_is_ended() {
    let one = impatient().await;
    let mut wire = Wire::open(&one).await;
    let mut ticks = tokio::time::interval(std::time::Duration::from_millis(100));
    wire.write("GET /healthz HTTP/1.1\r\n").await;
    for number in 0..15 {
        ticks.tick().await;
        wire.write(format!("x-{number}: y\r\n")).await;
    }
    assert_eq!(wire.write("\r\n").await.rest().await, "");
}

#[tokio::test]
async fn oversized_heads_are_refused() {
    let one = Home::start("one").await;
    let many: String = (0..10_000).map(|number| format!("x-{number}: y\r\n")).collect();
    let long = format!("x: {}\r\n", "y".repeat(1_000_000));
    for headers in [many, long] {
        let answer = exchange(&one, format!("GET /healthz HTTP/1.1\r\nHost: one.localhost\r\n{headers}\r\n")).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
    let target = exchange(&one, format!("GET /{} HTTP/1.1\r\nHost: one.localhost\r\n\r\n", "y".repeat(1_000_000))).await;
    assert!(target.is_empty() || target.starts_with("HTTP/1.1 4"), "{target}");
    assert_eq!(one.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn ambiguous_framing_never_becomes_a_second_request() {
    let one = Home::start("one").await;
    let smuggled = "GET /.well-known/mesh HTTP/1.1\r\nHost: one.localhost\r\n\r\n";
    let post =
        |headers: &str, body: &str| format!("POST /api/v1/records HTTP/1.1\r\nHost: one.localhost\r\n{headers}\r\n\r\n{body}{smuggled}");
    for (case, request) in [
        ("two lengths", post("Content-Length: 2\r\nContent-Length: 3", "{}")),
        ("a list of lengths", post("Content-Length: 2, 3", "{}")),
        ("a length with a sign", post("Content-Length: +2", "{}")),
        ("a negative length", post("Content-Length: -2", "{}")),
        ("a length in hex", post("Content-Length: 0x2", "{}")),
        ("a length and chunks", post("Content-Length: 2\r\nTransfer-Encoding: chunked", "0\r\n\r\n")),
        ("chunks and a length", post("Transfer-Encoding: chunked\r\nContent-Length: 2", "0\r\n\r\n")),
        ("chunks that are not last", post("Transfer-Encoding: chunked, identity", "0\r\n\r\n")),
        ("an unknown coding", post("Transfer-Encoding: xchunked", "0\r\n\r\n")),
        ("a space before the colon", post("Transfer-Encoding : chunked", "0\r\n\r\n")),
        ("a folded header", post("Transfer-Encoding:\r\n chunked", "0\r\n\r\n")),
        ("a chunk size beyond 64 bits", post("Transfer-Encoding: chunked", "fffffffffffffffff\r\n")),
        ("a chunk size with a sign", post("Transfer-Encoding: chunked", "-1\r\n")),
        ("a chunk extension with a bare line feed", post("Transfer-Encoding: chunked", "0;x\n\r\n")),
        ("a NUL in a header", post("x: a\0b", "")),
        ("a carriage return in a header", post("x: a\rTransfer-Encoding: chunked", "")),
        (
            "chunks in HTTP/1.0",
            post("Transfer-Encoding: chunked", "0\r\n\r\n").replace("HTTP/1.1\r\nHost: one.localhost\r\nT", "HTTP/1.0\r\nT"),
        ),
    ] {
        let answer = exchange(&one, request).await;
        assert!(!answer.contains("versions"), "{case}: {answer}");
        assert!(!answer.contains("HTTP/1.1 2"), "{case}: {answer}");
    }
}

#[tokio::test]
async fn garbage_after_a_good_request_is_not_a_request() {
    let one = Home::start("one").await;
    let answer = exchange(&one, format!("{GET}\0\x01garbage\r\n\r\n{GET}")).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 1, "{answer}");
    for garbage in [
        "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03",
        "\r\n\r\n\r\n\0",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "G\u{0}T / HTTP/1.1\r\n\r\n",
    ] {
        let answer = exchange(&one, garbage).await;
        assert!(!answer.contains(" 200 "), "{garbage:?}: {answer}");
    }
    assert_eq!(leaves(&one).await, 0);
}

#[tokio::test]
async fn target_of_a_proxy_request_is_never_fetched() {
    let (one, two) = (Home::start("one").await, Home::start("two").await);
    let proxied = format!("GET http://{}/.well-known/mesh HTTP/1.1\r\nHost: {0}\r\nConnection: close\r\n\r\n", two.domain);
    let answer = exchange(&one, proxied).await;
    assert!(answer.contains(&one.domain) && !answer.contains(&two.domain), "{answer}");
    let tunnel = exchange(&one, format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", two.domain)).await;
    assert!(!tunnel.contains(" 200 "), "{tunnel}");
}

#[tokio::test]
async fn places_are_bounded_and_come_free_again() {
    let few = |config: &mut mesh_server::config::Config| {
        config.limits.connections_max = 2;
        config.limits.head_seconds_max = NonZeroU32::MIN;
    };
    let one = Home::start_with("one", few).await;
    let _silent = (Wire::open(&one).await, Wire::open(&one).await);
    // It waits for a place, and the silent ones lose theirs.
    let answer = Wire::open(&one).await.write(GET).await.until("ok\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}
