use super::*;
use proptest::prelude::*;

/// The 32-byte cases of <https://github.com/trezor/python-mnemonic/blob/master/vectors.json>: a byte repeated, the repeated words, the last word.
const VECTORS: [(u8, &str, &str); 4] = [
    (0x00, "abandon", "art"),
    (0x7f, "legal winner thank year wave sausage worth useful", "title"),
    (0x80, "letter advice cage absurd amount doctor acoustic avoid", "bless"),
    (0xff, "zoo", "vote"),
];
const MIXED: &str = "absent gorilla van acoustic humor firm title dolphin bulk barely citizen recall crane moment aspect appear track phrase actual enforce steel spoon afraid benefit";

fn vector(words: &str, last: &str) -> String {
    let mut all: Vec<&str> = words.split(' ').cycle().take(WORDS - 1).collect();
    all.push(last);
    all.join(" ")
}

fn replaced(at: usize, word: &str) -> String {
    MIXED.split(' ').enumerate().map(|(i, w)| if i == at { word } else { w }).collect::<Vec<_>>().join(" ")
}

fn error(text: &str) -> PhraseError {
    text.parse::<Phrase>().expect_err("not a phrase")
}

#[test]
fn bip39_vectors() {
    for (byte, words, last) in VECTORS {
        let text = vector(words, last);
        assert_eq!(Phrase::from_entropy([byte; 32]).to_string(), text);
        assert_eq!(text.parse::<Phrase>(), Ok(Phrase::from_entropy([byte; 32])));
    }
    let entropy = data_encoding::HEXLOWER.decode(b"00ac97c48106f0aeb8ba061e0250a559b3251dc35854e694780ba51d53a50120").expect("hex");
    assert_eq!(Phrase::from_entropy(entropy.try_into().expect("32 bytes")).to_string(), MIXED);
}

#[test]
fn root_seed_is_hkdf_of_the_entropy() {
    let seed = |byte| data_encoding::HEXLOWER.encode(&*Phrase::from_entropy([byte; 32]).root_seed());
    assert_eq!(seed(0x00), "77278e8deaa7e014d06249bbf6bf689bea85f1504788c24282951fef74ea4932");
    assert_eq!(seed(0x7f), "9e6075d9498b43d6c5cf1f81be55b4dce0ffd0aa06b5ea2a69feba33cbdece6b");
}

#[test]
fn case_and_white_space_do_not_matter() {
    let text = MIXED.to_uppercase().replace(' ', "\r\n \u{3000}\t");
    assert_eq!(format!("  {text} ").parse::<Phrase>(), MIXED.parse());
}

#[test]
fn wrong_number_of_words_is_counted() {
    assert_eq!(error(""), PhraseError::WordCount(0));
    assert_eq!(error(MIXED.rsplit_once(' ').expect("words").0), PhraseError::WordCount(23));
    assert_eq!(error(&format!("{MIXED} art")), PhraseError::WordCount(25));
}

#[test]
fn one_misspelt_word_is_named_and_guessed() {
    for (at, typed, meant) in
        [(1, "gorila", "gorilla"), (5, "frim", "firm"), (0, "abse", "absent"), (23, "benifit", "benefit"), (17, "frase", "phrase")]
    {
        let PhraseError::UnknownWord { position, guesses } = error(&replaced(at, typed)) else { panic!("{typed}") };
        assert_eq!(position, at + 1);
        assert_eq!(guesses.iter().next(), Some((at + 1, meant)));
        assert!(guesses.iter().count() <= 8);
    }
    assert_eq!(error(&replaced(3, "qqqqqqqq")), PhraseError::UnknownWord { position: 4, guesses: Guesses::default() });
}

#[test]
fn several_misspelt_words_are_named() {
    let text = replaced(1, "xx").replace("benefit", "yy");
    assert_eq!(error(&text), PhraseError::UnknownWords(vec![2, 24]));
    assert_eq!(error(&text).to_string(), "words 2, 24 are not in the word list");
}

#[test]
fn word_for_a_similar_word_is_guessed() {
    let PhraseError::Checksum { guesses } = error(&MIXED.replace("van", "fan")) else { panic!("the checksum happens to fit") };
    assert!(guesses.iter().any(|guess| guess == (3, "van")));
}

#[test]
fn nothing_secret_is_in_debug_or_in_errors() {
    let phrase: Phrase = MIXED.parse().expect("a phrase");
    assert_eq!(format!("{phrase:?}"), "Phrase(redacted)");
    for bad in [replaced(1, "gorila"), MIXED.replace("van", "fan"), replaced(0, "\u{1F600}")] {
        let shown = format!("{0} {0:?}", error(&bad));
        for word in bad.split(' ').chain(MIXED.split(' ')).filter(|word| word.len() > 4 && *word != "phrase") {
            assert!(!shown.contains(word), "{shown} contains {word}");
        }
    }
}

proptest! {
    #[test]
    fn phrases_round_trip(entropy: [u8; 32]) {
        let phrase = Phrase::from_entropy(entropy);
        prop_assert_eq!(phrase.to_string().parse::<Phrase>(), Ok(phrase));
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,200}", words in prop::collection::vec("[a-z]{1,8}", 24)) {
        let _ = text.parse::<Phrase>();
        let _ = words.join(" ").parse::<Phrase>();
    }
}
