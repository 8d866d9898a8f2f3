//! Merging, by the one maintenance actor: spans whose traces settled leave `_recent` for their slice, with their
//! derived columns (see `spans.rs`); files that these changed for are restated (see `restate.rs`); and small files of one partition
//! become one.
//!
//! A merge replaces files by others with the same rows (but for those that no view shows any more), in one commit: a query sees the
//! one or the other.

mod ranges;
mod spans;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use plimsoll_schemas::table::Table;
use rustc_hash::FxHashSet;

use super::Inner;
use super::levels::{ROWS_PER_MERGE, Sized, to_join};
use super::restate::Pass;
use super::superseded::Superseded;
use crate::blocking::blocking;
use crate::error::StoreError;
use crate::jobs::{JobKind, JobUnit, Running};
use crate::lake::{Commit, Effort, Gather, MAINTENANCE, Part, Partition, Writing, now};
use crate::rows::Columns;
use crate::snapshot::{DataFile, FileChange};

pub(super) use ranges::Ranges;
pub(super) use spans::NEAR_NS;

/// A day that is past is over once nothing came for so long: late spans come for hours, and imports are of the past.
pub(super) const QUIET: Duration = Duration::from_secs(3_600);
/// How long readers that nobody here knows of may still open files that a merge replaced.
const GRACE: Duration = Duration::from_secs(600);

impl Inner {
    /// Merges everything that is due. Answers how many merges were committed.
    pub(super) async fn merge(self: &Arc<Self>) -> Result<usize, StoreError> {
        let _one_at_a_time = self.merging.lock().await;
        let (mut merges, mut rows) = (0, 0);
        while let Some(inputs) = self.next_recent() {
            rows += inputs.iter().map(|file| file.rows).sum::<u64>();
            self.merge_one(Table::Spans, inputs).await?;
            merges += 1;
        }
        merges += self.restate(rows).await?;
        for table in Table::ALL {
            while let Some(inputs) = self.next_small(table) {
                self.merge_one(table, inputs).await?;
                merges += 1;
            }
        }
        if merges > 0 {
            self.clean().await?;
        }
        Ok(merges)
    }

    /// Restates what is behind, after so many rows were merged. Answers how many files that were.
    async fn restate(self: &Arc<Self>, merged_rows: u64) -> Result<usize, StoreError> {
        let mut pass = Pass::after(merged_rows);
        let mut files = 0;
        loop {
            let inner = self.clone();
            pass = blocking(move || inner.find_behind(&mut pass).map(|()| pass)).await?;
            let Some(file) = self.next_behind(&mut pass) else { return Ok(files) };
            self.merge_one(Table::Spans, vec![file]).await?;
            files += 1;
        }
    }

    async fn merge_one(self: &Arc<Self>, table: Table, inputs: Vec<Arc<DataFile>>) -> Result<(), StoreError> {
        let rows = inputs.iter().map(|file| file.rows).sum::<u64>();
        let job = self.jobs.begin(JobKind::Merge, table.as_str(), JobUnit::Rows, Some(rows));
        let inner = self.clone();
        let read = inputs.clone();
        let turn = self.turns.lock().await;
        let (inputs, job, adds) = blocking(move || {
            let merging = Merging { table, inputs: &inputs, job: &job };
            let adds = match table {
                Table::Spans => inner.merge_spans(&merging),
                _ => inner.join(&merging),
            };
            Ok((inputs, job, adds))
        })
        .await?;
        drop(turn);
        let merged = match adds {
            Ok(adds) => {
                let kept = adds.iter().map(|file| file.rows).sum::<u64>();
                // What is restated stays the same number of rows.
                let is_other = kept < rows || !self.restating.lock().behind(&inputs).is_empty();
                self.replace(table, inputs, adds, is_other).await
            }
            Err(error) => Err(error),
        };
        if merged.is_ok() {
            job.is_at(rows);
        }
        job.end(&merged);
        self.counters.merges.add(u64::from(merged.is_ok()));
        // The next look for what is due leaves it out.
        merged.or_else(|error| self.damaged.note(error, &read))
    }

    /// `data_change`: whether the rows are other ones afterwards.
    pub(super) async fn replace(
        &self,
        table: Table,
        removes: Vec<Arc<DataFile>>,
        adds: Vec<DataFile>,
        data_change: bool,
    ) -> Result<(), StoreError> {
        let mut lake = self.lake[table as usize].lock().await;
        let transaction = lake.transaction_version(MAINTENANCE).await?.unwrap_or(0) + 1;
        let commit = Commit {
            adds,
            removes: removes.clone(),
            transaction: Some((MAINTENANCE.to_owned(), transaction)),
            data_change,
        };
        let (version, added) = self.note(lake.commit(commit).await)?;
        drop(lake);
        self.counters.wrote(table, &added);
        self.replaced.lock().extend(removes.iter().map(|f| (table, f.path.clone(), Arc::downgrade(f))));
        let gone: Vec<String> = removes.iter().map(|file| file.path.clone()).collect();
        self.state.lock().change_files(vec![FileChange { table, version, added, removed: removes }]);
        self.derived.forget(gone.iter().map(String::as_str));
        self.restating.lock().replaced(gone.iter().map(String::as_str));
        Ok(())
    }

    /// The oldest day's `_recent` files whose traces have all settled.
    fn next_recent(&self) -> Option<Vec<Arc<DataFile>>> {
        let state = self.state.lock();
        let floor = state.tail.traces.unsettled_floor().unwrap_or(u64::MAX);
        let files = &state.tables[Table::Spans as usize].files;
        let mut ready: Vec<_> =
            files.iter().filter(|f| f.is_recent() && f.wal_seq_max < floor).cloned().collect();
        drop(state);
        ready.retain(|file| !self.damaged.has(file));
        ready.sort_by_key(|f| (f.day, f.wal_seq_max));
        let day = ready.first()?.day;
        let mut rows = 0;
        ready.retain(|f| {
            let fits = f.day == day && (rows == 0 || rows + f.rows <= ROWS_PER_MERGE);
            rows += if fits { f.rows } else { 0 };
            fits
        });
        Some(ready)
    }

    /// The small files of a partition that has too many of them.
    fn next_small(&self, table: Table) -> Option<Vec<Arc<DataFile>>> {
        let now = now();
        let state = self.state.lock();
        let mut partitions: BTreeMap<(i32, Option<&str>), Vec<&Arc<DataFile>>> = BTreeMap::new();
        for file in state.tables[table as usize].files.iter().filter(|f| !f.is_recent()) {
            if self.damaged.has(file) {
                continue;
            }
            partitions.entry((file.day, file.slice.as_deref())).or_default().push(file);
        }
        partitions.into_iter().find_map(|((day, _), files)| {
            let sizes: Vec<Sized> =
                files.iter().map(|file| Sized { bytes: file.size_bytes, rows: file.rows }).collect();
            let newest = files.iter().map(|file| file.modified).max();
            let is_quiet = newest.is_some_and(|newest| now.0 - newest.0 > QUIET.as_nanos() as i64);
            let join = to_join(&sizes, day < now.day() && is_quiet);
            (!join.is_empty()).then(|| join.into_iter().map(|at| files[at].clone()).collect())
        })
    }

    /// Files of one partition → one file, sorted, without the rows that others of them supersede.
    fn join(&self, merging: &Merging<'_>) -> Result<Vec<DataFile>, StoreError> {
        let (table, inputs) = (merging.table, merging.inputs);
        let superseded = Superseded::of(table, self.rolled_up_through.load(Ordering::Acquire), inputs)?;
        let mut ranges = Ranges::open(table, inputs, |_| None)?;
        let schema = table.file_schema();
        let mut files = Writing::begin(&self.home, table, ranges.columns(), Effort::Thorough)?;
        let partition = Partition { day: inputs[0].day, slice: inputs[0].slice.as_deref() };
        let mut done = 0;
        while let Some(batches) = ranges.next()? {
            let mut rows = superseded.kept(&batches)?;
            sort(table, &batches, &mut rows)?;
            if !rows.is_empty() {
                let part = Part { partition, rows: rows.into() };
                files.append(&Gather::of(schema.clone(), &batches), &[part])?;
            }
            done += batches.iter().map(|batch| batch.num_rows() as u64).sum::<u64>();
            merging.job.is_at(done);
        }
        files.finish()
    }

    /// Shortens the Delta logs and deletes replaced files that neither a query here nor a reader elsewhere may still open.
    pub(super) async fn clean(&self) -> Result<(), StoreError> {
        self.replaced.lock().retain(|(_, _, file)| file.strong_count() > 0);
        for table in Table::ALL {
            let in_use: FxHashSet<String> = {
                let replaced = self.replaced.lock();
                replaced.iter().filter(|(t, _, _)| *t == table).map(|(_, path, _)| path.clone()).collect()
            };
            let mut lake = self.lake[table as usize].lock().await;
            lake.maintain().await?;
            lake.vacuum(GRACE, |path| in_use.contains(path)).await?;
        }
        Ok(())
    }
}

/// What one merge works on.
struct Merging<'m> {
    table: Table,
    /// At least one, of one day.
    inputs: &'m [Arc<DataFile>],
    job: &'m Running,
}

/// A file that a merge replaced: it stays on disk while a snapshot names it.
pub(super) type Replaced = (Table, String, Weak<DataFile>);

/// Brings rows into the order of time.
fn sort(table: Table, batches: &[RecordBatch], rows: &mut [u32]) -> Result<(), StoreError> {
    let mut times = Vec::with_capacity(rows.len());
    for batch in batches {
        times.extend_from_slice(Columns::of(batch).int(table.time_column())?.values());
    }
    rows.sort_by_key(|row| times[*row as usize]);
    Ok(())
}
