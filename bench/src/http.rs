//! As much HTTP as making load takes: one keep-alive connection, one request at a time, little CPU.

use anyhow::{Context, bail};
use mesh_proto::bytes::base64url;
use mesh_proto::http_signature::{CONTENT_DIGEST, ContentDigest, RequestParts, SIGNATURE, SIGNATURE_INPUT, SignatureInput, sign};
use mesh_proto::key::SecretKey;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Seconds for which a request's signature holds.
const SIGNATURE_LIFE_S: u64 = 30;

/// Milliseconds since the epoch.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// An answer.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The answer's JSON, if the status is one of success.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self) -> anyhow::Result<T> {
        if !(200..300).contains(&self.status) {
            bail!("HTTP status {}: {}", self.status, String::from_utf8_lossy(&self.body));
        }
        serde_json::from_slice(&self.body).context("an answer is not the JSON expected")
    }
}

/// A connection to a server.
pub(crate) struct Connection {
    stream: TcpStream,
    out: Vec<u8>,
    taken: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, out: Vec::new(), taken: Vec::new() })
    }

    pub(crate) async fn get(&mut self, path: &str) -> anyhow::Result<Reply> {
        self.exchange(&format!("GET {path}"), "", &[]).await
    }

    pub(crate) async fn post(&mut self, path: &str, headers: &str, body: &[u8]) -> anyhow::Result<Reply> {
        self.exchange(&format!("POST {path}"), headers, body).await
    }

    /// Sends `method path` with `headers`, each ended by CR LF, and reads the answer.
    pub(crate) async fn exchange(&mut self, request: &str, headers: &str, body: &[u8]) -> anyhow::Result<Reply> {
        self.out.clear();
        let length =
            if body.is_empty() { String::new() } else { format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()) };
        self.out.extend_from_slice(format!("{request} HTTP/1.1\r\nhost: bench\r\n{headers}{length}\r\n").as_bytes());
        self.out.extend_from_slice(body);
        self.stream.write_all(&self.out).await?;
        self.reply().await
    }

    async fn reply(&mut self) -> anyhow::Result<Reply> {
        let head_end = loop {
            if let Some(at) = self.taken.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            self.take_more().await?;
        };
        let head = String::from_utf8_lossy(&self.taken[..head_end]).to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("an answer without a status")?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.and_then(|length| length.parse().ok()).context("an answer without its length")?;
        while self.taken.len() < head_end + length {
            self.take_more().await?;
        }
        let body = self.taken[head_end..head_end + length].to_vec();
        self.taken.drain(..head_end + length);
        Ok(Reply { status, body })
    }

    async fn take_more(&mut self) -> anyhow::Result<()> {
        match self.stream.read_buf(&mut self.taken).await? {
            0 => bail!("the connection ended"),
            _ => Ok(()),
        }
    }
}

/// The headers of a request that `key`, named `keyid`, signs. The target holds the receiver's domain.
pub(crate) fn signed(method: &str, target: &str, digest: ContentDigest, (keyid, key): (&str, &SecretKey)) -> anyhow::Result<String> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now_ms = now_ms();
    let mut nonce = [0; 16];
    nonce[..8].copy_from_slice(&now_ms.to_be_bytes());
    nonce[8..].copy_from_slice(&COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    let input = SignatureInput::new(now_ms / 1000, now_ms / 1000 + SIGNATURE_LIFE_S, &base64url(&nonce), keyid)?;
    let headers = sign(RequestParts::new(method, target)?, digest, &input, |base| key.sign(base).0);
    Ok(format!(
        "{CONTENT_DIGEST}: {}\r\n{SIGNATURE_INPUT}: {}\r\n{SIGNATURE}: {}\r\n",
        headers.content_digest, headers.signature_input, headers.signature
    ))
}

/// Answers every request on a listener with the same JSON, until dropped with its runtime.
pub(crate) async fn answer_all(listener: TcpListener, body: Vec<u8>) {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    while let Ok((mut stream, _)) = listener.accept().await {
        let answer = [head.as_bytes(), &body].concat();
        tokio::spawn(async move {
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") && stream.read_buf(&mut asked).await.is_ok_and(|count| count > 0) {}
            // Whoever asked may be gone.
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
        });
    }
}
