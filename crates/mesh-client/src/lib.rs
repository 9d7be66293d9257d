//! The MESH client: keys, signed actions, and reading in which every signature is checked.
//!
//! Owns: talking to servers ([`http`], [`home`]), the device key ([`keystore`]), becoming and remaining somebody ([`identity`]), signed
//! actions ([`session`]), words that are not published yet (`drafts`), moving to another home and exports (`moving`), verified reading ([`reader`], [`follow`]), proofs ([`verify`]) and what was seen before ([`pins`]). A server is
//! never believed about who said what: what cannot be verified is an error or is marked so.
//!
//! Deliberately not here: printing, prompting, folders of the desktop (the programs' business), and the recovery phrase on any disk.

pub mod error;
pub mod home;
pub mod http;
pub mod identity;
#[cfg(not(target_arch = "wasm32"))]
pub mod keystore;
pub mod limits;
pub mod pins;
pub mod reader;
pub mod session;
pub mod sse;
pub mod verify;

#[cfg(not(target_arch = "wasm32"))]
pub mod follow;
#[cfg(not(target_arch = "wasm32"))]
pub mod moving;
#[cfg(not(target_arch = "wasm32"))]
pub mod ports;

#[cfg(not(target_arch = "wasm32"))]
pub use session::{drafts, preview};

pub use error::{ClientError, ErrorKind, Result};

/// Waits without blocking; in the browser it does not wait.
async fn pause(time: std::time::Duration) {
    #[cfg(not(target_arch = "wasm32"))]
    tokio::time::sleep(time).await;
    #[cfg(target_arch = "wasm32")]
    let _ = time;
}
