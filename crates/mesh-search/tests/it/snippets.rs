//! Snippets of kind and of hostile texts.

use mesh_search::{Piece, Query, snippet};
use proptest::prelude::*;

fn pieces(text: &str, query: &str, chars: usize) -> Vec<Piece> {
    snippet(text, &Query::parse(query).expect("a query"), chars)
}

/// The snippet with its hits in brackets.
fn shown(text: &str, query: &str, chars: usize) -> String {
    pieces(text, query, chars).into_iter().map(|piece| if piece.is_hit { format!("[{}]", piece.text) } else { piece.text }).collect()
}

#[test]
fn hits_are_marked_in_every_form() {
    assert_eq!(shown("Two wizards are reading", "wizard reads", 100), "Two [wizards] are [reading]");
    assert_eq!(shown("Die alten Häuser am Fluss", "haus", 100), "Die alten [Häuser] am Fluss");
    assert_eq!(shown("我们在图书馆读书", "图书馆", 100), "我们在[图书馆]读书");
    assert_eq!(shown("黒い猫が好き", "猫", 100), "黒い[猫]が好き");
    assert_eq!(shown("Nothing here", "spoon", 100), "Nothing here");
    assert_eq!(shown("", "spoon", 100), "");
}

#[test]
fn the_part_with_most_hits_is_shown() {
    let text = format!("{} spoon {} spoon and fork together {}", "lorem ".repeat(100), "ipsum ".repeat(100), "dolor ".repeat(100));
    let shown = shown(&text, "spoon fork", 80);
    assert!(shown.contains("[spoon] and [fork]"), "{shown}");
    assert!(shown.starts_with('…') && shown.ends_with('…'));
    assert!(shown.chars().count() < 100);
}

#[test]
fn a_hostile_text_stays_plain_text_on_one_line() {
    let html = "<script>alert('spoon')</script>\n</mark><b>\u{202e}spoon\u{2066}\u{0}\u{1b}[31m";
    let found = pieces(html, "spoon", 200);
    assert_eq!(found.iter().filter(|piece| piece.is_hit).count(), 2);
    assert!(found.iter().all(|piece| !piece.is_hit || piece.text == "spoon"));
    let whole: String = found.into_iter().map(|piece| piece.text).collect();
    assert!(
        !whole.chars().any(|character| character.is_control() || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
    );
    let tower = format!("s{}poon spoon", "\u{301}".repeat(5_000));
    assert!(pieces(&tower, "spoon", 50).iter().map(|piece| piece.text.len()).sum::<usize>() < 200);
    let long = "x".repeat(60_000) + " spoon";
    assert!(pieces(&long, "spoon", 50).iter().map(|piece| piece.text.chars().count()).sum::<usize>() <= 60);
}

proptest! {
    #[test]
    fn any_text_gives_a_bounded_snippet(text in "\\PC{0,300}|[\u{300}-\u{320}a-c \u{202e}漢字かなعرب]{0,300}", chars in 1_usize..400) {
        let found = pieces(&text, "a 漢 か عرب spoon", chars);
        let length: usize = found.iter().map(|piece| piece.text.chars().count()).sum();
        prop_assert!(length <= chars * 32 + 2, "{length}");
        prop_assert!(found.iter().all(|piece| !piece.text.is_empty()));
    }
}
