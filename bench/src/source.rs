//! A played domain as others ask it: who it is, the key logs of its people, and pages of what they missed, which are made beforehand.
//!
//! It takes nothing: it answers no challenge. Else its people's subscriptions would bring it posts while the server's time is counted.

use crate::sender::Sender;
use anyhow::{Context, bail};
use mesh_proto::api::{KeysBatch, KeysBatchAnswer, KeysView, Pull, Pulled};
use mesh_proto::key::AccountId;
use mesh_proto::keylog::LoggedOp;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How long catching up may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// What others see of a domain.
pub(crate) struct Source {
    discovery: Vec<u8>,
    people: BTreeMap<AccountId, LoggedOp>,
    missed: Mutex<Missed>,
    /// Pulls and questions for key logs.
    requests: AtomicUsize,
    /// Below which leaf the one who asks says that it has everything, and since when.
    acknowledged: watch::Sender<(u64, Instant)>,
}

/// What is not told yet.
#[derive(Default)]
struct Missed {
    /// By the leaf from which on they are asked for.
    pages: BTreeMap<u64, Arc<Vec<u8>>>,
    /// The number of leaves.
    size: u64,
}

impl Source {
    /// Answers for a domain on a listener, until the runtime ends.
    pub(crate) fn start(sender: &Sender, listener: TcpListener) -> anyhow::Result<Arc<Self>> {
        let this = Arc::new(Self {
            discovery: serde_json::to_vec(&sender.discovery())?,
            people: sender.people.iter().map(|person| (person.id, person.genesis.clone())).collect(),
            missed: Mutex::default(),
            requests: AtomicUsize::new(0),
            acknowledged: watch::Sender::new((0, Instant::now())),
        });
        let source = Arc::clone(&this);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let source = Arc::clone(&source);
                // Whoever asked may be gone.
                tokio::spawn(async move { source.converse(stream).await.ok() });
            }
        });
        Ok(this)
    }

    /// From now on there is this to pull, of a log with `size` leaves. Counts requests anew.
    pub(crate) fn offer(&self, pages: Vec<(u64, Pulled)>, size: u64) -> anyhow::Result<()> {
        let pages = pages.iter().map(|(from, page)| Ok((*from, Arc::new(serde_json::to_vec(page)?))));
        *self.missed() = Missed { pages: pages.collect::<anyhow::Result<_>>()?, size };
        self.requests.store(0, Ordering::Relaxed);
        Ok(())
    }

    /// How often it was asked for records or key logs since there was something new.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Waits until all is acknowledged; answers when that was.
    pub(crate) async fn pulled(&self) -> anyhow::Result<Instant> {
        let size = self.missed().size;
        let mut acknowledged = self.acknowledged.subscribe();
        match tokio::time::timeout(PATIENCE, acknowledged.wait_for(|(watermark, _)| *watermark >= size)).await {
            Ok(reached) => Ok(reached?.1),
            Err(_) => bail!("of {size} leaves the server has those below {}", self.acknowledged.borrow().0),
        }
    }

    fn missed(&self) -> MutexGuard<'_, Missed> {
        self.missed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, path: &str, body: &[u8]) -> anyhow::Result<Option<Arc<Vec<u8>>>> {
        Ok(match path {
            "/.well-known/mesh" => Some(Arc::new(self.discovery.clone())),
            "/mesh/v1/deliveries:pull" => Some(self.page(&serde_json::from_slice(body)?)?),
            "/mesh/v1/keys:batch" => Some(Arc::new(serde_json::to_vec(&self.keys(&serde_json::from_slice(body)?))?)),
            _ => None,
        })
    }

    fn page(&self, asked: &Pull) -> anyhow::Result<Arc<Vec<u8>>> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.acknowledged.send_if_modified(|known| {
            let further = asked.watermark > known.0;
            if further {
                *known = (asked.watermark, Instant::now());
            }
            further
        });
        let missed = self.missed();
        match missed.pages.get(&asked.from) {
            Some(page) => Ok(Arc::clone(page)),
            None => Ok(Arc::new(serde_json::to_vec(&Pulled { delivery: None, next: missed.size.max(asked.from), more: false })?)),
        }
    }

    fn keys(&self, asked: &KeysBatch) -> KeysBatchAnswer {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let known = asked.accounts.iter().filter_map(|account| Some((*account, self.people.get(account)?.clone())));
        KeysBatchAnswer { accounts: known.map(|(account, genesis)| KeysView { account, ops: vec![genesis], name: None }).collect() }
    }

    /// Answers one request after the other on a connection, as long as there are any.
    async fn converse(&self, mut stream: TcpStream) -> anyhow::Result<()> {
        stream.set_nodelay(true)?;
        let mut taken = Vec::new();
        loop {
            let head_end = loop {
                if let Some(at) = taken.windows(4).position(|window| window == b"\r\n\r\n") {
                    break at + 4;
                }
                if stream.read_buf(&mut taken).await? == 0 {
                    return Ok(());
                }
            };
            let head = String::from_utf8_lossy(&taken[..head_end]).into_owned();
            let header = |name: &str| {
                let mut lines = head.lines().filter_map(|line| line.split_once(": "));
                lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
            };
            let length: usize = header("content-length").map_or(Ok(0), str::parse)?;
            while taken.len() < head_end + length {
                if stream.read_buf(&mut taken).await? == 0 {
                    return Ok(());
                }
            }
            let sent = &taken[head_end..head_end + length];
            let body = if header("content-encoding").is_some() { zstd::decode_all(sent)? } else { sent.to_vec() };
            let path = head.split(' ').nth(1).context("a request without a path")?;
            let (status, answer) = match self.answer(path, &body)? {
                Some(answer) => ("200 OK", answer),
                None => ("404 Not Found", Arc::default()),
            };
            let start = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", answer.len());
            stream.write_all(&[start.as_bytes(), &answer].concat()).await?;
            taken.drain(..head_end + length);
        }
    }
}
