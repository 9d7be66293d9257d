//! Backups: one archive of a domain's store, keys and configuration as of one moment, made while the server runs or while it does not.
//!
//! The running server sends the archive over its socket, `meshd backup` writes it: so it belongs to whoever asked, wherever the server itself may not write. While no
//! server runs, the same archive is made of the files themselves, under the store's lock, and nothing is opened or changed. Whoever writes reads along and checks: what
//! is renamed to its name is whole.

pub(crate) mod archive;
mod file;

use super::{Desk, connect, send};
use crate::SOFTWARE;
use crate::config::{self, Folder, stamp};
use crate::ports::SystemClock;
use crate::problem::{Answer, ApiError};
use anyhow::Context;
use archive::{DATA_BYTES_MAX, Entry, Head, Reader, Sink, Taken, Writer};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::Request;
use file::{Along, Target};
use futures_util::StreamExt;
use mesh_node::Capture;
use mesh_proto::api::code;
use mesh_proto::port::Clock;
use serde::Serialize;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Frames that are read ahead of whoever writes them.
const FRAMES_AHEAD: usize = 4;

/// How far something is, in bytes of the domain's files.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Done.
    pub done_bytes: u64,
    /// Of these.
    pub total_bytes: u64,
}

/// Who hears how far it is.
pub type Told = Box<dyn FnMut(Progress) + Send>;

/// An archive that was made or looked through.
#[derive(Debug, Serialize)]
pub struct Archive {
    /// Where it is.
    pub file: PathBuf,
    /// What it says about itself, without the list of files.
    #[serde(flatten)]
    pub about: About,
}

/// What an archive holds.
#[derive(Debug, Serialize)]
pub struct About {
    /// Whose data it is.
    pub domain: String,
    /// What made it.
    pub software: String,
    /// When, in milliseconds since 1970.
    pub made_ms: u64,
    /// The format of the data folder.
    pub format: u32,
    /// Whether the server ran meanwhile.
    pub taken: Taken,
    /// How many files.
    pub files: usize,
    /// Bytes of them.
    pub size_bytes: u64,
}

impl From<&Head> for About {
    fn from(head: &Head) -> Self {
        Self {
            domain: head.domain.to_string(),
            software: head.software.clone(),
            made_ms: head.made_ms,
            format: head.format,
            taken: head.taken,
            files: head.files.len(),
            size_bytes: head.size_bytes(),
        }
    }
}

/// Makes a backup of a domain: a new file, or one in a folder, named after the domain and the time.
///
/// # Errors
/// The target is no good place, there is no room, something is damaged or cannot be read. What was begun is removed.
pub async fn make(root: &Path, to: &Path, told: Told) -> anyhow::Result<Archive> {
    config::state(root)?;
    let folder = config::load(root)?;
    let target = Target::choose(to, &folder, SystemClock.now_ms())?;
    let input: Box<dyn Read + Send> = match connect(root).await? {
        Some(stream) => {
            let request = Request::get("/backup").header("host", "meshd").body(Body::empty())?;
            let answer = send(stream, request).await.context("the running server did not answer")?;
            if !answer.status().is_success() {
                let (status, answer) = super::whole(answer).await?;
                return Err(super::refusal(status, &answer));
            }
            Box::new(Incoming {
                body: Body::new(answer.into_body()).into_data_stream(),
                runtime: tokio::runtime::Handle::current(),
                piece: Bytes::new(),
            })
        }
        None => Box::new(stopped(&folder)?),
    };
    tokio::task::spawn_blocking(move || write(input, target, told)).await?
}

/// Makes a backup of a domain that does not run, into a file that does not exist yet. Blocks.
pub(crate) fn make_stopped(root: &Path, to: &Path, told: Told) -> anyhow::Result<Archive> {
    let folder = config::load(root)?;
    write(Box::new(stopped(&folder)?), Target::inside(to, &folder, SystemClock.now_ms())?, told)
}

/// Writes what comes into the target, reading along.
fn write(input: Box<dyn Read + Send>, target: Target, told: Told) -> anyhow::Result<Archive> {
    let mut along = Along::new(input, target)?;
    let written = Reader::open(&mut along).and_then(|reader| {
        let total_bytes = reader.head().size_bytes();
        reader.input().check_room(total_bytes)?;
        reader.unpack(&mut Watched { progress: Progress { done_bytes: 0, total_bytes }, told })
    });
    let about = About::from(&written?);
    Ok(Archive { file: along.finish()?, about })
}

/// Reads an archive through, without putting anything anywhere. Blocks.
///
/// # Errors
/// It is no archive, cut off, or damaged, in words that say where.
pub fn check(file: &Path, told: Told) -> anyhow::Result<Archive> {
    let reader = open(file)?;
    let total_bytes = reader.head().size_bytes();
    let head = reader.unpack(&mut Watched { progress: Progress { done_bytes: 0, total_bytes }, told })?;
    Ok(Archive { file: file.to_owned(), about: About::from(&head) })
}

/// Opens an archive.
pub(super) fn open(file: &Path) -> anyhow::Result<Reader<BufReader<File>>> {
    let input = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    Reader::open(BufReader::with_capacity(DATA_BYTES_MAX, input)).with_context(|| format!("cannot use {}", file.display()))
}

/// A sink that tells how far it is, and keeps nothing.
struct Watched {
    progress: Progress,
    told: Told,
}

impl Sink for Watched {
    fn begin(&mut self, _: &Entry) -> anyhow::Result<()> {
        Ok(())
    }

    fn data(&mut self, piece: &[u8]) -> anyhow::Result<()> {
        self.progress.done_bytes += piece.len() as u64;
        (self.told)(self.progress);
        Ok(())
    }

    fn end(&mut self) -> anyhow::Result<()> {
        Ok(())
    }
}

/// `GET /backup`: the archive.
pub(super) async fn serve(State(desk): State<Desk>) -> Answer<Body> {
    let turn = Arc::clone(&desk.backups).try_acquire_owned();
    let turn = turn.map_err(|_| ApiError::busy("a backup is being made already: wait until it is done", 60))?;
    let stopping = desk.stopping.clone();
    let gathered = tokio::task::spawn_blocking(move || Gathered::running(&desk)).await;
    let gathered =
        gathered.map_err(|_| mesh_node::NodeError::Stopping)?.map_err(|error| ApiError::new(code::UNAVAILABLE, format!("{error:#}")))?;
    let (outlet, frames) = mpsc::channel(FRAMES_AHEAD);
    tokio::task::spawn_blocking(move || {
        gathered.pour(Outlet(outlet), &stopping);
        drop(turn);
    });
    let frames =
        futures_util::stream::unfold(
            frames,
            |mut frames| async move { frames.recv().await.map(|frame| (Ok::<_, io::Error>(frame), frames)) },
        );
    Ok(Body::from_stream(frames))
}

/// The archive of a domain that does not run, as it is made.
fn stopped(folder: &Folder) -> anyhow::Result<impl Read + Send + use<>> {
    let gathered = Gathered::new(folder, folder.capture_store()?, Taken::Stopped)?;
    let (outlet, frames) = mpsc::channel(FRAMES_AHEAD);
    std::thread::Builder::new().name("backup".to_owned()).spawn(move || gathered.pour(Outlet(outlet), &CancellationToken::new()))?;
    Ok(Inlet { frames, piece: Bytes::new() })
}

/// All that belongs into an archive, as of one moment.
struct Gathered {
    head: Head,
    /// The first files, which are small.
    small: Vec<Vec<u8>>,
    store: Capture,
}

impl Gathered {
    fn running(desk: &Desk) -> anyhow::Result<Self> {
        let store = desk.node.kv().capture()?.context("this store keeps no files of its own: back it up by its own means")?;
        Self::new(&config::load(&desk.root)?, store, Taken::Running)
    }

    fn new(folder: &Folder, store: Capture, taken: Taken) -> anyhow::Result<Self> {
        let (mut files, mut small) = (Vec::new(), Vec::new());
        for name in [config::CONFIG_FILE, config::KEYS_FILE, stamp::STAMP_FILE] {
            match std::fs::read(folder.root.join(name)) {
                Ok(content) => {
                    files.push(Entry { name: name.to_owned(), size_bytes: content.len() as u64 });
                    small.push(content);
                }
                // Folders of format 1 have no stamp.
                Err(error) if error.kind() == io::ErrorKind::NotFound && name == stamp::STAMP_FILE => {}
                Err(error) => return Err(error).with_context(|| format!("cannot read {name}")),
            }
        }
        let stored = store.files().iter();
        files.extend(stored.map(|file| Entry { name: format!("{}/{}", config::STORE_FOLDER, file.name()), size_bytes: file.size_bytes() }));
        let format = stamp::format(&folder.root)?;
        let head = Head {
            domain: folder.config.domain.clone(),
            format,
            software: SOFTWARE.to_owned(),
            made_ms: SystemClock.now_ms(),
            taken,
            files,
        };
        Ok(Self { head, small, store })
    }

    /// Writes the archive. A reader that is gone ends it; whatever else goes wrong is told to the reader.
    fn pour(&self, outlet: impl Write, stopping: &CancellationToken) {
        let Ok(mut writer) = Writer::begin(outlet, &self.head) else { return };
        let outcome = match self.files(&mut writer, stopping) {
            Ok(()) => writer.end(),
            Err(error) => writer.give_up(&error.to_string()),
        };
        if outcome.is_err() {
            tracing::info!("backup.broken_off");
        }
    }

    fn files(&self, writer: &mut Writer<impl Write>, stopping: &CancellationToken) -> io::Result<()> {
        for content in &self.small {
            for piece in content.chunks(DATA_BYTES_MAX) {
                writer.data(piece)?;
            }
        }
        let mut buffer = vec![0; DATA_BYTES_MAX];
        for file in self.store.files() {
            let mut input = file.read()?;
            loop {
                if stopping.is_cancelled() {
                    return Err(io::Error::other("the server is stopping: make the backup again"));
                }
                let count = fill(&mut input, &mut buffer)?;
                if count == 0 {
                    break;
                }
                writer.data(&buffer[..count])?;
            }
        }
        Ok(())
    }
}

/// Reads until the buffer is full or the input ends.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match input.read(&mut buffer[count..])? {
            0 => break,
            some => count += some,
        }
    }
    Ok(count)
}

/// Hands on what is written, whole frames at a time, as fast as they are taken.
struct Outlet(mpsc::Sender<Bytes>);

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.blocking_send(Bytes::copy_from_slice(bytes)).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The other end of an [`Outlet`].
struct Inlet {
    frames: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Inlet {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() {
            self.piece = self.frames.blocking_recv().unwrap_or_default();
        }
        Ok(take(&mut self.piece, buffer))
    }
}

/// An answer's body, read from a thread that may block.
struct Incoming {
    body: axum::body::BodyDataStream,
    runtime: tokio::runtime::Handle,
    piece: Bytes,
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.runtime.block_on(self.body.next()) {
                Some(piece) => self.piece = piece.map_err(io::Error::other)?,
                None => return Ok(0),
            }
        }
        Ok(take(&mut self.piece, buffer))
    }
}

fn take(piece: &mut Bytes, buffer: &mut [u8]) -> usize {
    let some = piece.split_to(piece.len().min(buffer.len()));
    buffer[..some.len()].copy_from_slice(&some);
    some.len()
}
