//! Reading request bodies: bounded in size, before and after decompression, and in time.

use crate::problem::{Answer, ApiError};
use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use mesh_proto::api::code;
use mesh_proto::limits::REQUEST_BYTES_MAX;
use std::io::Read;
use std::time::Duration;

/// How long a client may take to send a body.
const BODY_WAIT: Duration = Duration::from_secs(30);

/// Reads a body as it was sent.
pub(crate) async fn read(body: Body) -> Answer<Bytes> {
    let too_large = || ApiError::new(code::TOO_LARGE, format!("a request body has at most {REQUEST_BYTES_MAX} bytes"));
    match tokio::time::timeout(BODY_WAIT, axum::body::to_bytes(body, REQUEST_BYTES_MAX)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if error_is_limit(&error) => Err(too_large()),
        Ok(Err(_)) => Err(ApiError::malformed("the body broke off before its end")),
        Err(_) => Err(ApiError::malformed(format!("the body did not come within {} s", BODY_WAIT.as_secs()))),
    }
}

fn error_is_limit(error: &axum::Error) -> bool {
    use std::error::Error;
    let mut source: Option<&(dyn Error + 'static)> = error.source();
    while let Some(inner) = source {
        if inner.to_string().contains("length limit exceeded") {
            return true;
        }
        source = inner.source();
    }
    false
}

/// Undoes `Content-Encoding`: none or zstd. The size after is bounded too.
pub(crate) fn decode(headers: &HeaderMap, sent: Bytes) -> Answer<Bytes> {
    match headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes()) {
        None | Some(b"identity") => Ok(sent),
        Some(b"zstd") => {
            let mut out = Vec::with_capacity(sent.len() * 4);
            let malformed = |_| ApiError::malformed("the body is not good zstd");
            let mut decoder = zstd::stream::read::Decoder::with_buffer(&sent[..]).map_err(malformed)?;
            decoder.window_log_max(20).map_err(malformed)?;
            decoder.take(REQUEST_BYTES_MAX as u64 + 1).read_to_end(&mut out).map_err(malformed)?;
            if out.len() > REQUEST_BYTES_MAX {
                return Err(ApiError::new(code::TOO_LARGE, format!("a request body has at most {REQUEST_BYTES_MAX} bytes when decompressed")));
            }
            Ok(out.into())
        }
        Some(_) => Err(ApiError::malformed("Content-Encoding must be zstd or absent")),
    }
}

/// Reads JSON into an API type.
pub(crate) fn json<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Answer<T> {
    serde_json::from_slice(bytes).map_err(|error| ApiError::malformed(format!("the body is not the JSON that this endpoint takes: {error}")))
}
