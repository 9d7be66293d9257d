//! Where words begin and end.

use super::fold::{continues, fold};
use crate::limits::WORD_CHARS_MAX;
use std::ops::Range;

/// Scripts that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Script {
    Latin,
    Cyrillic,
    Greek,
    Arabic,
    Devanagari,
    Han,
    Hiragana,
    Katakana,
    Hangul,
    Thai,
    Other,
}

impl Script {
    fn of(character: char) -> Self {
        match character {
            '\u{0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' | '\u{ff21}'..='\u{ff5a}' => Self::Latin,
            '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}' => Self::Greek,
            '\u{400}'..='\u{52f}' => Self::Cyrillic,
            '\u{600}'..='\u{6ff}' | '\u{750}'..='\u{77f}' | '\u{fb50}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}' => Self::Arabic,
            '\u{900}'..='\u{97f}' => Self::Devanagari,
            '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' => Self::Thai,
            '\u{3041}'..='\u{309f}' => Self::Hiragana,
            '\u{30a0}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' | '\u{ff66}'..='\u{ff9f}' => Self::Katakana,
            '\u{1100}'..='\u{11ff}' | '\u{3131}'..='\u{318e}' | '\u{ac00}'..='\u{d7a3}' => Self::Hangul,
            '\u{3005}'..='\u{3007}'
            | '\u{3400}'..='\u{4dbf}'
            | '\u{4e00}'..='\u{9fff}'
            | '\u{f900}'..='\u{faff}'
            | '\u{20000}'..='\u{3ffff}' => Self::Han,
            _ => Self::Other,
        }
    }

    /// Whether words of it are written without spaces, or with endings grown to them, so that pairs of characters stand for words.
    pub(crate) fn is_paired(self) -> bool {
        matches!(self, Self::Han | Self::Hiragana | Self::Katakana | Self::Hangul | Self::Thai)
    }
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A word.
    Word,
    /// Two neighbouring characters of a run.
    Pair,
    /// The last character of a run that has pairs.
    Last,
    /// The one character of a run.
    Lone,
}

/// A word or pair of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// Folded.
    pub(crate) word: String,
    /// Where it is in the text, bytes.
    pub(crate) range: Range<usize>,
    pub(crate) position: u32,
    pub(crate) script: Script,
    pub(crate) shape: Shape,
}

/// The words of a text, at most so many.
pub(crate) fn tokens(text: &str, most: usize) -> Vec<Token> {
    let mut reader = Reader { text, tokens: Vec::new(), position: 0 };
    let mut characters = text.char_indices().peekable();
    while let Some((start, first)) = characters.next() {
        if reader.tokens.len() >= most {
            break;
        }
        let script = Script::of(first);
        if !first.is_alphanumeric() && !script.is_paired() {
            continue;
        }
        let mut end = start + first.len_utf8();
        if script.is_paired() {
            while let Some((at, next)) = characters.next_if(|(_, next)| Script::of(*next) == script) {
                end = at + next.len_utf8();
            }
            reader.run(start..end, script);
            continue;
        }
        let mut letters = 1;
        while let Some(&(at, next)) = characters.peek() {
            let is_letter = next.is_alphanumeric() && !Script::of(next).is_paired();
            if !is_letter && !continues(next) && !joins(text, at, next, letters) {
                break;
            }
            end = at + next.len_utf8();
            letters += 1;
            characters.next();
        }
        reader.word(start..end, script);
    }
    reader.tokens.truncate(most);
    reader.tokens
}

/// Whether an apostrophe is within a word (`don't`), and not after an article (`l'été`).
fn joins(text: &str, at: usize, character: char, letters: usize) -> bool {
    let after = text.get(at + character.len_utf8()..).and_then(|rest| rest.chars().next());
    matches!(character, '\'' | '\u{2019}') && letters > 2 && after.is_some_and(char::is_alphanumeric)
}

struct Reader<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    position: u32,
}

impl Reader<'_> {
    fn word(&mut self, range: Range<usize>, script: Script) {
        let written = self.text.get(range.clone()).unwrap_or_default();
        // A mark may be written many times, so bytes are looked at before characters.
        if written.len() <= WORD_CHARS_MAX * 16 {
            let word = fold(written);
            if !word.is_empty() && word.chars().count() <= WORD_CHARS_MAX {
                self.tokens.push(Token { word, range, position: self.position, script, shape: Shape::Word });
            }
        }
        self.position += 1;
    }

    fn run(&mut self, range: Range<usize>, script: Script) {
        let written = self.text.get(range.clone()).unwrap_or_default();
        if written.contains(is_half_width) {
            // Sound marks are characters of their own there, and become one with what they follow.
            let whole = fold(written);
            let characters = whole.chars().map(|character| (range.clone(), character.to_string())).collect();
            return self.pairs(characters, script);
        }
        let characters = written
            .char_indices()
            .map(|(at, character)| {
                let start = range.start + at;
                (start..start + character.len_utf8(), fold(character.encode_utf8(&mut [0; 4])))
            })
            .collect();
        self.pairs(characters, script);
    }

    fn pairs(&mut self, characters: Vec<(Range<usize>, String)>, script: Script) {
        for pair in characters.windows(2) {
            if let [(from, first), (to, second)] = pair {
                self.push(format!("{first}{second}"), from.start..to.end, script, Shape::Pair);
            }
        }
        let shape = if characters.len() > 1 { Shape::Last } else { Shape::Lone };
        if let Some((range, last)) = characters.into_iter().last() {
            self.push(last, range, script, shape);
        }
    }

    fn push(&mut self, word: String, range: Range<usize>, script: Script, shape: Shape) {
        if !word.is_empty() {
            self.tokens.push(Token { word, range, position: self.position, script, shape });
        }
        self.position += 1;
    }
}

fn is_half_width(character: char) -> bool {
    matches!(character, '\u{ff66}'..='\u{ff9f}')
}

#[cfg(test)]
mod tests {
    use super::tokens;

    fn check(text: &str, expected: &[&str]) {
        let words: Vec<String> = tokens(text, 100).into_iter().map(|token| token.word).collect();
        assert_eq!(words, expected, "{text}");
    }

    #[test]
    fn words_end_where_people_end_them() {
        check("Hello, World! #tag @neo@mesh.org", &["hello", "world", "tag", "neo", "mesh", "org"]);
        check("l'été don't neo’s 3.14", &["l", "ete", "dont", "neos", "3", "14"]);
        check("", &[]);
        check("… — !!", &[]);
    }

    #[test]
    fn east_asian_runs_give_pairs_and_their_last_character() {
        check("我爱猫", &["我爱", "爱猫", "猫"]);
        check("猫", &["猫"]);
        check("食べました", &["食", "べま", "まし", "した", "た"]);
        check("Rust言語", &["rust", "言語", "語"]);
    }

    #[test]
    fn ranges_cut_the_text_at_its_characters() {
        let text = "Größe 東京 naïve\u{301}\u{301}";
        for token in tokens(text, 100) {
            assert!(text.get(token.range).is_some());
        }
    }
}
