//! Long lists and deep threads: every page ends, leads on while there is more, never to nothing, and all of them together lose nobody's words.

use super::PAGE_BYTES_MAX;
use super::content::{comment, get, path};
use crate::network::Home;
use crate::people::Terminal;
use mesh_proto::api::{Comments, RecordView};
use mesh_proto::envelope::Envelope;
use mesh_proto::record::{Content as Said, Post};
use mesh_testkit::TestAccount;
use std::num::NonZeroU32;

/// How deep the deepest comment answers.
const DEPTH: usize = 10_000;
/// Largest page before it is compressed.
const HTML_BYTES_MAX: usize = 256 * 1024;

async fn open(label: &str) -> Home {
    Home::start_with(label, |config| config.limits.writes_per_second = NonZeroU32::MAX).await
}

async fn page(home: &Home, path: &str) -> String {
    let reply = get(home, path, &[("accept", "text/html")]).await;
    assert_eq!(reply.status(), 200, "{path}");
    let html = reply.text().await.expect("a page");
    assert!(html.len() <= HTML_BYTES_MAX, "{path}: {} bytes", html.len());
    html
}

/// Where a page says that it goes on.
fn next(html: &str) -> Option<String> {
    let link = html.split("rel=\"next\" href=\"").nth(1)?.split(['"', '#']).next()?;
    Some(link.replace("&amp;", "&"))
}

/// What begins with `mark` and ends before a quotation mark, in the order of the page.
fn marked<'a>(html: &'a str, mark: &'a str) -> impl Iterator<Item = String> + 'a {
    html.split(mark).skip(1).filter_map(|rest| Some(rest.split('"').next()?.to_owned()))
}

/// How many of `mark` each page of a list has.
async fn counts(home: &Home, path: &str, mark: &str) -> Vec<usize> {
    let mut counts = Vec::new();
    let mut at = Some(path.to_owned());
    while let Some(path) = at {
        let html = page(home, &path).await;
        counts.push(marked(&html, mark).count());
        at = next(&html);
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_lead_on_while_there_is_more_and_never_to_an_empty_page() {
    let home = open("paging").await;
    let (ada, neo) = (home.person("ada", 1).await, home.person("neo", 2).await);
    let mut post = None;
    for number in 1..=41 {
        post = Some(home.says(&ada, Said::Post(Post::free(format!("Number {number} #numbers")))).await);
        let expected: &[usize] = match number {
            19 => &[19],
            20 => &[20],
            21 => &[20, 1],
            40 => &[20, 20],
            41 => &[20, 20, 1],
            _ => continue,
        };
        for list in ["/@ada", "/tag/numbers"] {
            assert_eq!(counts(&home, list, "href=\"/@ada/a").await, expected, "{number} posts on {list}");
        }
    }
    let post = post.expect("posts");
    let root = ada.object(&post);
    for number in 1..=101 {
        home.says(&neo, comment(&root, &root, format!("comment {number}"))).await;
        let expected: &[usize] = match number {
            49 => &[49],
            50 => &[50],
            51 => &[50, 1],
            100 => &[50, 50],
            101 => &[50, 50, 1],
            _ => continue,
        };
        assert_eq!(counts(&home, &path(&ada, &post), "id=\"c-").await, expected, "{number} comments");
    }
}

/// A post with a thread in which each comment answers the one before it; answers the comments' ids.
async fn deep(home: &Home, (ada, neo): (&TestAccount, &TestAccount)) -> (Envelope, Vec<String>) {
    let post = home.says(ada, Said::Post(Post::free("How deep does it go?"))).await;
    let root = ada.object(&post);
    let (mut parent, mut ids) = (root.clone(), Vec::with_capacity(DEPTH));
    for number in 1..=DEPTH {
        let by = if number % 2 == 0 { ada } else { neo };
        let said = home.says(by, comment(&root, &parent, format!("level {number}"))).await;
        parent = by.object(&said);
        ids.push(said.id().to_string());
    }
    (post, ids)
}

#[tokio::test(flavor = "multi_thread")]
async fn thread_ten_thousand_deep_is_read_to_its_end_in_bounded_pages() {
    let home = open("deep").await;
    let (ada, neo) = (home.person("ada", 1).await, home.person("neo", 2).await);
    let (post, ids) = deep(&home, (&ada, &neo)).await;
    let permalink = path(&ada, &post);

    let (mut seen, mut at) = (Vec::new(), Some(permalink.clone()));
    while let Some(path) = at {
        let html = page(&home, &path).await;
        // What is nested beyond the deepest level is told in words.
        assert!(html.matches("<ol>").count() <= 50 && html.contains("10,000 comments"), "{path}");
        seen.extend(marked(&html, "id=\"c-"));
        at = next(&html);
    }
    assert_eq!(seen, ids, "the pages of the thread");
    let packed = get(&home, &permalink, &[("accept-encoding", "br")]).await.bytes().await.expect("a page").len();
    assert!(packed <= PAGE_BYTES_MAX, "{packed} bytes");

    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let part: Comments = home.get(&format!("/api/v1/records/{}/comments?limit=100{after}", post.id())).await.json();
        seen.extend(part.comments.iter().map(|view| view.card.id.to_string()));
        match part.next {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ids, "the pages of the API");

    let (middle, last) = (&ids[DEPTH / 2], &ids[DEPTH - 1]);
    for (id, by) in [(middle, "neo"), (last, "ada")] {
        let view: RecordView = home.get(&format!("/api/v1/records/{id}")).await.json();
        assert_eq!(view.card.id.to_string(), *id);
        let html = page(&home, &format!("/@{by}/{id}")).await;
        assert!(html.contains("In reply to") && html.contains("In the thread of") && html.contains(&permalink), "{id}");
    }
    assert_eq!(page(&home, &format!("/@ada/{last}")).await.matches("No answers yet").count(), 1);
    for feed in ["/feed.atom", "/@ada/feed.json", "/sitemap/1.xml"] {
        let body = page(&home, feed).await;
        assert!(body.contains(&post.id().to_string()) && !body.contains(last.as_str()), "{feed}: comments are in no feed");
    }

    let (terminal, uri) = (Terminal::new(), format!("http://{}{permalink}", home.domain));
    let (code, said) = terminal.run_all(&["thread", &uri, "--limit", "100"]).await;
    assert!(code == 0 && said.contains("level 100") && said.contains("more: mesh thread"), "{code}: {said}");
    assert!(said.len() < 100_000, "{} bytes", said.len());
    let (code, said) = terminal.run_all(&["thread", &uri, "--all"]).await;
    assert_eq!((code, said.lines().filter(|line| line.trim_start().starts_with("level ")).count()), (0, DEPTH));
    assert!(said.len() < DEPTH * 400, "{} bytes", said.len());
}
