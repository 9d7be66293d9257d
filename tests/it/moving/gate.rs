//! A way to a server that a test can shut for some requests: what a broken connection looks like, at the very step that the test wants.

use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What does not get through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shut {
    /// A request with this in its head.
    Request(String),
    /// The answer to such a request, which itself gets through.
    Answer(String),
}

/// Passes connections on to a server, but for what is shut out.
pub(super) struct Gate {
    pub(super) port: u16,
    listener: Option<TcpListener>,
    shut: Arc<Mutex<Option<Shut>>>,
    task: Option<JoinHandle<()>>,
}

impl Drop for Gate {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Gate {
    pub(super) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        Self { port, listener: Some(listener), shut: Arc::default(), task: None }
    }

    /// Leads to the server on this port from now on.
    pub(super) fn lead_to(&mut self, server: u16) {
        let listener = self.listener.take().expect("it leads nowhere yet");
        let shut = Arc::clone(&self.shut);
        self.task = Some(tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shut = Arc::clone(&shut);
                tokio::spawn(async move { drop(pass(client, server, &shut).await) });
            }
        }));
    }

    pub(super) fn shut(&self, shut: Option<Shut>) {
        *self.shut.lock().unwrap_or_else(PoisonError::into_inner) = shut;
    }
}

/// Both ways, until one end closes or something comes that is shut out.
async fn pass(mut client: TcpStream, server: u16, shut: &Mutex<Option<Shut>>) -> std::io::Result<()> {
    let mut server = TcpStream::connect(("127.0.0.1", server)).await?;
    let (mut asked, mut answered) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let mut answers_shut = false;
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let bytes = &asked[..read?];
                let now = shut.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let has = |words: &str| bytes.windows(words.len()).any(|window| window == words.as_bytes());
                match now {
                    Some(Shut::Request(words)) if has(&words) => return Ok(()),
                    Some(Shut::Answer(words)) if has(&words) => answers_shut = true,
                    _ => {}
                }
                if bytes.is_empty() {
                    return Ok(());
                }
                server.write_all(bytes).await?;
            }
            read = server.read(&mut answered) => {
                let count = read?;
                if answers_shut || count == 0 {
                    return Ok(());
                }
                client.write_all(&answered[..count]).await?;
            }
        }
    }
}
