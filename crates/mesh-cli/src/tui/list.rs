//! A list that is moved through: what is selected, what is folded or filtered away, and which part of it is on the screen.

use super::item::{Item, Layout};
use mesh_proto::envelope::RecordId;
use ratatui::text::Line;
use std::collections::BTreeSet;

/// Items kept of one list; beyond it the oldest are let go.
const ITEMS_MAX: usize = 20_000;

/// How far a key moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
}

/// One line on the screen.
pub(super) struct Row {
    pub(super) line: Line<'static>,
    pub(super) is_selected: bool,
}

/// A list with its cursor.
#[derive(Debug, Default)]
pub(super) struct List {
    pub(super) items: Vec<Item>,
    pub(super) folded: BTreeSet<RecordId>,
    /// Words to look for, in lower case; empty: all.
    filter: String,
    /// Which of the visible items is selected.
    selected: usize,
    /// The first visible item on the screen, and how many of its lines lie above it.
    top: usize,
    above: usize,
    /// As last drawn: lines of the screen, and of the selected item.
    height: usize,
    selected_height: usize,
}

impl List {
    pub(super) fn new(items: Vec<Item>) -> Self {
        Self { items, ..Self::default() }
    }

    /// The places of the items that are neither folded nor filtered away.
    fn visible(&self) -> Vec<usize> {
        let mut visible = Vec::with_capacity(self.items.len());
        let mut folded_at = None;
        for (index, item) in self.items.iter().enumerate() {
            if !self.filter.is_empty() {
                if item.matches(&self.filter) {
                    visible.push(index);
                }
                continue;
            }
            if folded_at.is_some_and(|depth| item.depth > depth) {
                continue;
            }
            folded_at = self.folded.contains(&item.id()).then_some(item.depth);
            visible.push(index);
        }
        visible
    }

    /// How many answers stand below an item, at any depth.
    fn below(&self, index: usize) -> usize {
        let Some(item) = self.items.get(index) else { return 0 };
        self.items.iter().skip(index + 1).take_while(|below| below.depth > item.depth).count()
    }

    pub(super) fn selected(&self) -> Option<&Item> {
        self.items.get(*self.visible().get(self.selected)?)
    }

    fn select(&mut self, id: RecordId) {
        let visible = self.visible();
        let at = visible.iter().position(|index| self.items.get(*index).is_some_and(|item| item.id() == id));
        self.selected = at.unwrap_or_else(|| self.selected.min(visible.len().saturating_sub(1)));
    }

    /// Changes what is in the list or visible of it; the cursor stays on its item.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Self)) {
        let id = self.selected().map(Item::id);
        change(self);
        self.items.truncate(ITEMS_MAX);
        match id {
            Some(id) => self.select(id),
            None => self.selected = 0,
        }
    }

    /// Puts a new item first. Whoever looks at the beginning sees it come; whoever reads further down is not disturbed.
    pub(super) fn push_front(&mut self, item: Item) {
        let is_at_start = self.top == 0 && self.above == 0;
        let before = self.visible().len();
        self.change(|list| list.items.insert(0, item));
        if !is_at_start {
            self.top += self.visible().len() - before;
        }
    }

    pub(super) fn filter(&mut self, words: &str) {
        let words = words.trim().to_lowercase();
        self.change(|list| list.filter = words);
    }

    pub(super) fn filter_words(&self) -> &str {
        &self.filter
    }

    /// Folds the answers below the selected item, or unfolds them.
    pub(super) fn toggle_fold(&mut self) {
        let visible = self.visible();
        let Some(index) = visible.get(self.selected).copied() else { return };
        let Some(id) = self.items.get(index).map(Item::id) else { return };
        if !self.folded.remove(&id) && self.below(index) > 0 {
            self.folded.insert(id);
        }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.selected + 1 >= self.visible().len()
    }

    pub(super) fn step(&mut self, step: Step) {
        let last = self.visible().len().saturating_sub(1);
        let some = (self.height / 2).max(1);
        let hidden_below = self.selected_height.saturating_sub(self.above + self.height);
        match step {
            // A text that is longer than the screen is read before the cursor leaves it.
            Step::Down | Step::PageDown if self.top == self.selected && hidden_below > 0 => self.above += some.min(hidden_below),
            Step::Up | Step::PageUp if self.top == self.selected && self.above > 0 => self.above = self.above.saturating_sub(some),
            Step::Down => self.selected = (self.selected + 1).min(last),
            Step::Up => self.selected = self.selected.saturating_sub(1),
            Step::PageDown => self.selected = (self.selected + (self.height / 5).max(1)).min(last),
            Step::PageUp => self.selected = self.selected.saturating_sub((self.height / 5).max(1)),
            Step::First => (self.selected, self.top, self.above) = (0, 0, 0),
            Step::Last => self.selected = last,
        }
    }

    /// The rows of a screen of this height, with the selected item among them.
    pub(super) fn rows(&mut self, height: usize, layout: Layout) -> Vec<Row> {
        let visible = self.visible();
        self.selected = self.selected.min(visible.len().saturating_sub(1));
        self.height = height;
        let lines = |place: usize| -> Vec<Line<'static>> {
            let index = visible.get(place).copied().unwrap_or(usize::MAX);
            let item = self.items.get(index);
            let hidden = if item.is_some_and(|item| self.folded.contains(&item.id())) { self.below(index) } else { 0 };
            item.map(|item| item.lines(&Layout { hidden, ..layout })).unwrap_or_default()
        };
        // Without the gap below it.
        let selected_height = lines(self.selected).len().saturating_sub(1);
        let (top, above) = self.scrolled(selected_height, |place| lines(place).len());
        let mut rows = Vec::with_capacity(height);
        for place in top..visible.len() {
            let skipped = if place == top { above } else { 0 };
            let is_selected = place == self.selected;
            let lines = lines(place);
            // The last line of an item is the gap before the next.
            let gap = lines.len().saturating_sub(1);
            let row = |(at, line)| Row { line, is_selected: is_selected && at < gap };
            rows.extend(lines.into_iter().enumerate().skip(skipped).map(row));
            if rows.len() >= height {
                break;
            }
        }
        rows.truncate(height);
        (self.top, self.above, self.selected_height) = (top, above, selected_height);
        rows
    }

    /// Where the screen begins so that it shows the selected item, moved as little as can be.
    fn scrolled(&self, selected_height: usize, height_of: impl Fn(usize) -> usize) -> (usize, usize) {
        let (mut top, mut above) = (self.top, self.above);
        if self.selected < top {
            return (self.selected, selected_height.saturating_sub(self.height));
        }
        if self.selected == top {
            return (top, above.min(selected_height.saturating_sub(self.height)));
        }
        // Every item has two lines or more: what lies further up cannot be on the screen.
        let nearest = self.selected.saturating_sub(self.height);
        if top < nearest {
            (top, above) = (nearest, 0);
        }
        let mut heights: Vec<usize> = (top..self.selected).map(&height_of).collect();
        heights.push(selected_height);
        let mut used = heights.iter().sum::<usize>().saturating_sub(above);
        for height in heights {
            if used <= self.height || top == self.selected {
                break;
            }
            used = used.saturating_sub(height - above.min(height));
            (top, above) = (top + 1, 0);
        }
        (top, above)
    }
}

#[cfg(test)]
mod tests;
