//! Previews of links: made by the author's program, signed, shown by the server, which asks nobody.

use crate::network::Home;
use crate::people::{Terminal, uri};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A site of somebody else: answers by path, and counts.
async fn site() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let base = format!("http://site.localhost:{}", listener.local_addr().expect("bound").port());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let mut head = vec![0; 4096];
                let read = stream.read(&mut head).await.unwrap_or(0);
                let head = String::from_utf8_lossy(&head[..read]).into_owned();
                let (kind, extra, body) = match head.split(' ').nth(1).unwrap_or_default() {
                    "/page" => (
                        "text/html; charset=utf-8",
                        "",
                        "<title>Looms &amp; cards</title><meta name=description content='How they <weave>.'>".to_owned(),
                    ),
                    "/inside" => ("text/html", "location: http://127.0.0.1:1/\r\n", String::new()),
                    "/round" => ("text/html", "location: /round\r\n", String::new()),
                    "/picture" => ("image/png", "", "x".to_owned()),
                    _ => ("text/html", "", format!("<p>{}", "x".repeat(2_000_000))),
                };
                let status = if extra.is_empty() { "200 OK" } else { "302 Found" };
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\n{extra}content-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                // Who asked may have gone after enough of it.
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    (base, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn author_makes_the_preview_and_nobody_else_asks() {
    let home = Home::start("previews").await;
    let (site, asked) = site().await;
    let ada = Terminal::new();
    ada.join(&home.address("ada")).await;
    let url = format!("{site}/page");
    let posted = ada.one(&["post", &format!("Read this: {url}"), "--preview", &url]).await;
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    let id = uri(&posted).rsplit('/').next().expect("an id").to_owned();
    let page = super::content::get(&home, &format!("/@ada/{id}"), &[]).await.text().await.expect("a page");
    assert!(page.contains("Looms &#38; cards") && page.contains("How they &#60;weave&#62;."), "{page}");
    assert_eq!(asked.load(Ordering::Relaxed), 1, "the server fetched nothing");
    for path in ["/inside", "/round", "/picture", "/large"] {
        let (code, said) = ada.run_all(&["post", "x", "--preview", &format!("{site}{path}")]).await;
        assert!(code != 0 && said.contains("leave --preview out"), "{path}: {said}");
    }
    let (code, said) = ada.run_all(&["post", "x", "--preview", "https://mesh.example/"]).await;
    assert!(code != 0 && said.contains("cannot be previewed"), "{said}");
}
