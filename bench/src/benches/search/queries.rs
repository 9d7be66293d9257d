//! Queries as people make them, with words as frequent as they are in the texts.

use super::corpus::{Corpus, Dice};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    One,
    And,
    Or,
    Phrase,
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::One, Self::And, Self::Or, Self::Phrase];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::And => "and",
            Self::Or => "or",
            Self::Phrase => "phrase",
        }
    }

    /// The query in our language.
    pub(super) fn ours(self, words: &[String; 2]) -> String {
        let [first, second] = words;
        match self {
            Self::One => first.clone(),
            Self::And => format!("{first} {second}"),
            Self::Or => format!("{first} OR {second}"),
            Self::Phrase => format!("\"{first} {second}\""),
        }
    }

    /// The query in the language of FTS5.
    pub(super) fn sqlite(self, words: &[String; 2]) -> String {
        let [first, second] = words;
        match self {
            Self::One => format!("\"{first}\""),
            Self::And => format!("\"{first}\" AND \"{second}\""),
            Self::Or => format!("\"{first}\" OR \"{second}\""),
            Self::Phrase => format!("\"{first} {second}\""),
        }
    }
}

/// Pairs of words that stand side by side in a text; for all but phrases, any two of one text.
pub(super) fn pairs(corpus: &Corpus, kind: Kind, count: usize) -> Vec<[String; 2]> {
    let mut dice = Dice(7 + kind as u64);
    let mut pairs = Vec::with_capacity(count);
    while pairs.len() < count {
        let text = &corpus.texts[dice.below(corpus.texts.len())];
        let words: Vec<&str> = text.split_whitespace().collect();
        let first = dice.below(words.len());
        let second = if kind == Kind::Phrase { first + 1 } else { dice.below(words.len()) };
        let (Some(first), Some(second)) = (words.get(first), words.get(second)) else { continue };
        if first != second && [first, second].iter().all(|word| word.len() > 2 && word.bytes().all(|byte| byte.is_ascii_alphabetic())) {
            pairs.push([first.to_lowercase(), second.to_lowercase()]);
        }
    }
    pairs
}
