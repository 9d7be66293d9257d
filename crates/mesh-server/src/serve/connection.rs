//! One connection: how long it may be silent, and how slowly it may take an answer.
//!
//! A client that sends nothing, half a head, or only pings holds one of a bounded number of places; so does one that never reads, or a byte now and
//! then. All are cut off here: a connection without a request under way is idle, and whoever takes less than [`TAKEN_BYTES_PER_SECOND_MIN`] for a while
//! does not read. Bodies that come too slowly are `body`'s business.

use axum::body::{Body, Bytes};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

/// A reader slower than this over the time that it may keep a write waiting is none.
const TAKEN_BYTES_PER_SECOND_MIN: u32 = 1_024;

/// The time in which so many bytes are taken by the slowest reader that is one.
fn slowest(bytes: u64) -> Duration {
    Duration::from_secs(bytes) / TAKEN_BYTES_PER_SECOND_MIN
}

/// A stream whose writes fail when the other side takes too little for too long.
pub(crate) struct Stream<S> {
    inner: S,
    wait: Duration,
    under_way: UnderWay,
    /// For how long writes have waited, less what was taken since.
    waited: Duration,
    stalled: Option<Stalled>,
}

/// A write that waits: its connection is not idle.
struct Stalled {
    since: Instant,
    ends: Pin<Box<Sleep>>,
    _under_way: Guard,
}

impl<S> Stream<S> {
    /// `wait`: how long writes may wait for the reader, all in all; what is taken buys new time.
    pub(crate) fn new(inner: S, wait: Duration, under_way: &UnderWay) -> TokioIo<Self> {
        TokioIo::new(Self { inner, wait, under_way: under_way.clone(), waited: Duration::ZERO, stalled: None })
    }

    fn bounded(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(outcome) = outcome {
            self.waited += self.stalled.take().map_or(Duration::ZERO, |stalled| stalled.since.elapsed());
            if let (Ok(taken), false) = (&outcome, self.waited.is_zero()) {
                self.waited = self.waited.saturating_sub(slowest(*taken as u64));
            }
            return Poll::Ready(outcome);
        }
        let stalled = self.stalled.get_or_insert_with(|| Stalled {
            since: Instant::now(),
            ends: Box::pin(tokio::time::sleep(self.wait.saturating_sub(self.waited))),
            _under_way: self.under_way.one(),
        });
        ready!(stalled.ends.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the other side does not read")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write(cx, from);
        self.bounded(cx, outcome)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write_vectored(cx, from);
        self.bounded(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// Counts the requests of a connection that are under way, answers included, and knows until when answers must be taken.
#[derive(Clone)]
pub(crate) struct UnderWay(Arc<Requests>);

struct Requests {
    count: watch::Sender<usize>,
    /// By the number of their request, which is never that of another.
    due: Mutex<(u64, BTreeMap<u64, Instant>)>,
}

impl UnderWay {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Requests { count: watch::Sender::new(0), due: Mutex::default() }))
    }

    /// One more, until what is answered is dropped.
    pub(crate) fn one(&self) -> Guard {
        self.0.count.send_modify(|count| *count += 1);
        Guard { requests: Arc::clone(&self.0), answer: None }
    }

    /// Resolves once no request has been under way for `wait`.
    pub(crate) async fn idle(&self, wait: Duration) {
        let mut count = self.0.count.subscribe();
        loop {
            // The sender lives in `self`.
            let _ = count.wait_for(|count| *count == 0).await;
            if tokio::time::timeout(wait, count.changed()).await.is_err() {
                return;
            }
        }
    }

    /// Resolves once an answer is not taken in time, about. HTTP/2 lets a reader hold answers back without a write that waits.
    pub(crate) async fn overdue(&self, wait: Duration) {
        loop {
            tokio::time::sleep(wait).await;
            let now = Instant::now();
            if self.0.due.lock().unwrap_or_else(PoisonError::into_inner).1.values().any(|due| *due < now) {
                return;
            }
        }
    }
}

/// A request under way.
pub(crate) struct Guard {
    requests: Arc<Requests>,
    /// Its number, once its answer must be taken in time.
    answer: Option<u64>,
}

impl Guard {
    /// The request is over when the answer's body is. One of known length must be taken at the pace of the slowest reader, `wait` apart.
    pub(crate) fn until_sent(mut self, response: Response, wait: Duration) -> axum::http::Response<Sending> {
        if let Some(bytes) = hyper::body::Body::size_hint(response.body()).exact().filter(|bytes| *bytes > 0) {
            let mut due = self.requests.due.lock().unwrap_or_else(PoisonError::into_inner);
            due.0 += 1;
            let number = due.0;
            due.1.insert(number, Instant::now() + wait + slowest(bytes));
            self.answer = Some(number);
        }
        response.map(|body| Sending { body, _under_way: self })
    }
}

/// A body that keeps its request under way.
pub(crate) struct Sending {
    body: Body,
    _under_way: Guard,
}

impl hyper::body::Body for Sending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        hyper::body::Body::size_hint(&self.body)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(number) = self.answer {
            self.requests.due.lock().unwrap_or_else(PoisonError::into_inner).1.remove(&number);
        }
        self.requests.count.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn connection_is_idle_only_while_nothing_is_under_way() {
        let (under_way, wait) = (UnderWay::new(), Duration::from_secs(10));
        let started = tokio::time::Instant::now();
        let first = under_way.one();
        let second = under_way.one();
        tokio::join!(under_way.idle(wait), async {
            tokio::time::sleep(Duration::from_secs(100)).await;
            drop(first);
            tokio::time::sleep(Duration::from_secs(100)).await;
            drop(second);
            tokio::time::sleep(Duration::from_secs(9)).await;
            drop(under_way.one());
        });
        assert_eq!(started.elapsed().as_secs(), 219);
    }

    #[tokio::test(start_paused = true)]
    async fn answer_is_under_way_until_its_body_is_dropped() {
        let under_way = UnderWay::new();
        let response = under_way.one().until_sent(Response::new(Body::from("text")), Duration::ZERO);
        assert_eq!(*under_way.0.count.borrow(), 1);
        drop(response);
        assert_eq!(*under_way.0.count.borrow(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn answer_that_nobody_takes_is_overdue() {
        let (under_way, wait) = (UnderWay::new(), Duration::from_secs(10));
        let started = tokio::time::Instant::now();
        let endless = Body::from_stream(futures_util::stream::pending::<Result<Bytes, io::Error>>());
        let _events = under_way.one().until_sent(Response::new(endless), wait);
        drop(under_way.one().until_sent(Response::new(Body::from("taken")), wait));
        let _page = under_way.one().until_sent(Response::new(Body::from(vec![0; 20 * 1_024])), wait);
        under_way.overdue(wait).await;
        assert_eq!(started.elapsed().as_secs(), 40, "30 seconds, and the next look");
    }

    /// Reads `bytes` every ten seconds; answers for how long the other side went on writing.
    async fn written_to_a_reader_of(bytes: usize) -> Duration {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (here, mut there) = tokio::io::duplex(4_096);
        let under_way = UnderWay::new();
        let mut stream = Stream::new(here, Duration::from_secs(30), &under_way).into_inner();
        let started = tokio::time::Instant::now();
        let reading = tokio::spawn(async move {
            let mut taken = vec![0; bytes];
            loop {
                tokio::time::sleep(Duration::from_secs(10)).await;
                if bytes > 0 && there.read_exact(&mut taken).await.is_err() {
                    return;
                }
            }
        });
        let idle = tokio::spawn(async move { under_way.idle(Duration::from_secs(5)).await });
        // Whether it failed is told by the time that it took.
        drop(stream.write_all(&vec![0; 1_000_000]).await);
        assert!(!idle.is_finished(), "whoever waits for a reader is not idle");
        reading.abort();
        idle.abort();
        started.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_takes_too_little_is_cut_off_and_the_slow_are_not() {
        assert_eq!(written_to_a_reader_of(0).await.as_secs(), 30);
        assert!((30..40).contains(&written_to_a_reader_of(10).await.as_secs()));
        assert!(written_to_a_reader_of(20_000).await.as_secs() > 400, "two kilobytes a second are slow, but all is taken");
    }
}
