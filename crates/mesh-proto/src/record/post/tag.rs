//! Tags: which are the same, and which stand in a text. `spec/post.md`.

use super::Post;
use crate::limits::{TAG_BYTES_MAX, TEXT_TAGS_MAX};
use std::collections::BTreeSet;
use std::ops::Range;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The form in which tags are compared: Unicode lower case, then NFC. Signed bytes never go through it.
pub fn folded(tag: &str) -> String {
    tag.to_lowercase().nfc().collect()
}

/// The tags that a text names with `#`, each with its place there, the sign included.
pub fn in_text(text: &str) -> impl Iterator<Item = (Range<usize>, &str)> {
    let signs = text.match_indices('#').filter(|(at, _)| opens(&text[..*at]));
    signs.filter_map(|(at, sign)| {
        let start = at + sign.len();
        let rest = &text[start..];
        let tag = &rest[..rest.find(|c| !continues(c)).unwrap_or(rest.len())];
        let tag = tag.trim_end_matches(['-', '_', '\u{200C}', '\u{200D}']);
        let says_something = tag.chars().any(char::is_alphabetic);
        (says_something && tag.len() <= TAG_BYTES_MAX).then(|| (at..start + tag.len(), tag))
    })
}

/// All tags of a post, folded: those that it lists, and the first that its text names.
pub fn of_post(post: &Post) -> BTreeSet<String> {
    let named = in_text(&post.text).take(TEXT_TAGS_MAX).map(|(_, tag)| tag);
    post.tags.iter().map(String::as_str).chain(named).map(folded).collect()
}

/// Whether a tag may begin after this: at the start, after white space, or after what opens a bracket or a quotation.
fn opens(before: &str) -> bool {
    before
        .chars()
        .next_back()
        .is_none_or(|c| c.is_whitespace() || matches!(c, '(' | '[' | '{' | '"' | '\'' | '“' | '‘' | '„' | '«' | '（' | '「'))
}

fn continues(c: char) -> bool {
    c.is_alphanumeric() || is_combining_mark(c) || matches!(c, '_' | '-' | '\u{200C}' | '\u{200D}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let found: Vec<&str> = in_text(text).map(|(_, tag)| tag).collect();
        assert_eq!(found, expected, "{text}");
        for (place, tag) in in_text(text) {
            assert_eq!(&text[place], format!("#{tag}"));
        }
    }

    #[test]
    fn tags_stand_alone_and_say_something() {
        check("#one two #Three, (#four) \"#five-six\"\n#seven_", &["one", "Three", "four", "five-six", "seven"]);
        check("#größe #दोस्ती #東京。", &["größe", "दोस्ती", "東京"]);
        check("a#b https://mesh.example/#c ##d #1 # #- &#39;", &[]);
        check(&format!("#{}", "x".repeat(65)), &[]);
    }

    #[test]
    fn the_same_tag_in_other_letters_is_the_same() {
        let mut post = Post::free("#Größe #GRO\u{0308}SSE #gro\u{0308}ße");
        post.tags = vec!["GRÖßE".into(), "x".into()];
        assert_eq!(
            of_post(&post).into_iter().collect::<Vec<_>>(),
            ["größe", "grösse", "x"].map(str::to_owned).into_iter().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_text_of_nothing_but_tags_counts_the_first() {
        let text: String = (0..10_000).map(|n| format!("#a{n} ")).collect();
        assert_eq!(of_post(&Post::free(text)).len(), TEXT_TAGS_MAX);
    }
}
