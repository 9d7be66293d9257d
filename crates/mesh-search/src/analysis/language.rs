//! Languages: which one a text is in, and the stems of words.

use super::words::{Script, Token};
use crate::limits::LANGUAGE_CHARS_MAX;
use frostem::{Algorithm, Stemmer};
use std::sync::LazyLock;
use whatlang::{Detector, Lang};

/// Words of fewer letters are not stemmed: what is cut off them is mostly the word.
const STEMMED_CHARS_MIN: usize = 4;
/// Words below which a guess among languages of one script is worth nothing.
const GUESSED_WORDS_MIN: usize = 4;

/// A language with a stemmer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Language(&'static Row);

#[derive(Debug, PartialEq, Eq)]
struct Row {
    code: &'static str,
    script: Script,
    detected: Lang,
    algorithm: Algorithm,
}

const fn row(code: &'static str, script: Script, detected: Lang, algorithm: Algorithm) -> Row {
    Row { code, script, detected, algorithm }
}

/// The first of each script is what a text is taken for that does not tell.
static LANGUAGES: &[Row] = &[
    row("en", Script::Latin, Lang::Eng, Algorithm::English),
    row("de", Script::Latin, Lang::Deu, Algorithm::German),
    row("fr", Script::Latin, Lang::Fra, Algorithm::French),
    row("es", Script::Latin, Lang::Spa, Algorithm::Spanish),
    row("pt", Script::Latin, Lang::Por, Algorithm::Portuguese),
    row("it", Script::Latin, Lang::Ita, Algorithm::Italian),
    row("nl", Script::Latin, Lang::Nld, Algorithm::Dutch),
    row("sv", Script::Latin, Lang::Swe, Algorithm::Swedish),
    row("da", Script::Latin, Lang::Dan, Algorithm::Danish),
    row("no", Script::Latin, Lang::Nob, Algorithm::Norwegian),
    row("fi", Script::Latin, Lang::Fin, Algorithm::Finnish),
    row("pl", Script::Latin, Lang::Pol, Algorithm::Polish),
    row("tr", Script::Latin, Lang::Tur, Algorithm::Turkish),
    row("ru", Script::Cyrillic, Lang::Rus, Algorithm::Russian),
    row("uk", Script::Cyrillic, Lang::Ukr, Algorithm::Ukrainian),
    row("el", Script::Greek, Lang::Ell, Algorithm::Greek),
    row("ar", Script::Arabic, Lang::Ara, Algorithm::Arabic),
    row("fa", Script::Arabic, Lang::Pes, Algorithm::Persian),
    row("hi", Script::Devanagari, Lang::Hin, Algorithm::Hindi),
    row("ne", Script::Devanagari, Lang::Nep, Algorithm::Nepali),
];

static DETECTOR: LazyLock<Detector> = LazyLock::new(|| Detector::with_allowlist(LANGUAGES.iter().map(|row| row.detected).collect()));

impl Language {
    /// ISO 639-1.
    pub(crate) fn code(self) -> &'static str {
        self.0.code
    }

    fn of_script(script: Script) -> impl Iterator<Item = Self> {
        LANGUAGES.iter().filter(move |row| row.script == script).map(Self)
    }

    /// The stem of a folded word.
    fn stem(self, word: &str) -> String {
        Stemmer::new(self.0.algorithm).stem(word).into_owned()
    }
}

/// The language of a text, if it is one with a stemmer; what its author said counts first.
pub(crate) fn detect(text: &str, tokens: &[Token], told: Option<&str>) -> Option<Language> {
    if let Some(row) = told.and_then(|told| LANGUAGES.iter().find(|row| told.split('-').next() == Some(row.code))) {
        return Some(Language(row));
    }
    let script = most(tokens)?;
    let mut languages = Language::of_script(script);
    let usual = languages.next()?;
    if languages.next().is_none() || tokens.len() < GUESSED_WORDS_MIN {
        return Some(usual);
    }
    let end = text.char_indices().nth(LANGUAGE_CHARS_MAX).map_or(text.len(), |(at, _)| at);
    // A guess that is not reliable is better than English where letters are that English does not have.
    let foreign = text.chars().any(|character| character.is_alphabetic() && !character.is_ascii()) && usual.code() == "en";
    let guess = DETECTOR.detect(text.get(..end).unwrap_or(text)).filter(|guess| foreign || guess.is_reliable());
    let language = guess.and_then(|guess| LANGUAGES.iter().find(|row| row.detected == guess.lang())).map(Language);
    Some(language.filter(|language| language.0.script == script).unwrap_or(usual))
}

/// The language by its script alone, where a script has one: for `lang:`.
pub(crate) fn of_script(tokens: &[Token]) -> Option<&'static str> {
    if tokens.iter().any(|token| matches!(token.script, Script::Hiragana | Script::Katakana)) {
        return Some("ja");
    }
    match most(tokens)? {
        Script::Han => Some("zh"),
        Script::Hangul => Some("ko"),
        Script::Thai => Some("th"),
        _ => None,
    }
}

fn most(tokens: &[Token]) -> Option<Script> {
    let mut counts: Vec<(Script, usize)> = Vec::new();
    for token in tokens {
        match counts.iter_mut().find(|(script, _)| *script == token.script) {
            Some((_, count)) => *count += 1,
            None => counts.push((token.script, 1)),
        }
    }
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(script, _)| script)
}

impl Token {
    /// The stem under which a document in this language is indexed.
    pub(crate) fn stem(&self, language: Option<Language>) -> String {
        if !self.is_stemmed() {
            return self.word.clone();
        }
        let language = language.filter(|language| language.0.script == self.script).or_else(|| Language::of_script(self.script).next());
        language.map_or_else(|| self.word.clone(), |language| language.stem(&self.word))
    }

    /// All stems under which documents with this word may be indexed, whatever their language; the likeliest first.
    pub(crate) fn stems(&self) -> Vec<String> {
        let mut stems: Vec<String> = Vec::new();
        if self.is_stemmed() {
            for language in Language::of_script(self.script) {
                let stem = language.stem(&self.word);
                if !stems.contains(&stem) {
                    stems.push(stem);
                }
            }
        }
        if stems.is_empty() {
            stems.push(self.word.clone());
        }
        stems
    }

    fn is_stemmed(&self) -> bool {
        let mut letters = 0;
        for character in self.word.chars() {
            if character.is_numeric() {
                return false;
            }
            letters += 1;
        }
        letters >= STEMMED_CHARS_MIN
    }
}
