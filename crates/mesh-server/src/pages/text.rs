//! What people wrote, made ready for pages: paragraphs, lines, plain links; names without characters that change how others are read.
//!
//! No markup is interpreted, and nothing is escaped here: templates do that. A link is an `http` or `https` URL as it stands in the text; a `#tag` leads
//! to its page here.

use super::tag::tag_path;
use mesh_proto::api::AccountView;
use mesh_proto::record::tag;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use unicode_normalization::char::is_combining_mark;

/// Most links made clickable in one text; each costs several times its length in markup.
const LINKS_MAX: usize = 100;
/// Longest URL made clickable, bytes.
const LINK_BYTES_MAX: usize = 2_000;
/// An excerpt ends after so many bytes, at a word if there is one near.
const EXCERPT_BYTES_MAX: usize = 900;
/// An excerpt ends inside a word that is longer than any.
const EXCERPT_WORD_BYTES_MAX: usize = 250;
/// An excerpt ends after so many lines.
const EXCERPT_LINES_MAX: usize = 16;
/// Characters of a description in `<title>` and `<meta>`.
const SUMMARY_CHARS_MAX: usize = 140;

/// A text in paragraphs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) paragraphs: Vec<Paragraph>,
    /// Whether more was written than is here.
    pub(super) cut: bool,
}

/// Lines between two empty ones.
pub(super) type Paragraph = Vec<Line>;
/// The pieces of a line.
pub(super) type Line = Vec<Span>;

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Span {
    /// To be read.
    Plain(String),
    /// To be read and followed: an `http` or `https` URL.
    Link(Link),
    /// A tag as it is written, its sign included, and the path of its page.
    Tag(String, String),
}

/// A link in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) url: String,
    /// The host as networks know it, if what is read may look like another one.
    pub(super) host: Option<String>,
}

impl Text {
    /// All of it.
    pub(super) fn whole(text: &str) -> Self {
        let mut paragraphs = Vec::new();
        let mut paragraph = Vec::new();
        let mut links_left = LINKS_MAX;
        for line in text.lines().map(str::trim_end) {
            if !line.is_empty() {
                paragraph.push(spans(&tamed(line), &mut links_left));
            } else if !paragraph.is_empty() {
                paragraphs.push(std::mem::take(&mut paragraph));
            }
        }
        if !paragraph.is_empty() {
            paragraphs.push(paragraph);
        }
        Self { paragraphs, cut: false }
    }

    /// Its beginning, for lists.
    pub(super) fn excerpt(text: &str) -> Self {
        let text = text.trim_end();
        let mut end = text.floor_char_boundary(EXCERPT_BYTES_MAX);
        if end < text.len() {
            // Not inside a word, unless the word is enormous.
            let word = text[..end].rfind(char::is_whitespace).filter(|at| *at > EXCERPT_BYTES_MAX / 2);
            end = word.unwrap_or(end);
        }
        if let Some((at, _)) = text[..end].match_indices('\n').nth(EXCERPT_LINES_MAX - 1) {
            end = at;
        }
        let mut word_bytes = 0;
        for (at, c) in text[..end].char_indices() {
            // Writing that has no spaces is not ASCII.
            word_bytes = if c.is_ascii() && !c.is_whitespace() { word_bytes + 1 } else { 0 };
            if word_bytes > EXCERPT_WORD_BYTES_MAX {
                end = at;
                break;
            }
        }
        let cut = end < text.len();
        let shown = if cut { text[..end].trim_end_matches([' ', ',', ';', ':', '–', '-']) } else { text };
        Self { cut, ..Self::whole(shown) }
    }
}

impl Text {
    /// The words alone.
    pub(super) fn plain(&self) -> String {
        let word = |span: &Span| match span {
            Span::Plain(words) | Span::Tag(words, _) => words.clone(),
            Span::Link(link) => link.url.clone(),
        };
        let line = |line: &Line| line.iter().map(word).collect::<String>();
        let paragraph = |paragraph: &Paragraph| paragraph.iter().map(line).collect::<Vec<_>>().join("\n");
        let mut plain = self.paragraphs.iter().map(paragraph).collect::<Vec<_>>().join("\n\n");
        if self.cut {
            plain.push('…');
        }
        plain
    }
}

/// Whether a text is one URL that would be made clickable as a whole.
pub(super) fn followable(url: &str) -> bool {
    matches!(spans(url, &mut 1).as_slice(), [Span::Link(link)] if link.url == url)
}

/// What a person is called: their name for people, or their name in the address.
pub(super) fn display_name(view: &AccountView) -> String {
    Some(name(&view.profile.name)).filter(|name| !name.is_empty()).unwrap_or_else(|| view.address.user().to_string())
}

/// For a part of a path or of a query.
pub(super) fn encoded(text: &str) -> String {
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    utf8_percent_encode(text, KEPT).to_string()
}

/// Most combining marks on one letter: no language writes more, and more grow over other lines.
const MARKS_MAX: usize = 4;

/// Without the marks that pile up on one letter.
fn tamed(text: &str) -> String {
    let mut marks = 0;
    text.chars()
        .filter(|c| {
            marks = if is_combining_mark(*c) { marks + 1 } else { 0 };
            marks <= MARKS_MAX
        })
        .collect()
}

/// The beginning of a text on one line, for titles and descriptions.
pub(super) fn summary(text: &str) -> String {
    let line = name(text);
    match line.char_indices().nth(SUMMARY_CHARS_MAX) {
        Some((end, _)) => {
            let end = line[..end].rfind(' ').filter(|at| *at > end / 2).unwrap_or(end);
            format!("{}…", line[..end].trim_end())
        }
        None => line,
    }
}

/// A name on one line, without characters that reorder or hide what stands beside it. May be empty.
pub(super) fn name(raw: &str) -> String {
    let mut name = String::with_capacity(raw.len());
    for c in tamed(raw).chars().filter(|c| !reorders(*c) && !hides(*c)) {
        match c.is_whitespace() || c.is_control() {
            false => name.push(c),
            true if name.is_empty() || name.ends_with(' ') => {}
            true => name.push(' '),
        }
    }
    name.truncate(name.trim_end().len());
    // Joiners are wanted between letters and between emoji; alone they are a name that nobody sees.
    if name.chars().all(|c| matches!(c, ' ' | '\u{200C}' | '\u{200D}')) { String::new() } else { name }
}

/// Marks, embeddings, overrides and isolates of the bidirectional algorithm (UAX #9).
fn reorders(c: char) -> bool {
    matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Characters without width or ink, joiners apart.
fn hides(c: char) -> bool {
    matches!(
        c,
        '\u{00AD}' | '\u{034F}' | '\u{115F}' | '\u{1160}' | '\u{180E}' | '\u{200B}' | '\u{2060}'..='\u{2064}' | '\u{206A}'..='\u{206F}' | '\u{2800}'
            | '\u{3164}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}'
    )
}

/// Parts a line into plain text and links.
fn spans(line: &str, links_left: &mut usize) -> Line {
    let mut spans = Vec::new();
    let mut taken = 0;
    let mut from = 0;
    while *links_left > 0 {
        let Some(found) = line[from..].find("://") else { break };
        let after = from + found + 3;
        let Some(start) = scheme_start(&line[..after - 3]).filter(|start| *start >= taken) else {
            from = after;
            continue;
        };
        let end = link_end(line, after);
        from = end.max(after);
        if !is_followable(&line[after..end]) || end - start > LINK_BYTES_MAX {
            continue;
        }
        if taken < start {
            plain(&line[taken..start], &mut spans, links_left);
        }
        spans.push(Span::Link(Link::new(&line[start..end])));
        *links_left = links_left.saturating_sub(1);
        taken = end;
    }
    if taken < line.len() {
        plain(&line[taken..], &mut spans, links_left);
    }
    spans
}

/// Parts what is no link into words and tags.
fn plain(words: &str, spans: &mut Line, links_left: &mut usize) {
    let mut taken = 0;
    for (place, tag) in tag::in_text(words).take(*links_left) {
        let path = tag_path(&tag::folded(tag));
        if taken < place.start {
            spans.push(Span::Plain(words[taken..place.start].to_owned()));
        }
        taken = place.end;
        spans.push(Span::Tag(words[place].to_owned(), path));
        *links_left -= 1;
    }
    if taken < words.len() {
        spans.push(Span::Plain(words[taken..].to_owned()));
    }
}

impl Link {
    fn new(url: &str) -> Self {
        let authority = url.split_once("://").map_or("", |(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default());
        let host =
            authority.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(authority, |(host, _)| host);
        let host = (!host.is_ascii()).then(|| idna::domain_to_ascii(host).unwrap_or_else(|_| "not a valid name".to_owned()));
        Self { url: url.to_owned(), host }
    }
}

/// Where `http` or `https` starts at the end of `before`, if it is a word of its own.
fn scheme_start(before: &str) -> Option<usize> {
    let ends_with = |scheme: &str| {
        let start = before.len().checked_sub(scheme.len())?;
        before.as_bytes()[start..].eq_ignore_ascii_case(scheme.as_bytes()).then_some(start)
    };
    let start = ends_with("https").or_else(|| ends_with("http"))?;
    let alone = !before[..start].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '+' | '-' | '.'));
    alone.then_some(start)
}

/// Where the URL ends whose authority starts at `after`: at white space or at what no URL holds, without the punctuation of the sentence around it.
fn link_end(line: &str, after: usize) -> usize {
    let ends = |c: char| {
        c.is_whitespace() || c.is_control() || reorders(c) || hides(c) || matches!(c, '<' | '>' | '"' | '`' | '{' | '}' | '|' | '\\' | '^')
    };
    let mut url = &line[after..];
    url = &url[..url.find(ends).unwrap_or(url.len())];
    let count = |c: char| url.matches(c).count();
    let mut unopened = [count(')').saturating_sub(count('(')), count(']').saturating_sub(count('['))];
    while let Some(last) = url.chars().next_back() {
        let trim = match last {
            '.' | ',' | ';' | ':' | '!' | '?' | '\'' | '…' | '’' | '”' | '»' | '。' | '、' | '，' | '）' | '」' => true,
            ')' | ']' => {
                let unopened = &mut unopened[usize::from(last == ']')];
                let stray = *unopened > 0;
                *unopened = unopened.saturating_sub(1);
                stray
            }
            _ => false,
        };
        if !trim {
            break;
        }
        url = &url[..url.len() - last.len_utf8()];
    }
    after + url.len()
}

/// Whether what follows `://` names a host and nothing that pretends to be one: `https://bank.example@evil.example` leads to the second.
fn is_followable(rest: &str) -> bool {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.starts_with(|c: char| c.is_alphanumeric() || c == '[') && !authority.contains(['@', '%'])
}

#[cfg(test)]
mod tests;
