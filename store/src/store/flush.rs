//! Flushing: the tail becomes Parquet files under a Delta commit, and the log lets go of what they hold.
//!
//! Order: files, then the commits of every table but `spans`, then `spans` with the log's sequence as its
//! transaction, each fsynced; then the snapshot changes; then whole log segments are deleted. A crash between any
//! two of these leaves either rows that replay skips by their table's transaction id, or derived rows that
//! a higher revision supersedes.

use std::sync::Arc;

use arrow::array::UInt32Array;
use plimsoll_schemas::UnixNanos;
use plimsoll_schemas::slice::SLUG_RECENT;
use plimsoll_schemas::table::Table;

use super::Inner;
use super::pending;
use crate::blocking::blocking;
use crate::error::StoreError;
use crate::lake::{Commit, Effort, Gather, Part, Partition, first_rows, now, write_files};
use crate::rows::{Columns, ToAnalyse};
use crate::snapshot::{DataFile, FileChange};
use crate::tail::Chunk;

/// The order in which tables are committed; spans last, since their transaction lets the log go.
const COMMIT_ORDER: [Table; Table::ALL.len()] = [
    Table::LogRecords,
    Table::Verdicts,
    Table::Edges,
    Table::Violations,
    Table::Attempts,
    Table::StageRuns,
    Table::Traces,
    // After the rows that they were computed from.
    Table::StageMinutes,
    Table::StageHours,
    Table::Spans,
];

/// Times further from now than this are filed under the nearest day within, so that no client can make
/// a file for every day since 1677. Their rows keep the time that was sent.
const DAYS_BACK_MAX: i32 = 400;
const DAYS_AHEAD_MAX: i32 = 2;

impl Inner {
    /// Writes everything that is in the tail. Answers whether there was anything.
    ///
    /// Once begun it ends, also if nobody waits for it any more: closing gives up the task that asked, and between
    /// a commit and the snapshot that shows it nothing may stop.
    pub(super) async fn flush(self: &Arc<Self>) -> Result<bool, StoreError> {
        match tokio::spawn(self.clone().flush_to_its_end()).await {
            Ok(flushed) => flushed,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    async fn flush_to_its_end(self: Arc<Self>) -> Result<bool, StoreError> {
        let _one_at_a_time = self.flushing.lock().await;
        let (sealed, seq, pending) = {
            let mut state = self.state.lock();
            if state.tail.rows() == 0 && state.tail.seq == self.counters.flushed_seq.get() {
                return Ok(false);
            }
            let sealed = state.tail.seal();
            (sealed, state.tail.seq, pending::Pending::of(&state.tail.traces, &self.restating.lock()))
        };
        let inner = self.clone();
        let (sealed, written) = blocking(move || {
            let log = inner.log.as_ref().ok_or(StoreError::ReadOnly)?;
            pending.write(&*log.files, &log.pending)?;
            let written = inner.write_files(&sealed)?;
            Ok::<_, StoreError>((sealed, written))
        })
        .await?;
        let Written { files, rows } = written;
        let (changes, committed) = self.commit_files(files, seq).await;
        if committed.is_ok() {
            self.derived.flushed(&sealed[Table::Spans as usize], rows);
        }
        {
            // Also where a later table failed: what is in the lake must leave the tail, or the next try would
            // commit it again.
            let done = |table: Table| committed.is_ok() || changes.iter().any(|c| c.table == table);
            let moved = Table::ALL.map(|t| if done(t) { sealed[t as usize].clone() } else { Vec::new() });
            let mut state = self.state.lock();
            state.flushed(changes, &moved);
            committed?;
            state.tail.traces.forget_flushed(seq);
        }
        self.shrink_retained()?;
        self.counters.flushed_seq.set(seq);
        self.counters.flushes.add(1);
        let log = self.log.as_ref().ok_or(StoreError::ReadOnly)?;
        log.writer.delete_through(seq).await.map_err(|e| StoreError::Poisoned(e.to_string()))?;
        Ok(true)
    }

    /// Cuts chunks that wait for slow traces down to what settling reads of them, and to the rows of these traces where they are few.
    /// Rows are copied while nobody waits.
    fn shrink_retained(&self) -> Result<(), StoreError> {
        let shrinkable = self.state.lock().tail.shrinkable();
        let columns = ToAnalyse::under(&self.options.rules);
        let mut others = Vec::with_capacity(shrinkable.len());
        for (chunk, rows) in shrinkable {
            let rest = chunk.shrunk(&columns, rows)?;
            others.push((chunk, rest));
        }
        let gone = self.state.lock().tail.replace_retained(others);
        drop(gone);
        Ok(())
    }

    /// Commits table by table, and answers which were committed and what stopped it.
    async fn commit_files(
        &self,
        mut written: Vec<Vec<DataFile>>,
        seq: u64,
    ) -> (Vec<FileChange>, Result<(), StoreError>) {
        let mut changes = Vec::new();
        for table in COMMIT_ORDER {
            let adds = std::mem::take(&mut written[table as usize]);
            if adds.is_empty() && table != Table::Spans {
                continue;
            }
            // Of derived tables too, by which whoever follows tells how far they are.
            let transaction = self.log.as_ref().map(|log| (log.id.clone(), seq as i64));
            let commit = Commit { adds, removes: Vec::new(), transaction, data_change: true };
            let committed = self.lake[table as usize].lock().await.commit(commit).await;
            match self.note(committed) {
                Ok((version, added)) => {
                    self.counters.wrote(table, &added);
                    changes.push(FileChange { table, version, added, removed: Vec::new() });
                }
                Err(error) => return (changes, Err(error)),
            }
        }
        (changes, Ok(()))
    }

    fn write_files(&self, sealed: &[Vec<Arc<Chunk>>; Table::ALL.len()]) -> Result<Written, StoreError> {
        let mut written = Written { files: Vec::with_capacity(Table::ALL.len()), rows: Vec::new() };
        for table in Table::ALL {
            let (files, rows) = self.write_table(table, &sealed[table as usize])?;
            if table == Table::Spans {
                written.rows = files.iter().map(|file| file.path.clone()).zip(rows).collect();
            }
            written.files.push(files);
        }
        Ok(written)
    }

    /// The files, a day each, and the numbers of their rows among those of all chunks.
    fn write_table(
        &self,
        table: Table,
        chunks: &[Arc<Chunk>],
    ) -> Result<(Vec<DataFile>, Vec<UInt32Array>), StoreError> {
        let rows = sorted_rows(table, chunks)?;
        let batches: Vec<_> = chunks.iter().map(|c| c.batch.clone()).collect();
        let slice = (table == Table::Spans).then_some(SLUG_RECENT);
        let days = rows.chunk_by(|a, b| a.day == b.day).map(|day| Part {
            partition: Partition { day: day[0].day, slice },
            rows: day.iter().map(|place| place.row).collect(),
        });
        let (rows, days) = (Gather::of(table.file_schema(), &batches), days.collect::<Vec<_>>());
        let files = write_files(&self.home, table, &rows, &days, Effort::Quick)?;
        Ok((files, days.into_iter().map(|day| day.rows).collect()))
    }
}

/// What a flush wrote.
struct Written {
    /// By table.
    files: Vec<Vec<DataFile>>,
    /// Of each file of `spans`, by its path, which rows of the chunks it has.
    rows: Vec<(String, UInt32Array)>,
}

/// A row's place in the sorted files: spans by (trace, start), others by time.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    day: i32,
    /// Its id, as the number that its digits are.
    trace: u128,
    time: i64,
    /// Its number among the rows of all chunks.
    row: u32,
}

fn sorted_rows(table: Table, chunks: &[Arc<Chunk>]) -> Result<Vec<Place>, StoreError> {
    let today = now().day();
    let mut rows = Vec::with_capacity(chunks.iter().map(|c| c.batch.num_rows()).sum());
    for (of, first) in chunks.iter().zip(first_rows(chunks.iter().map(|c| &c.batch))) {
        let times = Columns::of(&of.batch).int(table.time_column())?;
        for (row, time) in times.values().iter().enumerate() {
            let day = UnixNanos(*time).day().clamp(today - DAYS_BACK_MAX, today + DAYS_AHEAD_MAX);
            let trace = of.keys.get(row).map_or(0, |id| u128::from_be_bytes(*id.bytes()));
            rows.push(Place { day, trace, time: *time, row: first + row as u32 });
        }
    }
    rows.sort_unstable();
    Ok(rows)
}
