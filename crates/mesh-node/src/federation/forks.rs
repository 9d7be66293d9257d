//! Logs that forked: which they are, and the two signed notes that show it. It decides nothing; who found a fork says so here.

use crate::error::{NodeError, Result};
use crate::peers::Peers;
use crate::tables::OriginNo;
use crate::tables::codec::{Reader, damaged};
use mesh_proto::api::{EvidencePage, LogFork, code};
use mesh_proto::limits::PAGE_MAX;
use mesh_proto::log::Origin;
use mesh_store::{Batch, KeyRange, Kv, Order, Space};
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

/// The known forks.
pub(crate) struct Forks {
    kv: Arc<dyn Kv>,
    known: RwLock<BTreeSet<OriginNo>>,
}

impl Forks {
    pub(crate) fn open(kv: Arc<dyn Kv>) -> Result<Self> {
        let rows = kv.scan(Space::Fork, &KeyRange::all(), Order::Forward, crate::peers::PEERS_MAX)?;
        let known = rows.iter().map(|(key, _)| Ok(OriginNo(u32::from_be_bytes(Reader::new(key, "fork").array()?))));
        Ok(Self { known: RwLock::new(known.collect::<Result<_>>()?), kv })
    }

    pub(crate) fn contains(&self, no: OriginNo) -> bool {
        self.known.read().unwrap_or_else(PoisonError::into_inner).contains(&no)
    }

    pub(crate) fn numbers(&self) -> Vec<OriginNo> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }

    /// Keeps the proof that a log forked: a note of `size` leaves, and another that does not begin with it. Answers whether that is news. Blocks.
    pub(crate) fn keep(&self, no: OriginNo, size: u64, (before, after): (&str, &str)) -> Result<bool> {
        if self.contains(no) {
            return Ok(false);
        }
        let mut batch = Batch::new();
        let key = evidence_key(no, size);
        if self.kv.get(Space::Evidence, &key)?.is_none() {
            batch.put(Space::Evidence, key, evidence_row(before, after));
        }
        batch.put(Space::Fork, no.0.to_be_bytes(), size.to_be_bytes());
        self.kv.commit(batch).wait()?;
        Ok(self.known.write().unwrap_or_else(PoisonError::into_inner).insert(no))
    }
}

/// The key of what shows that a log does not begin with `size` leaves that it showed.
pub(crate) fn evidence_key(no: OriginNo, size: u64) -> [u8; 12] {
    crate::tables::outbox_key(crate::tables::PeerNo(no.0), size)
}

/// Notes hold no zero byte.
pub(crate) fn evidence_row(before: &str, after: &str) -> Vec<u8> {
    [before.as_bytes(), &[0], after.as_bytes()].concat()
}

impl Peers {
    /// Whether a log is known to have forked.
    pub(crate) fn is_forked(&self, origin: &Origin) -> bool {
        self.origin_known(origin).is_some_and(|no| self.forks().contains(no))
    }

    /// Refuses a log that is known to have forked.
    pub(crate) fn check_fork(&self, origin: &Origin) -> Result<()> {
        if !self.is_forked(origin) {
            return Ok(());
        }
        let words = format!(
            "{origin} showed other domains another history than it showed here; both signed notes are at {}/mesh/v1/evidence",
            self.own_domain().base_url()
        );
        Err(NodeError::refused(code::LOG_FORKED, words))
    }
}

/// The proofs that are kept, one of each log, for everybody to check. `after` is the `next` of the page before.
pub(crate) fn page(kv: &dyn Kv, after: Option<u32>) -> Result<EvidencePage> {
    let mut page = EvidencePage::default();
    let mut from = after.map_or(0, |after| after.saturating_add(1));
    while page.forks.len() < PAGE_MAX {
        let row = kv.scan(Space::Evidence, &KeyRange::starting_at(from.to_be_bytes()), Order::Forward, 1)?.into_iter().next();
        let Some((key, row)) = row else { return Ok(EvidencePage { next: None, ..page }) };
        let no = u32::from_be_bytes(Reader::new(&key, "evidence").array()?);
        let mut notes = row.splitn(2, |byte| *byte == 0).map(|note| std::str::from_utf8(note).map(str::to_owned));
        let (Some(Ok(before)), Some(Ok(after))) = (notes.next(), notes.next()) else { return Err(damaged("evidence").into()) };
        page.forks.push(LogFork { before, after });
        page.next = Some(no);
        from = no.saturating_add(1);
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_store::MemoryStore;

    #[test]
    fn forks_are_kept_once_and_known_after_a_restart() {
        let kv: Arc<dyn Kv> = Arc::new(MemoryStore::new());
        let forks = Forks::open(Arc::clone(&kv)).expect("opens");
        assert!(forks.keep(OriginNo(7), 3, ("first", "second")).expect("stored"));
        assert!(!forks.keep(OriginNo(7), 4, ("third", "fourth")).expect("known"));
        assert!(forks.keep(OriginNo(9), 3, ("a", "b")).expect("stored"));
        let again = Forks::open(Arc::clone(&kv)).expect("opens");
        assert_eq!(again.numbers(), [OriginNo(7), OriginNo(9)]);
        let first = LogFork { before: "first".into(), after: "second".into() };
        assert_eq!(page(&*kv, None).expect("a page").forks[0], first);
        assert_eq!(page(&*kv, Some(7)).expect("a page").forks.len(), 1);
        assert_eq!(page(&*kv, Some(9)).expect("a page"), EvidencePage::default());
    }
}
