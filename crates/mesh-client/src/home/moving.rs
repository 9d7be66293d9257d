//! The endpoints of a move and of mirrors: `spec/moving.md`.

use super::Home;
use crate::error::Result;
use crate::http::Signer;
use crate::limits::IMPORT_TIME_MAX;
use mesh_proto::api::{
    Announced, Arrival, Delivery, ExportPage, ImportEnd, Imported, MirrorAgreement, MirrorRequest, RecordProof, Registered,
};
use mesh_proto::envelope::RecordId;
use mesh_proto::key::AccountId;

impl Home {
    /// One page of an account's records with their proof. The signer must be one of its devices; the account may live elsewhere.
    pub async fn export(&self, signer: &Signer, account: &AccountId, from: u64) -> Result<ExportPage> {
        self.http.get(self.to(&format!("/api/v1/accounts/{account}/export?from={from}")).signed(signer)).await
    }

    /// Asks to take in an account whose key log names this domain.
    pub async fn arrive(&self, arrival: &Arrival) -> Result<Registered> {
        self.http.post(self.to("/api/v1/arrivals").patient(IMPORT_TIME_MAX), arrival).await
    }

    /// Hands over a part of an export.
    pub async fn import(&self, signer: &Signer, account: &AccountId, part: &Delivery) -> Result<Imported> {
        let path = format!("/api/v1/accounts/{account}/import");
        self.http.post(self.to(&path).signed(signer).patient(IMPORT_TIME_MAX), part).await
    }

    /// Ends an import.
    pub async fn end_import(&self, signer: &Signer, account: &AccountId, end: &ImportEnd) -> Result<Announced> {
        let path = format!("/api/v1/accounts/{account}/import:end");
        self.http.post(self.to(&path).signed(signer).patient(IMPORT_TIME_MAX), end).await
    }

    /// Asks to keep a copy of what an account of another domain says.
    pub async fn mirror(&self, signer: &Signer, account: &AccountId, request: &MirrorRequest) -> Result<MirrorAgreement> {
        self.http.post(self.to(&format!("/api/v1/accounts/{account}/mirror")).signed(signer), request).await
    }

    /// A record with the proof of its leaf, from whoever answers for the record.
    pub async fn record_proof(&self, id: &RecordId) -> Result<RecordProof> {
        self.http.get(self.to(&format!("/mesh/v1/records/{id}/proof"))).await
    }
}
