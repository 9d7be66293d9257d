//! Bodies that are too large, too dense, too slow, or half.

use super::{Wire, leaves, refused};
use crate::network::{Home, Reply};
use mesh_proto::limits::REQUEST_BYTES_MAX;
use std::num::NonZeroU32;

/// Where anyone may send a body, which is read and refused.
const OPEN: [&str; 6] =
    ["/api/v1/accounts", "/api/v1/records", "/mesh/v1/challenges", "/mesh/v1/keys", "/mesh/v1/keys:batch", "/mesh/v1/records:batch"];

fn head(path: &str, more: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: one.localhost\r\nConnection: close\r\n{more}\r\n\r\n")
}

#[tokio::test]
async fn body_that_says_it_is_too_large_is_refused_before_it_comes() {
    let one = Home::start("one").await;
    for path in OPEN {
        let length = format!("Content-Length: {}", REQUEST_BYTES_MAX + 1);
        let reply = Wire::open(&one).await.write(head(path, &length)).await.answer().await;
        refused(&reply, 413, "too_large", path);
    }
    let huge = head("/api/v1/records", "Content-Length: 18446744073709551614\r\nExpect: 100-continue");
    let answer = Wire::open(&one).await.write(huge).await.rest().await;
    assert!(!answer.starts_with("HTTP/1.1 100"), "it asks for the body: {answer}");
}

#[tokio::test]
async fn chunks_that_become_too_large_are_refused_while_they_come() {
    let one = Home::start("one").await;
    let chunk = [b"10000\r\n", &[b' '; 0x10000][..], b"\r\n"].concat();
    for path in OPEN {
        let mut wire = Wire::open(&one).await;
        wire.write(head(path, "Transfer-Encoding: chunked")).await;
        for _ in 0..=REQUEST_BYTES_MAX / 0x10000 {
            wire.write(&chunk).await;
        }
        refused(&wire.answer().await, 413, "too_large", path);
    }
}

async fn compressed(one: &Home, encoding: &str, body: Vec<u8>) -> Reply {
    let request = one.http.post(format!("http://127.0.0.1:{}/mesh/v1/challenges", one.port));
    let response = request.header("content-encoding", encoding).body(body).send().await.expect("an answer");
    Reply { status: response.status().as_u16(), body: response.bytes().await.expect("a body").to_vec() }
}

#[tokio::test]
async fn compressed_bodies_are_bounded_after_decompression() {
    let one = Home::start("one").await;
    let bomb = zstd::bulk::compress(&vec![0; 100_000_000], 1).expect("compresses");
    assert!(bomb.len() < REQUEST_BYTES_MAX);
    refused(&compressed(&one, "zstd", bomb.clone()).await, 413, "too_large", "100 MB of zeros");
    // A bomb in many frames is one bomb.
    let frame = zstd::bulk::compress(&vec![0; 100_000], 1).expect("compresses");
    refused(&compressed(&one, "zstd", frame.repeat(1_000)).await, 413, "too_large", "1,000 frames");
    let wide = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 17 << 3, 1, 0, 0];
    refused(&compressed(&one, "zstd", wide).await, 400, "malformed", "a window of 128 MiB");
    refused(&compressed(&one, "zstd", frame[..frame.len() / 2].to_vec()).await, 400, "malformed", "half a frame");
    refused(&compressed(&one, "zstd", b"{}".to_vec()).await, 400, "malformed", "not zstd");
    refused(&compressed(&one, "zstd", Vec::new()).await, 400, "malformed", "nothing");
    for other in ["gzip", "zstd, zstd", "ZSTD", ""] {
        refused(&compressed(&one, other, bomb.clone()).await, 400, "malformed", other);
    }
    let good = zstd::bulk::compress(br#"{"from":"peer.localhost:1","nonce":"AAAAAAAAAAAAAAAAAAAAAA"}"#, 1).expect("compresses");
    assert_eq!(compressed(&one, "zstd", good).await.status, 200);
}

#[tokio::test]
async fn half_bodies_store_nothing_and_are_told_so() {
    let one = Home::start("one").await;
    let before = leaves(&one).await;
    for path in OPEN {
        let half = head(path, "Content-Length: 100") + r#"{"payloadType":"#;
        let reply = Wire::open(&one).await.write(half).await.end().await.rest().await;
        // Whoever closes its side has mostly gone; if not, it is told.
        assert!(reply.is_empty() || reply.contains("urn:mesh:problem:malformed"), "{path}: {reply}");
        Wire::open(&one).await.write(head(path, "Transfer-Encoding: chunked") + "5\r\n{").await;
    }
    assert_eq!((leaves(&one).await, one.get("/readyz").await.status), (before, 200));
}

#[tokio::test]
async fn slow_bodies_are_refused_in_time_and_whole_ones_beside_them_are_not() {
    let second = |config: &mut mesh_server::config::Config| config.limits.body_seconds_max = NonZeroU32::MIN;
    let one = Home::start_with("one", second).await;
    let mut slow = Vec::new();
    for path in OPEN {
        let mut wire = Wire::open(&one).await;
        wire.write(head(path, "Content-Length: 100") + "{").await;
        slow.push((path, wire));
    }
    let ada = one.person("ada", 1).await;
    for (path, mut wire) in slow {
        refused(&wire.answer().await, 400, "malformed", path);
    }
    // A drop now and then does not keep the connection.
    let mut drip = Wire::open(&one).await;
    drip.write(head("/api/v1/records", "Transfer-Encoding: chunked")).await;
    let mut ticks = tokio::time::interval(std::time::Duration::from_millis(100));
    for _ in 0..15 {
        ticks.tick().await;
        drip.write("1\r\n \r\n").await;
    }
    refused(&drip.answer().await, 400, "malformed", "a drip");
    assert_eq!(one.get(&format!("/api/v1/accounts/{}", ada.id())).await.status, 200);
}
