//! Places for work that accounts ask for and that takes long: one for each account, and so many in all. Whoever finds none is told to come again.

use crate::error::{NodeError, Result};
use crate::tables::AccountLid;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// After how many seconds one may come again.
const RETRY_AFTER_S: u64 = 5;

/// Some places.
pub(crate) struct Places {
    most: usize,
    taken: Mutex<BTreeSet<AccountLid>>,
}

/// A place that is taken. Dropped, it is free again.
pub(crate) struct Place {
    places: Arc<Places>,
    account: AccountLid,
}

impl Places {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::default() })
    }

    fn taken(&self) -> MutexGuard<'_, BTreeSet<AccountLid>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for an account.
    pub(crate) fn take(self: &Arc<Self>, account: AccountLid) -> Result<Place> {
        let mut taken = self.taken();
        if taken.len() >= self.most || !taken.insert(account) {
            return Err(NodeError::SlowDown { retry_after_s: RETRY_AFTER_S });
        }
        drop(taken);
        Ok(Place { places: Arc::clone(self), account })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().remove(&self.account);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_has_one_place_and_all_have_so_many() {
        let places = Places::new(2);
        let first = places.take(AccountLid(1)).expect("free");
        assert!(matches!(places.take(AccountLid(1)), Err(NodeError::SlowDown { .. })), "it has one");
        let _second = places.take(AccountLid(2)).expect("free");
        assert!(matches!(places.take(AccountLid(3)), Err(NodeError::SlowDown { .. })), "all are taken");
        drop(first);
        places.take(AccountLid(3)).expect("free again");
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_is_given_up_leaves_its_place() {
        let places = Places::new(1);
        let work = async {
            let _place = places.take(AccountLid(1)).expect("free");
            std::future::pending::<()>().await;
        };
        assert!(tokio::time::timeout(std::time::Duration::from_secs(1), work).await.is_err());
        places.take(AccountLid(2)).expect("free again");
    }
}
