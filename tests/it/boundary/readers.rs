//! Readers of pages who read nothing, or a byte now and then: their places come free again, and everybody else is served.

use super::Wire;
use crate::network::Home;
use mesh_proto::record::{Content, Post};
use std::num::NonZeroU32;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Requests that are sent at once: their answers are more than the kernel keeps for a connection.
const PAGES: usize = 600;

/// A domain with two places and little patience; and a page of it.
async fn narrow() -> (Home, String) {
    let few = |config: &mut mesh_server::config::Config| {
        config.limits.connections_max = 2;
        config.limits.head_seconds_max = NonZeroU32::MIN;
        config.limits.body_seconds_max = NonZeroU32::MIN;
    };
    let home = Home::start_with("one", few).await;
    let ada = home.person("ada", 1).await;
    let said = home.says(&ada, Content::Post(Post::free("word ".repeat(6_000)))).await;
    let page = format!("/@ada/{}", said.id());
    (home, page)
}

/// A connection that asks for a page again and again, and takes little at once.
async fn greedy(home: &Home, page: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("a small buffer");
    let mut stream = socket.connect(([127, 0, 0, 1], home.port).into()).await.expect("the server listens");
    let request = format!("GET {page} HTTP/1.1\r\nHost: one.localhost\r\n\r\n").repeat(PAGES);
    stream.write_all(request.as_bytes()).await.expect("the kernel takes it");
    stream
}

/// Whether somebody else gets a page while these hold all places.
async fn others_are_served(home: &Home, page: &str) {
    let request = format!("GET {page} HTTP/1.1\r\nHost: one.localhost\r\nConnection: close\r\n\r\n");
    let answer = Wire::open(home).await.write(request).await.answer().await;
    assert_eq!(answer.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_who_never_read_lose_their_places() {
    let (home, page) = narrow().await;
    let _deaf = (greedy(&home, &page).await, greedy(&home, &page).await);
    others_are_served(&home, &page).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_a_byte_now_and_then_lose_their_places() {
    let (home, page) = narrow().await;
    let (mut one, mut two) = (greedy(&home, &page).await, greedy(&home, &page).await);
    let dripping = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        loop {
            ticks.tick().await;
            // What comes, or that nothing comes any more, is not looked at.
            drop((one.read_u8().await, two.read_u8().await));
        }
    };
    tokio::select! {
        () = others_are_served(&home, &page) => {}
        () = dripping => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_who_hold_back_what_http_2_sends_lose_their_places() {
    let (home, page) = narrow().await;
    // SETTINGS: INITIAL_WINDOW_SIZE is 0. HEADERS: a complete GET, its path and authority as literals (RFC 9113 §6, RFC 7541 §6).
    let settings = b"\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\0";
    // Small: the larger an answer, the longer may be taken for it.
    let small = "/robots.txt";
    let literal = |name: u8, value: &str| [&[name, u8::try_from(value.len()).expect("short")], value.as_bytes()].concat();
    let block = [&[0x82, 0x86][..], &literal(0x04, small), &literal(0x01, "one.localhost")].concat();
    let head = [&[0, 0, u8::try_from(block.len()).expect("short"), 1, 5, 0, 0, 0, 1][..], &block].concat();
    let asked = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &settings[..], &head].concat();
    let mut deaf = Vec::new();
    for _ in 0..2 {
        let mut wire = Wire::open(&home).await;
        wire.write(&asked).await;
        deaf.push(wire);
    }
    others_are_served(&home, &page).await;
    for mut wire in deaf {
        let heard = wire.rest().await;
        assert!(!heard.contains("User-agent"), "{heard}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_nobody_asked_for_hold_up_no_page() {
    let (home, page) = narrow().await;
    let before = home.get("/log/1/checkpoint").await.body;
    for method in ["GET", "HEAD"] {
        let request = format!("{method} {page} HTTP/1.1\r\nHost: one.localhost\r\nContent-Length: 100000\r\n\r\n{{");
        let answer = Wire::open(&home).await.write(request).await.rest().await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{method}: {answer}");
    }
    assert_eq!(home.get("/log/1/checkpoint").await.body, before);
    let ada = home.get("/@ada").await;
    assert_eq!(ada.status, 200);
}
