//! Reading queries. Never fails on what people may type: only values of filters that cannot be meant are refused.

use super::{Clause, Fact, Filter, Item, Note, Query, QueryError, Sign, Word};
use crate::analysis::fold::fold;
use crate::analysis::{Shape, Token, tokens};
use crate::document::{DocumentKind, Has};
use crate::limits::{QUERY_BYTES_MAX, QUERY_FILTERS_MAX, QUERY_WORDS_MAX};
use jiff::civil::Date;
use jiff::tz::TimeZone;

const QUOTES: [char; 6] = ['"', '“', '”', '„', '«', '»'];

pub(super) fn parse(text: &str) -> Result<Query, QueryError> {
    if text.len() > QUERY_BYTES_MAX {
        return Err(QueryError::TooLong(text.len()));
    }
    let mut parser = Parser { query: Query { clauses: Vec::new(), filters: Vec::new(), notes: Vec::new() }, words: 0, or: false };
    for piece in Pieces(text) {
        parser.take(piece)?;
    }
    let query = parser.query;
    let wanted = query.clauses.iter().any(|clause| clause.sign == Sign::Wanted)
        || query.filters.iter().any(|filter| !matches!(filter, Filter::Fact(Sign::Unwanted, ..)));
    match (wanted, query.clauses.is_empty() && query.filters.is_empty()) {
        (true, _) => Ok(query),
        (false, true) => Err(QueryError::Empty),
        (false, false) => Err(QueryError::OnlyUnwanted),
    }
}

/// A part of a query between blanks.
struct Piece<'a> {
    sign: Sign,
    text: &'a str,
    is_quoted: bool,
}

/// Cuts a query at blanks and quotation marks.
struct Pieces<'a>(&'a str);

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let blank = |character: char| character.is_whitespace() || character.is_control();
        let mut rest = self.0.trim_start_matches(blank);
        if rest.is_empty() {
            return None;
        }
        let sign = match rest.strip_prefix('-') {
            Some(after) if !after.starts_with(blank) && !after.is_empty() => {
                rest = after;
                Sign::Unwanted
            }
            _ => Sign::Wanted,
        };
        let (text, after, is_quoted) = match rest.strip_prefix(QUOTES) {
            Some(inside) => {
                let (text, after) = inside.split_once(QUOTES).unwrap_or((inside, ""));
                (text, after, true)
            }
            None => {
                let (text, after) =
                    rest.split_at(rest.find(|character| blank(character) || QUOTES.contains(&character)).unwrap_or(rest.len()));
                (text, after, false)
            }
        };
        self.0 = after;
        Some(Piece { sign, text, is_quoted })
    }
}

struct Parser {
    query: Query,
    words: usize,
    or: bool,
}

impl Parser {
    fn take(&mut self, piece: Piece<'_>) -> Result<(), QueryError> {
        if !piece.is_quoted {
            if matches!(piece.text, "OR" | "|") {
                self.or = true;
                return Ok(());
            }
            if let Some(filter) = filter(&piece)? {
                self.or = false;
                if self.query.filters.len() < QUERY_FILTERS_MAX {
                    self.query.filters.push(filter);
                } else {
                    self.note(Note::Filters);
                }
                return Ok(());
            }
        }
        let Some(item) = self.item(&piece) else { return Ok(()) };
        let joins = std::mem::take(&mut self.or) && piece.sign == Sign::Wanted;
        match self.query.clauses.last_mut().filter(|clause| joins && clause.sign == Sign::Wanted) {
            Some(clause) => clause.items.push(item),
            None => self.query.clauses.push(Clause { sign: piece.sign, items: vec![item] }),
        }
        Ok(())
    }

    fn item(&mut self, piece: &Piece<'_>) -> Option<Item> {
        let all = tokens(piece.text, QUERY_BYTES_MAX);
        let room = QUERY_WORDS_MAX - self.words;
        let mut chosen: Vec<Token> = asked(all, piece.is_quoted);
        if chosen.len() > room {
            chosen.truncate(room);
            self.note(Note::Words);
        }
        if chosen.is_empty() {
            return None;
        }
        self.words += chosen.len();
        let phrase = if piece.is_quoted { chosen.iter().map(|token| (token.position, token.word.clone())).collect() } else { Vec::new() };
        Some(Item { words: chosen.into_iter().map(Word::of).collect(), phrase })
    }

    fn note(&mut self, note: Note) {
        if !self.query.notes.contains(&note) {
            self.query.notes.push(note);
        }
    }
}

/// The tokens that a document must have: a run's last character follows from its pairs; endings in kana or Hangul beside other script of the same piece
/// change with the form of the word.
fn asked(tokens: Vec<Token>, is_quoted: bool) -> Vec<Token> {
    use crate::analysis::Script;
    let is_ending = |token: &Token| token.script == Script::Hiragana;
    let has_stem = tokens.iter().any(|token| matches!(token.script, Script::Han | Script::Katakana));
    tokens.into_iter().filter(|token| token.shape != Shape::Last).filter(|token| is_quoted || !has_stem || !is_ending(token)).collect()
}

fn filter(piece: &Piece<'_>) -> Result<Option<Filter>, QueryError> {
    if let Some(tag) = piece.text.strip_prefix(['#', '＃']) {
        let tag = fold(tag);
        return Ok((!tag.is_empty()).then_some(Filter::Fact(piece.sign, Fact::Tag, tag)));
    }
    let Some((key, value)) = piece.text.split_once([':', '：']) else { return Ok(None) };
    if value.is_empty() {
        return Ok(None);
    }
    let fact = |fact, value| Ok(Some(Filter::Fact(piece.sign, fact, value)));
    match key.to_ascii_lowercase().as_str() {
        "from" => fact(Fact::From, value.trim_start_matches('@').to_lowercase()),
        "domain" => fact(Fact::Domain, value.to_lowercase()),
        "tag" => fact(Fact::Tag, fold(value.trim_start_matches('#'))),
        "lang" => fact(Fact::Language, value.to_lowercase()),
        "type" => {
            let kind = DocumentKind::ALL.into_iter().find(|kind| value.to_lowercase().trim_end_matches('s') == kind.name());
            let kind = kind.ok_or_else(|| refused("type", value, "write post, comment or profile"))?;
            fact(Fact::Kind, kind.name().to_owned())
        }
        "has" => {
            let lower = value.to_lowercase();
            let named = Has::NAMED.into_iter().find(|(name, _)| lower.trim_end_matches('s') == *name);
            let (name, _) = named.ok_or_else(|| refused("has", value, "write link, image, poll, video or audio"))?;
            fact(Fact::Has, name.to_owned())
        }
        "before" => Ok(Some(Filter::Before(day("before", value)?))),
        "after" => Ok(Some(Filter::After(day("after", value)?))),
        _ => Ok(None),
    }
}

/// The first millisecond of a day, UTC.
fn day(key: &'static str, value: &str) -> Result<u64, QueryError> {
    let date = value.parse::<Date>().ok().and_then(|date| date.to_zoned(TimeZone::UTC).ok());
    let start = date.and_then(|date| u64::try_from(date.timestamp().as_millisecond()).ok());
    start.ok_or_else(|| refused(key, value, "write a day such as 2026-01-31"))
}

fn refused(key: &'static str, value: &str, expected: &'static str) -> QueryError {
    QueryError::Value { key, value: value.chars().take(40).collect(), expected }
}
