//! Snippets: the part of a text that shows why it was found, in pieces. Never HTML: whoever shows them escapes each piece as any other text.

use crate::analysis::{Shape, Token, language, tokens};
use crate::limits::{DOCUMENT_WORDS_MAX, SNIPPET_CHARS_MAX, SNIPPET_MARKS_MAX, SNIPPET_TEXT_BYTES_MAX};
use crate::query::Query;
use std::collections::HashSet;
use std::ops::Range;
use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation;

/// Bytes for each character that a snippet may have: emoji of several parts fit.
const CHARACTER_BYTES: usize = 32;

/// A part of a snippet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Plain text on one line, without controls and characters that turn the direction of writing.
    pub text: String,
    /// Whether it is what was searched for.
    pub is_hit: bool,
}

/// The best part of `text`, about `chars` characters as people see them. `…` says where more was.
pub fn snippet(text: &str, query: &Query, chars: usize) -> Vec<Piece> {
    let text = text.get(..text.floor_char_boundary(SNIPPET_TEXT_BYTES_MAX)).unwrap_or_default();
    let chars = chars.clamp(1, SNIPPET_CHARS_MAX);
    let hits = hits(text, query);
    let window = window(text, &hits, chars);
    let mut pieces = Vec::new();
    push(&mut pieces, if window.start > 0 { "…" } else { "" }, false);
    let mut at = window.start;
    for hit in hits.iter().filter(|hit| hit.start >= window.start && hit.end <= window.end) {
        push(&mut pieces, text.get(at..hit.start).unwrap_or_default(), false);
        push(&mut pieces, text.get(hit.clone()).unwrap_or_default(), true);
        at = hit.end;
    }
    push(&mut pieces, text.get(at..window.end).unwrap_or_default(), false);
    push(&mut pieces, if window.end < text.len() { "…" } else { "" }, false);
    pieces
}

/// Where the words of the query are, in order, none within another.
fn hits(text: &str, query: &Query) -> Vec<Range<usize>> {
    let wanted: HashSet<&str> = query.wanted_words().flat_map(|word| &word.stems).map(String::as_str).collect();
    let single: HashSet<&str> = query.wanted_words().filter(|word| word.shape == Shape::Lone).map(|word| word.word.as_str()).collect();
    let found = tokens(text, DOCUMENT_WORDS_MAX);
    let language = language::detect(text, &found, None);
    let mut hits: Vec<Range<usize>> = Vec::new();
    for token in &found {
        let Some(range) = hit(token, &token.stem(language), &wanted, &single) else { continue };
        match hits.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => hits.push(range),
        }
    }
    hits
}

fn hit(token: &Token, stem: &str, wanted: &HashSet<&str>, single: &HashSet<&str>) -> Option<Range<usize>> {
    if wanted.contains(stem) {
        return Some(token.range.clone());
    }
    let first = token.word.chars().next().filter(|_| token.shape == Shape::Pair)?;
    single.contains(first.encode_utf8(&mut [0; 4]) as &str).then(|| token.range.start..token.range.start + first.len_utf8())
}

/// The bytes to show: where most hits are close together, some text before them.
fn window(text: &str, hits: &[Range<usize>], chars: usize) -> Range<usize> {
    let bounds: Vec<usize> = text.grapheme_indices(true).map(|(at, _)| at).chain([text.len()]).collect();
    let place = |byte: usize| bounds.partition_point(|at| *at < byte);
    let places: Vec<(usize, usize)> = hits.iter().map(|hit| (place(hit.start), place(hit.end))).collect();
    let (mut best, mut most, mut until) = (0, 0, 0);
    for (at, (start, _)) in places.iter().enumerate() {
        while places.get(until).is_some_and(|(_, end)| *end <= start + chars) {
            until += 1;
        }
        if until.saturating_sub(at) > most {
            (best, most) = (*start, until - at);
        }
    }
    let last = bounds.len() - 1;
    // A quarter of the room goes to what leads up to the first hit; at the end of the text, more.
    let start = best.saturating_sub(chars / 4).min(last.saturating_sub(chars));
    let end = (start + chars).min(last);
    let byte = |place: usize| bounds.get(place).copied().unwrap_or(text.len());
    let start = if start == 0 { 0 } else { word_start(text, byte(start), byte(best)) };
    // What is seen as one character may be made of thousands.
    start..byte(end).min(text.floor_char_boundary(start + chars * CHARACTER_BYTES))
}

/// The beginning of the next word after `at`, unless that is after `limit`.
fn word_start(text: &str, at: usize, limit: usize) -> usize {
    let rest = text.get(at..limit).unwrap_or_default();
    rest.find(char::is_whitespace).map_or(at, |space| at + space + rest.get(space..).map_or(0, |rest| rest.len() - rest.trim_start().len()))
}

/// Adds text as it may be shown.
fn push(pieces: &mut Vec<Piece>, text: &str, is_hit: bool) {
    let mut shown = String::with_capacity(text.len());
    let mut marks = 0;
    for character in text.chars() {
        marks = if is_combining_mark(character) || matches!(character, '\u{200c}' | '\u{200d}') { marks + 1 } else { 0 };
        if marks > SNIPPET_MARKS_MAX || turns(character) {
            continue;
        }
        let shows = if character.is_whitespace() || character.is_control() { ' ' } else { character };
        let follows_space = shown.ends_with(' ') || (shown.is_empty() && pieces.last().is_some_and(|last| last.text.ends_with(' ')));
        if shows != ' ' || !follows_space {
            shown.push(shows);
        }
    }
    if !shown.is_empty() {
        pieces.push(Piece { text: shown, is_hit });
    }
}

/// Characters that turn the direction of what follows them, beyond the piece, and invisible ones without use in text.
fn turns(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}
