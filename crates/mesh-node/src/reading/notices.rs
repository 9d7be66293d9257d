//! Notifications: what happened to one's own things. They hold no authored text.

use crate::accounts::Account;
use crate::error::Result;
use crate::index::News;
use crate::tables::codec::{Reader, key_u64};
use crate::tables::reference::Reference;
use crate::tables::{AccountLid, Lid, ObjectLid};
use crate::views::{Views, cut, decode_cursor, encode_cursor};
use mesh_proto::api::{Notification, NotificationPage};
use mesh_proto::envelope::Kind;
use mesh_proto::limits::PAGE_MAX;
use mesh_store::{KeyRange, Kv, Order, Space};
use std::sync::Arc;

/// The notifications service.
pub struct Notices {
    pub(crate) kv: Arc<dyn Kv>,
    pub(crate) views: Arc<Views>,
}

impl Notices {
    /// One page of an account's notifications, newest first.
    pub fn page(&self, account: &Account, before: Option<&str>, limit: usize) -> Result<NotificationPage> {
        let limit = limit.clamp(1, PAGE_MAX);
        let prefix = account.lid.0.to_be_bytes();
        let mut range = KeyRange::prefix(prefix);
        if let Some(before) = before {
            range = range.before([&prefix[..], &decode_cursor(before)?].concat());
        }
        let (rows, more) = cut(self.kv.scan(Space::Notice, &range, Order::Backward, limit + 1)?, limit);
        let mut notifications = Vec::with_capacity(rows.len());
        let mut next = None;
        for (key, row) in &rows {
            let (received, lid) = (key_u64(key, 8, "notice")?, Lid(key_u64(key, 16, "notice")?));
            let mut reader = Reader::new(row, "notice");
            let _kind = reader.byte()?;
            notifications.push(self.one(lid, ObjectLid(reader.u64()?))?);
            next = Some(encode_cursor(received, lid));
        }
        Ok(NotificationPage { notifications, next: next.filter(|_| more) })
    }

    /// The notification of a piece of news for `account`.
    pub fn of_news(&self, account: AccountLid, news: &News) -> Result<Option<Notification>> {
        match news {
            News::Notice { account: to, lid, object } if *to == account => self.one(*lid, *object).map(Some),
            _ => Ok(None),
        }
    }

    fn one(&self, lid: Lid, object: ObjectLid) -> Result<Notification> {
        let card = self.views.card_at(lid)?;
        let object = match card.kind {
            Kind::Subscribe => None,
            _ => Reference::get(&*self.kv, Lid(object.0))?.map(|reference| reference.id),
        };
        Ok(Notification { card, object })
    }
}
