//! What changed between two texts, word by word.

use serde::Serialize;
use similar::{ChangeTag, TextDiff};
use std::time::Duration;

/// Longest search for the smallest change; after it a larger one is told.
const SEARCH_TIME_MAX: Duration = Duration::from_millis(500);
/// Lines without a change that are shown before and after one with.
const CONTEXT_LINES: usize = 1;

/// What became of some words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Fate {
    Kept,
    Removed,
    Added,
}

/// Some words with what became of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Change<'a> {
    fate: Fate,
    words: std::borrow::Cow<'a, str>,
}

/// What became of `before` on the way to `after`: neighbours of one fate stand together, what was removed before what was added.
pub(crate) fn changes(before: &str, after: &str) -> Vec<Change<'static>> {
    let diff = TextDiff::configure().timeout(SEARCH_TIME_MAX).diff_words(before, after);
    let mut changes: Vec<Change<'static>> = Vec::new();
    for op in diff.ops() {
        for piece in diff.iter_changes(op) {
            let fate = match piece.tag() {
                ChangeTag::Equal => Fate::Kept,
                ChangeTag::Delete => Fate::Removed,
                ChangeTag::Insert => Fate::Added,
            };
            match changes.last_mut() {
                Some(last) if last.fate == fate => last.words.to_mut().push_str(piece.value()),
                _ => changes.push(Change { fate, words: piece.value().to_owned().into() }),
            }
        }
    }
    changes
}

/// Changes as people read them: `[-removed-]` and `{+added+}`, and of long texts the lines around them.
pub(crate) fn marked(changes: &[Change<'_>]) -> String {
    if changes.iter().all(|change| change.fate == Fate::Kept) {
        return "[the words are the same]".to_owned();
    }
    // Each line, with whether something changed in it.
    let mut lines = vec![(String::new(), false)];
    for change in changes {
        for (at, part) in change.words.split('\n').enumerate() {
            if at > 0 {
                lines.push((String::new(), false));
            }
            let Some((line, is_changed)) = lines.last_mut() else { continue };
            *is_changed |= change.fate != Fate::Kept;
            match change.fate {
                Fate::Removed if !part.is_empty() => line.push_str(&format!("[-{part}-]")),
                Fate::Added if !part.is_empty() => line.push_str(&format!("{{+{part}+}}")),
                _ => line.push_str(part),
            }
        }
    }
    let is_near = |at: usize| {
        let from = at.saturating_sub(CONTEXT_LINES);
        lines.iter().skip(from).take(at - from + CONTEXT_LINES + 1).any(|(_, is_changed)| *is_changed)
    };
    let mut shown: Vec<&str> = Vec::new();
    for (at, (line, _)) in lines.iter().enumerate() {
        if is_near(at) {
            shown.push(line);
        } else if shown.last() != Some(&"…") {
            shown.push("…");
        }
    }
    shown.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: &str, after: &str, expected: &str) {
        assert_eq!(marked(&changes(before, after)), expected);
    }

    #[test]
    fn changed_words_are_marked_and_far_lines_left_out() {
        check("one two three", "one 2 three", "one [-two-]{+2+} three");
        check("one", "one", "[the words are the same]");
        check("a", "a\nb", "a\n{+b+}");
        check("1\n2\n3\n4\n5\n6", "1\n2\n3\n4\n5\nsix", "…\n5\n[-6-]{+six+}");
    }

    #[test]
    fn texts_of_the_largest_size_without_a_common_word_end_soon() {
        let many = |letter: &str| (0..8_000).map(|n| format!("{letter}{n} ")).collect::<String>();
        assert!(changes(&many("a"), &many("b")).iter().any(|change| change.fate == Fate::Added));
    }
}
