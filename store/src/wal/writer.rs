//! The one writer of the log, on a thread of its own: it drains what is queued, writes once, fsyncs once,
//! makes the rows visible, then answers everyone. Group commit falls out of the queue.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use plimsoll_schemas::UnixNanos;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::digests::Digests;
use super::{PAYLOAD_BYTES_MAX, Wal};
use crate::blocking::blocking;
use crate::decode::RecordMeta;
use crate::error::StoreError;
use crate::files::Files;

/// Requests that may wait for the writer, and their payloads' bytes; beyond either doors refuse.
const QUEUE_MAX: usize = 4_096;
const QUEUE_BYTES_MAX: u32 = 64 << 20;
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

/// Why a request is not durable, or a command not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WalError {
    #[error("the log's queue is full")]
    Full,
    #[error("a payload of {bytes} bytes; the log takes at most {PAYLOAD_BYTES_MAX}")]
    TooLarge { bytes: usize },
    /// Nothing was changed by it, and it may work later: the disk is full, as a rule.
    #[error("{0}")]
    Failed(String),
    #[error("the log is poisoned: {0}")]
    Poisoned(String),
    #[error("the log is closed")]
    Closed,
}

impl From<StoreError> for WalError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Poisoned(why) => Self::Poisoned(why),
            other => Self::Failed(other.to_string()),
        }
    }
}

type Answer<T> = oneshot::Sender<Result<T, WalError>>;

/// A request in the queue, with its share of the queue's bytes.
struct Queued<T> {
    entry: Entry<T>,
    answer: Answer<Submitted>,
    _bytes: OwnedSemaphorePermit,
}

enum Command<T> {
    Append(Queued<T>),
    /// Asks for the bytes of the window of digests.
    Digests(Answer<Vec<u8>>),
    DeleteThrough(u64, Answer<()>),
    Close {
        remove: bool,
        answer: Answer<()>,
    },
}

/// The handle of the writer. The thread ends when it is closed, or when the last handle is gone.
#[derive(Debug)]
pub struct WalWriter<T> {
    commands: mpsc::Sender<Command<T>>,
    queue_bytes: Arc<Semaphore>,
    poisoned: Arc<Mutex<Option<String>>>,
    busy_since: Arc<Mutex<Option<Instant>>>,
    files: Arc<dyn Files>,
    digests_path: PathBuf,
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
        let busy_since = Arc::new(Mutex::new(None));
        let queue_bytes = Arc::new(Semaphore::new(QUEUE_BYTES_MAX as usize));
        let files = wal.files.clone();
        let handle = Self {
            commands,
            queue_bytes,
            poisoned: poisoned.clone(),
            busy_since: busy_since.clone(),
            files,
            digests_path: digests_path.clone(),
        };
        let writer = Writer { wal, digests, digests_path, publish: Box::new(publish), poisoned, busy_since };
        std::thread::Builder::new()
            .name("wal-writer".into())
            .spawn(move || writer.run(queue))
            .map_err(StoreError::io("wal-writer thread"))?;
        Ok(handle)
    }

    /// Answers once the request is durable and published. At the queue's bounds it is refused at once. Who stops waiting
    /// does not stop the request.
    pub async fn submit(&self, entry: Entry<T>) -> Result<Submitted, WalError> {
        let bytes = entry.payload.len();
        if bytes > PAYLOAD_BYTES_MAX {
            return Err(WalError::TooLarge { bytes });
        }
        // One that is larger than the whole queue may pass when it is alone.
        let share = u32::try_from(bytes).map_or(QUEUE_BYTES_MAX, |b| b.min(QUEUE_BYTES_MAX));
        let permit = self.queue_bytes.clone().try_acquire_many_owned(share).map_err(|_| WalError::Full)?;
        let (answer, answered) = oneshot::channel();
        let queued = Queued { entry, answer, _bytes: permit };
        self.commands.try_send(Command::Append(queued)).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => WalError::Full,
            mpsc::error::TrySendError::Closed(_) => self.gone(),
        })?;
        answered.await.unwrap_or_else(|_| Err(self.gone()))
    }

    /// Why there is no writer to answer.
    fn gone(&self) -> WalError {
        self.poisoned().map_or(WalError::Closed, WalError::Poisoned)
    }

    /// Lets go of the segments that hold nothing above `seq`. The window of digests is saved first, since once the segments
    /// are gone nothing else remembers their requests; not by the writer, for whom requests wait.
    pub async fn delete_through(&self, seq: u64) -> Result<(), WalError> {
        let bytes = self.command(Command::Digests).await?;
        let (files, path) = (self.files.clone(), self.digests_path.clone());
        blocking(move || files.replace(&path, &bytes).map_err(StoreError::io(path))).await?;
        self.command(|answer| Command::DeleteThrough(seq, answer)).await
    }

    /// Ends the writer; with `remove` the log is deleted, and must hold nothing that is not elsewhere. What is queued
    /// before is done first, what comes later is refused. A poisoned log is not deleted.
    pub async fn close(&self, remove: bool) -> Result<(), WalError> {
        self.command(|answer| Command::Close { remove, answer }).await
    }

    async fn command<R>(&self, command: impl FnOnce(Answer<R>) -> Command<T>) -> Result<R, WalError> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| self.gone())?;
        answered.await.unwrap_or_else(|_| Err(self.gone()))
    }

    /// Why nothing is acknowledged any more.
    pub fn poisoned(&self) -> Option<String> {
        self.poisoned.lock().clone()
    }

    /// For how long the writer has been at one piece of its work, for which all others wait. It is short, but where the disk or the
    /// bucket does not answer.
    pub fn busy(&self) -> Option<Duration> {
        self.busy_since.lock().map(|since| since.elapsed())
    }
}

struct Writer<T> {
    wal: Wal,
    digests: Digests,
    digests_path: PathBuf,
    publish: Box<dyn FnMut(Vec<Durable<T>>) + Send>,
    poisoned: Arc<Mutex<Option<String>>>,
    busy_since: Arc<Mutex<Option<Instant>>>,
}

impl<T> Writer<T> {
    fn run(mut self, mut queue: mpsc::Receiver<Command<T>>) {
        let mut next = queue.blocking_recv();
        while let Some(command) = next.take() {
            *self.busy_since.lock() = Some(Instant::now());
            match command {
                Command::Append(first) => {
                    let mut bytes = first.entry.payload.len();
                    let mut group = vec![first];
                    while bytes < GROUP_BYTES_MAX && group.len() < GROUP_RECORDS_MAX {
                        match queue.try_recv() {
                            Ok(Command::Append(another)) => {
                                bytes += another.entry.payload.len();
                                group.push(another);
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
                Command::Digests(answer) => {
                    let _ = answer.send(Ok(self.digests.encode()));
                }
                Command::DeleteThrough(seq, answer) => {
                    let done = self.wal.delete_through(seq);
                    self.answer(answer, done);
                }
                Command::Close { remove, answer } => {
                    // Nobody can be told after the answer that there is still a writer.
                    queue.close();
                    let done = self.close(remove);
                    self.answer(answer, done);
                    return;
                }
            }
            if next.is_none() {
                *self.busy_since.lock() = None;
                next = queue.blocking_recv();
            }
        }
    }

    /// Nobody may be waiting for an answer any more; the work is done all the same.
    fn answer(&self, answer: Answer<()>, done: Result<(), StoreError>) {
        *self.poisoned.lock() = self.wal.poisoned().map(str::to_owned);
        let _ = answer.send(done.map_err(WalError::from));
    }

    fn commit(&mut self, group: Vec<Queued<T>>) {
        let mut seen = HashSet::new();
        // Only what became durable is in the window, so that a failed group leaves no trace there.
        let (repeated, fresh): (Vec<_>, Vec<_>) = group.into_iter().partition(|Queued { entry, .. }| {
            self.digests.contains(entry.digest, entry.meta.ingest) || !seen.insert(entry.digest)
        });
        // Of a group without records nothing is written; a poisoned log refuses it all the same.
        match self.wal.append(fresh.iter().map(|q| (&q.entry.meta, q.entry.payload.as_ref()))) {
            Ok(last) => {
                self.publish(last, fresh);
                for queued in repeated {
                    let _ = queued.answer.send(Ok(Submitted { duplicate: true }));
                }
            }
            Err(error) => {
                *self.poisoned.lock() = self.wal.poisoned().map(str::to_owned);
                let error = WalError::from(error);
                for queued in fresh.into_iter().chain(repeated) {
                    let _ = queued.answer.send(Err(error.clone()));
                }
            }
        }
    }

    fn publish(&mut self, last: u64, fresh: Vec<Queued<T>>) {
        if fresh.is_empty() {
            return;
        }
        let first = last + 1 - fresh.len() as u64;
        let (mut durable, mut answers) = (Vec::with_capacity(fresh.len()), Vec::with_capacity(fresh.len()));
        for (seq, Queued { entry, answer, _bytes }) in (first..).zip(fresh) {
            self.digests.insert(entry.digest, entry.meta.ingest);
            durable.push(Durable { seq, meta: entry.meta, attachment: entry.attachment });
            answers.push(answer);
        }
        (self.publish)(durable);
        for answer in answers {
            let _ = answer.send(Ok(Submitted { duplicate: false }));
        }
    }

    fn close(&mut self, remove: bool) -> Result<(), StoreError> {
        self.digests.save(&*self.wal.files, &self.digests_path)?;
        if remove { self.wal.remove_all() } else { Ok(()) }
    }
}

impl<T> Drop for Writer<T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let why = "its writer stopped at a defect; restart to go on".to_owned();
            self.poisoned.lock().get_or_insert(why);
        }
    }
}
