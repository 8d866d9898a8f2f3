//! Taking requests in: decoded, written to the log, and visible once they are durable.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use plimsoll_schemas::Tenant;
use plimsoll_schemas::table::Table;

use super::{Accepted, Inner};
use crate::blocking::blocking;
use crate::decode::{DecodeError, Decoded, RecordKind, RecordMeta};
use crate::error::{IngestError, StoreError};
use crate::lake::now;
use crate::wal::{Entry, WalError};

/// How long a client should wait when the tail is full: a flush takes about that long.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Longer than a disk or a bucket that is well lets an acknowledgement wait.
const HELD_UP_AFTER: Duration = Duration::from_secs(5);

/// A millisecond's worth or so.
const DECODE_HERE_BYTES_MAX: usize = 512 << 10;

impl Inner {
    /// Large requests are decoded where that keeps no other request waiting.
    async fn decode(&self, meta: &RecordMeta, payload: &Bytes) -> Result<Decoded, DecodeError> {
        if payload.len() <= DECODE_HERE_BYTES_MAX {
            return self.decoder.decode(meta, payload);
        }
        let (decoder, meta, payload) = (self.decoder.clone(), meta.clone(), payload.clone());
        blocking(move || decoder.decode(&meta, &payload)).await
    }

    pub(super) async fn ingest(
        &self,
        kind: RecordKind,
        tenant: Tenant,
        payload: Bytes,
    ) -> Result<Accepted, IngestError> {
        if self.closing.load(Ordering::Acquire) {
            return Err(IngestError::Unavailable("shutting down".into()));
        }
        let Some(log) = &self.log else {
            let why = "this server only reads; send it to the one that writes this home";
            return Err(IngestError::Unavailable(why.into()));
        };
        if let Some(why) = self.poisoned() {
            return Err(IngestError::Unavailable(format!(
                "nothing more is acknowledged: {why}; restart when that is mended"
            )));
        }
        if self.state.lock().tail.bytes() >= self.options.tail_bytes_max {
            self.flush_wanted.notify_one();
            return Err(overloaded("the tail is full and waits for the disk"));
        }
        let now = now();
        let meta = RecordMeta { kind, tenant, ingest: now };
        let decoded = self.decode(&meta, &payload).await?;
        self.counters.rejected.add(decoded.rejected);
        let mut accepted = Accepted {
            rows: decoded.rows(),
            rejected: decoded.rejected,
            message: decoded.message.clone(),
            duplicate: false,
        };
        if accepted.rows == 0 {
            return Ok(accepted);
        }
        let digest = crate::wal::digest(&meta, &payload);
        let counts = decoded.batches.iter().map(|(t, b)| (*t, b.num_rows() as u64)).collect::<Vec<_>>();
        let entry = Entry { meta, payload, digest, attachment: decoded };
        match log.writer.submit(entry).await {
            Ok(submitted) => {
                accepted.duplicate = submitted.duplicate;
                if submitted.duplicate {
                    self.counters.duplicate_requests.add(1);
                } else {
                    self.count(&counts);
                }
                Ok(accepted)
            }
            Err(WalError::Full) => Err(overloaded("the log's queue is full")),
            Err(error @ WalError::Failed(_)) => Err(overloaded(&error.to_string())),
            Err(error @ WalError::TooLarge { .. }) => {
                Err(IngestError::Malformed(crate::decode::DecodeError(error.to_string())))
            }
            Err(error) => Err(IngestError::Unavailable(error.to_string())),
        }
    }

    /// Why nothing more is acknowledged.
    pub(super) fn poisoned(&self) -> Option<String> {
        self.stopped.lock().clone().or_else(|| self.log.as_ref()?.writer.poisoned())
    }

    /// For how long acknowledgements have been waiting for the log, once that is long.
    pub(super) fn held_up(&self) -> Option<Duration> {
        self.log.as_ref()?.writer.busy().filter(|busy| *busy >= HELD_UP_AFTER)
    }

    /// Takes note of a failure that no later try can mend.
    pub(super) fn note<T>(&self, done: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(StoreError::Poisoned(why)) = &done {
            self.stopped.lock().get_or_insert_with(|| why.clone());
        }
        done
    }

    fn count(&self, rows: &[(Table, u64)]) {
        for (table, n) in rows {
            match table {
                Table::Spans => self.counters.spans.add(*n),
                Table::LogRecords => self.counters.log_records.add(*n),
                Table::Verdicts => self.counters.verdicts.add(*n),
                _ => {}
            }
        }
    }
}

fn overloaded(reason: &str) -> IngestError {
    IngestError::Overloaded { reason: reason.into(), retry_after: RETRY_AFTER }
}
