//! People and posts for the judges: ordinary ones, and hostile ones.

use crate::federation::polls::{asked, long_poll, poll, vote};
use crate::network::{Home, now_ms};
use mesh_proto::envelope::Envelope;
use mesh_proto::keylog::Action;
use mesh_proto::record::ReportReason;
use mesh_proto::record::{
    Choose, Comment, Content as Said, Imported, Like, ObjectRef, Post, Preview, Profile, Repost, Retract, RetractReason, Terms,
};
use mesh_proto::ruling::Measure;
use mesh_server::operator::{Order, Target};
use mesh_testkit::TestAccount;
use std::collections::BTreeMap;

/// Markup, scripts, overrides of direction, marks that pile up, look-alikes.
fn hostile() -> String {
    let zalgo: String =
        "Zalgo".chars().flat_map(|c| std::iter::once(c).chain("\u{0300}\u{0316}\u{0489}".chars().cycle().take(60))).collect();
    format!(
        "</title></script><script>hostile=1;alert(1)</script><img src=x onerror=\"hostile=1\"> \u{202E}gnp.exe\u{2066} {zalgo} \
         javascript:alert(1) data:text/html,<script>alert(1)</script> https://\u{0430}pple.com/ https://x.example/\"onmouseover=alert(1) #tag\u{202E} \u{200B}\u{FEFF}]]>--><!--"
    )
}

/// What was published, and where the pages are, by kind.
pub(super) struct Content {
    pub(super) pages: BTreeMap<&'static str, String>,
}

/// A request with headers; redirects are not followed.
pub(super) async fn get(home: &Home, path: &str, headers: &[(&str, &str)]) -> reqwest::Response {
    let mut request = home.http.get(format!("http://127.0.0.1:{}{path}", home.port));
    for (name, value) in headers {
        request = request.header(*name, reqwest::header::HeaderValue::from_bytes(value.as_bytes()).expect("a header"));
    }
    request.send().await.expect("an answer")
}

/// What answers `parent` in the thread of `root`.
pub(super) fn comment(root: &ObjectRef, parent: &ObjectRef, text: String) -> Said {
    Said::Comment(Comment { root: root.clone(), parent: parent.clone(), text, lang: None, terms: Terms::Free, revises: None })
}

/// The page of a record.
pub(super) fn path(person: &TestAccount, record: &Envelope) -> String {
    format!("/@{}/{}", person.address().user(), record.id())
}

impl Content {
    /// Publishes everything through the server's API.
    pub(super) async fn publish(home: &Home) -> Self {
        let (ada, neo, eve) = (home.person("ada", 1).await, home.person("neo", 2).await, home.person("eve", 3).await);
        let bio = "Mathematics and machines. #engines\n\nhttps://ada.example/notes";
        home.says(&ada, Said::Profile(Profile { name: "Ada Lovelace".into(), bio: bio.into(), ..Profile::default() })).await;
        home.says(&neo, Said::Profile(Profile { name: "مهندس (Neo)".into(), bio: "من ایران.".into(), ..Profile::default() })).await;
        let name: String = hostile().chars().take(90).filter(|c| *c != '\n').collect();
        home.says(&eve, Said::Profile(Profile { name, bio: hostile(), ..Profile::default() })).await;
        let mut pages = BTreeMap::from([
            ("home", "/".to_owned()),
            ("about", "/about".into()),
            ("profile", "/@ada".into()),
            ("hostile-profile", "/@eve".into()),
        ]);
        pages.extend([("tag", "/tag/engines".to_owned()), ("tag-unused", "/tag/unused".into()), ("missing", "/nowhere".into())]);
        pages.extend([("search", "/search".to_owned()), ("search-found", "/search?q=a".into())]);
        Self::ordinary(home, (&ada, &neo), &mut pages).await;
        Self::bad(home, (&eve, &neo), &mut pages).await;
        Self::gone(home, &mut pages).await;
        Self::polls(home, (&ada, &eve, &neo), &mut pages).await;
        Self { pages }
    }

    async fn ordinary(home: &Home, (ada, neo): (&TestAccount, &TestAccount), pages: &mut BTreeMap<&'static str, String>) {
        let text = "The engine weaves algebraic patterns just as the loom weaves flowers and leaves.\nIt can do whatever we know how to order it to perform. #Engines\n\nMore at https://ada.example/looms?a=1&b=2.";
        let preview = Preview {
            url: "https://ada.example/looms".into(),
            title: "An essay on looms".into(),
            description: Some("How cards tell a loom what to weave.".into()),
        };
        let post = Post {
            title: Some("On engines".into()),
            tags: vec!["looms".into()],
            lang: Some("en-GB".into()),
            preview: Some(preview),
            ..Post::free(text)
        };
        let post = home.says(ada, Said::Post(post)).await;
        let root = ada.object(&post);
        home.says(neo, Said::Like(Like { object: root.clone() })).await;
        let mut parent = root.clone();
        for number in 0..50 {
            let by = if number % 2 == 0 { neo } else { ada };
            let said = home
                .says(by, comment(&root, &parent, format!("Comment number {number}: what a fine thought, and how far it may lead.")))
                .await;
            pages.insert("comment", path(by, &said));
            parent = if number % 7 == 6 { root.clone() } else { by.object(&said) };
        }
        pages.insert("post", path(ada, &post));
        let untitled = home.says(ada, Said::Post(Post::free("No title, few words."))).await;
        pages.insert("untitled", path(ada, &untitled));
        let repost = home.says(neo, Said::Repost(Repost { object: root })).await;
        pages.insert("repost", path(neo, &repost));
        let gone = home.says(ada, Said::Post(Post::free("To be withdrawn."))).await;
        home.says(ada, Said::Retract(Retract { object: gone.id(), reason: RetractReason::Author })).await;
        pages.insert("withdrawn", path(ada, &gone));
        let paid = home.says(ada, Said::Post(Post { terms: Terms::Paid, ..Post::free("For sale.") })).await;
        pages.insert("paid", path(ada, &paid));
    }

    /// Somebody who said nothing yet, somebody who is suspended, somebody who left.
    async fn gone(home: &Home, pages: &mut BTreeMap<&'static str, String>) {
        home.person("zoe", 4).await;
        let (mal, mut bob) = (home.person("mal", 5).await, home.person("bob", 6).await);
        home.says(&mal, Said::Post(Post::free("Buy now!"))).await;
        let order =
            Order { target: Target::Account("mal".into()), measure: Measure::Suspend, reason: ReportReason::Spam, text: String::new() };
        home.operator::<serde_json::Value>("POST", "/rulings", &order).await.expect("the operator decides");
        let root = bob.root.clone();
        let close = bob.key_op(Action::AccountClose, &root);
        assert_eq!(home.submit_key(&bob, &close).await.status, 200);
        pages.extend([("profile-empty", "/@zoe".to_owned()), ("suspended", "/@mal".into()), ("closed", "/@bob".into())]);
        pages.extend([("nobody", "/@nobody".to_owned()), ("search-nothing", "/search?q=zebra".into())]);
    }

    /// Polls that are open, over and hostile, and posts that came from elsewhere.
    async fn polls(home: &Home, (ada, eve, neo): (&TestAccount, &TestAccount, &TestAccount), pages: &mut BTreeMap<&'static str, String>) {
        let open = long_poll(&["Difference engine", "Analytical engine, which takes cards and is not built yet", "Loom"]);
        let question = asked(ada, &open);
        home.accept(&question).await;
        home.says(neo, vote(ada, &question, &open, &[1])).await;
        home.says(eve, vote(ada, &question, &open, &[2])).await;
        pages.insert("poll", path(ada, &question));
        let over = asked(ada, &poll(&["Yes", "No"], Choose::Many, now_ms() - 1_000));
        home.accept(&over).await;
        pages.insert("poll-over", path(ada, &over));
        let texts: Vec<String> = (0..8).map(|number| format!("{number}{}", hostile())).collect();
        let cut: Vec<&str> = texts.iter().map(|text| &text[..text.floor_char_boundary(256)]).collect();
        let bad = asked(eve, &long_poll(&[&cut[..7], &["W".repeat(256).as_str()]].concat()));
        home.accept(&bad).await;
        pages.insert("hostile-poll", path(eve, &bad));
        for (name, url) in [("imported", "https://social.example/@ada/1"), ("hostile-import", "javascript:alert(1)//\"><script>^`{|}")] {
            let imported = Some(Imported { from: "mastodon".into(), url: url.into(), at: 1_580_000_000_000 });
            let said = home.says(ada, Said::Post(Post { imported, ..Post::free("Said before.") })).await;
            pages.insert(name, path(ada, &said));
        }
    }

    async fn bad(home: &Home, (eve, neo): (&TestAccount, &TestAccount), pages: &mut BTreeMap<&'static str, String>) {
        let title: String = hostile().chars().take(60).collect();
        let post = home.says(eve, Said::Post(Post { title: Some(title), ..Post::free(hostile()) })).await;
        home.says(neo, comment(&eve.object(&post), &eve.object(&post), hostile())).await;
        pages.insert("hostile-post", path(eve, &post));
        let word = home.says(eve, Said::Post(Post::free("W".repeat(32 * 1024)))).await;
        pages.insert("long-word", path(eve, &word));
        let root = eve.object(&word);
        let mut parent = root.clone();
        for number in 0..120 {
            let said = home.says(neo, comment(&root, &parent, format!("{number} {}", "x".repeat(300)))).await;
            parent = neo.object(&said);
        }
        let first = get(home, &pages["long-word"], &[]).await.text().await.expect("a page");
        let next =
            first.split("href=\"").find(|href| href.contains("?after=")).and_then(|href| href.split('#').next()).expect("a next page");
        pages.insert("deep-thread", next.to_owned());
    }
}
