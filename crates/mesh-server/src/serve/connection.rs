//! One connection: how long it may be silent, and how long it may leave an answer lying.
//!
//! A client that sends nothing, half a head, or only pings holds one of a bounded number of places; so does one that never reads. Both are cut off
//! here: a connection without a request under way is idle, and an answer that cannot be written for a while has no reader. Bodies that come too
//! slowly are `body`'s business.

use axum::body::{Body, Bytes};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use hyper_util::rt::TokioIo;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::Sleep;

/// A stream whose writes fail when the other side takes nothing for a while.
pub(crate) struct Stream<S> {
    inner: S,
    wait: Duration,
    /// Runs while a write waits.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Stream<S> {
    /// `wait`: how long one write may wait for the reader.
    pub(crate) fn new(inner: S, wait: Duration) -> TokioIo<Self> {
        TokioIo::new(Self { inner, wait, stalled: None })
    }

    fn bounded<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.stalled = None;
            return outcome;
        }
        let wait = self.wait;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(wait)));
        ready!(stalled.as_mut().poll(cx));
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

/// Counts the requests of a connection that are under way, answers included.
#[derive(Clone)]
pub(crate) struct UnderWay(Arc<watch::Sender<usize>>);

impl UnderWay {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }

    /// One more, until what is answered is dropped.
    pub(crate) fn one(&self) -> Guard {
        self.0.send_modify(|count| *count += 1);
        Guard(Arc::clone(&self.0))
    }

    /// Resolves once no request has been under way for `wait`.
    pub(crate) async fn idle(&self, wait: Duration) {
        let mut count = self.0.subscribe();
        loop {
            // The sender lives in `self`.
            let _ = count.wait_for(|count| *count == 0).await;
            if tokio::time::timeout(wait, count.changed()).await.is_err() {
                return;
            }
        }
    }
}

/// A request under way.
pub(crate) struct Guard(Arc<watch::Sender<usize>>);

impl Guard {
    /// The request is over when the answer's body is.
    pub(crate) fn until_sent(self, response: Response) -> axum::http::Response<Sending> {
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
        self.0.send_modify(|count| *count -= 1);
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
        let response = under_way.one().until_sent(Response::new(Body::from("text")));
        assert_eq!(*under_way.0.borrow(), 1);
        drop(response);
        assert_eq!(*under_way.0.borrow(), 0);
    }
}
