//! Writing: one thread owns tantivy's writer and commits about once a second, off the path of requests.
//!
//! A commit names how far it has come ([`Writer::reached`]), so that after a crash the caller feeds again from there; what is fed twice is the same, as it is replaced by
//! its number. What a failed commit held stays in memory, searchable, and is written anew a second later.

use crate::analysis::ANALYSER;
use crate::document::Document;
use crate::error::SearchError;
use crate::index::open::Folder;
use crate::index::source::Source;
use crate::index::tail::Pending;
use crate::index::{Index, Old, Was};
use crate::limits::{COMMIT_EVERY_MS, TAIL_MAX, WRITER_BYTES};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tantivy::{IndexReader, IndexWriter, Term};

/// The one way to change an index. Dropped without [`close`](Self::close), it forgets what no commit holds.
pub struct Writer {
    index: Index,
    sender: Option<Sender<Message>>,
    thread: Option<JoinHandle<()>>,
}

enum Message {
    Change(Change),
    Reached(u64),
    /// Commit now.
    Flush(Sender<Result<(), SearchError>>),
    /// Commit, and put the new folder in place of the old one.
    Rebuilt(Sender<Result<(), SearchError>>),
}

enum Change {
    Put(Arc<Pending>, Was),
    Remove(u64, u64),
}

/// What a commit says of itself.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Stamp {
    pub(crate) analyser: String,
    pub(crate) upto: u64,
}

impl Writer {
    pub(crate) fn start(index: Index, folder: Folder, upto: u64) -> Result<Self, SearchError> {
        let (sender, receiver) = channel();
        let mut task = Task::open(index.clone(), folder, upto)?;
        let thread = std::thread::Builder::new().name("search-writer".to_owned()).spawn(move || task.run(&receiver))?;
        Ok(Self { index, sender: Some(sender), thread: Some(thread) })
    }

    /// Adds a document, or replaces the one with its number. Searches find it when this returns. Waits if very many changes are not on disk yet.
    pub fn put(&self, document: &Document) -> Result<(), SearchError> {
        let sender = self.sender.as_ref().ok_or(SearchError::Closed)?;
        let pending = Pending::new(document, 0);
        self.index.shared.put(pending, |pending, was| {
            // Nobody listens when the thread has ended: the document is found until the program ends, and fed again then.
            let _ = sender.send(Message::Change(Change::Put(pending, was)));
        })
    }

    /// Removes a document, if it is there. No search shows it when this returns.
    pub fn remove(&self, no: u64) -> Result<(), SearchError> {
        let sender = self.sender.as_ref().ok_or(SearchError::Closed)?;
        self.index.shared.remove(no, |sequence| {
            let _ = sender.send(Message::Change(Change::Remove(no, sequence)));
        });
        Ok(())
    }

    /// Says that all changes up to the caller's own place `upto` were made. The next commit keeps it.
    pub fn reached(&self, upto: u64) -> Result<(), SearchError> {
        let sender = self.sender.as_ref().ok_or(SearchError::Closed)?;
        sender.send(Message::Reached(upto)).map_err(|_| SearchError::Closed)
    }

    /// Waits until all changes are on disk.
    pub fn flush(&self) -> Result<(), SearchError> {
        self.ask(Message::Flush)
    }

    /// Says that an index that had to be built anew is complete: it takes the place of the old one.
    pub fn rebuilt(&self) -> Result<(), SearchError> {
        self.ask(Message::Rebuilt)
    }

    /// Writes all changes and ends.
    pub fn close(self) -> Result<(), SearchError> {
        self.flush()
    }

    fn ask(&self, message: impl FnOnce(Sender<Result<(), SearchError>>) -> Message) -> Result<(), SearchError> {
        let (reply, answer) = channel();
        let sender = self.sender.as_ref().ok_or(SearchError::Closed)?;
        sender.send(message(reply)).map_err(|_| SearchError::Closed)?;
        answer.recv().map_err(|_| SearchError::Closed)?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

/// The thread's own.
struct Task {
    index: Index,
    folder: Folder,
    reader: IndexReader,
    writer: Option<IndexWriter>,
    /// Changes that no commit holds.
    changes: Vec<Change>,
    /// The last change that a commit holds.
    sequence: u64,
    upto: u64,
    committed_upto: u64,
    due: Option<Instant>,
}

impl Task {
    fn open(index: Index, folder: Folder, upto: u64) -> Result<Self, SearchError> {
        let reader = folder.reader()?;
        let writer = Some(writer(&folder)?);
        Ok(Self { index, folder, reader, writer, changes: Vec::new(), sequence: 0, upto, committed_upto: upto, due: None })
    }

    fn run(&mut self, messages: &Receiver<Message>) {
        loop {
            let wait = self.due.map_or(Duration::MAX, |due| due.saturating_duration_since(Instant::now()));
            match messages.recv_timeout(wait) {
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => self.commit_or_say(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn take(&mut self, message: Message) {
        let soon = || Some(Instant::now() + Duration::from_millis(COMMIT_EVERY_MS));
        match message {
            Message::Change(change) => {
                self.apply(&change);
                self.changes.push(change);
                self.due = self.due.or_else(soon);
                if self.changes.len() >= TAIL_MAX / 2 {
                    self.commit_or_say();
                }
            }
            Message::Reached(upto) => {
                self.upto = upto;
                self.due = self.due.or_else(soon);
            }
            // Who asked may have gone.
            Message::Flush(reply) => drop(reply.send(self.commit(Old::Kept))),
            Message::Rebuilt(reply) => {
                let done = self.commit(Old::Gone).and_then(|()| self.folder.take_place());
                let _ = reply.send(done);
            }
        }
    }

    fn apply(&mut self, change: &Change) {
        let fields = self.index.shared.fields;
        let Some(writer) = &self.writer else { return };
        let done = match change {
            Change::Put(pending, was) => {
                if *was == Was::Perhaps {
                    writer.delete_term(Term::from_field_u64(fields.no, pending.no));
                }
                writer.add_document(fields.document(pending)).map(drop)
            }
            Change::Remove(no, _) => {
                writer.delete_term(Term::from_field_u64(fields.no, *no));
                Ok(())
            }
        };
        if let Err(error) = done {
            tracing::warn!(error = %error, "search.writer.broken");
            self.writer = None;
        }
    }

    fn commit_or_say(&mut self) {
        if let Err(error) = self.commit(Old::Kept) {
            tracing::warn!(error = &error as &dyn std::error::Error, changes = self.changes.len(), "search.commit.failed");
        }
    }

    fn commit(&mut self, old: Old) -> Result<(), SearchError> {
        self.due = None;
        if self.changes.is_empty() && self.upto == self.committed_upto && old == Old::Kept {
            return Ok(());
        }
        let done = self.try_commit(old);
        if done.is_err() {
            // What a broken writer held is not known: a new one gets all again.
            self.writer = None;
            self.due = Some(Instant::now() + Duration::from_millis(COMMIT_EVERY_MS));
        }
        done
    }

    fn try_commit(&mut self, old: Old) -> Result<(), SearchError> {
        if self.writer.is_none() {
            self.writer = Some(writer(&self.folder)?);
            for change in std::mem::take(&mut self.changes) {
                // It may have been added before the writer broke.
                let change = match change {
                    Change::Put(pending, _) => Change::Put(pending, Was::Perhaps),
                    remove @ Change::Remove(..) => remove,
                };
                self.apply(&change);
                self.changes.push(change);
            }
        }
        let stamp = Stamp { analyser: ANALYSER.to_owned(), upto: self.upto };
        let writer = self.writer.as_mut().ok_or(SearchError::Closed)?;
        let mut commit = writer.prepare_commit()?;
        commit.set_payload(&serde_json::to_string(&stamp).map_err(std::io::Error::from)?);
        let generation = commit.commit()?;
        self.reader.reload()?;
        let source = Source::open(self.reader.searcher(), self.index.shared.fields)?;
        // Counted here, not by the first search.
        source.tokens();
        self.sequence = self.changes.last().map_or(self.sequence, |change| match change {
            Change::Put(pending, _) => pending.sequence,
            Change::Remove(_, sequence) => *sequence,
        });
        self.index.shared.committed(Arc::new(source), self.sequence, generation, old);
        self.changes.clear();
        self.committed_upto = self.upto;
        Ok(())
    }
}

fn writer(folder: &Folder) -> Result<IndexWriter, SearchError> {
    Ok(folder.index.writer_with_num_threads(1, WRITER_BYTES)?)
}
