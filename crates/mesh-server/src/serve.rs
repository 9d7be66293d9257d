//! Sockets: accepting, limits of time and number, and the order of stopping.
//!
//! To stop: no new connections, `/readyz` says so, event streams end, requests under way finish within a bound, then the node finishes what it took and the
//! store is closed. A crash skips all of that and loses nothing that was answered.

mod connection;
pub(crate) mod metrics;
mod redirect;
mod tls;
pub mod verify;
mod workers;

use crate::config::{Config, Folder, SEARCH_FOLDER};
use crate::ports::{SystemClock, SystemRng};
use crate::transport::Http;
use crate::{App, operator, router};
use anyhow::Context;
use axum::BoxError;
use axum::extract::ConnectInfo;
use axum::http::HeaderMap;
use connection::{Stream, UnderWay};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use mesh_node::{Config as NodeConfig, Kv, Node, Ports};
use mesh_proto::log::Origin;
use mesh_proto::port::{Clock, Rng, Transport};
use sd_notify::NotifyState;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tls::Tls;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::Service;
use workers::Workers;

/// Largest head of a request, and what is read ahead of a body, bytes: the longest target, the three signature headers and room for a browser's.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Most header fields of one request.
const HEADERS_MAX: usize = 64;
/// Most requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 64;
/// How long requests under way may take once the server stops.
const STOP_WAIT: Duration = Duration::from_secs(8);
/// Bytes of key logs and of author heads kept in memory at most.
const ACCOUNTS_BYTES_MAX: u64 = 128 * 1024 * 1024;
const HEADS_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Opens the store and the services of a data folder. Blocks.
pub fn open(folder: &Folder) -> anyhow::Result<Node> {
    open_over(folder.open_store()?, folder)
}

/// Opens the services over a store.
pub fn open_over(kv: Arc<dyn Kv>, folder: &Folder) -> anyhow::Result<Node> {
    let Folder { config, request_key, log_key, .. } = folder;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let rng: Arc<dyn Rng> = Arc::new(SystemRng);
    let transport = Http::new(config.domain.clone(), request_key.clone(), Arc::clone(&clock), Arc::clone(&rng))?;
    let node = NodeConfig {
        domain: config.domain.clone(),
        request_key: request_key.clone(),
        log_key: log_key.clone(),
        registration: config.rules(),
        rates: config.rates(),
        mirrors_max: config.mirrors_max,
        cache_bytes_max: config.cache_mb * 1024 * 1024,
        accounts_bytes_max: ACCOUNTS_BYTES_MAX,
        heads_bytes_max: HEADS_BYTES_MAX,
        search: Some(folder.root.join(SEARCH_FOLDER)),
    };
    Ok(Node::open(node, Ports { kv, clock, rng, transport: Arc::new(transport) })?)
}

/// What this domain answers to others at a path, over the way that they take.
///
/// # Errors
/// That nothing answers, or not with 200.
pub async fn fetch(folder: &Folder, path: &str) -> anyhow::Result<Vec<u8>> {
    let transport = Http::new(folder.config.domain.clone(), folder.request_key.clone(), Arc::new(SystemClock), Arc::new(SystemRng))?;
    let answer = transport.get(&folder.config.domain, path).await?;
    anyhow::ensure!(answer.status == 200, "HTTP status {}", answer.status);
    Ok(answer.body)
}

/// Begins a new log in a data folder whose server does not run: after it was put back from a backup nobody believes the old one. Answers its name.
pub fn begin_new_log(folder: &Folder) -> anyhow::Result<Origin> {
    let kv = folder.open_store()?;
    let origin = mesh_node::log::begin_new(&kv, &folder.config.domain, folder.log_key.clone())?;
    kv.close()?;
    Ok(origin)
}

/// Binds the sockets of a configuration.
pub async fn bind(config: &Config) -> anyhow::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for address in config.listen() {
        listeners.push(listen(address).await?);
    }
    Ok(listeners)
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| match address.port() {
        1..1024 => format!("cannot listen on {address}: is another server using the port, or may this user not take ports below 1024? (the systemd unit allows it)"),
        _ => format!("cannot listen on {address}: is another server using the port?"),
    })
}

/// Serves the node of a data folder until `stop` resolves, then stops in order.
pub async fn serve(node: Node, listeners: Vec<TcpListener>, folder: &Folder, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let config = &folder.config;
    let node = Arc::new(node);
    let desk = operator::bind(folder)?;
    node.start();
    let app = App::new(Arc::clone(&node), config.limits.clone()).with_contact(config.contact.as_deref());
    let stopping = app.stopping.clone();
    let router = router(app);
    let connections = Arc::new(Semaphore::new(config.limits.connections_max as usize));
    let graceful = Arc::new(GracefulShutdown::new());
    let workers = Arc::new(Workers::start()?);
    let mut acceptors = tokio::task::JoinSet::new();
    let mut keepers = tokio::task::JoinSet::new();
    let tls = Tls::open(folder, &mut keepers)?;
    for address in &config.redirect {
        let listener = listen(*address).await?;
        let (domain, stopped) = (config.domain.clone(), stopping.clone().cancelled_owned());
        acceptors.spawn(redirect::serve(listener, domain, stopped));
    }
    for listener in listeners {
        let acceptor = Acceptor {
            router: router.clone(),
            connections: Arc::clone(&connections),
            tls: tls.clone(),
            graceful: Arc::clone(&graceful),
            workers: Arc::clone(&workers),
            head_wait: config.limits.head_wait(),
            stall_wait: config.limits.body_wait(),
        };
        let stopping = stopping.clone();
        acceptors.spawn(async move {
            tokio::select! {
                () = acceptor.run(listener) => {}
                () = stopping.cancelled() => {}
            }
        });
    }
    let operators = axum::serve(desk, operator::router(operator::Desk::new(Arc::clone(&node), folder, stopping.clone())))
        .with_graceful_shutdown(stopping.clone().cancelled_owned());
    acceptors.spawn(async move {
        // It ends when it is told to; accepting goes on after errors.
        let _ = operators.await;
    });
    tracing::info!(domain = %config.domain, url = config.domain.base_url(), "server.ready");
    tell_systemd(NotifyState::Ready);
    stop.await;
    tracing::info!("server.stopping");
    tell_systemd(NotifyState::Stopping);
    stopping.cancel();
    while acceptors.join_next().await.is_some() {}
    operator::unbind(folder);
    if let Some(graceful) = Arc::into_inner(graceful)
        && tokio::time::timeout(STOP_WAIT, graceful.shutdown()).await.is_err()
    {
        tracing::warn!("server.requests_cut_off");
    }
    drop((router, workers));
    tokio::task::spawn_blocking(move || node.stop()).await??;
    tracing::info!("server.stopped");
    Ok(())
}

/// Does nothing where no systemd waits for it.
fn tell_systemd(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(error.message = %error, "server.systemd_not_told");
    }
}

struct Acceptor {
    router: axum::Router,
    connections: Arc<Semaphore>,
    tls: Option<Tls>,
    graceful: Arc<GracefulShutdown>,
    workers: Arc<Workers>,
    /// How long a client may take to send a request's head, and be silent between requests.
    head_wait: Duration,
    /// How long a client may leave an answer unread.
    stall_wait: Duration,
}

impl Acceptor {
    async fn run(&self, listener: TcpListener) {
        loop {
            let Ok(permit) = Arc::clone(&self.connections).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, from)) => self.connection(stream, from, permit),
                Err(error) => {
                    // Out of file descriptors, or a connection that was gone before it was taken.
                    tracing::warn!(error.message = %error, "server.accept_failed");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    fn connection(&self, stream: TcpStream, from: SocketAddr, permit: tokio::sync::OwnedSemaphorePermit) {
        // Without this, small answers wait for the other side's delayed acknowledgement.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let router = self.router.clone();
        let under_way = UnderWay::new();
        let counted = under_way.clone();
        let (head_wait, stall_wait) = (self.head_wait, self.stall_wait);
        let service = hyper::service::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            let client = client(from, request.headers());
            request.extensions_mut().insert(ConnectInfo(client));
            let one = counted.one();
            let answer = router.clone().call(request.map(axum::body::Body::new));
            async move { answer.await.map(|response| one.until_sent(response, stall_wait)) }
        });
        let mut builder = Builder::new(TokioExecutor::new());
        // Who has said all may close its side and wait for the answer.
        builder
            .http1()
            .half_close(true)
            .timer(TokioTimer::new())
            .header_read_timeout(head_wait)
            .max_headers(HEADERS_MAX)
            .max_buf_size(HEAD_BYTES_MAX);
        builder.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS_MAX).keep_alive_interval(Duration::from_secs(20));
        let (tls, watcher) = (self.tls.clone(), self.graceful.watcher());
        self.workers.spawn(stream, move |stream| async move {
            let outcome = match tls {
                None => {
                    let connection = builder.serve_connection(Stream::new(stream, stall_wait, &under_way), service).into_owned();
                    until_idle(watcher.watch(connection), (&under_way, head_wait, stall_wait)).await
                }
                Some(tls) => match tokio::time::timeout(head_wait, tls.accept(stream)).await {
                    Ok(Ok(Some(stream))) => {
                        let connection = builder.serve_connection(Stream::new(stream, stall_wait, &under_way), service).into_owned();
                        until_idle(watcher.watch(connection), (&under_way, head_wait, stall_wait)).await
                    }
                    Ok(Ok(None)) => Ok(()),
                    Ok(Err(error)) => Err(error.into()),
                    Err(_) => Err("the handshake takes too long".into()),
                },
            };
            // A connection that breaks off is the other side's business.
            if let Err(error) = outcome {
                tracing::debug!(error.message = %error, "server.connection_ended");
            }
            drop(permit);
        });
    }
}

/// Drives a connection until it ends, or has been idle for too long: the version that a client speaks, and HTTP/2 at rest, have no bound of their own.
async fn until_idle(
    connection: impl Future<Output = Result<(), BoxError>>,
    (under_way, head_wait, stall_wait): (&UnderWay, Duration, Duration),
) -> Result<(), BoxError> {
    tokio::select! {
        ended = connection => ended,
        () = under_way.idle(head_wait) => {
            tracing::debug!("server.connection_idle");
            Ok(())
        }
        () = under_way.overdue(stall_wait) => {
            tracing::debug!("server.connection_deaf");
            Ok(())
        }
    }
}

/// Who asks: where the connection comes from, or whom a proxy on this machine names last in `X-Forwarded-For`.
fn client(from: SocketAddr, headers: &HeaderMap) -> SocketAddr {
    // A socket for both kinds of address says ::ffff:127.0.0.1 for 127.0.0.1.
    let from = SocketAddr::new(from.ip().to_canonical(), from.port());
    if !from.ip().is_loopback() {
        return from;
    }
    let named = headers.get_all("x-forwarded-for").iter().next_back().and_then(|value| value.to_str().ok());
    let named = named.and_then(|list| list.rsplit(',').next()).and_then(|address| address.trim().parse().ok());
    named.map_or(from, |address| SocketAddr::new(address, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_proxy_on_this_machine_says_who_asks() {
        let client = |from: &str, forwarded: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append("x-forwarded-for", axum::http::HeaderValue::from_static(value));
            }
            client(from.parse().expect("an address"), &headers).ip().to_string()
        };
        assert_eq!(client("127.0.0.1:9", &[]), "127.0.0.1");
        assert_eq!(client("127.0.0.1:9", &["9.9.9.9"]), "9.9.9.9");
        assert_eq!(client("[::1]:9", &["1.1.1.1, 9.9.9.9", "8.8.8.8, 2606:4700::1111"]), "2606:4700::1111");
        assert_eq!(client("[::ffff:127.0.0.1]:9", &[]), "127.0.0.1");
        assert_eq!(client("[::ffff:127.0.0.1]:9", &["9.9.9.9"]), "9.9.9.9");
        assert_eq!(client("127.0.0.1:9", &["9.9.9.9, nonsense"]), "127.0.0.1");
        assert_eq!(client("9.9.9.9:9", &["8.8.8.8"]), "9.9.9.9");
    }
}
