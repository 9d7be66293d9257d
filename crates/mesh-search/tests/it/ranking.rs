//! What comes first, and that others can compute it again.

use crate::{Bed, NOW_MS, document, numbers, request, search};
use mesh_search::{Document, Match, Pass, Query, Request, Sort, Statistics, score};
use std::collections::BTreeMap;

const DAY_MS: u64 = 86_400_000;

#[test]
fn titles_and_tags_count_more_than_text() {
    let bed = Bed::new();
    bed.put(&document(0, "spoon fork knife plate cup glass"));
    bed.put(&Document { tags: vec!["spoon".into()], ..document(1, "fork knife plate cup glass") });
    bed.put(&Document { title: "spoon".into(), ..document(2, "fork knife plate cup glass") });
    assert_eq!(bed.find("spoon"), [2, 1, 0]);
    bed.flush();
    assert_eq!(bed.find("spoon"), [2, 1, 0]);
}

#[test]
fn among_equals_the_newer_and_the_more_popular_come_first() {
    let bed = Bed::new();
    let aged = |no, days| Document { published_ms: NOW_MS - days * DAY_MS, ..document(no, "the same spoon") };
    bed.put(&aged(0, 900));
    bed.put(&aged(1, 1));
    bed.put(&Document { popularity: 50_000, ..aged(2, 900) });
    bed.put(&Document { popularity: 50_000, ..aged(3, 1) });
    bed.put(&aged(4, 900));
    for _ in 0..2 {
        assert_eq!(bed.find("spoon"), [3, 1, 2, 0, 4]);
        bed.flush();
    }
}

#[test]
fn scores_can_be_computed_again_and_are_the_same_on_disk_and_in_memory() {
    let texts: Vec<String> = (0..60).map(|no| format!("spoon {} fork {}", "knife ".repeat(no % 7), "spoon ".repeat(no % 5))).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let bed = Bed::with(&texts);
    for text in ["spoon", "spoon knife", "knives OR forks spoons", "spoon OR nothing"] {
        let query = Query::parse(text).expect("a query");
        let answer = bed.opened.index.search(&Request { limit: 100, ..request(&query) }).expect("an answer");
        assert!(answer.hits.len() > 20, "{text}");
        for hit in &answer.hits {
            let bm25 = score::bm25(&answer.statistics, &answer.words, &hit.times, hit.length);
            assert_eq!(bm25.to_bits(), hit.bm25.to_bits());
            let score = bm25 * score::signals(hit.published_ms, hit.popularity, NOW_MS);
            assert_eq!(score.to_bits(), hit.score.to_bits());
        }
        assert!(answer.hits.windows(2).all(|pair| pair[0].score >= pair[1].score * 0.99999), "{text}");
    }
    let again = Bed::new();
    texts.iter().zip(0..).for_each(|(text, no)| again.put(&document(no, text)));
    let statistics = search(&bed.opened.index, "spoon knife", Sort::Best).statistics;
    let query = Query::parse("spoon knife").expect("a query");
    let given = Request { statistics: Some(&statistics), ..request(&query) };
    let (memory, disk) = (again.opened.index.search(&given).expect("an answer"), bed.opened.index.search(&given).expect("an answer"));
    assert_eq!(memory.hits, disk.hits);
}

#[test]
fn statistics_of_others_change_what_is_rare() {
    let bed = Bed::with(&["spoon fork", "spoon plate", "spoon cup", "fork glass"]);
    let query = Query::parse("spoon fork").expect("a query");
    let with = |spoon, fork| {
        let frequencies = BTreeMap::from([("spoon".to_owned(), spoon), ("fork".to_owned(), fork)]);
        let statistics = Statistics { documents: 1_000, tokens: 2_000, frequencies };
        let request = Request { matching: Match::Any, statistics: Some(&statistics), ..request(&query) };
        numbers(&bed.opened.index.search(&request).expect("an answer"))
    };
    assert_eq!(with(900, 2)[..2], [0, 3]);
    assert_eq!(with(2, 900)[..3], [0, 1, 2]);
    // More documents with a term than documents: somebody lies, nothing breaks.
    assert_eq!(with(u64::MAX, u64::MAX).len(), 4);
}

#[test]
fn a_mistyped_word_is_found_in_the_second_pass_and_marked() {
    let bed = Bed::with(&["The revolution of machines", "A revolutionary painting", "Nothing of interest"]);
    let answer = search(&bed.opened.index, "revolutoin machines", Sort::Best);
    assert_eq!(numbers(&answer)[0], 0);
    assert_eq!(answer.hits[0].pass, Pass::Tolerant);
    assert_eq!(answer.corrections[0].word, "revolutoin");
    assert_eq!(answer.corrections[0].meant[0], "revolution");
    let answer = search(&bed.opened.index, "revolution machines", Sort::Best);
    assert_eq!(answer.hits[0].pass, Pass::Exact);
    assert!(answer.hits[1..].iter().all(|hit| hit.pass == Pass::Tolerant && hit.no != 0));
}

#[test]
fn any_words_rank_by_how_many_and_how_rare() {
    let bed = Bed::with(&["what about spoons", "spoons and zebras", "zebras in a zoo", "nothing at all", "some spoons"]);
    let query = Query::parse("where are the zebras with spoons").expect("a query");
    let answer = bed.opened.index.search(&Request { matching: Match::Any, ..request(&query) }).expect("an answer");
    assert_eq!(answer.hits[0].no, 1);
    assert_eq!(answer.hits.len(), 4);
}

#[test]
fn suggestions_complete_the_last_word_by_how_often_it_is_written() {
    let bed = Bed::with(&["matrix machine", "matrix reloaded", "Matrix maple", "machine"]);
    assert_eq!(bed.opened.index.suggest("the Ma", 2).expect("suggestions"), ["the matrix", "the machine"]);
    assert!(bed.opened.index.suggest("matrix ", 5).expect("suggestions").is_empty());
    assert!(bed.opened.index.suggest(&"m".repeat(100_000), 5).expect("suggestions").is_empty());
}

#[test]
fn a_snapshot_names_every_term_of_the_documents_that_stand() {
    let bed = Bed::with(&["spoon spoon fork", "fork", "knife"]);
    bed.opened.writer.remove(1).expect("removed");
    bed.put(&document(3, "spoon"));
    bed.flush();
    let snapshot = bed.opened.index.snapshot().expect("a snapshot");
    let mut terms = BTreeMap::new();
    snapshot
        .for_each_term(|term, postings| {
            terms.insert(term.to_owned(), postings.iter().map(|posting| (posting.no, posting.times, posting.length)).collect::<Vec<_>>());
        })
        .expect("terms");
    let expected = [("fork", vec![(0, 1, 3)]), ("knife", vec![(2, 1, 1)]), ("spoon", vec![(0, 2, 3), (3, 1, 1)])];
    assert_eq!(terms, expected.into_iter().map(|(term, postings)| (term.to_owned(), postings)).collect());
    assert_eq!((snapshot.documents(), snapshot.tokens()), (3, 5));
    assert_eq!(snapshot.generation(), bed.opened.index.generation());
}
