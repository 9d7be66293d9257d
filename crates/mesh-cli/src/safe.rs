//! Making others' text harmless for a terminal.

/// Replaces what could move the cursor, recolour, retitle or reorder a terminal: control characters except line feed and tab, escape
/// sequences by their first byte, and the invisible characters that turn the direction of text around. They are shown as `\u{…}`.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_harmless(c) {
            out.push(c);
        } else {
            out.extend(c.escape_unicode());
        }
    }
    out
}

/// The same, on one line.
pub(crate) fn line(text: &str) -> String {
    plain(&text.replace(['\n', '\t'], " "))
}

fn is_harmless(c: char) -> bool {
    let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{061c}');
    let separates = matches!(c, '\u{2028}' | '\u{2029}');
    c == '\n' || c == '\t' || !(c.is_control() || turns || separates)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(plain(text), expected);
    }

    #[test]
    fn escapes_are_shown_instead_of_obeyed() {
        check("a\u{1b}[2Jb", "a\\u{1b}[2Jb");
        check("a\u{9b}31mb", "a\\u{9b}31mb");
        check("a\rb\u{7}", "a\\u{d}b\\u{7}");
        check("user\u{202e}gpj.exe", "user\\u{202e}gpj.exe");
    }

    #[test]
    fn people_s_languages_and_lines_stay_as_they_are() {
        check("zwei\nZeilen\tüber 日本語 עברית 👩‍👩‍👧", "zwei\nZeilen\tüber 日本語 עברית 👩‍👩‍👧");
        assert_eq!(line("a\nb"), "a b");
    }
}
