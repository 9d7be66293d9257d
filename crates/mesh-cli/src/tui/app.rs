//! The state of the interface and what every key, piece of news and finished job does to it. Pure: it does no work and touches no terminal.

mod ballot;
mod panel;

pub(super) use ballot::Ballot;
pub(super) use panel::{Panel, Source};

use super::input::Input;
use super::item::{Colours, Item};
use super::keys;
use super::list::Step;
use super::work::{Job, Outcome, Thread};
use crate::safe;
use crate::text::happened;
use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use mesh_client::follow::News;
use mesh_proto::address::Address;
use mesh_proto::envelope::{Kind, RecordId};
use mesh_proto::uri::Target;

/// Most threads opened one out of the other.
const PANELS_MAX: usize = 64;

/// What the loop is to do.
#[derive(Debug)]
pub(super) enum Effect {
    Quit,
    Work(Job),
    /// Lets the person write about this in their editor, beginning with this text.
    Edit(Target, String),
    Open(String),
}

/// What keys mean just now.
#[derive(Debug, Default)]
pub(super) enum Mode {
    #[default]
    Browse,
    Filter(Input),
    Comment(Target, Input),
    Vote(Ballot),
    /// A question with its answers.
    Ask(Question),
    /// Text over the list, scrolled by so many lines.
    Text(String, usize),
}

/// What is asked before something is done.
#[derive(Debug, Clone)]
pub(super) enum Question {
    Withdraw(Target),
    Which(Target),
}

impl Question {
    pub(super) fn words(&self) -> &'static str {
        match self {
            Self::Withdraw(_) => "withdraw this for ever, everywhere? y n",
            Self::Which(_) => "undo what? l like, r repost, v vote, Esc nothing",
        }
    }
}

/// The whole interface.
pub(super) struct App {
    /// The panels that lie on each other; the last one is seen. Never empty.
    panels: Vec<Panel>,
    pub(super) mode: Mode,
    /// What happened last.
    pub(super) status: String,
    pub(super) is_busy: bool,
    pub(super) colours: Colours,
    /// One's own address, to know one's own records.
    own: Option<Address>,
    panels_made: usize,
}

impl App {
    pub(super) fn feed(own: &Address, items: Vec<Item>, next: Option<String>) -> Self {
        let mut app = Self::new(Panel::feed(own, items, next));
        app.own = Some(own.clone());
        app
    }

    pub(super) fn thread(thread: Thread, own: Option<Address>) -> Self {
        Self { own, ..Self::new(Panel::thread(0, thread)) }
    }

    fn new(panel: Panel) -> Self {
        let colours = Colours::from_env();
        Self { panels: vec![panel], mode: Mode::Browse, status: String::new(), is_busy: false, colours, own: None, panels_made: 1 }
    }

    pub(super) fn panel(&mut self) -> &mut Panel {
        self.panels.last_mut().expect("the last panel is never closed")
    }

    fn panel_of(&mut self, id: usize) -> Option<&mut Panel> {
        self.panels.iter_mut().find(|panel| panel.id == id)
    }

    fn feed_panel(&mut self) -> Option<&mut Panel> {
        self.panels.iter_mut().find(|panel| matches!(panel.source, Source::Feed))
    }

    fn selected(&mut self) -> Option<Item> {
        self.panel().list.selected().cloned()
    }

    pub(super) fn event(&mut self, event: Event) -> Vec<Effect> {
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => self.key(key),
            Event::Paste(text) => {
                if let Mode::Filter(input) | Mode::Comment(_, input) = &mut self.mode {
                    input.paste(&text);
                }
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn key(&mut self, key: KeyEvent) -> Vec<Effect> {
        if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
            return vec![Effect::Quit];
        }
        match std::mem::take(&mut self.mode) {
            Mode::Browse => self.browse(key),
            Mode::Filter(input) => self.typing_filter(input, key),
            Mode::Comment(target, input) => self.typing_comment(target, input, key),
            Mode::Vote(ballot) => self.voting(ballot, key.code),
            Mode::Ask(question) => answered(question, key.code),
            Mode::Text(text, scroll) => {
                match key.code {
                    KeyCode::Char('j') | KeyCode::Down => self.mode = Mode::Text(text, scroll + 1),
                    KeyCode::Char('k') | KeyCode::Up => self.mode = Mode::Text(text, scroll.saturating_sub(1)),
                    _ => {}
                }
                Vec::new()
            }
        }
    }

    fn browse(&mut self, key: KeyEvent) -> Vec<Effect> {
        self.status.clear();
        if let Some(step) = step_of(key.code) {
            return self.step(step);
        }
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc | KeyCode::Backspace => return self.back(key.code),
            KeyCode::Char('?') => self.mode = Mode::Text(help(), 0),
            KeyCode::Char('/') => self.mode = Mode::Filter(Input::new(self.panel().list.filter_words())),
            KeyCode::Char('R') => return vec![Effect::Work(self.panel().reading())],
            KeyCode::Enter | KeyCode::Right | KeyCode::Left if matches!(self.panel().source, Source::Thread(_)) => {
                self.panel().list.toggle_fold();
            }
            _ => return self.selected().map(|item| self.act(key.code, &item)).unwrap_or_default(),
        }
        Vec::new()
    }

    /// The keys that are about the selected record.
    fn act(&mut self, code: KeyCode, item: &Item) -> Vec<Effect> {
        let target = item.target();
        let effect = match code {
            KeyCode::Enter | KeyCode::Right if self.panels.len() < PANELS_MAX => Effect::Work(Job::Thread(target)),
            KeyCode::Char('l') => Effect::Work(Job::Act(Kind::Like, target)),
            KeyCode::Char('r') => Effect::Work(Job::Act(Kind::Repost, target)),
            KeyCode::Char('v') => Effect::Work(Job::Verify(target)),
            KeyCode::Char('o') => Effect::Open(item.link()),
            KeyCode::Char('C') => Effect::Edit(target, String::new()),
            KeyCode::Char('p') => {
                match Ballot::of(item.subject()) {
                    Ok(ballot) => self.mode = Mode::Vote(ballot),
                    Err(words) => self.status = words.to_owned(),
                }
                return Vec::new();
            }
            KeyCode::Char('c') => {
                self.mode = Mode::Comment(target, Input::default());
                return Vec::new();
            }
            KeyCode::Char('u') if self.own.as_ref() == Some(&item.shown.author) => {
                self.mode = Mode::Ask(Question::Withdraw(item.shown.target()));
                return Vec::new();
            }
            KeyCode::Char('u') => Effect::Work(Job::Undo(target, None)),
            _ => return Vec::new(),
        };
        vec![effect]
    }

    fn step(&mut self, step: Step) -> Vec<Effect> {
        let panel = self.panel();
        panel.list.step(step);
        panel.unseen = if step == Step::First { 0 } else { panel.unseen };
        let more = if panel.list.is_at_end() { panel.more() } else { None };
        more.map(Effect::Work).into_iter().collect()
    }

    fn back(&mut self, code: KeyCode) -> Vec<Effect> {
        if !self.panel().list.filter_words().is_empty() && code != KeyCode::Char('q') {
            self.panel().list.filter("");
            return Vec::new();
        }
        if self.panels.len() == 1 {
            return if code == KeyCode::Backspace { Vec::new() } else { vec![Effect::Quit] };
        }
        self.panels.pop();
        Vec::new()
    }

    fn typing_filter(&mut self, mut input: Input, key: KeyEvent) -> Vec<Effect> {
        match key.code {
            KeyCode::Enter => {}
            KeyCode::Esc => self.panel().list.filter(""),
            _ => {
                input.key(key);
                self.panel().list.filter(&input.text());
                self.mode = Mode::Filter(input);
            }
        }
        Vec::new()
    }

    fn voting(&mut self, mut ballot: Ballot, code: KeyCode) -> Vec<Effect> {
        match (code, ballot.choices()) {
            (KeyCode::Esc, _) => self.status = "nothing was sent".to_owned(),
            (KeyCode::Enter, Some(choices)) => return vec![Effect::Work(Job::Vote(ballot.target, choices))],
            _ => {
                ballot.key(code);
                self.mode = Mode::Vote(ballot);
            }
        }
        Vec::new()
    }

    fn typing_comment(&mut self, target: Target, mut input: Input, key: KeyEvent) -> Vec<Effect> {
        match key.code {
            KeyCode::Enter if input.text().trim().is_empty() => {}
            KeyCode::Enter => return vec![Effect::Work(Job::Comment(target, input.text()))],
            KeyCode::Esc => self.status = "nothing was sent".to_owned(),
            _ => {
                input.key(key);
                self.mode = Mode::Comment(target, input);
            }
        }
        Vec::new()
    }

    /// What the editor left.
    pub(super) fn edited(&mut self, target: Target, written: Result<String, String>) -> Option<Job> {
        match written {
            Ok(text) if !text.trim().is_empty() => return Some(Job::Comment(target, text)),
            Ok(_) => self.status = "nothing was written, nothing was sent".to_owned(),
            Err(words) => self.status = safe::line(&words),
        }
        None
    }

    pub(super) fn opened(&mut self, opened: Result<(), String>, link: &str) {
        let link = safe::line(link);
        self.status = match opened {
            Ok(()) => format!("opened {link}"),
            Err(words) => format!("{link} could not be opened: {}", safe::line(&words)),
        };
    }

    /// News of the event stream; an error is its last word.
    pub(super) fn news(&mut self, told: mesh_client::Result<News>) -> Vec<Effect> {
        match told {
            Ok(News::Item(shown)) if self.feed_panel().is_some() => return vec![Effect::Work(Job::Arrived(shown))],
            Ok(News::Item(_)) => {}
            Ok(News::Notification(news)) => {
                self.status = format!("{} {}", safe::line(&news.card.address.to_string()), happened(&news));
                let is_seen = news.object.is_some_and(|object| self.panel().list.items.iter().any(|item| item.id() == object));
                return if is_seen { vec![Effect::Work(self.panel().reading())] } else { Vec::new() };
            }
            Ok(News::Broken { error, wait }) => {
                self.status = safe::line(&format!("{}; trying again in {:.1} s", error.words(), wait.as_secs_f32()));
            }
            Err(error) => self.status = safe::line(&error.words()),
        }
        Vec::new()
    }

    pub(super) fn outcome(&mut self, outcome: Outcome) -> Vec<Effect> {
        match outcome {
            Outcome::Thread(thread) => {
                self.panels.push(Panel::thread(self.panels_made, thread));
                self.panels_made += 1;
            }
            Outcome::Again(id, thread) => {
                if let Some(panel) = self.panel_of(id) {
                    panel.read_again(thread);
                }
            }
            Outcome::MoreOfThread(id, records, next) => {
                if let Some(panel) = self.panel_of(id) {
                    panel.add_records(records);
                    panel.next = next;
                }
            }
            Outcome::Feed(id, from, items, next) => {
                if let Some(panel) = self.panel_of(id) {
                    panel.add_page(from.as_deref(), items, next);
                }
            }
            Outcome::Arrived(items) => items.into_iter().for_each(|item| self.arrived(item)),
            Outcome::Acted(kind, target) => {
                self.status = format!("your {kind} is signed and logged");
                self.count(&target, kind);
            }
            Outcome::Commented(comment) => {
                self.status = "your comment is signed and logged".to_owned();
                if let Some(parent) = comment.parent() {
                    self.count_id(parent, Kind::Comment);
                }
                if let Source::Thread(_) = self.panel().source {
                    self.panel().add_records(vec![*comment]);
                }
            }
            Outcome::Voted => {
                self.status = "your vote is signed and logged".to_owned();
                return vec![Effect::Work(self.panel().reading())];
            }
            Outcome::Undone => {
                self.status = "undone".to_owned();
                return vec![Effect::Work(self.panel().reading())];
            }
            Outcome::UndoWhich(target) => self.mode = Mode::Ask(Question::Which(target)),
            Outcome::Proof(lines) => self.mode = Mode::Text(safe::plain(&lines), 0),
            Outcome::Failed(words) => self.status = safe::line(&words),
        }
        Vec::new()
    }

    /// A new item goes to the feed, whichever panel lies on it.
    fn arrived(&mut self, item: Item) {
        let Some(feed) = self.feed_panel() else { return };
        if feed.list.items.iter().all(|known| known.id() != item.id()) {
            feed.list.push_front(item);
            feed.unseen += 1;
        }
    }

    fn count(&mut self, target: &Target, kind: Kind) {
        if let Target::Record { record, .. } = target {
            self.count_id(*record, kind);
        }
    }

    fn count_id(&mut self, id: RecordId, kind: Kind) {
        for panel in &mut self.panels {
            panel.count(id, kind);
        }
    }
}

fn step_of(code: KeyCode) -> Option<Step> {
    Some(match code {
        KeyCode::Char('j') | KeyCode::Down => Step::Down,
        KeyCode::Char('k') | KeyCode::Up => Step::Up,
        KeyCode::Char(' ') | KeyCode::PageDown => Step::PageDown,
        KeyCode::Char('b') | KeyCode::PageUp => Step::PageUp,
        KeyCode::Char('g') | KeyCode::Home => Step::First,
        KeyCode::Char('G') | KeyCode::End => Step::Last,
        _ => return None,
    })
}

fn answered(question: Question, code: KeyCode) -> Vec<Effect> {
    let job = match (question, code) {
        (Question::Withdraw(target), KeyCode::Char('y')) => Job::Undo(target, None),
        (Question::Which(target), KeyCode::Char('l')) => Job::Undo(target, Some(Kind::Like)),
        (Question::Which(target), KeyCode::Char('r')) => Job::Undo(target, Some(Kind::Repost)),
        (Question::Which(target), KeyCode::Char('v')) => Job::Undo(target, Some(Kind::Vote)),
        _ => return Vec::new(),
    };
    vec![Effect::Work(job)]
}

fn help() -> String {
    keys::KEYS.iter().map(|(key, meaning)| format!("{key:<8} {meaning}")).collect::<Vec<_>>().join("\n")
}
