//! Recovery phrases in and out: files of mode 0600, or the terminal. They are kept nowhere else.

use crate::fault::Fault;
use crate::out::Out;
use crate::terminal;
use anyhow::{Context, Result};
use mesh_client::ErrorKind;
use mesh_proto::phrase::{Phrase, PhraseError};
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::path::Path;
use zeroize::Zeroizing;

/// Largest phrase file, bytes.
const FILE_BYTES_MAX: u64 = 4096;

/// The phrase in a file; `None` if there is no such file.
pub(crate) fn from_file(path: &Path) -> Result<Option<Phrase>> {
    let file = match std::fs::File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let mut text = Zeroizing::new(String::new());
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text).map(Some)
}

/// The phrase that the person has: from the file, or typed.
pub(crate) fn ask(out: &Out, file: Option<&Path>) -> Result<Phrase> {
    if let Some(path) = file {
        return from_file(path)?.ok_or_else(|| {
            Fault::new(ErrorKind::NotFound, format!("there is no {}", path.display()), "check the path of --phrase-file".to_owned()).into()
        });
    }
    loop {
        let typed = terminal::ask(out, "Type the 24 words of the recovery phrase:", "--phrase-file FILE")?;
        match typed.parse::<Phrase>() {
            Ok(phrase) => return Ok(phrase),
            Err(error) => explain(out, &error),
        }
    }
}

fn parse(text: &str) -> Result<Phrase> {
    text.parse().map_err(|error: PhraseError| {
        Fault::usage(format!("the recovery phrase is wrong: {error}"), "compare it with what you wrote down".to_owned()).into()
    })
}

fn explain(out: &Out, error: &PhraseError) {
    out.talk(&format!("{error}."));
    if let PhraseError::UnknownWord { guesses, .. } | PhraseError::Checksum { guesses } = error {
        let guesses: Vec<String> = guesses.iter().map(|(position, word)| format!("word {position}: {word}")).collect();
        if !guesses.is_empty() {
            out.talk(&format!("Did you mean {}?", guesses.join(", or ")));
        }
    }
}

/// Writes a new phrase to a file that must not exist yet, readable by its owner only.
pub(crate) fn to_file(phrase: &Phrase, path: &Path) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).with_context(|| format!("cannot create {}", path.display()))?;
    let text = Zeroizing::new(format!("{phrase}\n"));
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).with_context(|| format!("cannot write {}", path.display()))
}

/// Shows a new phrase, once.
pub(crate) fn show(out: &Out, phrase: &Phrase) {
    out.talk("");
    out.talk("Your recovery phrase. Write these 24 words on paper, in this order, and keep them where nobody finds them.");
    out.talk("They are shown once and stored nowhere: whoever has them is you, and without them nobody can help you.");
    out.talk("");
    for (row, words) in phrase.words().chunks(6).enumerate() {
        let words: Vec<String> = words.iter().enumerate().map(|(column, word)| format!("{:>2} {word:<9}", row * 6 + column + 1)).collect();
        out.talk(&format!("  {}", words.join(" ")));
    }
    out.talk("");
}

/// Makes sure that a shown phrase was written down, by asking for two of its words.
pub(crate) fn confirm(out: &Out, phrase: &Phrase, random: [u8; 2]) -> Result<()> {
    let words = phrase.words();
    let first = usize::from(random[0]) % 12;
    let second = 12 + usize::from(random[1]) % 12;
    for at in [first, second] {
        loop {
            let typed = terminal::ask(out, &format!("To make sure that you have it: word {}?", at + 1), "--yes")?;
            if words.get(at).is_some_and(|word| typed.eq_ignore_ascii_case(word)) {
                break;
            }
            out.talk("That is another word. Look again.");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_phrase_is_read_back_and_never_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("phrase");
        assert!(from_file(&path).expect("no file is no error").is_none());
        let phrase = Phrase::from_entropy([5; 32]);
        to_file(&phrase, &path).expect("written");
        assert!(from_file(&path).expect("readable") == Some(phrase));
        assert!(to_file(&Phrase::from_entropy([6; 32]), &path).is_err());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        }
    }
}
