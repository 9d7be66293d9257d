//! A server's endpoints, typed: `spec/client-api.md` and what readers need of `spec/federation.md`.
//!
//! Nothing that an answer says is verified here.

mod moving;

use crate::error::{ClientError, Result};
use crate::http::{Http, Signer, To, encode_query};
use crate::limits::TILE_BYTES_MAX;
use mesh_proto::address::{Address, Domain};
use mesh_proto::api::{
    Accepted, AccountView, Acts, Cards, Comments, Counters, Discovery, FeedPage, KeysAdded, KeysBatch, KeysBatchAnswer, KeysKnown,
    KeysView, KnownUnder, NewAccount, NotificationPage, Pairing, PairingList, PairingRequest, RecordView, Registered, Registration,
    RulingsPage, Scheduled, ScheduledList, Versions,
};
use mesh_proto::envelope::{Envelope, Kind, RecordId};
use mesh_proto::key::AccountId;
use mesh_proto::limits::{CHECKPOINT_BYTES_MAX, PAGE_MAX};

/// A server. Cloning is cheap.
#[derive(Clone)]
pub struct Home {
    http: Http,
    domain: Domain,
}

/// Which part of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// `next` of the page before; `None`: from the start.
    pub from: Option<String>,
    /// How many at most; the server's own number if `None`.
    pub limit: Option<usize>,
}

impl Page {
    /// The first `limit` items.
    pub fn first(limit: usize) -> Self {
        Self { from: None, limit: Some(limit.clamp(1, PAGE_MAX)) }
    }

    /// The query, with `name` (`before` or `after`) for the place.
    fn query(&self, name: &str) -> String {
        let from = self.from.as_ref().map(|from| format!("{name}={}", encode_query(from)));
        let limit = self.limit.map(|limit| format!("limit={limit}"));
        let parts: Vec<String> = from.into_iter().chain(limit).collect();
        if parts.is_empty() { String::new() } else { format!("?{}", parts.join("&")) }
    }
}

impl Home {
    /// The server of `domain`.
    pub fn new(http: Http, domain: Domain) -> Self {
        Self { http, domain }
    }

    /// Its domain.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The client that it is spoken to with.
    pub fn http(&self) -> &Http {
        &self.http
    }

    fn to<'a>(&'a self, path: &'a str) -> To<'a> {
        To::new(&self.domain, path)
    }

    /// `GET /.well-known/mesh`; an answer of another domain is refused.
    pub async fn discovery(&self) -> Result<Discovery> {
        let discovery: Discovery = self.http.get(self.to("/.well-known/mesh")).await?;
        self.check_discovery(&discovery)?;
        Ok(discovery)
    }

    /// The same, with the server's clock, milliseconds since the epoch.
    #[cfg(not(target_arch = "wasm32"))]
    pub async fn discovery_dated(&self) -> Result<(Discovery, Option<u64>)> {
        let (discovery, date) = self.http.get_dated(self.to("/.well-known/mesh")).await?;
        self.check_discovery(&discovery)?;
        Ok((discovery, date))
    }

    fn check_discovery(&self, discovery: &Discovery) -> Result<()> {
        if discovery.domain != self.domain {
            return Err(ClientError::malformed(&self.domain, format!("it says that it is {}", discovery.domain)));
        }
        if !discovery.versions.contains(&1) {
            return Err(ClientError::malformed(&self.domain, "it does not speak version 1: a newer mesh may be needed"));
        }
        Ok(())
    }

    /// What registering takes.
    pub async fn registration(&self) -> Result<Registration> {
        self.http.get(self.to("/api/v1/registration")).await
    }

    /// Registers an account.
    pub async fn register(&self, account: &NewAccount) -> Result<Registered> {
        self.http.post(self.to("/api/v1/accounts"), account).await
    }

    /// An account, by user name, address or account id.
    pub async fn account(&self, who: &str) -> Result<AccountView> {
        self.http.get(self.to(&format!("/api/v1/accounts/{who}"))).await
    }

    /// A key log, at the account's home with the proof of the name.
    pub async fn keys(&self, account: &AccountId) -> Result<KeysView> {
        self.http.get(self.to(&format!("/mesh/v1/accounts/{account}/keys"))).await
    }

    /// The key logs of several accounts, as far as this server knows them.
    pub async fn keys_batch(&self, accounts: &[AccountId]) -> Result<KeysBatchAnswer> {
        self.http.post(self.to("/mesh/v1/keys:batch"), &KeysBatch { accounts: accounts.to_vec() }).await
    }

    /// Adds a key operation to the log of an account that lives here.
    pub async fn add_key(&self, account: &AccountId, op: &Envelope) -> Result<KeysAdded> {
        self.http.post(self.to(&format!("/api/v1/accounts/{account}/keys")), op).await
    }

    /// Asks for a device to be added.
    pub async fn request_pairing(&self, account: &AccountId, request: &PairingRequest) -> Result<Pairing> {
        self.http.post(self.to(&format!("/api/v1/accounts/{account}/pairings")), request).await
    }

    /// The devices that ask to be added.
    pub async fn pairings(&self, signer: &Signer, account: &AccountId) -> Result<PairingList> {
        self.http.get(self.to(&format!("/api/v1/accounts/{account}/pairings")).signed(signer)).await
    }

    /// Sends a record to be logged here.
    pub async fn accept(&self, record: &Envelope) -> Result<Accepted> {
        self.http.post(self.to("/api/v1/records"), record).await
    }

    /// Hands over a signed post that is to be published at the time that it claims.
    pub async fn schedule(&self, signer: &Signer, post: &Envelope) -> Result<Scheduled> {
        self.http.post(self.to("/api/v1/scheduled").signed(signer), post).await
    }

    /// What the signer planned and is not published.
    pub async fn scheduled(&self, signer: &Signer) -> Result<ScheduledList> {
        self.http.get(self.to("/api/v1/scheduled").signed(signer)).await
    }

    /// Lets the home forget a planned post.
    pub async fn cancel_scheduled(&self, signer: &Signer, id: &RecordId) -> Result<Scheduled> {
        self.http.delete(self.to(&format!("/api/v1/scheduled/{id}")).signed(signer)).await
    }

    /// A record.
    pub async fn record(&self, id: &RecordId) -> Result<RecordView> {
        self.http.get(self.to(&format!("/api/v1/records/{id}"))).await
    }

    /// One page of a thread, oldest first.
    pub async fn comments(&self, id: &RecordId, page: &Page) -> Result<Comments> {
        self.http.get(self.to(&format!("/api/v1/records/{id}/comments{}", page.query("after")))).await
    }

    /// One page of a record's versions, oldest first.
    pub async fn versions(&self, id: &RecordId, page: &Page) -> Result<Versions> {
        self.http.get(self.to(&format!("/api/v1/records/{id}/versions{}", page.query("after")))).await
    }

    /// One page of who liked or reposted a record.
    pub async fn references(&self, id: &RecordId, kind: Kind, page: &Page) -> Result<Cards> {
        let query = page.query("after").replacen('?', "&", 1);
        self.http.get(self.to(&format!("/api/v1/records/{id}/references?kind={kind}{query}"))).await
    }

    /// What the record's home counts, signed.
    pub async fn counters(&self, id: &RecordId) -> Result<Counters> {
        self.http.get(self.to(&format!("/api/v1/records/{id}/counters"))).await
    }

    /// One page of an account's posts, newest first.
    pub async fn posts(&self, who: &str, page: &Page) -> Result<FeedPage> {
        self.http.get(self.to(&format!("/api/v1/accounts/{who}/posts{}", page.query("before")))).await
    }

    /// One page of the signer's feed, newest first.
    pub async fn feed(&self, signer: &Signer, page: &Page) -> Result<FeedPage> {
        self.http.get(self.to(&format!("/api/v1/feed{}", page.query("before"))).signed(signer)).await
    }

    /// One page of the signer's notifications, newest first.
    pub async fn notifications(&self, signer: &Signer, page: &Page) -> Result<NotificationPage> {
        self.http.get(self.to(&format!("/api/v1/notifications{}", page.query("before"))).signed(signer)).await
    }

    /// What operators decided about the signer, the signer's records and reports.
    pub async fn rulings(&self, signer: &Signer) -> Result<RulingsPage> {
        self.http.get(self.to("/api/v1/rulings").signed(signer)).await
    }

    /// The signer's live statements of `kind` about `object`, a record id or an account id.
    pub async fn acts(&self, signer: &Signer, kind: Kind, object: &str) -> Result<Acts> {
        self.http.get(self.to(&format!("/api/v1/acts?kind={kind}&object={}", encode_query(object))).signed(signer)).await
    }

    /// A record of any domain, read through this server.
    pub async fn resolve(&self, uri: &str) -> Result<RecordView> {
        self.http.get(self.to(&format!("/api/v1/resolve?uri={}", encode_query(uri)))).await
    }

    /// Whom this domain knows under an address of any domain.
    pub async fn known(&self, address: &Address) -> Result<Vec<KeysKnown>> {
        let path = format!("/mesh/v1/known?address={}", encode_query(&address.to_string()));
        Ok(self.http.get::<KnownUnder>(self.to(&path)).await?.accounts)
    }

    /// The signer's events.
    #[cfg(not(target_arch = "wasm32"))]
    pub async fn events(&self, signer: &Signer) -> Result<reqwest::Response> {
        self.http.get_stream(self.to("/api/v1/events").signed(signer)).await
    }

    /// The signed note of a log's newest checkpoint.
    pub async fn checkpoint(&self, log: u32) -> Result<String> {
        let path = format!("/log/{log}/checkpoint");
        let bytes = self.http.get_bytes(self.to(&path), CHECKPOINT_BYTES_MAX).await?;
        String::from_utf8(bytes).map_err(|_| ClientError::malformed(&self.domain, "a checkpoint is text"))
    }

    /// The signed note of a log's newest checkpoint that other domains have cosigned, if there is one.
    pub async fn witnessed(&self, log: u32) -> Result<Option<String>> {
        match self.http.get_bytes(self.to(&format!("/log/{log}/witnessed")), CHECKPOINT_BYTES_MAX).await {
            Ok(bytes) => String::from_utf8(bytes).map(Some).map_err(|_| ClientError::malformed(&self.domain, "a checkpoint is text")),
            Err(ClientError::Remote { problem, .. }) if problem.status == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A tile of a log, by its path below the log, such as `tile/0/000`.
    pub async fn tile(&self, log: u32, path: &str) -> Result<Vec<u8>> {
        self.http.get_bytes(self.to(&format!("/log/{log}/{path}")), TILE_BYTES_MAX).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_become_queries() {
        assert_eq!(Page::default().query("before"), "");
        assert_eq!(Page::first(500).query("before"), "?limit=100");
        assert_eq!(Page { from: Some("a/b".to_owned()), limit: Some(5) }.query("after"), "?after=a%2Fb&limit=5");
    }
}
