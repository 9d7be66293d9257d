//! Requests as no browser makes them: each gets the page, or clear words.

use super::content::{Content, get};
use crate::boundary::Wire;
use crate::network::{Home, Reply};

/// A request exactly as it is written here: no client tidies it.
async fn raw(home: &Home, line: &str, headers: &str) -> Reply {
    Wire::open(home).await.write(format!("{line}\r\n{headers}Connection: close\r\n\r\n")).await.answer().await
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_headers_change_nothing() {
    let home = Home::start("odd").await;
    let content = Content::publish(&home).await;
    let post = &content.pages["post"];
    let many_tags = format!("{}W/\"x\"", "\"a\",".repeat(5_000));
    let many_kinds = "text/x-y;q=0.1,".repeat(2_000);
    for header in [
        ("accept", "image/png"),
        ("accept", "\u{ff}"),
        ("accept", "text/html;q=0"),
        ("accept", ";;,,=/*"),
        ("accept", many_kinds.as_str()),
        ("range", "bytes=0-1"),
        ("range", "bytes=9999999-"),
        ("range", "bytes=-1"),
        ("range", "bytes=0-0,1-1,2-2,3-3"),
        ("range", "lines=1"),
        ("if-range", "x"),
        ("if-none-match", "\"\",,W/"),
        ("if-none-match", many_tags.as_str()),
        ("if-match", "\"x\""),
        ("if-modified-since", "yesterday"),
        ("if-modified-since", "Thu, 01 Jan 2099 00:00:00 GMT"),
        ("if-unmodified-since", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("accept-encoding", "zstd;q=x, *;q=0"),
        ("accept-encoding", "gzip, deflate, compress, \u{ff}"),
        ("accept-language", "tlh, *;q=0"),
        ("x-http-method-override", "DELETE"),
        ("x-forwarded-host", "evil.example"),
        ("expect", "a-miracle"),
        ("cookie", "session=x"),
    ] {
        let reply = get(&home, post, &[header]).await;
        assert_eq!(reply.status(), 200, "{header:?}");
        assert!(!reply.headers().contains_key("set-cookie"), "{header:?}");
        let body = reply.text().await.unwrap_or_default();
        assert!(body.contains("On engines") && !body.contains("evil.example"), "{header:?}");
    }
    let etag = get(&home, post, &[]).await.headers()["etag"].to_str().expect("plain").to_owned();
    for tags in [etag.clone(), "*".to_owned(), format!("\"x\", {etag}"), etag.trim_start_matches("W/").to_owned()] {
        let reply = get(&home, post, &[("if-none-match", &tags)]).await;
        assert_eq!((reply.status().as_u16(), reply.text().await.expect("no body").len()), (304, 0), "{tags}");
    }
    let head = home.http.head(format!("http://127.0.0.1:{}{post}", home.port)).send().await.expect("an answer");
    assert_eq!((head.status().as_u16(), head.bytes().await.expect("no body").len()), (200, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_addresses_get_clear_words() {
    let home = Home::start("odd").await;
    let content = Content::publish(&home).await;
    let post = &content.pages["post"];
    let (long, id) = ("a".repeat(20_000), post.rsplit('/').next().expect("an id"));
    for path in [
        "/@ada/%00",
        "/@%2e%2e/x",
        "/@ada%00",
        "/@ada%2f",
        "/@ada%2F%2e%2e%2Fneo",
        "/@ada/..%2f..%2fetc%2fpasswd",
        "/@ada/%2e%2e/%2e%2e/etc/passwd",
        "/@ada/..",
        "/../../etc/passwd",
        "/@ada/%c0%ae%c0%ae",
        "/@ada/%E2%80%A4%E2%80%A4%2f",
        "/@ada/\u{ff0e}\u{ff0e}\u{ff0f}x",
        "/@%D0%B0da",
        "/@ada/",
        "/@",
        "/@@ada",
        "//@ada",
        "//evil.example/@ada",
        "/\\evil.example",
        "/@ada//x",
        "/@ada?before=%ff",
        "/@ada?before=x&before=y",
        "/tag/%ff",
        "/tag/%E2%80%AE",
        "/tag/a%2fb",
        "/tag/..%2f..%2f",
        "/search?q=%00&q=2",
        "/oembed?url=%00",
        "/oembed?url=javascript:alert(1)",
        "/oembed?url=http://127.0.0.1:1/@ada/x",
        "/sitemap/0.xml",
        "/sitemap/99999999999999999999.xml",
        "/sitemap/..%2fsitemap.xml",
        "/assets/..%2f..%2fmesh.toml",
        "/assets/mesh.css/",
        "/@ada/feed.rss",
        &format!("/@{long}"),
        &format!("/@ada/{long}"),
        &format!("/tag/{long}"),
        &format!("/@ada/{}", id.to_uppercase()),
        &format!("{post}/"),
        &format!("{post}?after={long}"),
        &format!("{post}%00"),
        &format!("{post};x=y"),
    ] {
        let reply = raw(&home, &format!("GET {path} HTTP/1.1"), &format!("Host: {}\r\nAccept: text/html\r\n", home.domain)).await;
        let short = path.chars().take(60).collect::<String>();
        assert!((400..500).contains(&reply.status), "{short}: {}", reply.status);
        let body = String::from_utf8_lossy(&reply.body);
        assert!(body.contains("<h1>") || body.contains("\"title\"") || body.is_empty() && reply.status == 400, "{short} says why: {body}");
        assert!(body.len() < 10_000 && !body.contains("root:"), "{short}: {} bytes", body.len());
    }
    // The words of a search stand on its page, as text.
    let found = get(&home, "/search?q=%3Cscript%3E%E2%80%AEalert(1)", &[]).await.text().await.expect("a page");
    assert!(found.contains("&#60;script&#62;alert(1)") && !found.contains('\u{202e}'), "{found}");
    let endless = get(&home, &format!("/search?q={}", "%F0%9F%98%80".repeat(5_000)), &[]).await.text().await.expect("a page");
    assert!(endless.len() < 20_000, "{} bytes", endless.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_ways_of_asking_for_a_page_get_it_or_clear_words() {
    let home = Home::start("odd").await;
    let content = Content::publish(&home).await;
    let (post, host) = (&content.pages["post"], &home.domain);
    let canonical = format!("<link rel=\"canonical\" href=\"http://{host}{post}\">");
    for (line, headers) in [
        (format!("GET {post} HTTP/1.1"), format!("Host: {}\r\n", host.to_uppercase())),
        (format!("GET {post} HTTP/1.1"), "Host: evil.example\r\n".to_owned()),
        (format!("GET {post} HTTP/1.1"), "Host:\r\n".to_owned()),
        (format!("GET {post} HTTP/1.0"), String::new()),
        (format!("GET http://evil.example{post} HTTP/1.1"), format!("Host: {host}\r\n")),
    ] {
        let reply = raw(&home, &line, &headers).await;
        let body = String::from_utf8_lossy(&reply.body).into_owned();
        // Whoever the request says to mean: the page names this domain and no other.
        assert!(reply.status == 200 && body.contains(&canonical) && !body.contains("evil.example"), "{line} {headers}: {body}");
    }
    for at in ["/@ADA", "/%40ada"] {
        let spelt = get(&home, &post.replace("/@ada", at), &[]).await;
        assert_eq!((spelt.status().as_u16(), spelt.headers()["location"].to_str().ok()), (307, Some(post.as_str())));
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "PROPFIND", "get", "BREW"] {
        let sent = format!("{method} {post} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let answer = Wire::open(&home).await.write(sent).await.rest().await;
        assert!(answer.starts_with("HTTP/1.1 405") && answer.to_lowercase().contains("\r\nallow: get,head\r\n"), "{method}: {answer}");
        assert!(answer.contains("\"title\""), "{method} says why: {answer}");
    }
}
