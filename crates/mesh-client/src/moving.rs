//! Moving home: what an account takes along, and the steps on the way. `spec/moving.md`.
//!
//! Owns exports (from a home, a mirror or a file, checked part by part), the file that holds one, and the single steps of a move. In which order they
//! are taken, and what is kept between them, is the caller's business: every step may be repeated.

mod export;
mod file;
mod part;
mod travel;

pub use export::{Pack, Source, Summary};
pub use file::{End, Head, Reader, opens};
pub use part::{PartCheck, check_part};
pub use travel::{
    Carried, Luggage, Refusal, Terms, announce, arrive, carry, carry_late, check, join, keys_in, open, rejoin, sign, sign_op, tell,
};

use crate::error::{ClientError, Result};
use crate::limits::{SEND_PAUSE, SEND_TRIES_MAX};
use mesh_proto::api::code;

/// Tries of a request that a busy server puts off.
const BUSY_TRIES_MAX: u32 = 7;

/// Sends a request again that failed on the way, or that came too fast. All requests of a move may be repeated.
async fn persist<T>(request: impl AsyncFn() -> Result<T>) -> Result<T> {
    let mut tries = 1;
    loop {
        let error = match request().await {
            Err(error) if error.is_transient() => error,
            other => return other,
        };
        let most = if error.code() == Some(code::SLOW_DOWN) { BUSY_TRIES_MAX } else { SEND_TRIES_MAX };
        if tries >= most {
            return Err(error);
        }
        crate::pause(SEND_PAUSE * 2_u32.pow(tries)).await;
        tries += 1;
    }
}

/// A file of the move that cannot be used.
fn file_error(path: &std::path::Path, source: std::io::Error) -> ClientError {
    crate::keystore::KeystoreError::File { path: path.to_owned(), source }.into()
}
