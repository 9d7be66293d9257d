//! The newest documents, which no commit holds yet: searched in memory, one by one.

use crate::analysis::{Analysed, fold::fold, language, tokens};
use crate::document::{Document, Has};
use crate::limits::{DOCUMENT_TAGS_MAX, DOCUMENT_WORDS_MAX};
use crate::query::Fact;
use crate::query::plan::{Node, Plan};
use crate::score;
use xxhash_rust::xxh3::xxh3_64;

/// A document on its way into the index.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) no: u64,
    /// Its place among all changes.
    pub(crate) sequence: u64,
    pub(crate) published_ms: u64,
    pub(crate) popularity: u32,
    /// Dequantised.
    pub(crate) length: u32,
    pub(crate) terms: Vec<(String, u32)>,
    pub(crate) words: Vec<(u32, String)>,
    pub(crate) facts: Vec<String>,
    /// Hashes of terms in order, and how often each counts: what most documents are refused by.
    hashes: Vec<(u64, u32)>,
}

impl Pending {
    pub(crate) fn new(document: &Document, sequence: u64) -> Self {
        let analysed = Analysed::of(document);
        let mut hashes: Vec<(u64, u32)> = analysed.terms.iter().map(|(term, times)| (xxh3_64(term.as_bytes()), *times)).collect();
        hashes.sort_unstable();
        Self {
            no: document.no,
            sequence,
            published_ms: document.published_ms,
            popularity: document.popularity,
            length: score::dequantise(score::quantise(analysed.length)),
            facts: facts(document, &analysed),
            terms: analysed.terms.into_iter().collect(),
            words: analysed.words,
            hashes,
        }
    }

    fn times(&self, term: u64) -> u32 {
        self.hashes.binary_search_by_key(&term, |(hash, _)| *hash).ok().and_then(|at| self.hashes.get(at)).map_or(0, |(_, times)| *times)
    }

    /// How often the document has each stem, all words one after the other.
    pub(crate) fn all_times(&self, words: &[Vec<String>]) -> Vec<u32> {
        words.iter().flatten().map(|stem| self.times(xxh3_64(stem.as_bytes()))).collect()
    }

    fn has_phrase(&self, phrase: &[(u32, String)]) -> bool {
        let Some((first_at, first)) = phrase.first() else { return true };
        self.words.iter().filter(|(_, word)| word == first).any(|(at, _)| {
            phrase.iter().skip(1).all(|(position, word)| {
                let wanted = at + (position - first_at);
                let begin = self.words.partition_point(|(at, _)| *at < wanted);
                self.words.get(begin..).unwrap_or_default().iter().take_while(|(at, _)| *at == wanted).any(|(_, other)| other == word)
            })
        })
    }
}

/// A plan whose terms are hashed, to be asked of many documents.
pub(crate) struct TailPlan<'a> {
    node: &'a Node,
    words: Vec<Vec<u64>>,
}

impl<'a> TailPlan<'a> {
    pub(crate) fn new(plan: &'a Plan) -> Self {
        let words = plan.words.iter().map(|stems| stems.iter().map(|stem| xxh3_64(stem.as_bytes())).collect()).collect();
        Self { node: &plan.node, words }
    }

    pub(crate) fn matches(&self, document: &Pending) -> bool {
        self.node_matches(self.node, document)
    }

    fn node_matches(&self, node: &Node, document: &Pending) -> bool {
        match node {
            Node::Word(place) => self.words.get(*place).is_some_and(|stems| stems.iter().any(|stem| document.times(*stem) > 0)),
            Node::Stems(stems) => stems.iter().any(|stem| document.times(xxh3_64(stem.as_bytes())) > 0),
            Node::Phrase(phrase) => document.has_phrase(phrase),
            Node::Fact(fact) => document.facts.contains(fact),
            Node::Published(from, until) => (*from..*until).contains(&document.published_ms),
            Node::All(nodes) => nodes.iter().all(|node| self.node_matches(node, document)),
            Node::Any(least, nodes) => nodes.iter().filter(|node| self.node_matches(node, document)).take(*least).count() == *least,
            Node::Not(node) => !self.node_matches(node, document),
        }
    }
}

fn facts(document: &Document, analysed: &Analysed) -> Vec<String> {
    let mut facts = vec![
        Fact::From.term(&document.author.to_lowercase()),
        Fact::Domain.term(&document.domain.to_lowercase()),
        Fact::Kind.term(document.kind.name()),
    ];
    let told = document.language.as_deref().and_then(|told| told.split('-').next()).map(str::to_lowercase);
    let by_script = || language::of_script(&tokens(&document.text, DOCUMENT_WORDS_MAX)).map(str::to_owned);
    if let Some(language) = told.or_else(by_script).or_else(|| analysed.language.map(str::to_owned)) {
        facts.push(Fact::Language.term(&language));
    }
    facts.extend(document.tags.iter().take(DOCUMENT_TAGS_MAX).map(|tag| Fact::Tag.term(&fold(tag))));
    facts.extend(Has::NAMED.iter().filter(|(_, has)| document.has.contains(*has)).map(|(name, _)| Fact::Has.term(name)));
    facts.sort_unstable();
    facts.dedup();
    facts
}
