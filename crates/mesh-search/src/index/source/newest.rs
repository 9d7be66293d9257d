//! The newest of many, by (published, no).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use tantivy::DocAddress;

pub(super) struct Newest {
    count: usize,
    after: Option<(u64, u64)>,
    kept: BinaryHeap<Reverse<(u64, u64, DocAddress)>>,
}

impl Newest {
    pub(super) fn new(count: usize, after: Option<(u64, u64)>) -> Self {
        Self { count, after, kept: BinaryHeap::with_capacity(count + 1) }
    }

    /// Whether a document published then can be among them: most cannot, and need not be looked at further.
    pub(super) fn may_take(&self, published: u64) -> bool {
        self.after.is_none_or(|(last, _)| published <= last)
            && (self.kept.len() < self.count || self.kept.peek().is_none_or(|Reverse((oldest, ..))| published >= *oldest))
    }

    pub(super) fn take(&mut self, published: u64, no: u64, address: DocAddress) {
        if self.after.is_some_and(|after| (published, no) >= after) {
            return;
        }
        self.kept.push(Reverse((published, no, address)));
        if self.kept.len() > self.count {
            self.kept.pop();
        }
    }

    pub(super) fn into_addresses(self) -> impl Iterator<Item = DocAddress> {
        self.kept.into_iter().map(|Reverse((.., address))| address)
    }
}
