//! zstd on the way in and on the way out. Whatever a frame says of itself, it becomes no more than its reader allows, in memory as well.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::io::Read;

/// Largest window that a zstd frame may ask for, as a power of two: 1 MiB.
const WINDOW_LOG_MAX: u32 = 20;
/// Answers from this size on are compressed.
const COMPRESS_FROM: usize = 1024;
/// How hard: as deliveries are.
const LEVEL: i32 = 1;

/// Why a frame is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Undecodable {
    /// It is no good zstd, or asks for too large a window.
    Malformed,
    /// It is larger than its reader allows.
    TooLarge,
}

/// Undoes zstd, up to `bytes_max` bytes.
pub(crate) fn decompress(sent: &[u8], bytes_max: usize) -> Result<Vec<u8>, Undecodable> {
    // What the frame says about its length saves growing; nothing else believes it.
    let length = zstd::zstd_safe::get_frame_content_size(sent).ok().flatten().unwrap_or(sent.len() as u64 * 4);
    let mut out = Vec::with_capacity(length.min(bytes_max as u64) as usize + 1);
    let malformed = |_| Undecodable::Malformed;
    let mut decoder = zstd::stream::read::Decoder::with_buffer(sent).map_err(malformed)?;
    decoder.window_log_max(WINDOW_LOG_MAX).map_err(malformed)?;
    decoder.take(bytes_max as u64 + 1).read_to_end(&mut out).map_err(malformed)?;
    if out.len() > bytes_max { Err(Undecodable::TooLarge) } else { Ok(out) }
}

/// Answers JSON, compressed if that is worth it and the one who asks says that it reads zstd.
pub(crate) fn answer(asked: &HeaderMap, answer: &impl Serialize) -> Response {
    let body = serde_json::to_vec(answer).expect("API types have only plain fields");
    let compressed = (body.len() >= COMPRESS_FROM && reads_zstd(asked)).then(|| zstd::bulk::compress(&body, LEVEL).ok()).flatten();
    let json = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    match compressed {
        Some(compressed) => ([json, (header::CONTENT_ENCODING, HeaderValue::from_static("zstd"))], compressed).into_response(),
        None => ([json], body).into_response(),
    }
}

/// Whether `Accept-Encoding` names zstd and does not rule it out (RFC 9110 §12.5.3).
fn reads_zstd(asked: &HeaderMap) -> bool {
    let lists = asked.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_zstd = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("zstd"));
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        is_zstd && weight.is_none_or(|weight| weight.parse::<f32>().is_ok_and(|weight| weight > 0.0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zstd_is_answered_to_those_who_say_that_they_read_it() {
        let long = "a".repeat(COMPRESS_FROM);
        let coded = |accepted: &'static str, text: &str| {
            let mut asked = HeaderMap::new();
            asked.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(accepted));
            answer(&asked, &text).headers().contains_key(header::CONTENT_ENCODING)
        };
        for accepted in ["zstd", "gzip, zstd", "ZSTD", "zstd;q=0.5", "br;q=1, zstd ; q=0.1"] {
            assert!(coded(accepted, &long), "{accepted}");
        }
        for accepted in ["", "gzip", "*", "zstd;q=0", "zstd;q=0.000", "zstd;q=much", "zstandard"] {
            assert!(!coded(accepted, &long), "{accepted}");
        }
        assert!(!coded("zstd", "short"));
        assert!(!answer(&HeaderMap::new(), &long).headers().contains_key(header::CONTENT_ENCODING));
    }
}
