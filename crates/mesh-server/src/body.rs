//! Reading request bodies: bounded in size, before and after decompression, in time, and in memory for all of them together.

pub(crate) mod coding;

use self::coding::Undecodable;
use crate::App;
use crate::problem::{Answer, ApiError};
use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use mesh_proto::api::code;
use mesh_proto::envelope::{Envelope, EnvelopeError};
use mesh_proto::limits::REQUEST_BYTES_MAX;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Memory for bodies on their way in, of all connections, in [`ROOM_UNIT_BYTES`].
pub(crate) const ROOM_UNITS: usize = 128 * 1024;
const ROOM_UNIT_BYTES: usize = 1024;

/// Reads a body as it was sent.
pub(crate) async fn read(app: &App, body: Body) -> Answer<Bytes> {
    if body.size_hint().lower() > REQUEST_BYTES_MAX as u64 {
        return Err(too_large());
    }
    let wait = app.limits.body_wait();
    let late = || ApiError::malformed(format!("the body did not come within {} s: send it again", wait.as_secs()));
    tokio::time::timeout(wait, collect(&app.room, body)).await.map_err(|_| late())?
}

fn too_large() -> ApiError {
    ApiError::new(code::TOO_LARGE, format!("a request body has at most {REQUEST_BYTES_MAX} bytes: send less at a time"))
}

/// Every kilobyte that has come takes its place in `room`, so that slow bodies hold no more than what they sent.
async fn collect(room: &Arc<Semaphore>, body: Body) -> Answer<Bytes> {
    let mut chunks = body.into_data_stream();
    let mut whole = BytesMut::new();
    let mut held: Option<OwnedSemaphorePermit> = None;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| ApiError::malformed("the body broke off before its end: send it again"))?;
        if whole.len() + chunk.len() > REQUEST_BYTES_MAX {
            return Err(too_large());
        }
        whole.extend_from_slice(&chunk);
        let lacking = whole.len().div_ceil(ROOM_UNIT_BYTES) - held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = Arc::clone(room).try_acquire_many_owned(lacking as u32);
        let more = more.map_err(|_| ApiError::busy("too many bodies are on their way in: try again in a moment", 1))?;
        match &mut held {
            Some(held) => held.merge(more),
            None => held = Some(more),
        }
    }
    Ok(whole.freeze())
}

/// Undoes `Content-Encoding`: none or zstd. The size after is bounded too.
pub(crate) fn decode(headers: &HeaderMap, sent: Bytes) -> Answer<Bytes> {
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter().map(|value| value.as_bytes());
    match (encodings.next(), encodings.next()) {
        (None | Some(b"identity"), None) => Ok(sent),
        (Some(b"zstd"), None) => {
            let decoded = coding::decompress(&sent, REQUEST_BYTES_MAX).map_err(|error| match error {
                Undecodable::Malformed => ApiError::malformed("the body is not good zstd with a window of at most 1 MiB"),
                Undecodable::TooLarge => {
                    let words = format!("a request body has at most {REQUEST_BYTES_MAX} bytes when decompressed: send less at a time");
                    ApiError::new(code::TOO_LARGE, words)
                }
            });
            Ok(decoded?.into())
        }
        _ => Err(ApiError::malformed("Content-Encoding must be zstd, once, or absent")),
    }
}

/// Reads JSON into an API type.
pub(crate) fn json<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Answer<T> {
    // Left alone, the parser takes an array of the members for the object.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(ApiError::malformed("the body is not a JSON object: see /api/openapi.json"));
    }
    serde_json::from_slice(bytes).map_err(|error| ApiError::malformed(harmless(&error.to_string())))
}

/// Reads the carrier of an envelope.
pub(crate) fn envelope(bytes: &[u8]) -> Answer<Envelope> {
    Envelope::from_json(bytes).map_err(|error| match error {
        EnvelopeError::TooLarge(_) => ApiError::new(code::TOO_LARGE, error.to_string()),
        EnvelopeError::UnknownType(_) => ApiError::malformed("the payload type is not one of this protocol version"),
        EnvelopeError::Carrier(words) => ApiError::malformed(harmless(&words)),
        other => ApiError::malformed(other),
    })
}

/// What a parser said, without what the sender wrote: of its words only those that are ours, and where.
fn harmless(words: &str) -> String {
    const OURS: [&str; 4] = ["missing field", "duplicate field", "not a canonical", "an envelope carries"];
    if OURS.iter().any(|ours| words.starts_with(ours)) {
        return format!("the body is not the JSON that this endpoint takes: {words}");
    }
    let place = words.rfind(" at line ").map_or("", |at| &words[at..]);
    format!("the body is not the JSON that this endpoint takes{place}: see /api/openapi.json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn zstd(encodings: &[&'static str], sent: Vec<u8>) -> Answer<Bytes> {
        let mut headers = HeaderMap::new();
        for encoding in encodings {
            headers.append(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        decode(&headers, sent.into())
    }

    #[test]
    fn decompressed_body_is_bounded_and_its_window_too() {
        let zeros = |count: usize| zstd::bulk::compress(&vec![0; count], 1).expect("compresses");
        assert_eq!(zstd(&["zstd"], zeros(REQUEST_BYTES_MAX)).expect("fits").len(), REQUEST_BYTES_MAX);
        assert_eq!(zstd(&["zstd"], zeros(REQUEST_BYTES_MAX + 1)).expect_err("does not fit").code(), code::TOO_LARGE);
        // An empty frame whose header asks for a window of 2^(10 + n) bytes.
        let asking = |n: u8| vec![0x28, 0xb5, 0x2f, 0xfd, 0, n << 3, 1, 0, 0];
        assert_eq!(zstd(&["zstd"], asking(10)).expect("1 MiB").len(), 0);
        assert_eq!(zstd(&["zstd"], asking(17)).expect_err("128 MiB").code(), code::MALFORMED);
        assert_eq!(zstd(&["zstd", "zstd"], zeros(1)).expect_err("twice").code(), code::MALFORMED);
        assert_eq!(zstd(&["identity", "zstd"], zeros(1)).expect_err("two").code(), code::MALFORMED);
        assert_eq!(zstd(&["gzip"], zeros(1)).expect_err("another").code(), code::MALFORMED);
    }

    #[tokio::test]
    async fn bodies_on_their_way_in_share_bounded_memory() {
        let room = Arc::new(Semaphore::new(2));
        assert_eq!(collect(&room, Body::from(vec![0; 2048])).await.expect("room").len(), 2048);
        assert_eq!(collect(&room, Body::from(vec![0; 2049])).await.expect_err("no room").code(), code::UNAVAILABLE);
        let half = Body::from_stream(futures_util::stream::iter([Ok(Bytes::from_static(b"half")), Err(std::io::Error::other("gone"))]));
        assert_eq!(collect(&room, half).await.expect_err("half").code(), code::MALFORMED);
        assert_eq!(room.available_permits(), 2);
    }

    #[test]
    fn nothing_of_a_bad_body_is_repeated() {
        for bad in [r#"{"who":"secret"}"#, r#"{"kind":"secret"}"#, r#"["secret"]"#, r#""secret""#, "secret"] {
            let error = json::<mesh_proto::api::ChallengeRequest>(bad.as_bytes()).expect_err(bad);
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        }
    }
}
