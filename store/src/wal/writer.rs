//! The one writer of the log, on a thread of its own: it drains what is queued, writes once, fsyncs once,
//! makes the rows visible, then answers everyone. Group commit falls out of the queue. Here is its handle; what it does is in `thread.rs`.

mod thread;

use std::path::Path;
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
use crate::files::{Files, OwnFile};
use thread::Writer;

/// Requests that may wait for the writer, and their payloads' bytes; beyond either doors refuse.
const QUEUE_MAX: usize = 4_096;
const QUEUE_BYTES_MAX: u32 = 64 << 20;

/// The name of the file that keeps the window of digests.
const DIGESTS: &str = "digests";

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
    saved_digests: Arc<OwnFile>,
}

impl<T: Send + 'static> WalWriter<T> {
    /// Starts the writer. The window of digests is kept in the folder `beside`; `replayed` are those of the log's own records;
    /// `publish` is called in the order of sequences, before anyone is answered.
    pub fn spawn(
        wal: Wal,
        beside: &Path,
        replayed: Vec<(u128, UnixNanos)>,
        publish: impl FnMut(Vec<Durable<T>>) + Send + 'static,
    ) -> Result<Self, StoreError> {
        let (saved_digests, saved) = OwnFile::open(&*wal.files, beside, DIGESTS)?;
        let saved_digests = Arc::new(saved_digests);
        let mut digests = Digests::of(saved);
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
            saved_digests: saved_digests.clone(),
        };
        let writer = Writer { wal, digests, saved_digests, publish: Box::new(publish), poisoned, busy_since };
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
        let (files, saved) = (self.files.clone(), self.saved_digests.clone());
        blocking(move || saved.replace(&*files, &bytes)).await?;
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
