//! A million short texts: what this machine's packages and manuals say, filled up with texts assembled from those.

use anyhow::bail;
use std::collections::HashSet;
use std::process::Command;

/// Words of a text at most: as long as a post.
const WORDS_MAX: usize = 40;
const WORDS_MIN: usize = 4;

pub(super) struct Corpus {
    pub(super) texts: Vec<String>,
    /// How many of them somebody wrote.
    pub(super) real: usize,
}

impl Corpus {
    pub(super) fn of(count: usize) -> anyhow::Result<Self> {
        let mut texts = written();
        texts.truncate(count);
        let real = texts.len();
        if real < 100 {
            bail!("no package descriptions on this machine: run `apt-get update` first");
        }
        let mut dice = Dice(1);
        while texts.len() < count {
            // The beginning of one and the end of another: words as frequent and as close to one another as they are.
            let (one, other) = (dice.below(real), dice.below(real));
            let first: Vec<&str> = texts[one].split_whitespace().collect();
            let second: Vec<&str> = texts[other].split_whitespace().collect();
            let text = [&first[..first.len().div_ceil(2)], &second[second.len() / 2..]].concat().join(" ");
            texts.push(text);
        }
        Ok(Self { texts, real })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.texts.iter().map(|text| text.len() as u64).sum()
    }
}

/// Paragraphs of package descriptions, each once.
fn written() -> Vec<String> {
    let listed = Command::new("apt-cache").arg("dumpavail").output().map(|output| output.stdout).unwrap_or_default();
    let listed = String::from_utf8_lossy(&listed);
    let mut seen = HashSet::new();
    let mut texts = Vec::new();
    let mut paragraph = String::new();
    let mut is_description = false;
    for line in listed.lines() {
        let begins = line.starts_with("Description");
        let goes_on = is_description && line.starts_with(' ');
        if (begins || !goes_on || line.trim() == ".") && !paragraph.is_empty() {
            add(&mut texts, &mut seen, &std::mem::take(&mut paragraph));
        }
        is_description = begins && !line.starts_with("Description-md5") || goes_on;
        if is_description && line.trim() != "." {
            let said = if begins { line.split_once(": ").map_or("", |(_, said)| said) } else { line };
            paragraph.push_str(said.trim());
            paragraph.push(' ');
            if begins {
                add(&mut texts, &mut seen, &std::mem::take(&mut paragraph));
            }
        }
    }
    texts
}

fn add(texts: &mut Vec<String>, seen: &mut HashSet<String>, paragraph: &str) {
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    for words in words.chunks(WORDS_MAX).filter(|words| words.len() >= WORDS_MIN) {
        let text = words.join(" ");
        if seen.insert(text.clone()) {
            texts.push(text);
        }
    }
}

/// Numbers that are the same in every run (splitmix64).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }
}
