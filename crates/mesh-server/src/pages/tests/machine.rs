//! What machines read about pages, tags, search, and pages that are kept.

use super::samples::{World, object};
use super::{get, page, small_world};
use axum::http::{StatusCode, header};
use mesh_proto::key::SecretKey;
use mesh_proto::record::{Content, Like, Post};

const BROTLI: (header::HeaderName, &str) = (header::ACCEPT_ENCODING, "gzip, br;q=0.9");

#[tokio::test]
async fn a_kept_page_is_as_new_as_the_newest_answer() {
    let (mut world, post, comment) = small_world().await;
    let path = format!("/@ada/{post}");
    let first = page(&world, &path).await;
    assert!(first.has("1 like") && first.body == page(&world, &path).await.body);
    let bob = world.join("bob", "Bob", "").await;
    let ada = super::samples::Someone {
        id: world.account("ada").id(),
        device: SecretKey::from_seed(&[101; 32]),
        keys: world.account("ada").log.head(),
    };
    world.like(&bob, object(&ada, post)).await;
    assert!(page(&world, &path).await.has("2 likes"));
    let neo = super::samples::Someone {
        id: world.account("neo").id(),
        device: SecretKey::from_seed(&[103; 32]),
        keys: world.account("neo").log.head(),
    };
    let (root, answer) = (object(&ada, post), object(&neo, comment));
    world.comment(&bob, &root, &answer, "A third comment.").await;
    assert!(page(&world, &path).await.has("A third comment."));
    world.say(&bob, Content::Like(Like { object: answer })).await;
    assert!(page(&world, &path).await.elements().iter().any(|element| element.name == "li" && element.text == "1 like"), "of a comment");
    world.say(&ada, Content::Profile(mesh_proto::record::Profile { name: "Augusta".into(), ..Default::default() })).await;
    assert!(page(&world, &path).await.body.contains("Augusta"));
    world.say(&ada, Content::Post(Post { revises: Some(post), ..Post::free("Other words.") })).await;
    assert!(page(&world, &path).await.has("Other words."));
    world.withdraw(&neo, comment).await;
    assert!(page(&world, &path).await.has("This comment was withdrawn"));
    world.withdraw(&ada, post).await;
    assert_eq!(get(&world, &path, &[]).await.status, StatusCode::GONE);
}

#[tokio::test]
async fn a_tag_leads_to_what_bears_it_now() {
    let mut world = World::new();
    let ada = world.join("ada", "Ada", "").await;
    let post = world.post(&ada, "About #Größe and #engines.").await;
    let mut listed = Post::free("No sign in the text.");
    listed.tags = vec!["engines".into()];
    let other = world.say(&ada, Content::Post(listed)).await;
    let shown = |got: super::Got| [post, other].map(|id| got.body.contains(&id.to_string()));
    assert_eq!(shown(page(&world, "/tag/engines").await), [true, true]);
    assert_eq!(shown(page(&world, "/tag/gr%C3%B6%C3%9Fe").await), [true, false]);
    assert_eq!(get(&world, "/tag/Engines", &[]).await.header(header::LOCATION), "/tag/engines");
    world.say(&ada, Content::Post(Post { revises: Some(post), ..Post::free("About #engines alone.") })).await;
    let empty = page(&world, "/tag/gr%C3%B6%C3%9Fe").await;
    assert!(empty.has("Nobody here has used this tag yet.") && empty.is_noindex());
    world.withdraw(&ada, other).await;
    assert_eq!(shown(page(&world, "/tag/engines").await), [true, false]);
    for none in ["/tag/a%20b", "/tag/%3Cb%3E", "/tag/..", &format!("/tag/{}", "x".repeat(65))] {
        assert_eq!(get(&world, none, &[]).await.status, StatusCode::NOT_FOUND, "{none}");
    }
}

#[tokio::test]
async fn search_finds_names_and_says_how_to_ask() {
    let (world, post, _) = small_world().await;
    let at = |query: &str| format!("/search?q={}", super::text::encoded(query));
    assert!(page(&world, "/search").await.has("exact phrases"));
    let found = page(&world, &at("ad")).await;
    assert!(found.has("Ada Lovelace") && found.is_noindex());
    assert!(page(&world, &at("engines")).await.body.contains("href=\"/tag/engines\""));
    for (query, leads) in [("@ada", "/@ada".to_owned()), ("Ada@one.localhost:8001", "/@ada".into()), ("#Engines", "/tag/engines".into())] {
        assert_eq!(get(&world, &at(query), &[]).await.header(header::LOCATION), leads, "{query}");
    }
    let link = format!("mesh://ada@one.localhost:8001/{post}");
    assert_eq!(get(&world, &at(&link), &[]).await.header(header::LOCATION), format!("/@ada/{post}"));
    assert!(page(&world, &at("trinity@two.localhost:8002")).await.body.contains("href=\"http://two.localhost:8002/@trinity\""));
    for hostile in ["<script>alert(1)</script>", "\u{202E}x", "%", &"x".repeat(5_000)] {
        page(&world, &at(hostile)).await;
    }
}

#[tokio::test]
async fn pages_travel_compressed_for_those_who_can() {
    let (world, ..) = small_world().await;
    let plain = page(&world, "/about").await;
    let mut request = axum::http::Request::get("/about");
    request = request.header(BROTLI.0, BROTLI.1);
    let service = tower::ServiceExt::oneshot(
        super::router().with_state(world.app.clone()),
        request.body(axum::body::Body::empty()).expect("a request"),
    );
    let response = service.await.expect("an answer");
    assert_eq!(response.headers()[header::CONTENT_ENCODING], "br");
    assert_eq!(response.headers()[header::ETAG], plain.header(header::ETAG));
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("a body");
    let mut back = Vec::new();
    brotli::BrotliDecompress(&mut &body[..], &mut back).expect("brotli");
    assert_eq!(back, plain.body.as_bytes());
    assert!(body.len() * 2 < back.len());
    assert_eq!(get(&world, "/about", &[(header::ACCEPT_ENCODING, "br;q=0, gzip")]).await.body, plain.body);
}

#[tokio::test]
async fn robots_and_researchers_find_their_files() {
    let (world, ..) = small_world().await;
    let robots = get(&world, "/robots.txt", &[]).await;
    assert!(robots.body.contains("Sitemap: http://one.localhost:8001/sitemap.xml"));
    let security = get(&world, "/.well-known/security.txt", &[]).await;
    assert!(security.body.contains("Contact: http://one.localhost:8001/about#contact") && security.body.contains("Expires: 2027-"));
    for none in ["/sitemap/0.xml", "/sitemap/7.xml", "/sitemap/x", "/oembed?url=http://elsewhere.example/@a/b"] {
        assert_eq!(get(&world, none, &[]).await.status, StatusCode::NOT_FOUND, "{none}");
    }
    assert_eq!(get(&world, "/oembed", &[]).await.status, StatusCode::BAD_REQUEST);
}
