//! One list on the screen: the feed, or a thread.

use crate::tui::item::Item;
use crate::tui::list::List;
use crate::tui::work::{Job, Thread, tree};
use mesh_client::reader::Shown;
use mesh_proto::address::Address;
use mesh_proto::envelope::{Kind, RecordId};
use mesh_proto::uri::Target;

/// Where a panel's records come from.
#[derive(Debug, Clone)]
pub(in crate::tui) enum Source {
    Feed,
    Thread(Target),
}

/// A list with where it comes from and how it goes on.
#[derive(Debug)]
pub(in crate::tui) struct Panel {
    pub(in crate::tui) id: usize,
    pub(in crate::tui) source: Source,
    pub(in crate::tui) title: String,
    pub(in crate::tui) list: List,
    /// The next page, until it is asked for.
    pub(in crate::tui) next: Option<String>,
    /// New items that nobody went up to yet.
    pub(in crate::tui) unseen: usize,
    /// A thread as it came: its top, then the comments.
    records: Vec<Shown>,
}

impl Panel {
    pub(in crate::tui) fn feed(own: &Address, items: Vec<Item>, next: Option<String>) -> Self {
        let title = format!("feed of {own}");
        Self { id: 0, source: Source::Feed, title, list: List::new(items), next, unseen: 0, records: Vec::new() }
    }

    pub(in crate::tui) fn thread(id: usize, thread: Thread) -> Self {
        let title = thread.records.first().map(|top| format!("thread of {}", top.author)).unwrap_or_default();
        let list = List::new(tree(&thread.records));
        Self { id, source: Source::Thread(thread.target), title, list, next: thread.next, unseen: 0, records: thread.records }
    }

    /// The job that reads it anew.
    pub(in crate::tui) fn reading(&self) -> Job {
        match &self.source {
            Source::Feed => Job::Feed(self.id, None),
            Source::Thread(target) => Job::Again(self.id, target.clone()),
        }
    }

    /// The job that reads on, once for each page.
    pub(in crate::tui) fn more(&mut self) -> Option<Job> {
        let from = self.next.take()?;
        Some(match &self.source {
            Source::Feed => Job::Feed(self.id, Some(from)),
            Source::Thread(target) => Job::MoreOfThread(self.id, target.clone(), from),
        })
    }

    /// A page of the feed: the newest one, or one that continues it.
    pub(in crate::tui) fn add_page(&mut self, from: Option<&str>, items: Vec<Item>, next: Option<String>) {
        self.list.change(|list| match from {
            None => list.items = items,
            Some(_) => {
                let known: std::collections::BTreeSet<RecordId> = list.items.iter().map(Item::id).collect();
                list.items.extend(items.into_iter().filter(|item| !known.contains(&item.id())));
            }
        });
        self.next = next;
    }

    /// What a thread is now, as far as one page tells; what lies beyond it, and what its home does not have yet, stays.
    pub(in crate::tui) fn read_again(&mut self, thread: Thread) {
        self.add_records(thread.records);
    }

    /// Records of a thread: each takes the place of what was known of it, or comes last.
    pub(in crate::tui) fn add_records(&mut self, records: Vec<Shown>) {
        for shown in records {
            match self.records.iter_mut().find(|known| known.view.card.id == shown.view.card.id) {
                Some(known) => *known = shown,
                None => self.records.push(shown),
            }
        }
        let items = tree(&self.records);
        self.list.change(|list| list.items = items);
    }

    /// Counts one more of `kind` about a record until its home tells its own number.
    pub(in crate::tui) fn count(&mut self, id: RecordId, kind: Kind) {
        self.list.items.iter_mut().for_each(|item| item.count(id, kind));
        for shown in self.records.iter_mut().filter(|shown| shown.view.card.id == id) {
            *shown.view.counts.entry(kind).or_default() += 1;
        }
    }
}
