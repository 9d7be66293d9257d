//! The query language against an index.

use crate::{Bed, document, numbers, request, search};
use mesh_search::{Document, DocumentKind, Has, Match, Note, Query, QueryError, Request, Sort};

const JANUARY_MS: u64 = 1_767_225_600_000;
const DAY_MS: u64 = 86_400_000;

fn bed() -> Bed {
    let bed = Bed::new();
    let post = |no, text: &str| Document { published_ms: JANUARY_MS + no * DAY_MS, ..document(no, text) };
    bed.put(&Document { tags: vec!["Музыка".into(), "jazz".into()], ..post(0, "A concert in the park") });
    bed.put(&Document { author: "trinity@zion.example".into(), domain: "zion.example".into(), ..post(1, "A concert at night") });
    bed.put(&Document { kind: DocumentKind::Comment, has: Has::LINK.with(Has::IMAGE), ..post(2, "That concert was loud") });
    bed.put(&Document { kind: DocumentKind::Profile, title: "Neo Anderson".into(), ..post(3, "I like a quiet evening") });
    bed.put(&Document { language: Some("de".into()), ..post(4, "Ein Konzert im Park") });
    bed
}

fn check(query: &str, expected: &[u64]) {
    let bed = bed();
    for place in ["memory", "disk"] {
        let parsed = Query::parse(query).expect(query);
        let strict = Request { matching: Match::Strict, ..request(&parsed) };
        let mut found = numbers(&bed.opened.index.search(&strict).expect("an answer"));
        found.sort_unstable();
        assert_eq!(found, expected, "{query} in {place}");
        bed.flush();
    }
}

#[test]
fn filters_narrow_what_is_found() {
    check("concert", &[0, 1, 2]);
    check("concert from:trinity@zion.example", &[1]);
    check("concert from:@Trinity@Zion.Example", &[1]);
    check("from:trinity@zion.example from:neo@mesh.example concert", &[0, 1, 2]);
    check("domain:mesh.example concert", &[0, 2]);
    check("concert -domain:mesh.example", &[1]);
    check("#jazz", &[0]);
    check("tag:музыка", &[0]);
    check("type:comment", &[2]);
    check("type:profile anderson", &[3]);
    check("has:image has:link", &[2]);
    check("has:poll", &[]);
    check("lang:de", &[4]);
    check("after:2026-01-02 concert", &[1, 2]);
    check("before:2026-01-02 concert", &[0]);
}

#[test]
fn words_are_wanted_unwanted_or_one_of_several() {
    check("concert -loud", &[0, 1]);
    check("concert -\"at night\"", &[0, 2]);
    check("loud OR night", &[1, 2]);
    check("concert loud OR night", &[1, 2]);
    check("type:post -concert", &[4]);
}

#[test]
fn phrases_are_found_word_for_word() {
    check("\"concert in the park\"", &[0]);
    check("“a concert at night”", &[1]);
    check("\"Konzert im Park\"", &[4]);
    check("\"neo anderson\"", &[3]);
    check("\"anderson like\"", &[]);
}

#[test]
fn without_words_the_newest_come_first() {
    let bed = bed();
    assert_eq!(bed.find("domain:mesh.example"), [4, 3, 2, 0]);
    bed.flush();
    assert_eq!(bed.find("domain:mesh.example"), [4, 3, 2, 0]);
    assert_eq!(numbers(&search(&bed.opened.index, "concert", Sort::New)), [2, 1, 0]);
}

#[test]
fn what_cannot_be_meant_is_refused_in_words() {
    for (query, part) in [
        ("", "nothing to search for"),
        ("   \u{0}\u{7} ()*", "nothing to search for"),
        ("-word", "does not want"),
        ("type:nonsense x", "post, comment or profile"),
        ("before:yesterday x", "2026-01-31"),
        ("after:2026-13-45 x", "2026-01-31"),
        ("has:nothing x", "link, image"),
    ] {
        let error = Query::parse(query).expect_err(query).to_string();
        assert!(error.contains(part), "{query}: {error}");
    }
}

#[test]
fn bombs_are_refused_or_clipped_and_answered() {
    let bed = bed();
    assert!(matches!(Query::parse(&"a ".repeat(500_000)), Err(QueryError::TooLong(1_000_000))));
    let many: String = (0..500).map(|number| format!("w{number} ")).collect();
    let query = Query::parse(&many).expect("clipped");
    assert_eq!(query.notes(), [Note::Words]);
    assert_eq!(query.words().len(), mesh_search::limits::QUERY_WORDS_MAX);
    assert!(query.notes()[0].to_string().contains("first 32 words"));
    let filters: String = (0..100).map(|number| format!("tag:t{number} ")).collect();
    assert_eq!(Query::parse(&filters).expect("clipped").notes(), [Note::Filters]);
    for bomb in [
        "(".repeat(2_000) + "concert" + &")".repeat(2_000),
        ".*(a+)+$ concert".to_owned(),
        "concert\u{0}\u{1b}[31m\u{202e}".to_owned(),
        "\"".repeat(4_000) + "concert",
        "-".repeat(100) + "concert park",
        "OR OR OR concert OR OR".to_owned(),
        "\u{301}".repeat(2_000) + "concert",
        "concert ".to_owned() + &"猫 ".repeat(900),
        many,
    ] {
        if let Ok(query) = Query::parse(&bomb) {
            bed.opened.index.search(&request(&query)).expect("an answer");
        }
    }
    assert_eq!(bed.find(".*(concert)$ \u{0}\u{1b}").len(), 3);
}

proptest::proptest! {
    #[test]
    fn no_text_breaks_the_parser_or_the_search(text in ".{0,200}") {
        let bed = Bed::new();
        bed.put(&document(1, &text));
        if let Ok(query) = Query::parse(&text) {
            bed.opened.index.search(&request(&query)).expect("an answer");
        }
        bed.opened.index.suggest(&text, 5).expect("suggestions");
    }
}
