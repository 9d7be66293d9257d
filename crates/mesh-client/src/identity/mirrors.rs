//! Mirrors: domains that keep a copy of what one says. One is asked first and named in the key log second.

use super::change;
use crate::error::{ClientError, Result};
use crate::home::Home;
use crate::session::Session;
use mesh_proto::address::Domain;
use mesh_proto::api::{MirrorAgreement, MirrorRequest};
use mesh_proto::keylog::{Action, KeyLog, NewOp};
use mesh_proto::limits::MIRRORS_MAX;

/// The list with one more.
///
/// # Errors
/// [`ClientError::Input`] if it is one's own home, or there are as many as there may be.
pub fn with(keys: &KeyLog, domain: &Domain) -> Result<Vec<Domain>> {
    let mut mirrors = keys.view().mirrors().to_vec();
    if domain == keys.view().address().domain() {
        return Err(ClientError::Input(format!("{domain} is your home: a mirror is another domain")));
    }
    if !mirrors.contains(domain) {
        if mirrors.len() >= MIRRORS_MAX {
            return Err(ClientError::Input(format!("there are {MIRRORS_MAX} mirrors at most: remove one first")));
        }
        mirrors.push(domain.clone());
    }
    Ok(mirrors)
}

/// The list with one less.
///
/// # Errors
/// [`ClientError::NotFound`] if it is not in it.
pub fn without(keys: &KeyLog, domain: &Domain) -> Result<Vec<Domain>> {
    let mut mirrors = keys.view().mirrors().to_vec();
    let before = mirrors.len();
    mirrors.retain(|mirror| mirror != domain);
    if mirrors.len() < before { Ok(mirrors) } else { Err(ClientError::NotFound(format!("{domain} is not one of your mirrors"))) }
}

/// Asks a domain to keep a copy.
pub async fn ask(session: &Session, mirror: &Home) -> Result<MirrorAgreement> {
    let request = MirrorRequest { home: session.home().domain().clone() };
    let agreement = mirror.mirror(session.signer(), &session.account(), &request).await?;
    if agreement.account == session.account() {
        Ok(agreement)
    } else {
        Err(ClientError::malformed(mirror.domain(), "it agreed about another account"))
    }
}

/// The operation that names them, not yet signed.
pub fn draft(session: &Session, keys: &KeyLog, mirrors: Vec<Domain>) -> NewOp {
    change::draft(session.home().http(), keys, Action::MirrorSet { mirrors })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_testkit::TestAccount;

    #[test]
    fn list_holds_each_mirror_once_never_the_home_and_no_more_than_three() {
        let mut neo = TestAccount::new("neo@one.localhost:8001", 1);
        let domain = |label: &str| -> Domain { format!("{label}.localhost:8002").parse().expect("a domain") };
        assert!(matches!(with(&neo.keys, neo.address().domain()), Err(ClientError::Input(_))));
        let device = neo.device.clone();
        let three: Vec<Domain> = ["a", "b", "c"].map(domain).to_vec();
        neo.key_op(Action::MirrorSet { mirrors: three.clone() }, &device);
        assert_eq!(with(&neo.keys, &domain("b")).expect("known"), three);
        assert!(matches!(with(&neo.keys, &domain("d")), Err(ClientError::Input(_))));
        assert_eq!(without(&neo.keys, &domain("b")).expect("known"), ["a", "c"].map(domain));
        assert!(matches!(without(&neo.keys, &domain("d")), Err(ClientError::NotFound(_))));
    }
}
