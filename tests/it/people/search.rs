//! Finding what people say: with the API, the page and the program, against real servers.

use super::{Terminal, uri};
use crate::network::{Home, Reply, until};
use mesh_proto::api::{SearchPage, Suggestions};
use mesh_proto::envelope::RecordId;
use mesh_proto::record::{Comment, Content, Like, Post, Profile, Retract, RetractReason, Terms};

async fn search(home: &Home, query: &str) -> SearchPage {
    let query: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
    home.get(&format!("/api/v1/search?q={query}")).await.json()
}

async fn ids(home: &Home, query: &str) -> Vec<RecordId> {
    search(home, query).await.results.into_iter().map(|result| result.record.card.id).collect()
}

fn text(reply: &Reply) -> String {
    String::from_utf8_lossy(&reply.body).into_owned()
}

async fn until_found(home: &Home, query: &str, wanted: &[RecordId]) {
    until(&format!("{query} finds {wanted:?}"), async || ids(home, query).await == wanted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_say_is_found_as_it_is_now() {
    let mut home = Home::start("one").await;
    let (ada, neo) = (home.person("ada", 1).await, home.person("neo", 2).await);
    let tags = vec!["garden".to_owned()];
    let post = home.says(&ada, Content::Post(Post { tags, ..Post::free("Runner beans climbed the old trellis") })).await;
    let id = post.id();
    until_found(&home, "bean trellises", &[id]).await;
    until_found(&home, "tag:garden from:ada@one.localhost", &[]).await;
    until_found(&home, &format!("tag:garden from:{}", home.address("ada")), &[id]).await;
    let found = search(&home, "\"old trellis\"").await;
    let hits: Vec<&str> = found.results[0].snippet.iter().filter(|piece| piece.hit).map(|piece| piece.text.as_str()).collect();
    assert_eq!(hits, ["old", "trellis"], "{found:?}");
    assert_eq!(ids(&home, "beans -trellis").await, []);

    // An answer, a person, and a word that is written a little wrong.
    let object = mesh_proto::record::ObjectRef { id, actor: ada.id(), home: ada.address().domain().clone(), version: id };
    let answer = Comment {
        root: object.clone(),
        parent: object.clone(),
        text: "Mine prefer a fence".into(),
        lang: None,
        terms: Terms::Free,
        revises: None,
    };
    let answer = home.says(&neo, Content::Comment(answer)).await;
    until_found(&home, "fences type:comment", &[answer.id()]).await;
    let profile =
        home.says(&neo, Content::Profile(Profile { name: "Thomas Anderson".into(), bio: "Follows rabbits".into(), noindex: false })).await;
    until_found(&home, "anderson", &[profile.id()]).await;
    until("a misspelt word is understood", async || {
        search(&home, "trelis").await.results.iter().any(|result| result.tolerant && result.record.card.id == id)
    })
    .await;
    let suggested: Suggestions = home.get("/api/v1/search/suggestions?q=old%20tre").await.json();
    assert_eq!(suggested.queries, ["old trellis"]);

    // An edit is found by its words, and no longer by those before.
    let edit = Post { revises: Some(id), ..Post::free("Runner beans climbed the new arbour") };
    home.says(&ada, Content::Post(edit)).await;
    until_found(&home, "arbour", &[id]).await;
    assert_eq!(ids(&home, "trellis type:post").await, []);
    // What stops and starts again finds the same.
    home.says(&neo, Content::Like(Like { object })).await;
    home.stop().await;
    home.start_again().await;
    until_found(&home, "arbour", &[id]).await;
    // What was withdrawn is not found from that moment on.
    home.says(&ada, Content::Retract(Retract { object: id, reason: RetractReason::Author })).await;
    assert_eq!(ids(&home, "arbour").await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_want_to_be_found_is_not() {
    let home = Home::start("one").await;
    let ada = home.person("ada", 1).await;
    let post = home.says(&ada, Content::Post(Post::free("A secret garden"))).await;
    let object = ada.object(&post);
    let answer =
        Comment { root: object.clone(), parent: object, text: "With a wall".into(), lang: None, terms: Terms::Free, revises: None };
    let answer = home.says(&ada, Content::Comment(answer)).await;
    until_found(&home, "secret", &[post.id()]).await;
    until_found(&home, "wall", &[answer.id()]).await;
    let profile = |noindex| Content::Profile(Profile { name: "Ada".into(), bio: "Countess".into(), noindex });
    home.says(&ada, profile(true)).await;
    assert_eq!(ids(&home, "secret").await, []);
    assert_eq!(ids(&home, "countess").await, []);
    let page = home.get(&format!("/@ada/{}", post.id())).await;
    assert!(text(&page).contains("noindex"), "other search engines are told as well");
    until("its words are not suggested", async || {
        home.get("/api/v1/search/suggestions?q=secr").await.json::<Suggestions>().queries.is_empty()
    })
    .await;
    // And again, answers too.
    let shown = home.says(&ada, profile(false)).await;
    until_found(&home, "secret", &[post.id()]).await;
    until_found(&home, "wall", &[answer.id()]).await;
    until_found(&home, "countess", &[shown.id()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn index_that_is_lost_or_damaged_is_made_anew() {
    let mut home = Home::start("one").await;
    let ada = home.person("ada", 1).await;
    let post = home.says(&ada, Content::Post(Post::free("Nothing is lost"))).await;
    until_found(&home, "lost", &[post.id()]).await;
    home.stop().await;
    let folder = home.folder.path().join("search");
    std::fs::remove_dir_all(&folder).expect("it is there");
    home.start_again().await;
    until_found(&home, "lost", &[post.id()]).await;
    home.stop().await;
    let mut damaged = 0;
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if std::fs::metadata(&path).is_ok_and(|meta| meta.len() > 0) {
                std::fs::write(&path, b"not what it was").expect("it is ours");
                damaged += 1;
            }
        }
    }
    assert!(damaged > 0);
    home.start_again().await;
    until_found(&home, "lost", &[post.id()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_questions_are_refused_or_clipped_in_words() {
    let home = Home::start("one").await;
    let ada = home.person("ada", 1).await;
    let post = home.says(&ada, Content::Post(Post::free("plain <script>alert(1)</script> words \u{202e}"))).await;
    until_found(&home, "plain", &[post.id()]).await;
    let many = "word ".repeat(200);
    assert!(!search(&home, &many).await.notes.is_empty(), "it is told that not all words were searched for");
    for query in ["(((((((((", "[a-z]*+?{1,9999}", "\u{0}\u{1}\u{7f}", "from:", "before:never", "\"", "-", "::::"] {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let reply = home.get(&format!("/api/v1/search?q={encoded}")).await;
        assert!(reply.status == 200 || reply.status == 400, "{query:?}: {}", reply.status);
        assert_eq!(home.get(&format!("/search?q={encoded}")).await.status, 200, "{query:?}");
    }
    let reply = home.get(&format!("/api/v1/search?q={}", "x".repeat(5_000))).await;
    assert_eq!(reply.status, 400, "{}", text(&reply));
    assert_eq!(home.get("/api/v1/search?q=plain&after=nonsense").await.status, 400);
    let page = text(&home.get("/search?q=plain").await);
    assert!(page.contains("<mark>plain</mark>") && !page.contains("<script"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stranger_searches_a_domain_from_a_terminal() {
    let home = Home::start("one").await;
    let ada = Terminal::new();
    ada.join(&home.address("ada")).await;
    let post = ada.one(&["post", "The loom weaves algebraic patterns"]).await;
    let stranger = Terminal::new();
    let domain = home.address("ada").split('@').nth(1).expect("a domain").to_owned();
    until("the post is found", async || {
        let (_, shown) = stranger.run(&["search", "--on", &domain, "pattern", "algebra"]).await;
        shown.contains("algebraic patterns") && shown.contains(uri(&post))
    })
    .await;
    let (code, words) = stranger.run_all(&["search", "loom"]).await;
    assert!(code == 2 && words.contains("--on"), "{words}");
    let (code, words) = ada.run_all(&["search", "nothing-of-the-kind"]).await;
    assert!(code == 0 && words.contains("has these words"), "{words}");
}
