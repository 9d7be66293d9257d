//! Folding: what is written differently and means the same becomes the same.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The folded word: compatibility forms and case gone, diacritics of Latin, Greek, Cyrillic, Hebrew and Arabic too. Marks that are letters stay: vowel
/// signs of Indic scripts, the sound marks of kana, the breve of й.
pub(crate) fn fold(word: &str) -> String {
    if word.is_ascii() {
        return word.chars().filter(|character| *character != '\'').collect::<String>().to_ascii_lowercase();
    }
    let mut folded = String::with_capacity(word.len());
    let mut before = ' ';
    for character in word.nfkd() {
        let keeps = !is_diacritic(character) || (character == '\u{306}' && matches!(before, 'и' | 'И'));
        if keeps && !is_joiner(character) {
            for lower in character.to_lowercase() {
                push(&mut folded, lower);
            }
        }
        before = character;
    }
    folded.nfc().collect()
}

/// Whether the character continues a word without being a letter.
pub(crate) fn continues(character: char) -> bool {
    is_combining_mark(character) || (is_joiner(character) && !matches!(character, '\'' | '\u{2019}'))
}

/// Invisible within words: soft hyphen, joiners, the Arabic stretch; and apostrophes, which are left out.
fn is_joiner(character: char) -> bool {
    matches!(character, '\u{ad}' | '\u{200c}' | '\u{200d}' | '\u{640}' | '\u{2060}' | '\u{fe0e}' | '\u{fe0f}' | '\'' | '\u{2019}')
}

fn is_diacritic(character: char) -> bool {
    matches!(
        character,
        '\u{300}'..='\u{36f}'
            | '\u{483}'..='\u{489}'
            | '\u{591}'..='\u{5bd}'
            | '\u{5bf}'
            | '\u{5c1}'..='\u{5c2}'
            | '\u{5c4}'..='\u{5c5}'
            | '\u{5c7}'
            | '\u{610}'..='\u{61a}'
            | '\u{64b}'..='\u{65f}'
            | '\u{670}'
            | '\u{6d6}'..='\u{6dc}'
            | '\u{6df}'..='\u{6e8}'
            | '\u{6ea}'..='\u{6ed}'
            | '\u{1ab0}'..='\u{1aff}'
            | '\u{1dc0}'..='\u{1dff}'
            | '\u{20d0}'..='\u{20ff}'
    )
}

fn push(folded: &mut String, character: char) {
    match character {
        'ß' => folded.push_str("ss"),
        'æ' => folded.push_str("ae"),
        'œ' => folded.push_str("oe"),
        'þ' => folded.push_str("th"),
        'ø' => folded.push('o'),
        'đ' | 'ð' => folded.push('d'),
        'ł' => folded.push('l'),
        'ħ' => folded.push('h'),
        'ı' => folded.push('i'),
        'ŋ' => folded.push('n'),
        'ς' => folded.push('σ'),
        // Persian letters and the dotless ya, which many type for the other.
        'ى' | 'ی' => folded.push('ي'),
        'ک' => folded.push('ك'),
        digit @ ('٠'..='٩' | '۰'..='۹' | '०'..='९') => folded.push(ascii_digit(digit)),
        other => folded.push(other),
    }
}

/// Arabic, Persian and Devanagari digits as people type them.
fn ascii_digit(digit: char) -> char {
    let zero = match digit {
        '٠'..='٩' => '٠',
        '۰'..='۹' => '۰',
        _ => '०',
    };
    char::from_digit(u32::from(digit) - u32::from(zero), 10).unwrap_or(digit)
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn case_and_diacritics_go_and_letters_stay() {
        for (word, folded) in [
            ("Häuser", "hauser"),
            ("STRASSE", "strasse"),
            ("Straße", "strasse"),
            ("ＡＢＣ", "abc"),
            ("İstanbul", "istanbul"),
            ("Ёжик", "ежик"),
            ("чай", "чай"),
            ("école", "ecole"),
            ("أَحْمَد", "احمد"),
            ("كـتـاب", "كتاب"),
            ("٢٠٢٦", "2026"),
            ("が", "が"),
            ("हिन्दी", "हिन्दी"),
            ("한국", "한국"),
            ("neo's", "neos"),
        ] {
            assert_eq!(fold(word), folded, "{word}");
        }
    }
}
