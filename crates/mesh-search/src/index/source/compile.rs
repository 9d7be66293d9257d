//! Plans as queries of tantivy.

use super::Source;
use crate::error::SearchError;
use crate::limits::COMBINATIONS_MAX;
use crate::query::plan::{Node, Plan};
use std::ops::Bound;
use tantivy::Term;
use tantivy::query::{
    AllQuery, BooleanQuery, ConstScoreQuery, DisjunctionMaxQuery, EmptyQuery, Occur, PhraseQuery, Query, RangeQuery, TermQuery,
};
use tantivy::schema::IndexRecordOption;

type Boxed = Box<dyn Query>;

impl Source {
    /// The plan as queries, to be asked one after the other; a document's score is the best of them.
    ///
    /// Stems that the index does not have are left out. If all words must be there and they have few stems, every combination is a query of its
    /// own: the best of sums is the sum of the bests, and plain intersections end early.
    pub(super) fn compile(&self, plan: &Plan) -> Result<Vec<Boxed>, SearchError> {
        let words: Vec<Vec<Term>> = plan.words.iter().map(|stems| self.known(stems)).collect::<Result<_, _>>()?;
        if let Node::All(nodes) = &plan.node {
            let places: Option<Vec<usize>> =
                nodes.iter().map(|node| if let Node::Word(place) = node { Some(*place) } else { None }).collect();
            if let Some(places) = places {
                let stems: Vec<&[Term]> = places.iter().filter_map(|place| words.get(*place)).map(Vec::as_slice).collect();
                if stems.iter().any(|stems| stems.is_empty()) {
                    return Ok(Vec::new());
                }
                if stems.iter().map(|stems| stems.len()).product::<usize>() <= COMBINATIONS_MAX {
                    return Ok(combinations(&stems));
                }
            }
        }
        Ok(vec![self.node(&plan.node, &words)?])
    }

    /// The plan as one query that only says what matches.
    pub(super) fn filter(&self, plan: &Plan) -> Result<Boxed, SearchError> {
        let words: Vec<Vec<Term>> = plan.words.iter().map(|stems| self.known(stems)).collect::<Result<_, _>>()?;
        self.node(&plan.node, &words)
    }

    fn known(&self, stems: &[String]) -> Result<Vec<Term>, SearchError> {
        let mut known = Vec::with_capacity(1);
        for stem in stems {
            let term = Term::from_field_text(self.fields.terms, stem);
            if self.searcher.doc_freq(&term)? > 0 {
                known.push(term);
            }
        }
        Ok(known)
    }

    fn node(&self, node: &Node, words: &[Vec<Term>]) -> Result<Boxed, SearchError> {
        Ok(match node {
            Node::Word(place) => best_of(words.get(*place).map_or(&[], Vec::as_slice)),
            Node::Stems(stems) => unranked(best_of(&self.known(stems)?)),
            // tantivy asks what excludes for documents before its first one, which phrases do not expect; unions do, and one of two is one.
            Node::Phrase(phrase) => {
                let twice = [self.phrase(phrase), self.phrase(phrase)];
                unranked(Box::new(BooleanQuery::union(twice.into())))
            }
            Node::Fact(fact) => unranked(term(Term::from_field_text(self.fields.facts, fact), IndexRecordOption::Basic)),
            Node::Published(from, until) => {
                let at = |time: u64| Term::from_field_u64(self.fields.published, time);
                unranked(Box::new(RangeQuery::new(Bound::Included(at(*from)), Bound::Excluded(at(*until)))))
            }
            Node::All(nodes) => self.all(nodes, words)?,
            Node::Any(1, nodes) if nodes.len() == 1 => self.node(&nodes[0], words)?,
            Node::Any(least, nodes) => {
                let nodes = nodes.iter().map(|node| Ok((Occur::Should, self.node(node, words)?))).collect::<Result<_, SearchError>>()?;
                Box::new(BooleanQuery::with_minimum_required_clauses(nodes, *least))
            }
            Node::Not(node) => {
                Box::new(BooleanQuery::new(vec![(Occur::Must, unranked(Box::new(AllQuery))), (Occur::MustNot, self.node(node, words)?)]))
            }
        })
    }

    fn all(&self, nodes: &[Node], words: &[Vec<Term>]) -> Result<Boxed, SearchError> {
        if let [node] = nodes {
            return self.node(node, words);
        }
        let mut clauses = Vec::with_capacity(nodes.len() + 1);
        for node in nodes {
            match node {
                Node::Not(node) => clauses.push((Occur::MustNot, self.node(node, words)?)),
                other => clauses.push((Occur::Must, self.node(other, words)?)),
            }
        }
        if clauses.iter().all(|(occur, _)| *occur == Occur::MustNot) {
            clauses.push((Occur::Must, unranked(Box::new(AllQuery))));
        }
        Ok(Box::new(BooleanQuery::new(clauses)))
    }

    fn phrase(&self, phrase: &[(u32, String)]) -> Boxed {
        let start = phrase.first().map_or(0, |(position, _)| *position);
        let mut terms: Vec<(usize, Term)> =
            phrase.iter().map(|(position, word)| ((position - start) as usize, Term::from_field_text(self.fields.words, word))).collect();
        match terms.len() {
            0 => Box::new(AllQuery),
            1 => term(terms.remove(0).1, IndexRecordOption::Basic),
            _ => Box::new(PhraseQuery::new_with_offset(terms)),
        }
    }
}

fn combinations(stems: &[&[Term]]) -> Vec<Boxed> {
    let mut sets: Vec<Vec<&Term>> = vec![Vec::new()];
    for stems in stems {
        sets = sets.iter().flat_map(|set| stems.iter().map(|stem| set.iter().copied().chain([stem]).collect())).collect();
    }
    sets.into_iter()
        .map(|set| {
            let mut terms: Vec<Boxed> = set.into_iter().map(|stem| term(stem.clone(), IndexRecordOption::WithFreqs)).collect();
            if terms.len() == 1 { terms.remove(0) } else { Box::new(BooleanQuery::intersection(terms)) }
        })
        .collect()
}

fn best_of(stems: &[Term]) -> Boxed {
    match stems {
        [] => Box::new(EmptyQuery),
        [stem] => term(stem.clone(), IndexRecordOption::WithFreqs),
        stems => Box::new(DisjunctionMaxQuery::new(stems.iter().map(|stem| term(stem.clone(), IndexRecordOption::WithFreqs)).collect())),
    }
}

fn term(term: Term, record: IndexRecordOption) -> Boxed {
    Box::new(TermQuery::new(term, record))
}

fn unranked(query: Boxed) -> Boxed {
    Box::new(ConstScoreQuery::new(query, 0.0))
}
