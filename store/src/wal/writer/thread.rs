//! What the writer does with what is queued.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::{Answer, Command, Durable, Queued, Submitted, WalError};
use crate::error::StoreError;
use crate::files::OwnFile;
use crate::wal::Wal;
use crate::wal::digests::Digests;

/// What one group may hold, so that the first of it does not wait for too many others.
const GROUP_BYTES_MAX: usize = 16 << 20;
const GROUP_RECORDS_MAX: usize = 1_024;

/// The thread's own.
pub struct Writer<T> {
    pub wal: Wal,
    pub digests: Digests,
    pub saved_digests: Arc<OwnFile>,
    pub publish: Box<dyn FnMut(Vec<Durable<T>>) + Send>,
    pub poisoned: Arc<Mutex<Option<String>>>,
    pub busy_since: Arc<Mutex<Option<Instant>>>,
}

impl<T> Writer<T> {
    pub fn run(mut self, mut queue: mpsc::Receiver<Command<T>>) {
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
                    *self.busy_since.lock() = None;
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
        self.saved_digests.replace(&*self.wal.files, &self.digests.encode())?;
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
