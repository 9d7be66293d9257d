mod html;
mod machine;
mod samples;

use super::*;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use html::Element;
use mesh_proto::api::{Comments, RecordView};
use mesh_proto::envelope::RecordId;
use mesh_proto::record::{Choices, Choose, Content, Imported, Poll, Post, Terms, Vote};
use samples::{DOMAIN, World, domain, foreign_comment, object};
use tower::ServiceExt;

const HOSTILE: &str = "</title><script>alert(1)</script>\"'&<b onclick=x>\u{202E}";

struct Got {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Got {
    fn elements(&self) -> Vec<Element> {
        html::read(&self.body)
    }

    fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn link(&self, rel: &str) -> Option<String> {
        let of_rel = |element: &&Element| element.name == "link" && element.attribute("rel") == Some(rel);
        self.elements().iter().find(of_rel).and_then(|link| link.attribute("href").map(str::to_owned))
    }

    fn has(&self, words: &str) -> bool {
        self.elements().iter().any(|element| element.name == "body" && element.text.contains(words))
    }

    fn is_noindex(&self) -> bool {
        self.elements().iter().any(|element| element.attribute("content") == Some("noindex"))
    }
}

async fn get(world: &World, path: &str, with: &[(header::HeaderName, &str)]) -> Got {
    let mut request = Request::get(path);
    for (name, value) in with {
        request = request.header(name, *value);
    }
    let service = router().fallback(not_found).with_state(world.app.clone());
    let response = service.oneshot(request.body(Body::empty()).expect("a request")).await.expect("an answer");
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 4 << 20).await.expect("a body");
    Got { status: parts.status, headers: parts.headers, body: String::from_utf8(body.to_vec()).expect("UTF-8") }
}

async fn page(world: &World, path: &str) -> Got {
    let got = get(world, path, &[]).await;
    assert_eq!(got.status, StatusCode::OK, "{path}: {}", got.body);
    got.elements();
    got
}

async fn small_world() -> (World, RecordId, RecordId) {
    let mut world = World::new();
    let ada = world.join("ada", "Ada Lovelace", "Mathematics.\n\nhttps://ada.example").await;
    let neo = world.join("neo", "", "").await;
    let mut post = Post::free("A first paragraph with https://mesh.example/a?b=1&c=2.\nA second line.\n\nA second paragraph.");
    post.title = Some("On engines".into());
    post.tags = vec!["engines".into()];
    post.lang = Some("en-GB".into());
    let post = world.say(&ada, Content::Post(post)).await;
    let root = object(&ada, post);
    let first = world.comment(&neo, &root, &root, "Very true.").await;
    world.comment(&ada, &root, &first, "Thank you.").await;
    world.like(&neo, root).await;
    (world, post, first.id)
}

#[tokio::test]
async fn every_page_is_sound() {
    let (world, post, comment) = small_world().await;
    for path in ["/", "/about", "/@ada", "/@neo", "/tag/engines", &format!("/@ada/{post}"), &format!("/@neo/{comment}")] {
        let got = page(&world, path).await;
        assert!(got.header(header::CONTENT_SECURITY_POLICY).starts_with("default-src 'none'"), "{path}");
        assert_eq!(got.header(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        assert_eq!(got.header(header::REFERRER_POLICY), "no-referrer");
        assert_eq!(got.header(header::CACHE_CONTROL), "public, max-age=0, stale-while-revalidate=30");
        assert!(!got.is_noindex(), "{path}");
        assert!(got.body.len() < 30 * 1024, "{path}");
        let etag = got.header(header::ETAG).to_owned();
        let again = get(&world, path, &[(header::IF_NONE_MATCH, &format!("\"x\", {etag}"))]).await;
        assert_eq!((again.status, again.body.as_str()), (StatusCode::NOT_MODIFIED, ""), "{path}");
        assert_eq!(again.header(header::ETAG), etag);
    }
}

#[tokio::test]
async fn a_post_is_shown_with_its_proof_and_its_thread() {
    let (world, post, comment) = small_world().await;
    let got = page(&world, &format!("/@ada/{post}")).await;
    assert_eq!(got.link("canonical"), Some(format!("http://{DOMAIN}/@ada/{post}")));
    assert_eq!(got.link("alternate"), Some(format!("/api/v1/records/{post}")));
    let elements = got.elements();
    let heading = elements.iter().find(|element| element.name == "h1").expect("a heading");
    assert_eq!(heading.text, "On engines");
    let link = elements.iter().find(|element| element.text == "https://mesh.example/a?b=1&c=2" && element.name == "a").expect("a link");
    assert_eq!(link.attribute("href"), Some("https://mesh.example/a?b=1&c=2"));
    assert_eq!(link.attribute("rel"), Some("ugc nofollow noopener"));
    for words in [
        "2 comments",
        "1 like",
        "#engines",
        "How do I know?",
        &format!("of {DOMAIN}/log/1"),
        &format!("mesh verify mesh://ada@{DOMAIN}/{post}"),
    ] {
        assert!(got.has(words), "{words}");
    }
    let depth =
        |words: &str| elements.iter().filter(|element| element.name == "p" && element.text == words).map(|element| element.depth).next();
    assert!(depth("Very true.") < depth("Thank you."), "the answer is nested");
    let answer = page(&world, &format!("/@neo/{comment}")).await;
    assert!(answer.has("In reply to “On engines” by ada@"), "{}", answer.body);
}

#[tokio::test]
async fn the_present_version_is_shown_for_every_version() {
    let (mut world, post, _) = small_world().await;
    let ada = world.account("ada");
    let someone = samples::Someone { id: ada.id(), device: mesh_proto::key::SecretKey::from_seed(&[101; 32]), keys: ada.log.head() };
    let edit = Post { revises: Some(post), ..Post::free("Corrected.") };
    let edit = world.say(&someone, Content::Post(edit)).await;
    let got = page(&world, &format!("/@ada/{post}")).await;
    assert!(got.has("Corrected.") && got.has("edited") && got.has("This version was signed"));
    for other in [edit.to_string(), format!("{post}@{edit}"), format!("{post}@{post}")] {
        let got = get(&world, &format!("/@ada/{other}"), &[]).await;
        assert_eq!(got.header(header::LOCATION), format!("/@ada/{post}"), "{other}");
    }
}

#[tokio::test]
async fn what_is_not_here_is_not_found() {
    let (world, post, comment) = small_world().await;
    let unknown = RecordId::from_hash([77; 32]);
    for path in ["/@nobody", "/@..", "/@%3Cscript%3E", "/nowhere", "/@ada/x", &format!("/@neo/{post}"), &format!("/@ada/{unknown}")] {
        let got = get(&world, path, &[(header::ACCEPT, "text/html,*/*;q=0.1")]).await;
        assert_eq!(got.status, StatusCode::NOT_FOUND, "{path}");
        assert!(got.is_noindex());
    }
    let got = get(&world, &format!("/@ada/{post}@{comment}"), &[]).await;
    assert_eq!(got.status, StatusCode::NOT_FOUND, "a version of something else");
    assert_eq!(get(&world, "/@Ada", &[]).await.header(header::LOCATION), "/@ada");
    for query in ["before=zzz", "before=a&before=b"] {
        assert_eq!(get(&world, &format!("/@ada?{query}"), &[]).await.status, StatusCode::BAD_REQUEST);
    }
    let problem = get(&world, "/nowhere", &[(header::ACCEPT, "application/json")]).await;
    assert_eq!((problem.status, problem.header(header::CONTENT_TYPE)), (StatusCode::NOT_FOUND, "application/problem+json"));
}

#[tokio::test]
async fn what_was_withdrawn_is_gone() {
    let mut world = World::new();
    let ada = world.join("ada", "Ada", "").await;
    let post = world.post(&ada, "A secret word: xyzzy").await;
    let root = object(&ada, post);
    let comment = world.comment(&ada, &root, &root, "Another: plugh").await;
    world.withdraw(&ada, comment.id).await;
    let got = page(&world, &format!("/@ada/{post}")).await;
    assert!(got.has("This comment was withdrawn by its author.") && !got.body.contains("plugh"));
    world.withdraw(&ada, post).await;
    let got = get(&world, &format!("/@ada/{post}"), &[]).await;
    assert_eq!(got.status, StatusCode::GONE);
    assert!(got.has("This post was withdrawn") && got.has("by its author") && got.is_noindex());
    assert!(!got.body.contains("xyzzy"));
}

#[tokio::test]
async fn terms_that_a_page_cannot_meet_hide_the_text() {
    let mut world = World::new();
    let ada = world.join("ada", "Ada", "").await;
    for terms in [Terms::Sub, Terms::Paid, Terms::Unknown("<auction>".into())] {
        let post = Post { terms, title: Some("xyzzy".into()), ..Post::free("xyzzy") };
        let post = world.say(&ada, Content::Post(post)).await;
        for path in ["/@ada".to_owned(), format!("/@ada/{post}")] {
            let got = page(&world, &path).await;
            assert!(got.has("Not shown: terms.") && !got.body.contains("xyzzy"), "{path}");
        }
    }
}

#[tokio::test]
async fn hostile_names_and_texts_stay_text() {
    let mut world = World::new();
    let ada = world.join("ada", HOSTILE, HOSTILE).await;
    let mut post = Post::free(format!("{HOSTILE} https://x.example/\"onclick=\"alert(1) javascript:alert(1)"));
    post.title = Some(HOSTILE.into());
    let post = world.say(&ada, Content::Post(post)).await;
    let root = object(&ada, post);
    let comment = world.comment(&ada, &root, &root, HOSTILE).await;
    for path in ["/", "/@ada", &format!("/@ada/{post}"), &format!("/@ada/{}", comment.id)] {
        let got = page(&world, path).await;
        assert!(got.has("alert(1)"), "{path}");
        for element in got.elements().iter().filter(|element| element.name == "bdi" || element.name == "title") {
            assert!(!element.text.contains('\u{202E}'), "{path}: {element:?}");
        }
    }
}

#[tokio::test]
async fn a_poll_shows_its_votes_and_its_end() {
    let mut world = World::new();
    let (ada, neo) = (world.join("ada", "Ada", "").await, world.join("neo", "", "").await);
    let ends = samples::START_MS + 120_000;
    let poll = Poll { options: vec!["Tea".into(), HOSTILE.into(), "\u{200B}".into()], choose: Choose::One, ends };
    let post = world.say(&ada, Content::Post(Post { poll: Some(poll.clone()), ..Post::free("Which?") })).await;
    let path = format!("/@ada/{post}");
    let got = page(&world, &path).await;
    assert!(got.has("0 people voted so far") && got.has("ends 23 November 2026, 06:07 UTC") && got.has("mesh vote"), "{}", got.body);
    assert!(!got.body.contains("<b onclick") && got.has("Option 3"), "{}", got.body);
    let choices = Choices::new([0]).expect("one");
    world.say(&neo, Content::Vote(Vote { object: object(&ada, post), poll: poll.hash(), ends, choices })).await;
    for path in ["/@ada", &path] {
        let got = page(&world, path).await;
        assert!(got.has("100 % (1 vote)") && got.has("0 % (0 votes)") && got.has("1 person voted so far"), "{path}: {}", got.body);
    }
    // Nothing changes in the store when a poll ends: the kept page goes all the same. Each look at the clock takes a second.
    let mut looks = 0;
    while !page(&world, &path).await.has("1 person voted · ended 23 November 2026, 06:07 UTC") {
        looks += 1;
        assert!(looks < 200, "it never ends");
    }
    let feed = get(&world, "/@ada/feed.json", &[]).await.body;
    assert!(feed.contains("– Tea") && feed.contains("<bdi>Tea</bdi>"), "{feed}");
    assert!(get(&world, "/@ada/feed.atom", &[]).await.body.contains("Tea"));
}

#[tokio::test]
async fn an_imported_post_says_where_it_came_from() {
    let mut world = World::new();
    let ada = world.join("ada", "Ada", "").await;
    for (url, is_linked) in [("https://social.example/1", true), ("javascript:alert(1)", false), ("at://did:plc:x/post/1", false)] {
        let imported = Some(Imported { from: "mastodon".into(), url: url.into(), at: samples::START_MS });
        let post = world.say(&ada, Content::Post(Post { imported, ..Post::free("Said before.") })).await;
        let got = page(&world, &format!("/@ada/{post}")).await;
        assert!(got.has("Imported from mastodon, where it was said on 23 November 2026, 06:05 UTC, says its author"), "{}", got.body);
        assert_eq!(got.elements().iter().any(|element| element.attribute("href") == Some(url)), is_linked, "{url}");
    }
}

#[tokio::test]
async fn lists_are_paged() {
    let mut world = World::new();
    let ada = world.join("ada", "Ada", "").await;
    for number in 0..45 {
        world.post(&ada, &format!("Post number {number}.")).await;
    }
    let mut path = "/@ada".to_owned();
    let mut seen = 0;
    for _ in 0..3 {
        let got = page(&world, &path).await;
        let elements = got.elements();
        seen += elements.iter().filter(|element| element.name == "article").count();
        let next = elements.iter().find(|element| element.name == "a" && element.attribute("rel") == Some("next"));
        path = next.and_then(|next| next.attribute("href")).unwrap_or_default().to_owned();
    }
    assert_eq!((seen, path.as_str()), (45, ""));
}

#[tokio::test]
async fn a_repost_shows_what_it_passes_on() {
    let (mut world, post, _) = small_world().await;
    let ada = world.account("ada");
    let bob = world.join("bob", "Bob", "").await;
    let here = mesh_proto::record::ObjectRef { actor: ada.id(), home: domain(), id: post, version: post };
    let repost = world.repost(&bob, here).await;
    for path in ["/@bob".to_owned(), format!("/@bob/{repost}")] {
        let got = page(&world, &path).await;
        assert!(got.has("reposts") && got.has("On engines") && got.has("A second paragraph."), "{path}: {}", got.body);
    }
}

#[tokio::test]
async fn comments_of_other_domains_lead_home_and_say_when_it_does_not_answer() {
    let (world, post, _) = small_world().await;
    let view: RecordView = world.app.node.views.record(post).await.expect("the post");
    let author = world.app.node.views.account(&world.account("ada")).expect("the author");
    let mut comments = vec![foreign_comment(1, post)];
    comments.extend((2..12).map(|number| foreign_comment(number, RecordId::from_hash([number - 1; 32]))));
    comments[0].card.disowned = true;
    let url = comments[0].url.clone();
    let thread = record::Thread::new(&view, &Comments { comments, next: Some("next".into()) }, false, &domain());
    let entry = entry::Entry::new(&view, &domain(), entry::Extent::Whole);
    let page = record::RecordPage::new(Site::new(domain()), &author, &view, entry, thread);
    let html = askama::Template::render(&page).expect("renders");
    let elements = html::read(&html);
    assert!(elements.iter().any(|element| element.name == "a" && element.attribute("href") == Some(&url)));
    let body = elements.iter().find(|element| element.name == "body").expect("a body");
    assert!(body.text.contains("This comment lives at trinity@two.localhost:8002, which does not answer right now."));
    assert!(body.text.contains("was revoked, and its owner does not stand by it"));
    assert!(body.text.contains("in reply to trinity@two.localhost:8002"), "deep answers say what they answer");
    let deepest = elements.iter().filter(|element| element.name == "ol").map(|element| element.depth).max().expect("lists");
    assert!(deepest < 20, "{deepest}");
}

#[tokio::test]
async fn the_stylesheet_is_cached_under_its_version() {
    let world = World::new();
    let url = page(&world, "/").await.link("stylesheet").expect("a stylesheet");
    let got = get(&world, &url, &[]).await;
    assert_eq!(got.header(header::CACHE_CONTROL), "public, max-age=31536000, immutable");
    assert_eq!(got.header(header::CONTENT_TYPE), "text/css; charset=utf-8");
    let plain = get(&world, "/assets/mesh.css?v=old", &[]).await;
    assert_eq!(plain.header(header::CACHE_CONTROL), "public, max-age=0, must-revalidate");
    let again = get(&world, &url, &[(header::IF_NONE_MATCH, got.header(header::ETAG))]).await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);
}

#[test]
fn counters_have_the_right_number() {
    assert_eq!([0, 1, 2, 12_345].map(|count| plural(count, "comment")), ["0 comments", "1 comment", "2 comments", "12,345 comments"]);
    assert_eq!([999, 1_000, 1_000_000].map(grouped), ["999", "1,000", "1,000,000"]);
}

#[test]
fn only_browsers_want_html() {
    let wants = |accept: &str| answer::wants_html(&HeaderMap::from_iter([(header::ACCEPT, accept.parse().expect("a header"))]));
    assert!(wants("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
    assert!(wants("application/json, Text/HTML;q=0.5"));
    assert!(!wants("*/*") && !wants("application/json") && !wants("text/html;q=0") && !answer::wants_html(&HeaderMap::new()));
}
