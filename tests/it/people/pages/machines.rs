//! What programs read about pages, by parsers that others wrote; structured data by a table of what it must say.

use super::content::{Content, get};
use super::judge;
use crate::network::Home;
use serde_json::{Value, json};

/// What search engines demand of each type, and a little more.
const REQUIRED: [(&str, &[&str]); 8] = [
    (
        "DiscussionForumPosting",
        &["author", "datePublished", "text", "url", "headline", "interactionStatistic", "comment", "mainEntityOfPage"],
    ),
    ("Comment", &["author", "datePublished", "text", "url"]),
    ("ProfilePage", &["mainEntity", "dateCreated"]),
    ("Person", &["name", "url"]),
    ("InteractionCounter", &["interactionType", "userInteractionCount"]),
    ("WebSite", &["name", "url", "potentialAction"]),
    ("CollectionPage", &["name", "url", "description"]),
    ("AboutPage", &["name", "url", "description"]),
];

async fn text(home: &Home, path: &str) -> String {
    let reply = get(home, path, &[]).await;
    assert_eq!(reply.status(), 200, "{path}");
    reply.text().await.expect("text")
}

/// Checks every node of a graph by its type; answers the types.
fn check(node: &Value, seen: &mut Vec<String>) {
    match node {
        Value::Array(nodes) => nodes.iter().for_each(|node| check(node, seen)),
        Value::Object(members) => {
            let types = members.get("@type").into_iter().flat_map(|types| types.as_array().cloned().unwrap_or_else(|| vec![types.clone()]));
            for kind in types.filter_map(|kind| kind.as_str().map(str::to_owned)) {
                let required = REQUIRED.iter().find(|(name, _)| *name == kind).map_or(&[][..], |(_, required)| required);
                for member in required {
                    assert!(members.get(*member).is_some_and(|value| !value.is_null() && value != ""), "{kind} without {member}: {node}");
                }
                seen.push(kind);
            }
            members.values().for_each(|node| check(node, seen));
        }
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn structured_data_says_what_search_engines_demand() {
    let home = Home::start("graph").await;
    let content = Content::publish(&home).await;
    let mut graphs = serde_json::Map::new();
    for (page, kind) in [
        ("post", "DiscussionForumPosting"),
        ("post", "SocialMediaPosting"),
        ("post", "Comment"),
        ("comment", "Comment"),
        ("profile", "ProfilePage"),
        ("profile", "Person"),
        ("home", "WebSite"),
        ("tag", "CollectionPage"),
        ("about", "AboutPage"),
        ("hostile-post", "DiscussionForumPosting"),
        ("hostile-profile", "ProfilePage"),
    ] {
        let html = text(&home, &content.pages[page]).await;
        let graph =
            html.split_once("<script type=\"application/ld+json\">").and_then(|(_, rest)| rest.split_once("</script>")).expect("a graph").0;
        assert!(!graph.contains(['<', '>', '&']), "{page}");
        graphs.insert(page.to_owned(), graph.into());
        let graph: Value = serde_json::from_str(graph).expect("JSON");
        assert_eq!(graph["@context"], "https://schema.org");
        let mut seen = Vec::new();
        check(&graph, &mut seen);
        assert!(seen.iter().any(|seen| seen == kind), "{page}: no {kind} among {seen:?}");
    }
    let read = judge("machines.mjs", &json!({ "graphs": graphs, "maps": {} })).await;
    let says = |page: &str, name: &str, value: &str| {
        let triples = read["graphs"][page].as_array().expect("triples");
        triples.iter().any(|triple| triple[0].as_str().is_some_and(|found| found.ends_with(name)) && triple[1] == value)
    };
    assert!(says("post", "/headline", "On engines") && says("post", "/commentCount", "50") && says("post", "/name", "Ada Lovelace"));
    assert!(says("profile", "/alternateName", &home.address("ada")) && says("home", "#type", "https://schema.org/SearchAction"));
    assert!(says("hostile-post", "#type", "https://schema.org/DiscussionForumPosting"));
}

#[tokio::test(flavor = "multi_thread")]
async fn feeds_are_read_by_another_parser() {
    let home = Home::start("feeds").await;
    let content = Content::publish(&home).await;
    let post = format!("http://{}{}", home.domain, content.pages["post"]);
    for (base, entries) in [("", 9), ("/@ada", 6), ("/@eve", 3), ("/tag/engines", 1)] {
        for form in ["atom", "json"] {
            let path = format!("{base}/feed.{form}");
            let feed = feed_rs::parser::parse(text(&home, &path).await.as_bytes()).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert_eq!(feed.entries.len(), entries, "{path}");
            assert!(feed.title.is_some_and(|title| !title.content.is_empty()), "{path}");
            for entry in &feed.entries {
                assert!(entry.published.is_some() && !entry.links.is_empty() && !entry.authors.is_empty(), "{path}: {entry:?}");
                let body = entry.content.as_ref().and_then(|content| content.body.as_deref()).expect("the words");
                assert!(!body.contains("<script") && !body.contains("<img"), "{path}: {body}");
            }
            if base != "/@eve" {
                assert!(feed.entries.iter().any(|entry| entry.id == post), "{path}");
            }
        }
    }
    assert!(!text(&home, "/feed.atom").await.contains("For sale"), "what is for sale is in no feed");
}

/// The text of every element of a name, by a strict parser.
fn elements(xml: &str, name: &str) -> Vec<String> {
    let mut reader = quick_xml::Reader::from_str(xml);
    reader.config_mut().check_end_names = true;
    let mut found = Vec::new();
    let mut open = false;
    loop {
        match reader.read_event().expect("well-formed") {
            quick_xml::events::Event::Start(start) => open = start.name().as_ref() == name.as_bytes(),
            quick_xml::events::Event::Text(text) if open => found.push(text.decode().expect("text").into_owned()),
            quick_xml::events::Event::End(_) => open = false,
            quick_xml::events::Event::Eof => return found,
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn site_maps_name_what_may_be_found_and_nothing_else() {
    let home = Home::start("maps").await;
    let content = Content::publish(&home).await;
    let robots = text(&home, "/robots.txt").await;
    let index = robots.lines().find_map(|line| line.strip_prefix("Sitemap: ")).expect("a site map");
    let base = format!("http://{}", home.domain);
    let index = text(&home, index.strip_prefix(&base).expect("here")).await;
    let mut maps = serde_json::Map::from_iter([("index".to_owned(), index.as_str().into())]);
    for map in elements(&index, "loc") {
        maps.insert(map.clone(), text(&home, map.strip_prefix(&base).expect("here")).await.into());
    }
    let read = judge("machines.mjs", &json!({ "graphs": {}, "maps": maps })).await;
    let member = |entry: &Value, name: &str| entry[name].as_str().map(str::to_owned);
    let (mut pages, mut dated) = (Vec::new(), 0);
    for map in read["maps"]["index"].as_array().expect("maps") {
        let entries = read["maps"][map["url"].as_str().expect("an address")].as_array().expect("entries");
        assert!(!entries.is_empty());
        // A map changed when its newest page did, or later if that one is not shown any more.
        let newest = entries.iter().filter_map(|entry| member(entry, "lastmod")).max();
        assert!(newest.is_some() && member(map, "lastmod") >= newest, "{map}: {newest:?}");
        dated +=
            entries.iter().filter(|entry| member(entry, "lastmod").is_some_and(|date| date.len() == "2026-11-23T06:05:00Z".len())).count();
        pages.extend(entries.iter().filter_map(|entry| member(entry, "url")));
    }
    assert_eq!(dated, pages.len() - 1, "all but what is said about the domain");
    for name in ["home", "about", "profile", "post", "untitled", "hostile-post"] {
        assert!(pages.contains(&format!("{base}{}", content.pages[name])), "{name} is not in {pages:?}");
    }
    for name in ["withdrawn", "paid", "repost", "comment", "search"] {
        assert!(!pages.contains(&format!("{base}{}", content.pages[name])), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn posts_can_be_embedded_elsewhere() {
    let home = Home::start("embed").await;
    let content = Content::publish(&home).await;
    for page in ["post", "hostile-post", "comment"] {
        let html = text(&home, &content.pages[page]).await;
        let href = html
            .split("type=\"application/json+oembed\"")
            .nth(1)
            .and_then(|rest| rest.split("href=\"").nth(1))
            .and_then(|rest| rest.split('"').next());
        let href = href.expect("a link").replace("&#38;", "&").replace("&amp;", "&");
        let embed: Value = serde_json::from_str(&text(&home, &href).await).expect("JSON");
        for member in ["version", "type", "html", "width", "author_name", "provider_name"] {
            assert!(!embed[member].is_null(), "{member}");
        }
        assert_eq!((embed["version"].as_str(), embed["type"].as_str()), (Some("1.0"), Some("rich")));
        let quoted = embed["html"].as_str().expect("markup");
        assert!(quoted.starts_with("<blockquote") && !quoted.contains("<script") && !quoted.contains("<img"), "{quoted}");
        let xml = text(&home, &href.replace("format=json", "format=xml")).await;
        assert_eq!(elements(&xml, "version"), ["1.0"]);
    }
    assert_eq!(get(&home, &format!("/oembed?format=yaml&url=http://{}{}", home.domain, content.pages["post"]), &[]).await.status(), 501);
}
