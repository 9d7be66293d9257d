//! Paths and queries, whose refusals are problem documents as all others.

use crate::problem::ApiError;
use axum::extract::{FromRequestParts, Path as AnyPath, Query as AnyQuery};
use axum::http::request::Parts;
use mesh_proto::api::code;
use serde::de::DeserializeOwned;

/// The captures of a path.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match AnyPath::from_request_parts(parts, state).await {
            Ok(AnyPath(captures)) => Ok(Self(captures)),
            Err(_) => Err(ApiError::new(code::MALFORMED, "the path is not percent-encoded UTF-8: encode it and ask again")),
        }
    }
}

/// The query.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let words = "the query lacks a parameter, has one that this endpoint does not take, or one with a value out of its range: see /api/openapi.json";
        match AnyQuery::from_request_parts(parts, state).await {
            Ok(AnyQuery(query)) => Ok(Self(query)),
            Err(_) => Err(ApiError::new(code::MALFORMED, words)),
        }
    }
}
