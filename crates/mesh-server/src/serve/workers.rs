//! The threads that serve connections: one for each core, each with a runtime of its own.
//!
//! A connection stays where it begins, so that no request wakes a second thread: on a runtime whose threads take work from each other, a request costs
//! twice as many switches as it needs. What takes long runs on threads for blocking work, here as there.

use anyhow::Context;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{JoinHandle, available_parallelism};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::sync::CancellationToken;

/// Threads for blocking work of all runtimes together.
const BLOCKING_MAX: usize = 512;

/// The threads; they end when this is dropped.
pub(super) struct Workers {
    handles: Vec<Handle>,
    next: AtomicUsize,
    ended: CancellationToken,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    pub(super) fn start() -> anyhow::Result<Self> {
        let count = available_parallelism().map_or(1, NonZeroUsize::get);
        let mut workers = Self { handles: Vec::new(), next: AtomicUsize::new(0), ended: CancellationToken::new(), threads: Vec::new() };
        for number in 0..count {
            let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(BLOCKING_MAX.div_ceil(count)).build()?;
            workers.handles.push(runtime.handle().clone());
            let ended = workers.ended.clone();
            let thread = std::thread::Builder::new().name(format!("connections-{number}"));
            workers.threads.push(thread.spawn(move || drive(runtime, &ended)).context("cannot start a thread for connections")?);
        }
        Ok(workers)
    }

    /// Serves a connection on the thread whose turn it is.
    pub(super) fn spawn<F: Future<Output = ()> + Send>(&self, stream: TcpStream, serve: impl FnOnce(TcpStream) -> F + Send + 'static) {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let Some(handle) = self.handles.get(turn % self.handles.len().max(1)) else { return };
        // It leaves the runtime that accepted it.
        let Ok(stream) = stream.into_std() else { return };
        handle.spawn(async move {
            if let Ok(stream) = TcpStream::from_std(stream) {
                serve(stream).await;
            }
        });
    }
}

fn drive(runtime: Runtime, ended: &CancellationToken) {
    runtime.block_on(ended.cancelled());
    // What still runs was given its time.
    runtime.shutdown_background();
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.ended.cancel();
        for thread in self.threads.drain(..) {
            // A panic there was logged by the panic hook.
            let _ = thread.join();
        }
    }
}
