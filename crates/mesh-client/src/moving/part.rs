//! One part of an export: records of one log, a checkpoint, and one proof for all leaves.

use crate::verify::check::{self, leaf_hash, not_logged};
use crate::verify::{Mistrust, Standing};
use mesh_proto::api::Delivery;
use mesh_proto::key::KeyId;
use mesh_proto::keylog::{KeyLog, LogPosition};
use mesh_proto::limits::BATCH_RECORDS_MAX;
use mesh_proto::log::{Checkpoint, Opening, verify};

/// What the check of a part found. Its leaves are proven, else there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartCheck {
    /// Whether the checkpoint is signed by a key that is known to be its log's.
    pub vouched: bool,
    /// Records that their author does not stand by.
    pub disowned: usize,
    /// Records whose signature does not hold.
    pub refused: Vec<Mistrust>,
}

/// Checks a part of an account's export. `key` signs the log's checkpoints; without one nobody says whose log it is.
///
/// # Errors
/// [`Mistrust`] if the checkpoint is not good or a leaf is not in its tree: then nothing of the part is worth taking along.
pub fn check_part(part: &Delivery, keys: &KeyLog, key: Option<&KeyId>) -> Result<PartCheck, Mistrust> {
    let leaf = |index| LogPosition { origin: part.origin.clone(), index };
    let first = part.items.first().map_or(0, |item| item.index);
    if part.items.is_empty() || part.items.len() > BATCH_RECORDS_MAX {
        return Err(not_logged("a part of the export", &leaf(first), format!("it has not 1 to {BATCH_RECORDS_MAX} records")));
    }
    let checkpoint = match key {
        Some(key) => check::checkpoint(&part.checkpoint, &part.origin, key)?,
        None => Checkpoint::unverified(&part.checkpoint, &part.origin)
            .map_err(|source| Mistrust::Checkpoint { origin: part.origin.clone(), source })?,
    };
    let mut leaves = Vec::with_capacity(part.items.len());
    for item in &part.items {
        let (record, kind) = (item.envelope.id(), item.envelope.kind());
        let opening = Opening { salt: item.salt, record, account: keys.account(), kind, received: item.received };
        leaves.push((item.index, leaf_hash(&opening)));
    }
    verify(checkpoint.size, &checkpoint.root, &leaves, &part.proof)
        .map_err(|error| not_logged("a part of the export", &leaf(first), error.to_string()))?;
    let mut found = PartCheck { vouched: key.is_some(), ..PartCheck::default() };
    for item in &part.items {
        let place = leaf(item.index);
        match check::record(&item.envelope, key.map(|_| &place), keys) {
            Ok(checked) if checked.standing == Standing::Good => {}
            Ok(_) => found.disowned += 1,
            Err(mistrust) => found.refused.push(mistrust),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_proto::api::DeliveryItem;
    use mesh_proto::key::SecretKey;
    use mesh_proto::record::{Content, Post};
    use mesh_testkit::{TestAccount, TestLog};

    fn part(log: &mut TestLog, account: &TestAccount, texts: &[&str]) -> Delivery {
        let logged: Vec<_> = texts.iter().map(|text| log.accept(account, account.sign(Content::Post(Post::free(*text))))).collect();
        let indexes: Vec<u64> = logged.iter().map(|record| record.leaf.index).collect();
        let items = logged.into_iter().map(|record| DeliveryItem {
            index: record.leaf.index,
            salt: record.opening.salt,
            received: record.opening.received,
            envelope: record.envelope,
        });
        let items = items.collect();
        let (checkpoint, proof) = (log.checkpoint(), log.prove(&indexes));
        let origin = "one.localhost:8001/log/1".parse().expect("an origin");
        Delivery { origin, checkpoint, proof, growth: None, since: None, items, keys: Vec::new() }
    }

    #[test]
    fn part_of_the_account_holds_and_says_who_vouches() {
        let neo = TestAccount::new("neo@one.localhost:8001", 1);
        let mut log = TestLog::new("one.localhost:8001/log/1", 9);
        let part = part(&mut log, &neo, &["one", "two"]);
        assert_eq!(check_part(&part, &neo.keys, Some(&log.key())), Ok(PartCheck { vouched: true, ..PartCheck::default() }));
        assert_eq!(check_part(&part, &neo.keys, None), Ok(PartCheck::default()));
        let stranger = SecretKey::from_seed(&[50; 32]).id();
        assert!(matches!(check_part(&part, &neo.keys, Some(&stranger)), Err(Mistrust::Checkpoint { .. })));
    }

    #[test]
    fn part_of_another_account_or_with_a_changed_leaf_does_not_hold() {
        let (neo, eve) = (TestAccount::new("neo@one.localhost:8001", 1), TestAccount::new("eve@one.localhost:8001", 2));
        let mut log = TestLog::new("one.localhost:8001/log/1", 9);
        let mut part = part(&mut log, &neo, &["one", "two"]);
        assert!(matches!(check_part(&part, &eve.keys, Some(&log.key())), Err(Mistrust::NotLogged { .. })));
        part.items[0].received += 1;
        assert!(matches!(check_part(&part, &neo.keys, Some(&log.key())), Err(Mistrust::NotLogged { .. })));
        part.items.clear();
        assert!(matches!(check_part(&part, &neo.keys, Some(&log.key())), Err(Mistrust::NotLogged { .. })));
    }
}
