//! What the screen looks like: a title, the list, and one line for what happened or is being typed.

use super::app::{App, Mode};
use super::input::Input;
use super::list::Row;
use super::{item, keys};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph, Wrap};
use unicode_width::UnicodeWidthStr;

/// Lines of a text in a feed; its thread shows all.
const FEED_LINES_MAX: usize = 8;
/// Columns that mark the selected item.
const MARGIN: usize = 2;

/// `now_ms`: the time, milliseconds since the epoch.
pub(super) fn draw(frame: &mut Frame, app: &mut App, now_ms: u64) {
    let [title, list, last] = Layout::vertical([Constraint::Length(1), Constraint::Min(1), Constraint::Length(1)]).areas(frame.area());
    draw_title(frame, title, app);
    draw_list(frame, list, app, now_ms);
    draw_last(frame, last, app);
    if let Mode::Text(text, scroll) = &app.mode {
        let lines = u16::try_from(*scroll).unwrap_or(u16::MAX);
        frame.render_widget(Clear, list);
        frame.render_widget(Paragraph::new(text.as_str()).wrap(Wrap { trim: false }).scroll((lines, 0)), list);
    }
}

fn draw_title(frame: &mut Frame, area: Rect, app: &mut App) {
    let is_busy = app.is_busy;
    let panel = app.panel();
    let mut words = format!(" {}", panel.title);
    if panel.unseen > 0 {
        words.push_str(&format!(" · {} new (g)", panel.unseen));
    }
    if !panel.list.filter_words().is_empty() {
        words.push_str(&format!(" · /{}", panel.list.filter_words()));
    }
    if is_busy {
        words.push_str(" …");
    }
    frame.render_widget(Paragraph::new(words).style(Style::new().add_modifier(Modifier::REVERSED)), area);
}

fn draw_list(frame: &mut Frame, area: Rect, app: &mut App, now_ms: u64) {
    let colours = app.colours;
    let panel = app.panel();
    let body_lines_max = match panel.source {
        super::app::Source::Feed => FEED_LINES_MAX,
        super::app::Source::Thread(_) => usize::MAX,
    };
    let width = usize::from(area.width).saturating_sub(MARGIN);
    let layout = item::Layout { width, body_lines_max, hidden: 0, colours, now_ms };
    let rows = panel.list.rows(usize::from(area.height), layout);
    if rows.is_empty() {
        let words = if panel.list.items.is_empty() {
            "nothing yet: mesh subscribe ADDRESS fills it"
        } else {
            "nothing matches; Esc ends the filter"
        };
        frame.render_widget(Paragraph::new(words), area);
        return;
    }
    frame.render_widget(Paragraph::new(rows.into_iter().map(marked).collect::<Vec<_>>()), area);
}

fn marked(row: Row) -> Line<'static> {
    let Row { mut line, is_selected } = row;
    line.spans.insert(0, Span::raw(if is_selected { "▌ " } else { "  " }));
    line
}

fn draw_last(frame: &mut Frame, area: Rect, app: &App) {
    match &app.mode {
        Mode::Filter(input) => draw_input(frame, area, "/", input),
        Mode::Comment(_, input) => draw_input(frame, area, "comment: ", input),
        Mode::Vote(ballot) => frame.render_widget(Paragraph::new(ballot.words()), area),
        Mode::Ask(question) => frame.render_widget(Paragraph::new(question.words()), area),
        Mode::Text(..) => frame.render_widget(Paragraph::new("j k scroll, other keys close"), area),
        Mode::Browse if app.status.is_empty() => {
            frame.render_widget(Paragraph::new(keys::HINT).style(Style::new().add_modifier(Modifier::DIM)), area);
        }
        Mode::Browse => frame.render_widget(Paragraph::new(app.status.as_str()), area),
    }
}

/// A line that is typed, moved so that its cursor is seen.
fn draw_input(frame: &mut Frame, area: Rect, prompt: &str, input: &Input) {
    let (before, after) = input.halves();
    let room = usize::from(area.width).saturating_sub(prompt.width() + 1);
    let mut seen = before.as_str();
    while seen.width() > room {
        let mut chars = seen.chars();
        chars.next();
        seen = chars.as_str();
    }
    let column = u16::try_from(prompt.width() + seen.width()).unwrap_or(u16::MAX);
    frame.render_widget(Paragraph::new(format!("{prompt}{seen}{after}")), area);
    frame.set_cursor_position(Position { x: area.x.saturating_add(column).min(area.right().saturating_sub(1)), y: area.y });
}
