//! One record as lines of a list.

use crate::{safe, text, time};
use mesh_client::reader::{Shown, State};
use mesh_proto::envelope::{Kind, RecordId};
use mesh_proto::uri::Target;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

/// Deepest indentation; below it the depth is written as a number.
const INDENT_DEPTH_MAX: usize = 8;
/// Columns below which times are short.
const NARROW: usize = 56;

/// A record in a list.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) shown: Shown,
    /// What a repost passes on.
    pub(super) reposted: Option<Shown>,
    /// How deep it stands in a thread; the post at its top has depth 0.
    pub(super) depth: usize,
}

/// How an item is laid out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub(super) width: usize,
    /// Most lines of text; what is cut off is said.
    pub(super) body_lines_max: usize,
    /// Answers that are folded away below it.
    pub(super) hidden: usize,
    pub(super) colours: Colours,
    /// The time of this look, milliseconds since the epoch: narrow screens say how long ago something was.
    pub(super) now_ms: u64,
}

/// Whether colours are wanted: `NO_COLOR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colours {
    Wanted,
    Unwanted,
}

impl Colours {
    pub(super) fn from_env() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if unwanted { Self::Unwanted } else { Self::Wanted }
    }

    fn style(self, colour: Color) -> Style {
        if self == Self::Wanted { Style::new().fg(colour) } else { Style::new() }
    }
}

impl Item {
    pub(super) fn new(shown: Shown) -> Self {
        Self { shown, reposted: None, depth: 0 }
    }

    pub(super) fn id(&self) -> RecordId {
        self.shown.view.card.id
    }

    /// What likes, comments and reposts are about: the record itself, or what it passes on.
    pub(super) fn subject(&self) -> &Shown {
        self.reposted.as_ref().unwrap_or(&self.shown)
    }

    pub(super) fn target(&self) -> Target {
        self.subject().target()
    }

    /// Counts one more of `kind` until the home tells its own number.
    pub(super) fn count(&mut self, id: RecordId, kind: Kind) {
        for shown in [Some(&mut self.shown), self.reposted.as_mut()].into_iter().flatten() {
            if shown.view.card.id == id {
                *shown.view.counts.entry(kind).or_default() += 1;
            }
        }
    }

    /// Whether `words`, in lower case, stand in its text or its authors' addresses.
    pub(super) fn matches(&self, words: &str) -> bool {
        [Some(&self.shown), self.reposted.as_ref()]
            .into_iter()
            .flatten()
            .any(|shown| shown.author.to_string().contains(words) || text::body(shown).to_lowercase().contains(words))
    }

    /// The first web link in its text, else its page.
    pub(super) fn link(&self) -> String {
        let subject = self.subject();
        let words = subject.record().map(|_| text::body(subject)).unwrap_or_default();
        let link = words.split_whitespace().find(|word| word.starts_with("https://") || word.starts_with("http://"));
        let link = link.map(|link| link.trim_end_matches(['.', ',', ';', ')', ']', '>', '"', '!', '?']).to_owned());
        link.unwrap_or_else(|| subject.view.url.clone())
    }

    /// The item as lines that fit into the width.
    pub(super) fn lines(&self, layout: &Layout) -> Vec<Line<'static>> {
        let indent = " ".repeat(2 * self.depth.min(INDENT_DEPTH_MAX).min(layout.width / 8));
        let width = layout.width.saturating_sub(indent.len()).max(8);
        let mut lines = vec![self.heading(&self.shown, layout)];
        let mut body = wrap(&words(self.subject()), width, layout.body_lines_max);
        if let Some(reposted) = &self.reposted {
            body.insert(0, self.heading(reposted, layout));
        }
        lines.append(&mut body);
        lines.extend(self.footer(layout));
        for line in &mut lines {
            line.spans.insert(0, Span::raw(indent.clone()));
        }
        lines.push(Line::default());
        lines
    }

    fn heading(&self, shown: &Shown, layout: &Layout) -> Line<'static> {
        let (mark, colour) = mark(shown);
        let card = &shown.view.card;
        let when = if layout.width < NARROW { time::ago(card.received, layout.now_ms) } else { time::minute(card.received) };
        let verb = if card.kind == Kind::Repost { " reposted" } else { "" };
        let deep = if self.depth > INDENT_DEPTH_MAX { format!(" [depth {}]", self.depth) } else { String::new() };
        let bold = Style::new().add_modifier(Modifier::BOLD);
        Line::from(vec![
            Span::styled(format!("{mark} "), layout.colours.style(colour).add_modifier(Modifier::BOLD)),
            Span::styled(safe::line(&shown.author.to_string()), bold),
            Span::raw(format!("{verb} · ")),
            Span::styled(format!("{when}{deep}"), faint()),
        ])
    }

    fn footer(&self, layout: &Layout) -> Option<Line<'static>> {
        let counts = self.subject().view.counts.iter().filter_map(|(kind, count)| text::counted(*kind, *count));
        let mut words: Vec<String> = counts.collect();
        if layout.hidden > 0 {
            words.push(format!("[+{} folded]", layout.hidden));
        }
        (!words.is_empty()).then(|| Line::styled(words.join(", "), layout.colours.style(Color::Cyan).patch(faint())))
    }
}

fn faint() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

/// The verdict on a record: a sign, and a colour that only repeats it. Where it is not good, the words below say why.
fn mark(shown: &Shown) -> (&'static str, Color) {
    match shown.state {
        State::Good(_) => ("✓", Color::Green),
        State::Disowned(..) | State::Refused(_) => ("✗", Color::Red),
        State::Absent => ("?", Color::Yellow),
        State::Withdrawn => ("-", Color::Yellow),
    }
}

/// What a record says, or why it is not shown.
fn words(shown: &Shown) -> String {
    let body = text::body(shown);
    match shown.state {
        State::Disowned(..) => format!("[DISOWNED: its author does not stand by this]\n{body}"),
        _ => body,
    }
}

/// Text in lines of at most `width` columns, and at most `lines_max` of them.
fn wrap(text: &str, width: usize, lines_max: usize) -> Vec<Line<'static>> {
    let text = text.replace('\t', "    ");
    let wrapped = textwrap::wrap(&text, width);
    let total = wrapped.len();
    let kept = if total > lines_max { lines_max.saturating_sub(1) } else { total };
    let mut lines: Vec<Line> = wrapped.into_iter().take(kept).map(|line| Line::raw(line.into_owned())).collect();
    if kept < total {
        lines.push(Line::styled(format!("… {} more lines: Enter", total - kept), faint()));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, width: usize, max: usize, expected: &[&str]) {
        let lines: Vec<String> = wrap(text, width, max).iter().map(ToString::to_string).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn text_is_wrapped_by_columns_and_cut_with_words() {
        check("one two three", 8, 9, &["one two", "three"]);
        check("日本語日本語", 6, 9, &["日本語", "日本語"]);
        check("aaaaaaaaaaaa", 5, 9, &["aaaaa", "aaaaa", "aa"]);
        check("a\nb\nc\nd", 9, 3, &["a", "b", "… 2 more lines: Enter"]);
    }
}
