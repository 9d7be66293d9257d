//! Pages follow one another without gap or repetition, whatever is written in between.

use crate::{Bed, document, request};
use mesh_search::{Cursor, Document, Query, Request, SearchError, Sort};

/// All pages of a search; `between` is called after each.
fn pages(bed: &Bed, query: &str, sort: Sort, between: impl Fn(u64)) -> Vec<u64> {
    let query = Query::parse(query).expect("a query");
    let (mut all, mut after): (Vec<u64>, Option<Cursor>) = (Vec::new(), None);
    for page in 0.. {
        let answer = bed.opened.index.search(&Request { sort, limit: 7, after: after.as_ref(), ..request(&query) }).expect("an answer");
        all.extend(answer.hits.iter().map(|hit| hit.no));
        let Some(next) = answer.next else { break };
        // As it comes back from a page's link.
        after = Some(next.to_string().parse().expect("a cursor"));
        between(page);
    }
    all
}

fn filled(count: u64) -> Bed {
    let bed = Bed::new();
    for no in 0..count {
        let text = format!("spoon {}", "fork ".repeat((no % 9) as usize));
        bed.put(&Document { popularity: (no * 7_919 % 1_000) as u32, ..document(no, &text) });
        if no % 200 == 150 {
            bed.flush();
        }
    }
    bed
}

#[test]
fn pages_show_every_document_once_even_deeper_than_the_first_candidates() {
    let bed = filled(700);
    for sort in [Sort::Best, Sort::New] {
        let mut all = pages(&bed, "spoon", sort, |_| {});
        all.sort_unstable();
        assert_eq!(all, (0..700).collect::<Vec<_>>(), "{sort:?}");
    }
}

#[test]
fn what_is_written_between_pages_moves_nothing() {
    for sort in [Sort::Best, Sort::New] {
        let bed = filled(60);
        let alone = pages(&bed, "spoon", sort, |_| {});
        let busy = pages(&bed, "spoon", sort, |page| {
            for no in 0..5 {
                bed.put(&document(1_000 + page * 10 + no, "another spoon for the soup"));
            }
            bed.flush();
        });
        let kept: Vec<u64> = busy.into_iter().filter(|no| *no < 1_000).collect();
        assert_eq!(kept, alone, "{sort:?}");
    }
}

#[test]
fn pages_go_on_into_the_tolerant_pass() {
    let texts: Vec<String> = (0..25).map(|no| if no < 5 { "spoon fork".to_owned() } else { format!("spoon number {no}") }).collect();
    let bed = Bed::with(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    let mut all = pages(&bed, "spoon fork", Sort::Best, |_| {});
    assert!(all[..5].iter().all(|no| *no < 5));
    all.sort_unstable();
    assert_eq!(all, (0..25).collect::<Vec<_>>());
}

#[test]
fn a_forged_cursor_is_refused_or_harmless() {
    let bed = filled(30);
    for text in ["", "x", "%%%", "e30", &"A".repeat(100_000)] {
        assert!(matches!(text.parse::<Cursor>(), Err(SearchError::Cursor)), "{}", text.len());
    }
    let forged = r#"{"p":"tolerant","n":0,"s":{"documents":0,"tokens":0,"frequencies":{}},"w":[],"t":[["a"],["b"],["c"]],"k":18446744073709551615,"f":[4294967295,0],"a":[18446744073709551615,0]}"#;
    let cursor: Result<Cursor, _> = data_encoding::BASE64URL_NOPAD.encode(forged.as_bytes()).parse();
    if let Ok(cursor) = cursor {
        let query = Query::parse("spoon fork").expect("a query");
        bed.opened.index.search(&Request { after: Some(&cursor), ..request(&query) }).expect("an answer");
    }
}
