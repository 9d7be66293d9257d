//! The boundary: whatever strangers send over real sockets is refused in words, within bounds, and stores nothing.

mod bodies;
mod connections;
mod floods;
mod json;
mod paths;
mod races;
mod readers;
mod registration;
mod signatures;
mod times;

use crate::network::{Home, PATIENCE, Reply};
use mesh_proto::api::Problem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Checks that a refusal is a problem document with this status and code that says what to do, and is short.
#[track_caller]
pub(crate) fn refused(reply: &Reply, status: u16, code: &str, case: &str) {
    let text = String::from_utf8_lossy(&reply.body);
    assert_eq!(reply.status, status, "{case}: {text}");
    let problem: Problem =
        serde_json::from_slice(&reply.body).unwrap_or_else(|error| panic!("{case}: no problem document: {error}: {text:?}"));
    assert_eq!(problem.code(), code, "{case}: {text}");
    assert_eq!(problem.status, status, "{case}: {text}");
    assert!(!problem.title.is_empty() && problem.detail.len() > 10 && problem.detail.len() < 2_000, "{case}: {text}");
}

/// How many leaves a domain's log has, as everybody sees it.
pub(crate) async fn leaves(home: &Home) -> u64 {
    let note = home.get("/log/1/checkpoint").await;
    let note = String::from_utf8(note.body).expect("text");
    note.lines().nth(1).and_then(|size| size.parse().ok()).expect("a checkpoint")
}

/// A connection on which a test writes what it wants.
pub(crate) struct Wire(TcpStream);

impl Wire {
    pub(crate) async fn open(home: &Home) -> Self {
        Self(TcpStream::connect(("127.0.0.1", home.port)).await.expect("the server listens"))
    }

    /// Writes; whether the server still takes it is not asked.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        drop(self.0.write_all(bytes.as_ref()).await);
        self
    }

    /// Says that nothing more will come.
    pub(crate) async fn end(&mut self) -> &mut Self {
        drop(self.0.shutdown().await);
        self
    }

    /// All that comes until the server closes the connection, which it must.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> impl Future<Output = String> + '_ {
        let caller = std::panic::Location::caller();
        async move {
            let mut rest = Vec::new();
            let read = self.0.read_to_end(&mut rest);
            // Whether it closes in order or not does not matter.
            let closed = tokio::time::timeout(PATIENCE, read).await;
            assert!(closed.is_ok(), "{caller}: the server keeps the connection open after {:?}", String::from_utf8_lossy(&rest));
            String::from_utf8_lossy(&rest).into_owned()
        }
    }

    /// What comes until it holds `wanted`.
    #[track_caller]
    pub(crate) fn until(&mut self, wanted: &str) -> impl Future<Output = String> {
        let caller = std::panic::Location::caller();
        async move {
            let mut seen = Vec::new();
            let read = async {
                while !String::from_utf8_lossy(&seen).contains(wanted) {
                    let count = self.0.read_buf(&mut seen).await.expect("the connection stands");
                    assert!(count > 0, "{caller}: closed after {:?}", String::from_utf8_lossy(&seen));
                }
            };
            let done = tokio::time::timeout(PATIENCE, read).await;
            let seen = String::from_utf8_lossy(&seen).into_owned();
            assert!(done.is_ok(), "{caller}: only {seen:?} came");
            seen
        }
    }

    /// The one answer that comes before the server closes the connection.
    #[track_caller]
    pub(crate) fn answer(&mut self) -> impl Future<Output = Reply> + '_ {
        let caller = std::panic::Location::caller();
        async move {
            let text = self.rest().await;
            let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{caller}: no answer: {text:?}"));
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{caller}: {head}"));
            Reply { status, body: body.as_bytes().to_vec() }
        }
    }
}

/// Sends bytes on a connection of their own; all that comes until the server closes.
pub(crate) async fn exchange(home: &Home, bytes: impl AsRef<[u8]>) -> String {
    Wire::open(home).await.write(bytes).await.end().await.rest().await
}
