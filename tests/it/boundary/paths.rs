//! Paths and queries that lead out of where they should, or beyond what numbers hold.

use super::{Wire, exchange, refused};
use crate::federation::post;
use crate::network::{Home, Reply};
use mesh_proto::api::FeedPage;

/// A request target exactly as it is written here: no client tidies it.
async fn raw(one: &Home, method: &str, target: &str) -> Reply {
    let request = format!("{method} {target} HTTP/1.1\r\nHost: one.localhost\r\nConnection: close\r\n\r\n");
    Wire::open(one).await.write(request).await.answer().await
}

#[tokio::test]
async fn odd_names_of_accounts_are_nobody() {
    let one = Home::start("one").await;
    let ada = one.person("ada", 1).await;
    let id = ada.id().to_string();
    assert_eq!(raw(&one, "GET", &format!("/api/v1/accounts/ada@{}", one.domain)).await.status, 200);
    let long = "a".repeat(30_000);
    for who in [
        "..%2fada",
        "%2e%2e%2fada",
        "..%252fada",
        "%2Fetc%2Fpasswd",
        "ADA",
        "Ada",
        "ada.",
        ".ada",
        "ada%00",
        "%00",
        "ada%20",
        "ada%0a",
        "a%CC%81da",
        "%EF%BD%81da",
        "%D0%B0da",
        "ada@",
        "@ada",
        "@@",
        "ada%2f",
        "ada;x",
        "-",
        "%25",
        &long,
        &id.to_uppercase(),
        &id[1..],
        &format!("ADA@{}", one.domain),
        &format!("ada@{}.", one.domain),
        &format!("ada@{}", one.domain.to_uppercase()),
        &format!("x{id}"),
        &format!("ada@127.0.0.1:{}", one.port),
        &format!("ada@one.localhost:0{}", one.port),
        &format!("ada@ada@{}", one.domain),
    ] {
        for end in ["", "/posts"] {
            refused(&raw(&one, "GET", &format!("/api/v1/accounts/{who}{end}")).await, 404, "not_found", who);
        }
    }
    refused(&raw(&one, "GET", "/api/v1/accounts/ada@mesh.example").await, 403, "not_home", "another domain's address");
    for who in ["%ff", "%c0%af", "%e0%80%af", "%f8%80%80%80%af", "%ed%a0%80"] {
        refused(&raw(&one, "GET", &format!("/api/v1/accounts/{who}")).await, 400, "malformed", who);
    }
}

#[tokio::test]
async fn odd_ids_of_records_are_malformed() {
    let one = Home::start("one").await;
    let ada = one.person("ada", 1).await;
    let id = one.says(&ada, post("hello")).await.id().to_string();
    assert_eq!(raw(&one, "GET", &format!("/api/v1/records/{id}")).await.status, 200);
    let long = "a".repeat(30_000);
    for text in [
        "x",
        &id.to_uppercase(),
        &id[1..],
        &format!("{id}a"),
        &format!("{id}%00"),
        &format!("{id}%0a"),
        "%00",
        "%ff",
        &long,
        &ada.device.id().to_string(),
    ] {
        for end in ["", "/comments", "/references?kind=like"] {
            refused(&raw(&one, "GET", &format!("/api/v1/records/{text}{end}")).await, 400, "malformed", text);
        }
    }
    refused(&raw(&one, "GET", "/api/v1/records/..%2f..%2fhealthz").await, 400, "malformed", "dots");
    refused(&raw(&one, "GET", "/api/v1/../../healthz").await, 404, "not_found", "dots are not resolved");
    refused(&raw(&one, "GET", &format!("/api/v1/records/{id}/")).await, 404, "not_found", "a slash at the end");
    refused(&raw(&one, "GET", &format!("//api/v1/records/{id}")).await, 404, "not_found", "two slashes");
    let never = ada.sign(post("never submitted")).id();
    refused(&raw(&one, "GET", &format!("/api/v1/records/{never}")).await, 404, "not_found", "unknown");
}

#[tokio::test]
async fn pages_are_bounded_whatever_is_asked_for() {
    let one = Home::start("one").await;
    let ada = one.person("ada", 1).await;
    for number in 0..3 {
        one.says(&ada, post(&format!("post {number}"))).await;
    }
    let posts = "/api/v1/accounts/ada/posts";
    for (limit, count) in [("0", 1), ("1", 1), ("1000000000", 3), ("18446744073709551615", 3)] {
        let page: FeedPage = raw(&one, "GET", &format!("{posts}?limit={limit}")).await.json();
        assert_eq!(page.items.len(), count, "{limit}");
    }
    let long = "A".repeat(20_000);
    let garbage =
        ["", "x", "%00", "%ff", "AAAA", "AAAAAAAAAAAAAAAAAAAAAB", "AAAAAAAAAAAAAAAAAAAAAA==", "AAAAAAAAAAAAAAAAAAAAAAAA", "-1", &long];
    for cursor in garbage {
        refused(&raw(&one, "GET", &format!("{posts}?before={cursor}")).await, 400, "malformed", cursor);
    }
    let edge: FeedPage = raw(&one, "GET", &format!("{posts}?before=_____________________w")).await.json();
    assert_eq!(edge.items.len(), 3);
    for query in ["limit=-1", "limit=1.5", "limit=1e3", "limit=", "limit=18446744073709551616", "limit=1&limit=2", "unknown=1", "limit[]=1"]
    {
        refused(&raw(&one, "GET", &format!("{posts}?{query}")).await, 400, "malformed", query);
    }
    let signed = async |query: &str| one.get_as(&ada, &format!("/api/v1/{query}")).await;
    for query in [
        "feed?before=x",
        "feed?limit=-1",
        "notifications?before=x",
        "acts?kind=like",
        "acts?kind=x&object=x",
        "acts?kind=like&object=x&x=1",
    ] {
        refused(&signed(query).await, 400, "malformed", query);
    }
    for path in [
        "resolve",
        "resolve?uri=",
        "resolve?uri=x",
        "resolve?uri=javascript:alert(1)",
        "resolve?uri=file:///etc/passwd",
        "resolve?uri=@ada",
    ] {
        refused(&raw(&one, "GET", &format!("/api/v1/{path}")).await, 400, "malformed", path);
    }
}

#[tokio::test]
async fn tiles_that_are_not_there_are_not_found() {
    let one = Home::start("one").await;
    one.person("ada", 1).await;
    assert_eq!(one.get("/log/1/tile/0/000.p/2").await.body.len(), 64);
    let beyond = format!("{}/999", ["x999"; 10].join("/"));
    for path in [
        "0/000",
        "0/000.p/3",
        "0/000.p/255",
        "0/001",
        "0/x001/000",
        "1/000.p/1",
        "63/000.p/1",
        "entries/000.p/3",
        "entries/x999/x999/x999/999",
        "0/x072/x057/x594/x037/x927/936",
        "0/x018/x446/x744/x073/x709/x551/615",
        "63/x018/x446/x744/x073/x709/x551/615",
    ] {
        refused(&raw(&one, "GET", &format!("/log/1/tile/{path}")).await, 404, "not_found", path);
    }
    let long = format!("0/{}000", "x000/".repeat(5_000));
    for path in [
        "0",
        "64/000.p/1",
        "256/000.p/1",
        "-1/000",
        "00/000",
        "+0/000",
        "x/000",
        "0/0",
        "0/0000",
        "0/x000/001",
        "0/000.p/0",
        "0/000.p/256",
        "0/000.p/01",
        "0/000.p/-1",
        "0/000.p/",
        "0/..%2f000",
        "0/000%00",
        "0/%ff",
        &beyond.replacen("x999", "0/x999", 1),
        &long,
        "entries/",
        "entries/x/000",
        "data/000",
    ] {
        refused(&raw(&one, "GET", &format!("/log/1/tile/{path}")).await, 400, "malformed", path);
    }
    for log in ["0", "2", "01", "-1", "18446744073709551616", "x", "%31%00"] {
        refused(&raw(&one, "GET", &format!("/log/{log}/checkpoint")).await, 404, "not_found", log);
    }
}

#[tokio::test]
async fn methods_that_a_path_does_not_take_are_refused_in_words() {
    let one = Home::start("one").await;
    for (method, path, allowed) in
        [("DELETE", "/api/v1/records", "POST"), ("PUT", "/api/v1/registration", "GET,HEAD"), ("GET", "/mesh/v1/deliveries", "POST")]
    {
        refused(&raw(&one, method, path).await, 405, "malformed", path);
        let answer = exchange(&one, format!("{method} {path} HTTP/1.1\r\nHost: one.localhost\r\nConnection: close\r\n\r\n")).await;
        assert!(answer.contains(&format!("allow: {allowed}\r\n")), "{answer}");
        assert!(answer.contains("content-type: application/problem+json\r\n"), "{answer}");
    }
    refused(&raw(&one, "TRACE", "/").await, 405, "malformed", "trace");
    refused(&raw(&one, "GET", "/api/v2/records").await, 404, "not_found", "another version");
}
