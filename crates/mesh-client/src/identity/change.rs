//! Changes of a key log: drafted on the verified log, signed, sent, checked.

use crate::error::{ClientError, Result};
use crate::home::Home;
use crate::http::Http;
use crate::verify::check;
use mesh_proto::api::DomainKeyUse;
use mesh_proto::bytes::Salt;
use mesh_proto::key::SecretKey;
use mesh_proto::keylog::{Action, KeyLog, LogPosition, LoggedOp, NewOp};

/// Up to where the owner stands by what a revoked device has signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastGood {
    /// By everything that is logged until now.
    Now,
    /// By nothing.
    Nothing,
    /// By everything up to this leaf of the present log.
    Leaf(u64),
}

/// The next operation after the log's head, not yet signed.
pub fn draft(http: &Http, keys: &KeyLog, action: Action) -> NewOp {
    NewOp { follows: Some((keys.account(), keys.head())), action, at: http.now_ms(), salt: Salt(http.random()) }
}

/// Signs an operation, checks that the log takes it, sends it home, and adds it to the log at hand.
///
/// # Errors
/// [`ClientError::NotAllowed`] if the key log does not let this key do this; else what the home says.
pub async fn submit(home: &Home, keys: &mut KeyLog, op: &NewOp, signer: &SecretKey) -> Result<()> {
    let envelope = op.sign(signer);
    let logged = LoggedOp { envelope: envelope.clone(), received: home.http().now_ms() };
    let mut extended = keys.clone();
    extended.insert(logged).map_err(|error| ClientError::NotAllowed(error.to_string()))?;
    let added = home.add_key(&keys.account(), &envelope).await?;
    if !extended.contains(&added.head) {
        return Err(ClientError::malformed(home.domain(), "the key log has a head that is not known here: somebody else changed it too"));
    }
    *keys = extended;
    Ok(())
}

/// The leaf that `last_good` means, by the home's newest verified checkpoint.
pub async fn last_good(home: &Home, last_good: LastGood) -> Result<Option<LogPosition>> {
    if last_good == LastGood::Nothing {
        return Ok(None);
    }
    let discovery = home.discovery().await?;
    let origin = discovery.origin.clone();
    if let LastGood::Leaf(index) = last_good {
        return Ok(Some(LogPosition { origin, index }));
    }
    let log_key = discovery.key(DomainKeyUse::Log).ok_or_else(|| ClientError::malformed(home.domain(), "it names no log key"))?;
    let checkpoint = check::checkpoint(&home.checkpoint(origin.number()).await?, &origin, &log_key)?;
    Ok(checkpoint.size.checked_sub(1).map(|index| LogPosition { origin, index }))
}
