//! Forms of words are found in the languages that people write.

use crate::{Bed, numbers, search};
use mesh_search::{Pass, Sort};

const ENGLISH: &str = "The wizards were running through the libraries and reading old books about naïve kings";
const GERMAN: &str = "Die alten Häuser am Fluss wurden gestern von mutigen Feuerwehrleuten gerettet, und die Bewohner feierten";
const RUSSIAN: &str = "Вчера мы читали интересные книги о далёких городах и смелых путешественниках";
const CHINESE: &str = "我们昨天在图书馆读了一本关于人工智能的书";
const JAPANESE: &str = "昨日は東京で美味しい寿司を食べました。コンピューターも買いました。";
const ARABIC: &str = "ذهب الطلاب إلى المدرسة وقرأوا الكتب الجديدة في المكتبات";

/// Whether the text is found by each query, exactly, on disk and while it is in memory only.
fn check(text: &str, queries: &[&str]) {
    let in_memory = Bed::new();
    in_memory.put(&crate::document(0, text));
    let on_disk = Bed::with(&[text]);
    for query in queries {
        for bed in [&in_memory, &on_disk] {
            let answer = search(&bed.opened.index, query, Sort::Best);
            assert_eq!(numbers(&answer), [0], "{query}");
            assert_eq!(answer.hits[0].pass, Pass::Exact, "{query}");
        }
    }
}

#[test]
fn english_forms_are_found() {
    check(ENGLISH, &["wizard", "run library", "LIBRARY", "naive king", "book reads"]);
}

#[test]
fn german_forms_are_found_with_and_without_umlauts() {
    check(GERMAN, &["Haus", "haus", "hauser", "Fluß", "fluss", "alte Häuser", "mutig", "bewohner"]);
}

#[test]
fn russian_forms_are_found_with_and_without_dots() {
    check(RUSSIAN, &["книга", "книгами", "город", "далекий город", "далёких", "интересная", "путешественник"]);
}

#[test]
fn chinese_words_are_found_by_pairs_and_single_characters() {
    check(CHINESE, &["图书馆", "人工智能", "书", "昨天", "智能", "我"]);
}

#[test]
fn japanese_words_are_found_in_other_forms() {
    check(JAPANESE, &["東京", "食べる", "食べた", "寿司", "コンピューター", "ｺﾝﾋﾟｭｰﾀｰ", "買う"]);
}

#[test]
fn arabic_words_are_found_with_and_without_article_and_marks() {
    check(ARABIC, &["مدرسة", "المدرسة", "طلاب", "الجديدة", "جديدة", "مكتبة", "المَدْرَسَة"]);
}

#[test]
fn a_short_text_in_a_language_that_cannot_be_told_is_found() {
    check("Grüße aus Köln", &["grüße", "Grusse köln", "koln"]);
    check("Vive la République", &["republique"]);
}
