//! The one writer of the log, on a thread of its own: it drains what is queued, writes once, fsyncs once,
//! makes the rows visible, then answers everyone. Group commit falls out of the queue.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use plimsoll_schemas::UnixNanos;
use tokio::sync::{mpsc, oneshot};

use super::Wal;
use super::digests::Digests;
use crate::decode::RecordMeta;
use crate::error::StoreError;

/// Requests that may wait for the writer; beyond it doors refuse.
const QUEUE_MAX: usize = 4_096;
/// What one group may hold, so that the first of it does not wait for too many others.
const GROUP_BYTES_MAX: usize = 16 << 20;
const GROUP_RECORDS_MAX: usize = 1_024;

/// A request that wants to be durable. The attachment travels beside it and is not written.
#[derive(Debug)]
pub struct Entry<T> {
    pub meta: RecordMeta,
    pub payload: Bytes,
    /// See [`super::digest`].
    pub digest: u128,
    pub attachment: T,
}

/// A record that became durable.
#[derive(Debug)]
pub struct Durable<T> {
    pub seq: u64,
    pub meta: RecordMeta,
    pub attachment: T,
}

/// The answer to a request: it is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Submitted {
    /// It was accepted before, and not written again.
    pub duplicate: bool,
}

/// Why a request is not durable.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WalError {
    #[error("the log's queue is full")]
    Full,
    #[error("the log is poisoned: {0}")]
    Poisoned(String),
    #[error("the log is closed")]
    Closed,
}

type Answer<T> = oneshot::Sender<Result<T, WalError>>;

enum Command<T> {
    Append(Entry<T>, Answer<Submitted>),
    DeleteThrough(u64, Answer<()>),
    Close { remove: bool, answer: Answer<()> },
}

/// The handle of the writer.
#[derive(Debug)]
pub struct WalWriter<T> {
    commands: mpsc::Sender<Command<T>>,
    poisoned: Arc<Mutex<Option<String>>>,
}

impl<T: Send + 'static> WalWriter<T> {
    /// Starts the writer. `replayed` are the digests of the log's own records; `publish` is called in the order of
    /// sequences, before anyone is answered.
    pub fn spawn(
        wal: Wal,
        replayed: Vec<(u128, UnixNanos)>,
        publish: impl FnMut(Vec<Durable<T>>) + Send + 'static,
    ) -> Result<Self, StoreError> {
        let digests_path = wal.folder.with_file_name("digests");
        let mut digests = Digests::load(&*wal.files, &digests_path);
        for (digest, at) in replayed {
            digests.insert(digest, at);
        }
        let (commands, queue) = mpsc::channel(QUEUE_MAX);
        let poisoned = Arc::new(Mutex::new(None));
        let writer =
            Writer { wal, digests, digests_path, publish: Box::new(publish), poisoned: poisoned.clone() };
        std::thread::Builder::new()
            .name("wal-writer".into())
            .spawn(move || writer.run(queue))
            .map_err(StoreError::io("wal-writer thread"))?;
        Ok(Self { commands, poisoned })
    }

    /// Answers once the request is durable. At the queue's bound it is refused at once.
    pub async fn submit(&self, entry: Entry<T>) -> Result<Submitted, WalError> {
        let (answer, answered) = oneshot::channel();
        self.commands.try_send(Command::Append(entry, answer)).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => WalError::Full,
            mpsc::error::TrySendError::Closed(_) => WalError::Closed,
        })?;
        answered.await.unwrap_or(Err(WalError::Closed))
    }

    /// Lets go of the segments that hold nothing above `seq`.
    pub async fn delete_through(&self, seq: u64) -> Result<(), WalError> {
        self.command(|answer| Command::DeleteThrough(seq, answer)).await
    }

    /// Ends the writer; with `remove` the log is deleted.
    pub async fn close(&self, remove: bool) -> Result<(), WalError> {
        self.command(|answer| Command::Close { remove, answer }).await
    }

    async fn command(&self, command: impl FnOnce(Answer<()>) -> Command<T>) -> Result<(), WalError> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| WalError::Closed)?;
        answered.await.unwrap_or(Err(WalError::Closed))
    }

    /// Why nothing is acknowledged any more.
    pub fn poisoned(&self) -> Option<String> {
        self.poisoned.lock().clone()
    }
}

struct Writer<T> {
    wal: Wal,
    digests: Digests,
    digests_path: PathBuf,
    publish: Box<dyn FnMut(Vec<Durable<T>>) + Send>,
    poisoned: Arc<Mutex<Option<String>>>,
}

impl<T> Writer<T> {
    fn run(mut self, mut queue: mpsc::Receiver<Command<T>>) {
        let mut next = queue.blocking_recv();
        while let Some(command) = next.take() {
            match command {
                Command::Append(entry, answer) => {
                    let mut bytes = entry.payload.len();
                    let mut group = vec![(entry, answer)];
                    while bytes < GROUP_BYTES_MAX && group.len() < GROUP_RECORDS_MAX {
                        match queue.try_recv() {
                            Ok(Command::Append(entry, answer)) => {
                                bytes += entry.payload.len();
                                group.push((entry, answer));
                            }
                            Ok(other) => {
                                next = Some(other);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    self.commit(group);
                }
                Command::DeleteThrough(seq, answer) => {
                    let done = self.delete_through(seq);
                    // Nobody may be waiting any more; the work is done all the same.
                    let _ = answer.send(done.map_err(|e| WalError::Poisoned(e.to_string())));
                }
                Command::Close { remove, answer } => {
                    let done = self.close(remove);
                    let _ = answer.send(done.map_err(|e| WalError::Poisoned(e.to_string())));
                    return;
                }
            }
            if next.is_none() {
                next = queue.blocking_recv();
            }
        }
    }

    fn commit(&mut self, group: Vec<(Entry<T>, Answer<Submitted>)>) {
        let mut seen = HashSet::new();
        let (mut fresh, mut repeated) = (Vec::new(), Vec::new());
        for (entry, answer) in group {
            // Only what became durable is in the window, so that a failed group leaves no trace there.
            if self.digests.contains(entry.digest) || !seen.insert(entry.digest) {
                repeated.push(answer);
            } else {
                fresh.push((entry, answer));
            }
        }
        if !fresh.is_empty() {
            let records = fresh.iter().map(|(e, _)| (&e.meta, e.payload.as_ref()));
            match self.wal.append(records) {
                Ok(last) => self.publish(last, fresh),
                Err(error) => {
                    let error = WalError::Poisoned(error.to_string());
                    *self.poisoned.lock() = Some(error.to_string());
                    let answers = fresh.into_iter().map(|(_, answer)| answer).chain(repeated);
                    answers.for_each(|answer| drop(answer.send(Err(error.clone()))));
                    return;
                }
            }
        }
        for answer in repeated {
            let _ = answer.send(Ok(Submitted { duplicate: true }));
        }
    }

    fn publish(&mut self, last: u64, fresh: Vec<(Entry<T>, Answer<Submitted>)>) {
        let first = last + 1 - fresh.len() as u64;
        let (mut durable, mut answers) = (Vec::with_capacity(fresh.len()), Vec::with_capacity(fresh.len()));
        for (seq, (entry, answer)) in (first..).zip(fresh) {
            self.digests.insert(entry.digest, entry.meta.ingest);
            durable.push(Durable { seq, meta: entry.meta, attachment: entry.attachment });
            answers.push(answer);
        }
        (self.publish)(durable);
        for answer in answers {
            let _ = answer.send(Ok(Submitted { duplicate: false }));
        }
    }

    /// The digests are saved first: once the segments are gone, nothing else remembers these requests.
    fn delete_through(&mut self, seq: u64) -> Result<(), StoreError> {
        self.digests.save(&*self.wal.files, &self.digests_path)?;
        self.wal.delete_through(seq)
    }

    fn close(&mut self, remove: bool) -> Result<(), StoreError> {
        self.digests.save(&*self.wal.files, &self.digests_path)?;
        if remove { self.wal.remove_all() } else { Ok(()) }
    }
}
