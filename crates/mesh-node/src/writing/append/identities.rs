//! Who people are: key operations, registrations and names, as they take their leaves.

use super::{Appender, Round};
use crate::accounts::{Account, refused_op};
use crate::error::{NodeError, Result};
use crate::index::News;
use crate::queue;
use crate::tables::account::{self, AccountRow};
use crate::tables::planned;
use crate::tables::{COPY, KEYS, Lid, MOVED, OWN, outbox_key};
use mesh_proto::api::{KeysAdded, Registered, code};
use mesh_proto::envelope::{Envelope, Kind, RecordId};
use mesh_proto::keylog::{Action, KeyLog, KeyOp, LoggedOp, Status};
use mesh_proto::log::name_id;
use mesh_store::Space;
use std::sync::Arc;

impl Appender {
    pub(super) fn key(&self, round: &mut Round, account: &Arc<Account>, envelope: Envelope) -> Result<KeysAdded> {
        let mut account = Account::clone(&*self.accounts.expect(&account.id())?);
        let op = KeyOp::open(&envelope).map_err(|error| refused_op(error.into()))?;
        if account.log.contains(&op.id) {
            return Ok(KeysAdded { head: account.log.head(), added: 0 });
        }
        let follows_head = op.head.prev == Some(account.log.head());
        let logged = LoggedOp { envelope: envelope.clone(), received: round.received };
        let sequence = account.log.len();
        account.log.insert(logged.clone()).map_err(refused_op)?;
        // Who was root where the operation branches off, even if not now: other domains take it in as well.
        if !follows_head && !account.log.is_by_root(&op.id) {
            return Err(NodeError::refused(code::HEAD_MOVED, "the operation does not follow the present head: read the key log again"));
        }
        let renamed = matches!(&op.action, Action::HomeMove { address } if address.domain() == self.log.origin().domain());
        if renamed {
            self.check_name(round, &account)?;
        }
        account::put_op(&mut round.batch, account.lid, sequence, &logged);
        let leaf = self.leaf(round, &account, (Kind::Key, op.id, Some(envelope)))?;
        if renamed {
            self.name(round, &mut account)?;
        }
        if account.log.view().status() == Status::Closed {
            account::begin_closing(&mut round.batch, account.lid, self.log.base() + leaf.index);
        }
        if account.log.view().status() == Status::Closed || account.home() != self.log.origin().domain() {
            // What would be refused at its time is not kept until then.
            planned::forget(&mut round.batch, &*self.kv, account.lid)?;
        }
        if let Action::MirrorSet { mirrors } = &op.action {
            let before = self.accounts.expect(&account.id())?;
            for mirror in mirrors.iter().filter(|mirror| !before.log.view().mirrors().contains(mirror)) {
                let Some(mirror) = self.peers.get(mirror) else { continue };
                for number in [KEYS | account.lid.0, COPY | account.lid.0] {
                    round.batch.put(Space::Late, outbox_key(mirror.no(), number), []);
                }
                round.news.push(News::Waiting { peer: mirror.no() });
            }
        }
        if let Some(new_home) = self.peers.get(account.home()) {
            // It left: what was said here about it is for its new home.
            round.batch.put(Space::Late, outbox_key(new_home.no(), MOVED | account.lid.0), []);
            round.news.push(News::Waiting { peer: new_home.no() });
        }
        if !matches!(op.action, Action::Genesis { .. } | Action::DeviceAdd { .. }) {
            // A new device is told of with its first record; all else others must know at once.
            round.news.extend(queue::announce(&mut round.batch, (&*self.kv, &self.peers), &account, KEYS | account.lid.0)?);
        }
        let added = KeysAdded { head: account.log.head(), added: 1 };
        round.accounts.push(Arc::new(account));
        Ok(added)
    }

    /// A name is never given twice.
    pub(in crate::writing) fn check_name(&self, round: &Round, account: &Account) -> Result<()> {
        let address = account.address();
        if round.names.contains(address.user().as_str()) {
            return Err(NodeError::refused(
                code::NAME,
                format!("{address} was given to somebody else in this moment: choose another name"),
            ));
        }
        match account::by_name(&*self.kv, address.user().as_str())? {
            None => Ok(()),
            Some(bearer) if bearer == account.lid => Ok(()),
            Some(_) => Err(NodeError::refused(code::NAME, format!("{address} is or was someone's: choose another name"))),
        }
    }

    /// Gives an account the name that its key log claims, which must be free.
    pub(in crate::writing) fn name(&self, round: &mut Round, account: &mut Account) -> Result<()> {
        let address = account.address().clone();
        round.names.insert(address.user().to_string());
        if account::by_name(&*self.kv, address.user().as_str())?.is_none() {
            account::put_name(&mut round.batch, &address, account.lid);
        }
        account.name_leaf = Some(self.log.base() + round.tree.size());
        let row = AccountRow { id: account.id(), name_leaf: account.name_leaf, keeps: account.keeps };
        account::put_row(&mut round.batch, account.lid, &row);
        self.leaf(round, account, (Kind::Name, name_id(&address), None))?;
        Ok(())
    }

    pub(super) fn register(&self, round: &mut Round, genesis: Envelope, invite: Option<&str>) -> Result<(bool, Registered)> {
        let logged = LoggedOp { envelope: genesis.clone(), received: round.received };
        let log = KeyLog::from_genesis(logged.clone()).map_err(refused_op)?;
        if let Some(known) = self.accounts.get(&log.account())? {
            return Ok((false, self.registered(&known)?));
        }
        let mut account = Account { lid: self.accounts.next_lid(), log, name_leaf: None, keeps: false };
        self.check_name(round, &account)?;
        if let Some(code) = invite {
            self.check_invite(code)?;
            round.batch.expect_value(Space::Invite, code, []);
        }
        account::insert(&mut round.batch, account.lid, &AccountRow { id: account.id(), name_leaf: None, keeps: false });
        account::put_op(&mut round.batch, account.lid, 0, &logged);
        let leaf = self.leaf(round, &account, (Kind::Key, RecordId::from_hash(*account.id().hash()), Some(genesis)))?;
        self.name(round, &mut account)?;
        if let Some(code) = invite {
            round.batch.put(Space::Invite, code, account.lid.0.to_be_bytes());
        }
        let registered = Registered { account: account.id(), address: account.address().clone(), leaf };
        round.accounts.push(Arc::new(account));
        Ok((true, registered))
    }

    /// Invites are used up here alone, so that a look is enough.
    pub(in crate::writing) fn check_invite(&self, code: &str) -> Result<()> {
        let unused = self.kv.get(Space::Invite, code.as_bytes())?.is_some_and(|used_by| used_by.is_empty());
        if unused {
            Ok(())
        } else {
            Err(NodeError::refused(code::REGISTRATION, "the invite was used a moment ago: ask the operator for another"))
        }
    }

    pub(in crate::writing) fn registered(&self, account: &Account) -> Result<Registered> {
        let index = account.name_leaf.ok_or_else(|| NodeError::refused(code::NOT_HOME, "the account lives elsewhere"))?;
        let leaf = self.peers.position(Lid::new(OWN, index.saturating_sub(1)))?;
        Ok(Registered { account: account.id(), address: account.address().clone(), leaf })
    }
}
