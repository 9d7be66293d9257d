//! A query as a tree over terms, which the index on disk and the newest documents in memory both can answer.

use crate::query::{Clause, Fact, Filter, Item, Query, Sign, Word};

/// What a search looks for.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The words by which is ranked; [`Node::Word`] is a place in it.
    pub(crate) words: Vec<Vec<String>>,
    pub(crate) node: Node,
}

/// Which documents match.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    /// Any of the stems of the word at this place.
    Word(usize),
    /// Stems that are not ranked by.
    Stems(Vec<String>),
    /// Folded words at these places from one another.
    Phrase(Vec<(u32, String)>),
    /// A fact's term.
    Fact(String),
    /// Published from the first millisecond to before the second.
    Published(u64, u64),
    All(Vec<Node>),
    /// At least so many of these.
    Any(usize, Vec<Node>),
    Not(Box<Node>),
}

impl Plan {
    /// All words must be there. `stems` tells what a word may be indexed as.
    pub(crate) fn all(query: &Query, stems: &dyn Fn(&Word) -> Vec<String>) -> Self {
        let mut words = Vec::new();
        let mut nodes = Vec::new();
        for clause in query.clauses.iter().filter(|clause| clause.sign == Sign::Wanted) {
            let mut items: Vec<Node> = clause.items.iter().map(|item| item_node(item, &mut words, stems)).collect();
            match items.len() {
                1 => nodes.extend(items.pop()),
                _ => nodes.push(Node::Any(1, items)),
            }
        }
        Self::narrowed(words, nodes, query)
    }

    /// Some of the words must be there: so many of a hundred, at least one.
    pub(crate) fn any(query: &Query, per_cent: usize, stems: &dyn Fn(&Word) -> Vec<String>) -> Self {
        let mut words = Vec::new();
        let mut nodes = Vec::new();
        for word in query.wanted_words() {
            nodes.push(Node::Word(words.len()));
            words.push(stems(word));
        }
        let least = (nodes.len() * per_cent / 100).max(1);
        let wanted = if nodes.is_empty() { Vec::new() } else { vec![Node::Any(least, nodes)] };
        Self::narrowed(words, wanted, query)
    }

    fn narrowed(words: Vec<Vec<String>>, mut nodes: Vec<Node>, query: &Query) -> Self {
        nodes.extend(query.clauses.iter().filter(|clause| clause.sign == Sign::Unwanted).map(unwanted));
        nodes.extend(filters(&query.filters));
        // Flat where it can be: the index is fastest at plain intersections of terms.
        let mut flat = Vec::new();
        for node in nodes {
            match node {
                Node::All(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        Self { words, node: Node::All(flat) }
    }
}

fn item_node(item: &Item, words: &mut Vec<Vec<String>>, stems: &dyn Fn(&Word) -> Vec<String>) -> Node {
    let mut nodes = Vec::new();
    for word in &item.words {
        nodes.push(Node::Word(words.len()));
        words.push(stems(word));
    }
    if !item.phrase.is_empty() {
        nodes.push(Node::Phrase(item.phrase.clone()));
    }
    match nodes.len() {
        1 => nodes.remove(0),
        _ => Node::All(nodes),
    }
}

fn unwanted(clause: &Clause) -> Node {
    let items = clause.items.iter().map(|item| match item.phrase.is_empty() {
        false => Node::Phrase(item.phrase.clone()),
        true => Node::All(item.words.iter().map(|word| Node::Stems(word.stems.clone())).collect()),
    });
    Node::Not(Box::new(Node::Any(1, items.collect())))
}

fn filters(filters: &[Filter]) -> Vec<Node> {
    let mut nodes = Vec::new();
    let (mut from, mut until) = (0, u64::MAX);
    let mut single: Vec<(Fact, Vec<Node>)> = Vec::new();
    for filter in filters {
        match filter {
            Filter::Before(day) => until = until.min(*day),
            Filter::After(day) => from = from.max(*day),
            Filter::Fact(Sign::Unwanted, fact, value) => nodes.push(Node::Not(Box::new(Node::Fact(fact.term(value))))),
            Filter::Fact(Sign::Wanted, fact, value) => {
                let node = Node::Fact(fact.term(value));
                match single.iter_mut().find(|(other, _)| fact.is_single() && other == fact) {
                    Some((_, values)) => values.push(node),
                    None => single.push((*fact, vec![node])),
                }
            }
        }
    }
    for (_, mut values) in single {
        nodes.push(if values.len() == 1 { values.remove(0) } else { Node::Any(1, values) });
    }
    if from > 0 || until < u64::MAX {
        nodes.push(Node::Published(from, until));
    }
    nodes
}
