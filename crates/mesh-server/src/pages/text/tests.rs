use super::*;

fn links(text: &str) -> Vec<String> {
    let paragraphs = Text::whole(text).paragraphs;
    let spans = paragraphs.into_iter().flatten().flatten();
    spans.filter_map(|span| if let Span::Link(link) = span { Some(link.url) } else { None }).collect()
}

fn plain(text: &Text) -> String {
    Text { cut: false, ..text.clone() }.plain()
}

#[test]
fn empty_lines_part_paragraphs() {
    let text = Text::whole("\n\none\ntwo  \n \n\n\nthree\r\nfour\n");
    assert_eq!(plain(&text), "one\ntwo\n\nthree\nfour");
    assert_eq!(text.paragraphs.len(), 2);
}

#[test]
fn only_http_and_https_are_followed() {
    check_links(
        "see https://mesh.example/a?b=c#d and http://x.localhost:8001/",
        &["https://mesh.example/a?b=c#d", "http://x.localhost:8001/"],
    );
    check_links("HTTPS://EXAMPLE.org", &["HTTPS://EXAMPLE.org"]);
    for none in [
        "javascript://x/%0aalert(1)",
        "ftp://x.org",
        "data://x",
        "xhttp://x.org",
        "svn+https://x.org",
        "://x",
        "https://",
        "https:// x",
        "http:///x",
    ] {
        check_links(none, &[]);
    }
}

fn check_links(text: &str, expected: &[&str]) {
    assert_eq!(links(text), expected, "{text:?}");
    assert_eq!(plain(&Text::whole(text)), text, "no character is lost");
}

#[test]
fn punctuation_around_a_link_is_not_part_of_it() {
    check_links("(see https://x.org/a_(b)).", &["https://x.org/a_(b)"]);
    check_links("“https://x.org”, really?", &["https://x.org"]);
    check_links("<https://x.org/>!", &["https://x.org/"]);
    check_links("https://x.org/…", &["https://x.org/"]);
    check_links("[https://x.org]", &["https://x.org"]);
    check_links("http://[::1]:80/", &["http://[::1]:80/"]);
}

#[test]
fn a_link_that_pretends_to_lead_elsewhere_stays_text() {
    check_links("https://bank.example@evil.example/", &[]);
    check_links("https://bank.example%40evil.example/", &[]);
    check_links("https://x.org/\u{202E}gpj.exe", &["https://x.org/"]);
}

#[test]
fn quotes_end_a_link() {
    check_links(r#"https://x.org/"onmouseover="alert(1)"#, &["https://x.org/"]);
}

#[test]
fn many_links_are_bounded_and_no_text_is_lost() {
    let text = "http://a ".repeat(3_000);
    assert_eq!(links(&text).len(), LINKS_MAX);
    assert_eq!(plain(&Text::whole(&text)), text.trim_end());
    check_links(&"http://".repeat(4_000), &[]);
    check_links(&format!("http://a/{}", "b".repeat(LINK_BYTES_MAX)), &[]);
}

#[test]
fn an_excerpt_ends_at_a_word_and_says_so() {
    let text = "wörter ".repeat(1_000);
    let excerpt = Text::excerpt(&text);
    assert!(excerpt.cut);
    assert!(plain(&excerpt).ends_with("wörter"));
    assert!(plain(&excerpt).len() <= EXCERPT_BYTES_MAX);
    assert!(!Text::excerpt("short").cut);
    let lines = Text::excerpt(&"x\n".repeat(1_000));
    assert!(lines.cut);
    assert_eq!(plain(&lines).lines().count(), EXCERPT_LINES_MAX);
    assert!(Text::excerpt(&"語".repeat(1_000)).cut);
}

#[test]
fn names_lose_what_reorders_or_hides() {
    assert_eq!(name("neo\u{202E}gro.knab\u{202C}"), "neogro.knab");
    assert_eq!(name("  a\u{200B}d\u{2066}a\n\tl\u{0}.  "), "ada l .");
    assert_eq!(name("\u{200D}\u{3164} \u{FEFF}"), "");
    assert_eq!(name("نئو"), "نئو");
    assert_eq!(name("👩\u{200D}🚀"), "👩\u{200D}🚀");
}

#[test]
fn a_summary_is_one_short_line() {
    assert_eq!(summary("one\n\ntwo"), "one two");
    let long = summary(&"wort ".repeat(100));
    assert!(long.ends_with("wort…") && long.chars().count() <= SUMMARY_CHARS_MAX + 1, "{long}");
    assert_eq!(summary(&"x".repeat(1_000)).chars().count(), SUMMARY_CHARS_MAX + 1);
}

#[test]
fn tags_lead_to_their_pages_and_links_keep_their_fragments() {
    let text = Text::whole("#Größe, https://x.org/#part (#b-c) a#d");
    let tags: Vec<(String, String)> = text
        .paragraphs
        .concat()
        .concat()
        .into_iter()
        .filter_map(|span| if let Span::Tag(words, path) = span { Some((words, path)) } else { None })
        .collect();
    let expected = [("#Größe", "/tag/gr%C3%B6%C3%9Fe"), ("#b-c", "/tag/b-c")].map(|(words, path)| (words.to_owned(), path.to_owned()));
    assert_eq!(tags, expected);
    assert_eq!(plain(&text), "#Größe, https://x.org/#part (#b-c) a#d");
}

#[test]
fn a_host_that_looks_like_another_one_is_named_as_networks_know_it() {
    let host = |url: &str| Link::new(url).host;
    assert_eq!(host("https://www.apple.com/"), None);
    assert_eq!(host("https://www.\u{430}pple.com:8443/x").as_deref(), Some("www.xn--pple-43d.com"));
    assert_eq!(host("https://\u{2024}\u{0}/").as_deref(), Some("not a valid name"));
}

#[test]
fn marks_that_pile_up_are_cut_back() {
    assert_eq!(name(&format!("Z{}a", "\u{0300}".repeat(1_000))), format!("Z{}a", "\u{0300}".repeat(MARKS_MAX)));
    let written = "q\u{0323}\u{0307} \u{0e17}\u{0e35}\u{0e48}";
    assert_eq!(Text::whole(written).plain(), written);
}

#[test]
fn an_excerpt_is_not_filled_by_one_word() {
    let text = format!("see {}", "W".repeat(30_000));
    let excerpt = Text::excerpt(&text);
    assert!(excerpt.cut);
    assert_eq!(plain(&excerpt).len(), "see ".len() + EXCERPT_WORD_BYTES_MAX);
    assert_eq!(plain(&Text::excerpt(&"語".repeat(200))).chars().count(), 200, "not every language has spaces");
}
