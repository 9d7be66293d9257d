//! What goes with records of other logs that are erased: what proved their leaves, and the count of their bytes.

use crate::error::Result;
use crate::tables::account::copied_key;
use crate::tables::carried::{self, Archive};
use crate::tables::{AccountLid, Lid};
use mesh_store::{Batch, Read, Space};
use std::collections::{BTreeMap, BTreeSet};

/// The proofs of records that are about to be erased, by the number of their row.
#[derive(Default)]
pub(super) struct Proofs {
    erased: BTreeSet<Lid>,
    rows: BTreeMap<u64, Lid>,
}

impl Proofs {
    /// Notes what proves a record, if that lies in another log.
    pub(super) fn note(&mut self, read: &dyn Read, lid: Lid) -> Result<()> {
        if let Some(sequence) = carried::sequence(read, lid)? {
            self.rows.insert(sequence, lid);
            self.erased.insert(lid);
        }
        Ok(())
    }

    /// Erases the rows that prove nothing any more: a delivery holds records of several accounts.
    pub(super) fn erase(&self, batch: &mut Batch, read: &dyn Read) -> Result<()> {
        for (sequence, lid) in &self.rows {
            let Some((_, archive)) = Archive::of(read, *lid)? else { continue };
            let mut others = archive.leaves.iter().map(|(index, _)| Lid::new(lid.origin(), *index));
            let proves = others.try_fold(false, |proves, other| {
                let others = !self.erased.contains(&other) && carried::sequence(read, other)? == Some(*sequence);
                Ok::<_, mesh_store::StoreError>(proves || others)
            })?;
            if !proves {
                batch.delete(Space::Archive, sequence.to_be_bytes());
            }
        }
        Ok(())
    }
}

/// Forgets how many bytes were kept of an account.
pub(super) fn forget(batch: &mut Batch, read: &dyn Read, account: AccountLid) -> Result<()> {
    let key = copied_key(account);
    let bytes = mesh_store::counter(read, Space::Meta, key.as_bytes())?;
    if bytes != 0 {
        batch.add(Space::Meta, key, -bytes);
    }
    Ok(())
}
